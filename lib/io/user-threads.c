/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for callers whose submit may block.  They sleep on a word that grows with each wake. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/error.h"
#include "io/user-internal.h"

enum { MAX_THREADS = 16 };

struct br_user_pool {
	struct br_user *user;
	const struct blkremap_env *env;
	_Atomic uint32_t word;
	_Atomic bool stop;
	unsigned n;
	pthread_t threads[MAX_THREADS];
};

static void *thread_main(void *arg)
{
	struct br_user_pool *p = arg;

	while (!atomic_load(&p->stop)) {
		uint32_t seen = atomic_load(&p->word);

		while (br_user_send_batch(p->user))
			;
		if (!atomic_load(&p->stop))
			p->env->ops->word_wait(p->env, &p->word, seen);
	}
	return NULL;
}

/* Signals are the application's: none is delivered to a thread of ours. */
static int start_one(struct br_user_pool *p)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&p->threads[p->n], NULL, thread_main, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return br_error(-EAGAIN, "no thread for a backend that blocks");
	p->n++;
	return 0;
}

int br_user_pool_start(struct br_user *u, unsigned threads)
{
	const struct blkremap_env *env = u->dev.ctx->env;
	struct br_user_pool *p = br_alloc(env, sizeof(*p));
	int r = 0;

	if (!p)
		return br_error(-ENOMEM, "no memory for threads");
	p->user = u;
	p->env = env;
	while (r == 0 && p->n < BR_MIN(threads, (unsigned)MAX_THREADS))
		r = start_one(p);
	if (r < 0) {
		br_user_pool_stop(p);
		return r;
	}
	u->pool = p;
	return 0;
}

void br_user_pool_wake(struct br_user_pool *p)
{
	atomic_fetch_add(&p->word, 1);
	p->env->ops->word_wake(p->env, &p->word);
}

void br_user_pool_stop(struct br_user_pool *p)
{
	if (!p)
		return;
	atomic_store(&p->stop, true);
	br_user_pool_wake(p);
	for (unsigned i = 0; i < p->n; i++)
		pthread_join(p->threads[i], NULL);
	br_free(p->env, p, sizeof(*p));
}
