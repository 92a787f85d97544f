/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copy-out: make the exception of one chunk, in all snapshots that need it.
 *
 *	for each snapshot: allocate(store)	# full: grow it, hold, or give up, by policy
 *	copy(base -> stores)			# one read; or, for a write of the whole chunk, its data instead
 *	for each: commit(store)			# durable: data, then entry          A -> B until here
 *	for each: insert(table, draining)	# new readers go to the store         B -> C
 *		  drain(readers of the chunk)	# those who still read the base
 *	for each: done(table), forget pending	#                                     C -> D
 *	release(who waited)
 *
 * Inserting before draining means that readers can only become fewer; keeping the pending exception until they are gone
 * is what stops the origin's writers and merge meanwhile (seed 003).  One slow reader delays its chunk only.
 *
 * Failure for one snapshot does not concern the others.  If the origin needed the copy, that snapshot is invalid:
 * durably so before anybody who waits for it goes on.  If only its own writer did, the writer gets the error and the
 * place in the store is given up.
 *
 * Crash at any step: the base still has the old chunk, for nobody has been released.
 */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mutant.h"
#include "blkremap/blkremap.h"
#include "target/family.h"

enum { GROW_CHUNKS = 16 };	/* by so many a store grows at least, while it may */
enum { S_ALLOC, S_HOLD, S_COPY, S_COPIED, S_FILL, S_FILLED, S_COMMIT, S_MARK, S_INSERT, S_RELEASE };

static struct br_cow *to_cow(struct br_op *op)
{
	return br_container_of(op, struct br_cow, op);
}

/* ---- pending exceptions ------------------------------------------------------------------------------------------ */

static struct br_list *bucket(struct br_snapshot *s, uint64_t old_chunk)
{
	return &s->pending[old_chunk % BR_PENDING_BUCKETS];
}

struct br_cow_part *br_pending_find(struct br_snapshot *s, uint64_t old_chunk)
{
	struct br_list *l, *head = bucket(s, old_chunk);

	br_list_for_each(l, head) {
		struct br_cow_part *p = br_container_of(l, struct br_cow_part, link);

		if (p->old_chunk == old_chunk)
			return p;
	}
	return NULL;
}

void br_pending_park(struct br_cow_part *p, struct br_leg *leg)
{
	leg->foreign = p->cow->fc->chan.queue != leg->op.queue;
	leg->wait_error = 0;
	br_op_launch(&leg->op);
	br_list_add_tail(&p->waiters, &leg->wait_link);
	if (leg->foreign)
		br_wait_begin(leg->op.queue->ctx);
}

void br_pending_unpark(struct br_leg *leg)
{
	if (leg->foreign)
		br_wait_end(leg->op.queue->ctx);
	leg->foreign = false;
}

/* ---- making one -------------------------------------------------------------------------------------------------- */

static void add_part(struct br_cow *cow, struct br_snapshot *s)
{
	struct br_cow_part *p = br_pool_take(&cow->fc->parts);

	memset(p, 0, sizeof(*p));
	p->cow = cow;
	p->snap = s;
	p->old_chunk = cow->offset >> s->chunk_shift;
	br_list_init(&p->waiters);
	br_list_add_tail(bucket(s, p->old_chunk), &p->link);
	p->next = cow->parts;
	cow->parts = p;
	cow->nr_parts++;
}

struct br_cow *br_cow_make(struct br_family_chan *fc, struct br_snapshot *const *snaps, uint32_t n, uint64_t offset)
{
	uint64_t chunk = snaps[0]->cfg.chunk_bytes;
	struct br_cow *cow;

	if (fc->parts.nr_free < n)
		return NULL;
	cow = br_pool_take(&fc->cows);
	if (!cow)
		return NULL;
	cow->fc = fc;
	cow->parts = NULL;
	cow->nr_parts = 0;
	cow->offset = offset & ~(chunk - 1);
	cow->chunk_bytes = chunk;
	cow->whole = NULL;
	br_list_init(&cow->held_link);
	while (n-- > 0)
		add_part(cow, snaps[n]);
	return cow;
}

