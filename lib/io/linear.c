/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments are sorted by where they begin in this device; the one of an offset is found by bisection.  A channel has
 * one lower channel a segment (the same one where the device is the same), so a flush goes to a device once per
 * segment.
 */
#include "io/linear.h"

#include <errno.h>

#include "base/checked.h"
#include "base/compiler.h"
#include "base/error.h"
#include "blkremap/blkremap.h"
#include "io/dev.h"
#include "io/legs.h"

enum { MAX_SEGMENTS = 65536 };

struct segment {
	uint64_t begin, end;		/* of this device */
	uint64_t offset;		/* of begin, in the lower one */
	struct br_dev *lower;
	bool first;			/* no earlier segment has this lower device: it is flushed by this one */
};

struct linear {
	struct br_dev dev;
	bool read_only;
	uint32_t n;
	struct segment segments[];
};

struct linear_chan {
	struct br_chan chan;
	struct br_legs legs;
	uint32_t n;			/* opened, which matters while opening fails */
	struct br_chan **lower;		/* one a segment */
};

struct linear_leg {
	struct br_leg leg;		/* first: the pool's */
	const struct segment *segment;
};

static struct linear *to_linear(struct br_dev *dev)
{
	return br_container_of(dev, struct linear, dev);
}

static struct linear_chan *to_chan(struct br_chan *chan)
{
	return br_container_of(chan, struct linear_chan, chan);
}

/* ---- requests -------------------------------------------------------------------------------------------------- */

