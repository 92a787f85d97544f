/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The snapshot.  Read: a completed exception leads to the store; else the base, registered in the deferred set so that
 * nobody overwrites what is still being read.  Write: remapped if completed; one that covers its chunk goes straight to
 * its new place; else copy, commit, write.
 */
#include "target/snapshot.h"

#include <errno.h>

#include "base/mutant.h"
#include "blkremap/blkremap.h"
#include "target/family.h"

static struct br_leg *to_leg(struct br_op *op)
{
	return br_container_of(op, struct br_leg, op);
}

/* ---- validity ---------------------------------------------------------------------------------------------------- */

/* The one thing that nobody can help (protocols P8): the next open cannot know that the store has missed something. */
static void tell_not_durable(struct br_snapshot *s)
{
	struct br_event e = { .type = BLKREMAP_EV_INVALIDATED, .code = BLKREMAP_CODE_META_FAILED, .dev_id = s->dev.id,
			      .result = s->store.invalid_error,
			      .text = "the invalid mark is not durable: remove the store, it may look valid" };

	br_ctx_event(s->dev.ctx, &e);
}

enum br_gone br_snapshot_gone(struct br_snapshot *s)
{
	enum br_gone gone = atomic_load(&s->gone);
	bool marked = br_snap_store_state(&s->store) == BR_SNAP_INVALID ||
		      BR_MUTANT("snap-invalidate-after-origin-write");

	if (gone == BR_GOING && marked) {
		gone = BR_GONE;
		if (atomic_exchange(&s->gone, BR_GONE) == BR_GOING && s->store.invalid_error)
			tell_not_durable(s);
	}
	return gone;
}

bool br_snapshot_merged(struct br_snapshot *s)
{
	return s->fam->merging == s && !br_snap_store_usage(&s->store).exceptions;
}

void br_snapshot_set_going(struct br_snapshot *s, uint32_t code)
{
	struct br_event e = { .type = BLKREMAP_EV_INVALIDATED, .code = code, .dev_id = s->dev.id, .result = -EIO };
	uint32_t here = BR_HERE;

	if (!atomic_compare_exchange_strong(&s->gone, &here, BR_GOING))
		return;
	atomic_store(&s->dev.code, code);
	atomic_fetch_or(&s->dev.state, BLKREMAP_ST_INVALID);
	br_ctx_event(s->dev.ctx, &e);
}

static void refuse(struct br_leg *leg)
{
	leg->req.code = BLKREMAP_CODE_INVALIDATED;
	br_leg_finish(leg, -EIO);
}

/* ---- reads ------------------------------------------------------------------------------------------------------- */

/* Behind the end of the base a snapshot reads zeroes, as far as nothing was written there. */
static bool reads_zeroes(struct br_leg *leg)
{
	uint64_t base = atomic_load_explicit(&leg->fc->base->dev->bytes, memory_order_relaxed), n;

	if (br_likely(leg->req.offset + leg->req.length <= base))
		return false;
	n = base > leg->req.offset ? base - leg->req.offset : 0;
	br_req_copy_in(&leg->req, n, NULL, leg->req.length - n);
	leg->req.length = n;
	return n == 0;
}

static void read_base(struct br_leg *leg)
{
	if (reads_zeroes(leg)) {
		br_dset_leave(&leg->entry);
		leg->entered = false;
		br_leg_finish(leg, 0);
		return;
	}
	br_leg_to_base(leg);
}

/*
 * A hit needs no entry: what the store holds stays there.  A miss is looked up again with the entry in hand (decision
 * D3): now either the copy-out sees that we are inside, or we see its exception.
 */
static void start_read(struct br_leg *leg)
{
	struct br_snapshot *s = leg->snap;
	uint64_t new_chunk;

	if (br_extable_lookup(s->table, leg->chunk, &new_chunk) != BR_EX_NONE) {
		br_leg_to_store(leg, s, new_chunk);
		return;
	}
	br_dset_enter(leg->fc->ways[s->slot].lane, leg->chunk, &leg->entry);
	if (br_extable_lookup(s->table, leg->chunk, &new_chunk) != BR_EX_NONE) {
		br_dset_leave(&leg->entry);
		br_leg_to_store(leg, s, new_chunk);
		return;
	}
	leg->entered = true;
	read_base(leg);
}

/* ---- writes ------------------------------------------------------------------------------------------------------ */

/*
 *	again:	completed?	write to the store
 *		pending?	wait, again
 *		else		make the copy-out (with our data instead of a copy if we cover the chunk), wait, again
 */
enum { S_LOOK, S_WOKEN, S_STORE, S_END };

static bool covers_chunk(const struct br_leg *leg)
{
	const struct br_snapshot *s = leg->snap;
	uint64_t begin = leg->chunk << s->chunk_shift;
	uint64_t end = BR_MIN(begin + s->cfg.chunk_bytes, atomic_load_explicit(&s->dev.bytes, memory_order_relaxed));

	return leg->req.offset == begin && leg->req.offset + leg->req.length == end;
}

/* Under fam->lock. */
static struct br_cow *look(struct br_leg *leg)
{
	struct br_snapshot *s = leg->snap;
	struct br_cow_part *p = br_pending_find(s, leg->chunk);
	struct br_cow *cow;

