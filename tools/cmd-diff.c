/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both maps are walked side by side.  Where both read as zeroes, or both lie at the same place of the same file, they
 * are equal and nothing is read; elsewhere both are read and compared.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "json.h"
#include "layers.h"
#include "msg.h"
#include "range.h"
#include "size.h"
#include "spec.h"
#include "stack.h"
#include "verbs.h"

enum { OPT_HEX = CTL_ID_OWN };
static const struct ctl_opt opts[] = {
	{ 'q', "quiet", NULL, "say nothing; the exit status tells" },
	CTL_OPT_JSON,
	{ OPT_HEX, "hex", NULL, "also the bytes that differ, 16 a line" },
	{ 'H', "no-headings", NULL, "one 'offset TAB length' a line, in bytes" },
	CTL_OPT_SHARED,
	{ 0 }
};

enum { BLOCK = 4096 }; /* differences are told in blocks of it: what a file system writes at least */
enum { MAX_EXTENTS = 256, PER_LINE = 3 };

/* One of the two devices, and the extent of its map at the place where the comparison is. */
struct side {
	const char *operand;
	struct ctl_layers layers; /* with a context of its own: two stacks may name their sections alike */
	struct blkremap_dev *dev;
	uint64_t bytes;
	struct blkremap_extent x[MAX_EXTENTS];
	uint32_t nr, at;
	unsigned char *buf;
};

struct diff {
	struct side a, b;
	bool quiet, print_json, hex, raw;
	uint32_t open_flags;
	struct ctl_json json;
	uint64_t ranges, differ_bytes, read_bytes, skipped_bytes;
	uint64_t range_off, range_len; /* the difference that may still grow */
	unsigned int on_line;
};

/* ---- what is proved without reading ---- */

/* The extent at @off; what the map does not cover is data of unknown place. */
static int side_seek(struct side *s, uint64_t off, struct blkremap_extent *ret_x)
{
	int r;

	for (;;) {
		while (s->at < s->nr && s->x[s->at].offset + s->x[s->at].length <= off)
			s->at++;
		if (s->at < s->nr)
			break;
		r = blkremap_map(s->dev, off, s->bytes - off, 0, s->x, MAX_EXTENTS, &s->nr);
		s->at = 0;
		if (r < 0 || !s->nr) {
			s->nr = 0;
			*ret_x = (struct blkremap_extent){ .offset = off, .length = s->bytes - off };
			return r == -EOPNOTSUPP ? 0 : r;
		}
	}
	*ret_x = s->x[s->at];
	return 0;
}

/* The file behind a layer: a section of the stack file, or else the operand or the layer's name itself. */
static bool layer_stat(struct side *s, uint64_t id, struct stat *ret_st)
{
	const struct blkremap_dev_info *info = ctl_layer(&s->layers, id);
	const char *stack = ctl_spec_stack(s->operand);
	char *path = NULL;
	bool found;

	if (strcmp(info->type, "file"))
		return false;
	if (stack)
		path = ctl_stack_file_path(stack, info->name);
	else if (ctl_spec_is_path(s->operand) && id == blkremap_dev_id(s->dev))
		path = strdup(s->operand);
	found = path && stat(path, ret_st) == 0;
	free(path);
	return found;
}

static bool is_same_place(struct diff *d, const struct blkremap_extent *x, const struct blkremap_extent *y,
			  uint64_t off)
{
	struct stat st_x, st_y;

	if (!x->dev_id || !y->dev_id || off - x->offset + x->at != off - y->offset + y->at)
		return false;
	if (!layer_stat(&d->a, x->dev_id, &st_x) || !layer_stat(&d->b, y->dev_id, &st_y))
		return false;
	return st_x.st_dev == st_y.st_dev && st_x.st_ino == st_y.st_ino;
}

static bool is_equal_unread(struct diff *d, const struct blkremap_extent *x, const struct blkremap_extent *y,
			    uint64_t off)
{
	const uint32_t zero = BLKREMAP_EXT_HOLE | BLKREMAP_EXT_ZERO;

	return ((x->kind & zero) && (y->kind & zero)) || is_same_place(d, x, y, off);
}

/* ---- what is told ---- */

