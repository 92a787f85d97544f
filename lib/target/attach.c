/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changing a family while it is in use: attach, take, detach, drop, reset, enter merging.
 *
 *	lock(control)				# one change at a time in a context
 *	for each family: take its turn		# a merge stands still between two rounds
 *	for each face: drain			# new requests wait at the gates
 *	act:
 *		take:	flush(base)		# what was acknowledged is in the snapshot: no crash may undo it
 *			format(store), join
 *		attach:	join			# refused if the origin was written since it was opened
 *		drop:	mark invalid, durably, leave
 *		detach:	leave
 *		reset:	format(store), forget the table
 *		merge:	the faces of origin and snapshot become one
 *	open or close the ways to the stores on each queue
 *	resume, give the turns back, unlock
 *
 * While everything is drained no copy-out is pending, so nobody holds a pointer into a store that goes.  If a step
 * fails all that had joined leaves again: all or none.
 *
 * Crash in take: before its header is durable a store is blank; afterwards it is an empty snapshot of a base that is
 * flushed and not yet written.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/mutant.h"
#include "blkremap/blkremap.h"
#include "target/family.h"
#include "target/snapshot.h"

enum { S_LOCK, S_CHANS, S_TURN, S_DRAIN, S_ACT, S_FLUSH, S_FORMAT, S_SPOILED, S_MARK, S_JOIN, S_OPEN_WAYS, S_CLOSE_WAYS,
       S_LEAVE, S_RESUME, S_UNLOCK };

static struct br_change *to_change(struct br_op *op)
{
	return br_container_of(op, struct br_change, op);
}

static bool leaves(const struct br_change *c)
{
	return c->kind == BR_CHANGE_DETACH || c->kind == BR_CHANGE_DROP;
}

/* ---- stand still ------------------------------------------------------------------------------------------------- */

static int step_lock(struct br_op *op)
{
	br_control_lock(op->queue->ctx, &to_change(op)->control, op);
	return br_op_await(op, S_CHANS);
}

/* The op's own ways to base and store, for flush, format and mark. */
static int step_chans(struct br_op *op)
{
	struct br_change *c = to_change(op);
	int r = 0;

	c->locked = true;
	for (uint32_t i = 0; r == 0 && i < c->n; i++) {
		r = br_chan_get(op->queue, c->snaps[i]->fam->base, &c->chans[2 * i]);
		if (r == 0)
			r = br_chan_get(op->queue, c->snaps[i]->store_dev, &c->chans[2 * i + 1]);
	}
	return r < 0 ? br_op_fail(op, r) : S_TURN;
}

static int step_turn(struct br_op *op)
{
	struct br_change *c = to_change(op);

	if (c->nr_turns == c->nr_families)
		return S_DRAIN;
	br_range_lock_take(&c->families[c->nr_turns]->turn, &c->turns[c->nr_turns], 0, 1, true, op);
	c->nr_turns++;
	return br_op_await(op, S_TURN);
}

/* The faces are looked up only now: nobody else changes the families any more. */
static void list_faces(struct br_change *c)
{
	for (uint32_t i = 0; i < c->nr_families; i++) {
		struct br_family *f = c->families[i];

		if (f->origin)
			c->faces[c->nr_faces++] = &f->origin->dev;
		for (uint32_t j = 0; j < f->nr_slots; j++)
			if (f->snaps[j])
				c->faces[c->nr_faces++] = &f->snaps[j]->dev;
	}
}

static int step_drain(struct br_op *op)
{
	struct br_change *c = to_change(op);

	if (!c->nr_faces)
		list_faces(c);
	if (c->draining)
		c->nr_drained++;	/* the one that we waited for */
	c->draining = c->nr_drained < c->nr_faces;
	if (!c->draining)
		return S_ACT;
	if (atomic_load(&c->expired))
		return br_op_fail(op, -ETIMEDOUT);
	br_dev_drain(c->faces[c->nr_drained], op);
	return br_op_await(op, S_DRAIN);
}

/* ---- act --------------------------------------------------------------------------------------------------------- */

static int check_joining(struct br_snapshot *s)
{
	struct br_family *f = s->fam;

	if (f->origin && atomic_load(&f->written))
		return br_error(-ESTALE,
				"%s: the origin has been written since it was opened, the store may have missed it",
				s->dev.name);
	/* When a stack is opened whose merge was interrupted, the others are attached before anything goes on. */
	if (f->merging && (s->cfg.merging || atomic_load(&f->merge_wrote)))
		return br_error(-EBUSY, "%s: %s is being merged into the base", s->dev.name, f->merging->dev.name);
	return 0;
}

/* While chunks are left in the store of the merging one, the base does not hold what the origin shows. */
static int check_take(struct br_snapshot *s)
{
	struct br_snapshot *m = s->fam->merging;

	if (m && !br_snapshot_merged(m))
		return br_error(-EBUSY, "%s is being merged into the base", m->dev.name);
	return 0;
}

