/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store's metadata as text, for people; snap-restore.h turns it back.
 *
 *	snapshot-store 1
 *	chunk-bytes 65536
 *	valid yes
 *	chunks 16800			of the store it was made from
 *	map 0 2 3			old chunks 0, 1, 2 lie in new chunks 2, 3, 4
 *	map 8 5 1
 *	end 4				the number of exceptions, so that a dump cut short is not taken for whole
 *
 * Numbers are decimal, a # begins a comment that goes to the end of the line, empty lines mean nothing.  The order
 * is the table's.  What is wrong with a damaged store stands in comments: "# lost: exception ...".  Restoring a dump to
 * the device that it was made from gives back the same header and areas, bit by bit; data is never touched.
 */
#ifndef BR_META_SNAP_DUMP_H
#define BR_META_SNAP_DUMP_H

#include "meta/snap-check.h"

/* Call @out with each line, newline included, no 0 after it; not 0 ends it.  Results as br_snap_check(). */
int br_snap_dump(const struct blkremap_env *env, const struct br_snap_io *io, const struct br_snap_check_opts *opts,
		 int (*out)(void *arg, const char *line, size_t len), void *arg, struct br_snap_verdict *ret);

#endif /* BR_META_SNAP_DUMP_H */
