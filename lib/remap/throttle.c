/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How it works.  A rate is one number: the time at which the next request is due.  Each admitted request moves it on
 * by what it costs; time that passes unused counts for at most BURST_NS.
 *
 * The timer never sleeps longer than GLANCE_NS: new limits need not cancel it, they admit whom they can at once, and
 * the next glance sees the rest.
 */
#include "remap/throttle.h"

#include "base/checked.h"
#include "base/compiler.h"
#include "op/op.h"

#include <errno.h>

#define NS_PER_S UINT64_C(1000000000)
#define MAX_RATE (UINT64_C(1) << 34)	/* per second; from here on unlimited: times NS_PER_S it just fits 64 bits */
#define MAX_COST (UINT64_C(3600) * NS_PER_S)

enum { BURST_NS = 50000000, GLANCE_NS = 100000000 };

/* What is to be done when the lock has been given up. */
struct aftermath {
	struct br_list admitted;
	uint64_t arm_at;		/* 0: not */
	int waits;			/* +1, -1: the context learns of a wait that began, ended */
};

static void lock(struct br_throttle *t)
{
	br_mutex_lock(&t->lock, t->ctx->env);
}

static void unlock(struct br_throttle *t)
{
	br_mutex_unlock(&t->lock, t->ctx->env);
}

/* ---- rates ----------------------------------------------------------------------------------------------------- */

static uint64_t cost_ns(uint64_t n, uint64_t rate)
{
	uint64_t whole;

	if (!rate || rate >= MAX_RATE)
		return 0;
	if (br_mul_overflows(n / rate, NS_PER_S, &whole) || whole >= MAX_COST)
		return MAX_COST;
	return whole + n % rate * NS_PER_S / rate;
}

static bool is_limited(uint64_t rate)
{
	return rate && rate < MAX_RATE;
}

static void charge(uint64_t *due_ns, uint64_t cost, uint64_t now)
{
	uint64_t earliest = now > BURST_NS ? now - BURST_NS : 0;

	*due_ns = BR_MAX(*due_ns, earliest) + cost;
}

static uint64_t due_locked(const struct br_throttle *t)
{
	uint64_t bytes = is_limited(t->limits.bytes_per_s) ? t->bytes_due_ns : 0;
	uint64_t ops = is_limited(t->limits.iops) ? t->ops_due_ns : 0;

	return BR_MAX(bytes, ops);
}

/* ---- admission ------------------------------------------------------------------------------------------------- */

static bool has_room_locked(const struct br_throttle *t, uint64_t bytes)
{
	uint64_t limit = t->limits.in_flight_bytes;

	return !limit || !t->in_flight || (t->in_flight <= limit && bytes <= limit - t->in_flight);
}

static bool admit_locked(struct br_throttle *t, uint64_t bytes, uint64_t now)
{
	if (!has_room_locked(t, bytes) || due_locked(t) > now)
		return false;
	t->in_flight += bytes;
	charge(&t->bytes_due_ns, cost_ns(bytes, t->limits.bytes_per_s), now);
	charge(&t->ops_due_ns, cost_ns(1, t->limits.iops), now);
	return true;
}

static struct br_throttle_turn *first_turn(struct br_throttle *t)
{
	return br_list_empty(&t->turns) ? NULL : br_container_of(t->turns.next, struct br_throttle_turn, link);
}

static void admit_all_locked(struct br_throttle *t, uint64_t now, struct aftermath *a)
{
	struct br_throttle_turn *first;

	while ((first = first_turn(t)) && admit_locked(t, first->bytes, now)) {
		br_list_del(&first->link);
		first->waits = false;	/* from here on it is act()'s, and cannot be cancelled */
		br_list_add_tail(&a->admitted, &first->link);
	}
}

/* Whoever is first now waits either for room, which others must make, or for time to pass. */
static void plan_locked(struct br_throttle *t, uint64_t now, struct aftermath *a)
{
	struct br_throttle_turn *first = first_turn(t);
	bool needs_room = first && !has_room_locked(t, first->bytes);

	a->waits = (int)needs_room - (int)t->waits_for_room;
	t->waits_for_room = needs_room;
	if (!first || needs_room || t->armed)
		return;
	t->armed = true;
	a->arm_at = BR_MIN(due_locked(t), now + GLANCE_NS);
}

