/* SPDX-License-Identifier: BSD-3-Clause */
/* Merge: fold a snapshot back into its base, online.  Essay and steps in merge.c. */
#ifndef BR_TARGET_MERGE_H
#define BR_TARGET_MERGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "remap/throttle.h"

struct br_ctx;
struct br_merge;
struct br_snapshot;

struct br_merge_cfg {
	uint64_t bytes_per_s, iops;	/* 0: no limit */
	bool paused;
	void (*on_end)(void *arg, int error);	/* once, on the service queue: 0, -ECANCELED, or what went wrong */
	void *arg;
};

/*
 * Start on the service queue a merge of @s, which is in merging mode (BR_CHANGE_MERGE).  Owner of no queue.  @s must
 * stay open until on_end().
 */
int br_merge_start(struct br_snapshot *s, const struct br_merge_cfg *cfg, struct br_merge **ret);
void br_merge_set_rate(struct br_merge *m, uint64_t bytes_per_s, uint64_t iops);
void br_merge_pause(struct br_merge *m, bool on);	/* between two rounds */
void br_merge_cancel(struct br_merge *m);		/* after the round under way */
uint64_t br_merge_done_bytes(struct br_merge *m);
uint64_t br_merge_total_bytes(struct br_merge *m);
void br_merge_free(struct br_merge *m);			/* after on_end() */

#endif /* BR_TARGET_MERGE_H */
