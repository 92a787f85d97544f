/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that block: I/O of one request, suspend and resume, commit, rescan. */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "base/error.h"

/* ---- queues to block on ------------------------------------------------------------------------------------------ */

int br_sync_borrow(struct blkremap_dev *dev, struct br_idle_sync **ret)
{
	struct br_ctx *core = &dev->ctx->core;
	struct br_idle_sync *s;
	int r;

	br_ctx_lock(core);
	s = dev->idle;
	if (s)
		dev->idle = s->next;
	br_ctx_unlock(core);
	if (!s) {
		s = br_alloc_aligned(core->env, sizeof(*s), BR_CACHE_LINE);
		if (!s)
			return br_error(-ENOMEM, "no memory for a queue");
		r = br_sync_open(&s->sync, core, dev->dev);
		if (r < 0) {
			br_free(core->env, s, sizeof(*s));
			return r;
		}
	}
	*ret = s;
	return 0;
}

void br_sync_return(struct blkremap_dev *dev, struct br_idle_sync *s)
{
	struct br_ctx *core = &dev->ctx->core;

	br_ctx_lock(core);
	s->next = dev->idle;
	dev->idle = s;
	br_ctx_unlock(core);
}

int br_may_write(struct blkremap_dev *dev)
{
	struct br_dev *by = atomic_load(&dev->dev->claimed_by);

	if (dev->rdonly)
		return br_error(-EROFS, "%s is open for reading only", dev->dev->name);
	if (by)
		return br_error(-EBUSY, "%s is part of %s, which alone may write to it", dev->dev->name, by->name);
	return 0;
}

/* ---- one request ------------------------------------------------------------------------------------------------- */

static int one(struct blkremap_dev *dev, struct br_req *req)
{
	static const char *const what[] = { "read", "write", "flush", "discard", "write-zeroes", "extents", "release" };
	struct br_idle_sync *s = NULL;
	int r = br_sync_borrow(dev, &s);

	if (r < 0)
		return r;
	r = br_sync_submit(&s->sync, s->sync.chan, req);
	br_sync_return(dev, s);
	if (r < 0)
		br_error(r, "%s: %s of %" PRIu64 " bytes at offset %" PRIu64 " failed: %s", dev->dev->name,
			 what[req->op], req->length, req->offset, blkremap_code_text(req->code));
	return r;
}

int blkremap_pread(struct blkremap_dev *dev, void *buf, size_t len, uint64_t off, uint32_t flags)
{
	struct iovec iov = { buf, len };
	struct br_req req = { .op = BR_READ, .flags = flags, .offset = off, .length = len, .iov = &iov, .iovcnt = 1 };

	if (!dev || (!buf && len) || flags & ~(uint32_t)BLKREMAP_BACKGROUND)
		return br_error(-EINVAL, "read: no device, no buffer, or unknown flags");
	return one(dev, &req);
}

int blkremap_pwrite(struct blkremap_dev *dev, const void *buf, size_t len, uint64_t off, uint32_t flags)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct br_req req = { .op = BR_WRITE, .flags = flags, .offset = off, .length = len, .iov = &iov, .iovcnt = 1 };
	int r;

	if (!dev || (!buf && len) || flags & ~(uint32_t)(BLKREMAP_FUA | BLKREMAP_UNSTABLE | BLKREMAP_BACKGROUND))
		return br_error(-EINVAL, "write: no device, no buffer, or unknown flags");
	r = br_may_write(dev);
	return r < 0 ? r : one(dev, &req);
}

int blkremap_flush(struct blkremap_dev *dev)
{
	struct br_req req = { .op = BR_FLUSH };

	return dev ? one(dev, &req) : br_error(-EINVAL, "flush: no device");
}

static int change_range(struct blkremap_dev *dev, uint32_t op, uint64_t off, uint64_t len, uint32_t flags)
{
	struct br_req req = { .op = op, .flags = flags, .offset = off, .length = len };
	int r = br_may_write(dev);

	return r < 0 ? r : one(dev, &req);
}

int blkremap_discard(struct blkremap_dev *dev, uint64_t off, uint64_t len, uint32_t flags)
{
	if (!dev || flags & ~(uint32_t)(BLKREMAP_FUA | BLKREMAP_BACKGROUND))
		return br_error(-EINVAL, "discard: no device, or unknown flags");
	return change_range(dev, BR_DISCARD, off, len, flags);
}

int blkremap_write_zeroes(struct blkremap_dev *dev, uint64_t off, uint64_t len, uint32_t flags)
{
	if (!dev || flags & ~(uint32_t)(BLKREMAP_FUA | BLKREMAP_MAY_UNMAP | BLKREMAP_FAST_ONLY | BLKREMAP_BACKGROUND))
		return br_error(-EINVAL, "write-zeroes: no device, or unknown flags");
	return change_range(dev, BR_WRITE_ZEROES, off, len, flags);
}

/* Exceptions are durable before anything that depends on them is acknowledged, so what is left is the data. */
int blkremap_commit(struct blkremap_dev *dev)
{
	return blkremap_flush(dev);
}

/* ---- suspend and resume ------------------------------------------------------------------------------------------ */

