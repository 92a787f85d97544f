/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/simdev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "blkremap/blkremap.h"

struct sim_dev {
	struct br_dev dev;
	struct sim_world *world;
	struct sim_disk *disk;
};

struct sim_source {
	struct br_source source;
	struct sim_world *world;
	struct br_list done;		/* struct sim_op.link: completed and not polled */
	bool notify;
};

struct sim_chan {
	struct br_chan chan;
	struct sim_source *source;
};

static struct sim_op *to_op(struct br_list *l)
{
	return br_container_of(l, struct sim_op, link);
}

static struct sim_source *to_source(struct br_source *s)
{
	return br_container_of(s, struct sim_source, source);
}

static bool is_write(const struct br_req *req)
{
	return req->op == BR_WRITE || req->op == BR_WRITE_ZEROES || req->op == BR_DISCARD;
}

static void crash_point(struct sim_world *w)
{
	if (w->watch && w->hub->crash && !w->hub->stop)
		w->hub->crash(w);
}

/* ---- completion -------------------------------------------------------------------------------------------------- */

static uint64_t first_block(const struct sim_op *op)
{
	return op->req->offset / op->disk->block_bytes;
}

static uint32_t nr_blocks(const struct sim_op *op)
{
	return (uint32_t)(op->req->length / op->disk->block_bytes);
}

static void do_read(struct sim_op *op)
{
	void *data = sim_alloc(op->req->length);

	sim_disk_read(op->disk, first_block(op), nr_blocks(op), data);
	br_req_copy_in(op->req, 0, data, op->req->length);
	free(data);
}

/* The device may fetch the buffer at any moment until it completes, so it must not have changed since submission. */
static void check_buffer(struct sim_op *op)
{
	uint32_t n = op->disk->block_bytes;
	uint8_t data[4096];

	if (op->req->op != BR_WRITE || op->req->flags & BR_UNSTABLE)
		return;
	for (uint32_t i = 0; i < op->write->n; i++) {
		br_req_copy_out(op->req, (uint64_t)i * n, data, n);
		if (op->write->data[i] && sim_hash(data, n) != op->write->data[i]->hash)
			sim_fail(op->world, "disk %s: the buffer of write %u changed in flight (block %llu)",
				 op->disk->name, op->write->id, (unsigned long long)(op->write->first + i));
	}
}

/* Without native FUA the write is followed by a flush before it is reported. */
static bool must_flush_too(const struct sim_op *op, int error)
{
	return !error && op->write && op->req->flags & BR_FUA && op->disk->kind.no_fua && !op->disk->kind.no_cache;
}

static void end_write(struct sim_op *op, int error)
{
	check_buffer(op);
	if (op->action == SIM_RULE_ELIDE)
		error = 1;	/* to the disk: neither visible nor ever covered */
	sim_write_end(op->disk, op->write, error, sim_random(&op->world->rng));
}

/* What the request does to its disk.  false: it goes on, as a flush. */
static bool take_effect(struct sim_op *op, int error)
{
	struct sim_disk *d = op->disk;

	if (op->flushing) {
		if (op->action != SIM_RULE_ELIDE)
			sim_flush_end(d, op->flush_at, error);
		return true;
	}
	if (op->write) {
		end_write(op, error);
		op->flushing = must_flush_too(op, error);
		op->flush_at = op->flushing ? sim_disk_flush(d) : 0;
		return !op->flushing;
	}
	if (!error)
		do_read(op);
	return true;
}

void sim_op_finish(struct sim_op *op)
{
	struct sim_source *s = to_source(op->source);
	struct sim_world *w = op->world;
	int error = op->action < 0 ? op->action : 0;

	sim_trace(w, "done", op->id, op->disk->index, (uint64_t)(int64_t)error);
	crash_point(w);		/* now, with the greatest set: the completion may make it smaller */
	if (!take_effect(op, error))
		return;
	br_list_del(&op->link);
	op->req->result = error;
	br_list_add_tail(&s->done, &op->link);
	if (s->notify)
		w->env.ops->bell_ring(&w->env, op->source->queue->bell);
	sim_changed(w);
}

