/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job is begun by a task on the service queue, where its op lives, and is over when finish() has told so.  Its memory
 * stays until it is over and its handle has been freed, whichever comes last.
 */
#include "api/job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "target/family.h"

enum { JOB_FLAGS = BLKREMAP_JOB_SHRINK | BLKREMAP_JOB_PAUSED };

/* ---- life -------------------------------------------------------------------------------------------------------- */

static struct br_queue *service(struct blkremap_job *j)
{
	return &j->ctx->core.service;
}

static void release(struct blkremap_job *j)
{
	struct blkremap_ctx *ctx = j->ctx;

	br_merge_free(atomic_load(&j->merge));
	br_free(ctx->core.env, j, sizeof(*j));
	atomic_fetch_sub(&ctx->handles, 1);
}

/* Under core.lock. */
static void forget(struct blkremap_job *j)
{
	struct blkremap_job **at;

	if (!j->handle)
		return;
	for (at = &j->handle->jobs; *at && *at != j; at = &(*at)->next)
		;
	if (*at)
		*at = j->next;
}

/* What a device below has failed left no sentence in this thread, or an old one. */
static const char *sentence_of(int error, uint32_t code)
{
	if (!error)
		return "done";
	if (error == -EIO || error == -ECANCELED || !*br_error_text())
		return blkremap_code_text(code);
	return br_error_text();
}

/* The event goes out before anybody can see the job as over, so whoever waits for one finds the other. */
static void be_over(struct blkremap_job *j, int error)
{
	struct br_event e = { .type = BLKREMAP_EV_JOB_DONE, .dev_id = j->dev ? j->dev->id : 0, .job_id = j->id,
			      .result = error, .code = error == -ECANCELED ? BLKREMAP_CODE_CANCELED :
						       error ? BLKREMAP_CODE_MEDIUM : BLKREMAP_CODE_NONE };
	struct br_ctx *core = &j->ctx->core;
	bool freed;

	snprintf(j->text, sizeof(j->text), "%s", sentence_of(error, e.code));
	e.text = j->text;
	br_ctx_event(core, &e);
	br_ctx_lock(core);
	j->result = error;
	j->code = e.code;
	j->over = true;
	freed = j->freed;
	forget(j);
	br_ctx_unlock(core);
	if (freed)
		release(j);
}

/* On the service queue, as is the timer's task: so the task finds out what became of the job meanwhile. */
static void finish(struct blkremap_job *j, int error)
{
	if (j->timed && !br_timer_cancel(&j->ctx->core, &j->timer)) {
		j->ended = true;
		j->ended_error = error;
		return;
	}
	be_over(j, error);
}

/* It may wait for its turn still, or for requests. */
static void expire_gate(struct blkremap_job *j)
{
	atomic_store(&j->gate.expired, true);
	br_dev_drain_cancel(j->dev, &j->gate.op);
}

static void time_is_up(struct br_task *task)
{
	struct br_timer *t = br_container_of(task, struct br_timer, task);
	struct blkremap_job *j = br_container_of(t, struct blkremap_job, timer);

	j->timed = false;
	if (j->ended)
		be_over(j, j->ended_error);
	else if (j->kind == BLKREMAP_JOB_SUSPEND)
		expire_gate(j);
	else
		br_change_expire(&j->change);
}

static void arm(struct blkremap_job *j)
{
	struct br_ctx *core = &j->ctx->core;

	if (j->opts.timeout_ns <= 0)
		return;
	j->timed = true;
	j->timer.task.run = time_is_up;
	br_timer_arm(core, &j->timer, service(j), br_now(core->env) + (uint64_t)j->opts.timeout_ns);
}

static struct blkremap_job *new_job(struct blkremap_ctx *ctx, struct blkremap_dev *handle, uint32_t kind,
				    const struct blkremap_job_opts *opts)
{
	struct blkremap_job *j = br_alloc_aligned(ctx->core.env, sizeof(*j), BR_CACHE_LINE);

	if (!j)
		return NULL;
	j->ctx = ctx;
	j->handle = handle;
	j->dev = handle ? handle->dev : NULL;
	j->kind = kind;
	j->opts = *opts;
	j->started_ns = br_now(ctx->core.env);
	br_ctx_lock(&ctx->core);
	j->id = ctx->core.next_id++;
	j->paused = opts->flags & BLKREMAP_JOB_PAUSED;
	if (handle) {
		j->next = handle->jobs;
		handle->jobs = j;
		atomic_fetch_add(&handle->users, 1);
	}
	br_ctx_unlock(&ctx->core);
	atomic_fetch_add(&ctx->handles, 1);
	return j;
}

