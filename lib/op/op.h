/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ops: asynchronous work written as a table of small steps.
 *
 * An op is one piece of asynchronous work: one write that must copy first, one commit.  Its class has one row per step,
 * in the order in which a successful op visits them.  A step does a little work that never blocks, and its return
 * statement says where the op goes next:
 *
 *	return S_COPY;                    go there now
 *	return br_op_await(op, S_COPY);   go there when all that this step launched is done
 *	return br_op_fail(op, -ENOSPC);   go to this row's .on_error
 *	return BR_OP_END;                 finished: cls->finish() takes over
 *
 * Whatever a step launches calls br_op_launch() once and br_op_done() exactly once, on the op's own queue.  If any of
 * it fails, the first error sticks and the op goes to the .on_error of the row that awaited.  Something that is
 * finished on another queue (a lock granted, a commit that somebody else ran) comes home through br_op_grant(), any
 * thread.
 *
 * Ownership: whoever runs the op owns it.  br_op_await() gives it away; a step must not touch the op after that call.
 *
 * Locking: none.  All steps of an op run on op->queue, one after another, under the queue's owner word.
 */
#ifndef BR_OP_OP_H
#define BR_OP_OP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "op/queue.h"
#include "op/task.h"

struct br_op;

enum { BR_OP_END = -1, BR_OP_PARKED = -2 };

struct br_op_step {
	const char *name;		/* for traces, never NULL */
	int (*run)(struct br_op *op);
	int on_error;			/* a step, or BR_OP_END */
};

struct br_op_class {
	const char *name;
	void (*finish)(struct br_op *op, int error);	/* consumes op; NULL: somebody waits for br_op_ended() */
	const struct br_op_step *steps;
};

/* Embed it; the fields are private to op.c. */
struct br_op {
	struct br_task resume;		/* queued when the last launched piece is done */
	struct br_task grant;		/* posted by br_op_grant() */
	const struct br_op_class *cls;
	struct br_queue *queue;
	int step, next;
	uint32_t pending;		/* launched and not done, + 1 while a step runs */
	bool ended;			/* for owners that wait, see br_op_ended() */
	int error;			/* the first one, or 0 */
	_Atomic uint32_t grants;	/* br_op_grant()s that have not come home */
	_Atomic int grant_error;	/* the first error among them */
};

/* Begin.  Owner of @queue only; the first steps run inside this call. */
void br_op_start(struct br_op *op, const struct br_op_class *cls, struct br_queue *queue);
void br_op_launch(struct br_op *op);
void br_op_done(struct br_op *op, int error);		/* owner of op->queue only */
/* any thread: br_op_done() on its queue; several may be under way */
void br_op_grant(struct br_op *op, int error);
int br_op_await(struct br_op *op, int next);
int br_op_fail(struct br_op *op, int error);		/* before launching anything in this step */
void br_op_clear_error(struct br_op *op);		/* a step that has dealt with it */
/* For ops whose finish() leaves the memory alone: has it finished?  @arg is the op; fits br_block(). */
bool br_op_ended(void *arg);

#endif /* BR_OP_OP_H */
