/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/dev.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "blkremap/blkremap.h"

/* ---- devices ----------------------------------------------------------------------------------------------------- */

/* "type-12": what a device without a name of its own is called. */
static void make_name(struct br_dev *dev)
{
	char digits[24];
	size_t n = strlen(dev->ops->type), i = sizeof(digits) - 1;
	uint64_t id = dev->id;

	digits[i] = '\0';
	do
		digits[--i] = (char)('0' + id % 10);
	while (id /= 10);
	memcpy(dev->name, dev->ops->type, n);
	dev->name[n] = '-';
	memcpy(dev->name + n + 1, digits + i, sizeof(digits) - i);
}

/* Under ctx->lock. */
static bool name_is_taken(const struct br_ctx *ctx, const char *name)
{
	struct br_list *l;

	br_list_for_each(l, &ctx->devs)
		if (strcmp(br_container_of(l, struct br_dev, ctx_link)->name, name) == 0)
			return true;
	return false;
}

int br_dev_add(struct br_dev *dev, struct br_ctx *ctx, const struct br_dev_ops *ops, const char *name)
{
	int r = 0;

	if (name && strlen(name) >= sizeof(dev->name))
		return br_error(-EINVAL, "name '%s' is longer than %zu bytes", name, sizeof(dev->name) - 1);
	dev->ctx = ctx;
	dev->ops = ops;
	dev->refs = 1;
	br_list_init(&dev->chans);
	br_ctx_lock(ctx);
	do {
		dev->id = ctx->next_id++;
		if (!name)
			make_name(dev);
	} while (!name && name_is_taken(ctx, dev->name));
	if (name && name_is_taken(ctx, name))
		r = -EEXIST;
	else if (name)
		memcpy(dev->name, name, strlen(name) + 1);
	if (r == 0)
		br_list_add_tail(&ctx->devs, &dev->ctx_link);
	br_ctx_unlock(ctx);
	return r < 0 ? br_error(r, "a device named '%s' is open already", name) : 0;
}

void br_dev_like(struct br_dev *dev, const struct br_dev *lower)
{
	atomic_store(&dev->bytes, atomic_load(&lower->bytes));
	atomic_store(&dev->caps, atomic_load(&lower->caps));
	dev->logical_block = lower->logical_block;
	dev->physical_block = lower->physical_block;
	dev->optimal_io = lower->optimal_io;
	dev->buffer_align = lower->buffer_align;
	dev->discard_granularity = lower->discard_granularity;
}

void br_dev_get(struct br_dev *dev)
{
	br_ctx_lock(dev->ctx);
	dev->refs++;
	br_ctx_unlock(dev->ctx);
}

int br_dev_put(struct br_dev *dev)
{
	struct br_ctx *ctx = dev->ctx;
	bool last;

	br_ctx_lock(ctx);
	last = --dev->refs == 0;
	if (last)
		br_list_del(&dev->ctx_link);
	br_ctx_unlock(ctx);
	return last ? dev->ops->close(dev) : 0;
}

int br_dev_claim(struct br_dev *dev, struct br_dev *by)
{
	struct br_dev *holder;

	br_ctx_lock(dev->ctx);
	holder = dev->claimed_by;
	if (!holder)
		dev->claimed_by = by;
	br_ctx_unlock(dev->ctx);
	if (holder && holder != by)
		return br_error(-EBUSY, "%s is part of %s, which alone may write to it", dev->name, holder->name);
	return 0;
}

void br_dev_unclaim(struct br_dev *dev, struct br_dev *by)
{
	br_ctx_lock(dev->ctx);
	if (dev->claimed_by == by)
		dev->claimed_by = NULL;
	br_ctx_unlock(dev->ctx);
}

/* ---- channels ---------------------------------------------------------------------------------------------------- */

static struct br_chan *find_chan(struct br_queue *q, struct br_dev *dev)
{
	struct br_list *l;

	br_list_for_each(l, &q->chans) {
		struct br_chan *c = br_container_of(l, struct br_chan, queue_link);

		if (c->dev == dev)
			return c;
	}
	return NULL;
}

/* From here on broadcasts reach it; a device that is drained at this moment gets a channel that is gated from birth. */
static void publish_chan(struct br_chan *c)
{
	struct br_dev *dev = c->dev;

	br_list_add_tail(&c->queue->chans, &c->queue_link);
	br_ctx_lock(dev->ctx);
	c->gated = dev->suspends != 0;
	br_list_add_tail(&dev->chans, &c->dev_link);
	br_ctx_unlock(dev->ctx);
}

/* A message that is under way must arrive first: it is in our queue's inbox. */
static void leave_device(struct br_chan *c)
{
	bool busy;

	do {
		br_ctx_lock(c->dev->ctx);
		busy = c->msg.busy || c->cancel.busy;
		if (!busy)
			br_list_del(&c->dev_link);
		br_ctx_unlock(c->dev->ctx);
		if (busy)
			br_queue_run(c->queue);
	} while (busy);
}

