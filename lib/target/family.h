/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A family: one base device, its snapshots, and (maybe) the origin through which the base is written.
 *
 * The faces that the application sees, struct br_origin and struct br_snapshot, are devices; what they share on one
 * queue (channels to base and stores, pools, the copier) is the channel of the family, a device that nobody sees.  So a
 * family channel exists once a queue, however many faces the queue uses.
 *
 * What may change when.  The list of snapshots, their chunk sizes and `merging` change only while every face is drained
 * (br_dev_drain(), attach.c), so the I/O path reads them without a lock.  fam->lock protects the pending exceptions and
 * those who wait for them; it is never held over I/O or allocation.  Order: fam->lock, then store->lock.
 *
 * The four states of a chunk in one snapshot (seed 003), and where they are kept:
 *
 *	A none			not in the table, no pending
 *	B pending		not in the table, pending in snap->pending
 *	C pending, completed	in the table as BR_EX_DRAINING, pending
 *	D completed		in the table as BR_EX_DONE, no pending
 *
 * Look-ups without the lock see one word of the table: the snapshot's side takes C and D for mapped, the origin's side
 * and merge go on only with D, so there is no order of two look-ups that could be wrong.  Under the lock both sides
 * look for the pending exception: the origin's side first.
 */
#ifndef BR_TARGET_FAMILY_H
#define BR_TARGET_FAMILY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mutex.h"
#include "base/pool.h"
#include "io/dev.h"
#include "io/sync.h"
#include "meta/snap-store.h"
#include "remap/copier.h"
#include "remap/dset.h"
#include "remap/extable.h"
#include "remap/range-lock.h"
#include "remap/throttle.h"

enum {
	BR_FAMILY_MAX = 64,		/* snapshots of one base */
	/* The most a queue has; one that expects few requests has less (family.c). */
	BR_FAMILY_LEGS = 256,		/* pieces of requests in hand */
	BR_FAMILY_COWS = 32,		/* copies under way: the admission limit */
	BR_FAMILY_BUFFERS = 16,		/* of the copier */
	BR_PENDING_BUCKETS = 64,
};

/* How far a snapshot has ceased to be one. */
enum br_gone {
	BR_HERE,
	BR_GOING,	/* its own I/O fails; origin writes wait for the mark to be durable */
	BR_GONE,	/* origin writes ignore it */
};

struct br_family {
	struct br_dev dev;
	struct br_dev *base;		/* referenced */
	struct br_origin *origin;	/* the writable face, or NULL; changed only while drained */
	struct br_snapshot *snaps[BR_FAMILY_MAX];	/* by slot, holes are NULL; changed only while drained */
	uint32_t nr_slots;		/* one above the highest slot in use; likewise */
	uint64_t min_chunk;		/* of the snapshots, 0: none; likewise */
	struct br_snapshot *merging;	/* likewise */
	_Atomic bool writable;		/* an origin is open, and may write */
	/* since it was opened: a store attached now may have missed something (-ESTALE) */
	_Atomic bool written;
	/* since then the base may have been written, unseen by stores that are not attached */
	_Atomic bool merge_wrote;
	struct br_mutex lock;
	/* [0, 1): held by merge for one round, by a change (attach.c) for all its steps */
	struct br_range_lock turn;
};

struct br_origin {
	struct br_dev dev;
	struct br_family *fam;		/* referenced */
};

struct br_snapshot_cfg {
	uint64_t chunk_bytes, bytes;
	/* may be changed at any time, by blkremap_dev_set() */
	_Atomic uint64_t low_space, grow_step, hold_ns;
	_Atomic uint32_t when_full;	/* BLKREMAP_FULL_* */
	bool transient, rdonly, merging;
	bool discard_zeroes_cow, discard_passdown;
	const char *name;
};

