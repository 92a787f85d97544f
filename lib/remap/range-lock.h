/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Range locks: one owner, or several sharers, of a range of blocks, first come first served.
 *
 *	br_range_lock_take(&t->chunks, &w->hold, chunk, chunk + 1, true, op);
 *	return br_op_await(op, S_RECHECK);              at once, or when the range has been granted
 *	...
 *	br_range_lock_give(&t->chunks, &w->hold);
 *
 * No barging: a request waits for all that came before it and overlaps it, held or waiting, unless both share.  When
 * the last of them is gone it owns the range at that moment, before its queue is told, so nobody can slip in
 * between.
 *
 * Any thread may call these, but the op of a take must be a step's that runs now.  Order between several locks, or
 * several ranges of one: taking a second while holding a first deadlocks unless all do it in one order (an origin's
 * write takes the chunk in each snapshot in registry order).
 */
#ifndef BR_REMAP_RANGE_LOCK_H
#define BR_REMAP_RANGE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mutex.h"

struct br_ctx;
struct br_op;

enum { BR_RANGE_LOCK_LISTS = 64 };

struct br_range_lock {
	struct br_ctx *ctx;
	struct br_mutex lock;		/* takes nothing inside; protects all that follows and the holds in the lists */
	uint64_t ticket;
	struct br_list narrow[BR_RANGE_LOCK_LISTS];	/* holds of one block, by its hash, oldest first */
	struct br_list wide;				/* holds of more than one block, oldest first */
};

/* A range held or waited for, zeroed at first.  Embed it beside the op; it must stay there until it is given back. */
struct br_range_hold {
	struct br_list link;
	uint64_t begin, end;
	uint64_t ticket;
	uint32_t ahead;			/* older ones that exclude this one; 0: granted */
	bool exclusive;
	bool cancelled;
	struct br_op *op;
	struct br_range_hold *next_granted;	/* of those that one give has granted, while it tells them */
};

void br_range_lock_init(struct br_range_lock *l, struct br_ctx *ctx);
void br_range_lock_done(struct br_range_lock *l);	/* nothing is held */

/*
 * Take [begin, end), not empty, in a step of @op.  True: it is held, nothing was launched.  False: one piece was
 * launched and is done with 0 when it is held, or with -ECANCELED when the wait was cancelled.  The result may be
 * ignored before br_op_await().
 */
bool br_range_lock_take(struct br_range_lock *l, struct br_range_hold *h, uint64_t begin, uint64_t end, bool exclusive,
			struct br_op *op);
/* Take it only if that needs no wait. */
bool br_range_lock_try(struct br_range_lock *l, struct br_range_hold *h, uint64_t begin, uint64_t end, bool exclusive);
void br_range_lock_give(struct br_range_lock *l, struct br_range_hold *h);
/*
 * Any thread, at any time.  True: it was still waiting, its op is told -ECANCELED and holds nothing.  False: it was not
 * waiting, or has been granted and the op will be told so.
 */
bool br_range_lock_cancel(struct br_range_lock *l, struct br_range_hold *h);

#endif /* BR_REMAP_RANGE_LOCK_H */
