/* SPDX-License-Identifier: BSD-3-Clause */
#include "op/ctx.h"

#include "base/compiler.h"
#include "op/op.h"

int br_ctx_init(struct br_ctx *ctx, const struct blkremap_env *env, bool no_threads)
{
	int r;

	ctx->env = env;
	ctx->no_threads = no_threads;
	ctx->next_id = 1;
	br_list_init(&ctx->queues);
	br_list_init(&ctx->timers);
	br_list_init(&ctx->devs);
	br_list_init(&ctx->control_waiters);
	ctx->bell = env->ops->bell_open(env);
	if (ctx->bell < 0)
		return ctx->bell;
	r = br_queue_init(&ctx->service, ctx, true);
	if (r < 0)
		env->ops->bell_close(env, ctx->bell);
	return r;
}

void br_ctx_done(struct br_ctx *ctx)
{
	br_queue_done(&ctx->service);
	ctx->env->ops->bell_close(ctx->env, ctx->bell);
}

/* ---- timers ------------------------------------------------------------------------------------------------------ */

static struct br_timer *to_timer(struct br_list *l)
{
	return br_container_of(l, struct br_timer, link);
}

void br_timer_arm(struct br_ctx *ctx, struct br_timer *t, struct br_queue *q, uint64_t when_ns)
{
	struct br_list *at;
	bool first;

	t->when_ns = when_ns;
	t->queue = q;
	br_ctx_lock(ctx);
	for (at = ctx->timers.prev; at != &ctx->timers && to_timer(at)->when_ns > when_ns; at = at->prev)
		;
	br_list_insert(at, &t->link);
	first = ctx->timers.next == &t->link;
	br_ctx_unlock(ctx);
	if (first)	/* whoever sleeps does so for too long now */
		ctx->env->ops->bell_ring(ctx->env, ctx->bell);
}

bool br_timer_cancel(struct br_ctx *ctx, struct br_timer *t)
{
	bool armed;

	br_ctx_lock(ctx);
	armed = t->link.next && !br_list_empty(&t->link);
	if (armed)
		br_list_del(&t->link);
	br_ctx_unlock(ctx);
	return armed;
}

static struct br_timer *pop_due(struct br_ctx *ctx, uint64_t now, uint64_t *ret_next)
{
	struct br_timer *t = NULL;

	*ret_next = BR_NEVER;
	br_ctx_lock(ctx);
	if (!br_list_empty(&ctx->timers)) {
		t = to_timer(ctx->timers.next);
		*ret_next = t->when_ns;
		if (t->when_ns <= now)
			br_list_del(&t->link);
		else
			t = NULL;
	}
	br_ctx_unlock(ctx);
	return t;
}

uint64_t br_timers_fire(struct br_ctx *ctx)
{
	uint64_t now = br_now(ctx->env), next;
	struct br_timer *t;

	while ((t = pop_due(ctx, now, &next)))
		br_queue_post(t->queue, &t->task);
	return next;
}

/* ---- the control lock -------------------------------------------------------------------------------------------- */

void br_control_lock(struct br_ctx *ctx, struct br_control *c, struct br_op *op)
{
	bool mine;

	c->op = op;
	br_op_launch(op);
	br_ctx_lock(ctx);
	mine = !ctx->control;
	if (mine) {
		ctx->control = op;
	} else {
		br_wait_begin(ctx);	/* before anybody can end it */
		br_list_add_tail(&ctx->control_waiters, &c->link);
	}
	br_ctx_unlock(ctx);
	if (mine)
		br_op_done(op, 0);
}

void br_control_unlock(struct br_ctx *ctx)
{
	struct br_list *l;
	struct br_op *next;

	br_ctx_lock(ctx);
	l = br_list_pop(&ctx->control_waiters);
	next = l ? br_container_of(l, struct br_control, link)->op : NULL;
	ctx->control = next;
	br_ctx_unlock(ctx);
	if (!next)
		return;
	br_wait_end(ctx);
	br_op_grant(next, 0);
}

/* ---- help -------------------------------------------------------------------------------------------------------- */

void br_wait_begin(struct br_ctx *ctx)
{
	if (atomic_fetch_add(&ctx->waits, 1) == 0)
		ctx->env->ops->bell_ring(ctx->env, ctx->bell);	/* the worker begins to look around */
}

void br_wait_end(struct br_ctx *ctx)
{
	atomic_fetch_sub(&ctx->waits, 1);
}

/* Has nobody entered since the last look?  Under ctx->lock. */
static bool is_neglected(struct br_queue *q)
{
	uint32_t epoch = atomic_load_explicit(&q->epoch, memory_order_relaxed);

	if (epoch == q->seen_epoch)
		return true;
	q->seen_epoch = epoch;
	return false;
}

static bool help_queue(struct br_queue *q)
{
	bool did;

	if (!br_queue_try_help(q))
		return false;
	did = br_queue_run(q);
	br_queue_leave(q);
	return did;
}

static bool wants_help(struct br_queue *q, bool service, bool waits)
{
	return q->service ? service : waits && is_neglected(q);
}

