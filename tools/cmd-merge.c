/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * While a merge is under way the origin alone is no image: some chunks are the snapshot's already, others are not.  The
 * store cannot say so, hence the stack file does, before the first copy: "merging = yes".  It goes when the merge is
 * complete.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "keep.h"
#include "layers.h"
#include "msg.h"
#include "progress.h"
#include "size.h"
#include "spec.h"
#include "stack.h"
#include "stop.h"
#include "verbs.h"

enum { OPT_RATE = CTL_ID_OWN, OPT_KEEP };
static const struct ctl_opt opts[] = {
	{ OPT_RATE, "rate", "SIZE/s", "copy at most so much a second" },
	{ OPT_KEEP, "keep", NULL, "leave in the store what it holds" },
	{ 'n', "dry-run", NULL, "say what would be merged, and merge nothing" },
	CTL_OPT_PROGRESS,
	{ 0 }
};

struct merge_args {
	uint64_t rate;
	bool dry, keep;
	const char *how;
};

struct merge {
	const char *operand, *stack; /* stack: NULL if the operand is no stack file */
	struct blkremap_ctx *ctx;
	struct blkremap_dev *snap;
	struct blkremap_job *job;
	struct blkremap_job_status status;
	struct ctl_progress progress;
	char origin[64]; /* its name */
	bool moved; /* something may have been copied into it */
	uint64_t chunks, chunk_bytes;
};

static int parse(struct ctl_args *args, struct merge_args *a)
{
	int id, r = 0;

	while (r == 0 && (id = ctl_args_next(args)) != 0) {
		if (id < 0)
			return id;
		if (id == OPT_RATE)
			r = ctl_args_rate(args, "--rate", &a->rate);
		else if (id == CTL_ID_PROGRESS)
			a->how = args->value;
		a->dry |= id == 'n';
		a->keep |= id == OPT_KEEP;
	}
	return r;
}

/* ---- what is to be merged ---- */

static void origin_look(struct merge *m)
{
	struct ctl_layers layers = { .ctx = m->ctx };
	uint64_t ids[4];
	uint32_t n = 0;

	snprintf(m->origin, sizeof(m->origin), "the origin");
	if (blkremap_dev_list(m->ctx, BLKREMAP_LIST_LOWER, m->snap, ids, 4, &n) < 0 || !n)
		return;
	snprintf(m->origin, sizeof(m->origin), "%s", ctl_layer(&layers, ids[0])->name);
}

static int snapshot_look(struct merge *m)
{
	struct blkremap_dev_info info = { .size = sizeof(info) };
	struct blkremap_status status = { .size = sizeof(status) };
	int r = blkremap_dev_info(m->snap, &info);

	if (r == 0)
		r = blkremap_status(m->snap, &status);
	if (r < 0)
		return ctl_fail(m->operand, r);
	if (strcmp(info.type, "snapshot") || !info.block_bytes)
		return ctl_fail_text(m->operand, 0, "is of type %s; only a snapshot can be merged", info.type);
	m->chunk_bytes = info.block_bytes;
	m->chunks = (status.store_used - status.store_meta) / info.block_bytes;
	origin_look(m);
	return CTL_OK;
}

static void plan_say(const struct merge *m, const char *verb)
{
	ctl_say(stdout, "%s %s chunk%s (%s) into %s", verb, ctl_thousands(m->chunks).s, m->chunks == 1 ? "" : "s",
		ctl_human(m->chunks * m->chunk_bytes).s, m->origin);
}

/* Until the job has ended.  A signal asks it once to stop, which commits what it has done. */
static int job_wait(struct merge *m)
{
	bool asked = false;
	int r = 0;

	do {
		r = blkremap_job_wait(m->job, INT64_C(100000000));
		if (r < 0 && r != -EINTR)
			return ctl_fail(m->operand, r);
		m->status = (struct blkremap_job_status){ .size = sizeof(m->status) };
		if (blkremap_job_status(m->job, &m->status) == 0)
			ctl_progress_show(&m->progress, m->status.done, m->status.total);
		if (ctl_stopped() && !asked && r <= 0) {
			asked = true;
			blkremap_job_cancel(m->job);
		}
	} while (r <= 0);
	ctl_progress_end(&m->progress);
	return CTL_OK;
}

/* ---- the mark ---- */

/* @ret_changed: the file did not say so before. */
static int stack_mark(const struct merge *m, bool *ret_changed)
{
	int r = m->stack ? ctl_stack_merging(m->stack, true) : 0;

	if (r < 0)
		return ctl_fail_text(m->stack, r, "cannot be marked as merging, so nothing was merged");
	*ret_changed = r > 0;
	return CTL_OK;
}

static int stack_unmark(const struct merge *m, const char *sentence, int code)
{
	int r = m->stack ? ctl_stack_merging(m->stack, false) : 0;

	return r < 0 ? ctl_fail_text(m->stack, r, "%s", sentence) : code;
}

/* With its base writable, which only a snapshot that is being merged has. */
static int snapshot_open(struct merge *m)
{
	char *spec = ctl_spec_merging(m->operand);
	int code;

	if (!spec)
		return ctl_fail_text(m->operand, -ENOMEM, "no memory");
	code = ctl_open_spec(m->ctx, spec, m->operand, 0, &m->snap);
	free(spec);
	return code;
}

/* ---- the merge ---- */