void br_cow_wait(struct br_family_chan *fc, struct br_leg *leg)
{
	br_op_launch(&leg->op);
	br_list_add_tail(&fc->cow_waiters, &leg->wait_link);
}

/* ---- a place in the store ---------------------------------------------------------------------------------------- */

static void tell_low_space(struct br_snapshot *s)
{
	struct br_snap_usage u = br_snap_store_usage(&s->store);
	uint64_t chunk = s->cfg.chunk_bytes, free_bytes = (u.total - BR_MIN(u.total, u.allocated)) * chunk;
	struct br_event e = { .type = BLKREMAP_EV_LOW_SPACE, .code = BLKREMAP_CODE_STORE_FULL, .dev_id = s->dev.id,
			      .value = { free_bytes, u.total * chunk } };
	bool tell;

	if (br_likely(!s->cfg.low_space || free_bytes >= s->cfg.low_space))
		return;
	br_family_lock(s->fam);
	tell = !s->low_told;
	s->low_told = true;
	br_family_unlock(s->fam);
	if (tell)
		br_ctx_event(s->dev.ctx, &e);
}

/* By grow_step, or by as much less as is permitted, down to one chunk. */
static bool grow_some(struct br_snapshot *s, uint64_t bytes)
{
	uint64_t chunk = s->cfg.chunk_bytes, chunks = br_div_up(atomic_load(&s->cfg.grow_step), chunk), now;
	struct br_dev *d = s->store_dev;

	for (chunks = BR_MAX(chunks, (uint64_t)GROW_CHUNKS); chunks; chunks /= 2)
		if (d->ops->resize(d, bytes + chunks * chunk, &now) == 0 && now > bytes)
			return true;
	return false;
}

/*
 * A file may be grown by what it was opened with (max_grow); nothing else may.  @seen is the size that was not enough:
 * if it is another now, somebody else has grown the store meanwhile.
 */
static bool grow_store(struct br_snapshot *s, uint64_t seen)
{
	struct br_dev *d = s->store_dev;
	bool grown;

	if (!d->ops->resize || !(atomic_load(&d->caps) & BR_CAP_GROW))
		return false;
	br_mutex_lock(&s->grow_lock, s->dev.ctx->env);
	grown = atomic_load(&d->bytes) > seen || grow_some(s, seen);
	br_mutex_unlock(&s->grow_lock, s->dev.ctx->env);
	if (!grown || br_snap_store_resized(&s->store) < 0)
		return false;
	br_family_lock(s->fam);
	s->low_told = false;
	br_family_unlock(s->fam);
	return true;
}

static int allocate(struct br_cow_part *p)
{
	struct br_snapshot *s = p->snap;
	uint64_t seen;
	int r;

	br_family_lock(s->fam);
	p->space_ticket = s->space_ticket;
	br_family_unlock(s->fam);
	do {
		seen = atomic_load(&s->store_dev->bytes);
		r = br_snap_store_alloc(&s->store, p->old_chunk, &p->commit, &p->cow->op);
	} while (r == -ENOSPC && grow_store(s, seen));
	p->allocated = r == 0;
	if (r < 0)
		return r;
	br_family_lock(s->fam);
	p->error = br_extable_reserve(s->table, 1);	/* the table grows here, a group of pages at a time */
	br_family_unlock(s->fam);
	p->reserved = p->error == 0;
	tell_low_space(s);
	return p->error;
}

/* May the one that found no space wait for some? */
static bool may_hold(struct br_cow_part *p)
{
	bool may;

	if (p->error != -ENOSPC || p->snap->cfg.when_full != BLKREMAP_FULL_HOLD)
		return false;
	br_family_lock(p->snap->fam);
	may = !p->snap->hold_over;
	br_family_unlock(p->snap->fam);
	return may;
}

static struct br_cow_part *to_be_held(struct br_cow *cow)
{
	struct br_cow_part *p;

	for (p = cow->parts; p && !may_hold(p); p = p->next)
		;
	return p;
}

