/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Merge: fold a snapshot back into its base while both are in use.
 *
 * From the moment the family is in merging mode the faces of origin and snapshot are one: both show the snapshot.
 * Rounds take the newest exceptions from the end of the store, so that what is left on disk is a valid store at any
 * time:
 *
 *	until the store is empty:
 *		wait while paused; take a turn (no change of the family meanwhile)
 *		protect(other snapshots)	# their old chunks are copied out, as for any origin write
 *		lock(chunks, exclusively)	# drains the writes that are on their way there, and holds new ones back
 *		copy(store -> base)
 *		flush(base)			# before the entry goes: else a crash could lose both copies
 *		remove(entries), durably
 *		forget(table), unlock		# who waited finds the chunk in the base
 *
 * Readers are not held up at all: until the entry is forgotten they find the same bytes in the store as in the base.
 *
 * Crash in any step: entries still there are merged again, and no write was let through to their chunks meanwhile, so
 * doing it twice gives the same bytes.  A removal that fails is like a crash: until the store is opened again, its
 * chunks and all others take no more writes.  After any other failure the mapping that still exists goes on, and merge
 * may be tried again.
 */
#include "target/merge.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/mutant.h"
#include "blkremap/blkremap.h"
#include "target/family.h"

enum { ROUND_ENTRIES = 128, ROUND_BYTES = 4 * 1024 * 1024 };

struct br_merge {
	struct br_op op;		/* on the service queue */
	struct br_task begin;
	struct br_control control;
	struct br_snapshot *snap;
	struct br_family_chan *fc;
	struct br_merge_cfg cfg;
	struct br_throttle throttle;
	struct br_throttle_turn admission;
	struct br_range_hold turn;
	bool has_turn, admitted;
	uint64_t n, bytes;		/* of this round */
	struct br_snap_entry entries[ROUND_ENTRIES];
	struct br_range_hold holds[ROUND_ENTRIES];
	uint64_t nr_holds;
	struct br_copy copies[ROUND_ENTRIES];
	struct br_copy_dest dests[ROUND_ENTRIES];
	struct br_leg guard;		/* protects other snapshots, chunk by chunk */
	uint64_t guarded, guard_at;	/* entry, byte in its chunk */
	struct br_req req;
	_Atomic bool cancel;
	/* under ctx->lock */
	bool paused, parked;
	_Atomic uint64_t done_bytes, total_bytes;
	_Atomic uint64_t bytes_per_s;	/* 0: no limit */
};

enum { S_CONTROL, S_OPEN, S_PAUSE, S_LAST, S_ADMIT, S_TURN, S_GUARD, S_LOCK, S_COPY, S_FLUSH, S_REMOVE, S_BROKEN,
       S_FORGET, S_ROUND_END, S_CLOSE, S_CLOSED };

static struct br_merge *to_merge(struct br_op *op)
{
	return br_container_of(op, struct br_merge, op);
}

static struct br_chan *store_chan(struct br_merge *m)
{
	return m->fc->ways[m->snap->slot].store;
}

/* ---- begin ------------------------------------------------------------------------------------------------------- */

static int step_control(struct br_op *op)
{
	br_control_lock(op->queue->ctx, &to_merge(op)->control, op);
	return br_op_await(op, S_OPEN);
}

static int step_open(struct br_op *op)
{
	struct br_merge *m = to_merge(op);
	struct br_chan *chan;
	int r = br_chan_get(op->queue, &m->snap->fam->dev, &chan);

	br_control_unlock(op->queue->ctx);
	if (r < 0)
		return br_op_fail(op, r);
	m->fc = br_container_of(chan, struct br_family_chan, chan);
	return S_PAUSE;
}

/* ---- what comes next --------------------------------------------------------------------------------------------- */

static int step_pause(struct br_op *op)
{
	struct br_merge *m = to_merge(op);
	struct br_ctx *ctx = op->queue->ctx;
	bool park;

	if (atomic_load(&m->cancel))
		return br_op_fail(op, -ECANCELED);
	br_ctx_lock(ctx);
	park = m->parked = m->paused;
	if (park)
		br_op_launch(op);
	br_ctx_unlock(ctx);
	return br_op_await(op, park ? S_PAUSE : S_LAST);
}

