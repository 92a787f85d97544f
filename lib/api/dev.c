/* SPDX-License-Identifier: BSD-3-Clause */
/* Handles on devices: made, looked at, closed. */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "base/error.h"
#include "io/file.h"
#include "io/linear.h"
#include "io/memory.h"
#include "target/origin.h"
#include "target/snapshot.h"

enum { MAX_SEGMENTS = 256 };
enum { OPEN_FLAGS = BLKREMAP_RDONLY | BLKREMAP_DIRECT | BLKREMAP_CREATE | BLKREMAP_NOLOCK | BLKREMAP_SUSPENDED };

/* ---- handles ----------------------------------------------------------------------------------------------------- */

int br_handle_new(struct blkremap_ctx *ctx, struct br_dev *dev, bool rdonly, struct blkremap_dev **ret_dev)
{
	struct blkremap_dev *h = br_alloc(ctx->core.env, sizeof(*h));

	if (!h) {
		br_dev_put(dev);
		return br_error(-ENOMEM, "no memory for a handle");
	}
	h->ctx = ctx;
	h->dev = dev;
	h->rdonly = rdonly;
	atomic_fetch_add(&ctx->handles, 1);
	*ret_dev = h;
	return 0;
}

static int read_open_opts(struct blkremap_open_opts *o, const struct blkremap_open_opts *opts)
{
	int r = br_opts_read(o, sizeof(*o), opts);

	if (r == 0 && o->flags & ~(uint32_t)OPEN_FLAGS)
		r = br_error(-EINVAL, "open: unknown flags 0x%x", o->flags & ~(uint32_t)OPEN_FLAGS);
	if (r == 0 && o->timeout_ns)
		r = br_error(-EINVAL, "open: there are no remote devices that could time out");
	return r;
}

/* The new device's handle, suspended if that was asked for. */
static int give_out(struct blkremap_ctx *ctx, struct br_dev *dev, uint32_t flags, struct blkremap_dev **ret_dev)
{
	struct blkremap_dev *h = NULL;
	int r = br_handle_new(ctx, dev, flags & BLKREMAP_RDONLY, &h);

	if (r < 0)
		return r;
	if (flags & BLKREMAP_SUSPENDED) {
		r = blkremap_suspend(h, 0, -1);
		if (r < 0) {
			blkremap_dev_close(h);
			return r;
		}
	}
	*ret_dev = h;
	return 0;
}

static int open_file(struct blkremap_ctx *ctx, const char *path, int fd, const struct blkremap_open_opts *opts,
		     struct blkremap_dev **ret_dev)
{
	struct blkremap_open_opts o;
	struct br_file_opts f = { .path = path, .fd = fd };
	struct br_dev *dev;
	int r = read_open_opts(&o, opts);

	if (r < 0)
		return r;
	if (!ctx || !ret_dev || (!path && fd < 0))
		return br_error(-EINVAL, "open: no context, no path or descriptor, or no place for the handle");
	f.name = o.name;
	f.engine = o.engine;
	f.rdonly = o.flags & BLKREMAP_RDONLY;
	f.direct = o.flags & BLKREMAP_DIRECT;
	f.create = o.flags & BLKREMAP_CREATE;
	f.nolock = o.flags & BLKREMAP_NOLOCK;
	f.bytes = o.bytes;
	f.max_grow = o.max_grow;
	r = br_file_open(&ctx->core, &f, &dev);
	return r < 0 ? r : give_out(ctx, dev, o.flags, ret_dev);
}

int blkremap_file_open(struct blkremap_ctx *ctx, const char *path, const struct blkremap_open_opts *opts,
		       struct blkremap_dev **ret_dev)
{
	return open_file(ctx, path, -1, opts, ret_dev);
}

int blkremap_fd_open(struct blkremap_ctx *ctx, int fd, const struct blkremap_open_opts *opts,
		     struct blkremap_dev **ret_dev)
{
	if (fd < 0)
		return br_error(-EBADF, "open: %d is no descriptor", fd);
	return open_file(ctx, NULL, fd, opts, ret_dev);
}

