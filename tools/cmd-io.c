/* SPDX-License-Identifier: BSD-3-Clause */
/* All commands are read before the first is done, so that a typing error at the end leaves nothing half done. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "msg.h"
#include "range.h"
#include "size.h"
#include "stop.h"
#include "verbs.h"

static const struct ctl_opt opts[] = {
	{ 'c', "command", "CMD", "do this; may be given often, done in order" },
	{ 0 }
};

enum { MAX_COMMANDS = 256, MAX_WORDS = 5 };
enum { DEFAULT_PATTERN = 0xcd, NO_BYTE = -1 };

struct io_command {
	uint32_t op, flags;
	uint64_t off, len;
	int byte; /* pattern or verify */
};

struct io_run {
	const char *operand;
	struct blkremap_dev *dev;
	unsigned char *buf;
	struct io_command commands[MAX_COMMANDS];
	unsigned int nr;
};

static const struct {
	const char *word;
	uint32_t op;
	int nr_numbers;
	const char *byte_key; /* of its word "KEY=BYTE" */
	const char *flag_word;
	uint32_t flag;
} kinds[] = {
	{ "write", BLKREMAP_WRITE, 2, "pattern=", "fua", BLKREMAP_FUA },
	{ "read", BLKREMAP_READ, 2, "verify=", NULL, 0 },
	{ "flush", BLKREMAP_FLUSH, 0, NULL, NULL, 0 },
	{ "discard", BLKREMAP_DISCARD, 2, NULL, "fua", BLKREMAP_FUA },
	{ "zero", BLKREMAP_WRITE_ZEROES, 2, NULL, "unmap", BLKREMAP_MAY_UNMAP },
};
enum { NR_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* ---- reading the commands ---- */

static int command_bad(const char *text, const char *word, const char *why)
{
	return ctl_usage("'%s': '%s' %s", text, word, why);
}

static int word_take(const char *text, const char *word, unsigned int kind, struct io_command *c)
{
	const char *key = kinds[kind].byte_key;
	uint64_t byte;

	if (kinds[kind].flag_word && !strcmp(word, kinds[kind].flag_word)) {
		c->flags |= kinds[kind].flag;
		return CTL_OK;
	}
	if (!key || strncmp(word, key, strlen(key)))
		return command_bad(text, word, "means nothing here");
	if (ctl_count_parse(word + strlen(key), 255, &byte) < 0)
		return command_bad(text, word, "wants a byte, 0 to 255 or 0x00 to 0xff");
	c->byte = (int)byte;
	return CTL_OK;
}

static int words_take(const char *text, char **words, int n, struct io_command *c)
{
	unsigned int kind;
	int code = CTL_OK;

	for (kind = 0; kind < NR_KINDS && strcmp(kinds[kind].word, words[0]); kind++)
		;
	if (kind == NR_KINDS)
		return command_bad(text, words[0], "is not one of write, read, flush, discard, zero");
	c->op = kinds[kind].op;
	if (n < 1 + kinds[kind].nr_numbers)
		return command_bad(text, words[0], "wants an offset and a length");
	if (kinds[kind].nr_numbers) {
		if (ctl_offset_parse(words[1], &c->off) < 0)
			return command_bad(text, words[1], "is not an offset (as 0, 64k or 0x10000)");
		if (ctl_offset_parse(words[2], &c->len) < 0 || !c->len || c->len > INT64_MAX - c->off)
			return command_bad(text, words[2], "is not a length (as 4096, 64k or 0x10000)");
	}
	for (int i = 1 + kinds[kind].nr_numbers; i < n && !code; i++)
		code = word_take(text, words[i], kind, c);
	return code;
}

static int command_parse(const char *text, struct io_command *c)
{
	char *copy = strdup(text), *words[MAX_WORDS], *save, *word;
	int n = 0, code;

	if (!copy)
		return ctl_fail_text(NULL, -ENOMEM, "no memory");
	*c = (struct io_command){ .byte = NO_BYTE };
	for (word = strtok_r(copy, " \t", &save); word && n < MAX_WORDS; word = strtok_r(NULL, " \t", &save))
		words[n++] = word;
	if (!n)
		code = ctl_usage("a command is empty");
	else if (word)
		code = command_bad(text, word, "is one word too many");
	else
		code = words_take(text, words, n, c);
	free(copy);
	return code;
}

/* ---- doing them ---- */

static int bytes_verify(const struct io_run *io, const struct io_command *c, uint64_t off, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (io->buf[i] == c->byte)
			continue;
		ctl_say(stdout, "read at 0x%08" PRIx64 ": 0x%02x, expected 0x%02x", off + i, io->buf[i],
			(unsigned int)c->byte);
		return CTL_NO;
	}
	return CTL_OK;
}