static void free_chan(struct br_chan *c)
{
	struct br_dev *dev = c->dev;

	leave_device(c);
	br_list_del(&c->queue_link);
	for (unsigned i = 0; i < BR_COUNTS; i++)
		atomic_fetch_add(&dev->counters[i], atomic_load(&c->counts[i]));
	br_free(dev->ctx->env, c, dev->ops->chan_bytes);
}

static struct br_chan *new_chan(struct br_queue *q, struct br_dev *dev)
{
	struct br_chan *c = br_alloc_aligned(dev->ctx->env, dev->ops->chan_bytes, BR_CACHE_LINE);

	if (!c)
		return NULL;
	c->dev = dev;
	c->queue = q;
	br_task_list_init(&c->held);
	publish_chan(c);
	return c;
}

int br_chan_get(struct br_queue *q, struct br_dev *dev, struct br_chan **ret_chan)
{
	struct br_chan *c = find_chan(q, dev);
	int r;

	if (!c)
		c = new_chan(q, dev);
	if (!c)
		return br_error(-ENOMEM, "no memory for a channel to %s", dev->name);
	if (!c->open) {
		r = dev->ops->chan_open ? dev->ops->chan_open(c) : 0;
		if (r < 0) {
			free_chan(c);
			return r;
		}
		c->open = true;
	}
	c->refs++;
	*ret_chan = c;
	return 0;
}

void br_chan_put(struct br_chan *c)
{
	if (!c || --c->refs)
		return;
	if (c->dev->ops->chan_close)
		c->dev->ops->chan_close(c);
	c->open = false;
	free_chan(c);
}

/* ---- submission -------------------------------------------------------------------------------------------------- */

static const uint32_t needed_cap[] = {
	[BR_WRITE] = BR_CAP_WRITE, [BR_DISCARD] = BR_CAP_DISCARD, [BR_WRITE_ZEROES] = BR_CAP_WRITE,
	[BR_EXTENTS] = BR_CAP_EXTENTS,
};

static int refuse(struct br_req *req, int error, uint32_t code)
{
	req->code = code;
	return error;
}

static int check_range(const struct br_dev *dev, struct br_req *req)
{
	uint64_t bytes = atomic_load_explicit(&dev->bytes, memory_order_relaxed);

	if (br_unlikely((req->offset | req->length) & (dev->logical_block - 1)))
		return refuse(req, -EINVAL, BLKREMAP_CODE_NONE);
	if (br_unlikely(req->offset > bytes || req->length > bytes - req->offset))
		return refuse(req, req->op == BR_WRITE ? -ENOSPC : -EIO, BLKREMAP_CODE_BEYOND_END);
	return 0;
}

static int check(const struct br_dev *dev, struct br_req *req)
{
	uint32_t caps = atomic_load_explicit(&dev->caps, memory_order_relaxed), need = needed_cap[req->op];

	if (br_unlikely(need & ~caps)) {
		if (need != BR_CAP_WRITE)
			return refuse(req, -EOPNOTSUPP, BLKREMAP_CODE_UNSUPPORTED);
		return refuse(req, -EROFS, BLKREMAP_CODE_READ_ONLY);
	}
	return req->op == BR_FLUSH ? 0 : check_range(dev, req);
}

static void req_task(struct br_task *task)
{
	struct br_req *req = br_container_of(task, struct br_req, task);

	req->done(req);
}

static void pass(struct br_chan *chan, struct br_req *req)
{
	int r;

	chan->in_flight++;
	r = check(chan->dev, req);
	if (br_unlikely(r < 0))
		br_req_complete(req, r);
	else
		chan->dev->ops->submit(chan, req);
}

void br_submit_inside(struct br_chan *chan, struct br_req *req)
{
	req->chan = chan;
	req->task.run = req_task;
	req->fail_dev = 0;
	pass(chan, req);
}

void br_submit(struct br_chan *chan, struct br_req *req)
{
	req->chan = chan;
	req->task.run = req_task;
	req->fail_dev = 0;
	if (br_unlikely(chan->gated))
		br_task_list_add(&chan->held, &req->task);
	else
		pass(chan, req);
}

/* ---- messages to all channels ------------------------------------------------------------------------------------ */

static void answer(struct br_chan *c, int error)
{
	struct br_dev *dev = c->dev;
	struct br_ctx *ctx = dev->ctx;
	struct br_op *op = NULL;

	br_ctx_lock(ctx);
	c->msg.busy = false;
	if (error && !dev->talk.error)
		dev->talk.error = error;
	error = dev->talk.error;
	if (--dev->talk.left == 0) {
		op = dev->talk.op;
		dev->talk.op = NULL;
	}
	br_ctx_unlock(ctx);
	if (!op)
		return;
	br_wait_end(ctx);
	br_op_grant(op, error);
}