int blkremap_mem_open(struct blkremap_ctx *ctx, uint64_t bytes, const struct blkremap_open_opts *opts,
		      struct blkremap_dev **ret_dev)
{
	struct blkremap_open_opts o;
	struct br_memory_opts m;
	struct br_dev *dev;
	int r = read_open_opts(&o, opts);

	if (r < 0)
		return r;
	if (!ctx || !ret_dev)
		return br_error(-EINVAL, "open: no context, or no place for the handle");
	m = (struct br_memory_opts){ .name = o.name, .bytes = bytes, .max_bytes = o.max_grow,
				     .read_only = o.flags & BLKREMAP_RDONLY };
	r = br_memory_open(&ctx->core, &m, &dev);
	return r < 0 ? r : give_out(ctx, dev, o.flags, ret_dev);
}

static bool same_ctx(struct blkremap_ctx *ctx, const struct blkremap_dev *d)
{
	return d && d->ctx == ctx;
}

int blkremap_linear_open(struct blkremap_ctx *ctx, const struct blkremap_segment *segments, uint32_t n,
			 const struct blkremap_open_opts *opts, struct blkremap_dev **ret_dev)
{
	struct br_linear_segment s[MAX_SEGMENTS];
	struct blkremap_open_opts o;
	struct br_dev *dev;
	int r = read_open_opts(&o, opts);

	if (r < 0)
		return r;
	if (!ctx || !segments || !n || n > MAX_SEGMENTS || !ret_dev)
		return br_error(-EINVAL, "linear: from 1 to %d segments", MAX_SEGMENTS);
	for (uint32_t i = 0; i < n; i++) {
		if (!same_ctx(ctx, segments[i].dev))
			return br_error(-EINVAL, "linear: segment %u has no device of this context", i);
		s[i] = (struct br_linear_segment){ segments[i].dev->dev, segments[i].offset, segments[i].bytes };
	}
	r = br_linear_open(&ctx->core, s, n, o.name, o.flags & BLKREMAP_RDONLY, &dev);
	return r < 0 ? r : give_out(ctx, dev, o.flags, ret_dev);
}

int blkremap_origin_open(struct blkremap_ctx *ctx, struct blkremap_dev *base, const struct blkremap_open_opts *opts,
			 struct blkremap_dev **ret_dev)
{
	struct blkremap_open_opts o;
	struct br_dev *dev;
	int r = read_open_opts(&o, opts);

	if (r < 0)
		return r;
	if (!same_ctx(ctx, base) || !ret_dev)
		return br_error(-EINVAL, "origin: no base of this context, or no place for the handle");
	if (br_dev_is_origin(base->dev))
		return br_error(-EINVAL, "origin: %s is an origin already", base->dev->name);
	if (!(o.flags & BLKREMAP_RDONLY) && base->rdonly)
		return br_error(-EROFS, "origin: %s is open for reading only", base->dev->name);
	r = br_origin_open(base->dev, o.name, o.flags & BLKREMAP_RDONLY, &dev);
	return r < 0 ? r : give_out(ctx, dev, o.flags, ret_dev);
}

int blkremap_dev_get(struct blkremap_ctx *ctx, uint64_t dev_id, struct blkremap_dev **ret_dev)
{
	struct br_dev *dev = NULL;
	struct br_list *l;

	if (!ctx || !ret_dev)
		return br_error(-EINVAL, "get: no context, or no place for the handle");
	br_ctx_lock(&ctx->core);
	br_list_for_each(l, &ctx->core.devs) {
		struct br_dev *d = br_container_of(l, struct br_dev, ctx_link);

		if (d->id == dev_id && !br_dev_is_hidden(d))
			dev = d;
	}
	if (dev)
		dev->refs++;
	br_ctx_unlock(&ctx->core);
	if (!dev)
		return br_error(-ENODEV, "no device has the number %" PRIu64, dev_id);
	return br_handle_new(ctx, dev, !(atomic_load(&dev->caps) & BR_CAP_WRITE), ret_dev);
}