static void look_locked(struct br_throttle *t, uint64_t now, struct aftermath *a)
{
	*a = (struct aftermath){ .arm_at = 0 };
	br_list_init(&a->admitted);
	admit_all_locked(t, now, a);
	plan_locked(t, now, a);
}

static void act(struct br_throttle *t, struct aftermath *a)
{
	struct br_list *l;

	if (a->waits > 0)
		br_wait_begin(t->ctx);
	if (a->waits < 0)
		br_wait_end(t->ctx);
	if (a->arm_at)
		br_timer_arm(t->ctx, &t->timer, t->queue, a->arm_at);
	while ((l = br_list_pop(&a->admitted)))
		br_op_grant(br_container_of(l, struct br_throttle_turn, link)->op, 0);
}

bool br_throttle_take(struct br_throttle *t, struct br_throttle_turn *turn, uint64_t bytes, struct br_op *op)
{
	uint64_t now = br_now(t->ctx->env);
	struct aftermath a;

	lock(t);
	*turn = (struct br_throttle_turn){ .bytes = bytes, .op = op };
	if (br_list_empty(&t->turns) && admit_locked(t, bytes, now)) {
		unlock(t);
		return true;
	}
	br_op_launch(op);
	turn->waits = true;
	br_list_add_tail(&t->turns, &turn->link);
	look_locked(t, now, &a);
	unlock(t);
	act(t, &a);
	return false;
}

void br_throttle_give(struct br_throttle *t, uint64_t bytes)
{
	uint64_t now = br_now(t->ctx->env);
	struct aftermath a;

	lock(t);
	t->in_flight -= bytes;
	look_locked(t, now, &a);
	unlock(t);
	act(t, &a);
}

bool br_throttle_cancel(struct br_throttle *t, struct br_throttle_turn *turn)
{
	uint64_t now = br_now(t->ctx->env);
	struct aftermath a;
	bool waited;

	lock(t);
	waited = turn->waits;
	turn->waits = false;
	if (waited)
		br_list_del(&turn->link);
	look_locked(t, now, &a);	/* it may have been the one that the others waited behind */
	unlock(t);
	act(t, &a);
	if (waited)
		br_op_grant(turn->op, -ECANCELED);
	return waited;
}

void br_throttle_set(struct br_throttle *t, const struct br_throttle_limits *limits)
{
	uint64_t now = br_now(t->ctx->env);
	struct aftermath a;

	lock(t);
	t->limits = *limits;
	t->bytes_due_ns = BR_MIN(t->bytes_due_ns, now);	/* debts at the old rate are forgiven */
	t->ops_due_ns = BR_MIN(t->ops_due_ns, now);
	look_locked(t, now, &a);
	unlock(t);
	act(t, &a);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static void glance(struct br_task *task)
{
	struct br_throttle *t = br_container_of(task, struct br_throttle, timer.task);
	uint64_t now = br_now(t->ctx->env);
	struct aftermath a;

	lock(t);
	t->armed = false;
	look_locked(t, now, &a);
	unlock(t);
	act(t, &a);	/* touches @t only if somebody waits, and then nobody may be in br_throttle_done() */
}

void br_throttle_init(struct br_throttle *t, struct br_ctx *ctx, struct br_queue *queue,
		      const struct br_throttle_limits *limits)
{
	*t = (struct br_throttle){ .ctx = ctx, .queue = queue, .limits = *limits, .timer.task.run = glance };
	br_list_init(&t->turns);
	br_list_init(&t->timer.link);
}

static bool timer_is_over(void *arg)
{
	struct br_throttle *t = arg;
	bool over;

	lock(t);
	over = !t->armed;
	unlock(t);
	return over;
}

void br_throttle_done(struct br_throttle *t)
{
	if (timer_is_over(t) || br_timer_cancel(t->ctx, &t->timer))
		return;
	br_block(t->ctx, NULL, timer_is_over, t, BR_NEVER);
}
