/* SPDX-License-Identifier: BSD-3-Clause */
/* Where things lie: extents of a device, and what differs between a snapshot and a later one. */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "base/error.h"
#include "target/family.h"
#include "target/origin.h"
#include "target/snapshot.h"

/* A list of extents that grows at its end and joins what belongs together. */
struct extents {
	struct blkremap_extent *out;
	uint32_t n, max;
};

static bool joins(const struct blkremap_extent *a, const struct blkremap_extent *b)
{
	return a->kind == b->kind && a->dev_id == b->dev_id && a->offset + a->length == b->offset &&
	       (!a->dev_id || a->at + a->length == b->at);
}

/* False: no room for it. */
static bool add(struct extents *e, struct blkremap_extent x)
{
	if (e->n && joins(&e->out[e->n - 1], &x)) {
		e->out[e->n - 1].length += x.length;
		return true;
	}
	if (e->n == e->max)
		return false;
	e->out[e->n++] = x;
	return true;
}

/* ---- what a leaf says of itself ---------------------------------------------------------------------------------- */

enum { ASK = 64 };

/* Extents of [off, off + len) of a device below, as places of @as (an offset to add). */
struct ask {
	struct blkremap_ctx *ctx;
	struct br_dev *dev;
	uint64_t off, len, shift;
	uint32_t kind;			/* to be added */
};

static bool add_plain(struct extents *e, const struct ask *a, uint64_t off, uint64_t len, uint32_t kind)
{
	return add(e, (struct blkremap_extent){ .offset = off + a->shift, .length = len, .at = off,
						.dev_id = a->dev->id, .kind = kind | a->kind });
}

static int ask_extents(const struct ask *a, uint64_t off, struct blkremap_extent *found)
{
	struct iovec iov = { found, ASK * sizeof(*found) };
	struct br_req req = { .op = BR_EXTENTS, .offset = off, .length = a->off + a->len - off, .iov = &iov,
			      .iovcnt = 1 };
	struct br_sync io;
	int r = br_sync_open(&io, &a->ctx->core, a->dev);

	if (r < 0)
		return r;
	r = br_sync_submit(&io, io.chan, &req);
	br_sync_close(&io);
	return r;
}