static int step_last(struct br_op *op)
{
	struct br_merge *m = to_merge(op);

	br_snap_store_last(&m->snap->store, store_chan(m), op);
	return br_op_await(op, S_ADMIT);
}

/* A round is admitted whole, so under a rate it is small: what may be copied in a tenth of a second. */
static uint64_t round_entries(struct br_merge *m)
{
	uint64_t rate = atomic_load(&m->bytes_per_s), bytes = ROUND_BYTES;

	if (rate)
		bytes = BR_MIN(bytes, rate / 10);
	return BR_MIN(BR_MAX(bytes / m->snap->cfg.chunk_bytes, UINT64_C(1)), (uint64_t)ROUND_ENTRIES);
}

static int step_admit(struct br_op *op)
{
	struct br_merge *m = to_merge(op);
	uint64_t chunk = m->snap->cfg.chunk_bytes;

	m->n = br_snap_store_tail(&m->snap->store, round_entries(m), m->entries);
	if (!m->n)
		return S_CLOSE;
	m->bytes = m->n * chunk;
	br_throttle_take(&m->throttle, &m->admission, m->bytes, op);
	return br_op_await(op, S_TURN);
}

static int step_turn(struct br_op *op)
{
	struct br_merge *m = to_merge(op);

	m->admitted = m->has_turn = true;
	m->guarded = m->guard_at = 0;
	br_range_lock_take(&m->snap->fam->turn, &m->turn, 0, 1, true, op);
	return br_op_await(op, BR_MUTANT("merge-ignores-other-snapshots") ? S_LOCK : S_GUARD);
}

/* ---- one round --------------------------------------------------------------------------------------------------- */

/* The smallest chunk of all divides every other, so its steps touch each chunk of each snapshot. */
static int step_guard(struct br_op *op)
{
	struct br_merge *m = to_merge(op);
	struct br_family *f = m->snap->fam;
	uint64_t at;

	if (m->guarded == m->n)
		return S_LOCK;
	at = (m->entries[m->guarded].old_chunk << m->snap->chunk_shift) + m->guard_at;
	m->guard_at += f->min_chunk;
	if (m->guard_at >= m->snap->cfg.chunk_bytes) {
		m->guard_at = 0;
		m->guarded++;
	}
	br_origin_protect(&m->guard, m->fc, at, op);
	return br_op_await(op, S_GUARD);
}

static int step_lock(struct br_op *op)
{
	struct br_merge *m = to_merge(op);

	for (m->nr_holds = 0; m->nr_holds < m->n && !BR_MUTANT("merge-no-drain"); m->nr_holds++) {
		uint64_t chunk = m->entries[m->nr_holds].old_chunk;

		br_range_lock_take(&m->snap->merge_lock, &m->holds[m->nr_holds], chunk, chunk + 1, true, op);
	}
	return br_op_await(op, BR_MUTANT("merge-clear-first") ? S_REMOVE : S_COPY);
}

/* Bytes of the chunk that the base has. */
static uint64_t in_base(const struct br_merge *m, uint64_t old_chunk)
{
	uint64_t base = atomic_load(&m->snap->fam->base->bytes), at = old_chunk << m->snap->chunk_shift;

	return base > at ? BR_MIN(base - at, m->snap->cfg.chunk_bytes) : 0;
}

static int step_copy(struct br_op *op)
{
	struct br_merge *m = to_merge(op);
	unsigned shift = m->snap->chunk_shift;

	for (uint64_t i = 0; i < m->n; i++) {
		struct br_snap_entry e = m->entries[i];

		m->dests[i] = (struct br_copy_dest){ .chan = m->fc->base, .offset = e.old_chunk << shift };
		m->copies[i] = (struct br_copy){ .source = store_chan(m), .offset = e.new_chunk << shift,
						 .length = in_base(m, e.old_chunk), .dests = &m->dests[i],
						 .nr_dests = 1, .flags = BR_BACKGROUND };
		if (m->copies[i].length)
			br_copier_start(m->fc->copier, &m->copies[i], op);
	}
	return br_op_await(op, S_FLUSH);
}

