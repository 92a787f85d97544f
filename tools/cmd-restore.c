/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include "msg.h"
#include "spec.h"
#include "verbs.h"

enum { OPT_FORMAT = CTL_ID_OWN };
static const struct ctl_opt opts[] = {
	{ 'i', "input", "FILE", "the text; '-', and unless said, is standard input" },
	{ OPT_FORMAT, "format", "F", "text" },
	{ 'f', "force", NULL, "overwrite a store that is not blank" },
	{ 0 }
};

static int64_t read_fd(void *opaque, void *buf, size_t len)
{
	const int *fd = opaque;
	ssize_t n;

	do {
		n = read(*fd, buf, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int restore_run(const char *operand, const char *format, const char *input, uint32_t flags)
{
	bool is_stdin = !input || !strcmp(input, "-");
	int fd = is_stdin ? STDIN_FILENO : open(input, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct blkremap_ctx *ctx = NULL;
	char *spec = ctl_spec(operand);
	int r, code;

	if (fd < 0) {
		free(spec);
		return ctl_fail_text(input, -errno, "cannot be opened");
	}
	code = spec ? ctl_ctx_new(&ctx) : CTL_FAILED;
	if (!code) {
		r = blkremap_restore(ctx, spec, format, flags, read_fd, &fd);
		if (r < 0)
			code = ctl_fail(operand, r);
		if (r == -EEXIST)
			ctl_hint("-f overwrites it");
	}
	if (!code)
		ctl_say(stdout, "%s: restored", operand);
	if (!is_stdin)
		close(fd);
	free(spec);
	return ctl_close(ctx, NULL, NULL, code);
}

static int run(struct ctl_args *args)
{
	const char *format = "text", *input = NULL;
	uint32_t flags = 0;
	int id;

	while ((id = ctl_args_next(args)) > 0) {
		if (id == OPT_FORMAT)
			format = args->value;
		else if (id == 'i')
			input = args->value;
		else
			flags |= BLKREMAP_FORCE;
	}
	if (id < 0)
		return args->exit_code;
	if (strcmp(format, "text"))
		return ctl_usage("--format: '%s' is not one of: text", format);
	if ((!input || !strcmp(input, "-")) && isatty(STDIN_FILENO) == 1)
		return ctl_usage("the text is wanted on standard input, which is a terminal; -i FILE reads a file");
	return restore_run(args->operands[0], format, input, flags);
}

const struct ctl_verb ctl_verb_restore = {
	.name = "restore",
	.operands = "SPEC",
	.summary = "make a store's metadata from a text that dump wrote",
	.text = "Writes the metadata only: the chunks that it names must lie in the store already.",
	.example = "blkremap-ctl restore -f -i snap.txt snap.cow",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
