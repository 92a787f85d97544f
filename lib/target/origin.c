/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The origin.  Reads and flushes pass.  A write is cut at the smallest chunk of the snapshots; each snapshot that has
 * no completed exception for its chunk gets one (cow.c) before the write goes out.  The origin always wins: a snapshot
 * that cannot take its copy becomes invalid, and the write goes on.
 */
#include "target/origin.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/mutant.h"
#include "blkremap/blkremap.h"
#include "target/family.h"

static struct br_leg *to_leg(struct br_op *op)
{
	return br_container_of(op, struct br_leg, op);
}

/* ---- does anybody need the old data? ----------------------------------------------------------------------------- */

/* Is the chunk that the leg writes to this snapshot's business at all? */
static bool concerns(const struct br_leg *leg, const struct br_snapshot *s)
{
	if (!s || s == s->fam->merging || s == leg->passing || leg->req.offset >= atomic_load(&s->dev.bytes))
		return false;
	return atomic_load(&s->gone) != BR_GONE;
}

static bool is_protected(struct br_snapshot *s, uint64_t offset)
{
	uint64_t new_chunk;
	int state = br_extable_lookup(s->table, offset >> s->chunk_shift, &new_chunk);

	return state == BR_EX_DONE || (state == BR_EX_DRAINING && BR_MUTANT("snap-completed-first"));
}

/* Without the lock: state D in every snapshot, which is for good. */
static bool all_protected(struct br_leg *leg)
{
	struct br_family *f = br_chan_family(leg->fc);

	if (BR_MUTANT("origin-write-first"))
		return true;
	for (uint32_t i = 0; i < f->nr_slots; i++)
		if (concerns(leg, f->snaps[i]) && !is_protected(f->snaps[i], leg->req.offset))
			return false;
	return true;
}

/* ---- a write that has to wait ------------------------------------------------------------------------------------ */

/*
 *	merging? share its lock of the chunk; if the chunk is still in the store: write there, and done
 *	again:	for each snapshot that has no completed, quiet exception for the chunk:
 *			going invalid?	wait until that is durable
 *			pending?	remember it
 *			none?		make a copy-out, one for all of equal chunk size
 *		wait for one of them; go to again		# each is looked at afresh: nothing is owned across
 *		snapshots
 *	write
 *	give the lock back
 *
 * All that is needed is started before the first wait.  A crash before the write goes out leaves the base as it was.
 */
enum { S_ENTER, S_ROUTE, S_SCAN, S_WOKEN, S_WRITE, S_END };

static int step_enter(struct br_op *op)
{
	struct br_leg *leg = to_leg(op);
	struct br_snapshot *m = br_chan_family(leg->fc)->merging;

	if (!m || leg->protects_only)
		return S_SCAN;
	leg->holds = true;
	leg->chunk = leg->req.offset >> m->chunk_shift;
	br_range_lock_take(&m->merge_lock, &leg->hold, leg->chunk, leg->chunk + 1, false, op);
	return br_op_await(op, S_ROUTE);
}

/* The lock is held: what we find now stays so until we give it back. */
static int step_route(struct br_op *op)
{
	struct br_leg *leg = to_leg(op);
	struct br_snapshot *m = br_chan_family(leg->fc)->merging;
	uint64_t new_chunk;

	if (br_unlikely(atomic_load(&m->merge_broken))) {
		leg->req.code = BLKREMAP_CODE_META_FAILED;
		return br_op_fail(op, -EIO);
	}
	if (br_extable_lookup(m->table, leg->chunk, &new_chunk) == BR_EX_NONE)
		return S_SCAN;
	br_leg_op_to_store(leg, m, new_chunk);
	return br_op_await(op, S_END);
}

/* What one look at all snapshots has found. */
struct scan {
	struct br_cow_part *park;	/* the pending exception to wait for */
	struct br_snapshot *need[BR_FAMILY_MAX];
	uint32_t nr_need;
	struct br_snapshot *going;
	bool waits;			/* something was launched on the leg's op */
};

/* Under fam->lock: pending first, then completed. */
static void look_at(struct scan *scan, struct br_snapshot *s, uint64_t offset)
{
	struct br_cow_part *p = br_pending_find(s, offset >> s->chunk_shift);

	if (p) {
		if (!scan->park && !(BR_MUTANT("snap-completed-first") && is_protected(s, offset)))
			scan->park = p;
	} else if (!is_protected(s, offset)) {
		scan->need[scan->nr_need++] = s;
	}
}

