/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include "finding.h"
#include "json.h"
#include "msg.h"
#include "range.h"
#include "size.h"
#include "spec.h"
#include "verbs.h"

enum { OPT_DEEP = CTL_ID_OWN };
static const struct ctl_opt opts[] = {
	{ OPT_DEEP, "deep", NULL, "also read the whole device, and tell what cannot be read" },
	CTL_OPT_JSON,
	{ 0 }
};

enum { DEEP_BLOCK = 4096 }; /* how exactly a place that cannot be read is told */

/* Halve towards the unreadable blocks and report each; the good ones around them are read on the way. */
static int deep_narrow(struct blkremap_dev *dev, struct ctl_findings *f, unsigned char *buf, uint64_t off, size_t len)
{
	struct blkremap_finding finding = { .size = sizeof(finding),
					    .severity = CTL_CORRUPTION,
					    .offset = off,
					    .length = len,
					    .code = BLKREMAP_CODE_MEDIUM,
					    .text = "cannot be read" };
	size_t half = len / 2 / DEEP_BLOCK * DEEP_BLOCK;
	int r = blkremap_pread(dev, buf, len, off, BLKREMAP_BACKGROUND);

	if (r == 0)
		return 0;
	if (r != -EIO && r != -ENODATA)
		return r;
	if (!half)
		return ctl_finding_take(f, &finding);
	r = deep_narrow(dev, f, buf, off, half);
	return r < 0 ? r : deep_narrow(dev, f, buf, off + half, len - half);
}

static int deep_read(struct blkremap_ctx *ctx, struct ctl_findings *f, const char *operand)
{
	unsigned char *buf = ctl_buffer_new(CTL_PIECE);
	struct blkremap_dev *dev = NULL;
	uint64_t end;
	int r = 0, code = buf ? ctl_open(ctx, operand, BLKREMAP_RDONLY, &dev) : CTL_FAILED;

	if (code) {
		free(buf);
		return code;
	}
	end = blkremap_dev_size(dev);
	for (uint64_t off = 0; off < end && r >= 0; off += CTL_PIECE)
		r = deep_narrow(dev, f, buf, off, end - off < CTL_PIECE ? (size_t)(end - off) : CTL_PIECE);
	if (r < 0)
		code = ctl_fail(operand, r);
	else if (!f->print_json)
		ctl_say(stdout, "%s: %s read", operand, ctl_human(end).s);
	free(buf);
	return ctl_close(NULL, dev, operand, code);
}

static int check_end(struct ctl_findings *f, const char *operand, int worst)
{
	if (f->print_json) {
		ctl_json_close(&f->json);
		ctl_json_u64(&f->json, "worst", (uint64_t)worst);
		ctl_json_bool(&f->json, "clean", worst < CTL_UNCLEAN);
		if (ctl_json_end(&f->json, stdout) < 0)
			return CTL_FAILED;
	}
	if (worst >= CTL_CORRUPTION) {
		ctl_note("%s: %s error%s, metadata is corrupt", operand, ctl_thousands(f->count[CTL_CORRUPTION]).s,
			 f->count[CTL_CORRUPTION] == 1 ? "" : "s");
		ctl_hint("'blkremap-ctl repair -n %s' shows what can be saved", operand);
		return CTL_CORRUPT;
	}
	if (worst == CTL_UNCLEAN)
		return CTL_NO;
	if (!f->print_json)
		ctl_say(stdout, "%s: clean", operand);
	return CTL_OK;
}

static int check_run(struct blkremap_ctx *ctx, struct ctl_findings *f, const char *operand, bool deep)
{
	char *spec = ctl_spec(operand);
	int code = CTL_OK, worst;

	if (!spec)
		return ctl_fail_text(operand, -ENOMEM, "no memory");
	if (f->print_json) {
		ctl_json_begin(&f->json, "check");
		ctl_json_string(&f->json, "spec", operand);
		ctl_json_array(&f->json, "findings");
	}
	worst = blkremap_check(ctx, spec, 0, ctl_finding_take, f);
	free(spec);
	if (worst < 0)
		code = ctl_fail(operand, worst);
	if (!code && deep && worst < CTL_CORRUPTION)
		code = deep_read(ctx, f, operand);
	if (code) {
		ctl_json_drop(&f->json);
		return code;
	}
	if (f->count[CTL_CORRUPTION])
		worst = CTL_CORRUPTION;
	return check_end(f, operand, worst);
}

static int run(struct ctl_args *args)
{
	struct ctl_findings f = { .operand = NULL };
	struct blkremap_ctx *ctx = NULL;
	bool deep = false;
	int id, code;

	while ((id = ctl_args_next(args)) > 0) {
		f.print_json |= id == CTL_ID_JSON;
		deep |= id == OPT_DEEP;
	}
	if (id < 0)
		return args->exit_code;
	f.operand = args->operands[0];
	code = ctl_ctx_new(&ctx);
	if (!code)
		code = check_run(ctx, &f, args->operands[0], deep);
	return ctl_close(ctx, NULL, NULL, code);
}

const struct ctl_verb ctl_verb_check = {
	.name = "check",
	.operands = "SPEC",
	.summary = "look for damage in a store or a stack",
	.text = "SPEC is a store by itself (snap.cow) or a whole stack (vol.blkr).  Each finding is a line. Exit\n"
		"status: 0 clean; 1 consistent, but not closed cleanly, or space is lost; 4 corrupt.  Never\n"
		"writes.",
	.example = "blkremap-ctl check snap.cow",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