static uint32_t find_segment(const struct linear *l, uint64_t offset)
{
	uint32_t low = 0, high = l->n - 1;

	while (low < high) {
		uint32_t mid = low + (high - low + 1) / 2;

		if (l->segments[mid].begin <= offset)
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

/* Extents of the lower device become ours; they have been asked for one segment only. */
static void translate_extents(struct br_req *req)
{
	struct linear_leg *l = br_container_of(br_container_of(req, struct br_leg, req), struct linear_leg, leg);
	struct blkremap_extent e;

	for (int32_t i = 0; i < req->result; i++) {
		uint64_t at = (uint64_t)i * sizeof(e);

		br_req_copy_out(req, at, &e, sizeof(e));
		e.offset = e.offset - l->segment->offset + l->segment->begin;
		br_req_copy_in(req, at, &e, sizeof(e));
	}
	br_leg_done(req);
}

/* One leg, as far as its segment reaches.  False: no leg left. */
static bool route_one(struct linear_chan *c, const struct linear *l, struct br_req *req)
{
	uint64_t offset = req->offset + req->split_at;
	uint32_t i = find_segment(l, offset);
	const struct segment *s = &l->segments[i];
	uint64_t n = BR_MIN(req->length - req->split_at, s->end - offset);
	struct br_leg *leg = br_legs_take(&c->legs, req, req->split_at, n);

	if (!leg)
		return false;
	br_container_of(leg, struct linear_leg, leg)->segment = s;
	leg->req.offset = s->offset + (offset - s->begin);
	if (req->op == BR_EXTENTS) {
		leg->req.done = translate_extents;
		n = req->length;	/* whoever asks goes on where the answer ends */
	}
	req->split_at += n;
	br_submit(c->lower[i], &leg->req);
	return true;
}

/* split_at counts segments here. */
static bool flush_all(struct linear_chan *c, const struct linear *l, struct br_req *req)
{
	for (; req->split_at < l->n; req->split_at++) {
		struct br_leg *leg;

		if (!l->segments[req->split_at].first)
			continue;
		leg = br_legs_take(&c->legs, req, 0, 0);
		if (!leg)
			return false;
		br_submit(c->lower[req->split_at], &leg->req);
	}
	return true;
}

static bool route(struct br_req *req)
{
	struct linear_chan *c = to_chan(req->chan);
	const struct linear *l = to_linear(req->chan->dev);

	if (req->op == BR_FLUSH)
		return flush_all(c, l, req);
	while (req->split_at < req->length)
		if (!route_one(c, l, req))
			return false;
	return true;
}

static void linear_submit(struct br_chan *chan, struct br_req *req)
{
	br_legs_begin(&to_chan(chan)->legs, req);
}

/* ---- channels -------------------------------------------------------------------------------------------------- */

static void linear_chan_close(struct br_chan *chan)
{
	struct linear_chan *c = to_chan(chan);
	struct linear *l = to_linear(chan->dev);

	while (c->n)
		br_chan_put(c->lower[--c->n]);
	br_free(chan->dev->ctx->env, c->lower, l->n * sizeof(struct br_chan *));
	c->lower = NULL;
	br_legs_close(&c->legs);
}

static int open_lower(struct linear_chan *c, struct linear *l)
{
	int r = 0;

	for (c->n = 0; c->n < l->n; c->n++) {
		r = br_chan_get(c->chan.queue, l->segments[c->n].lower, &c->lower[c->n]);
		if (r < 0)
			break;
	}
	return r;
}

static int linear_chan_open(struct br_chan *chan)
{
	struct linear_chan *c = to_chan(chan);
	struct linear *l = to_linear(chan->dev);
	int r = br_legs_open(&c->legs, chan, sizeof(struct linear_leg), route);

	if (r < 0)
		return r;
	c->lower = br_alloc(chan->dev->ctx->env, l->n * sizeof(struct br_chan *));
	r = c->lower ? open_lower(c, l) : br_error(-ENOMEM, "no memory for %u channels of %s", l->n, chan->dev->name);
	if (r < 0)
		linear_chan_close(chan);
	return r;
}

/* ---- the device ------------------------------------------------------------------------------------------------ */

static size_t linear_size(uint32_t n)
{
	return sizeof(struct linear) + n * sizeof(struct segment);
}

/* Gives back the first @n lower devices. */
static int release(struct linear *l, uint32_t n)
{
	const struct blkremap_env *env = l->dev.ctx->env;
	int first = 0, r;

	while (n--) {
		br_dev_unclaim(l->segments[n].lower, &l->dev);
		r = br_dev_put(l->segments[n].lower);
		first = first ? first : r;
	}
	br_free(env, l, linear_size(l->n));
	return first;
}

static int linear_close(struct br_dev *dev)
{
	return release(to_linear(dev), to_linear(dev)->n);
}

static const struct br_dev_ops linear_ops = {
	.type = "linear",
	.chan_bytes = sizeof(struct linear_chan),
	.chan_open = linear_chan_open,
	.chan_close = linear_chan_close,
	.submit = linear_submit,
	.close = linear_close,
};

static int take_segment(struct linear *l, uint32_t i, const struct br_linear_segment *from)
{
	uint64_t size = atomic_load(&from->dev->bytes), bytes = from->bytes;
	struct segment *s = &l->segments[i];

	if (from->dev->ctx != l->dev.ctx)
		return br_error(-EINVAL, "segment %u: %s belongs to another context", i, from->dev->name);
	if (!bytes && from->offset < size)
		bytes = size - from->offset;
	if (!bytes || from->offset > size || bytes > size - from->offset)
		return br_error(-EINVAL,
				"segment %u: %" PRIu64 "+%" PRIu64 " is not within the %" PRIu64 " bytes of %s",
				i, from->offset, from->bytes, size, from->dev->name);
	*s = (struct segment){ .begin = l->dev.bytes, .offset = from->offset, .lower = from->dev, .first = true };
	if (br_add_overflows(s->begin, bytes, &s->end))
		return br_error(-EOVERFLOW, "segment %u: the device would have 2^64 bytes or more", i);
	for (uint32_t j = 0; j < i; j++)
		s->first &= l->segments[j].lower != s->lower;
	l->dev.bytes = s->end;
	return 0;
}

/* What every segment can do; the coarsest units of all. */
static void join_geometry(struct br_dev *dev, const struct br_dev *lower, bool first)
{
	uint32_t caps = atomic_load(&lower->caps) & ~(uint32_t)(BR_CAP_GROW | BR_CAP_SHRINK);
	uint32_t any = (caps | (first ? 0 : atomic_load(&dev->caps))) & BR_CAP_VOLATILE_CACHE;

	dev->caps = (first ? caps : atomic_load(&dev->caps) & caps) | any;
	dev->logical_block = BR_MAX(dev->logical_block, lower->logical_block);
	dev->physical_block = BR_MAX(dev->physical_block, lower->physical_block);
	dev->optimal_io = BR_MAX(dev->optimal_io, lower->optimal_io);
	dev->discard_granularity = BR_MAX(dev->discard_granularity, lower->discard_granularity);
	dev->buffer_align = BR_MAX(dev->buffer_align, lower->buffer_align);
}

static int check_alignment(const struct linear *l)
{
	uint64_t mask = l->dev.logical_block - 1;

	for (uint32_t i = 0; i < l->n; i++)
		if ((l->segments[i].begin | l->segments[i].end | l->segments[i].offset) & mask)
			return br_error(-EINVAL, "segment %u is not aligned to %u bytes", i, l->dev.logical_block);
	return 0;
}

static int layout(struct linear *l, const struct br_linear_segment *segments)
{
	int r;

	for (uint32_t i = 0; i < l->n; i++) {
		r = take_segment(l, i, &segments[i]);
		if (r < 0)
			return r;
		join_geometry(&l->dev, segments[i].dev, i == 0);
	}
	if (l->read_only)
		l->dev.caps &= BR_CAP_EXTENTS;
	return check_alignment(l);
}

/* References and claims, all or none. */
static int hold_lower(struct linear *l, uint32_t *ret_held)
{
	int r = 0;

	for (*ret_held = 0; *ret_held < l->n; ++*ret_held) {
		struct br_dev *lower = l->segments[*ret_held].lower;

		if (l->dev.caps & BR_CAP_WRITE)
			r = br_dev_claim(lower, &l->dev);
		if (r < 0)
			return r;
		br_dev_get(lower);
		if (l->segments[*ret_held].first && l->dev.nr_lower < BR_ARRAY_SIZE(l->dev.lower))
			l->dev.lower[l->dev.nr_lower++] = lower;
	}
	return 0;
}

int br_linear_open(struct br_ctx *ctx, const struct br_linear_segment *segments, uint32_t n, const char *name,
		   bool read_only, struct br_dev **ret_dev)
{
	struct linear *l;
	uint32_t held = 0;
	int r;

	if (!n || n > MAX_SEGMENTS)
		return br_error(-EINVAL, "a linear device of %u segments", n);
	l = br_alloc(ctx->env, linear_size(n));
	if (!l)
		return br_error(-ENOMEM, "no memory for %u segments", n);
	l->dev.ctx = ctx;
	l->dev.engine = "linear";
	l->read_only = read_only;
	l->n = n;
	r = layout(l, segments);
	if (r == 0)
		r = hold_lower(l, &held);
	if (r == 0)
		r = br_dev_add(&l->dev, ctx, &linear_ops, name);
	if (r < 0) {
		release(l, held);
		return r;
	}
	*ret_dev = &l->dev;
	return 0;
}