struct br_snapshot {
	struct br_dev dev;
	struct br_family *fam;		/* referenced */
	struct br_dev *store_dev;	/* referenced, claimed */
	struct br_snapshot_cfg cfg;
	unsigned chunk_shift;
	uint32_t slot;
	bool attached;			/* in fam->snaps */
	bool owned;			/* the origin has a reference */
	_Atomic uint32_t gone;		/* enum br_gone */
	struct br_extable *table;
	struct br_dset readers;		/* who reads the base on behalf of this snapshot */
	struct br_snap_store store;
	/* chunks; writes share, merge excludes; only while fam->merging == this */
	struct br_range_lock merge_lock;
	struct br_list pending[BR_PENDING_BUCKETS];	/* struct br_cow_part.link; under fam->lock */
	struct br_list held;		/* struct br_cow.held_link: waiting for space; under fam->lock */
	struct br_mutex grow_lock;	/* one grows the store at a time; held over ftruncate() */
	bool hold_over;			/* under fam->lock: hold_ns has passed, who is held gives up */
	bool low_told;			/* under fam->lock: the low space event is out */
	uint64_t space_ticket;		/* under fam->lock: grows each time that the held are let go */
	struct br_timer hold_timer;
	_Atomic bool hold_timed;	/* the timer is armed, or its task is under way */
	_Atomic uint64_t copied_bytes;
	_Atomic bool merge_runs;	/* a merge job is under way */
	_Atomic bool merge_broken;	/* a removal of entries has failed: what is on the disk is not known */
};

/* One queue's way into one snapshot of the family. */
struct br_family_way {
	struct br_chan *store;		/* NULL: not attached */
	struct br_dset_lane *lane;
};

struct br_family_chan {
	struct br_chan chan;
	struct br_chan *base;
	struct br_family_way ways[BR_FAMILY_MAX];	/* by slot */
	struct br_pool legs, cows, parts;
	struct br_copier *copier;
	struct br_task_list starved;	/* requests (by .wait) that wait for a leg */
	struct br_list cow_waiters;	/* struct br_leg.wait_link: legs that wait for a cow */
};

/* The channels of both faces begin like this. */
struct br_face_chan {
	struct br_chan chan;
	struct br_family_chan *fc;
};

/* One piece of a request, inside one chunk.  From fc->legs.  What every leg needs comes first, in few cache lines. */
struct br_leg {
	struct br_req req;		/* what goes down */
	struct br_family_chan *fc;
	struct br_snapshot *snap;	/* whose face; NULL: the origin's */
	struct br_req *parent;
	uint64_t chunk;			/* of snap, or of the merging snapshot */
	struct br_snapshot *passing;	/* a discard that this snapshot passes down: not its own business */
	int wait_error;			/* of what it waited for */
	bool entered;
	bool written;			/* its copy-out has stored its data: nothing left to write */
	bool foreign;			/* it waits for another queue */
	bool holds;			/* `hold` is taken, to be given back */
	bool protects_only;		/* nothing is to be written: merge makes room for what it will write itself */
	struct br_entry entry;		/* held while `entered` */
	/* Only of those that must wait for something. */
	struct br_op op;
	struct br_op *parent_op;	/* of one that protects only, instead of a parent request */
	struct br_list wait_link;	/* in a part's waiters (fam->lock) or fc->cow_waiters */
	struct br_snap_invalidate mark;
	struct br_range_hold hold;
};

struct br_cow;

/* What one copy-out does for one snapshot: the pending exception.  From fc->parts. */
struct br_cow_part {
	struct br_list link;		/* of snap->pending; under fam->lock */
	struct br_cow *cow;
	struct br_cow_part *next;	/* of the same cow */
	struct br_snapshot *snap;
	uint64_t old_chunk;
	struct br_list waiters;		/* struct br_leg.wait_link; under fam->lock */
	uint64_t space_ticket;		/* of the snapshot, before it was looked for space */
	bool for_origin;		/* an origin write needs it: if it fails the snapshot is invalid */
	bool allocated, reserved, committed;	/* place in the store, room in the table */
	int error;
	struct br_snap_commit commit;
	struct br_snap_invalidate mark;
	struct br_dset_waiter drain;
};

/* One copy-out: one chunk of the base, read once for all snapshots of equal chunk size.  From fc->cows. */
struct br_cow {
	struct br_op op;
	struct br_family_chan *fc;
	struct br_cow_part *parts;
	uint32_t nr_parts;
	uint64_t offset, chunk_bytes;	/* in the base */
	struct br_leg *whole;		/* a write that covers the chunk: stored instead of a copy; or NULL */
	struct br_req req;		/* of that write, or of filling up behind the base's end */
	struct br_cow_part *fill;	/* whose chunk is being filled up */
	struct br_copy copy;
	struct br_copy_dest dests[BR_FAMILY_MAX];
	struct br_list held_link;	/* of snap->held; under fam->lock */
};

static inline struct br_family *br_chan_family(struct br_family_chan *fc)
{
	return br_container_of(fc->chan.dev, struct br_family, dev);
}

