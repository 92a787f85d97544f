/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing the metadata of a store anew, from the first entry to the last, for restore and repair.
 *
 *	br_snap_rewrite_begin(&w, env, &io, &layout);	no store any more: the header is blank, durably
 *	br_snap_rewrite_put(&w, entry);			...
 *	br_snap_rewrite_end(&w, valid);			a store, durably
 *	br_snap_rewrite_done(&w);			gives the memory back, in any case
 *
 * A crash in between leaves a blank header: never half a store that looks whole.
 */
#ifndef BR_META_SNAP_REWRITE_H
#define BR_META_SNAP_REWRITE_H

#include "meta/snap-check.h"

struct br_snap_rewrite {
	const struct blkremap_env *env;
	const struct br_snap_io *io;
	struct br_snap_layout layout;
	uint64_t count;			/* entries so far */
	uint8_t *piece;			/* of the area that the next one goes to */
};

int br_snap_rewrite_begin(struct br_snap_rewrite *w, const struct blkremap_env *env, const struct br_snap_io *io,
			  const struct br_snap_layout *layout);
/* @e is good (br_snap_entry_fault()), and there is room for it: br_snap_may_allocate(layout, count, e.new_chunk). */
int br_snap_rewrite_put(struct br_snap_rewrite *w, struct br_snap_entry e);
/* Data that was written through the same io before is durable, too, when the header is. */
int br_snap_rewrite_end(struct br_snap_rewrite *w, bool valid);
void br_snap_rewrite_done(struct br_snap_rewrite *w);

#endif /* BR_META_SNAP_REWRITE_H */
