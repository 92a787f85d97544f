/* SPDX-License-Identifier: BSD-3-Clause */
/* Snapshots: formatted, attached, taken, dropped, reset, and what they say of themselves. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/handle.h"
#include "api/job.h"
#include "base/error.h"
#include "io/file.h"
#include "io/memory.h"
#include "target/family.h"
#include "target/origin.h"
#include "target/snapshot.h"

enum { DEFAULT_CHUNK = 64 * 1024, DEFAULT_HOLD_S = 30, MAX_TAKE = 64 };
enum { SNAP_FLAGS = BLKREMAP_RDONLY | BLKREMAP_FORCE | BLKREMAP_SUSPENDED | BLKREMAP_SNAP_TRANSIENT |
		    BLKREMAP_SNAP_DISCARD_ZEROES_COW | BLKREMAP_SNAP_DISCARD_PASSDOWN | BLKREMAP_SNAP_MERGING };

/* ---- options ----------------------------------------------------------------------------------------------------- */

static int read_opts(struct blkremap_snapshot_opts *o, const struct blkremap_snapshot_opts *opts)
{
	int r = br_opts_read(o, sizeof(*o), opts);

	if (r < 0)
		return r;
	if (o->flags & ~(uint32_t)SNAP_FLAGS || o->reserved32 || o->when_full > BLKREMAP_FULL_HOLD)
		return br_error(-EINVAL, "snapshot: unknown flags or policy");
	if (o->flags & BLKREMAP_SNAP_DISCARD_PASSDOWN && !(o->flags & BLKREMAP_SNAP_DISCARD_ZEROES_COW))
		return br_error(-EINVAL, "snapshot: passing discards down needs discard_zeroes_cow, too");
	if (o->flags & BLKREMAP_SNAP_MERGING && o->flags & BLKREMAP_SNAP_TRANSIENT)
		return br_error(-EINVAL, "snapshot: a transient store cannot be merged");
	return 0;
}

static struct br_snapshot_cfg to_cfg(const struct blkremap_snapshot_opts *o, uint64_t chunk)
{
	return (struct br_snapshot_cfg){
		.chunk_bytes = o->chunk_bytes ? o->chunk_bytes : chunk,
		.bytes = o->bytes,
		.low_space = o->low_space,
		.grow_step = o->grow_step,
		.hold_ns = o->hold_ns ? o->hold_ns : DEFAULT_HOLD_S * UINT64_C(1000000000),
		.when_full = o->when_full,
		.transient = o->flags & BLKREMAP_SNAP_TRANSIENT,
		.rdonly = o->flags & BLKREMAP_RDONLY,
		.merging = o->flags & BLKREMAP_SNAP_MERGING,
		.discard_zeroes_cow = o->flags & BLKREMAP_SNAP_DISCARD_ZEROES_COW,
		.discard_passdown = o->flags & BLKREMAP_SNAP_DISCARD_PASSDOWN,
		.name = o->name,
	};
}

static struct br_dev *base_of(struct br_dev *d)
{
	return br_dev_is_origin(d) ? br_container_of(d, struct br_origin, dev)->fam->base : d;
}

static int check_pair(struct blkremap_ctx *ctx, const struct blkremap_dev *origin, const struct blkremap_dev *store)
{
	if (!ctx || !origin || !store || origin->ctx != ctx || store->ctx != ctx)
		return br_error(-EINVAL, "snapshot: origin and store must be devices of this context");
	if (origin->dev == store->dev || br_file_same(base_of(origin->dev), store->dev))
		return br_error(-EINVAL, "snapshot: %s is both origin and store", store->dev->name);
	return 0;
}

/* ---- create ------------------------------------------------------------------------------------------------------ */

/* Is there anything in the header chunk that we may not write over? */
static int check_blank(struct br_sync *io, struct br_dev *store)
{
	struct br_snap_header h;
	int r = br_snap_store_probe(io, store, &h);

	if (r == -ENODATA)
		return 0;
	if (r == 0 || r == -EBADMSG || r == -EOVERFLOW)
		return br_error(-EEXIST, "%s is not blank%s", store->name, r == 0 ? ": it holds a snapshot" : "");
	return r;
}

