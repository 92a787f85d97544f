/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a snapshot device: made, loaded, (attached: attach.c), closed. */
#include <errno.h>
#include <inttypes.h>

#include "base/checked.h"
#include "base/error.h"
#include "blkremap/blkremap.h"
#include "target/family.h"
#include "target/origin.h"
#include "target/snapshot.h"

static int snapshot_chan_open(struct br_chan *chan)
{
	return br_face_chan_open(chan, br_container_of(chan->dev, struct br_snapshot, dev)->fam);
}

static void free_snapshot(struct br_snapshot *s)
{
	const struct blkremap_env *env = s->fam->dev.ctx->env;

	br_snap_store_done(&s->store);
	br_extable_free(s->table);
	br_free(env, s, sizeof(*s));
}

static bool is_untimed(void *arg)
{
	struct br_snapshot *s = arg;

	return !atomic_load(&s->hold_timed);
}

/* If it has fired, its task is in the service queue, and must not find the snapshot gone. */
static void stop_timer(struct br_snapshot *s)
{
	if (!br_timer_cancel(s->dev.ctx, &s->hold_timer))
		br_block(s->dev.ctx, NULL, is_untimed, s, BR_NEVER);
}

/*
 * What was acknowledged is durable when the device has been closed.  While it is being merged, that may be in the store
 * and in the base; the origin sees to the latter.
 */
static int make_durable(struct br_snapshot *s)
{
	uint64_t writes = atomic_load(&s->dev.counters[BR_COUNT_WRITES]);

	writes += atomic_load(&s->dev.counters[BR_COUNT_DISCARDS]);
	if (br_snapshot_gone(s) == BR_GONE && s->store.invalid_error)
		return br_error(s->store.invalid_error, "%s: the invalid mark is not durable", s->dev.name);
	if ((!writes && s->fam->merging != s) || atomic_load(&s->gone) || s->cfg.transient)
		return 0;
	return br_family_flush_dev(s->store_dev);
}

/* Nobody can reach it any more; what is left is its place in the family and what it holds. */
static int snapshot_close(struct br_dev *dev)
{
	struct br_snapshot *s = br_container_of(dev, struct br_snapshot, dev);
	struct br_dev *store = s->store_dev, *fam = &s->fam->dev;
	int r = make_durable(s), r2;

	if (s->attached) {
		r2 = br_change_run(dev->ctx, BR_CHANGE_DETACH, &s, 1, BR_NEVER);
		r = r < 0 ? r : r2;
	}
	stop_timer(s);
	br_dev_unclaim(store, dev);
	free_snapshot(s);
	r2 = br_dev_put(store);
	r = r < 0 ? r : r2;
	r2 = br_dev_put(fam);
	return r < 0 ? r : r2;
}

/* The store's size is looked at again, and who was held for want of space tries again. */
static int snapshot_resize(struct br_dev *dev, uint64_t bytes, uint64_t *ret)
{
	struct br_snapshot *s = br_container_of(dev, struct br_snapshot, dev);
	struct br_dev *store = s->store_dev;
	uint64_t now;
	int r = 0;

	if (bytes && bytes != atomic_load(&dev->bytes))
		return br_error(-EOPNOTSUPP, "%s: the size of a snapshot is that of its base", dev->name);
	if (store->ops->resize)
		r = store->ops->resize(store, 0, &now);
	if (r == 0)
		r = br_snap_store_resized(&s->store);
	if (r == 0) {
		atomic_fetch_and(&dev->state, ~(uint32_t)BLKREMAP_ST_FULL);
		br_snapshot_unhold(s, false);
	}
	*ret = atomic_load(&dev->bytes);
	return r;
}

static const struct br_dev_ops snapshot_ops = {
	.type = "snapshot",
	.chan_bytes = sizeof(struct br_face_chan),
	.chan_open = snapshot_chan_open,
	.chan_close = br_face_chan_close,
	.submit = br_snapshot_submit,
	.resize = snapshot_resize,
	.close = snapshot_close,
};