static void hex_side_put(char mark, const unsigned char *p, size_t n)
{
	printf(" %c", mark);
	for (size_t i = 0; i < n; i++)
		printf(" %02x", p[i]);
	putchar('\n');
}

static void hex_put(const struct diff *d, uint64_t off, const unsigned char *a, const unsigned char *b, size_t n)
{
	for (size_t at = 0; at < n; at += 16) {
		size_t len = n - at < 16 ? n - at : 16;

		if (d->quiet || !memcmp(a + at, b + at, len))
			continue;
		printf("0x%08" PRIx64 "\n", off + at);
		hex_side_put('<', a + at, len);
		hex_side_put('>', b + at, len);
	}
}

/* The range is complete: nothing adjoins it. */
static void range_flush(struct diff *d)
{
	if (!d->range_len)
		return;
	d->ranges++;
	if (d->print_json) {
		ctl_json_object(&d->json, NULL);
		ctl_json_u64(&d->json, "offset", d->range_off);
		ctl_json_u64(&d->json, "length", d->range_len);
		ctl_json_close(&d->json);
	} else if (d->raw && !d->quiet) {
		printf("%" PRIu64 "\t%" PRIu64 "\n", d->range_off, d->range_len);
	} else if (!d->quiet && !d->hex) {
		printf("%s0x%08" PRIx64 " +%s", d->on_line ? "   " : "", d->range_off, ctl_human(d->range_len).s);
		d->on_line = (d->on_line + 1) % PER_LINE;
		if (!d->on_line)
			putchar('\n');
	}
	d->range_len = 0;
}

static void range_add(struct diff *d, uint64_t off, uint64_t len)
{
	d->differ_bytes += len;
	if (d->range_len && d->range_off + d->range_len == off) {
		d->range_len += len;
		return;
	}
	range_flush(d);
	d->range_off = off;
	d->range_len = len;
}

/* ---- comparing ---- */

static int read_side(struct side *s, uint64_t off, size_t len)
{
	int r = blkremap_pread(s->dev, s->buf, len, off, BLKREMAP_BACKGROUND);

	return r < 0 ? ctl_fail(s->operand, r) : CTL_OK;
}

static int piece_compare(struct diff *d, uint64_t off, size_t len)
{
	bool same;
	size_t n;
	int code = read_side(&d->a, off, len);

	if (!code)
		code = read_side(&d->b, off, len);
	if (code)
		return code;
	for (size_t at = 0; at < len; at += n) {
		n = ctl_run_same(d->a.buf + at, d->b.buf + at, len - at, BLOCK, &same);
		if (same)
			continue;
		range_add(d, off + at, n);
		if (d->hex)
			hex_put(d, off + at, d->a.buf + at, d->b.buf + at, n);
	}
	d->read_bytes += len;
	return CTL_OK;
}

/* One step from @off on: how far it went, or 0 and an exit code. */
static uint64_t step(struct diff *d, uint64_t off, uint64_t end, int *ret_code)
{
	struct blkremap_extent x, y;
	uint64_t len;
	int r;

	r = side_seek(&d->a, off, &x);
	if (r < 0) {
		*ret_code = ctl_fail(d->a.operand, r);
		return 0;
	}
	r = side_seek(&d->b, off, &y);
	if (r < 0) {
		*ret_code = ctl_fail(d->b.operand, r);
		return 0;
	}
	len = x.offset + x.length < y.offset + y.length ? x.offset + x.length : y.offset + y.length;
	len = (len < end ? len : end) - off;
	if (is_equal_unread(d, &x, &y, off)) {
		d->skipped_bytes += len;
		return len;
	}
	len = len < CTL_PIECE ? len : CTL_PIECE;
	*ret_code = piece_compare(d, off, len);
	return *ret_code ? 0 : len;
}

static int devices_compare(struct diff *d)
{
	uint64_t end = d->a.bytes < d->b.bytes ? d->a.bytes : d->b.bytes;
	uint64_t longer = d->a.bytes > d->b.bytes ? d->a.bytes : d->b.bytes;
	int code = CTL_OK;

	for (uint64_t off = 0, len; off < end; off += len) {
		len = step(d, off, end, &code);
		if (!len)
			return code;
		if (d->quiet && d->differ_bytes)
			return CTL_NO;
	}
	if (longer > end)
		range_add(d, end, longer - end); /* what only one of them has differs */
	range_flush(d);
	return d->differ_bytes ? CTL_NO : CTL_OK;
}

