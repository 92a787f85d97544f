/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Range locks against the sentence that defines them: a hold is granted exactly when no older one that overlaps it is
 * left, unless both share.  All orders of taking, giving and cancelling, for all ranges and modes of a small set.
 */
#include "fake.h"

#include <errno.h>

#include "../walk.h"
#include "remap/range-lock.h"

enum { MAX = 4 };
enum { ABSENT, PRESENT, GONE };

static const struct {
	uint64_t begin, end;
	bool exclusive;
} kinds[] = {
	{ 0, 1, true }, { 0, 1, false }, { 1, 2, true }, { 1, 2, false },
	{ 0, 2, true }, { 0, 2, false }, { 1, 500, true }, { 1, 500, false },
};
enum { KINDS = 8 };

static struct br_range_lock rl;
static struct br_range_hold holds[MAX];
static struct fake_op ops[MAX];
static unsigned kind[MAX], life[MAX], age[MAX], clock_now;
static bool at_once[MAX];

static bool excluded(unsigned a, unsigned b)
{
	return kinds[kind[a]].begin < kinds[kind[b]].end && kinds[kind[b]].begin < kinds[kind[a]].end &&
	       (kinds[kind[a]].exclusive || kinds[kind[b]].exclusive);
}

/* The model. */
static bool should_hold(unsigned i, unsigned n)
{
	for (unsigned j = 0; j < n; j++)
		if (j != i && life[j] == PRESENT && age[j] < age[i] && excluded(i, j))
			return false;
	return true;
}

static bool holds_it(unsigned i)
{
	return at_once[i] || (ops[i].granted && !ops[i].error);
}

static void act(unsigned i)
{
	const unsigned k = kind[i];

	if (life[i] == ABSENT) {
		life[i] = PRESENT;
		age[i] = ++clock_now;
		at_once[i] = br_range_lock_take(&rl, &holds[i], kinds[k].begin, kinds[k].end, kinds[k].exclusive,
						&ops[i].op);
		assert_int_equal(ops[i].launched, !at_once[i]);
		return;
	}
	life[i] = GONE;
	if (holds_it(i)) {
		assert_false(br_range_lock_cancel(&rl, &holds[i]));
		br_range_lock_give(&rl, &holds[i]);
		return;
	}
	assert_true(br_range_lock_cancel(&rl, &holds[i]));
	assert_int_equal(ops[i].granted, 1);
	assert_int_equal(ops[i].error, -ECANCELED);
}

static void compare(unsigned n)
{
	unsigned waiting = 0;

	for (unsigned i = 0; i < n; i++) {
		if (life[i] != PRESENT)
			continue;
		assert_int_equal(holds_it(i), should_hold(i, n));
		waiting += !holds_it(i);
	}
	assert_int_equal(fake_ctx.waits, waiting);
}

