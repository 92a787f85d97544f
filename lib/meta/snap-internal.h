/* SPDX-License-Identifier: BSD-3-Clause */
/* What snap-store.c (commit) and snap-store-io.c (format, load, mark, merge) share. */
#ifndef BR_META_SNAP_INTERNAL_H
#define BR_META_SNAP_INTERNAL_H

#include "meta/snap-store.h"

uint64_t br_snap_entries_per_page(const struct br_snap_store *s);
uint64_t br_snap_page_offset(const struct br_snap_store *s, uint64_t n);
/*
 * Start an op that works on the store's pages through @chan; @parent (may be NULL) is launched on and done at its end.
 */
void br_snap_work_start(struct br_snap_work *io, const struct br_op_class *cls, struct br_chan *chan,
			struct br_op *parent);
void br_snap_work_page(struct br_snap_work *io, struct br_req template, void *buf);
void br_snap_work_simple(struct br_snap_work *io, uint32_t op, uint64_t offset, uint64_t length);

#endif /* BR_META_SNAP_INTERNAL_H */