bool sim_op_is_stuck(const struct sim_op *op)
{
	return op->action == SIM_RULE_STUCK;
}

void sim_op_free(struct sim_op *op)
{
	br_list_del(&op->all_link);
	free(op);
}

/* ---- submission -------------------------------------------------------------------------------------------------- */

static int match_rules(struct sim_world *w, const struct sim_op *op)
{
	int action = 0;

	for (uint32_t i = 0; i < w->nr_rules && !action; i++)
		action = sim_rule_match(&w->rules[i], op->disk->name, (int)op->req->op, first_block(op), nr_blocks(op));
	return action;
}

static void begin_write(struct sim_op *op)
{
	struct br_req *req = op->req;
	uint32_t flags = req->flags & BR_FUA && !op->disk->kind.no_fua ? SIM_WRITE_FUA : 0;
	void *data = NULL;

	if (req->op == BR_DISCARD)
		flags |= SIM_WRITE_DISCARD;
	if (req->op == BR_WRITE) {
		data = sim_alloc(req->length);
		br_req_copy_out(req, 0, data, req->length);
	}
	op->write = sim_disk_write(op->disk, first_block(op), nr_blocks(op), data, flags);
	free(data);
}

static void trace_submit(struct sim_op *op)
{
	struct br_req *req = op->req;
	uint64_t data = 0;

	if (op->write)
		for (uint32_t i = 0; i < op->write->n; i++)
			data = sim_mix(data ^ op->write->data[i]->hash);
	sim_trace(op->world, op->disk->name, op->id << 8 | (uint64_t)req->op << 4 | (req->flags & BR_FUA),
		  first_block(op), nr_blocks(op));
	sim_trace(op->world, NULL, data, 0, 0);
}

static void dev_submit(struct br_chan *chan, struct br_req *req)
{
	struct sim_dev *sd = br_container_of(chan->dev, struct sim_dev, dev);
	struct sim_source *s = br_container_of(chan, struct sim_chan, chan)->source;
	struct sim_world *w = sd->world;
	struct sim_op *op = sim_alloc(sizeof(*op));

	op->world = w;
	op->disk = sd->disk;
	op->source = &s->source;
	op->req = req;
	op->id = ++w->nr_ops;
	op->action = match_rules(w, op);
	br_list_add_tail(&w->ops, &op->link);
	br_list_add_tail(&w->all_ops, &op->all_link);
	s->source.in_flight++;
	if (is_write(req)) {
		begin_write(op);
	} else if (req->op == BR_FLUSH) {
		op->flushing = true;
		op->flush_at = sim_disk_flush(op->disk);
	}
	trace_submit(op);
	if (is_write(req))
		crash_point(w);
}

/* ---- sources ----------------------------------------------------------------------------------------------------- */

static void source_kick(struct br_source *s)
{
	(void)s;	/* nothing is gathered */
}

static int source_poll(struct br_source *source)
{
	struct sim_source *s = to_source(source);
	struct br_list *l;
	int n = 0;

	while ((l = br_list_pop(&s->done))) {
		struct sim_op *op = to_op(l);
		struct br_req *req = op->req;

		sim_op_free(op);
		source->in_flight--;
		n++;
		if (req->result < 0)
			br_req_fail(req, req->result, BLKREMAP_CODE_MEDIUM);
		else
			br_req_complete(req, 0);
	}
	return n;
}

static void source_notify(struct br_source *source, bool on)
{
	to_source(source)->notify = on;
}

static void source_close(struct br_source *source)
{
	struct sim_source *s = to_source(source);

	if (source->in_flight)
		sim_abandon(s->world, "a queue is closed with %u requests in flight", source->in_flight);
	br_free(&s->world->env, s, sizeof(*s));
}

