/* SPDX-License-Identifier: BSD-3-Clause */
/* From what the user named to an open device. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "msg.h"
#include "spec.h"

/* The library's warnings, as they come.  It may call this from any of its threads; a line is one stdio call's lock. */
static void log_line(void *opaque, uint32_t level, const char *text)
{
	(void)opaque;
	flockfile(stderr);
	ctl_note("%s: %s", level == BLKREMAP_LOG_ERROR ? "error" : "warning", text);
	funlockfile(stderr);
}

int ctl_ctx_new(struct blkremap_ctx **ret_ctx)
{
	struct blkremap_ctx_opts opts = { .size = sizeof(opts), .log = log_line };
	int r = blkremap_ctx_new(&opts, ret_ctx);

	return r < 0 ? ctl_fail(NULL, r) : CTL_OK;
}

/* A device ends with its last whole block; whoever copies an image that does not must hear of the rest. */
static void tail_note(const char *operand, struct blkremap_dev *dev)
{
	uint64_t bytes = blkremap_dev_size(dev);
	struct stat st;

	if (ctl_spec_is_path(operand) && stat(operand, &st) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size > bytes && (uint64_t)st.st_size - bytes < 4096)
		ctl_note("%s: the last %u bytes are less than a block and left out", operand,
			 (unsigned int)((uint64_t)st.st_size - bytes));
}

int ctl_open_spec(struct blkremap_ctx *ctx, const char *spec, const char *operand, uint32_t flags,
		  struct blkremap_dev **ret_dev)
{
	struct blkremap_open_opts opts = { .size = sizeof(opts), .flags = flags };
	int r = blkremap_open(ctx, spec, &opts, ret_dev);

	if (r < 0)
		return ctl_fail(operand, r);
	tail_note(operand, *ret_dev);
	return CTL_OK;
}

int ctl_open(struct blkremap_ctx *ctx, const char *operand, uint32_t flags, struct blkremap_dev **ret_dev)
{
	char *spec = ctl_spec(operand);
	int code;

	if (!spec)
		return ctl_fail_text(operand, -ENOMEM, "no memory");
	code = ctl_open_spec(ctx, spec, operand, flags, ret_dev);
	free(spec);
	return code;
}

int ctl_close(struct blkremap_ctx *ctx, struct blkremap_dev *dev, const char *operand, int exit_code)
{
	int r = dev ? blkremap_dev_close(dev) : 0;

	if (r < 0)
		exit_code = ctl_fail(operand, r);
	if (ctx) {
		r = blkremap_ctx_free(ctx);
		if (r < 0 && exit_code == CTL_OK)
			exit_code = ctl_fail(NULL, r);
	}
	return exit_code;
}