static int map_leaf(struct extents *e, const struct ask *a)
{
	struct blkremap_extent found[ASK];
	uint64_t off = a->off, end = a->off + a->len;
	int n = 1;

	while (off < end && atomic_load(&a->dev->caps) & BR_CAP_EXTENTS) {
		n = ask_extents(a, off, found);
		if (n <= 0)
			break;
		for (int i = 0; i < n; i++) {
			if (!add_plain(e, a, found[i].offset, found[i].length, found[i].kind))
				return 1;
			off = found[i].offset + found[i].length;
		}
	}
	if (n < 0)
		return n;
	return off < end && !add_plain(e, a, off, end - off, BLKREMAP_EXT_DATA) ? 1 : 0;
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

struct walk {
	struct blkremap_ctx *ctx;
	struct extents e;
	uint64_t off, end;
	bool top_only;
};

/* Copied chunks lie in the store. */
static bool add_mapped(struct walk *w, struct br_snapshot *s, struct br_exception x)
{
	uint64_t chunk = s->cfg.chunk_bytes, begin = BR_MAX(w->off, x.old_chunk * chunk);
	uint64_t end = BR_MIN(w->end, (x.old_chunk + 1) * chunk);
	struct blkremap_extent ext = { .offset = begin, .length = end - begin,
				       .at = x.new_chunk * chunk + begin % chunk, .dev_id = s->store_dev->id,
				       .kind = BLKREMAP_EXT_DATA | BLKREMAP_EXT_REMAPPED };

	if (!add(&w->e, ext))
		return false;
	w->off = end;
	return true;
}

/* The rest is the base's business, and behind its end there are zeroes. */
static int add_unmapped(struct walk *w, struct br_dev *base, uint64_t end)
{
	uint64_t base_end = BR_MIN(end, atomic_load(&base->bytes));
	struct ask a = { .ctx = w->ctx, .dev = base, .off = w->off, .len = base_end > w->off ? base_end - w->off : 0 };
	struct blkremap_extent zero = { .offset = BR_MAX(w->off, base_end), .kind = BLKREMAP_EXT_ZERO };
	int r = 0;

	if (a.len && w->top_only)
		r = !add_plain(&w->e, &a, a.off, a.len, BLKREMAP_EXT_DATA);
	else if (a.len)
		r = map_leaf(&w->e, &a);
	zero.length = end - zero.offset;
	if (r == 0 && zero.length && !add(&w->e, zero))
		r = 1;
	w->off = end;
	return r;
}

static int next_exception(struct br_snapshot *s, const struct walk *w, struct br_exception *ret)
{
	uint64_t chunk = s->cfg.chunk_bytes;
	int r;

	br_family_lock(s->fam);
	r = br_extable_next(s->table, w->off / chunk, (w->end - 1) / chunk + 1, ret);
	br_family_unlock(s->fam);
	return r;
}

static int map_snapshot(struct walk *w, struct br_snapshot *s)
{
	struct br_exception x;
	uint64_t until;
	int r = 0;

	while (r == 0 && w->off < w->end) {
		bool found = next_exception(s, w, &x) == 0;

		until = found ? BR_MIN(w->end, x.old_chunk * s->cfg.chunk_bytes) : w->end;
		if (until > w->off)
			r = add_unmapped(w, s->fam->base, until);
		if (r == 0 && found && w->off < w->end && !add_mapped(w, s, x))
			r = 1;
	}
	return r;
}

static int map(struct walk *w, struct br_dev *d)
{
	struct br_family *f = br_dev_is_origin(d) ? br_container_of(d, struct br_origin, dev)->fam : NULL;

	if (br_dev_is_snapshot(d))
		return map_snapshot(w, br_dev_to_snapshot(d));
	if (f && f->merging)
		return map_snapshot(w, f->merging);
	if (f)
		return add_unmapped(w, f->base, w->end);
	return add_unmapped(w, d, w->end);
}

static int check_range(struct blkremap_dev *dev, uint64_t off, uint64_t len)
{
	uint64_t bytes = blkremap_dev_size(dev);

	if (off > bytes || len > bytes - off)
		return br_error(-EINVAL, "%s: %" PRIu64 " bytes at offset %" PRIu64 " reach beyond the end",
				dev->dev->name, len, off);
	return 0;
}

int blkremap_map(struct blkremap_dev *dev, uint64_t off, uint64_t len, uint32_t flags, struct blkremap_extent *out,
		 uint32_t max, uint32_t *ret_n)
{
	struct walk w = { .off = off, .end = off + len, .top_only = flags & BLKREMAP_MAP_TOP_ONLY, .e = { .out = out,
			  .max = max } };
	int r;

	if (!dev || !out || !max || !ret_n || flags & ~(uint32_t)BLKREMAP_MAP_TOP_ONLY)
		return br_error(-EINVAL, "map: no device, no room, or unknown flags");
	r = check_range(dev, off, len);
	if (r < 0)
		return r;
	w.ctx = dev->ctx;
	r = len ? map(&w, dev->dev) : 0;
	if (r < 0)
		return r;
	*ret_n = w.e.n;
	return 0;
}

/* ---- delta ------------------------------------------------------------------------------------------------------- */

/*
 * What the origin has been written since a snapshot is what the snapshot has copied out, and what was written to the
 * snapshot itself besides: a superset, and in whole chunks.
 */
static bool is_mapped(struct br_snapshot *s, uint64_t off)
{
	uint64_t new_chunk;

	return s && br_extable_lookup(s->table, off >> s->chunk_shift, &new_chunk) != BR_EX_NONE;
}

static uint64_t step_of(const struct br_snapshot *a, const struct br_snapshot *b)
{
	return b ? BR_MIN(a->cfg.chunk_bytes, b->cfg.chunk_bytes) : a->cfg.chunk_bytes;
}

static struct br_family *family_of(struct br_dev *d)
{
	if (br_dev_is_snapshot(d))
		return br_dev_to_snapshot(d)->fam;
	return br_dev_is_origin(d) ? br_container_of(d, struct br_origin, dev)->fam : NULL;
}

static int check_delta(struct blkremap_dev *from, struct blkremap_dev *to)
{
	if (!from || !to || from->ctx != to->ctx || !br_dev_is_snapshot(from->dev))
		return br_error(-EINVAL, "delta: from must be a snapshot, and to of the same context");
	if (family_of(to->dev) != family_of(from->dev))
		return br_error(-EINVAL, "delta: %s and %s do not belong to one base", from->dev->name, to->dev->name);
	if (atomic_load(&br_dev_to_snapshot(from->dev)->gone))
		return br_error(-EIO, "delta: %s is invalid", from->dev->name);
	return 0;
}

int blkremap_delta(struct blkremap_dev *from, struct blkremap_dev *to, uint64_t off, uint64_t len,
		   struct blkremap_extent *out, uint32_t max, uint32_t *ret_n)
{
	struct extents e = { .out = out, .max = max };
	struct br_snapshot *a, *b;
	uint64_t at, next, step;
	int r = check_delta(from, to);

	if (r < 0 || !out || !max || !ret_n)
		return r < 0 ? r : br_error(-EINVAL, "delta: no room for the result");
	r = check_range(to, off, len);
	if (r < 0)
		return r;
	a = br_dev_to_snapshot(from->dev);
	b = br_dev_is_snapshot(to->dev) ? br_dev_to_snapshot(to->dev) : NULL;
	step = step_of(a, b);
	for (at = off; at < off + len; at = next) {
		bool changed = is_mapped(a, at) || is_mapped(b, at);

		next = BR_MIN(off + len, (at / step + 1) * step);
		if (!add(&e, (struct blkremap_extent){ .offset = at, .length = next - at,
						       .kind = changed ? BLKREMAP_EXT_CHANGED | BLKREMAP_EXT_INEXACT :
						       0 }))
			break;
	}
	*ret_n = e.n;
	return 0;
}