	if (p) {
		br_pending_park(p, leg);
		return NULL;
	}
	cow = br_cow_make(leg->fc, &s, 1, leg->req.offset);
	if (!cow) {
		br_cow_wait(leg->fc, leg);
		return NULL;
	}
	if (covers_chunk(leg))
		cow->whole = leg;
	leg->written = cow->whole != NULL;
	br_pending_park(cow->parts, leg);
	return cow;
}

static int step_look(struct br_op *op)
{
	struct br_leg *leg = to_leg(op);
	struct br_snapshot *s = leg->snap;
	struct br_cow *cow = NULL;
	uint64_t new_chunk;
	bool mapped;

	if (atomic_load(&s->gone))
		return br_op_fail(op, -EIO);
	br_family_lock(s->fam);
	mapped = br_extable_lookup(s->table, leg->chunk, &new_chunk) != BR_EX_NONE;
	if (!mapped)
		cow = look(leg);
	br_family_unlock(s->fam);
	if (mapped)
		return S_STORE;
	if (cow)
		br_cow_start(cow);
	return br_op_await(op, S_WOKEN);
}

static int step_woken(struct br_op *op)
{
	struct br_leg *leg = to_leg(op);

	br_pending_unpark(leg);
	br_snapshot_gone(leg->snap);
	if (leg->wait_error) {
		leg->req.code = leg->wait_error == -ENOSPC ? BLKREMAP_CODE_STORE_FULL : BLKREMAP_CODE_INVALIDATED;
		if (leg->wait_error == -ENOSPC)
			atomic_fetch_or(&leg->snap->dev.state, BLKREMAP_ST_FULL);
		return br_op_fail(op, leg->wait_error);
	}
	return leg->written ? S_END : S_LOOK;
}

static int step_store(struct br_op *op)
{
	struct br_leg *leg = to_leg(op);
	uint64_t new_chunk = 0;

	br_extable_lookup(leg->snap->table, leg->chunk, &new_chunk);
	br_leg_op_to_store(leg, leg->snap, new_chunk);
	return br_op_await(op, S_END);
}

static int step_end(struct br_op *op)
{
	(void)op;
	return BR_OP_END;
}

static const struct br_op_step write_steps[] = {
	[S_LOOK] = { "look", step_look, S_END },
	[S_WOKEN] = { "woken", step_woken, S_END },
	[S_STORE] = { "store", step_store, S_END },
	[S_END] = { "end", step_end, BR_OP_END },
};

static const struct br_op_class write_class = { "snapshot-write", br_leg_op_finish, write_steps };

static void start_write(struct br_leg *leg)
{
	uint64_t new_chunk;

	if (br_likely(br_extable_lookup(leg->snap->table, leg->chunk, &new_chunk) != BR_EX_NONE))
		br_leg_to_store(leg, leg->snap, new_chunk);
	else
		br_op_start(&leg->op, &write_class, leg->fc->chan.queue);
}

/* ---- discards ---------------------------------------------------------------------------------------------------- */

/*
 * With discard_zeroes_cow: a remapped chunk reads zeroes afterwards if it was covered; a part of it is a hint to the
 * store. An unmapped chunk is left alone, or, with passdown, discarded in the base, where that is a write to the other
 * snapshots and to stores that are attached later.  A base without an origin is nobody's to discard.
 */
static void start_discard(struct br_leg *leg)
{
	struct br_snapshot *s = leg->snap;
	bool whole = covers_chunk(leg);
	uint64_t new_chunk;

	if (br_extable_lookup(s->table, leg->chunk, &new_chunk) != BR_EX_NONE) {
		if (whole) {
			leg->req.op = BR_WRITE_ZEROES;
			leg->req.flags = (leg->req.flags & (BR_FUA | BR_BACKGROUND)) | BR_MAY_UNMAP;
		}
		if (whole || atomic_load(&s->store_dev->caps) & BR_CAP_DISCARD)
			br_leg_to_store(leg, s, new_chunk);
		else
			br_leg_finish(leg, 0);
	} else if (s->cfg.discard_passdown && atomic_load(&s->fam->writable) &&
		   leg->req.offset + leg->req.length <= atomic_load(&s->fam->base->bytes)) {
		leg->passing = s;
		br_family_note_write(s->fam);
		br_origin_write_op(leg);
	} else {
		br_leg_finish(leg, 0);
	}
}

/* ---- the face ---------------------------------------------------------------------------------------------------- */

void br_snapshot_start_leg(struct br_leg *leg)
{
	if (br_unlikely(atomic_load_explicit(&leg->snap->gone, memory_order_relaxed)))
		refuse(leg);
	else if (leg->req.op == BR_READ)
		start_read(leg);
	else if (leg->req.op == BR_DISCARD)
		start_discard(leg);
	else
		start_write(leg);
}

void br_snapshot_submit(struct br_chan *chan, struct br_req *req)
{
	struct br_snapshot *s = br_container_of(chan->dev, struct br_snapshot, dev);
	struct br_family_chan *fc = br_container_of(chan, struct br_face_chan, chan)->fc;

	req->engine_priv = s;
	if (br_unlikely(!s->attached || atomic_load_explicit(&s->gone, memory_order_relaxed)))
		br_req_fail(req, -EIO, BLKREMAP_CODE_INVALIDATED);
	else if (req->op == BR_FLUSH)
		br_family_flush(fc, req);
	else
		br_family_split(fc, req);
}