static int keep_do(struct merge *m, uint64_t rate)
{
	struct ctl_keep keep = { .ctx = m->ctx,
				 .snap = m->snap,
				 .stack = m->stack,
				 .origin = m->origin,
				 .progress = &m->progress,
				 .rate = { .bytes_per_s = rate } };
	int code = ctl_keep_run(&keep);

	ctl_progress_end(&m->progress);
	m->moved = keep.done > 0;
	m->status.done = keep.done;
	m->status.total = keep.total;
	m->status.state = keep.done == keep.total ? BLKREMAP_JOB_DONE : BLKREMAP_JOB_CANCELED;
	return code;
}

static int merge_do(struct merge *m, uint64_t rate)
{
	struct blkremap_job_opts jo = { .size = sizeof(jo), .bytes_per_s = rate };
	int code, r = blkremap_job_start(m->snap, BLKREMAP_JOB_MERGE, &jo, &m->job);

	if (r < 0)
		return ctl_fail(m->operand, r);
	m->moved = true;
	code = job_wait(m);
	blkremap_job_free(m->job);
	if (code)
		return code;
	if (m->status.state == BLKREMAP_JOB_FAILED)
		return ctl_fail_text(m->operand, m->status.result, "%s", m->status.text);
	return CTL_OK;
}

static bool is_complete(const struct merge *m)
{
	return m->status.state == BLKREMAP_JOB_DONE;
}

static int merge_end(struct merge *m, int code, uint64_t begin)
{
	code = ctl_close(NULL, m->snap, m->operand, code);
	m->snap = NULL;
	if (code)
		return code;
	if (!is_complete(m)) {
		ctl_note("%s: stopped at %s%%; run the same command again to continue", m->operand,
			 ctl_percent(m->status.done, m->status.total, 1).s);
		return CTL_FAILED;
	}
	code = stack_unmark(m, "the merge is complete, but its mark could not be removed", CTL_OK);
	if (code)
		return code;
	ctl_say(stdout, "merged %s chunk%s (%s) into %s in %s", ctl_thousands(m->chunks).s, m->chunks == 1 ? "" : "s",
		ctl_human(m->chunks * m->chunk_bytes).s, m->origin, ctl_duration(ctl_now_ns() - begin).s);
	return CTL_OK;
}

/* An origin protects its other snapshots; --keep goes past it, so there must be none between. */
static int keep_check(const struct merge *m)
{
	char *path = ctl_stack_file_path(m->stack, m->origin);
	bool is_file = path != NULL;

	free(path);
	if (is_file)
		return CTL_OK;
	return ctl_fail_text(m->operand, 0, "--keep is for a snapshot that stands on a section of type file, not on %s",
			     m->origin);
}

/* What is there, without touching it. */
static int merge_plan(struct merge *m, bool keep)
{
	int code = ctl_open(m->ctx, m->operand, BLKREMAP_RDONLY, &m->snap);

	if (!code)
		code = snapshot_look(m);
	if (!code && keep)
		code = keep_check(m);
	code = ctl_close(NULL, m->snap, m->operand, code);
	m->snap = NULL;
	return code;
}

static int merge_run(struct merge *m, const struct merge_args *a)
{
	uint64_t begin = ctl_now_ns();
	bool marked = false;
	int code = merge_plan(m, a->keep);

	if (code)
		return code;
	if (a->dry) {
		plan_say(m, "would merge");
		return CTL_OK;
	}
	if (!m->stack && m->chunks)
		ctl_note("%s: no stack file records this merge: until it is complete, %s alone is no image", m->operand,
			 m->origin);
	code = stack_mark(m, &marked);
	if (code)
		return code;
	code = snapshot_open(m);
	if (!code) {
		code = a->keep ? keep_do(m, a->rate) : merge_do(m, a->rate);
		code = merge_end(m, code, begin);
	}
	/* Nothing has been copied: what was not marked before need not be marked now. */
	if (code && marked && !m->moved)
		code = stack_unmark(m, "the mark could not be removed", code);
	return code;
}

static int run(struct ctl_args *args)
{
	struct merge m = { .operand = NULL };
	struct merge_args a = { .how = NULL };
	int code;

	if (parse(args, &a) < 0)
		return args->exit_code;
	m.operand = args->operands[0];
	m.stack = ctl_spec_stack(m.operand);
	if (a.keep && !m.stack)
		return ctl_usage("--keep wants a stack file, and '%s' is none", m.operand);
	if (ctl_progress_init(&m.progress, "merge", m.operand, a.how) < 0)
		return ctl_usage("--progress: '%s' is not auto, tty, none or fd:N", a.how);
	code = ctl_ctx_new(&m.ctx);
	if (code)
		return code;
	ctl_stop_catch();
	code = merge_run(&m, &a);
	code = ctl_close(m.ctx, m.snap, m.operand, code);
	/* A signal that came when all was done already has stopped nothing. */
	if (code || !is_complete(&m))
		ctl_stop_reraise();
	return code;
}

const struct ctl_verb ctl_verb_merge = {
	.name = "merge",
	.operands = "SPEC",
	.summary = "fold a snapshot back into its origin",
	.text = "Copies what differs from the store into the origin, newest first, and takes it out of the store:\n"
		"afterwards the origin is as the snapshot was, and the store is empty.  It may be stopped by ^C,\n"
		"SIGTERM, a crash or a power cut at any time: the same command goes on.  Until it is complete the\n"
		"origin by itself is no image, and the stack file says so ('merging = yes').  --keep copies, but\n"
		"takes nothing out of the store.",
	.example = "blkremap-ctl merge --rate 200M vol.blkr",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