static int check_reset(struct br_snapshot *s)
{
	if (s->fam->merging)
		return br_error(-EBUSY, "%s is being merged into the base", s->fam->merging->dev.name);
	if (s->fam->origin)
		return br_error(-EINVAL, "%s: its base is an origin, and the store has what that has overwritten",
				s->dev.name);
	return 0;
}

static int check_merge(struct br_snapshot *s)
{
	struct br_family *f = s->fam;

	if (f->merging && f->merging != s)
		return br_error(-EBUSY, "%s is being merged into the base", f->merging->dev.name);
	if (!s->attached || atomic_load(&s->gone))
		return br_error(-ENOTRECOVERABLE, "%s: the snapshot is invalid", s->dev.name);
	return 0;
}

static int check_drop(struct br_snapshot *s)
{
	if (!s->attached)
		return br_error(-EALREADY, "%s has been dropped", s->dev.name);
	if (s->fam->merging == s && (atomic_load(&s->merge_runs) || !br_snapshot_merged(s)))
		return br_error(-EBUSY, "%s is being merged into its base", s->dev.name);
	return 0;
}

/* Only here, with everything drained and the control lock held, is what we see sure to stay. */
static int check_all(struct br_change *c)
{
	static int (*const checks[])(struct br_snapshot *s) = {
		[BR_CHANGE_ATTACH] = check_joining, [BR_CHANGE_TAKE] = check_take, [BR_CHANGE_DROP] = check_drop,
		[BR_CHANGE_RESET] = check_reset, [BR_CHANGE_MERGE] = check_merge, [BR_CHANGE_DETACH] = NULL,
	};
	int r = 0;

	for (uint32_t i = 0; r == 0 && checks[c->kind] && i < c->n; i++)
		r = checks[c->kind](c->snaps[i]);
	return r;
}

static void enter_merging(struct br_snapshot *s)
{
	s->fam->merging = s;
	atomic_store(&s->fam->merge_wrote, true);
	atomic_fetch_and(&s->dev.state, ~(uint32_t)BLKREMAP_ST_FAILED);
	atomic_fetch_or(&s->dev.state, BLKREMAP_ST_MERGING);
}

static int step_act(struct br_op *op)
{
	struct br_change *c = to_change(op);
	int r = check_all(c);

	c->i = 0;
	if (r < 0)
		return br_op_fail(op, r);
	switch (c->kind) {
	case BR_CHANGE_TAKE:
		return BR_MUTANT("take-no-origin-flush") ? S_FORMAT : S_FLUSH;
	case BR_CHANGE_RESET:
		return S_FORMAT;
	case BR_CHANGE_DROP:
		return S_MARK;
	case BR_CHANGE_DETACH:
		return S_CLOSE_WAYS;
	case BR_CHANGE_MERGE:
		enter_merging(c->snaps[0]);
		return S_RESUME;
	default:
		return S_JOIN;
	}
}

static int step_flush(struct br_op *op)
{
	struct br_change *c = to_change(op);

	if (c->i == c->n) {
		c->i = 0;
		return S_FORMAT;
	}
	c->req = (struct br_req){ .op = BR_FLUSH };
	br_op_submit(op, c->chans[2 * c->i++], &c->req);
	return br_op_await(op, S_FLUSH);
}

static int step_format(struct br_op *op)
{
	struct br_change *c = to_change(op);

	if (c->i == c->n) {
		c->i = 0;
		return c->kind == BR_CHANGE_TAKE ? S_JOIN : S_LEAVE;
	}
	br_snap_store_format(&c->snaps[c->i]->store, c->chans[2 * c->i + 1], op);
	c->i++;
	return br_op_await(op, S_FORMAT);
}

/*
 * What a failed reset has left of the store nobody knows, and the table must not be believed any more; it may be tried
 * again.
 */
static int step_spoiled(struct br_op *op)
{
	struct br_change *c = to_change(op);

	for (uint32_t i = 0; i < c->n && c->kind == BR_CHANGE_RESET; i++)
		br_snapshot_set_going(c->snaps[i], BLKREMAP_CODE_META_FAILED);
	return S_RESUME;
}

static int step_mark(struct br_op *op)
{
	struct br_change *c = to_change(op);
	struct br_snapshot *s;

	if (c->i == c->n) {
		c->i = 0;
		return S_CLOSE_WAYS;
	}
	s = c->snaps[c->i];
	br_snapshot_set_going(s, BLKREMAP_CODE_RELEASED);
	br_snap_store_invalidate(&s->store, c->chans[2 * c->i + 1], &c->marks[c->i], op);
	c->i++;
	return br_op_await(op, S_MARK);
}