static void go(struct blkremap_job *j, void (*begin)(struct br_task *task))
{
	j->begin.run = begin;
	br_queue_post(service(j), &j->begin);
}

static struct blkremap_job *of_begin(struct br_task *task)
{
	return br_container_of(task, struct blkremap_job, begin);
}

/* ---- merge ------------------------------------------------------------------------------------------------------- */

static void merge_ended(void *arg, int error)
{
	finish(arg, error);
}

static int check_merge(struct br_snapshot *s)
{
	if (s->cfg.transient)
		return br_error(-EOPNOTSUPP, "%s: a transient snapshot cannot be merged", s->dev.name);
	if (atomic_load(&s->gone))
		return br_error(-ENOTRECOVERABLE, "%s: the snapshot is invalid", s->dev.name);
	if (s->cfg.rdonly || !(atomic_load(&s->fam->base->caps) & BR_CAP_WRITE))
		return br_error(-EROFS, "%s: the store or the base is open for reading only", s->dev.name);
	if (atomic_load(&s->dev.bytes) > atomic_load(&s->fam->base->bytes))
		return br_error(-EOPNOTSUPP, "%s is longer than its base, which could not take its tail", s->dev.name);
	if (atomic_load(&s->merge_broken))
		return br_error(-EIO, "%s: its metadata could not be written: open it again to go on", s->dev.name);
	return 0;
}

/* From the start of a job on, not only once its merge is at work: two must not begin. */
static int reserve_merge(struct br_snapshot *s)
{
	int r;

	if (atomic_exchange(&s->merge_runs, true))
		return br_error(-EALREADY, "%s is being merged", s->dev.name);
	r = br_dev_claim(s->fam->base, &s->fam->dev);
	if (r < 0)
		atomic_store(&s->merge_runs, false);
	return r;
}

/* The job of a merge that never came to work. */
static void give_up_merge(struct blkremap_job *j, int error)
{
	atomic_store(&j->snaps[0]->merge_runs, false);
	finish(j, error);
}

static void start_merge(struct blkremap_job *j)
{
	struct br_snapshot *s = br_dev_to_snapshot(j->dev);
	struct br_ctx *core = &j->ctx->core;
	struct br_merge_cfg cfg = { .on_end = merge_ended, .arg = j };
	struct br_merge *m;
	bool canceled;
	int r;

	br_ctx_lock(core);
	cfg.bytes_per_s = j->opts.bytes_per_s;
	cfg.iops = j->opts.iops;
	cfg.paused = j->paused;
	br_ctx_unlock(core);
	r = br_merge_start(s, &cfg, &m);
	if (r < 0) {
		give_up_merge(j, r);
		return;
	}
	atomic_store(&j->merge, m);
	br_ctx_lock(core);
	canceled = j->canceled;
	br_ctx_unlock(core);
	if (canceled)
		br_merge_cancel(m);
}

/* ---- drop and take ----------------------------------------------------------------------------------------------- */

static void change_ended(struct br_change *c)
{
	struct blkremap_job *j = c->priv;
	int r = c->error;

	br_change_done(c);
	if (r == 0 && j->kind == BLKREMAP_JOB_DROP)
		r = br_snapshot_after_drop(j->snaps[0]);
	if (r == 0 && j->kind == BLKREMAP_JOB_TAKE)
		br_snapshot_tell_added(j->snaps, j->change.n);
	if (j->kind != BLKREMAP_JOB_MERGE)
		finish(j, r);
	else if (r == 0)
		start_merge(j);
	else
		give_up_merge(j, r);
}

static void begin_change(struct br_task *task)
{
	struct blkremap_job *j = of_begin(task);
	int r;

	j->change.on_end = change_ended;
	j->change.priv = j;
	j->change.snaps = j->snaps;
	arm(j);
	r = br_change_begin(&j->change, service(j));
	if (r < 0 && j->kind == BLKREMAP_JOB_MERGE)
		give_up_merge(j, r);
	else if (r < 0)
		finish(j, r);
}

/* A merge first makes the faces of origin and snapshot one. */
static int start_change(struct blkremap_job *j, enum br_change_kind kind)
{
	struct br_snapshot *s = br_dev_to_snapshot(j->dev);
	int r = kind == BR_CHANGE_DROP ? br_snapshot_check_drop(s) : reserve_merge(s);

	if (r < 0)
		return r;
	j->snaps[0] = s;
	j->change.kind = kind;
	j->change.n = 1;
	go(j, begin_change);
	return 0;
}

