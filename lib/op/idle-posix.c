/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleeping in the real world: in the engine that has something in flight if it can watch a bell meanwhile, else in
 * poll(). In a context without threads the sleeper is also the one who runs the library's own queues, so it hears their
 * bell too.
 */
#include "base/env-posix.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

#include "op/ctx.h"
#include "op/queue.h"

enum { NOTHING_TO_HEAR_NS = 10000000 };	/* how long to sleep at most where no bell can end it */

/* Nanoseconds from now on, -1: no limit. */
static int64_t time_left(const struct blkremap_env *env, uint64_t deadline_ns)
{
	uint64_t now;

	if (deadline_ns == BR_NEVER)
		return -1;
	now = br_now(env);
	if (deadline_ns <= now)
		return 0;
	return deadline_ns - now > INT64_MAX ? -1 : (int64_t)(deadline_ns - now);
}

static struct br_source *waiting_source(const struct br_queue *q)
{
	struct br_source *s = q ? q->sources : NULL;

	while (s && !(s->in_flight && s->ops->wait))
		s = s->next;
	return s;
}

/* Which bells wake the owner of @q (NULL: nobody's). */
static nfds_t bells(const struct br_ctx *ctx, const struct br_queue *q, struct pollfd *fds)
{
	nfds_t n = 0;

	if (q)
		fds[n++] = (struct pollfd){ .fd = q->bell, .events = POLLIN };
	if (ctx && ctx->no_threads && !(q && q->bell == ctx->bell))
		fds[n++] = (struct pollfd){ .fd = ctx->bell, .events = POLLIN };
	return n;
}

void br_idle_posix(const struct blkremap_env *env, struct br_ctx *ctx, struct br_queue *queue, uint64_t deadline_ns)
{
	struct br_source *s = waiting_source(queue);
	int64_t ns = time_left(env, deadline_ns);
	struct timespec ts;
	struct pollfd fds[2];
	int before = errno;
	nfds_t n;

	if (s) {
		s->ops->wait(s, queue->bell, ns);
		return;
	}
	n = bells(ctx, queue, fds);
	if (n == 0 && (ns < 0 || ns > NOTHING_TO_HEAR_NS))
		ns = NOTHING_TO_HEAR_NS;
	ts = (struct timespec){ .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
	ppoll(fds, n, ns < 0 ? NULL : &ts, NULL);
	errno = before;
}