/* ---- join and leave ---------------------------------------------------------------------------------------------- */

static int free_slot(const struct br_family *f)
{
	for (int i = 0; i < BR_FAMILY_MAX; i++)
		if (!f->snaps[i])
			return i;
	return -1;
}

static int join(struct br_snapshot *s)
{
	struct br_family *f = s->fam;
	int slot = free_slot(f);

	if (slot < 0)
		return br_error(-ENOSPC, "%s: %d snapshots of one base are the most there can be", s->dev.name,
				BR_FAMILY_MAX);
	s->slot = (uint32_t)slot;
	f->snaps[slot] = s;
	s->attached = true;
	if (f->origin && !s->owned) {
		s->owned = true;
		br_dev_get(&s->dev);
	}
	if (s->cfg.merging) {
		f->merging = s;
		atomic_fetch_or(&s->dev.state, BLKREMAP_ST_MERGING);
	}
	br_family_recount(f);
	return 0;
}

static int step_join(struct br_op *op)
{
	struct br_change *c = to_change(op);
	int r = 0;

	while (r == 0 && c->nr_registered < c->n) {
		r = join(c->snaps[c->nr_registered]);
		c->nr_registered += r == 0;
	}
	c->i = 0;
	return r < 0 ? br_op_fail(op, r) : S_OPEN_WAYS;
}

static int open_way(struct br_chan *chan, void *arg)
{
	return br_family_open_way(br_container_of(chan, struct br_family_chan, chan), arg);
}

static int close_way(struct br_chan *chan, void *arg)
{
	br_family_close_way(br_container_of(chan, struct br_family_chan, chan), arg);
	return 0;
}

static int step_open_ways(struct br_op *op)
{
	struct br_change *c = to_change(op);
	struct br_snapshot *s;

	if (c->i == c->n)
		return S_RESUME;
	s = c->snaps[c->i++];
	br_dev_broadcast(&s->fam->dev, op, open_way, s);
	return br_op_await(op, S_OPEN_WAYS);
}

/* Also the way back when something failed after the join. */
static int step_close_ways(struct br_op *op)
{
	struct br_change *c = to_change(op);
	struct br_snapshot *s;

	if (op->error) {
		if (!c->error)
			c->i = 0;
		c->error = c->error ? c->error : op->error;
		br_op_clear_error(op);
	}
	if (c->i == (leaves(c) ? c->n : c->nr_registered))
		return S_LEAVE;
	s = c->snaps[c->i++];
	if (!s->attached)
		return S_CLOSE_WAYS;
	br_dev_broadcast(&s->fam->dev, op, close_way, s);
	return br_op_await(op, S_CLOSE_WAYS);
}

static void leave(struct br_snapshot *s)
{
	struct br_family *f = s->fam;

	if (!s->attached)
		return;
	f->snaps[s->slot] = NULL;
	s->attached = false;
	if (f->merging == s)
		f->merging = NULL;
	br_family_recount(f);
}

/* It had joined and must go again: the origin's reference, too, which is not the last one, for the caller has his. */
static void unjoin(struct br_snapshot *s)
{
	leave(s);
	if (!s->owned)
		return;
	s->owned = false;
	br_dev_put(&s->dev);
}

/* Empty, and as good as new, whatever had become of it. */
static void begin_anew(struct br_snapshot *s)
{
	br_extable_clear(s->table);
	atomic_store(&s->gone, BR_HERE);
	atomic_store(&s->dev.code, BLKREMAP_CODE_NONE);
	atomic_fetch_and(&s->dev.state, ~(uint32_t)(BLKREMAP_ST_INVALID | BLKREMAP_ST_FULL | BLKREMAP_ST_FAILED));
	s->hold_over = s->low_told = false;
}

static int step_leave(struct br_op *op)
{
	struct br_change *c = to_change(op);

	(void)op;
	for (uint32_t i = 0; i < c->n; i++) {
		if (c->kind == BR_CHANGE_RESET)
			begin_anew(c->snaps[i]);
		else if (leaves(c))
			leave(c->snaps[i]);
		else if (i < c->nr_registered)
			unjoin(c->snaps[i]);
	}
	return S_RESUME;
}

/* ---- go on ------------------------------------------------------------------------------------------------------- */

static int step_resume(struct br_op *op)
{
	struct br_change *c = to_change(op);

	if (op->error) {
		c->error = c->error ? c->error : op->error;
		br_op_clear_error(op);
	}
	if (!c->nr_drained)
		return S_UNLOCK;
	br_dev_resume(c->faces[--c->nr_drained], op);
	return br_op_await(op, S_RESUME);
}