/* ---- the verb ---- */

static void summary_say(struct diff *d)
{
	if (d->on_line)
		putchar('\n');
	if (d->a.bytes != d->b.bytes)
		ctl_say(stdout, "sizes differ: %s %s, %s %s", d->a.operand, ctl_human(d->a.bytes).s, d->b.operand,
			ctl_human(d->b.bytes).s);
	ctl_say(stdout, "%s range%s, %s differ (%s read, %s skipped)", ctl_thousands(d->ranges).s,
		d->ranges == 1 ? "" : "s", ctl_human(d->differ_bytes).s, ctl_human(d->read_bytes).s,
		ctl_human(d->skipped_bytes).s);
}

static int diff_run(struct diff *d)
{
	int code;

	if (d->print_json) {
		ctl_json_begin(&d->json, "diff");
		ctl_json_u64(&d->json, "bytes_a", d->a.bytes);
		ctl_json_u64(&d->json, "bytes_b", d->b.bytes);
		ctl_json_array(&d->json, "ranges");
	}
	code = devices_compare(d);
	if (code != CTL_OK && code != CTL_NO) {
		if (d->on_line)
			putchar('\n');
		ctl_json_drop(&d->json);
		return code;
	}
	if (d->print_json) {
		ctl_json_close(&d->json);
		ctl_json_bool(&d->json, "same", code == CTL_OK);
		ctl_json_u64(&d->json, "differ_bytes", d->differ_bytes);
		ctl_json_u64(&d->json, "read_bytes", d->read_bytes);
		ctl_json_u64(&d->json, "skipped_bytes", d->skipped_bytes);
		return ctl_json_end(&d->json, stdout) < 0 ? CTL_FAILED : code;
	}
	if (!d->quiet && !d->raw)
		summary_say(d);
	return code;
}

static int side_open(struct diff *d, struct side *s, const char *operand)
{
	int code;

	s->operand = operand;
	code = ctl_ctx_new(&s->layers.ctx);
	if (!code)
		code = ctl_open(s->layers.ctx, operand, BLKREMAP_RDONLY | d->open_flags, &s->dev);
	if (code)
		return code;
	s->bytes = blkremap_dev_size(s->dev);
	s->buf = ctl_buffer_new(CTL_PIECE);
	return s->buf ? CTL_OK : ctl_fail_text(operand, -ENOMEM, "no memory for a buffer");
}

static int run(struct ctl_args *args)
{
	static struct diff d; /* too large for the stack */
	int id, code;

	while ((id = ctl_args_next(args)) > 0) {
		d.quiet |= id == 'q';
		d.print_json |= id == CTL_ID_JSON;
		d.hex |= id == OPT_HEX;
		d.raw |= id == 'H';
		d.open_flags |= id == 'U' ? BLKREMAP_NOLOCK : 0;
	}
	if (id < 0)
		return args->exit_code;
	if (d.print_json + d.quiet + (d.hex || d.raw) > 1 || (d.hex && d.raw))
		return ctl_usage("only one of -q, --json, --hex and -H");
	code = side_open(&d, &d.a, args->operands[0]);
	if (!code)
		code = side_open(&d, &d.b, args->operands[1]);
	if (!code)
		code = diff_run(&d);
	free(d.a.buf);
	free(d.b.buf);
	code = ctl_close(d.b.layers.ctx, d.b.dev, d.b.operand, code);
	return ctl_close(d.a.layers.ctx, d.a.dev, d.a.operand, code);
}

const struct ctl_verb ctl_verb_diff = {
	.name = "diff",
	.operands = "A B",
	.summary = "compare two devices",
	.text = "Tells the ranges that differ, in blocks of 4 KiB.  What both maps prove to be equal is not read.\n"
		"Exit status: 0 same; 1 different, a different size included; 3 one could not be read.  Never\n"
		"writes.",
	.example = "blkremap-ctl diff base.img vol.blkr",
	.opts = opts,
	.min_operands = 2,
	.max_operands = 2,
	.run = run,
};
