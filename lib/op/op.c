/* SPDX-License-Identifier: BSD-3-Clause */
#include "op/op.h"

#include "base/compiler.h"

static void record_error(struct br_op *op, int error)
{
	if (error && !op->error)
		op->error = error;
}

/* The last launched piece is done: where does it go? */
static int unpark(struct br_op *op)
{
	op->pending = 1;
	return op->error ? op->cls->steps[op->step].on_error : op->next;
}

static void run(struct br_op *op, int step)
{
	const struct br_op_class *cls = op->cls;

	while (step != BR_OP_END) {
		op->step = step;
		step = cls->steps[step].run(op);
		if (step == BR_OP_PARKED)
			return;
	}
	op->queue->ops--;
	op->ended = true;
	if (cls->finish)
		cls->finish(op, op->error);
}

static void resume(struct br_task *task)
{
	struct br_op *op = br_container_of(task, struct br_op, resume);

	run(op, unpark(op));
}

/*
 * Whoever counts first posts the task, later ones ride along.  The order of the two exchanges matters: an error is
 * stored before its grant is counted, so none that is counted here has an error that is not seen.
 */
static void granted(struct br_task *task)
{
	struct br_op *op = br_container_of(task, struct br_op, grant);

	uint32_t n = atomic_exchange(&op->grants, 0);
	int error = atomic_exchange(&op->grant_error, 0);

	record_error(op, error);
	while (n-- > 0)
		br_op_done(op, 0);
}

void br_op_start(struct br_op *op, const struct br_op_class *cls, struct br_queue *queue)
{
	op->resume.run = resume;
	op->grant.run = granted;
	op->cls = cls;
	op->queue = queue;
	op->pending = 1;
	op->error = 0;
	op->ended = false;
	atomic_store_explicit(&op->grants, 0, memory_order_relaxed);
	atomic_store_explicit(&op->grant_error, 0, memory_order_relaxed);
	queue->ops++;
	run(op, 0);
}

void br_op_launch(struct br_op *op)
{
	op->pending++;
}

void br_op_done(struct br_op *op, int error)
{
	record_error(op, error);
	if (--op->pending == 0)
		br_queue_ready(op->queue, &op->resume);
}

void br_op_grant(struct br_op *op, int error)
{
	int none = 0;

	if (error)
		atomic_compare_exchange_strong(&op->grant_error, &none, error);
	if (atomic_fetch_add(&op->grants, 1) == 0)
		br_queue_post(op->queue, &op->grant);
}

/* A step that launched nothing, or whose launches are all done, goes on at once. */
int br_op_await(struct br_op *op, int next)
{
	op->next = next;
	return --op->pending == 0 ? unpark(op) : BR_OP_PARKED;
}

int br_op_fail(struct br_op *op, int error)
{
	record_error(op, error);
	return op->cls->steps[op->step].on_error;
}

void br_op_clear_error(struct br_op *op)
{
	op->error = 0;
}

bool br_op_ended(void *arg)
{
	struct br_op *op = arg;

	return op->ended;
}