static void close_idle(struct blkremap_dev *h)
{
	struct br_idle_sync *s;

	while ((s = h->idle)) {
		h->idle = s->next;
		br_sync_close(&s->sync);
		br_free(h->ctx->core.env, s, sizeof(*s));
	}
}

static void sum_counts(struct br_dev *d, uint64_t sums[BR_COUNTS])
{
	struct br_list *l;

	br_ctx_lock(d->ctx);
	for (unsigned i = 0; i < BR_COUNTS; i++)
		sums[i] = atomic_load(&d->counters[i]);
	br_list_for_each(l, &d->chans)
		for (unsigned i = 0; i < BR_COUNTS; i++)
			sums[i] += atomic_load(&br_container_of(l, struct br_chan, dev_link)->counts[i]);
	br_ctx_unlock(d->ctx);
}

/* Is this the last reference to a device that may hold what is not durable?  Origins and snapshots see to theirs. */
static bool closes_dirty(struct br_dev *d)
{
	uint32_t caps = atomic_load(&d->caps);
	uint64_t sums[BR_COUNTS];
	bool last;

	if (!(caps & BR_CAP_WRITE) || !(caps & BR_CAP_VOLATILE_CACHE) || br_dev_is_origin(d) || br_dev_is_snapshot(d))
		return false;
	br_ctx_lock(d->ctx);
	last = d->refs == 1;
	br_ctx_unlock(d->ctx);
	sum_counts(d, sums);
	return last && (sums[BR_COUNT_WRITES] || sums[BR_COUNT_DISCARDS]);
}

static int close_one(struct blkremap_dev *dev)
{
	struct blkremap_ctx *ctx = dev->ctx;
	int r = 0, r2;

	br_jobs_stop(dev);
	if (closes_dirty(dev->dev))
		r = blkremap_flush(dev);
	close_idle(dev);
	r2 = br_dev_put(dev->dev);
	r = r < 0 ? r : r2;
	br_free(ctx->core.env, dev, sizeof(*dev));
	atomic_fetch_sub(&ctx->handles, 1);
	return r;
}