void br_chan_answer(struct br_chan *chan)
{
	chan->draining = false;
	answer(chan, 0);
}

/* A channel that is only half open reads the device's state when it opens, and needs no news. */
static void message_arrives(struct br_task *task)
{
	struct br_message *m = br_container_of(task, struct br_message, task);
	struct br_chan *c = br_container_of(m, struct br_chan, msg);
	int r = c->open ? m->fn(c, m->arg) : 0;

	if (m->drain && c->in_flight)
		c->draining = true;	/* br_chan_left() answers */
	else
		answer(c, r);
}

/* Under ctx->lock, so that no channel leaves between being counted and being told. */
static void tell_all(struct br_dev *dev, const struct br_message *text)
{
	struct br_list *l;

	br_list_for_each(l, &dev->chans) {
		struct br_chan *c = br_container_of(l, struct br_chan, dev_link);

		c->msg = *text;
		c->msg.busy = true;
		dev->talk.left++;
		br_queue_post(c->queue, &c->msg.task);
	}
}

static void talk(struct br_dev *dev, struct br_op *op, const struct br_message *text, int suspends)
{
	struct br_ctx *ctx = dev->ctx;
	bool nobody;

	br_op_launch(op);
	br_wait_begin(ctx);
	br_ctx_lock(ctx);
	dev->suspends += (uint32_t)suspends;
	dev->talk.op = op;
	dev->talk.left = 1;
	dev->talk.error = 0;
	dev->talk.drain = text->drain;
	tell_all(dev, text);
	nobody = --dev->talk.left == 0;
	if (nobody)
		dev->talk.op = NULL;
	br_ctx_unlock(ctx);
	if (nobody) {
		br_wait_end(ctx);
		br_op_done(op, 0);
	}
}

void br_dev_broadcast(struct br_dev *dev, struct br_op *op, int (*fn)(struct br_chan *chan, void *arg), void *arg)
{
	struct br_message text = { .task.run = message_arrives, .fn = fn, .arg = arg };

	talk(dev, op, &text, 0);
}

static int close_gate(struct br_chan *c, void *arg)
{
	(void)arg;
	c->gated = true;
	return 0;
}

void br_dev_drain(struct br_dev *dev, struct br_op *op)
{
	struct br_message text = { .task.run = message_arrives, .fn = close_gate, .drain = true };

	talk(dev, op, &text, 1);
}

bool br_dev_is_suspended(struct br_dev *dev)
{
	bool yes;

	br_ctx_lock(dev->ctx);
	yes = dev->suspends != 0;
	br_ctx_unlock(dev->ctx);
	return yes;
}

static int open_gate(struct br_chan *c, void *arg)
{
	struct br_task_list held = c->held;
	struct br_task *t;

	(void)arg;
	if (br_dev_is_suspended(c->dev))
		return 0;
	c->gated = false;
	br_task_list_init(&c->held);
	while ((t = held.head)) {
		held.head = t->next;
		pass(c, br_container_of(t, struct br_req, task));
	}
	return 0;
}

void br_dev_resume(struct br_dev *dev, struct br_op *op)
{
	struct br_message text = { .task.run = message_arrives, .fn = open_gate };

	talk(dev, op, &text, -1);
}

static void cancel_arrives(struct br_task *task)
{
	struct br_message *m = br_container_of(task, struct br_message, task);
	struct br_chan *c = br_container_of(m, struct br_chan, cancel);
	struct br_ctx *ctx = c->dev->ctx;

	open_gate(c, NULL);
	br_ctx_lock(ctx);
	c->cancel.busy = false;
	br_ctx_unlock(ctx);
	if (c->draining) {
		c->draining = false;
		answer(c, -ETIMEDOUT);
	}
	answer(c, -ETIMEDOUT);
}

/* The op waits for these answers, too: else the next drain could find a message of this one still under way. */
void br_dev_drain_cancel(struct br_dev *dev, struct br_op *op)
{
	struct br_ctx *ctx = dev->ctx;
	struct br_list *l;

	br_ctx_lock(ctx);
	if (dev->talk.op == op && dev->talk.drain) {
		dev->talk.drain = false;
		dev->suspends--;
		dev->talk.error = -ETIMEDOUT;
		br_list_for_each(l, &dev->chans) {
			struct br_chan *c = br_container_of(l, struct br_chan, dev_link);

			c->cancel.task.run = cancel_arrives;
			c->cancel.busy = true;
			dev->talk.left++;
			br_queue_post(c->queue, &c->cancel.task);
		}
	}
	br_ctx_unlock(ctx);
}
