/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The deferred set: who is inside a block right now, and telling somebody when they have left.
 *
 * A request that is about to route itself enters the set first, looks up where its block lives while it holds the
 * entry, and leaves when its last leg has completed.  Whoever changes where a block lives inserts the change first
 * and quiesces the block then: each reader either is seen by the quiescer, which then waits for it, or sees the
 * change itself.
 *
 *	br_dset_enter(lane, block, &req->entry);        reader
 *	to = route(table, &req->entry, block);          only what takes an entry may decide (D3)
 *	... submit; in the last leg's done():
 *	br_dset_leave(&req->entry);
 *
 *	insert_into_table(block);                       changer, a step of an op
 *	br_dset_quiesce(set, block, &w->waiter, op);
 *	return br_op_await(op, S_OVERWRITE);            at once, or when all who were inside have left
 *
 * Promises.  G1: the op goes on after each entry that was taken before the quiesce has been given back, once.  G2:
 * entries taken later neither delay it nor are waited for.  What the table must do for this: the insert's last store
 * and the look-up's first load are seq_cst, as the slots are.
 *
 * Cost: enter and leave are one atomic instruction each on a line that only this queue writes.
 */
#ifndef BR_REMAP_DSET_H
#define BR_REMAP_DSET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mutex.h"

struct br_ctx;
struct br_op;
struct br_queue;

enum { BR_DSET_LINES = 64, BR_DSET_SLOTS = 8 };

#define BR_DSET_BLOCK_MAX (UINT64_MAX / 2 - 1)	/* blocks are below this */

struct br_dset {
	struct br_ctx *ctx;
	struct br_mutex lock;		/* takes nothing inside; protects what follows and each WAITED slot */
	uint64_t ticket;		/* of the last quiesce */
	struct br_list lanes;		/* struct br_dset_lane.link */
	struct br_list waiters;		/* struct br_dset_waiter.link */
	struct br_list overflow[BR_DSET_LINES];	/* struct br_entry.link: entries that found their line full */
};

/* One queue's part of the set: its slots are written by that queue's owner, but for the WAITED mark. */
struct br_dset_lane;

/* Proof that the bearer is inside a block.  Embed it in the request; it must stay where it is until given back. */
struct br_entry {
	struct br_dset_lane *lane;
	uint64_t block;
	uint64_t since;			/* overflow only, under the set's lock: ticket of the first waiter, or 0 */
	struct br_list link;		/* overflow only, under the set's lock */
	uint32_t slot;
};

/* Somebody who waits for a range of blocks.  Embed it beside the op; it must stay where it is until the op goes on. */
struct br_dset_waiter {
	struct br_list link;		/* all under the set's lock */
	uint64_t begin, end;
	uint64_t ticket;
	uint64_t inside;		/* entries that it waits for */
	struct br_op *op;
};

void br_dset_init(struct br_dset *s, struct br_ctx *ctx);
void br_dset_done(struct br_dset *s);		/* no lane is left, nobody waits */

/* Memory is taken here and nowhere else.  -ENOMEM.  Close it with nobody inside. */
int br_dset_lane_open(struct br_dset *s, struct br_queue *q, struct br_dset_lane **ret_lane);
void br_dset_lane_close(struct br_dset_lane *l);

/* Owner of the lane's queue only, both. */
void br_dset_enter(struct br_dset_lane *l, uint64_t block, struct br_entry *e);
void br_dset_leave(struct br_entry *e);

/*
 * Call in a step of @op.  True: nobody was inside, nothing was launched.  False: one piece was launched, and is done
 * when those inside have left.  Either way `return br_op_await(op, next)` does the right thing, so the result may be
 * ignored.
 */
bool br_dset_quiesce(struct br_dset *s, uint64_t block, struct br_dset_waiter *w, struct br_op *op);
/* The same for all blocks in [begin, end). */
bool br_dset_quiesce_range(struct br_dset *s, uint64_t begin, uint64_t end, struct br_dset_waiter *w, struct br_op *op);

#endif /* BR_REMAP_DSET_H */
