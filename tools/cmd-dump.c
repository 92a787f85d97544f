/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "msg.h"
#include "newfile.h"
#include "spec.h"
#include "verbs.h"

enum { OPT_FORMAT = CTL_ID_OWN };
static const struct ctl_opt opts[] = {
	{ 'o', "output", "FILE", "write there; '-', and unless said, is standard output" },
	{ OPT_FORMAT, "format", "F", "text" },
	{ 'f', "force", NULL, "replace a file that is there" },
	{ 0 }
};

/* Where the text goes: a new file, or stdout. */
static int write_file(void *opaque, const void *data, size_t len)
{
	return ctl_newfile_write(opaque, data, len);
}

static int write_stdout(void *opaque, const void *data, size_t len)
{
	(void)opaque;
	return fwrite(data, 1, len, stdout) == len ? 0 : -EIO;
}

static int dump_file(struct blkremap_ctx *ctx, const char *operand, const char *format, const char *path, bool force)
{
	struct ctl_newfile nf;
	char *spec = ctl_spec(operand);
	int fd, code = CTL_OK, r = spec ? ctl_newfile_begin(&nf, path, force) : -ENOMEM;

	if (r == 0)
		r = ctl_newfile_create(&nf, &fd);
	if (r < 0)
		code = ctl_fail_text(path, r, "cannot be made");
	if (!code) {
		r = blkremap_dump(ctx, spec, format, write_file, &nf);
		if (r < 0)
			code = ctl_fail(operand, r);
	}
	if (!code) {
		r = ctl_newfile_commit(&nf);
		if (r < 0)
			code = ctl_fail_text(path, r, "cannot be completed");
	}
	if (r == -EEXIST)
		ctl_hint("-f replaces it");
	if (spec)
		ctl_newfile_end(&nf);
	free(spec);
	return code;
}

static int dump_run(const char *operand, const char *format, const char *output, bool force)
{
	struct blkremap_ctx *ctx = NULL;
	char *spec = ctl_spec(operand);
	int r, code = spec ? ctl_ctx_new(&ctx) : CTL_FAILED;

	if (!code && output && strcmp(output, "-")) {
		code = dump_file(ctx, operand, format, output, force);
	} else if (!code) {
		r = blkremap_dump(ctx, spec, format, write_stdout, NULL);
		if (r < 0)
			code = ctl_fail(operand, r);
	}
	free(spec);
	return ctl_close(ctx, NULL, NULL, code);
}

static int run(struct ctl_args *args)
{
	const char *format = "text", *output = NULL;
	bool force = false;
	int id;

	while ((id = ctl_args_next(args)) > 0) {
		if (id == OPT_FORMAT)
			format = args->value;
		else if (id == 'o')
			output = args->value;
		else
			force = true;
	}
	if (id < 0)
		return args->exit_code;
	if (strcmp(format, "text"))
		return ctl_usage("--format: '%s' is not one of: text", format);
	return dump_run(args->operands[0], format, output, force);
}

const struct ctl_verb ctl_verb_dump = {
	.name = "dump",
	.operands = "SPEC",
	.summary = "write a store's metadata as text",
	.text = "Geometry and mapping, not the data.  'restore' makes the same metadata of it again.  Never\n"
		"writes the store.",
	.example = "blkremap-ctl dump snap.cow -o snap.txt",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