bool br_dev_is_snapshot(const struct br_dev *dev)
{
	return dev->ops == &snapshot_ops;
}

struct br_snapshot *br_dev_to_snapshot(struct br_dev *dev)
{
	return br_container_of(dev, struct br_snapshot, dev);
}

/* ---- new --------------------------------------------------------------------------------------------------------- */

static void hold_is_over(struct br_task *task)
{
	struct br_timer *t = br_container_of(task, struct br_timer, task);
	struct br_snapshot *s = br_container_of(t, struct br_snapshot, hold_timer);

	br_snapshot_unhold(s, true);
	atomic_store(&s->hold_timed, false);	/* from here on it may be gone */
}

static uint32_t caps_of(const struct br_snapshot *s)
{
	uint32_t caps = BR_CAP_VOLATILE_CACHE;

	if (atomic_load(&s->store_dev->caps) & BR_CAP_WRITE && !s->cfg.rdonly)
		caps |= BR_CAP_WRITE | BR_CAP_FUA | BR_CAP_WRITE_ZEROES;
	if (caps & BR_CAP_WRITE && s->cfg.discard_zeroes_cow)
		caps |= BR_CAP_DISCARD;		/* which leaves alone what is not in the store, so it need not zero */
	return caps;
}

static void describe(struct br_snapshot *s)
{
	struct br_dev *d = &s->dev, *base = s->fam->base;

	br_dev_like(d, base);
	d->logical_block = BR_MAX(base->logical_block, s->store_dev->logical_block);
	d->physical_block = BR_MAX(base->physical_block, s->store_dev->physical_block);
	d->buffer_align = BR_MAX(base->buffer_align, s->store_dev->buffer_align);
	d->optimal_io = d->block_bytes = d->discard_granularity = (uint32_t)s->cfg.chunk_bytes;
	atomic_store(&d->caps, caps_of(s));
	if (s->cfg.bytes)
		atomic_store(&d->bytes, s->cfg.bytes);
	d->lower[0] = base;
	d->lower[1] = s->store_dev;
	d->nr_lower = 2;
}

static int check_sizes(const struct br_snapshot *s)
{
	const struct br_dev *base = s->fam->base, *store = s->store_dev;
	uint64_t chunk = s->cfg.chunk_bytes, bytes = s->cfg.bytes;

	if (!br_is_pow2(chunk) || chunk < BR_SNAP_CHUNK_MIN_READ || chunk > BR_SNAP_CHUNK_MAX)
		return br_error(-EINVAL, "chunk size %" PRIu64 " is not a power of two from 512 B to 1 GiB", chunk);
	if (chunk % BR_MAX(base->logical_block, store->logical_block))
		return br_error(-EINVAL, "chunk size %" PRIu64 " is not a multiple of the logical block, %u", chunk,
				BR_MAX(base->logical_block, store->logical_block));
	if (bytes && (bytes < atomic_load(&base->bytes) || bytes % base->logical_block))
		return br_error(-EINVAL, "snapshot size %" PRIu64 " is smaller than its base or not whole blocks",
				bytes);
	if (atomic_load(&s->fam->writable) && !(atomic_load(&store->caps) & BR_CAP_WRITE))
		return br_error(-EROFS, "%s cannot be written, and so could not keep what the origin overwrites",
				store->name);
	if (s->cfg.merging && bytes > atomic_load(&base->bytes))
		return br_error(-EINVAL, "a snapshot that is longer than its base cannot be merged");
	if (base == store)
		return br_error(-EINVAL, "%s cannot be base and store of one snapshot", base->name);
	return 0;
}

static void init_lists(struct br_snapshot *s, struct br_ctx *ctx)
{
	for (unsigned i = 0; i < BR_PENDING_BUCKETS; i++)
		br_list_init(&s->pending[i]);
	br_list_init(&s->held);
	br_list_init(&s->hold_timer.link);
	s->hold_timer.task.run = hold_is_over;
	br_dset_init(&s->readers, ctx);
	br_range_lock_init(&s->merge_lock, ctx);
	s->chunk_shift = br_log2(s->cfg.chunk_bytes);
}