/* The policy may change at any time (blkremap_dev_set()), so the last call takes all that are left. */
static void allocate_those(struct br_cow *cow, bool holding)
{
	struct br_cow_part *p;

	for (p = cow->parts; p; p = p->next)
		if (!p->allocated && (!holding || p->snap->cfg.when_full == BLKREMAP_FULL_HOLD))
			p->error = allocate(p);
}

/* Those who may hold come first: a place that is taken and not filled would stop the commits behind it. */
static int step_alloc(struct br_op *op)
{
	struct br_cow *cow = to_cow(op);

	allocate_those(cow, true);
	if (to_be_held(cow))
		return S_HOLD;
	allocate_those(cow, false);
	return S_COPY;
}

static void tell_held(struct br_snapshot *s)
{
	struct br_event e = { .type = BLKREMAP_EV_HELD, .code = BLKREMAP_CODE_STORE_FULL, .dev_id = s->dev.id,
			      .value = { s->cfg.chunk_bytes, 0 } };

	br_ctx_event(s->dev.ctx, &e);
}

/* Under fam->lock.  Not if the held were let go since we looked for space: there may be some now. */
static bool hold(struct br_cow *cow, const struct br_cow_part *p, bool *ret_first)
{
	struct br_snapshot *s = p->snap;

	if (p->space_ticket != s->space_ticket)
		return false;
	*ret_first = br_list_empty(&s->held);
	br_op_launch(&cow->op);
	br_wait_begin(s->dev.ctx);
	br_list_add_tail(&s->held, &cow->held_link);
	return true;
}

static int step_hold(struct br_op *op)
{
	struct br_cow *cow = to_cow(op);
	struct br_cow_part *p = to_be_held(cow);
	struct br_ctx *ctx = op->queue->ctx;
	struct br_snapshot *s;
	bool first = false;

	if (!p)
		return S_ALLOC;
	s = p->snap;
	br_family_lock(s->fam);
	hold(cow, p, &first);
	br_family_unlock(s->fam);
	if (first) {
		tell_held(s);
		atomic_store(&s->hold_timed, true);
		br_timer_arm(ctx, &s->hold_timer, &ctx->service, br_now(ctx->env) + s->cfg.hold_ns);
	}
	return br_op_await(op, S_ALLOC);
}

void br_snapshot_unhold(struct br_snapshot *s, bool over)
{
	struct br_ctx *ctx = s->dev.ctx;
	struct br_list held, *l;

	br_list_init(&held);
	br_family_lock(s->fam);
	s->hold_over = over;
	s->space_ticket++;
	s->low_told &= over;
	br_list_splice(&held, &s->held);
	br_family_unlock(s->fam);
	if (!over && br_timer_cancel(ctx, &s->hold_timer))
		atomic_store(&s->hold_timed, false);
	while ((l = br_list_pop(&held))) {
		br_wait_end(ctx);
		br_op_grant(&br_container_of(l, struct br_cow, held_link)->op, 0);
	}
}

/* ---- copy -------------------------------------------------------------------------------------------------------- */

static uint32_t choose_dests(struct br_cow *cow)
{
	struct br_cow_part *p;
	uint32_t n = 0;

	for (p = cow->parts; p; p = p->next)
		if (p->allocated && p->reserved)
			cow->dests[n++] = (struct br_copy_dest){ .chan = cow->fc->ways[p->snap->slot].store,
								 .offset = p->commit.new_chunk * cow->chunk_bytes };
	return n;
}

/* A write that covers the chunk needs no old data: it is stored where the copy would have gone. */
static void store_whole(struct br_cow *cow)
{
	struct br_cow_part *p = cow->parts;

	if (!p->allocated || !p->reserved)
		return;
	cow->req = cow->whole->req;
	cow->req.offset = p->commit.new_chunk * cow->chunk_bytes;
	cow->req.flags &= ~(uint32_t)BR_FUA;	/* the commit's flush covers it */
	br_op_submit(&cow->op, cow->fc->ways[p->snap->slot].store, &cow->req);
}