static const struct br_source_ops source_ops = {
	.name = "sim",
	.kick = source_kick,
	.poll = source_poll,
	.notify = source_notify,
	.close = source_close,
};

static struct sim_source *source_new(struct br_queue *q, struct sim_world *w)
{
	struct sim_source *s = br_alloc(&w->env, sizeof(*s));

	if (!s)
		return NULL;
	s->source.ops = &source_ops;
	s->source.engine = w;
	s->world = w;
	br_list_init(&s->done);
	br_queue_add_source(q, &s->source);
	return s;
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

static int dev_chan_open(struct br_chan *chan)
{
	struct sim_dev *sd = br_container_of(chan->dev, struct sim_dev, dev);
	struct sim_chan *sc = br_container_of(chan, struct sim_chan, chan);
	struct br_source *source = br_queue_source(chan->queue, sd->world);

	sc->source = source ? to_source(source) : source_new(chan->queue, sd->world);
	return sc->source ? 0 : -ENOMEM;
}

static int dev_resize(struct br_dev *dev, uint64_t bytes, uint64_t *ret_bytes)
{
	struct sim_disk *d = br_container_of(dev, struct sim_dev, dev)->disk;

	if (bytes > d->kind.max_bytes && bytes > d->nr_blocks * d->block_bytes)
		return br_error(-ENOSPC, "disk %s cannot grow to %llu bytes", d->name, (unsigned long long)bytes);
	sim_disk_grow(d, bytes);
	*ret_bytes = d->nr_blocks * d->block_bytes;
	return 0;
}

static int dev_close(struct br_dev *dev)
{
	struct sim_dev *sd = br_container_of(dev, struct sim_dev, dev);

	br_free(&sd->world->env, sd, sizeof(*sd));
	return 0;
}

static const struct br_dev_ops dev_ops = {
	.type = "sim",
	.chan_bytes = sizeof(struct sim_chan),
	.chan_open = dev_chan_open,
	.submit = dev_submit,
	.resize = dev_resize,
	.close = dev_close,
};

static uint32_t caps_of(const struct sim_disk *d)
{
	uint32_t caps = BR_CAP_WRITE;

	if (!d->kind.no_cache)
		caps |= BR_CAP_VOLATILE_CACHE;
	if (!d->kind.no_fua)
		caps |= BR_CAP_FUA;
	if (!d->kind.no_write_zeroes)
		caps |= BR_CAP_WRITE_ZEROES;
	if (d->kind.discard)
		caps |= BR_CAP_DISCARD;
	if (d->kind.discard && d->kind.discard_zeroes)
		caps |= BR_CAP_DISCARD_ZEROES;
	if (d->kind.max_bytes)
		caps |= BR_CAP_GROW;
	return caps;
}

int sim_dev_open(struct br_ctx *ctx, struct sim_world *w, struct sim_disk *disk, const char *name,
		 struct br_dev **ret_dev)
{
	struct sim_dev *sd = br_alloc(&w->env, sizeof(*sd));
	int r;

	if (!sd)
		return br_error(-ENOMEM, "no memory for simulated disk %s", disk->name);
	sd->world = w;
	sd->disk = disk;
	sd->dev.engine = "sim";
	atomic_init(&sd->dev.bytes, disk->nr_blocks * disk->block_bytes);
	atomic_init(&sd->dev.caps, caps_of(disk));
	sd->dev.logical_block = sd->dev.physical_block = sd->dev.buffer_align = disk->block_bytes;
	sd->dev.buffer_align = 1;
	sd->dev.discard_granularity = disk->kind.discard ? disk->block_bytes : 0;
	r = br_dev_add(&sd->dev, ctx, &dev_ops, name);
	if (r < 0) {
		br_free(&w->env, sd, sizeof(*sd));
		return r;
	}
	*ret_dev = &sd->dev;
	return 0;
}