/* Needs fam, store_dev and cfg. */
static int build(struct br_snapshot *s, struct br_ctx *ctx)
{
	int r = check_sizes(s);

	if (r == 0)
		r = br_extable_new(ctx->env, 0, &s->table);
	if (r == 0)
		r = br_snap_store_init(&s->store, s->store_dev, s->cfg.chunk_bytes, s->cfg.transient);
	if (r < 0)
		return r;
	init_lists(s, ctx);
	describe(s);
	r = s->cfg.rdonly && !atomic_load(&s->fam->writable) ? 0 : br_dev_claim(s->store_dev, &s->dev);
	if (r < 0)
		return r;
	r = br_dev_add(&s->dev, ctx, &snapshot_ops, s->cfg.name);
	if (r < 0)
		br_dev_unclaim(s->store_dev, &s->dev);
	return r;
}

int br_snapshot_new(struct br_dev *over, struct br_dev *store, const struct br_snapshot_cfg *cfg,
		    struct br_snapshot **ret)
{
	struct br_dev *base = br_dev_is_origin(over) ? br_container_of(over, struct br_origin, dev)->fam->base : over;
	struct br_snapshot *s = br_alloc_aligned(base->ctx->env, sizeof(*s), BR_CACHE_LINE);
	int r;

	if (!s)
		return br_error(-ENOMEM, "no memory for a snapshot");
	r = br_family_get(base, &s->fam);
	if (r < 0) {
		br_free(base->ctx->env, s, sizeof(*s));
		return r;
	}
	s->store_dev = store;
	s->cfg = *cfg;
	r = build(s, base->ctx);
	if (r < 0) {
		struct br_dev *fam = &s->fam->dev;

		if (s->store.ctx)
			br_snap_store_done(&s->store);
		br_extable_free(s->table);
		br_free(base->ctx->env, s, sizeof(*s));
		br_dev_put(fam);
		return r;
	}
	br_dev_get(store);
	*ret = s;
	return 0;
}

/* ---- load -------------------------------------------------------------------------------------------------------- */

static void expect_exception(void *arg, struct br_snap_entry e)
{
	struct br_snapshot *s = arg;

	br_extable_prefetch(s->table, e.old_chunk);
}

static int add_exception(void *arg, struct br_snap_entry e)
{
	struct br_snapshot *s = arg;
	int r = br_extable_reserve(s->table, 1);

	return r < 0 ? r : br_extable_insert(s->table, e.old_chunk, e.new_chunk, BR_EX_DONE);
}

static int load(struct br_snapshot *s, struct br_sync *io)
{
	struct br_snap_reader reader = { expect_exception, add_exception, s };
	struct br_snap_header h;
	int r = br_snap_store_probe(io, s->store_dev, &h);

	if (r < 0)
		return r;
	if (!h.valid)
		return br_error(-ENOTRECOVERABLE, "%s: the snapshot is marked invalid", s->store_dev->name);
	if ((uint64_t)h.chunk_sectors * 512 != s->cfg.chunk_bytes)
		return br_error(-EINVAL, "%s: the store has chunks of %u sectors, not %" PRIu64 " bytes",
				s->store_dev->name, h.chunk_sectors, s->cfg.chunk_bytes);
	return br_snap_store_load(&s->store, io, br_div_up(atomic_load(&s->dev.bytes), s->cfg.chunk_bytes), &reader);
}

int br_snapshot_load(struct br_snapshot *s)
{
	struct br_sync io;
	int r = br_sync_open(&io, s->dev.ctx, s->store_dev);

	if (r < 0)
		return r;
	r = load(s, &io);
	br_sync_close(&io);
	br_extable_reclaim(s->table);
	return r;
}
