/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving what can be saved of a damaged or invalid store, into a new one: every good exception with its data, in the
 * table's order, packed.  The damaged store is only read.
 *
 *	br_snap_repair(env, &from, &opts, NULL, &visitor, &plan);	what is there to keep, and the room it takes
 *	br_snap_repair(env, &from, &opts, &to, &visitor, &done);	keep it
 *
 * What is lost reads as the origin is now.  Of an invalid store also chunks are missing that nothing names: those that
 * the origin overwrote when it had been given up.
 */
#ifndef BR_META_SNAP_REPAIR_H
#define BR_META_SNAP_REPAIR_H

#include "meta/snap-check.h"

struct br_snap_repair_visitor {
	/* What is wrong with the old store, but for single entries: see lost().  Not 0 ends it; may be NULL. */
	int (*finding)(void *arg, const struct br_snap_finding *f);
	int (*begin)(void *arg, const struct br_snap_verdict *v);	/* the layout is known; likewise */
	/* The snapshot's chunk @old_chunk is not in the new store; @text: why.  Likewise. */
	int (*lost)(void *arg, uint64_t old_chunk, uint64_t index, const char *text);
	void *arg;
};

struct br_snap_repaired {
	struct br_snap_verdict was;
	uint64_t kept, lost;
	uint64_t bytes_needed;		/* of a store with room for what was kept */
};

/*
 * @to NULL: only look (with opts->deep at the data, too; with @to it is read in any case).  The new store is blank
 * until it is whole, and valid then.
 * Results as br_snap_check(); -ENOSPC: @to is too small; whatever writing to it gives.
 */
int br_snap_repair(const struct blkremap_env *env, const struct br_snap_io *from, const struct br_snap_check_opts *opts,
		   const struct br_snap_io *to, const struct br_snap_repair_visitor *visitor,
		   struct br_snap_repaired *ret);

#endif /* BR_META_SNAP_REPAIR_H */