struct format {
	struct br_op op;
	struct br_snap_store store;
	struct br_chan *chan;
};

static int step_format(struct br_op *op)
{
	struct format *f = br_container_of(op, struct format, op);

	br_snap_store_format(&f->store, f->chan, op);
	return br_op_await(op, 1);
}

static int step_formatted(struct br_op *op)
{
	(void)op;
	return BR_OP_END;
}

static const struct br_op_step format_steps[] = {
	{ "format", step_format, BR_OP_END },
	{ "formatted", step_formatted, BR_OP_END },
};

static const struct br_op_class format_class = { "create", NULL, format_steps };

static int format(struct br_sync *io, struct br_dev *store, uint64_t chunk)
{
	struct br_snap_layout l;
	struct format f = { .chan = io->chan };
	int r = br_snap_layout_init_create(&l, chunk, atomic_load(&store->bytes));

	if (r < 0)
		return r;
	if (chunk % store->logical_block)
		return br_error(-EINVAL, "chunk size %" PRIu64 " is not a multiple of the store's logical block, %u",
				chunk, store->logical_block);
	r = br_snap_store_init(&f.store, store, chunk, false);
	if (r < 0)
		return r;
	r = br_sync_op(io, &f.op, &format_class, BR_NEVER);
	br_snap_store_done(&f.store);
	return r < 0 ? br_error(r, "%s: cannot write the header or the first area", store->name) : 0;
}

int blkremap_snapshot_create(struct blkremap_ctx *ctx, struct blkremap_dev *store,
			     const struct blkremap_snapshot_opts *opts)
{
	struct blkremap_snapshot_opts o;
	struct br_idle_sync *s;
	int r = read_opts(&o, opts);

	if (r < 0)
		return r;
	if (!ctx || !store || store->ctx != ctx)
		return br_error(-EINVAL, "create: no store of this context");
	r = br_may_write(store);
	if (r < 0)
		return r;
	r = br_sync_borrow(store, &s);
	if (r < 0)
		return r;
	if (!(o.flags & BLKREMAP_FORCE))
		r = check_blank(&s->sync, store->dev);
	if (r == 0)
		r = format(&s->sync, store->dev, o.chunk_bytes ? o.chunk_bytes : DEFAULT_CHUNK);
	br_sync_return(store, s);
	return r;
}

/* ---- attach ------------------------------------------------------------------------------------------------------ */

static int find_chunk(struct blkremap_dev *store, uint64_t *ret)
{
	struct br_snap_header h;
	struct br_idle_sync *s;
	int r = br_sync_borrow(store, &s);

	if (r < 0)
		return r;
	r = br_snap_store_probe(&s->sync, store->dev, &h);
	br_sync_return(store, s);
	if (r < 0)
		return r;
	if (!h.valid)
		return br_error(-ENOTRECOVERABLE, "%s: the snapshot is marked invalid", store->dev->name);
	*ret = (uint64_t)h.chunk_sectors * 512;
	return 0;
}

static int load_and_attach(struct br_snapshot *snap)
{
	int r = snap->cfg.transient ? 0 : br_snapshot_load(snap);

	if (r == 0)
		r = br_change_run(snap->dev.ctx, BR_CHANGE_ATTACH, &snap, 1, BR_NEVER);
	return r;
}

/* @snap's only reference becomes the handle's. */
static int give_out(struct blkremap_ctx *ctx, struct br_snapshot *snap, uint32_t flags, struct blkremap_dev **ret_dev)
{
	struct blkremap_dev *h;
	int r = br_handle_new(ctx, &snap->dev, flags & BLKREMAP_RDONLY, &h);

	if (r == 0 && flags & BLKREMAP_SUSPENDED)
		r = blkremap_suspend(h, 0, -1);
	if (r == 0)
		*ret_dev = h;
	return r;
}