static void one_path(unsigned n)
{
	memset(ops, 0, sizeof(ops));
	memset(life, 0, sizeof(life));
	clock_now = 0;
	br_range_lock_init(&rl, &fake_ctx);
	for (unsigned steps = 0; steps < 2 * n; steps++) {
		unsigned can[MAX], nr = 0;

		for (unsigned i = 0; i < n; i++)
			if (life[i] != GONE)
				can[nr++] = i;
		act(can[walk_choose(nr)]);
		compare(n);
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(ops[i].granted, ops[i].launched);
	br_range_lock_done(&rl);
}

/* @number in base KINDS says which kinds the holds are of. */
static void all_paths(unsigned n, unsigned number)
{
	for (unsigned i = 0; i < n; i++, number /= KINDS)
		kind[i] = number % KINDS;
	walk_begin();
	do {
		one_path(n);
	} while (walk_next());
}

static void three_holds_of_all_kinds_in_every_order_obey_the_definition(void **state)
{
	(void)state;
	for (unsigned number = 0; number < KINDS * KINDS * KINDS; number++)
		all_paths(3, number);
}

static void four_holds_of_some_kinds_in_every_order_obey_the_definition(void **state)
{
	(void)state;
	for (unsigned number = 5; number < KINDS * KINDS * KINDS * KINDS; number += 97)
		all_paths(4, number);
}

static void a_later_sharer_does_not_overtake_an_exclusive_waiter(void **state)
{
	struct fake_op a = { .launched = 0 }, b = { .launched = 0 }, c = { .launched = 0 };
	struct br_range_hold ha, hb, hc;

	(void)state;
	br_range_lock_init(&rl, &fake_ctx);
	assert_true(br_range_lock_take(&rl, &ha, 3, 4, false, &a.op));
	assert_false(br_range_lock_take(&rl, &hb, 3, 4, true, &b.op));
	assert_false(br_range_lock_take(&rl, &hc, 3, 4, false, &c.op));
	br_range_lock_give(&rl, &ha);
	assert_int_equal(b.granted, 1);
	assert_int_equal(c.granted, 0);
	br_range_lock_give(&rl, &hb);
	assert_int_equal(c.granted, 1);
	br_range_lock_give(&rl, &hc);
}

static void try_takes_what_is_free_and_leaves_no_trace_otherwise(void **state)
{
	struct fake_op a = { .launched = 0 };
	struct br_range_hold ha, hb, hc;

	(void)state;
	br_range_lock_init(&rl, &fake_ctx);
	assert_true(br_range_lock_take(&rl, &ha, 3, 9, true, &a.op));
	assert_false(br_range_lock_try(&rl, &hb, 8, 9, false));
	assert_true(br_range_lock_try(&rl, &hb, 9, 10, true));
	br_range_lock_give(&rl, &ha);
	assert_true(br_range_lock_try(&rl, &hc, 3, 9, true));
	br_range_lock_give(&rl, &hb);
	br_range_lock_give(&rl, &hc);
	assert_int_equal(a.granted, 0);
}

/* ---- what another thread may do while take is telling the context that it waits ---------------------------------- */

static struct br_range_hold first, second;

static void give_first(void)
{
	br_range_lock_give(&rl, &first);
}

static void cancel_second(void)
{
	assert_true(br_range_lock_cancel(&rl, &second));
	assert_false(br_range_lock_cancel(&rl, &second));
}

static void give_first_and_cancel_second(void)
{
	give_first();
	cancel_second();
}

static bool take_both(struct fake_op *op, void (*meanwhile)(void))
{
	br_range_lock_init(&rl, &fake_ctx);
	assert_true(br_range_lock_take(&rl, &first, 3, 4, true, &op->op));
	fake_on_wait = meanwhile;
	return br_range_lock_take(&rl, &second, 3, 4, true, &op->op);
}

static void what_is_given_while_the_wait_begins_is_held_at_once(void **state)
{
	struct fake_op f = { .launched = 0 };

	(void)state;
	assert_true(take_both(&f, give_first));
	assert_int_equal(f.launched, 0);
	assert_int_equal(f.granted, 0);
	assert_int_equal(fake_ctx.waits, 0);
	br_range_lock_give(&rl, &second);
}

static void a_cancel_while_the_wait_begins_is_told_once(void **state)
{
	void (*const meanwhile[])(void) = { cancel_second, give_first_and_cancel_second };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fake_op f = { .launched = 0 };

		assert_false(take_both(&f, meanwhile[i]));
		assert_int_equal(f.launched, 1);
		assert_int_equal(f.granted, 1);
		assert_int_equal(f.error, -ECANCELED);
		assert_int_equal(fake_ctx.waits, 0);
	}
}

static void what_was_never_taken_cannot_be_cancelled(void **state)
{
	struct br_range_hold h = { .begin = 0 };

	(void)state;
	br_range_lock_init(&rl, &fake_ctx);
	assert_false(br_range_lock_cancel(&rl, &h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_holds_of_all_kinds_in_every_order_obey_the_definition),
		cmocka_unit_test(four_holds_of_some_kinds_in_every_order_obey_the_definition),
		cmocka_unit_test(a_later_sharer_does_not_overtake_an_exclusive_waiter),
		cmocka_unit_test(try_takes_what_is_free_and_leaves_no_trace_otherwise),
		cmocka_unit_test(what_is_given_while_the_wait_begins_is_held_at_once),
		cmocka_unit_test(a_cancel_while_the_wait_begins_is_told_once),
		cmocka_unit_test(what_was_never_taken_cannot_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
