/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A look-up with a change at each place where one can come between: before its first load, its second, and so on to its
 * last; and a change with a look-up before each of its stores.  The sources are compiled in, with atomics that count.
 */
#include "../fake-env.h"

#include <stdbool.h>

static void (*at_load)(void);		/* NULL: nothing comes between */
static int loads_left;
static bool watched;			/* a look-up comes before each store */

static void look_at_x(void);

static void before_store(void)
{
	if (!watched)
		return;
	watched = false;
	look_at_x();
	watched = true;
}

static void count_load(void)
{
	void (*change)(void) = at_load;

	if (!change || --loads_left > 0)
		return;
	at_load = NULL;
	change();
}

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#ifdef __clang__
#define atomic_load_explicit(p, order) (count_load(), __c11_atomic_load((p), (order)))
#define atomic_store_explicit(p, v, order) (before_store(), __c11_atomic_store((p), (v), (order)))
#else
#define atomic_load_explicit(p, order) (count_load(), __atomic_load_n((p), (order)))
#define atomic_store_explicit(p, v, order) (before_store(), __atomic_store_n((p), (v), (order)))
#endif
#define atomic_load(p) atomic_load_explicit((p), memory_order_seq_cst)
#define atomic_store(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

#include "remap/extable-page.c"
#include "remap/extable-pool.c"
#include "remap/extable-dir.c"
#include "remap/extable.c"

enum { MOST_LOADS = 400, CHUNKS = 20, PITCH = 1001 };

static struct br_extable *t;
static uint64_t wanted;			/* the chunk that is looked up */
static uint64_t fresh;			/* chunks from here on were never used */

static uint64_t scatter(uint64_t i)
{
	i = (i + 1) * UINT64_C(0xbf58476d1ce4e5b9);
	return (i ^ i >> 31) * UINT64_C(0x94d049bb133111eb) >> 17;	/* 47 bits */
}

/* Where a chunk lies: nothing that could be taken for that of another, nor one in order with another. */
static uint64_t place(uint64_t chunk)
{
	return scatter(chunk) ^ 1;
}

static void add(uint64_t chunk, int state)
{
	assert_int_equal(br_extable_insert(t, chunk, place(chunk), state), 0);
}

static void take_away(uint64_t chunk)
{
	assert_int_equal(br_extable_remove(t, chunk), 0);
}

/* One chunk of another block, at the same place in it: its slot could be taken for that of the wanted. */
static uint64_t other(uint64_t i)
{
	return (UINT64_C(1) << 30) + i * 16 + wanted % 16;
}

/* Others come, as many as it takes to make pages full, move them, and use those left behind again. */
static void add_others(uint64_t n)
{
	for (uint64_t end = fresh + n; fresh < end; fresh++)
		add(other(fresh), BR_EX_DONE);
}

static void add_x(void) { add(wanted, BR_EX_DONE); }
static void add_x_draining(void) { add(wanted, BR_EX_DRAINING); }
static void add_block(void)
{
	for (uint64_t i = wanted - wanted % 16; i < wanted + 16 - wanted % 16; i++) {
		if (i != wanted)
			add(i, BR_EX_DONE);
	}
}

static void nothing(void)
{
}

static void end_x(void) { br_extable_set_done(t, wanted); }
static void lose_x(void) { take_away(wanted); }
static void lose_x_and_add_few(void) { take_away(wanted); add_others(400); }
static void lose_x_and_add_others(void) { take_away(wanted); add_others(3000); }
static void add_many(void) { add_others(3000); }
static void add_very_many(void) { add_others(20000); }

/* The slot, or the place in the leaf, goes to another. */
static void replace_x(void)
{
	take_away(wanted);
	assert_int_equal(br_extable_insert(t, wanted, place(wanted) ^ UINT64_C(0x555555555555), BR_EX_DONE), 0);
}

static void lose_block(void)
{
	for (uint64_t i = wanted - wanted % 16; i < wanted + 16 - wanted % 16; i++)
		take_away(i);
}

/* The leaf goes to another block. */
static void lose_block_and_make_leaves(void)
{
	lose_block();
	for (uint64_t i = 0; i < 160; i++)
		add((UINT64_C(1) << 36) + i, BR_EX_DONE);
}

/* A crowd, so that some are not at home; and when it has gone, leaves are. */
static void make_crowd(void)
{
	add_others(900);
	add_x();
}