int blkremap_snapshot_open(struct blkremap_ctx *ctx, struct blkremap_dev *origin, struct blkremap_dev *store,
			   const struct blkremap_snapshot_opts *opts, struct blkremap_dev **ret_dev)
{
	struct blkremap_snapshot_opts o;
	struct br_snapshot_cfg cfg;
	struct br_snapshot *snap;
	uint64_t chunk = DEFAULT_CHUNK;
	int r = read_opts(&o, opts);

	if (r == 0)
		r = check_pair(ctx, origin, store);
	if (r < 0 || !ret_dev)
		return r < 0 ? r : br_error(-EINVAL, "snapshot: no place for the handle");
	if (store->rdonly && br_dev_is_origin(origin->dev) && atomic_load(&origin->dev->caps) & BLKREMAP_CAP_WRITE)
		return br_error(-EROFS, "%s is open for reading only, and could not keep what the origin overwrites",
				store->dev->name);
	if (store->rdonly)
		o.flags |= BLKREMAP_RDONLY;
	if (!(o.flags & BLKREMAP_SNAP_TRANSIENT))
		r = find_chunk(store, &chunk);
	if (r < 0)
		return r;
	cfg = to_cfg(&o, chunk);
	r = br_snapshot_new(origin->dev, store->dev, &cfg, &snap);
	if (r < 0)
		return r;
	r = load_and_attach(snap);
	if (r < 0) {
		br_dev_put(&snap->dev);
		return r;
	}
	return give_out(ctx, snap, o.flags, ret_dev);
}

/* ---- take -------------------------------------------------------------------------------------------------------- */

/* A store in memory, as large as the base: what fits always. */
static int memory_store(struct blkremap_ctx *ctx, struct blkremap_dev *origin, uint64_t chunk, struct br_dev **ret)
{
	uint64_t bytes = atomic_load(&origin->dev->bytes);
	struct br_memory_opts m = { .bytes = (bytes + chunk - 1) / chunk * chunk + 2 * chunk,
				    .logical_block = origin->dev->logical_block };

	return br_memory_open(&ctx->core, &m, ret);
}

static int check_store_blank(struct blkremap_dev *store)
{
	struct br_idle_sync *s;
	int r = br_may_write(store);

	if (r == 0)
		r = br_sync_borrow(store, &s);
	if (r < 0)
		return r;
	r = check_blank(&s->sync, store->dev);
	br_sync_return(store, s);
	return r;
}

static int new_item(struct blkremap_ctx *ctx, struct blkremap_take *item, struct br_snapshot **ret)
{
	struct blkremap_snapshot_opts o;
	struct br_snapshot_cfg cfg;
	struct br_dev *store;
	int r = read_opts(&o, item->opts);

	if (r < 0)
		return r;
	cfg = to_cfg(&o, DEFAULT_CHUNK);
	cfg.merging = false;
	if (!item->store) {
		cfg.transient = true;
		r = memory_store(ctx, item->origin, cfg.chunk_bytes, &store);
	} else {
		r = check_pair(ctx, item->origin, item->store);
		if (r == 0 && !cfg.transient && !(o.flags & BLKREMAP_FORCE))
			r = check_store_blank(item->store);
		store = item->store->dev;
	}
	if (r < 0)
		return r;
	r = br_snapshot_new(item->origin->dev, store, &cfg, ret);
	if (!item->store)
		br_dev_put(store);	/* the snapshot has its own reference */
	return r;
}

static int check_items(const struct blkremap_take *items, uint32_t n)
{
	if (!items || !n || n > MAX_TAKE)
		return br_error(-EINVAL, "take: from 1 to %d snapshots at a time", MAX_TAKE);
	for (uint32_t i = 0; i < n; i++) {
		if (!items[i].origin || !br_dev_is_origin(items[i].origin->dev))
			return br_error(-EINVAL, "take: item %u has no origin device", i);
		if (items[i].origin->ctx != items[0].origin->ctx || items[i].reserved[0] || items[i].reserved[1])
			return br_error(-EINVAL, "take: item %u is of another context, or has reserved fields set", i);
	}
	return 0;
}