/* From now on a store that is attached may have missed something. */
static inline void br_family_note_write(struct br_family *f)
{
	if (br_unlikely(!atomic_load_explicit(&f->written, memory_order_relaxed)))
		atomic_store(&f->written, true);
}

static inline void br_family_lock(struct br_family *f)
{
	br_mutex_lock(&f->lock, f->dev.ctx->env);
}

static inline void br_family_unlock(struct br_family *f)
{
	br_mutex_unlock(&f->lock, f->dev.ctx->env);
}

/* ---- family.c ---- */
/* A family over @base (referenced), or the one that is there already.  The caller gets a reference. */
int br_family_get(struct br_dev *base, struct br_family **ret);
int br_face_chan_open(struct br_chan *chan, struct br_family *fam);
void br_face_chan_close(struct br_chan *chan);
int br_family_open_way(struct br_family_chan *fc, struct br_snapshot *s);
void br_family_close_way(struct br_family_chan *fc, struct br_snapshot *s);
int br_family_flush_dev(struct br_dev *dev);	/* blocks */
void br_family_recount(struct br_family *f);	/* min_chunk and nr_slots, after a change, while drained */
int br_family_drop_origin(struct br_family *f);	/* the origin closes: it gives up its snapshots */

/* ---- leg.c: pieces of requests ---- */
/* Cut @req (its engine_priv is the snapshot whose face it came to, or NULL) at chunk borders and start each leg. */
void br_family_split(struct br_family_chan *fc, struct br_req *req);
void br_family_flush(struct br_family_chan *fc, struct br_req *req);
void br_family_more_legs(struct br_family_chan *fc, struct br_req *req);	/* the rest, when legs have come home */
void br_leg_finish(struct br_leg *leg, int error);	/* without having gone down */
void br_leg_to_base(struct br_leg *leg);
void br_leg_to_store(struct br_leg *leg, struct br_snapshot *s, uint64_t new_chunk);
/* The same for a leg that is an op: launched on it. */
void br_leg_op_to_base(struct br_leg *leg);
void br_leg_op_to_store(struct br_leg *leg, struct br_snapshot *s, uint64_t new_chunk);
void br_leg_op_finish(struct br_op *op, int error);	/* finish() of all legs' op classes */

/* ---- cow.c: copy-out ---- */
struct br_cow_part *br_pending_find(struct br_snapshot *s, uint64_t old_chunk);	/* under fam->lock */
void br_pending_park(struct br_cow_part *p, struct br_leg *leg);			/* under fam->lock; launches */
void br_pending_unpark(struct br_leg *leg);	/* first thing when it goes on */
/*
 * Under fam->lock: a copy-out of the chunk at @offset for @n snapshots of equal chunk size, registered as pending;
 * started by br_cow_start() without the lock.  NULL: no cow or too few parts; wait by br_cow_wait().
 */
struct br_cow *br_cow_make(struct br_family_chan *fc, struct br_snapshot *const *snaps, uint32_t n, uint64_t offset);
void br_cow_start(struct br_cow *cow);
void br_cow_wait(struct br_family_chan *fc, struct br_leg *leg);	/* launches on the leg's op */
/* Let those who wait for space try again; @over: give up if there is none. */
void br_snapshot_unhold(struct br_snapshot *s, bool over);

/* ---- snapshot.c, origin.c, merge.c ---- */
void br_origin_start_leg(struct br_leg *leg);
void br_snapshot_start_leg(struct br_leg *leg);
void br_merge_start_leg(struct br_leg *leg);	/* both faces, while merging */
void br_origin_write_op(struct br_leg *leg);	/* a write that may have to copy out first */
/* Have the old chunk at @offset copied out wherever it is needed; launches on @op.  @leg is the caller's memory. */
void br_origin_protect(struct br_leg *leg, struct br_family_chan *fc, uint64_t offset, struct br_op *op);
/* Is it to be refused, or ignored by the origin?  BR_GONE is entered here, once the mark is durable. */
enum br_gone br_snapshot_gone(struct br_snapshot *s);
void br_snapshot_submit(struct br_chan *chan, struct br_req *req);
/* Has its merge come to its end, so that base and snapshot are one for good? */
bool br_snapshot_merged(struct br_snapshot *s);
void br_snapshot_set_going(struct br_snapshot *s, uint32_t code);

#endif /* BR_TARGET_FAMILY_H */
