/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How it works (protocols.md P5).  A lane has 64 lines of 8 words; a block may lie in any slot of the one line that
 * its hash names.  A slot is 0 or (block + 1) << 1 | WAITED.
 *
 *	from			to			by			how
 *	0			block			the queue		exchange, seq_cst
 *	block			0			the queue		compare-exchange
 *	block			block | WAITED		a quiescer		compare-exchange, under the lock
 *	block | WAITED		0			the queue		store, under the lock
 *
 * A slot that is WAITED changes under the lock only, and a quiescer scans under the lock, so a slot that it found
 * WAITED is the same occupant's until the scan is over: no ABA.  A slot that changes while the scan tries to mark it
 * was left meanwhile; whoever is in it now came later and is not waited for.
 *
 * Whom does a leaver release?  Each quiesce has a ticket.  since[] of a WAITED slot is the ticket that marked it:
 * every later quiesce that covers the block has counted it as well, for it stays WAITED until it is left, and no
 * earlier one has.  So the leaver strikes itself off the waiters that cover its block and have a ticket not below
 * since[].
 *
 * An entry that finds its line full goes to a list under the lock.  The lock then orders what seq_cst orders
 * otherwise: if the scan was first, the look-up that follows the entry sees what was inserted before the scan.
 */
#include "remap/dset.h"

#include "base/compiler.h"
#include "base/error.h"
#include "base/mutant.h"
#include "op/ctx.h"
#include "op/op.h"

#include <errno.h>

enum { WAITED = 1, IN_OVERFLOW = BR_DSET_LINES * BR_DSET_SLOTS };

struct br_dset_lane {
	_Alignas(BR_CACHE_LINE) _Atomic uint64_t slots[BR_DSET_LINES][BR_DSET_SLOTS];
	uint64_t since[BR_DSET_LINES][BR_DSET_SLOTS];	/* under the lock; means something while the slot is WAITED */
	struct br_dset *set;
	struct br_queue *queue;
	struct br_list link;				/* under the lock */
};

static uint64_t word_of(uint64_t block)
{
	return (block + 1) << 1;
}

