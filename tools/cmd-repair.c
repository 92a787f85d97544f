/* SPDX-License-Identifier: BSD-3-Clause */
/* The damaged store is only read.  The new one gets its name when it is complete and durable. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "finding.h"
#include "msg.h"
#include "newfile.h"
#include "size.h"
#include "spec.h"
#include "verbs.h"

static const struct ctl_opt opts[] = {
	{ 'o', "output", "NEW", "the file that gets what can be saved; it is made" },
	{ 'n', "dry-run", NULL, "only tell what would be saved and what would be lost" },
	{ 'f', "force", NULL, "replace NEW if it is there" },
	CTL_OPT_JSON,
	{ 0 }
};

struct repair_args {
	const char *output;
	bool dry, force;
	struct ctl_findings f;
};

static int repair_end(struct repair_args *a, const char *operand, int worst)
{
	struct ctl_findings *f = &a->f;
	int code = worst >= CTL_CORRUPTION ? CTL_NO : CTL_OK;

	if (f->print_json) {
		ctl_json_close(&f->json);
		ctl_json_bool(&f->json, "complete", code == CTL_OK);
		return ctl_json_end(&f->json, stdout) < 0 ? CTL_FAILED : code;
	}
	ctl_say(stdout, "%s -> %s: %s", operand, a->dry ? "(nothing written)" : a->output,
		code == CTL_OK ? "all kept" : "something is lost, as said above");
	return code;
}

static int store_repair(struct blkremap_ctx *ctx, struct repair_args *a, const char *operand, const char *to)
{
	char *spec = ctl_spec(operand);
	int worst;

	if (!spec)
		return ctl_fail_text(operand, -ENOMEM, "no memory");
	if (a->f.print_json) {
		ctl_json_begin(&a->f.json, "repair");
		ctl_json_string(&a->f.json, "spec", operand);
		ctl_json_array(&a->f.json, "findings");
	}
	worst = blkremap_repair(ctx, spec, to, 0, ctl_finding_take, &a->f);
	free(spec);
	if (worst < 0) {
		ctl_json_drop(&a->f.json);
		return ctl_fail(operand, worst);
	}
	return repair_end(a, operand, worst);
}

/* The new store is as large as the old one: whatever it held has room. */
static int new_file_make(struct blkremap_ctx *ctx, const char *operand, struct ctl_newfile *nf)
{
	struct blkremap_dev *dev = NULL;
	uint64_t bytes;
	int fd, r, code = ctl_open(ctx, operand, BLKREMAP_RDONLY, &dev);

	if (code)
		return code;
	bytes = blkremap_dev_size(dev);
	code = ctl_close(NULL, dev, operand, CTL_OK);
	if (code)
		return code;
	r = ctl_newfile_create(nf, &fd);
	if (r == 0 && ftruncate(fd, (off_t)bytes) < 0)
		r = -errno;
	return r < 0 ? ctl_fail_text(nf->path, r, "cannot be made") : CTL_OK;
}

static int repair_to(struct blkremap_ctx *ctx, struct repair_args *a, const char *operand)
{
	struct ctl_newfile nf;
	int r = ctl_newfile_begin(&nf, a->output, a->force), code = CTL_OK;

	if (r < 0)
		code = ctl_fail_text(a->output, r, "cannot be made");
	if (r == -EEXIST)
		ctl_hint("-f replaces it");
	if (!code)
		code = new_file_make(ctx, operand, &nf);
	if (!code)
		code = store_repair(ctx, a, operand, nf.temp);
	if (code == CTL_OK || code == CTL_NO) {
		r = ctl_newfile_commit(&nf);
		if (r < 0)
			code = ctl_fail_text(a->output, r, "cannot be completed");
	}
	ctl_newfile_end(&nf);
	return code;
}

static int run(struct ctl_args *args)
{
	struct repair_args a = { .output = NULL };
	struct blkremap_ctx *ctx = NULL;
	int id, code;

	while ((id = ctl_args_next(args)) > 0) {
		if (id == 'o')
			a.output = args->value;
		a.dry |= id == 'n';
		a.force |= id == 'f';
		a.f.print_json |= id == CTL_ID_JSON;
	}
	if (id < 0)
		return args->exit_code;
	if (!a.dry && (!a.output || !*a.output))
		return ctl_usage("-o NEW is missing: a repair goes into a new file");
	a.f.operand = args->operands[0];
	if (!a.dry && (!ctl_spec_is_path(a.f.operand) || ctl_spec_stack(a.f.operand)))
		return ctl_usage("'%s' is a whole stack: name the store itself, a file or a block device", a.f.operand);
	code = ctl_ctx_new(&ctx);
	if (!code && a.dry)
		code = store_repair(ctx, &a, a.f.operand, NULL);
	else if (!code)
		code = repair_to(ctx, &a, a.f.operand);
	return ctl_close(ctx, NULL, NULL, code);
}

const struct ctl_verb ctl_verb_repair = {
	.name = "repair",
	.operands = "STORE",
	.summary = "save what can be saved of a damaged or invalidated store",
	.text = "Makes a new store of what is good in the old one, and names each loss: those places read the\n"
		"origin again, as it is now.  A store that was invalidated because it was full lacks what changed\n"
		"afterwards; nobody can tell what that was.  Exit status: 0 all kept; 1 something lost; 4 nothing\n"
		"can be saved.",
	.example = "blkremap-ctl repair snap.cow -o saved.cow",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
