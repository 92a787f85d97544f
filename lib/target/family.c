/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/family.h"

#include <errno.h>

#include "base/error.h"

enum { BUFFER_BYTES = 64 * 1024, BUFFER_MIN = 4096, FEW = 4 };

/* ---- channels ---------------------------------------------------------------------------------------------------- */

static struct br_family_chan *to_fc(struct br_chan *chan)
{
	return br_container_of(chan, struct br_family_chan, chan);
}

int br_family_open_way(struct br_family_chan *fc, struct br_snapshot *s)
{
	struct br_family_way *way = &fc->ways[s->slot];
	int r;

	if (way->store)
		return 0;
	r = br_dset_lane_open(&s->readers, fc->chan.queue, &way->lane);
	if (r < 0)
		return r;
	r = br_chan_get(fc->chan.queue, s->store_dev, &way->store);
	if (r < 0) {
		br_dset_lane_close(way->lane);
		way->lane = NULL;
	}
	return r;
}

void br_family_close_way(struct br_family_chan *fc, struct br_snapshot *s)
{
	struct br_family_way *way = &fc->ways[s->slot];

	if (!way->store)
		return;
	br_chan_put(way->store);
	br_dset_lane_close(way->lane);
	*way = (struct br_family_way){ 0 };
}

static void chan_close(struct br_chan *chan)
{
	struct br_family_chan *fc = to_fc(chan);
	struct br_family *f = br_chan_family(fc);

	for (uint32_t i = 0; i < BR_FAMILY_MAX; i++)
		if (f->snaps[i])
			br_family_close_way(fc, f->snaps[i]);
	br_copier_close(fc->copier);
	br_pool_done(&fc->parts);
	br_pool_done(&fc->cows);
	br_pool_done(&fc->legs);
	br_chan_put(fc->base);
}

static uint32_t between(uint32_t least, uint32_t n, uint32_t most)
{
	return BR_MIN(BR_MAX(least, n), most);
}

/* Buffers need not be larger than the chunks; a larger chunk that is attached later is copied in pieces. */
static uint32_t buffer_bytes(const struct br_family *f)
{
	uint64_t largest = 0;

	for (uint32_t i = 0; i < f->nr_slots; i++)
		if (f->snaps[i])
			largest = BR_MAX(largest, f->snaps[i]->cfg.chunk_bytes);
	return largest ? between(BUFFER_MIN, (uint32_t)BR_MIN(largest, (uint64_t)BUFFER_BYTES),
				 BUFFER_BYTES) : BUFFER_BYTES;
}

/* A write of the origin needs one part a snapshot at a time, so there are always as many as there can be snapshots. */
static int make_pools(struct br_family_chan *fc)
{
	const struct blkremap_env *env = fc->chan.queue->ctx->env;
	uint32_t depth = fc->chan.queue->depth, cows = between(FEW, depth / 4, BR_FAMILY_COWS);
	int r;

	r = br_pool_init(&fc->legs, env, sizeof(struct br_leg), BR_CACHE_LINE,
			 between(8 * FEW, 2 * depth, BR_FAMILY_LEGS));
	if (r == 0)
		r = br_pool_init(&fc->cows, env, sizeof(struct br_cow), BR_CACHE_LINE, cows);
	if (r == 0)
		r = br_pool_init(&fc->parts, env, sizeof(struct br_cow_part), BR_CACHE_LINE, BR_FAMILY_MAX + cows);
	if (r == 0)
		r = br_copier_open(fc->chan.queue, between(FEW, depth / 8, BR_FAMILY_BUFFERS),
				   buffer_bytes(br_chan_family(fc)), &fc->copier);
	return r;
}

static int open_ways(struct br_family_chan *fc)
{
	struct br_family *f = br_chan_family(fc);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < BR_FAMILY_MAX; i++)
		if (f->snaps[i])
			r = br_family_open_way(fc, f->snaps[i]);
	return r;
}

static int chan_open(struct br_chan *chan)
{
	struct br_family_chan *fc = to_fc(chan);
	struct br_family *f = br_chan_family(fc);
	int r;

	fc->legs.env = fc->cows.env = fc->parts.env = chan->queue->ctx->env;
	br_task_list_init(&fc->starved);
	br_list_init(&fc->cow_waiters);
	r = br_chan_get(chan->queue, f->base, &fc->base);
	if (r == 0)
		r = make_pools(fc);
	if (r == 0)
		r = open_ways(fc);
	if (r < 0)
		chan_close(chan);
	return r;
}

