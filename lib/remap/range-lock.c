/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How it works.  Each hold counts the older holds that exclude it.  Going away, by give or cancel, takes one off the
 * count of each younger hold that it excludes; a count of 0 is the grant.  So order is kept without a queue per
 * block, and a waiter in the middle can go away like any other.
 *
 * Holds of one block lie in a list by hash, wider ones in a list of their own: the common case looks at two short
 * lists.
 */
#include "remap/range-lock.h"

#include "base/compiler.h"
#include "base/mutant.h"
#include "op/ctx.h"
#include "op/op.h"

#include <errno.h>

static void lock(struct br_range_lock *l)
{
	br_mutex_lock(&l->lock, l->ctx->env);
}

static void unlock(struct br_range_lock *l)
{
	br_mutex_unlock(&l->lock, l->ctx->env);
}

static struct br_list *list_of(struct br_range_lock *l, const struct br_range_hold *h)
{
	if (h->end - h->begin > 1)
		return &l->wide;
	return &l->narrow[h->begin * UINT64_C(0x9e3779b97f4a7c15) >> 58];
}

static bool exclude_each_other(const struct br_range_hold *a, const struct br_range_hold *b)
{
	return a->begin < b->end && b->begin < a->end && (a->exclusive || b->exclusive);
}

void br_range_lock_init(struct br_range_lock *l, struct br_ctx *ctx)
{
	*l = (struct br_range_lock){ .ctx = ctx };
	br_list_init(&l->wide);
	for (unsigned i = 0; i < BR_RANGE_LOCK_LISTS; i++)
		br_list_init(&l->narrow[i]);
}

void br_range_lock_done(struct br_range_lock *l)
{
	(void)l;	/* holds belong to their ops */
}

/* ---- coming ---------------------------------------------------------------------------------------------------- */

static uint32_t count_list(const struct br_list *list, const struct br_range_hold *h)
{
	const struct br_list *i;
	uint32_t n = 0;

	br_list_for_each(i, list)
		n += exclude_each_other(br_container_of(i, struct br_range_hold, link), h);
	return n;
}

/* All that are in the lists are older than @h, which is not. */
static uint32_t count_ahead_locked(struct br_range_lock *l, const struct br_range_hold *h)
{
	uint32_t n = count_list(&l->wide, h);

	if (list_of(l, h) != &l->wide)
		return n + count_list(list_of(l, h), h);
	for (unsigned i = 0; i < BR_RANGE_LOCK_LISTS; i++)
		n += count_list(&l->narrow[i], h);
	return n;
}

static void add_locked(struct br_range_lock *l, struct br_range_hold *h)
{
	h->ticket = ++l->ticket;
	br_list_add_tail(list_of(l, h), &h->link);
}

/* Nobody is called under the lock, so the hold keeps itself back until it has told the context that it waits. */
static bool wait_for_older(struct br_range_lock *l, struct br_range_hold *h)
{
	bool granted;

	br_wait_begin(l->ctx);
	lock(l);
	granted = --h->ahead == 0 && !h->cancelled;
	if (!granted)
		br_op_launch(h->op);
	unlock(l);
	if (granted)
		br_wait_end(l->ctx);
	return granted;
}

bool br_range_lock_take(struct br_range_lock *l, struct br_range_hold *h, uint64_t begin, uint64_t end, bool exclusive,
			struct br_op *op)
{
	lock(l);
	*h = (struct br_range_hold){ .begin = begin, .end = end, .exclusive = exclusive, .op = op };
	h->ahead = count_ahead_locked(l, h);
	if (BR_MUTANT("range-lock-barges"))
		h->ahead = 0;
	add_locked(l, h);
	if (!h->ahead) {
		unlock(l);
		return true;
	}
	h->ahead++;	/* itself */
	unlock(l);
	return wait_for_older(l, h);
}

bool br_range_lock_try(struct br_range_lock *l, struct br_range_hold *h, uint64_t begin, uint64_t end, bool exclusive)
{
	bool free;

	lock(l);
	*h = (struct br_range_hold){ .begin = begin, .end = end, .exclusive = exclusive };
	free = !count_ahead_locked(l, h);
	if (free)
		add_locked(l, h);
	unlock(l);
	return free;
}

/* ---- going ----------------------------------------------------------------------------------------------------- */

/* @h is gone: the younger that it kept out have one less ahead; who has none is granted now, and chained. */
static void strike_list(struct br_list *list, const struct br_range_hold *h, struct br_range_hold ***ret_tail)
{
	struct br_list *i;

	br_list_for_each(i, list) {
		struct br_range_hold *other = br_container_of(i, struct br_range_hold, link);

		if (other->ticket < h->ticket || !exclude_each_other(other, h) || --other->ahead)
			continue;
		**ret_tail = other;	/* its next_granted has been NULL since it was taken */
		*ret_tail = &other->next_granted;
	}
}

static struct br_range_hold *remove_locked(struct br_range_lock *l, struct br_range_hold *h)
{
	struct br_range_hold *granted = NULL, **tail = &granted;
	struct br_list *home = list_of(l, h);

	br_list_del(&h->link);
	strike_list(&l->wide, h, &tail);
	if (home != &l->wide)
		strike_list(home, h, &tail);
	for (unsigned i = 0; i < BR_RANGE_LOCK_LISTS && home == &l->wide; i++)
		strike_list(&l->narrow[i], h, &tail);
	return granted;
}

static void tell(struct br_range_lock *l, struct br_range_hold *granted)
{
	while (granted) {
		struct br_op *op = granted->op;

		granted = granted->next_granted;
		br_wait_end(l->ctx);
		br_op_grant(op, 0);	/* from here on its hold may be anything */
	}
}

void br_range_lock_give(struct br_range_lock *l, struct br_range_hold *h)
{
	struct br_range_hold *granted;

	lock(l);
	granted = remove_locked(l, h);
	unlock(l);
	tell(l, granted);
}

bool br_range_lock_cancel(struct br_range_lock *l, struct br_range_hold *h)
{
	struct br_range_hold *granted;

	lock(l);
	if (!h->ahead || h->cancelled) {
		unlock(l);
		return false;
	}
	h->cancelled = true;
	granted = remove_locked(l, h);
	unlock(l);
	tell(l, granted);
	br_wait_end(l->ctx);
	br_op_grant(h->op, -ECANCELED);
	return true;
}
