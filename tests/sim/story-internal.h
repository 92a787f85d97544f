/* SPDX-License-Identifier: BSD-3-Clause */
/* What story.c and story-stack.c share. */
#ifndef SIM_STORY_INTERNAL_H
#define SIM_STORY_INTERNAL_H

#include "blkremap/blkremap.h"
#include "sim/story.h"

/* Record a failure of the library; returns -EPROTO. */
int story_complain(struct story *s, const char *what, uint32_t vol, int r);
int story_open_store(struct story *s, uint32_t vol, struct blkremap_dev **ret);
struct sim_disk *story_store_disk(struct story *s, uint32_t vol);
struct blkremap_snapshot_opts story_snapshot_opts(const struct story *s, uint32_t vol);
/* Whatever the disk held before: entries that name chunks within bounds, everywhere from there on. */
void story_make_dirty(struct sim_disk *d, uint64_t from);
bool story_should_exist(const struct story *s, uint32_t vol);
/* The whole stack: context, origin, the snapshots that the model says exist. */
int story_open(struct story *s);
int story_close(struct story *s);
int story_check_stores(struct story *s);

#endif /* SIM_STORY_INTERNAL_H */