static int transfer(struct io_run *io, const struct io_command *c)
{
	uint64_t end = c->off + c->len;
	int r, code = CTL_OK;

	if (c->op == BLKREMAP_WRITE)
		memset(io->buf, c->byte == NO_BYTE ? DEFAULT_PATTERN : c->byte, CTL_PIECE);
	for (uint64_t off = c->off, n; off < end && !code && !ctl_stopped(); off += n) {
		n = end - off < CTL_PIECE ? end - off : CTL_PIECE;
		r = c->op == BLKREMAP_WRITE ? blkremap_pwrite(io->dev, io->buf, (size_t)n, off, c->flags)
					    : blkremap_pread(io->dev, io->buf, (size_t)n, off, 0);
		if (r < 0)
			return ctl_fail(io->operand, r);
		if (c->op == BLKREMAP_READ && c->byte != NO_BYTE)
			code = bytes_verify(io, c, off, (size_t)n);
	}
	return code;
}

static int command_do(struct io_run *io, const struct io_command *c)
{
	int r;

	switch (c->op) {
	case BLKREMAP_FLUSH:
		r = blkremap_flush(io->dev);
		break;
	case BLKREMAP_DISCARD:
		r = blkremap_discard(io->dev, c->off, c->len, c->flags);
		break;
	case BLKREMAP_WRITE_ZEROES:
		r = blkremap_write_zeroes(io->dev, c->off, c->len, c->flags);
		break;
	default:
		return transfer(io, c);
	}
	return r < 0 ? ctl_fail(io->operand, r) : CTL_OK;
}

static void command_say(const struct io_command *c, uint64_t ns)
{
	static const char *const done[] = { [BLKREMAP_READ] = "read",
					    [BLKREMAP_WRITE] = "wrote",
					    [BLKREMAP_FLUSH] = "flushed",
					    [BLKREMAP_DISCARD] = "discarded",
					    [BLKREMAP_WRITE_ZEROES] = "zeroed" };
	struct ctl_text len = ctl_thousands(c->len), off = ctl_thousands(c->off), took = ctl_duration(ns);

	if (c->op == BLKREMAP_FLUSH)
		printf("%s (%s)\n", done[c->op], took.s);
	else
		printf("%s %s at %s%s (%s)\n", done[c->op], len.s, off.s,
		       c->op == BLKREMAP_READ && c->byte != NO_BYTE ? ", verified" : "", took.s);
}

static int commands_do(struct io_run *io)
{
	int code = CTL_OK;

	io->buf = ctl_buffer_new(CTL_PIECE);
	if (!io->buf)
		return ctl_fail_text(io->operand, -ENOMEM, "no memory for a buffer");
	for (unsigned int i = 0; i < io->nr && !code && !ctl_stopped(); i++) {
		uint64_t begin = ctl_now_ns();

		code = command_do(io, &io->commands[i]);
		if (!code && !ctl_stopped())
			command_say(&io->commands[i], ctl_now_ns() - begin);
	}
	free(io->buf);
	return code;
}

static bool writes(const struct io_run *io)
{
	for (unsigned int i = 0; i < io->nr; i++)
		if (io->commands[i].op != BLKREMAP_READ)
			return true;
	return false;
}

static int run(struct ctl_args *args)
{
	static struct io_run io; /* too large for the stack */
	struct blkremap_ctx *ctx = NULL;
	int id, code = CTL_OK;

	while (!code && (id = ctl_args_next(args)) != 0) {
		if (id < 0)
			return args->exit_code;
		if (io.nr == MAX_COMMANDS)
			return ctl_usage("more than %d commands", MAX_COMMANDS);
		code = command_parse(args->value, &io.commands[io.nr++]);
	}
	if (code)
		return code;
	if (!io.nr)
		return ctl_usage("-c CMD is missing");
	io.operand = args->operands[0];
	code = ctl_ctx_new(&ctx);
	if (!code)
		code = ctl_open(ctx, io.operand, writes(&io) ? 0 : BLKREMAP_RDONLY, &io.dev);
	ctl_stop_catch();
	if (!code)
		code = commands_do(&io);
	code = ctl_close(ctx, io.dev, io.operand, code);
	ctl_stop_reraise();
	return code;
}

const struct ctl_verb ctl_verb_io = {
	.name = "io",
	.operands = "SPEC",
	.summary = "read, write, flush, discard and zero by hand",
	.text = "Commands:\n"
		"  write OFF LEN [pattern=BYTE] [fua]   fill with a byte, 0xcd unless said\n"
		"  read OFF LEN [verify=BYTE]           all must be this byte, else exit status 1\n"
		"  flush                                make all that was written durable\n"
		"  discard OFF LEN [fua]                not needed any more\n"
		"  zero OFF LEN [unmap]                 shall read as zeroes\n"
		"OFF and LEN are sizes, or hexadecimal as 'map' prints them.  With reads alone nothing is opened\n"
		"for writing.",
	.example = "blkremap-ctl io vol.blkr -c 'write 0 64k pattern=0xa5' -c flush -c 'read 0 64k verify=0xa5'",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
