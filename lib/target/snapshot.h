/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The snapshot target as the API sees it.  Making and changing snapshots is done by ops (attach.c), which the API runs
 * on a queue of its own and waits for, or leaves to a job.
 */
#ifndef BR_TARGET_SNAPSHOT_H
#define BR_TARGET_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/dev.h"
#include "io/sync.h"
#include "meta/snap-store.h"
#include "remap/range-lock.h"

struct br_family;
struct br_merge;
struct br_snapshot;
struct br_snapshot_cfg;

bool br_dev_is_snapshot(const struct br_dev *dev);
struct br_snapshot *br_dev_to_snapshot(struct br_dev *dev);

/*
 * A snapshot that is not attached yet, over @origin_or_base and @store; references both, claims the store.
 * @store NULL is for the caller to avoid: transient stores in memory are memory devices.
 */
int br_snapshot_new(struct br_dev *origin_or_base, struct br_dev *store, const struct br_snapshot_cfg *cfg,
		    struct br_snapshot **ret);
/* Undo br_snapshot_new() for one that was never attached. */
void br_snapshot_discard_new(struct br_snapshot *s);
/* Read header and exceptions of an existing store.  Blocks.  Errors as blkremap_snapshot_open(). */
int br_snapshot_load(struct br_snapshot *s);

/* What changes the family: one op each, run by br_sync_op() or on the service queue. */
enum br_change_kind {
	BR_CHANGE_ATTACH,	/* loaded stores join their families; nothing is formatted or flushed */
	BR_CHANGE_TAKE,		/* flush the origins, format the stores, join: one point in time for all */
	BR_CHANGE_DETACH,	/* leave the family */
	BR_CHANGE_DROP,		/* durably invalid, then leave */
	BR_CHANGE_RESET,	/* forget what was written */
	BR_CHANGE_MERGE,	/* enter merging mode */
};

struct br_change {
	struct br_op op;		/* first run by br_change_begin(); finish leaves the memory alone */
	enum br_change_kind kind;
	struct br_snapshot **snaps;
	uint32_t n;
	void (*on_end)(struct br_change *c);	/* on the op's queue; NULL: somebody waits for op.ended */
	void *priv;
	int error;			/* out, beside op.error */
	/* private */
	struct br_control control;
	struct br_range_hold *turns;	/* one a family */
	struct br_family **families;
	struct br_dev **faces;
	struct br_chan **chans;		/* base and store of each snapshot, on the op's queue */
	uint32_t nr_families, nr_faces, i, nr_turns, nr_drained, nr_registered;
	bool locked, draining;
	_Atomic bool expired;		/* br_change_expire() */
	struct br_req req;
	struct br_snap_invalidate *marks;
};

/* Prepare and start on @q, which the caller owns.  c->kind, snaps, n are set; snaps must live until the end. */
int br_change_begin(struct br_change *c, struct br_queue *q);
/* Time is up: if it still waits for requests to finish, it gives up with -ETIMEDOUT, nothing changed. */
void br_change_expire(struct br_change *c);
void br_change_done(struct br_change *c);	/* after the end: give the memory back */
/* All at once, blocking, on a queue of its own. */
int br_change_run(struct br_ctx *ctx, enum br_change_kind kind, struct br_snapshot **snaps, uint32_t n,
		  uint64_t deadline_ns);

#endif /* BR_TARGET_SNAPSHOT_H */