int br_job_take(struct blkremap_ctx *ctx, struct br_snapshot **snaps, uint32_t n, int64_t timeout_ns,
		struct blkremap_job **ret_job)
{
	struct blkremap_job_opts opts = { .timeout_ns = timeout_ns < 0 ? 0 : BR_MAX(timeout_ns, INT64_C(1)) };
	struct blkremap_job *j = new_job(ctx, NULL, BLKREMAP_JOB_TAKE, &opts);

	if (!j)
		return br_error(-ENOMEM, "no memory for a job");
	memcpy(j->snaps, snaps, n * sizeof(struct br_snapshot *));
	j->change.kind = BR_CHANGE_TAKE;
	j->change.n = n;
	*ret_job = j;
	go(j, begin_change);
	return 0;
}

/* ---- suspend, resume, commit, resize ----------------------------------------------------------------------------- */

static void gate_ended(struct br_gate *g, int error)
{
	finish(g->priv, error);
}

static void begin_gate(struct br_task *task)
{
	struct blkremap_job *j = of_begin(task);

	j->gate = (struct br_gate){ .dev = j->dev, .close = j->kind == BLKREMAP_JOB_SUSPEND, .on_end = gate_ended,
				    .priv = j };
	br_ctx_lock(&j->ctx->core);
	atomic_store(&j->gate.expired, j->canceled);
	br_ctx_unlock(&j->ctx->core);
	if (j->gate.close)
		arm(j);
	br_op_start(&j->gate.op, &br_gate_class, service(j));
}

/*
 *	lock(control), open a channel, unlock
 *	flush
 *	lock(control), close it, unlock
 */
enum { S_LOCK, S_OPEN, S_FLUSH, S_LOCK_AGAIN, S_CLOSE };

static struct blkremap_job *of_op(struct br_op *op)
{
	return br_container_of(op, struct blkremap_job, op);
}

static int step_lock(struct br_op *op)
{
	br_control_lock(op->queue->ctx, &of_op(op)->control, op);
	return br_op_await(op, S_OPEN);
}

static int step_open(struct br_op *op)
{
	struct blkremap_job *j = of_op(op);
	int r = br_chan_get(op->queue, j->dev, &j->chan);

	br_control_unlock(op->queue->ctx);
	return r < 0 ? br_op_fail(op, r) : S_FLUSH;
}

static int step_flush(struct br_op *op)
{
	struct blkremap_job *j = of_op(op);

	j->req = (struct br_req){ .op = BR_FLUSH };
	br_op_submit(op, j->chan, &j->req);
	return br_op_await(op, S_LOCK_AGAIN);
}

static int step_lock_again(struct br_op *op)
{
	br_control_lock(op->queue->ctx, &of_op(op)->control, op);
	return br_op_await(op, S_CLOSE);
}

static int step_close(struct br_op *op)
{
	br_chan_put(of_op(op)->chan);
	br_control_unlock(op->queue->ctx);
	return BR_OP_END;
}

static void commit_ended(struct br_op *op, int error)
{
	finish(of_op(op), error);
}

static const struct br_op_step commit_steps[] = {
	[S_LOCK] = { "lock", step_lock, BR_OP_END },
	[S_OPEN] = { "open", step_open, BR_OP_END },
	[S_FLUSH] = { "flush", step_flush, S_LOCK_AGAIN },
	[S_LOCK_AGAIN] = { "lock-again", step_lock_again, S_CLOSE },
	[S_CLOSE] = { "close", step_close, BR_OP_END },
};

static const struct br_op_class commit_class = { "commit", commit_ended, commit_steps };

static void begin_commit(struct br_task *task)
{
	struct blkremap_job *j = of_begin(task);

	br_op_start(&j->op, &commit_class, service(j));
}

static void begin_resize(struct br_task *task)
{
	struct blkremap_job *j = of_begin(task);

	finish(j, br_dev_resize(j->dev, j->opts.new_bytes));
}

static int check_resize(struct blkremap_job *j)
{
	uint64_t now = atomic_load(&j->dev->bytes);

	if (!j->opts.new_bytes)
		return br_error(-EINVAL, "resize: no new size");
	if (j->opts.new_bytes < now && !(j->opts.flags & BLKREMAP_JOB_SHRINK))
		return br_error(-EINVAL, "resize: %" PRIu64 " bytes are less than there are, and SHRINK is not set",
				j->opts.new_bytes);
	return 0;
}

/* ---- the calls --------------------------------------------------------------------------------------------------- */