/* The origin's reference goes with the place in the family; the last one closes the device, which is for the caller. */
static int step_unlock(struct br_op *op)
{
	struct br_change *c = to_change(op);

	while (c->nr_turns) {
		c->nr_turns--;
		br_range_lock_give(&c->families[c->nr_turns]->turn, &c->turns[c->nr_turns]);
	}
	for (uint32_t i = 0; c->locked && i < 2 * c->n; i++)
		br_chan_put(c->chans[i]);
	if (c->locked)
		br_control_unlock(op->queue->ctx);
	c->locked = false;
	op->error = c->error;
	return BR_OP_END;
}

static void change_finish(struct br_op *op, int error)
{
	struct br_change *c = to_change(op);

	(void)error;
	if (c->on_end)
		c->on_end(c);
}

static const struct br_op_step change_steps[] = {
	[S_LOCK] = { "lock", step_lock, S_RESUME },
	[S_CHANS] = { "chans", step_chans, S_RESUME },
	[S_TURN] = { "turn", step_turn, S_RESUME },
	[S_DRAIN] = { "drain", step_drain, S_RESUME },
	[S_ACT] = { "act", step_act, S_RESUME },
	[S_FLUSH] = { "flush", step_flush, S_RESUME },
	[S_FORMAT] = { "format", step_format, S_SPOILED },
	[S_SPOILED] = { "spoiled", step_spoiled, S_RESUME },
	[S_MARK] = { "mark", step_mark, S_RESUME },
	[S_JOIN] = { "join", step_join, S_CLOSE_WAYS },
	[S_OPEN_WAYS] = { "open-ways", step_open_ways, S_CLOSE_WAYS },
	[S_CLOSE_WAYS] = { "close-ways", step_close_ways, S_CLOSE_WAYS },
	[S_LEAVE] = { "leave", step_leave, S_RESUME },
	[S_RESUME] = { "resume", step_resume, S_RESUME },
	[S_UNLOCK] = { "unlock", step_unlock, BR_OP_END },
};

static const struct br_op_class change_class = { "change", change_finish, change_steps };

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

static void note_family(struct br_change *c, struct br_family *f)
{
	for (uint32_t i = 0; i < c->nr_families; i++)
		if (c->families[i] == f)
			return;
	c->families[c->nr_families++] = f;
}

static bool take_memory(struct br_change *c, const struct blkremap_env *env)
{
	c->families = br_alloc(env, c->n * sizeof(struct br_family *));
	c->turns = br_alloc(env, c->n * sizeof(*c->turns));
	c->faces = br_alloc(env, c->n * (BR_FAMILY_MAX + 1) * sizeof(struct br_dev *));
	c->chans = br_alloc(env, 2 * c->n * sizeof(struct br_chan *));
	c->marks = br_alloc(env, c->n * sizeof(*c->marks));
	return c->families && c->turns && c->faces && c->chans && c->marks;
}

int br_change_begin(struct br_change *c, struct br_queue *q)
{
	if (!take_memory(c, q->ctx->env)) {
		br_change_done(c);
		return br_error(-ENOMEM, "no memory for changing snapshots");
	}
	for (uint32_t i = 0; i < c->n; i++)
		note_family(c, c->snaps[i]->fam);
	br_op_start(&c->op, &change_class, q);
	return 0;
}

/*
 * The faces are stable from the first drain on, and nobody drains them for another op while we hold the control lock.
 */
void br_change_expire(struct br_change *c)
{
	atomic_store(&c->expired, true);
	for (uint32_t i = 0; i < c->nr_faces; i++)
		br_dev_drain_cancel(c->faces[i], &c->op);
}

void br_change_done(struct br_change *c)
{
	const struct blkremap_env *env = c->snaps[0]->dev.ctx->env;

	br_free(env, c->families, c->n * sizeof(struct br_family *));
	br_free(env, c->turns, c->n * sizeof(*c->turns));
	br_free(env, c->faces, c->n * (BR_FAMILY_MAX + 1) * sizeof(struct br_dev *));
	br_free(env, c->chans, 2 * c->n * sizeof(struct br_chan *));
	br_free(env, c->marks, c->n * sizeof(*c->marks));
}

int br_change_run(struct br_ctx *ctx, enum br_change_kind kind, struct br_snapshot **snaps, uint32_t n,
		  uint64_t deadline_ns)
{
	struct br_change c = { .kind = kind, .snaps = snaps, .n = n };
	struct br_sync io;
	int r = br_sync_open(&io, ctx, NULL);

	if (r < 0)
		return r;
	br_queue_enter(&io.queue);
	r = br_change_begin(&c, &io.queue);
	if (r == 0) {
		if (!br_block(ctx, &io.queue, br_op_ended, &c.op, deadline_ns)) {
			br_change_expire(&c);
			br_block(ctx, &io.queue, br_op_ended, &c.op, BR_NEVER);
		}
		r = c.error;
		br_change_done(&c);
	}
	br_queue_leave(&io.queue);
	br_sync_close(&io);
	return r;
}
