/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pieces of requests.  A request is cut where chunks end; each piece (leg) finds its own way and is counted in its
 * parent (req.h).  Legs come from a pool of the queue: a request that is larger than the pool gets the rest of its legs
 * as the first ones come home.
 */
#include <errno.h>

#include "target/family.h"

/* ---- splitting --------------------------------------------------------------------------------------------------- */

/* Where may a request not cross?  0: anywhere. */
static uint64_t split_unit(const struct br_family *f, const struct br_snapshot *face, const struct br_req *req)
{
	uint64_t own = face ? face->cfg.chunk_bytes : 0;

	if (f->merging && (!face || face == f->merging))
		return f->min_chunk;
	if (!face && req->op == BR_READ)
		return 0;
	return face ? own : f->min_chunk;
}

static struct br_snapshot *face_of(const struct br_req *req)
{
	return req->engine_priv;
}

static uint64_t piece(const struct br_family *f, const struct br_req *req)
{
	uint64_t unit = split_unit(f, face_of(req), req), at = req->offset + req->split_at;
	uint64_t left = req->length - req->split_at;

	return unit ? BR_MIN(left, unit - (at & (unit - 1))) : left;
}

static void start_leg(struct br_leg *leg)
{
	struct br_family *f = br_chan_family(leg->fc);

	if (br_unlikely(f->merging && (!leg->snap || leg->snap == f->merging)))
		br_merge_start_leg(leg);
	else if (leg->snap)
		br_snapshot_start_leg(leg);
	else
		br_origin_start_leg(leg);
}

static void more_legs(struct br_task *task)
{
	struct br_req *req = br_container_of(task, struct br_req, wait);
	struct br_face_chan *face = br_container_of(req->chan, struct br_face_chan, chan);

	br_family_more_legs(face->fc, req);
}

static void init_leg(struct br_leg *leg, struct br_family_chan *fc, struct br_req *req, uint64_t n)
{
	br_req_slice(&leg->req, req, req->split_at, n);
	leg->fc = fc;
	leg->snap = face_of(req);
	leg->parent = req;
	leg->passing = NULL;
	leg->entered = leg->written = leg->foreign = leg->holds = leg->protects_only = false;
	leg->wait_error = 0;
	if (leg->snap)
		leg->chunk = leg->req.offset >> leg->snap->chunk_shift;
}

void br_family_more_legs(struct br_family_chan *fc, struct br_req *req)
{
	struct br_family *f = br_chan_family(fc);
	struct br_leg *leg;
	uint64_t n;

	while (req->split_at < req->length) {
		leg = br_pool_take(&fc->legs);
		if (!leg) {
			req->wait.run = more_legs;
			br_task_list_add(&fc->starved, &req->wait);
			return;
		}
		n = piece(f, req);
		init_leg(leg, fc, req, n);
		req->split_at += n;
		br_req_leg_add(req);
		start_leg(leg);
	}
	br_req_legs_end(req);
}

void br_family_split(struct br_family_chan *fc, struct br_req *req)
{
	req->split_at = 0;
	br_req_legs_begin(req);
	br_family_more_legs(fc, req);
}

/* ---- the end of a leg -------------------------------------------------------------------------------------------- */

static void give_leg(struct br_leg *leg)
{
	struct br_family_chan *fc = leg->fc;
	struct br_task *starved;

	br_pool_give(&fc->legs, leg);
	starved = br_task_list_pop(&fc->starved);
	if (starved)
		br_queue_ready(fc->chan.queue, starved);
}

static void leg_done(struct br_req *req)
{
	struct br_leg *leg = br_container_of(req, struct br_leg, req);

	/* What the base says now is not the snapshot's any more once an origin write was let through without it. */
	if (leg->entered) {
		br_dset_leave(&leg->entry);
		if (br_unlikely(atomic_load(&leg->snap->gone)) && req->result >= 0)
			req->result = -EIO;
	}
	br_req_leg_done(leg->parent, req);
	give_leg(leg);
}

void br_leg_finish(struct br_leg *leg, int error)
{
	leg->req.result = error;
	leg_done(&leg->req);
}

void br_leg_op_finish(struct br_op *op, int error)
{
	br_leg_finish(br_container_of(op, struct br_leg, op), error);
}

/* ---- flushes ----------------------------------------------------------------------------------------------------- */

static void flush_leg(struct br_family_chan *fc, struct br_req *req, struct br_chan *to)
{
	struct br_leg *leg = br_pool_take(&fc->legs);

	init_leg(leg, fc, req, 0);
	leg->req.done = leg_done;
	br_req_leg_add(req);
	br_submit(to, &leg->req);
}

static void more_flush(struct br_task *task)
{
	struct br_req *req = br_container_of(task, struct br_req, wait);
	struct br_face_chan *face = br_container_of(req->chan, struct br_face_chan, chan);

	br_family_flush(face->fc, req);
}

/*
 * Where may data of this face be that is not durable?  The origin's: in the base; a snapshot's: in its store; both
 * while they are being merged, when both faces are one.
 */
void br_family_flush(struct br_family_chan *fc, struct br_req *req)
{
	struct br_family *f = br_chan_family(fc);
	struct br_snapshot *face = face_of(req), *store = face;
	bool merging = f->merging && (!face || face == f->merging);

	if (fc->legs.nr_free < 2) {
		req->wait.run = more_flush;
		br_task_list_add(&fc->starved, &req->wait);
		return;
	}
	req->split_at = 0;
	if (merging)
		store = f->merging;
	br_req_legs_begin(req);
	if (!face || merging)
		flush_leg(fc, req, fc->base);
	if (store)
		flush_leg(fc, req, fc->ways[store->slot].store);
	br_req_legs_end(req);
}

/* ---- the way down ------------------------------------------------------------------------------------------------ */

/* Address in the store of what the leg wants. */
static uint64_t store_offset(const struct br_leg *leg, const struct br_snapshot *s, uint64_t new_chunk)
{
	return (new_chunk << s->chunk_shift) + (leg->req.offset & (s->cfg.chunk_bytes - 1));
}

void br_leg_to_base(struct br_leg *leg)
{
	leg->req.done = leg_done;
	br_submit(leg->fc->base, &leg->req);
}

void br_leg_to_store(struct br_leg *leg, struct br_snapshot *s, uint64_t new_chunk)
{
	leg->req.done = leg_done;
	leg->req.offset = store_offset(leg, s, new_chunk);
	br_submit(leg->fc->ways[s->slot].store, &leg->req);
}

void br_leg_op_to_base(struct br_leg *leg)
{
	br_op_submit(&leg->op, leg->fc->base, &leg->req);
}

void br_leg_op_to_store(struct br_leg *leg, struct br_snapshot *s, uint64_t new_chunk)
{
	leg->req.offset = store_offset(leg, s, new_chunk);
	br_op_submit(&leg->op, leg->fc->ways[s->slot].store, &leg->req);
}