static int step_copy(struct br_op *op)
{
	struct br_cow *cow = to_cow(op);

	if (cow->whole) {
		store_whole(cow);
		return br_op_await(op, S_COPIED);
	}
	cow->copy = (struct br_copy){ .source = cow->fc->base, .offset = cow->offset, .length = cow->chunk_bytes,
				      .dests = cow->dests, .nr_dests = choose_dests(cow) };
	if (cow->copy.nr_dests)
		br_copier_start(cow->fc->copier, &cow->copy, op);
	return br_op_await(op, S_COPIED);
}

/* What the copy (or the whole write) came to, for each snapshot. */
static void take_results(struct br_cow *cow)
{
	struct br_cow_part *p;
	uint32_t i = 0;

	for (p = cow->parts; p; p = p->next) {
		if (!p->allocated || !p->reserved)
			continue;
		p->error = cow->op.error ? cow->op.error : cow->whole ? 0 : cow->dests[i].result;
		i++;
	}
	br_op_clear_error(&cow->op);
}

static int step_copied(struct br_op *op)
{
	struct br_cow *cow = to_cow(op);

	take_results(cow);
	cow->fill = cow->parts;
	return S_FILL;
}

/* Where in the chunk the base had ended, rounded up as the copier does; the chunk's end: nothing is to be filled. */
static uint64_t filled_to(const struct br_cow *cow, const struct br_cow_part *p)
{
	uint64_t base = atomic_load(&br_chan_family(cow->fc)->base->bytes), block = p->snap->store_dev->logical_block;
	uint64_t copied = base > cow->offset ? BR_MIN(base - cow->offset, cow->chunk_bytes) : 0;

	if (!p->allocated || !p->reserved || p->error || cow->whole || atomic_load(&p->snap->dev.bytes) <= base)
		return cow->chunk_bytes;
	return BR_MIN((copied + block - 1) & ~(block - 1), cow->chunk_bytes);
}

/*
 * Where a snapshot is longer than its base (blkremap_snapshot_opts.bytes), the rest of the chunk reads zeroes, whatever
 * the store held there before: one snapshot after the other, since the end of a base is met rarely.
 */
static int step_fill(struct br_op *op)
{
	struct br_cow *cow = to_cow(op);
	struct br_cow_part *p = cow->fill;
	uint64_t from;

	if (!p)
		return S_COMMIT;
	from = filled_to(cow, p);
	cow->req = (struct br_req){ .op = BR_WRITE_ZEROES, .offset = p->commit.new_chunk * cow->chunk_bytes + from,
				    .length = cow->chunk_bytes - from };
	if (cow->req.length)
		br_op_submit(op, cow->fc->ways[p->snap->slot].store, &cow->req);
	return br_op_await(op, S_FILLED);
}

static int step_filled(struct br_op *op)
{
	struct br_cow *cow = to_cow(op);

	if (op->error)
		cow->fill->error = op->error;
	br_op_clear_error(op);
	cow->fill = cow->fill->next;
	return S_FILL;
}

/* ---- commit ------------------------------------------------------------------------------------------------------ */

static int step_commit(struct br_op *op)
{
	struct br_cow *cow = to_cow(op);
	struct br_cow_part *p;

	for (p = cow->parts; p; p = p->next) {
		struct br_chan *store = cow->fc->ways[p->snap->slot].store;

		if (!p->allocated)
			continue;
		p->committed = !p->error;
		if (p->committed)
			br_snap_store_commit(&p->snap->store, store, &p->commit);
		else
			br_snap_store_abort(&p->snap->store, store, &p->commit);
	}
	return br_op_await(op, S_MARK);
}

static uint32_t reason(const struct br_cow_part *p)
{
	if (p->error == -ENOSPC)
		return BLKREMAP_CODE_STORE_FULL;
	return p->committed ? BLKREMAP_CODE_META_FAILED : BLKREMAP_CODE_MEDIUM;
}

/* Is the snapshot no longer one, now that this part of it has failed? */
static bool must_invalidate(const struct br_cow_part *p)
{
	if (!p->error)
		return false;
	if (p->for_origin || p->committed || br_snap_store_state(&p->snap->store) != BR_SNAP_VALID)
		return true;
	return p->error == -ENOSPC && p->snap->cfg.when_full != BLKREMAP_FULL_REFUSE;
}