static void look_around(struct scan *scan, struct br_leg *leg)
{
	struct br_family *f = br_chan_family(leg->fc);

	for (uint32_t i = 0; i < f->nr_slots && !scan->going; i++) {
		struct br_snapshot *s = f->snaps[i];

		if (!concerns(leg, s))
			continue;
		if (atomic_load(&s->gone) == BR_GOING)
			scan->going = s;
		else if (!BR_MUTANT("second-snapshot-skipped") || i == 0)
			look_at(scan, s, leg->req.offset);
	}
}

/* Under fam->lock: a copy-out for the first in need and all others with its chunk size.  NULL: none to be had now. */
static struct br_cow *make_cow(struct scan *scan, struct br_leg *leg)
{
	struct br_snapshot *same[BR_FAMILY_MAX];
	uint64_t chunk = scan->need[0]->cfg.chunk_bytes;
	uint32_t n = 0, kept = 0;
	struct br_cow_part *p;
	struct br_cow *cow;

	for (uint32_t i = 0; i < scan->nr_need; i++) {
		if (scan->need[i]->cfg.chunk_bytes == chunk)
			same[n++] = scan->need[i];
		else
			scan->need[kept++] = scan->need[i];
	}
	scan->nr_need = kept;
	cow = br_cow_make(leg->fc, same, n, leg->req.offset);
	for (p = cow ? cow->parts : NULL; p; p = p->next)
		p->for_origin = true;
	return cow;
}

/* Under fam->lock: all that is needed, as far as it can be had; parks on something. */
static uint32_t make_cows(struct scan *scan, struct br_leg *leg, struct br_cow **cows)
{
	uint32_t n = 0;

	while (scan->nr_need && (cows[n] = make_cow(scan, leg))) {
		if (!scan->park)
			scan->park = cows[n]->parts;
		n++;
	}
	scan->waits = true;
	if (scan->park)
		br_pending_park(scan->park, leg);
	else
		br_cow_wait(leg->fc, leg);
	return n;
}

static int wait_for_mark(struct br_leg *leg, struct br_snapshot *s)
{
	br_snap_store_invalidate(&s->store, leg->fc->ways[s->slot].store, &leg->mark, &leg->op);
	return br_op_await(&leg->op, S_WOKEN);
}

static int step_scan(struct br_op *op)
{
	struct br_leg *leg = to_leg(op);
	struct br_family *f = br_chan_family(leg->fc);
	struct br_cow *cows[BR_FAMILY_MAX];
	struct scan scan = { 0 };
	uint32_t n = 0;

	br_family_lock(f);
	look_around(&scan, leg);
	if (!scan.going && (scan.nr_need || scan.park))
		n = make_cows(&scan, leg, cows);
	br_family_unlock(f);
	if (scan.going)
		return wait_for_mark(leg, scan.going);
	if (!scan.waits)
		return S_WRITE;
	while (n-- > 0)
		br_cow_start(cows[n]);
	return br_op_await(op, S_WOKEN);
}

static int step_woken(struct br_op *op)
{
	struct br_family *f = br_chan_family(to_leg(op)->fc);

	br_pending_unpark(to_leg(op));
	for (uint32_t i = 0; i < f->nr_slots; i++)
		if (f->snaps[i])
			br_snapshot_gone(f->snaps[i]);
	return S_SCAN;
}

static int step_write(struct br_op *op)
{
	if (!to_leg(op)->protects_only)
		br_leg_op_to_base(to_leg(op));
	return br_op_await(op, S_END);
}

static int step_end(struct br_op *op)
{
	struct br_leg *leg = to_leg(op);

	if (leg->holds)
		br_range_lock_give(&br_chan_family(leg->fc)->merging->merge_lock, &leg->hold);
	leg->holds = false;
	return BR_OP_END;
}

static const struct br_op_step write_steps[] = {
	[S_ENTER] = { "enter", step_enter, S_END },
	[S_ROUTE] = { "route", step_route, S_END },
	[S_SCAN] = { "scan", step_scan, S_END },
	[S_WOKEN] = { "woken", step_woken, S_END },
	[S_WRITE] = { "write", step_write, S_END },
	[S_END] = { "end", step_end, BR_OP_END },
};

static const struct br_op_class write_class = { "origin-write", br_leg_op_finish, write_steps };

void br_origin_write_op(struct br_leg *leg)
{
	br_op_start(&leg->op, &write_class, leg->fc->chan.queue);
}

static void protect_finish(struct br_op *op, int error)
{
	struct br_leg *leg = to_leg(op);

	br_op_done(leg->parent_op, error);
}

static const struct br_op_class protect_class = { "protect", protect_finish, write_steps };