int blkremap_dev_close(struct blkremap_dev *dev)
{
	struct blkremap_dev *next;
	int r = 0, first = 0;

	if (dev && atomic_load(&dev->users))
		return br_error(-EBUSY, "%s: queues or jobs of this handle are open", dev->dev->name);
	for (; dev; dev = next) {
		next = dev->keeps;
		r = close_one(dev);
		first = first ? first : r;
	}
	return first;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

uint64_t blkremap_dev_size(struct blkremap_dev *dev)
{
	return dev ? atomic_load(&dev->dev->bytes) : 0;
}

uint64_t blkremap_dev_id(struct blkremap_dev *dev)
{
	return dev ? dev->dev->id : 0;
}

static void add_id(uint64_t *ids, uint32_t max, uint32_t *n, uint64_t id)
{
	if (*n < max)
		ids[*n] = id;
	++*n;
}

/* Under ctx->lock. */
static void list(struct blkremap_ctx *ctx, uint32_t what, const struct br_dev *above, uint64_t *ids, uint32_t max,
		 uint32_t *n)
{
	struct br_list *l;

	if (what == BLKREMAP_LIST_LOWER) {
		for (uint32_t i = 0; i < above->nr_lower; i++)
			add_id(ids, max, n, above->lower[i]->id);
		return;
	}
	br_list_for_each(l, &ctx->core.devs) {
		struct br_dev *d = br_container_of(l, struct br_dev, ctx_link);

		if (br_dev_is_hidden(d))
			continue;
		if (what == BLKREMAP_LIST_ALL || br_snapshot_is_of(d, above))
			add_id(ids, max, n, d->id);
	}
}

int blkremap_dev_list(struct blkremap_ctx *ctx, uint32_t what, struct blkremap_dev *above, uint64_t *ids, uint32_t max,
		      uint32_t *ret_n)
{
	uint32_t n = 0;

	if (!ctx || !ret_n || (max && !ids) || what > BLKREMAP_LIST_SNAPSHOTS)
		return br_error(-EINVAL, "list: unknown list, or no place for it");
	if ((what == BLKREMAP_LIST_ALL) != !above || (above && above->ctx != ctx))
		return br_error(-EINVAL, "list: the device to look below is missing, or not of this list or context");
	br_ctx_lock(&ctx->core);
	list(ctx, what, above ? above->dev : NULL, ids, max, &n);
	br_ctx_unlock(&ctx->core);
	*ret_n = n;
	return 0;
}

static uint32_t state_of(struct br_dev *d)
{
	uint32_t state = atomic_load(&d->state);

	br_ctx_lock(d->ctx);
	if (d->suspends)
		state |= BLKREMAP_ST_SUSPENDED;
	br_ctx_unlock(d->ctx);
	return state;
}

int blkremap_dev_info(struct blkremap_dev *dev, struct blkremap_dev_info *info)
{
	struct blkremap_dev_info i = { 0 };
	const char *engine;
	struct br_dev *d;

	if (!dev || !info)
		return br_error(-EINVAL, "info: no device, or no place for it");
	d = dev->dev;
	i.caps = atomic_load(&d->caps) & ~(dev->rdonly ? (uint32_t)(BR_CAP_WRITE | BR_CAP_DISCARD) : 0);
	i.state = state_of(d);
	i.code = atomic_load(&d->code);
	i.dev_id = d->id;
	i.bytes = atomic_load(&d->bytes);
	i.logical_block = d->logical_block;
	i.physical_block = d->physical_block;
	i.optimal_io = d->optimal_io;
	i.discard_granularity = d->discard_granularity;
	i.buffer_align = d->buffer_align;
	i.block_bytes = d->block_bytes;
	i.generation = atomic_load(&d->generation);
	strncpy(i.type, d->ops->type, sizeof(i.type) - 1);
	engine = d->engine;
	strncpy(i.engine, engine ? engine : "", sizeof(i.engine) - 1);
	memcpy(i.name, d->name, sizeof(i.name));
	return br_result_write(info, &i, sizeof(i));
}

/* ---- counters ---------------------------------------------------------------------------------------------------- */

int blkremap_status(struct blkremap_dev *dev, struct blkremap_status *status)
{
	struct blkremap_status s = { 0 };
	uint64_t sums[BR_COUNTS];

	if (!dev || !status)
		return br_error(-EINVAL, "status: no device, or no place for it");
	sum_counts(dev->dev, sums);
	s.reads = sums[BR_COUNT_READS];
	s.read_bytes = sums[BR_COUNT_READ_BYTES];
	s.writes = sums[BR_COUNT_WRITES];
	s.write_bytes = sums[BR_COUNT_WRITE_BYTES];
	s.flushes = sums[BR_COUNT_FLUSHES];
	s.discards = sums[BR_COUNT_DISCARDS];
	s.errors = sums[BR_COUNT_ERRORS];
	br_snapshot_status(dev->dev, &s);
	return br_result_write(status, &s, sizeof(s));
}

int blkremap_counter(struct blkremap_dev *dev, uint32_t index, const char **ret_name, uint64_t *ret_value)
{
	static const char *const names[] = { "reads", "read_bytes", "writes", "write_bytes", "flushes", "discards",
					     "errors", "store_used_bytes", "store_meta_bytes", "store_total_bytes",
					     "copied_bytes", "commits" };
	struct blkremap_status s = { .size = sizeof(s) };
	int r;

	if (!dev || !ret_name || !ret_value)
		return br_error(-EINVAL, "counter: no device, or no place for it");
	r = blkremap_status(dev, &s);
	if (r < 0 || index >= BR_ARRAY_SIZE(names))
		return r;
	const uint64_t values[] = { s.reads, s.read_bytes, s.writes, s.write_bytes, s.flushes, s.discards, s.errors,
				    s.store_used, s.store_meta, s.store_total, s.copied_bytes, s.commits };
	*ret_name = names[index];
	*ret_value = values[index];
	return 1;
}