static int step_mark(struct br_op *op)
{
	struct br_cow *cow = to_cow(op);
	struct br_cow_part *p;

	for (p = cow->parts; p; p = p->next) {
		if (p->committed && p->commit.error)
			p->error = p->commit.error;
		if (!must_invalidate(p))
			continue;
		br_snapshot_set_going(p->snap, reason(p));
		br_snap_store_invalidate(&p->snap->store, cow->fc->ways[p->snap->slot].store, &p->mark, op);
	}
	return br_op_await(op, S_INSERT);
}

/* ---- publish ----------------------------------------------------------------------------------------------------- */

static void insert(struct br_cow_part *p)
{
	struct br_family *f = p->snap->fam;

	br_family_lock(f);
	br_extable_insert(p->snap->table, p->old_chunk, p->commit.new_chunk, BR_EX_DRAINING);
	br_family_unlock(f);
	atomic_fetch_add_explicit(&p->snap->copied_bytes, p->cow->chunk_bytes, memory_order_relaxed);
}

static int step_insert(struct br_op *op)
{
	struct br_cow *cow = to_cow(op);
	struct br_cow_part *p;

	for (p = cow->parts; p; p = p->next) {
		if (p->error)
			continue;
		if (!BR_MUTANT("snap-drain-before-insert"))
			insert(p);
		if (!BR_MUTANT("snap-no-drain"))
			br_dset_quiesce(&p->snap->readers, p->old_chunk, &p->drain, op);
	}
	return br_op_await(op, S_RELEASE);
}

static void release(struct br_cow_part *p)
{
	struct br_family *f = p->snap->fam;
	struct br_list woken, *l;

	if (BR_MUTANT("snap-drain-before-insert") && !p->error)
		insert(p);
	br_list_init(&woken);
	br_family_lock(f);
	if (!p->error)
		br_extable_set_done(p->snap->table, p->old_chunk);
	else if (p->reserved)
		br_extable_unreserve(p->snap->table, 1);
	br_list_del(&p->link);
	br_list_splice(&woken, &p->waiters);
	br_family_unlock(f);
	while ((l = br_list_pop(&woken))) {
		struct br_leg *leg = br_container_of(l, struct br_leg, wait_link);

		leg->wait_error = p->error;
		br_op_grant(&leg->op, 0);
	}
}

static int step_release(struct br_op *op)
{
	struct br_cow *cow = to_cow(op);
	struct br_cow_part *p, *next;

	for (p = cow->parts; p; p = next) {
		next = p->next;
		release(p);
		br_pool_give(&cow->fc->parts, p);
	}
	return BR_OP_END;
}

/* Everybody who waits may try: parts may have been what was missing. */
static void cow_finish(struct br_op *op, int error)
{
	struct br_cow *cow = to_cow(op);
	struct br_family_chan *fc = cow->fc;
	struct br_list all, *l;

	(void)error;
	br_pool_give(&fc->cows, cow);
	br_list_init(&all);
	br_list_splice(&all, &fc->cow_waiters);
	while ((l = br_list_pop(&all)))
		br_op_done(&br_container_of(l, struct br_leg, wait_link)->op, 0);
}

static const struct br_op_step cow_steps[] = {
	[S_ALLOC] = { "alloc", step_alloc, S_COPY },
	[S_HOLD] = { "hold", step_hold, S_ALLOC },
	[S_COPY] = { "copy", step_copy, S_COPIED },
	[S_COPIED] = { "copied", step_copied, S_FILL },
	[S_FILL] = { "fill", step_fill, S_FILLED },
	[S_FILLED] = { "filled", step_filled, S_FILL },
	[S_COMMIT] = { "commit", step_commit, S_MARK },
	[S_MARK] = { "mark", step_mark, S_INSERT },
	[S_INSERT] = { "insert", step_insert, S_RELEASE },
	[S_RELEASE] = { "release", step_release, BR_OP_END },
};

static const struct br_op_class cow_class = { "copy-out", cow_finish, cow_steps };

void br_cow_start(struct br_cow *cow)
{
	br_op_start(&cow->op, &cow_class, cow->fc->chan.queue);
}
