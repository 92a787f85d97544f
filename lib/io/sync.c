/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/sync.h"

#include <errno.h>

/* ---- the control lock -------------------------------------------------------------------------------------------- */

struct control {
	struct br_op op;
	struct br_control control;
};

static int step_lock(struct br_op *op)
{
	struct control *c = br_container_of(op, struct control, op);

	br_control_lock(op->queue->ctx, &c->control, op);
	return br_op_await(op, 1);
}

static int step_locked(struct br_op *op)
{
	(void)op;
	return BR_OP_END;
}

static const struct br_op_step control_steps[] = {
	{ "lock", step_lock, BR_OP_END },
	{ "locked", step_locked, BR_OP_END },
};

static const struct br_op_class control_class = { "control", NULL, control_steps };

void br_sync_control(struct br_queue *q)
{
	struct control c = { 0 };

	br_op_start(&c.op, &control_class, q);
	br_block(q->ctx, q, br_op_ended, &c.op, BR_NEVER);
}

/* ---- a queue of one's own ---------------------------------------------------------------------------------------- */

int br_sync_open(struct br_sync *s, struct br_ctx *ctx, struct br_dev *dev)
{
	int r = br_queue_init(&s->queue, ctx, false);

	s->chan = NULL;
	if (r < 0)
		return r;
	br_queue_enter(&s->queue);
	if (dev) {
		br_sync_control(&s->queue);
		r = br_chan_get(&s->queue, dev, &s->chan);
		br_control_unlock(ctx);
	}
	br_queue_leave(&s->queue);
	if (r < 0)
		br_queue_done(&s->queue);
	return r;
}

void br_sync_close(struct br_sync *s)
{
	br_queue_enter(&s->queue);
	br_block(s->queue.ctx, &s->queue, br_queue_is_quiet, &s->queue, BR_NEVER);
	br_sync_control(&s->queue);
	br_chan_put(s->chan);
	br_control_unlock(s->queue.ctx);
	br_queue_leave(&s->queue);
	br_queue_done(&s->queue);
}

static void sync_done(struct br_req *req)
{
	*(bool *)req->priv = true;
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

int br_sync_submit(struct br_sync *s, struct br_chan *chan, struct br_req *req)
{
	bool done = false;
	int r = br_queue_enter(&s->queue);

	if (r < 0)
		return r;
	req->done = sync_done;
	req->priv = &done;
	br_submit(chan, req);
	br_block(s->queue.ctx, &s->queue, is_true, &done, BR_NEVER);
	br_queue_leave(&s->queue);
	return req->result;
}

int br_sync_read(struct br_sync *s, void *buf, uint64_t len, uint64_t off)
{
	struct iovec iov = { buf, len };
	struct br_req req = { .op = BR_READ, .offset = off, .length = len, .iov = &iov, .iovcnt = 1 };

	return br_sync_submit(s, s->chan, &req);
}

int br_sync_write(struct br_sync *s, const void *buf, uint64_t len, uint64_t off, uint32_t flags)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct br_req req = { .op = BR_WRITE, .flags = flags, .offset = off, .length = len, .iov = &iov, .iovcnt = 1 };

	return br_sync_submit(s, s->chan, &req);
}

int br_sync_simple(struct br_sync *s, uint32_t op, uint64_t off, uint64_t len, uint32_t flags)
{
	struct br_req req = { .op = op, .flags = flags, .offset = off, .length = len };

	return br_sync_submit(s, s->chan, &req);
}

int br_sync_op(struct br_sync *s, struct br_op *op, const struct br_op_class *cls, uint64_t deadline_ns)
{
	bool ended;
	int r = br_queue_enter(&s->queue);

	if (r < 0)
		return r;
	br_op_start(op, cls, &s->queue);
	ended = br_block(s->queue.ctx, &s->queue, br_op_ended, op, deadline_ns);
	br_queue_leave(&s->queue);
	return ended ? op->error : -ETIMEDOUT;
}