static void scatter_crowd(void)
{
	for (uint64_t i = 0; i < fresh; i++)
		take_away(other(i));
	add_block();
}

static void make_leaf(void) { add_x(); add_block(); }
static void make_two_pages(void) { add_x(); add_others(1100); }
static void make_block_draining(void) { add_x_draining(); add_block(); }

struct order {
	const char *name;
	void (*before)(void), (*change)(void);
	unsigned may;			/* bits: 1 none, 2 draining, 4 done */
	bool replaced;			/* it may lie in the other place, too */
};

static const struct order orders[] = {
	{ "insert", nothing, add_x, 1 | 4, false },
	{ "insert, draining", add_block, add_x_draining, 1 | 2, false },
	{ "insert into a leaf", add_block, add_x, 1 | 4, false },
	{ "done", add_x_draining, end_x, 2 | 4, false },
	{ "done, into a leaf", make_block_draining, end_x, 2 | 4, false },
	{ "remove", add_x, lose_x, 1 | 4, false },
	{ "remove, and its slot is used again", add_x, lose_x_and_add_few, 1 | 4, false },
	{ "remove while it drains, and its slot is used again", add_x_draining, lose_x_and_add_few, 1 | 2, false },
	{ "remove, and its page is used again", add_x, lose_x_and_add_others, 1 | 4, false },
	{ "replace", add_x, replace_x, 1 | 4, true },
	{ "replace in a leaf", make_leaf, replace_x, 1 | 4, true },
	{ "remove from a leaf", make_leaf, lose_x, 1 | 4, false },
	{ "remove, and its leaf is used again", make_leaf, lose_block_and_make_leaves, 1 | 4, false },
	{ "become a leaf", add_x, add_block, 4, false },
	{ "come home as a leaf", make_crowd, scatter_crowd, 4, false },
	{ "grow", add_x, add_many, 4, false },
	{ "grow, and grow again", make_two_pages, add_very_many, 4, false },
	{ "grow without it", nothing, add_very_many, 1, false },
	{ "grow with its leaf", make_leaf, add_many, 4, false },
};

static const struct order *order;	/* the one that is tried */

static void look_at_x(void)
{
	uint64_t where = 77;
	int state = br_extable_lookup(t, wanted, &where);
	bool replaced = order->replaced && where == (place(wanted) ^ UINT64_C(0x555555555555));

	if (!(order->may >> state & 1) || (state && where != place(wanted) && !replaced))
		fail_msg("%s, chunk %ju, load %d: state %d, place %#jx", order->name, (uintmax_t)wanted, loads_left,
			 state, (uintmax_t)where);
}

static void set_up(const struct order *o)
{
	order = o;
	fresh = 0;
	assert_int_equal(br_extable_new(&fake_env, 0, &t), 0);
	add_others(10);
	o->before();
}

/* True: the change came; false: the look-up was over before. */
static bool look_up_with(const struct order *o, int load)
{
	bool came;

	set_up(o);
	loads_left = load;
	at_load = o->change;
	look_at_x();
	came = !at_load;
	at_load = NULL;
	look_at_x();
	br_extable_free(t);
	return came;
}

static void try_all_loads(const struct order *o)
{
	int load = 1;

	while (look_up_with(o, load))
		assert_true(load++ < MOST_LOADS);
	assert_true(load > 8);			/* it was a look-up, not an empty table */
}

static void a_look_up_says_what_was_there_before_or_after_whatever_comes_between(void **state)
{
	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(orders); i++) {
		for (wanted = 7; wanted < CHUNKS * PITCH; wanted += PITCH)
			try_all_loads(&orders[i]);
	}
	assert_int_equal(fake_allocs, 0);
}

static void a_change_has_no_moment_in_which_a_look_up_says_anything_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(orders); i++) {
		for (wanted = 7; wanted < CHUNKS * PITCH; wanted += PITCH) {
			set_up(&orders[i]);
			watched = !orders[i].replaced;	/* that one is gone for a moment, and may be */
			orders[i].change();
			watched = false;
			look_at_x();
			br_extable_free(t);
		}
	}
	assert_int_equal(fake_allocs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_look_up_says_what_was_there_before_or_after_whatever_comes_between),
		cmocka_unit_test(a_change_has_no_moment_in_which_a_look_up_says_anything_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
