/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Merging that leaves the store as it is: what the snapshot has in its store is written over the origin, and stays in
 * the store as well.  The snapshot reads the same before, meanwhile and afterwards, so doing it again from the
 * beginning is all that a crash asks for.
 *
 *	struct ctl_keep keep = { .ctx = ctx, .snap = snap, .stack = "vol.blkr", .origin = "base", .progress = &p };
 *
 *	code = ctl_keep_run(&keep);
 *	if (!code && keep.done == keep.total)
 *		the origin is what the snapshot is
 */
#ifndef CTL_KEEP_H
#define CTL_KEEP_H

#include <blkremap/blkremap.h>
#include "progress.h"
#include "range.h"

struct ctl_keep {
	struct blkremap_ctx *ctx;
	struct blkremap_dev *snap; /* open for writing: nobody else has either file */
	const char *stack; /* "FILE" or "FILE#SECTION" */
	const char *origin; /* the name of its section: a plain device, not one of type origin */
	struct ctl_progress *progress;
	struct ctl_rate rate;
	uint64_t done, total; /* bytes; total is known after a run that was not stopped */
	struct blkremap_dev *to;
	unsigned char *buf;
};

/* An exit code.  CTL_OK also when a signal stopped it, with done < total. */
int ctl_keep_run(struct ctl_keep *k);

#endif /* CTL_KEEP_H */