static unsigned line_of(uint64_t block)
{
	return (unsigned)(block * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

static bool covers(const struct br_dset_waiter *w, uint64_t block)
{
	return w->begin <= block && block < w->end;
}

static void lock(struct br_dset *s)
{
	br_mutex_lock(&s->lock, s->ctx->env);
}

static void unlock(struct br_dset *s)
{
	br_mutex_unlock(&s->lock, s->ctx->env);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

void br_dset_init(struct br_dset *s, struct br_ctx *ctx)
{
	*s = (struct br_dset){ .ctx = ctx };
	br_list_init(&s->lanes);
	br_list_init(&s->waiters);
	for (unsigned i = 0; i < BR_DSET_LINES; i++)
		br_list_init(&s->overflow[i]);
}

void br_dset_done(struct br_dset *s)
{
	(void)s;	/* lanes own all the memory; the pair is kept so that callers do not depend on that */
}

int br_dset_lane_open(struct br_dset *s, struct br_queue *q, struct br_dset_lane **ret_lane)
{
	struct br_dset_lane *l = br_alloc_aligned(s->ctx->env, sizeof(*l), BR_CACHE_LINE);

	if (!l)
		return br_error(-ENOMEM, "no memory for a lane of %zu bytes", sizeof(*l));
	l->set = s;
	l->queue = q;
	lock(s);
	br_list_add_tail(&s->lanes, &l->link);
	unlock(s);
	*ret_lane = l;
	return 0;
}

void br_dset_lane_close(struct br_dset_lane *l)
{
	struct br_dset *s;

	if (!l)
		return;
	s = l->set;
	lock(s);
	br_list_del(&l->link);
	unlock(s);
	br_free(s->ctx->env, l, sizeof(*l));
}

/* ---- entering -------------------------------------------------------------------------------------------------- */

static void enter_overflow(struct br_dset_lane *l, unsigned line, struct br_entry *e)
{
	e->slot = IN_OVERFLOW;
	e->since = 0;
	lock(l->set);
	br_list_add_tail(&l->set->overflow[line], &e->link);
	unlock(l->set);
}

void br_dset_enter(struct br_dset_lane *l, uint64_t block, struct br_entry *e)
{
	unsigned line = line_of(block);

	e->lane = l;
	e->block = block;
	for (unsigned i = 0; i < BR_DSET_SLOTS; i++) {
		/* Only this queue fills slots and empties them, so what it reads as free stays free. */
		if (atomic_load_explicit(&l->slots[line][i], memory_order_relaxed))
			continue;
		atomic_exchange_explicit(&l->slots[line][i], word_of(block), memory_order_seq_cst);
		e->slot = line * BR_DSET_SLOTS + i;
		return;
	}
	enter_overflow(l, line, e);
}

/* ---- leaving --------------------------------------------------------------------------------------------------- */

/* An occupant of @block whom tickets from @since on wait for has left: collect the waiters that this releases. */
static void strike_locked(struct br_dset *s, uint64_t block, uint64_t since, struct br_list *released)
{
	struct br_list *l = s->waiters.next;

	while (l != &s->waiters) {
		struct br_dset_waiter *w = br_container_of(l, struct br_dset_waiter, link);

		l = l->next;
		if (w->ticket < since || !covers(w, block) || --w->inside)
			continue;
		br_list_del(&w->link);
		br_list_add_tail(released, &w->link);
	}
}

static void grant(struct br_dset *s, struct br_list *released)
{
	struct br_list *l;

	while ((l = br_list_pop(released))) {
		struct br_op *op = br_container_of(l, struct br_dset_waiter, link)->op;

		br_wait_end(s->ctx);
		br_op_grant(op, 0);	/* and with it the waiter is gone */
	}
}

static void leave_waited(struct br_dset_lane *l, unsigned line, unsigned i, uint64_t block)
{
	struct br_list released;

	br_list_init(&released);
	lock(l->set);
	atomic_store_explicit(&l->slots[line][i], 0, memory_order_seq_cst);
	if (!BR_MUTANT("dset-lost-waiter"))
		strike_locked(l->set, block, l->since[line][i], &released);
	unlock(l->set);
	grant(l->set, &released);
}

static void leave_overflow(struct br_entry *e)
{
	struct br_dset *s = e->lane->set;
	struct br_list released;

	br_list_init(&released);
	lock(s);
	br_list_del(&e->link);
	if (e->since)
		strike_locked(s, e->block, e->since, &released);
	unlock(s);
	grant(s, &released);
}

void br_dset_leave(struct br_entry *e)
{
	unsigned line = e->slot / BR_DSET_SLOTS, i = e->slot % BR_DSET_SLOTS;
	uint64_t mine = word_of(e->block);

	if (e->slot == IN_OVERFLOW)
		leave_overflow(e);
	else if (!atomic_compare_exchange_strong_explicit(&e->lane->slots[line][i], &mine, 0, memory_order_seq_cst,
							  memory_order_relaxed))
		leave_waited(e->lane, line, i, e->block);
}

/* ---- quiescing ------------------------------------------------------------------------------------------------- */

/* Make sure that the slot's occupant, if @w covers it, will strike itself off.  False: not covered, or it left. */
static bool mark_slot_locked(struct br_dset_lane *l, unsigned line, unsigned i, const struct br_dset_waiter *w)
{
	_Atomic uint64_t *slot = &l->slots[line][i];
	uint64_t word = atomic_load_explicit(slot, memory_order_seq_cst);

	if (!word || !covers(w, (word >> 1) - 1))
		return false;
	if (word & WAITED)
		return true;
	/* The failure must acquire, too: what the one who just left has read is about to be overwritten. */
	if (!atomic_compare_exchange_strong_explicit(slot, &word, word | WAITED, memory_order_seq_cst,
						     memory_order_seq_cst))
		return false;
	l->since[line][i] = w->ticket;
	return true;
}

static void mark_line_locked(struct br_dset *s, unsigned line, struct br_dset_waiter *w)
{
	struct br_list *l;

	br_list_for_each(l, &s->lanes) {
		struct br_dset_lane *lane = br_container_of(l, struct br_dset_lane, link);

		for (unsigned i = 0; i < BR_DSET_SLOTS; i++)
			w->inside += mark_slot_locked(lane, line, i, w);
	}
	br_list_for_each(l, &s->overflow[line]) {
		struct br_entry *e = br_container_of(l, struct br_entry, link);

		if (!covers(w, e->block))
			continue;
		if (!e->since)
			e->since = w->ticket;
		w->inside++;
	}
}

/* The lines that blocks of [begin, end) may lie in. */
static uint64_t lines_of(uint64_t begin, uint64_t end)
{
	uint64_t lines = 0;

	if (end - begin >= BR_DSET_LINES)
		return UINT64_MAX;
	for (uint64_t b = begin; b < end; b++)
		lines |= UINT64_C(1) << line_of(b);
	return lines;
}

/* Nobody is called under the lock, so the waiter holds itself back until it has told the context that it waits. */
static bool wait_for_marked(struct br_dset *s, struct br_dset_waiter *w)
{
	bool left;

	br_wait_begin(s->ctx);
	lock(s);
	left = --w->inside == 0;
	if (left)
		br_list_del(&w->link);
	else
		br_op_launch(w->op);
	unlock(s);
	if (left)
		br_wait_end(s->ctx);
	return left;
}

bool br_dset_quiesce_range(struct br_dset *s, uint64_t begin, uint64_t end, struct br_dset_waiter *w, struct br_op *op)
{
	uint64_t lines = lines_of(begin, end);

	*w = (struct br_dset_waiter){ .begin = begin, .end = end, .op = op };
	lock(s);
	w->ticket = ++s->ticket;
	for (; lines; lines &= lines - 1)
		mark_line_locked(s, (unsigned)__builtin_ctzll(lines), w);
	if (!w->inside || BR_MUTANT("dset-no-drain")) {
		unlock(s);
		return true;
	}
	w->inside++;	/* itself */
	br_list_add_tail(&s->waiters, &w->link);
	unlock(s);
	return wait_for_marked(s, w);
}

bool br_dset_quiesce(struct br_dset *s, uint64_t block, struct br_dset_waiter *w, struct br_op *op)
{
	return br_dset_quiesce_range(s, block, block + 1, w, op);
}