static int start(struct blkremap_job *j)
{
	int r;

	switch (j->kind) {
	case BLKREMAP_JOB_MERGE:
		return start_change(j, BR_CHANGE_MERGE);
	case BLKREMAP_JOB_DROP:
		return start_change(j, BR_CHANGE_DROP);
	case BLKREMAP_JOB_COMMIT:
		go(j, begin_commit);
		return 0;
	case BLKREMAP_JOB_RESIZE:
		r = check_resize(j);
		if (r == 0)
			go(j, begin_resize);
		return r;
	default:
		go(j, begin_gate);
		return 0;
	}
}

static int check_kind(struct blkremap_dev *dev, uint32_t kind)
{
	if (kind == BLKREMAP_JOB_MERGE || kind == BLKREMAP_JOB_DROP) {
		if (!br_dev_is_snapshot(dev->dev))
			return br_error(-EOPNOTSUPP, "%s is not a snapshot", dev->dev->name);
		return kind == BLKREMAP_JOB_MERGE ? check_merge(br_dev_to_snapshot(dev->dev)) : 0;
	}
	if (kind != BLKREMAP_JOB_COMMIT && kind != BLKREMAP_JOB_SUSPEND && kind != BLKREMAP_JOB_RESUME &&
	    kind != BLKREMAP_JOB_RESIZE)
		return br_error(-EOPNOTSUPP, "there are no jobs of kind %u that could be started", kind);
	return 0;
}

/* An option that a kind has no use for is refused, not ignored. */
static int check_opts(uint32_t kind, const struct blkremap_job_opts *o)
{
	bool merge = kind == BLKREMAP_JOB_MERGE, waits = kind == BLKREMAP_JOB_SUSPEND || kind == BLKREMAP_JOB_DROP;

	if (o->offset || o->length || o->error_budget || o->suspend_flags)
		return br_error(-EINVAL, "job: offset, length, error_budget and suspend_flags are 0 in this version");
	if (!merge && (o->bytes_per_s || o->iops || o->flags & BLKREMAP_JOB_PAUSED))
		return br_error(-EINVAL, "job: only a merge has a rate, or can start paused");
	if (kind != BLKREMAP_JOB_RESIZE && (o->new_bytes || o->flags & BLKREMAP_JOB_SHRINK))
		return br_error(-EINVAL, "job: only a resize has a new size");
	if (o->timeout_ns < 0 || (o->timeout_ns && !waits))
		return br_error(-EINVAL, "job: a time-out below 0, or of a kind that has none");
	return 0;
}

int blkremap_job_start(struct blkremap_dev *dev, uint32_t kind, const struct blkremap_job_opts *opts,
		       struct blkremap_job **ret_job)
{
	struct blkremap_job_opts o;
	struct blkremap_job *j;
	int r = br_opts_read(&o, sizeof(o), opts);

	if (r < 0)
		return r;
	if (!dev || !ret_job || o.flags & ~(uint32_t)JOB_FLAGS || o.reserved32)
		return br_error(-EINVAL, "job: no device, no place for the handle, or unknown flags");
	r = check_opts(kind, &o);
	if (r < 0)
		return r;
	r = check_kind(dev, kind);
	if (r < 0)
		return r;
	j = new_job(dev->ctx, dev, kind, &o);
	if (!j)
		return br_error(-ENOMEM, "no memory for a job");
	r = start(j);
	if (r == 0) {
		*ret_job = j;
		return 0;
	}
	br_ctx_lock(&dev->ctx->core);
	forget(j);
	br_ctx_unlock(&dev->ctx->core);
	atomic_fetch_sub(&dev->users, 1);
	release(j);
	return r;
}

static bool is_over(void *arg)
{
	struct blkremap_job *j = arg;
	bool over;

	br_ctx_lock(&j->ctx->core);
	over = j->over;
	br_ctx_unlock(&j->ctx->core);
	return over;
}

int blkremap_job_wait(struct blkremap_job *job, int64_t timeout_ns)
{
	struct br_ctx *core;
	uint64_t deadline;

	if (!job)
		return br_error(-EINVAL, "no job");
	core = &job->ctx->core;
	deadline = timeout_ns < 0 ? BR_NEVER : br_now(core->env) + (uint64_t)timeout_ns;
	return br_block(core, NULL, is_over, job, deadline);
}

static uint32_t state_of(const struct blkremap_job *j)
{
	if (!j->over)
		return j->canceled ? BLKREMAP_JOB_STOPPING : j->paused ? BLKREMAP_JOB_IS_PAUSED : BLKREMAP_JOB_RUNNING;
	if (j->result == -ECANCELED)
		return BLKREMAP_JOB_CANCELED;
	return j->result < 0 ? BLKREMAP_JOB_FAILED : BLKREMAP_JOB_DONE;
}

