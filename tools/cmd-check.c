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

/* Reading all of it. */
struct deep {
	struct blkremap_dev *dev;
	struct ctl_findings *f;
	unsigned char *buf;
	uint64_t bad_off, bad_len; /* unreadable so far, and maybe longer; length 0: nothing */
	uint64_t bad_bytes;
};

static void bad_flush(struct deep *d)
{
	struct blkremap_finding finding = { .size = sizeof(finding),
					    .severity = CTL_CORRUPTION,
					    .offset = d->bad_off,
					    .length = d->bad_len,
					    .code = BLKREMAP_CODE_MEDIUM,
					    .text = "cannot be read" };

	if (d->bad_len)
		ctl_finding_take(d->f, &finding);
	d->bad_bytes += d->bad_len;
	d->bad_len = 0;
}

/* Neighbours are one place: a device that is gone is one line. */
static void bad_add(struct deep *d, uint64_t off, uint64_t len)
{
	if (d->bad_off + d->bad_len != off)
		bad_flush(d);
	if (!d->bad_len)
		d->bad_off = off;
	d->bad_len += len;
}

/* Halve towards the unreadable blocks; the good ones around them are read on the way. */
static int deep_narrow(struct deep *d, uint64_t off, size_t len)
{
	size_t half = len / 2 / DEEP_BLOCK * DEEP_BLOCK;
	int r = blkremap_pread(d->dev, d->buf, len, off, BLKREMAP_BACKGROUND);

	if (r == 0)
		return 0;
	if (r != -EIO && r != -ENODATA)
		return r;
	if (!half) {
		bad_add(d, off, len);
		return 0;
	}
	r = deep_narrow(d, off, half);
	return r < 0 ? r : deep_narrow(d, off + half, len - half);
}

static int deep_run(struct deep *d, const char *operand)
{
	uint64_t end = blkremap_dev_size(d->dev);
	int r = 0;

	for (uint64_t off = 0; off < end && r >= 0; off += CTL_PIECE)
		r = deep_narrow(d, off, end - off < CTL_PIECE ? (size_t)(end - off) : CTL_PIECE);
	bad_flush(d);
	if (r < 0)
		return ctl_fail(operand, r);
	if (!d->f->print_json)
		ctl_say(stdout, "%s: %s read", operand, ctl_human(end - d->bad_bytes).s);
	return CTL_OK;
}

static int deep_read(struct blkremap_ctx *ctx, struct ctl_findings *f, const char *operand, uint64_t *ret_bad)
{
	struct deep d = { .f = f, .buf = ctl_buffer_new(CTL_PIECE) };
	int code;

	if (!d.buf)
		return ctl_fail_text(operand, -ENOMEM, "no memory for a buffer");
	code = ctl_open(ctx, operand, BLKREMAP_RDONLY, &d.dev);
	if (!code)
		code = deep_run(&d, operand);
	free(d.buf);
	*ret_bad = d.bad_bytes;
	return ctl_close(NULL, d.dev, operand, code);
}

static int check_end(struct ctl_findings *f, const char *operand, int worst, uint64_t unreadable)
{
	if (f->print_json) {
		ctl_json_close(&f->json);
		ctl_json_u64(&f->json, "unreadable_bytes", unreadable);
		ctl_json_bool(&f->json, "clean", worst < CTL_UNCLEAN && !unreadable);
		if (ctl_json_end(&f->json, stdout) < 0)
			return CTL_FAILED;
	}
	if (worst >= CTL_CORRUPTION) {
		ctl_note("%s: %s error%s, metadata is corrupt", operand, ctl_thousands(f->count[CTL_CORRUPTION]).s,
			 f->count[CTL_CORRUPTION] == 1 ? "" : "s");
		ctl_hint("'blkremap-ctl repair -n %s' shows what can be saved", operand);
		return CTL_CORRUPT;
	}
	if (unreadable)
		return ctl_fail_text(operand, 0, "the metadata is good, but %s cannot be read",
				     ctl_human(unreadable).s);
	if (worst == CTL_UNCLEAN)
		return CTL_NO;
	if (!f->print_json)
		ctl_say(stdout, "%s: clean", operand);
	return CTL_OK;
}

static int check_run(struct blkremap_ctx *ctx, struct ctl_findings *f, const char *operand, bool deep)
{
	char *spec = ctl_spec(operand);
	uint64_t unreadable = 0;
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
		code = deep_read(ctx, f, operand, &unreadable);
	if (code) {
		ctl_json_drop(&f->json);
		return code;
	}
	return check_end(f, operand, worst, unreadable);
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
	.text = "SPEC is a store by itself (snap.cow) or a whole stack (vol.blkr).  Each finding is a line.\n"
		"Exit status: 0 clean; 1 consistent, but not closed cleanly, or space is lost; 3 good metadata over\n"
		"data that cannot be read (--deep); 4 corrupt.  Never writes.",
	.example = "blkremap-ctl check snap.cow",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