static int step_flush(struct br_op *op)
{
	struct br_merge *m = to_merge(op);

	for (uint64_t i = 0; i < m->n; i++)
		if (m->dests[i].result < 0)
			return br_op_fail(op, m->dests[i].result);
	m->req = (struct br_req){ .op = BR_FLUSH };
	if (!BR_MUTANT("merge-no-origin-flush"))
		br_op_submit(op, m->fc->base, &m->req);
	return br_op_await(op, BR_MUTANT("merge-clear-first") ? S_FORGET : S_REMOVE);
}

static int step_remove(struct br_op *op)
{
	struct br_merge *m = to_merge(op);

	br_snap_store_remove(&m->snap->store, store_chan(m), m->n, op);
	return br_op_await(op, BR_MUTANT("merge-clear-first") ? S_COPY : S_FORGET);
}

/*
 * Are the entries still on the disk?  Nobody knows, until the store is loaded anew.  Base and store are equal there and
 * must stay so, or the next open might show the older one: no more writes (step_route() in origin.c), and no second
 * attempt.
 */
static int step_broken(struct br_op *op)
{
	struct br_snapshot *s = to_merge(op)->snap;

	atomic_store(&s->merge_broken, true);
	atomic_store(&s->dev.code, BLKREMAP_CODE_META_FAILED);
	return S_ROUND_END;
}

static int step_forget(struct br_op *op)
{
	struct br_merge *m = to_merge(op);
	struct br_family *f = m->snap->fam;

	br_family_lock(f);
	for (uint64_t i = 0; i < m->n; i++)
		br_extable_remove(m->snap->table, m->entries[i].old_chunk);
	br_family_unlock(f);
	atomic_fetch_add(&m->done_bytes, m->bytes);
	return S_ROUND_END;
}

/* Also where every failure comes by: what is held is given back, and the mapping that still exists goes on. */
static int step_round_end(struct br_op *op)
{
	struct br_merge *m = to_merge(op);

	while (m->nr_holds)
		br_range_lock_give(&m->snap->merge_lock, &m->holds[--m->nr_holds]);
	if (m->has_turn)
		br_range_lock_give(&m->snap->fam->turn, &m->turn);
	if (m->admitted)
		br_throttle_give(&m->throttle, m->bytes);
	m->has_turn = m->admitted = false;
	return op->error ? S_CLOSE : S_PAUSE;
}

/* ---- end --------------------------------------------------------------------------------------------------------- */

static int step_close(struct br_op *op)
{
	struct br_merge *m = to_merge(op);

	if (!m->fc)
		return BR_OP_END;
	br_control_lock(op->queue->ctx, &m->control, op);	/* S_CLOSED follows with an error and without */
	return br_op_await(op, S_CLOSED);
}

static int step_closed(struct br_op *op)
{
	struct br_merge *m = to_merge(op);

	br_chan_put(&m->fc->chan);
	br_control_unlock(op->queue->ctx);
	return BR_OP_END;
}

static void merge_finish(struct br_op *op, int error)
{
	struct br_merge *m = to_merge(op);

	br_throttle_done(&m->throttle);
	atomic_store(&m->snap->merge_runs, false);
	if (!error)
		atomic_fetch_and(&m->snap->dev.state, ~(uint32_t)BLKREMAP_ST_MERGING);
	else if (error != -ECANCELED)
		atomic_fetch_or(&m->snap->dev.state, BLKREMAP_ST_FAILED);
	m->cfg.on_end(m->cfg.arg, error);
}

static const struct br_op_step merge_steps[] = {
	[S_CONTROL] = { "control", step_control, S_CLOSE },
	[S_OPEN] = { "open", step_open, S_CLOSE },
	[S_PAUSE] = { "pause", step_pause, S_CLOSE },
	[S_LAST] = { "last", step_last, S_ROUND_END },
	[S_ADMIT] = { "admit", step_admit, S_CLOSE },
	[S_TURN] = { "turn", step_turn, S_ROUND_END },
	[S_GUARD] = { "guard", step_guard, S_ROUND_END },
	[S_LOCK] = { "lock", step_lock, S_ROUND_END },
	[S_COPY] = { "copy", step_copy, S_ROUND_END },
	[S_FLUSH] = { "flush", step_flush, S_ROUND_END },
	[S_REMOVE] = { "remove", step_remove, S_BROKEN },
	[S_BROKEN] = { "broken", step_broken, S_ROUND_END },
	[S_FORGET] = { "forget", step_forget, S_ROUND_END },
	[S_ROUND_END] = { "round-end", step_round_end, S_CLOSE },
	[S_CLOSE] = { "close", step_close, S_CLOSED },
	[S_CLOSED] = { "closed", step_closed, BR_OP_END },
};

