/* SPDX-License-Identifier: BSD-3-Clause */
/* Jobs: long work that goes on by itself, on the context's service queue. */
#ifndef BR_API_JOB_H
#define BR_API_JOB_H

#include "api/handle.h"
#include "target/merge.h"
#include "target/snapshot.h"

struct blkremap_job {
	struct blkremap_ctx *ctx;
	struct blkremap_dev *handle;	/* counted among its users until the job's handle is freed; NULL for take */
	struct br_dev *dev;		/* open as long as handle is; NULL for take */
	uint64_t id;
	uint32_t kind;
	struct br_task begin;		/* on the service queue */
	struct blkremap_job_opts opts;
	uint64_t started_ns;
	/* what does the work, by kind */
	_Atomic(struct br_merge *) merge;
	struct br_change change;
	struct br_snapshot *snaps[64];
	struct br_gate gate;
	struct br_timer timer;		/* of opts.timeout_ns */
	bool timed;			/* on the service queue: it is armed, or its task is under way */
	bool ended;			/* likewise: the work is done, only that task is waited for */
	int ended_error;
	struct br_op op;		/* commit */
	struct br_chan *chan;
	struct br_req req;
	struct br_control control;
	/* under core.lock */
	struct blkremap_job *next;	/* of handle->jobs: those that run */
	bool over, freed, canceled, paused;
	int32_t result;
	uint32_t code;
	char text[160];
};

/* blkremap_snapshot_take() with a job; the handles of @snaps are the caller's and have been made. */
int br_job_take(struct blkremap_ctx *ctx, struct br_snapshot **snaps, uint32_t n, int64_t timeout_ns,
		struct blkremap_job **ret_job);

/* snapshot.c */
int br_snapshot_check_drop(struct br_snapshot *s);
int br_snapshot_after_drop(struct br_snapshot *s);
void br_snapshot_tell_added(struct br_snapshot **snaps, uint32_t n);

#endif /* BR_API_JOB_H */
