/* SPDX-License-Identifier: BSD-3-Clause */
#include "op/worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/compiler.h"
#include "op/ctx.h"

enum { MAX_WORKERS = 64 };

struct br_workers {
	struct br_ctx *ctx;
	_Atomic bool stop;
	unsigned n;
	pthread_t threads[MAX_WORKERS];
};

/* One more than the clock says it may be: a sleep that ends just before its deadline would spin. */
static void sleep_until(struct br_ctx *ctx, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = ctx->bell, .events = POLLIN };
	struct timespec ts, *timeout = NULL;
	uint64_t now = br_now(ctx->env), ns;

	if (deadline_ns != BR_NEVER) {
		ns = deadline_ns > now ? deadline_ns - now : 0;
		ts = (struct timespec){ .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
		timeout = &ts;
	}
	ppoll(&p, 1, timeout, NULL);
}

static void *work(void *arg)
{
	struct br_workers *w = arg;
	struct br_ctx *ctx = w->ctx;

	while (!atomic_load(&w->stop)) {
		ctx->env->ops->bell_clear(ctx->env, ctx->bell);
		if (!br_help(ctx, true) && !atomic_load(&w->stop))
			sleep_until(ctx, br_help_deadline(ctx));
	}
	ctx->env->ops->bell_ring(ctx->env, ctx->bell);	/* for the next one */
	return NULL;
}

/* Workers take no signals: they are the application's. */
static int start_one(struct br_workers *w)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&w->threads[w->n], NULL, work, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		w->n++;
	return -r;
}

int br_workers_start(struct br_ctx *ctx, unsigned n, struct br_workers **ret)
{
	struct br_workers *w = br_alloc(ctx->env, sizeof(*w));
	int r = 0;

	if (!w)
		return -ENOMEM;
	w->ctx = ctx;
	while (r == 0 && w->n < BR_MIN(n, (unsigned)MAX_WORKERS))
		r = start_one(w);
	if (r < 0) {
		br_workers_stop(w);
		return r;
	}
	*ret = w;
	return 0;
}

void br_workers_stop(struct br_workers *w)
{
	if (!w)
		return;
	atomic_store(&w->stop, true);
	w->ctx->env->ops->bell_ring(w->ctx->env, w->ctx->bell);
	for (unsigned i = 0; i < w->n; i++)
		pthread_join(w->threads[i], NULL);
	br_free(w->ctx->env, w, sizeof(*w));
}