static const struct br_op_class merge_class = { "merge", merge_finish, merge_steps };

/* ---- both faces, meanwhile --------------------------------------------------------------------------------------- */

void br_merge_start_leg(struct br_leg *leg)
{
	struct br_family *f = br_chan_family(leg->fc);
	struct br_snapshot *m = f->merging;
	uint64_t new_chunk;

	if (leg->req.op == BR_DISCARD) {
		br_leg_finish(leg, 0);		/* a hint, and not the time for it */
	} else if (leg->req.op != BR_READ) {
		atomic_store_explicit(&f->merge_wrote, true, memory_order_relaxed);
		br_origin_write_op(leg);
	} else if (br_extable_lookup(m->table, leg->req.offset >> m->chunk_shift, &new_chunk) != BR_EX_NONE) {
		br_leg_to_store(leg, m, new_chunk);
	} else {
		br_leg_to_base(leg);
	}
}

/* ---- from outside ------------------------------------------------------------------------------------------------ */

static void begin(struct br_task *task)
{
	struct br_merge *m = br_container_of(task, struct br_merge, begin);

	br_op_start(&m->op, &merge_class, &m->snap->dev.ctx->service);
}

int br_merge_start(struct br_snapshot *s, const struct br_merge_cfg *cfg, struct br_merge **ret)
{
	struct br_ctx *ctx = s->dev.ctx;
	struct br_throttle_limits limits = { .bytes_per_s = cfg->bytes_per_s, .iops = cfg->iops };
	struct br_merge *m = br_alloc_aligned(ctx->env, sizeof(*m), BR_CACHE_LINE);

	if (!m)
		return br_error(-ENOMEM, "no memory for a merge");
	m->snap = s;
	m->cfg = *cfg;
	m->paused = cfg->paused;
	atomic_store(&m->bytes_per_s, cfg->bytes_per_s);
	atomic_store(&m->total_bytes, br_snap_store_usage(&s->store).exceptions * s->cfg.chunk_bytes);
	br_throttle_init(&m->throttle, ctx, &ctx->service, &limits);
	m->begin.run = begin;
	atomic_store(&s->merge_runs, true);
	*ret = m;
	br_queue_post(&ctx->service, &m->begin);
	return 0;
}

void br_merge_set_rate(struct br_merge *m, uint64_t bytes_per_s, uint64_t iops)
{
	struct br_throttle_limits limits = { .bytes_per_s = bytes_per_s, .iops = iops };

	atomic_store(&m->bytes_per_s, bytes_per_s);
	br_throttle_set(&m->throttle, &limits);
}

/* Let it go on if it stands at S_PAUSE. */
static void unpark(struct br_merge *m, bool paused)
{
	struct br_ctx *ctx = m->snap->dev.ctx;
	bool go;

	br_ctx_lock(ctx);
	m->paused = paused;
	go = m->parked && !paused;
	m->parked &= !go;
	br_ctx_unlock(ctx);
	if (go)
		br_op_grant(&m->op, 0);
}

void br_merge_pause(struct br_merge *m, bool on)
{
	unpark(m, on);
}

void br_merge_cancel(struct br_merge *m)
{
	atomic_store(&m->cancel, true);
	unpark(m, false);
	br_throttle_cancel(&m->throttle, &m->admission);
}

uint64_t br_merge_done_bytes(struct br_merge *m)
{
	return atomic_load(&m->done_bytes);
}

uint64_t br_merge_total_bytes(struct br_merge *m)
{
	return atomic_load(&m->total_bytes);
}

void br_merge_free(struct br_merge *m)
{
	if (m)
		br_free(m->snap->dev.ctx->env, m, sizeof(*m));
}