/* The lock is dropped while a queue runs; the pin keeps it in the list meanwhile (br_queue_done() waits for pins). */
static bool help_queues(struct br_ctx *ctx, bool service, bool waits)
{
	struct br_list *l;
	bool did = false;

	br_ctx_lock(ctx);
	for (l = ctx->queues.next; l != &ctx->queues; l = l->next) {
		struct br_queue *q = br_container_of(l, struct br_queue, ctx_link);

		if (!wants_help(q, service, waits))
			continue;
		q->pins++;
		br_ctx_unlock(ctx);
		did |= help_queue(q);
		br_ctx_lock(ctx);
		q->pins--;
		if (br_list_empty(&q->ctx_link)) {
			did = true;	/* it left the list meanwhile: the rest is for the next call, which must come */
			break;
		}
	}
	br_ctx_unlock(ctx);
	return did;
}

bool br_help(struct br_ctx *ctx, bool service)
{
	bool waits = atomic_load(&ctx->waits) != 0;

	service |= ctx->no_threads;
	br_timers_fire(ctx);
	if (!service && !waits)
		return false;
	return help_queues(ctx, service, waits);
}

static uint64_t next_timer(struct br_ctx *ctx)
{
	uint64_t when = BR_NEVER;

	br_ctx_lock(ctx);
	if (!br_list_empty(&ctx->timers))
		when = to_timer(ctx->timers.next)->when_ns;
	br_ctx_unlock(ctx);
	return when;
}

uint64_t br_help_deadline(struct br_ctx *ctx)
{
	uint64_t timer = next_timer(ctx);

	if (!atomic_load(&ctx->waits))
		return timer;
	return BR_MIN(timer, br_now(ctx->env) + BR_HELP_NS);
}

/* ---- blocking ---------------------------------------------------------------------------------------------------- */

/*
 * Say that we sleep, then look once more: a poster either sees WAITING and rings, or we see what it posted.
 */
static void sleep_on(struct br_queue *q, uint64_t deadline_ns)
{
	struct br_ctx *ctx = q->ctx;
	const struct blkremap_env *env = ctx->env;

	atomic_store(&q->owner, BR_QUEUE_WAITING);
	if (!br_queue_has_work(q))
		env->ops->idle(env, ctx, q, deadline_ns);
	atomic_store(&q->owner, BR_QUEUE_BUSY);
}

/*
 * Silence the bells that would end our sleep at once, so that the next look is the last one before it.  The context's
 * may be meant for others, too: who silences it looks after everything itself, and passes on what is left, pass_on().
 */
static void silence(struct br_ctx *ctx, struct br_queue *q)
{
	const struct blkremap_env *env = ctx->env;

	if (q)
		env->ops->bell_clear(env, q->bell);
	if (ctx->no_threads && !(q && q->bell == ctx->bell))
		env->ops->bell_clear(env, ctx->bell);
}

/* Whoever else waits for the context's bell does not know yet when it has to be back. */
static void pass_on(struct br_ctx *ctx)
{
	if (ctx->no_threads && br_help_deadline(ctx) != BR_NEVER)
		ctx->env->ops->bell_ring(ctx->env, ctx->bell);
}

enum outcome { NOTHING, DID, DONE, LATE };

/*
 * One look at everything.  What the queue itself has to do comes to an end, because its owner is here; what we help
 * others with need not, so the deadline is looked at meanwhile.
 */
static enum outcome look(struct br_ctx *ctx, struct br_queue *q, bool (*done)(void *arg), void *arg,
			 uint64_t deadline_ns)
{
	bool own = q && br_queue_run(q), helped = br_help(ctx, false);

	if (done(arg))
		return DONE;
	if (helped && !own && deadline_ns != BR_NEVER && br_now(ctx->env) >= deadline_ns)
		return LATE;
	return own || helped ? DID : NOTHING;
}

/* Look until there is nothing to do, the last time with the bells silent. */
static enum outcome look_until_quiet(struct br_ctx *ctx, struct br_queue *q, bool (*done)(void *arg), void *arg,
				     uint64_t deadline_ns)
{
	bool silent = !q && !ctx->no_threads;
	enum outcome o;

	for (;;) {
		o = look(ctx, q, done, arg, deadline_ns);
		if (o == DONE || o == LATE || (o == NOTHING && silent))
			return o;
		if (o == NOTHING) {
			silence(ctx, q);
			silent = true;
		}
	}
}

bool br_block(struct br_ctx *ctx, struct br_queue *q, bool (*done)(void *arg), void *arg, uint64_t deadline_ns)
{
	const struct blkremap_env *env = ctx->env;
	uint64_t now, wake;
	bool slept = false;
	enum outcome o;

	for (;; slept = true) {
		o = look_until_quiet(ctx, q, done, arg, deadline_ns);
		if (o == DONE || o == LATE)
			break;
		now = br_now(env);
		if (now >= deadline_ns)
			break;
		wake = BR_MIN(deadline_ns, br_help_deadline(ctx));
		if (q)
			sleep_on(q, wake);
		else
			env->ops->idle(env, ctx, NULL, BR_MIN(wake, now + BR_HELP_NS));
	}
	if (slept)
		pass_on(ctx);
	return o == DONE;
}
