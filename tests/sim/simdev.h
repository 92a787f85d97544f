/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A simulated disk as a device of the library: a leaf, engine "sim".
 *
 * A submitted request stays in flight until the scheduler lets it complete, in any order.  What it does to the disk it
 * does at that moment (a write is a candidate of every crash from its submission on, a read sees what is visible when
 * it completes).  A flush covers what had completed before it was submitted.  Buffers of writes are looked at twice:
 * one that changed while it was in flight fails the run.
 */
#ifndef SIM_SIMDEV_H
#define SIM_SIMDEV_H

#include "io/dev.h"
#include "sim/world.h"

/* One request in flight. */
struct sim_op {
	struct br_list link;		/* of sim_world.ops, or of its source when it has completed */
	struct br_list all_link;	/* of sim_world.all_ops */
	struct sim_world *world;
	struct sim_disk *disk;
	struct br_source *source;
	struct br_req *req;
	struct sim_write *write;	/* WRITE, DISCARD, WRITE_ZEROES */
	uint64_t flush_at;		/* FLUSH, and the flush that makes up for a missing FUA */
	bool flushing;
	int action;			/* of the rule that hit it */
	uint64_t id, prio;
};

/* The caller gets the first reference. */
int sim_dev_open(struct br_ctx *ctx, struct sim_world *w, struct sim_disk *disk, const char *name,
		 struct br_dev **ret_dev);

/* For the scheduler. */
bool sim_op_is_stuck(const struct sim_op *op);
void sim_op_finish(struct sim_op *op);
void sim_op_free(struct sim_op *op);	/* of a world that is being torn down */

#endif /* SIM_SIMDEV_H */