static void fill_progress(struct blkremap_job *j, struct blkremap_job_status *s)
{
	uint64_t ns = br_now(j->ctx->core.env) - j->started_ns;
	struct br_merge *m = atomic_load(&j->merge);

	s->eta_ns = -1;
	if (!m)
		return;
	s->done = br_merge_done_bytes(m);
	s->total = br_merge_total_bytes(m);
	if (ns)
		s->bytes_per_s = (uint64_t)((double)s->done * 1e9 / (double)ns);
	if (s->bytes_per_s)
		s->eta_ns = (int64_t)((double)(s->total - BR_MIN(s->done, s->total)) * 1e9 / (double)s->bytes_per_s);
}

int blkremap_job_status(struct blkremap_job *job, struct blkremap_job_status *status)
{
	struct blkremap_job_status s = { 0 };

	if (!job || !status)
		return br_error(-EINVAL, "job: no job, or no place for its status");
	fill_progress(job, &s);
	br_ctx_lock(&job->ctx->core);
	s.state = state_of(job);
	s.result = job->result;
	s.code = job->code;
	memcpy(s.text, job->text, sizeof(s.text));
	br_ctx_unlock(&job->ctx->core);
	s.job_id = job->id;
	s.dev_id = job->dev ? job->dev->id : 0;
	s.kind = job->kind;
	s.errors = s.result < 0 && s.result != -ECANCELED;
	return br_result_write(status, &s, sizeof(s));
}

int blkremap_job_set(struct blkremap_job *job, const struct blkremap_job_opts *opts)
{
	struct blkremap_job_opts o;
	int r = br_opts_read(&o, sizeof(o), opts);

	if (r < 0)
		return r;
	if (!job || job->kind != BLKREMAP_JOB_MERGE)
		return br_error(-EOPNOTSUPP, "job: this kind has no rate");
	br_ctx_lock(&job->ctx->core);
	job->opts.bytes_per_s = o.bytes_per_s;
	job->opts.iops = o.iops;
	br_ctx_unlock(&job->ctx->core);
	if (atomic_load(&job->merge))
		br_merge_set_rate(atomic_load(&job->merge), o.bytes_per_s, o.iops);
	return 0;
}

static int set_paused(struct blkremap_job *job, bool on)
{
	if (!job || job->kind != BLKREMAP_JOB_MERGE)
		return br_error(-EOPNOTSUPP, "job: this kind cannot pause");
	br_ctx_lock(&job->ctx->core);
	job->paused = on;
	br_ctx_unlock(&job->ctx->core);
	if (atomic_load(&job->merge))
		br_merge_pause(atomic_load(&job->merge), on);
	return 0;
}

int blkremap_job_pause(struct blkremap_job *job)
{
	return set_paused(job, true);
}

int blkremap_job_resume(struct blkremap_job *job)
{
	return set_paused(job, false);
}

int blkremap_job_cancel(struct blkremap_job *job)
{
	bool over;

	if (!job)
		return br_error(-EINVAL, "no job");
	br_ctx_lock(&job->ctx->core);
	job->canceled = true;
	over = job->over;
	br_ctx_unlock(&job->ctx->core);
	if (!over && atomic_load(&job->merge))
		br_merge_cancel(atomic_load(&job->merge));
	if (!over && job->kind == BLKREMAP_JOB_SUSPEND)
		expire_gate(job);
	return 0;
}

void blkremap_job_free(struct blkremap_job *job)
{
	bool over;

	if (!job)
		return;
	if (job->handle)
		atomic_fetch_sub(&job->handle->users, 1);
	br_ctx_lock(&job->ctx->core);
	job->freed = true;
	over = job->over;
	br_ctx_unlock(&job->ctx->core);
	if (over)
		release(job);
}

/* ---- when the device closes -------------------------------------------------------------------------------------- */

static bool none_runs(void *arg)
{
	struct blkremap_dev *dev = arg;
	bool none;

	br_ctx_lock(&dev->ctx->core);
	none = !dev->jobs;
	br_ctx_unlock(&dev->ctx->core);
	return none;
}

/* At most one of them is a merge; the others end by themselves. */
void br_jobs_stop(struct blkremap_dev *dev)
{
	struct br_ctx *core = &dev->ctx->core;
	struct blkremap_job *j;
	struct br_merge *merge = NULL;

	br_ctx_lock(core);
	for (j = dev->jobs; j; j = j->next) {
		j->canceled = true;
		if (atomic_load(&j->merge))
			merge = atomic_load(&j->merge);
	}
	br_ctx_unlock(core);
	if (merge)
		br_merge_cancel(merge);
	br_block(core, NULL, none_runs, dev, BR_NEVER);
}
