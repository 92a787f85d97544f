/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a store's metadata from the text that snap-dump.h describes.  Data is never touched: it must be there before.
 *
 *	br_snap_restore_new(env, &io, &rs);
 *	r = br_snap_restore_line(rs, line, len);	for each line, until one fails
 *	r = br_snap_restore_end(rs, &count);		was there an end line?
 *	br_snap_restore_free(rs);
 *
 * Until the end line is in, the store is blank; so it stays if a line fails, and after a crash.
 */
#ifndef BR_META_SNAP_RESTORE_H
#define BR_META_SNAP_RESTORE_H

#include "meta/snap-check.h"

struct br_snap_restore;

/* @io without write: only check the dump.  The store is made blank by the first map (or end) and whole by end. */
int br_snap_restore_new(const struct blkremap_env *env, const struct br_snap_io *io, struct br_snap_restore **ret);
/* One line, with or without newline.  -EBADMSG: it cannot be, see the sentence; -ENOSPC: @io is too small. */
int br_snap_restore_line(struct br_snap_restore *rs, const char *line, size_t len);
/* The text has ended: 0 if it was whole, with the number of exceptions in @ret_count. */
int br_snap_restore_end(struct br_snap_restore *rs, uint64_t *ret_count);
void br_snap_restore_free(struct br_snap_restore *rs);

#endif /* BR_META_SNAP_RESTORE_H */
