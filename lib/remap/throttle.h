/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Admission for copying: so much in flight at a time, so many bytes and operations a second, first come first served.
 *
 *	br_throttle_take(&t->throttle, &w->turn, bytes, op);
 *	return br_op_await(op, S_COPY);                  at once, or when it is our turn
 *	...
 *	br_throttle_give(&t->throttle, bytes);           the copy is over, well or badly
 *
 * A request is admitted whole or waits; one that is larger than the whole limit is admitted when nothing else is in
 * flight. Nobody overtakes, so a large request is not starved by small ones.  Foreground and background copying want
 * a throttle each, else the user waits behind the rate of the background.
 *
 * Any thread may call these, but the op of a take must be a step's that runs now.
 */
#ifndef BR_REMAP_THROTTLE_H
#define BR_REMAP_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mutex.h"
#include "op/ctx.h"

struct br_op;
struct br_queue;

/* 0: no limit. */
struct br_throttle_limits {
	uint64_t in_flight_bytes;
	uint64_t bytes_per_s;
	uint64_t iops;
};

struct br_throttle {
	struct br_ctx *ctx;
	struct br_queue *queue;		/* on which the timer's task runs */
	struct br_mutex lock;		/* takes nothing inside; protects all that follows */
	struct br_throttle_limits limits;
	uint64_t in_flight;		/* bytes admitted and not given back */
	uint64_t bytes_due_ns, ops_due_ns;	/* when the next request is within the rates; may lie in the past */
	struct br_list turns;		/* struct br_throttle_turn.link: those who wait */
	bool waits_for_room;		/* the first of them waits for somebody's give, and the context knows */
	bool armed;
	struct br_timer timer;
};

/* A place in the line, zeroed at first.  Embed it beside the op; it must stay where it is until the op goes on. */
struct br_throttle_turn {
	struct br_list link;
	bool waits;			/* under the throttle's lock */
	uint64_t bytes;
	struct br_op *op;
};

/* @queue: where timers are run, as a rule &ctx->service. */
void br_throttle_init(struct br_throttle *t, struct br_ctx *ctx, struct br_queue *queue,
		      const struct br_throttle_limits *limits);
/* Nobody waits and nothing is in flight.  May block until a timer that is under way has arrived. */
void br_throttle_done(struct br_throttle *t);
/* At any time; those whom the new limits admit go on at once. */
void br_throttle_set(struct br_throttle *t, const struct br_throttle_limits *limits);

/*
 * True: admitted, nothing was launched.  False: one piece was launched, done with 0 when admitted or -ECANCELED.
 * The result may be ignored before br_op_await().
 */
bool br_throttle_take(struct br_throttle *t, struct br_throttle_turn *turn, uint64_t bytes, struct br_op *op);
void br_throttle_give(struct br_throttle *t, uint64_t bytes);
/* Any thread, at any time.  True: it still waited, its op is told -ECANCELED and has nothing to give back. */
bool br_throttle_cancel(struct br_throttle *t, struct br_throttle_turn *turn);

#endif /* BR_REMAP_THROTTLE_H */
