/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stories: scenarios about one origin and its snapshots, told by their users' calls alone, with the model listening.
 *
 * A story's body is plain blocking code in one or more tasks.  Each call here tells the model, calls the library, and
 * tells the model what came of it; each read is checked.  Verification of a crash image needs no code of the story's
 * own: open what must be there, read everything, check the stores, go on with a merge, write, flush, read, close, open
 * again.
 *
 *	static int body(struct story *s)
 *	{
 *		story_write(s, ORIGIN, 0, 8, 0);
 *		story_take(s, 1);
 *		story_watch(s);			from here on crashes count
 *		story_write(s, ORIGIN, 3, 1, STORY_FUA);
 *		story_read(s, 1, 0, 8);
 *		return 0;
 *	}
 */
#ifndef SIM_STORY_H
#define SIM_STORY_H

#include "sim/model.h"
#include "sim/world.h"

enum { ORIGIN = 0, STORY_SNAPS = 3, STORY_FUA = 1 };

struct blkremap_ctx;
struct blkremap_dev;
struct blkremap_job;
struct story;

struct story_plan {
	const char *name;
	int (*body)(struct story *s);
	uint64_t sectors;			/* of the origin */
	uint32_t chunk[STORY_SNAPS];		/* bytes, of snapshots 1, 2, 3 */
	uint32_t store_sectors[STORY_SNAPS];
	uint32_t when_full;			/* BLKREMAP_FULL_* */
	struct sim_disk_kind kind;
	uint32_t block_bytes;			/* of all disks; 0: 512 */
	/* small enough that all schedules can be run, at least without crashes */
	bool exhaustive;
	bool no_crashes;
	bool must_fail;				/* a canary: not run unless named */
};

/* One opened stack, in one world. */
struct story {
	struct sim_world *w;
	const struct story_plan *plan;
	struct sim_model *m;			/* w->user */
	struct blkremap_ctx *ctx;
	struct blkremap_dev *base, *vol[1 + STORY_SNAPS];	/* by number of the model's volume; NULL: not open */
	struct blkremap_job *merge;
	uint64_t rng;				/* for bodies that draw lots; the schedule's seed */
};

/* 0, or an error that the model does not permit has been recorded and the run ends soon. */
int story_write(struct story *s, uint32_t vol, uint64_t lba, uint32_t n, uint32_t flags);
int story_read(struct story *s, uint32_t vol, uint64_t lba, uint32_t n);
int story_flush(struct story *s, uint32_t vol);
int story_take(struct story *s, uint32_t vol);
/*
 * Attach a store that another implementation formatted, before anything is written: chunks below 4 KiB are permitted,
 * and behind the end of its table, of @entries that map to zeroes, lie others that look good (a torn write of a whole
 * area leaves such).
 */
int story_adopt(struct story *s, uint32_t vol, uint32_t entries);
int story_merge(struct story *s, uint32_t vol);		/* start it */
int story_merge_wait(struct story *s, uint32_t vol);
int story_drop(struct story *s, uint32_t vol);
int story_suspend(struct story *s, uint32_t vol);
int story_resume(struct story *s, uint32_t vol);
void story_watch(struct story *s);
/* One more user: a task that runs @fn(s). */
void story_spawn(struct story *s, int (*fn)(struct story *s));
void story_join(struct story *s);
void story_yield(struct story *s);

/* For the explorer: tasks whose argument is the plan. */
int story_tell(struct sim_world *w, void *plan);
int story_verify(struct sim_world *w, void *plan);

extern const struct story_plan story_plans[];
extern const uint32_t nr_story_plans;

#endif /* SIM_STORY_H */
