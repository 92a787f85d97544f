/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The owner word and the inbox order each other with seq_cst: a poster pushes, then reads the owner word; an owner
 * writes the owner word (WAITING or IDLE), then looks at the inbox.  One of them sees the other, so no task is left
 * behind.
 */
#include "op/queue.h"

#include <errno.h>
#include <string.h>

#include "op/ctx.h"

int br_queue_init(struct br_queue *q, struct br_ctx *ctx, bool service)
{
	const struct blkremap_env *env = ctx->env;

	memset(q, 0, sizeof(*q));
	q->ctx = ctx;
	q->service = service;
	q->depth = service ? 128 : 1;
	q->bell = service ? ctx->bell : env->ops->bell_open(env);
	if (q->bell < 0)
		return q->bell;
	atomic_init(&q->owner, BR_QUEUE_IDLE);
	atomic_init(&q->notify, service);
	br_task_list_init(&q->ready);
	br_list_init(&q->chans);
	br_ctx_lock(ctx);
	br_list_add_tail(&ctx->queues, &q->ctx_link);
	br_ctx_unlock(ctx);
	return 0;
}

static void wait_for_helpers(struct br_queue *q)
{
	struct br_ctx *ctx = q->ctx;
	uint32_t pins;

	do {
		br_ctx_lock(ctx);
		pins = q->pins;
		br_ctx_unlock(ctx);
	} while (pins);
	while (atomic_load_explicit(&q->posters, memory_order_acquire))
		;
}

void br_queue_done(struct br_queue *q)
{
	struct br_source *s;

	br_ctx_lock(q->ctx);
	br_list_del(&q->ctx_link);
	br_ctx_unlock(q->ctx);
	wait_for_helpers(q);
	while ((s = q->sources)) {
		q->sources = s->next;
		s->ops->close(s);
	}
	if (!q->service)
		q->ctx->env->ops->bell_close(q->ctx->env, q->bell);
}

/* ---- ownership --------------------------------------------------------------------------------------------------- */

int br_queue_enter(struct br_queue *q)
{
	const struct blkremap_env *env = q->ctx->env;
	uint32_t seen = BR_QUEUE_IDLE, epoch;

	while (!atomic_compare_exchange_strong(&q->owner, &seen, BR_QUEUE_BUSY)) {
		if (seen != BR_QUEUE_HELPED)
			return -EBUSY;
		env->ops->idle(env, q->ctx, NULL, br_now(env) + 10000);
		seen = BR_QUEUE_IDLE;
	}
	/* Nobody else is inside, so nobody else writes it. */
	epoch = atomic_load_explicit(&q->epoch, memory_order_relaxed);
	atomic_store_explicit(&q->epoch, epoch + 1, memory_order_relaxed);
	return 0;
}

bool br_queue_try_help(struct br_queue *q)
{
	uint32_t seen = BR_QUEUE_IDLE;

	return atomic_compare_exchange_strong(&q->owner, &seen, BR_QUEUE_HELPED);
}

void br_queue_leave(struct br_queue *q)
{
	const struct blkremap_env *env = q->ctx->env;
	bool watched = atomic_load_explicit(&q->notify, memory_order_relaxed);
	bool more = q->ready.head || q->unreaped;
	int bell = q->bell;

	atomic_store(&q->owner, BR_QUEUE_IDLE);
	if (watched && (more || atomic_load(&q->inbox)))
		env->ops->bell_ring(env, bell);
}

/* ---- the inbox --------------------------------------------------------------------------------------------------- */

static bool somebody_must_hear(struct br_queue *q)
{
	uint32_t owner = atomic_load(&q->owner);

	return owner == BR_QUEUE_WAITING || (owner == BR_QUEUE_IDLE && atomic_load(&q->notify));
}

void br_queue_post(struct br_queue *q, struct br_task *task)
{
	const struct blkremap_env *env = q->ctx->env;
	struct br_task *head;

	atomic_fetch_add_explicit(&q->posters, 1, memory_order_relaxed);
	head = atomic_load_explicit(&q->inbox, memory_order_relaxed);
	do {
		task->next = head;
	} while (!atomic_compare_exchange_weak(&q->inbox, &head, task));
	if (!head && somebody_must_hear(q))
		env->ops->bell_ring(env, q->bell);
	atomic_fetch_sub_explicit(&q->posters, 1, memory_order_release);
}

static void empty_inbox(struct br_queue *q)
{
	struct br_task *t, *next, *first = NULL;

	if (!atomic_load_explicit(&q->inbox, memory_order_relaxed))
		return;
	for (t = atomic_exchange(&q->inbox, NULL); t; t = next) {
		next = t->next;
		t->next = first;
		first = t;
	}
	for (t = first; t; t = next) {
		next = t->next;
		br_task_list_add(&q->ready, t);
	}
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

void br_queue_ready(struct br_queue *q, struct br_task *task)
{
	br_task_list_add(&q->ready, task);
}

bool br_queue_has_work(const struct br_queue *q)
{
	return q->ready.head || atomic_load(&q->inbox);
}

void br_queue_kick(struct br_queue *q)
{
	for (struct br_source *s = q->sources; s; s = s->next)
		s->ops->kick(s);
}

static bool poll_sources(struct br_queue *q)
{
	int n = 0;

	for (struct br_source *s = q->sources; s; s = s->next)
		n += s->ops->poll(s);
	return n > 0;
}

/* Only what is ready now: what these make ready is for the next round, so that a round ends. */
static bool run_ready(struct br_queue *q)
{
	struct br_task_list now = q->ready;
	struct br_task *t;

	if (!now.head)
		return false;
	br_task_list_init(&q->ready);
	while ((t = now.head)) {
		now.head = t->next;
		t->run(t);
	}
	return true;
}

bool br_queue_run(struct br_queue *q)
{
	bool did;

	br_queue_kick(q);
	did = poll_sources(q);
	empty_inbox(q);
	did |= run_ready(q);
	br_queue_kick(q);
	return did;
}

/* ---- sources ----------------------------------------------------------------------------------------------------- */

struct br_source *br_queue_source(struct br_queue *q, const void *engine)
{
	struct br_source *s;

	for (s = q->sources; s && s->engine != engine; s = s->next)
		;
	return s;
}

void br_queue_add_source(struct br_queue *q, struct br_source *s)
{
	s->queue = q;
	s->next = q->sources;
	q->sources = s;
	if (atomic_load(&q->notify) && s->ops->notify)
		s->ops->notify(s, true);
}

void br_queue_set_notify(struct br_queue *q, bool on)
{
	atomic_store(&q->notify, on);
	for (struct br_source *s = q->sources; s; s = s->next)
		if (s->ops->notify)
			s->ops->notify(s, on);
}

uint32_t br_queue_in_flight(const struct br_queue *q)
{
	uint32_t n = 0;

	for (const struct br_source *s = q->sources; s; s = s->next)
		n += s->in_flight;
	return n;
}

/* Ops that began here may still wait for readers on other queues. */
bool br_queue_is_quiet(void *queue)
{
	struct br_queue *q = queue;

	return q->ops == 0 && !br_queue_has_work(q) && br_queue_in_flight(q) == 0;
}