/* What a take makes before it changes anything: snapshots that are in no family yet, and their handles. */
struct made {
	struct br_snapshot *snaps[MAX_TAKE];
	struct blkremap_dev *handles[MAX_TAKE];
	uint32_t n;
};

static int make_items(struct blkremap_ctx *ctx, struct blkremap_take *items, uint32_t n, struct made *m)
{
	int r = 0;

	for (m->n = 0; r == 0 && m->n < n; m->n += r == 0) {
		r = new_item(ctx, &items[m->n], &m->snaps[m->n]);
		if (r == 0)
			r = br_handle_new(ctx, &m->snaps[m->n]->dev, false, &m->handles[m->n]);
	}
	return r;
}

static void unmake_items(struct made *m)
{
	while (m->n-- > 0)
		blkremap_dev_close(m->handles[m->n]);
}

void br_snapshot_tell_added(struct br_snapshot **snaps, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct br_origin *o = snaps[i]->fam->origin;
		struct br_event e = { .type = BLKREMAP_EV_SNAPSHOT_ADDED, .dev_id = o ? o->dev.id : 0,
				      .value = { snaps[i]->dev.id, 0 } };

		br_ctx_event(snaps[i]->dev.ctx, &e);
	}
}

int blkremap_snapshot_take(struct blkremap_take *items, uint32_t n, int64_t timeout_ns, struct blkremap_job **ret_job)
{
	struct blkremap_ctx *ctx;
	struct made m = { .n = 0 };
	int r = check_items(items, n);

	if (r < 0)
		return r;
	ctx = items[0].origin->ctx;
	r = make_items(ctx, items, n, &m);
	if (r == 0 && ret_job)
		r = br_job_take(ctx, m.snaps, n, timeout_ns, ret_job);
	else if (r == 0)
		r = br_change_run(&ctx->core, BR_CHANGE_TAKE, m.snaps, n,
				  timeout_ns < 0 ? BR_NEVER : br_now(ctx->core.env) + (uint64_t)timeout_ns);
	if (r < 0) {
		unmake_items(&m);
		return r;
	}
	for (uint32_t i = 0; i < n; i++)
		items[i].snap = m.handles[i];
	if (!ret_job)
		br_snapshot_tell_added(m.snaps, n);
	return 0;
}

/* ---- drop and reset ---------------------------------------------------------------------------------------------- */

static int to_snapshot(struct blkremap_dev *dev, struct br_snapshot **ret)
{
	if (!dev || !br_dev_is_snapshot(dev->dev))
		return br_error(-EINVAL, "%s is not a snapshot", dev ? dev->dev->name : "nothing");
	*ret = br_dev_to_snapshot(dev->dev);
	return 0;
}

/* For a job, which would rather be refused at once than fail; the same is asked again when everything is drained. */
int br_snapshot_check_drop(struct br_snapshot *s)
{
	if (s->fam->merging == s && !br_snapshot_merged(s))
		return br_error(-EBUSY, "%s is being merged into its base", s->dev.name);
	if (!s->attached)
		return br_error(-EALREADY, "%s has been dropped", s->dev.name);
	br_snapshot_unhold(s, true);	/* who waits for its space need not any more; draining would wait for them */
	return 0;
}

int br_snapshot_after_drop(struct br_snapshot *s)
{
	struct br_origin *o = s->fam->origin;
	struct br_event e = { .type = BLKREMAP_EV_SNAPSHOT_GONE, .dev_id = o ? o->dev.id : 0,
			      .value = { s->dev.id, 0 } };
	bool owned = s->owned;

	br_ctx_event(s->dev.ctx, &e);
	s->owned = false;
	return owned ? br_dev_put(&s->dev) : 0;
}

int blkremap_snapshot_drop(struct blkremap_dev *snapshot)
{
	struct br_snapshot *s;
	int r = to_snapshot(snapshot, &s), error;

	if (r < 0)
		return r;
	br_snapshot_unhold(s, true);	/* may it be dropped?  That is seen where nothing changes meanwhile */
	r = br_change_run(s->dev.ctx, BR_CHANGE_DROP, &s, 1, BR_NEVER);
	if (r < 0)
		return r;
	error = s->store.invalid_error;
	r = br_snapshot_after_drop(s);
	return error ? br_error(error, "%s: the invalid mark is not durable", snapshot->dev->name) : r;
}