/*
 *	lock(control)
 *	drain(dev); flush(dev)		# what was acknowledged is durable
 *	or open the gates again
 *	unlock(control)
 */
enum { S_LOCK, S_CHAN, S_DRAIN, S_FLUSH, S_RESUME, S_UNLOCK };

static struct br_gate *to_gate(struct br_op *op)
{
	return br_container_of(op, struct br_gate, op);
}

static int step_lock(struct br_op *op)
{
	struct br_gate *g = to_gate(op);

	br_control_lock(op->queue->ctx, &g->control, op);
	return br_op_await(op, g->close ? S_CHAN : S_RESUME);
}

static int step_chan(struct br_op *op)
{
	struct br_gate *g = to_gate(op);
	int r = br_chan_get(op->queue, g->dev, &g->chan);

	return r < 0 ? br_op_fail(op, r) : S_DRAIN;
}

static int step_drain(struct br_op *op)
{
	if (atomic_load(&to_gate(op)->expired))
		return br_op_fail(op, -ETIMEDOUT);
	br_dev_drain(to_gate(op)->dev, op);
	return br_op_await(op, S_FLUSH);
}

static int step_flush(struct br_op *op)
{
	struct br_gate *g = to_gate(op);

	g->req = (struct br_req){ .op = BR_FLUSH };
	br_op_submit_inside(op, g->chan, &g->req);
	return br_op_await(op, S_UNLOCK);
}

static int step_resume(struct br_op *op)
{
	br_dev_resume(to_gate(op)->dev, op);
	return br_op_await(op, S_UNLOCK);
}

static int step_unlock(struct br_op *op)
{
	br_chan_put(to_gate(op)->chan);
	br_control_unlock(op->queue->ctx);
	return BR_OP_END;
}

static void gate_finish(struct br_op *op, int error)
{
	struct br_gate *g = to_gate(op);

	if (g->on_end)
		g->on_end(g, error);
}

static const struct br_op_step gate_steps[] = {
	[S_LOCK] = { "lock", step_lock, BR_OP_END },
	[S_CHAN] = { "chan", step_chan, S_UNLOCK },
	[S_DRAIN] = { "drain", step_drain, S_UNLOCK },
	[S_FLUSH] = { "flush", step_flush, S_UNLOCK },
	[S_RESUME] = { "resume", step_resume, S_UNLOCK },
	[S_UNLOCK] = { "unlock", step_unlock, BR_OP_END },
};

const struct br_op_class br_gate_class = { "gate", gate_finish, gate_steps };

static int run_gate(struct blkremap_dev *dev, struct br_gate *g, uint64_t deadline_ns)
{
	struct br_ctx *core = &dev->ctx->core;
	struct br_idle_sync *s;
	struct br_queue *q;
	int r = br_sync_borrow(dev, &s);

	if (r < 0)
		return r;
	q = &s->sync.queue;
	g->dev = dev->dev;
	br_queue_enter(q);
	br_op_start(&g->op, &br_gate_class, q);
	if (!br_block(core, q, br_op_ended, &g->op, deadline_ns)) {
		atomic_store(&g->expired, true);
		br_dev_drain_cancel(dev->dev, &g->op);
		br_block(core, q, br_op_ended, &g->op, BR_NEVER);
	}
	br_queue_leave(q);
	br_sync_return(dev, s);
	return g->op.error;
}

int blkremap_suspend(struct blkremap_dev *dev, uint32_t flags, int64_t timeout_ns)
{
	struct br_gate g = { .close = true };
	int r;

	if (!dev || flags)
		return br_error(-EINVAL, "suspend: no device, or unknown flags");
	r = run_gate(dev, &g, timeout_ns < 0 ? BR_NEVER : br_now(dev->ctx->core.env) + (uint64_t)timeout_ns);
	if (r == -ETIMEDOUT)
		return br_error(r, "%s: requests are still in flight", dev->dev->name);
	return r < 0 ? br_error(r, "%s: what was written could not be made durable", dev->dev->name) : 0;
}

int blkremap_resume(struct blkremap_dev *dev)
{
	struct br_gate g = { .close = false };

	if (!dev)
		return br_error(-EINVAL, "resume: no device");
	if (!br_dev_is_suspended(dev->dev))
		return br_error(-EINVAL, "%s is not suspended", dev->dev->name);
	return run_gate(dev, &g, BR_NEVER);
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

int br_dev_resize(struct br_dev *d, uint64_t bytes)
{
	uint64_t before = atomic_load(&d->bytes), now;
	struct br_event e = { .type = BLKREMAP_EV_RESIZED, .dev_id = d->id };
	int r;

	if (!d->ops->resize)
		return bytes ? br_error(-EOPNOTSUPP, "%s: a %s cannot change its size", d->name, d->ops->type) : 0;
	r = d->ops->resize(d, bytes, &now);
	if (r < 0 || now == before)
		return r;
	e.value[0] = now;
	e.value[1] = before;
	br_ctx_event(d->ctx, &e);
	return 0;
}

int blkremap_rescan(struct blkremap_dev *dev)
{
	return dev ? br_dev_resize(dev->dev, 0) : br_error(-EINVAL, "rescan: no device");
}
