/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Engines "threads" and "sync": requests done by blocking calls.
 *
 * A context has one pool, made with its first source and joined with its last.  Threads are made when there is work
 * that no idle one can take, up to MAX_THREADS.  Jobs begin in the order of their submission; each comes home to its
 * request's queue by br_queue_post() and is completed there.
 *
 * "sync" is the same source without a pool: kick() does the work in place.
 *
 * pools_lock protects the list of pools and their reference counts; pool->lock the pool's work and thread count.
 * Neither is held while the other is taken, nor over a blocking call.
 */
#include "io/file-internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/compiler.h"
#include "base/error.h"

enum { MAX_THREADS = 6, JOBS = 64 };

struct pool {
	struct br_list link;		/* under pools_lock */
	uint32_t refs;			/* sources, under pools_lock */
	const struct br_ctx *ctx;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct br_task_list work;	/* struct br_file_io.task */
	uint32_t idle, waiting;		/* threads that sleep; jobs in work */
	uint32_t n;
	bool stop;
	pthread_t threads[MAX_THREADS];
};

struct jobs {
	struct br_source source;
	struct br_lane lane;
	struct br_task_list batch;	/* struct br_file_io.task, gathered until the next kick */
	struct pool *pool;		/* NULL: sync */
};

static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static struct br_list pools = { &pools, &pools };

static struct jobs *to_jobs(struct br_source *s)
{
	return br_container_of(s, struct jobs, source);
}

static struct br_file_io *to_io(struct br_task *t)
{
	return br_container_of(t, struct br_file_io, task);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* Returns NULL when the pool ends and nothing is left to do. */
static struct br_file_io *next_job(struct pool *p)
{
	struct br_task *t;

	pthread_mutex_lock(&p->lock);
	while (!(t = br_task_list_pop(&p->work)) && !p->stop) {
		p->idle++;
		pthread_cond_wait(&p->more, &p->lock);
		p->idle--;
	}
	if (t)
		p->waiting--;
	pthread_mutex_unlock(&p->lock);
	return t ? to_io(t) : NULL;
}

static void *thread_main(void *arg)
{
	struct pool *p = arg;
	struct br_file_io *io;

	prctl(PR_SET_NAME, "blkremap-io");
	while ((io = next_job(p))) {
		io->result = br_file_perform(io);
		br_queue_post(io->source->queue, &io->task);
	}
	return NULL;
}

/* Under pool->lock.  Signals are the application's.  False: no thread can be had now. */
static bool add_thread(struct pool *p)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&p->threads[p->n], NULL, thread_main, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		p->n++;
	return r == 0;
}

/* False: there is no thread at all and none can be made; the caller keeps the job. */
static bool push_job(struct pool *p, struct br_file_io *io)
{
	bool taken = true;

	pthread_mutex_lock(&p->lock);
	if (p->waiting >= p->idle && p->n < MAX_THREADS)
		taken = add_thread(p) || p->n;
	if (taken) {
		br_task_list_add(&p->work, &io->task);
		p->waiting++;
		pthread_cond_signal(&p->more);
	}
	pthread_mutex_unlock(&p->lock);
	return taken;
}

/* ---- pools ------------------------------------------------------------------------------------------------------- */

/* Under pools_lock. */
static struct pool *find_pool(const struct br_ctx *ctx)
{
	struct br_list *l;

	br_list_for_each(l, &pools)
		if (br_container_of(l, struct pool, link)->ctx == ctx)
			return br_container_of(l, struct pool, link);
	return NULL;
}

/* Under pools_lock.  No thread is made before there is work. */
static struct pool *new_pool(const struct br_ctx *ctx)
{
	struct pool *p = br_alloc(ctx->env, sizeof(*p));

	if (!p)
		return NULL;
	p->ctx = ctx;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	br_task_list_init(&p->work);
	br_list_add_tail(&pools, &p->link);
	return p;
}

static struct pool *get_pool(const struct br_ctx *ctx)
{
	struct pool *p;