int blkremap_snapshot_reset(struct blkremap_dev *snapshot)
{
	struct br_snapshot *s;
	int r = to_snapshot(snapshot, &s);

	if (r < 0)
		return r;
	if (snapshot->rdonly || s->cfg.rdonly)
		return br_error(-EROFS, "%s is open for reading only", s->dev.name);
	return br_change_run(s->dev.ctx, BR_CHANGE_RESET, &s, 1, BR_NEVER);
}

/* ---- sizes and status -------------------------------------------------------------------------------------------- */

int blkremap_meta_size(const char *type, uint64_t bytes, uint64_t block_bytes, uint64_t *ret_bytes)
{
	struct br_snap_layout l;
	uint64_t chunk = block_bytes ? block_bytes : DEFAULT_CHUNK, size;
	int r;

	if (!type || !ret_bytes || strcmp(type, "snapshot") != 0)
		return br_error(-EINVAL, "size: unknown type, or no place for the result");
	r = br_snap_layout_init_create(&l, chunk, 3 * chunk);
	if (r < 0)
		return r;
	size = br_snap_store_bytes(bytes, chunk);
	if (size == UINT64_MAX)
		return br_error(-EOVERFLOW, "size: no store is large enough");
	*ret_bytes = size;
	return 0;
}

bool br_snapshot_is_of(struct br_dev *d, const struct br_dev *above)
{
	struct br_snapshot *s;

	if (!br_dev_is_snapshot(d))
		return false;
	s = br_dev_to_snapshot(d);
	return s->attached && (s->fam->base == above || (s->fam->origin && &s->fam->origin->dev == above));
}

void br_snapshot_status(struct br_dev *d, struct blkremap_status *st)
{
	struct br_snap_usage u;
	struct br_snapshot *s;

	if (!br_dev_is_snapshot(d))
		return;
	s = br_dev_to_snapshot(d);
	u = br_snap_store_usage(&s->store);
	st->store_used = u.allocated * s->cfg.chunk_bytes;
	st->store_meta = u.metadata * s->cfg.chunk_bytes;
	st->store_total = atomic_load(&s->store_dev->bytes);
	st->copied_bytes = atomic_load(&s->copied_bytes);
	st->commits = s->store.commits;
}

/* The kernel's words, in its order of precedence (dm-snap.c's status method). */
static int status_words(struct br_snapshot *s, char *buf, size_t len)
{
	struct br_snap_usage u = br_snap_store_usage(&s->store);
	uint64_t sectors = s->cfg.chunk_bytes / 512;

	if (atomic_load(&s->gone))
		return snprintf(buf, len, "Invalid");
	if (atomic_load(&s->dev.state) & BLKREMAP_ST_FAILED)
		return snprintf(buf, len, "Merge failed");
	if (atomic_load(&s->dev.state) & BLKREMAP_ST_FULL)
		return snprintf(buf, len, "Overflow");
	return snprintf(buf, len, "%" PRIu64 "/%" PRIu64 " %" PRIu64, u.allocated * sectors,
			atomic_load(&s->store_dev->bytes) / 512, u.metadata * sectors);
}

int blkremap_dm_status(struct blkremap_dev *dev, char *buf, size_t len)
{
	if (!dev || (len && !buf))
		return br_error(-EINVAL, "status: no device, or no place for it");
	if (br_dev_is_snapshot(dev->dev))
		return status_words(br_dev_to_snapshot(dev->dev), buf, len);
	return snprintf(buf, len, "%s", "");
}

/* ---- live tuning ------------------------------------------------------------------------------------------------- */

int blkremap_dev_set(struct blkremap_dev *dev, const char *key, const char *value)
{
	if (!dev || !key || !value)
		return br_error(-EINVAL, "set: no device, key or value");
	return br_dev_set(dev->dev, key, value);
}