void br_origin_protect(struct br_leg *leg, struct br_family_chan *fc, uint64_t offset, struct br_op *op)
{
	leg->req = (struct br_req){ .op = BR_WRITE, .offset = offset };
	leg->fc = fc;
	leg->snap = leg->passing = NULL;
	leg->holds = leg->foreign = false;
	leg->protects_only = true;
	leg->parent_op = op;
	br_op_launch(op);
	br_op_start(&leg->op, &protect_class, fc->chan.queue);
}

/* ---- the face ---------------------------------------------------------------------------------------------------- */

void br_origin_start_leg(struct br_leg *leg)
{
	if (leg->req.op == BR_READ || all_protected(leg))
		br_leg_to_base(leg);
	else
		br_origin_write_op(leg);
}

static void origin_submit(struct br_chan *chan, struct br_req *req)
{
	struct br_origin *o = br_container_of(chan->dev, struct br_origin, dev);
	struct br_family_chan *fc = br_container_of(chan, struct br_face_chan, chan)->fc;

	req->engine_priv = NULL;
	if (req->op == BR_FLUSH) {
		br_family_flush(fc, req);
		return;
	}
	if (req->op != BR_READ)
		br_family_note_write(o->fam);
	br_family_split(fc, req);
}

static int origin_chan_open(struct br_chan *chan)
{
	return br_face_chan_open(chan, br_container_of(chan->dev, struct br_origin, dev)->fam);
}

static int origin_resize(struct br_dev *dev, uint64_t bytes, uint64_t *ret)
{
	struct br_origin *o = br_container_of(dev, struct br_origin, dev);
	struct br_dev *base = o->fam->base;
	uint64_t now;
	int r;

	if (!base->ops->resize)
		return br_error(-EOPNOTSUPP, "%s: a %s cannot change its size", base->name, base->ops->type);
	r = base->ops->resize(base, bytes, &now);
	if (r < 0)
		return r;
	atomic_store(&dev->bytes, now);
	*ret = now;
	return 0;
}

static int origin_close(struct br_dev *dev)
{
	struct br_origin *o = br_container_of(dev, struct br_origin, dev);
	bool written = atomic_load(&o->fam->written) || o->fam->merging;
	int r = written ? br_family_flush_dev(o->fam->base) : 0, r2;

	r2 = br_family_drop_origin(o->fam);
	r = r < 0 ? r : r2;
	r2 = br_dev_put(&o->fam->dev);		/* the last one unclaims the base */
	br_free(dev->ctx->env, o, sizeof(*o));
	return r < 0 ? r : r2;
}

static const struct br_dev_ops origin_ops = {
	.type = "origin",
	.chan_bytes = sizeof(struct br_face_chan),
	.chan_open = origin_chan_open,
	.chan_close = br_face_chan_close,
	.submit = origin_submit,
	.resize = origin_resize,
	.close = origin_close,
};

bool br_dev_is_origin(const struct br_dev *dev)
{
	return dev->ops == &origin_ops;
}

static void describe(struct br_origin *o, bool rdonly)
{
	struct br_dev *d = &o->dev, *base = o->fam->base;
	uint32_t caps = atomic_load(&base->caps);

	br_dev_like(d, base);
	/* a merge ignores discards */
	caps &= ~(uint32_t)(BR_CAP_EXTENTS | BR_CAP_FAST_ZEROES | BR_CAP_DISCARD_ZEROES);
	atomic_store(&d->caps, rdonly ? caps & ~(uint32_t)(BR_CAP_WRITE | BR_CAP_DISCARD) : caps);
	d->lower[0] = base;
	d->nr_lower = 1;
}

static int join_family(struct br_origin *o, bool rdonly)
{
	struct br_family *f = o->fam;

	if (f->origin)
		return br_error(-EBUSY, "%s has an origin already, %s", f->base->name, f->origin->dev.name);
	f->origin = o;
	atomic_store(&f->written, false);
	atomic_store(&f->writable, !rdonly);
	return 0;
}

int br_origin_open(struct br_dev *base, const char *name, bool rdonly, struct br_dev **ret)
{
	const struct blkremap_env *env = base->ctx->env;
	struct br_origin *o = br_alloc(env, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	r = br_family_get(base, &o->fam);
	if (r == 0) {
		r = join_family(o, rdonly);
		if (r == 0)
			describe(o, rdonly);
		if (r == 0)
			r = br_dev_add(&o->dev, base->ctx, &origin_ops, name);
		if (r == 0) {
			*ret = &o->dev;
			return 0;
		}
		if (o->fam->origin == o) {
			o->fam->origin = NULL;
			atomic_store(&o->fam->writable, false);
		}
		br_dev_put(&o->fam->dev);
	}
	br_free(env, o, sizeof(*o));
	return r;
}