	pthread_mutex_lock(&pools_lock);
	p = find_pool(ctx);
	if (!p)
		p = new_pool(ctx);
	if (p)
		p->refs++;
	pthread_mutex_unlock(&pools_lock);
	return p;
}

/* Nobody can push any more, and what was pushed has come home: its sources are closed. */
static void free_pool(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (uint32_t i = 0; i < p->n; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	br_free(p->ctx->env, p, sizeof(*p));
}

static void put_pool(struct pool *p)
{
	bool last;

	pthread_mutex_lock(&pools_lock);
	last = --p->refs == 0;
	if (last)
		br_list_del(&p->link);
	pthread_mutex_unlock(&pools_lock);
	if (last)
		free_pool(p);
}

/* ---- the source -------------------------------------------------------------------------------------------------- */

/* Complete it, and let those that waited for its place into the next batch. */
static void finish(struct jobs *j, struct br_file_io *io)
{
	br_lane_finish(&j->lane, io);
	while ((io = br_lane_next(&j->lane, &j->source)))
		br_task_list_add(&j->batch, &io->task);
}

/* In the queue again.  Whoever waited for the place goes out with the kick that follows each round. */
static void come_home(struct br_task *t)
{
	struct br_file_io *io = to_io(t);

	finish(to_jobs(io->source), io);
}

/* Cached data needs no thread.  A pool that has not got a single thread leaves the work to us. */
static void dispatch(struct jobs *j, struct br_file_io *io)
{
	if (j->pool) {
		if (br_file_perform_nowait(io)) {
			finish(j, io);
			return;
		}
		io->task.run = come_home;
		if (push_job(j->pool, io))
			return;
	}
	io->result = br_file_perform(io);
	finish(j, io);
}

static void jobs_kick(struct br_source *s)
{
	struct jobs *j = to_jobs(s);
	struct br_task *t;

	while ((t = br_task_list_pop(&j->batch)))
		dispatch(j, to_io(t));
}

/* Completions come through the queue's inbox, or have come in kick(). */
static int jobs_poll(struct br_source *s)
{
	(void)s;
	return 0;
}

/* The last source of a context joins the pool's threads. */
static void jobs_close(struct br_source *s)
{
	struct jobs *j = to_jobs(s);

	if (j->pool)
		put_pool(j->pool);
	br_lane_done(&j->lane);
	br_free(s->queue->ctx->env, j, sizeof(*j));
}

static const struct br_source_ops threads_ops = {
	.name = "threads",
	.kick = jobs_kick,
	.poll = jobs_poll,
	.close = jobs_close,
};

static const struct br_source_ops sync_ops = {
	.name = "sync",
	.kick = jobs_kick,
	.poll = jobs_poll,
	.close = jobs_close,
};

static int new_jobs(struct br_queue *q, const struct br_source_ops *ops, struct br_source **ret)
{
	struct br_ctx *ctx = q->ctx;
	struct jobs *j = br_alloc(ctx->env, sizeof(*j));

	if (!j)
		return -ENOMEM;
	if (br_lane_init(&j->lane, ctx->env, JOBS) < 0)
		goto out_free;
	if (ops == &threads_ops && !(j->pool = get_pool(ctx)))
		goto out_lane;
	br_task_list_init(&j->batch);
	j->source.ops = ops;
	j->source.engine = ops;
	br_queue_add_source(q, &j->source);
	*ret = &j->source;
	return 0;
out_lane:
	br_lane_done(&j->lane);
out_free:
	br_free(ctx->env, j, sizeof(*j));
	return -ENOMEM;
}

int br_jobs_get(struct br_queue *q, bool sync, struct br_source **ret)
{
	const struct br_source_ops *ops = sync ? &sync_ops : &threads_ops;
	struct br_source *s = br_queue_source(q, ops);

	if (!s)
		return new_jobs(q, ops, ret);
	*ret = s;
	return 0;
}

void br_jobs_submit(struct br_source *s, struct br_req *req, enum br_file_stage stage)
{
	struct jobs *j = to_jobs(s);
	struct br_file_io *io = br_lane_take(&j->lane, s, req, stage);

	if (io)
		br_task_list_add(&j->batch, &io->task);
}