int br_face_chan_open(struct br_chan *chan, struct br_family *fam)
{
	struct br_face_chan *face = br_container_of(chan, struct br_face_chan, chan);
	struct br_chan *fc;
	int r = br_chan_get(chan->queue, &fam->dev, &fc);

	if (r == 0)
		face->fc = to_fc(fc);
	return r;
}

void br_face_chan_close(struct br_chan *chan)
{
	struct br_face_chan *face = br_container_of(chan, struct br_face_chan, chan);

	br_chan_put(&face->fc->chan);
}

/* ---- the family itself ------------------------------------------------------------------------------------------- */

static void family_submit(struct br_chan *chan, struct br_req *req)
{
	(void)chan;
	br_req_complete(req, -EOPNOTSUPP);	/* nobody leads requests here: the faces are the devices */
}

static int family_close(struct br_dev *dev)
{
	struct br_family *f = br_container_of(dev, struct br_family, dev);
	int r;

	br_dev_unclaim(f->base, dev);
	r = br_dev_put(f->base);
	br_free(dev->ctx->env, f, sizeof(*f));
	return r;
}

static const struct br_dev_ops family_ops = {
	.type = "family",
	.chan_bytes = sizeof(struct br_family_chan),
	.chan_open = chan_open,
	.chan_close = chan_close,
	.submit = family_submit,
	.close = family_close,
};

static struct br_family *find(struct br_dev *base)
{
	struct br_family *f, *found = NULL;
	struct br_list *l;

	br_ctx_lock(base->ctx);
	br_list_for_each(l, &base->ctx->devs) {
		f = br_container_of(br_container_of(l, struct br_dev, ctx_link), struct br_family, dev);
		if (f->dev.ops == &family_ops && f->base == base)
			found = f;
	}
	if (found)
		found->dev.refs++;
	br_ctx_unlock(base->ctx);
	return found;
}

/* While there is a family nobody writes to the base but through its origin, or a merge. */
static int make(struct br_family *f, struct br_dev *base)
{
	int r = br_dev_claim(base, &f->dev);

	if (r < 0)
		return r;
	r = br_dev_add(&f->dev, base->ctx, &family_ops, NULL);
	if (r < 0)
		br_dev_unclaim(base, &f->dev);
	return r;
}

int br_family_get(struct br_dev *base, struct br_family **ret)
{
	struct br_family *f = find(base);
	int r;

	if (!f) {
		f = br_alloc_aligned(base->ctx->env, sizeof(*f), BR_CACHE_LINE);
		if (!f)
			return br_error(-ENOMEM, "no memory for a family of snapshots");
		f->base = base;
		f->dev.hidden = true;
		br_dev_like(&f->dev, base);
		br_range_lock_init(&f->turn, base->ctx);
		r = make(f, base);
		if (r < 0) {
			br_free(base->ctx->env, f, sizeof(*f));
			return r;
		}
		br_dev_get(base);
	}
	*ret = f;
	return 0;
}

void br_family_recount(struct br_family *f)
{
	f->nr_slots = 0;
	f->min_chunk = 0;
	for (uint32_t i = 0; i < BR_FAMILY_MAX; i++) {
		struct br_snapshot *s = f->snaps[i];

		if (!s)
			continue;
		f->nr_slots = i + 1;
		if (!f->min_chunk || s->cfg.chunk_bytes < f->min_chunk)
			f->min_chunk = s->cfg.chunk_bytes;
	}
}

/* For what is being closed: a flush of what is below it. */
int br_family_flush_dev(struct br_dev *dev)
{
	struct br_req req = { .op = BR_FLUSH };
	struct br_sync io;
	int r;

	if (!(atomic_load(&dev->caps) & BR_CAP_VOLATILE_CACHE))
		return 0;
	r = br_sync_open(&io, dev->ctx, dev);
	if (r < 0)
		return r;
	r = br_sync_submit(&io, io.chan, &req);
	br_sync_close(&io);
	return r < 0 ? br_error(r, "%s: what was written could not be made durable", dev->name) : 0;
}

/* The origin is closed: snapshots that have no handle of their own go with it. */
int br_family_drop_origin(struct br_family *f)
{
	int r = 0, r2;

	f->origin = NULL;
	atomic_store(&f->writable, false);
	for (uint32_t i = 0; i < BR_FAMILY_MAX; i++) {
		struct br_snapshot *s = f->snaps[i];

		if (!s || !s->owned)
			continue;
		s->owned = false;
		r2 = br_dev_put(&s->dev);
		if (r == 0)
			r = r2;
	}
	return r;
}
