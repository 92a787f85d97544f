/* SPDX-License-Identifier: BSD-3-Clause */
/* The deferred set, driven by one thread. */
#include "fake.h"

#include <errno.h>

#include "remap/dset.h"

static struct br_dset set;
static struct br_dset_lane *lanes[2];

static int setup(void **state)
{
	(void)state;
	br_dset_init(&set, &fake_ctx);
	for (int i = 0; i < 2; i++)
		if (br_dset_lane_open(&set, NULL, &lanes[i]))
			return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		br_dset_lane_close(lanes[i]);
	br_dset_done(&set);
	return atomic_load(&fake_ctx.waits) != 0;
}

static void assert_waits(const struct fake_op *f)
{
	assert_int_equal(f->launched, 1);
	assert_int_equal(f->granted, 0);
	assert_int_not_equal(fake_ctx.waits, 0);
}

static void assert_granted_once(const struct fake_op *f)
{
	assert_int_equal(f->launched, 1);
	assert_int_equal(f->granted, 1);
	assert_int_equal(f->error, 0);
}

static void an_empty_block_is_quiet_at_once(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_dset_waiter w;
	struct br_entry e;

	(void)state;
	br_dset_enter(lanes[0], 7, &e);
	assert_true(br_dset_quiesce(&set, 8, &w, &f.op));
	assert_int_equal(f.launched, 0);
	br_dset_leave(&e);
	assert_true(br_dset_quiesce(&set, 7, &w, &f.op));
	assert_int_equal(f.launched, 0);
}

static void the_last_of_those_inside_releases_the_waiter(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_dset_waiter w;
	struct br_entry e[3];

	(void)state;
	br_dset_enter(lanes[0], 7, &e[0]);
	br_dset_enter(lanes[0], 7, &e[1]);
	br_dset_enter(lanes[1], 7, &e[2]);
	assert_false(br_dset_quiesce(&set, 7, &w, &f.op));
	br_dset_leave(&e[1]);
	br_dset_leave(&e[2]);
	assert_waits(&f);
	br_dset_leave(&e[0]);
	assert_granted_once(&f);
}

static struct br_entry leaving;

static void leave_it(void)
{
	br_dset_leave(&leaving);
}

static void whoever_leaves_while_the_wait_begins_is_not_waited_for(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_dset_waiter w;

	(void)state;
	br_dset_enter(lanes[0], 7, &leaving);
	fake_on_wait = leave_it;
	assert_true(br_dset_quiesce(&set, 7, &w, &f.op));
	assert_int_equal(f.launched, 0);
	assert_int_equal(f.granted, 0);
}

static void who_comes_later_neither_delays_nor_is_waited_for(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_dset_waiter w;
	struct br_entry before, after;

	(void)state;
	br_dset_enter(lanes[0], 7, &before);
	assert_false(br_dset_quiesce(&set, 7, &w, &f.op));
	br_dset_enter(lanes[0], 7, &after);
	br_dset_leave(&before);
	assert_granted_once(&f);
	br_dset_leave(&after);
	assert_granted_once(&f);
}

static void a_slot_used_again_is_not_struck_off_twice(void **state)
{
	struct fake_op f = { .launched = 0 }, g = { .launched = 0 };
	struct br_dset_waiter wf, wg;
	struct br_entry stays, a, b;

	(void)state;
	br_dset_enter(lanes[1], 7, &stays);
	br_dset_enter(lanes[0], 7, &a);
	assert_false(br_dset_quiesce(&set, 7, &wf, &f.op));
	br_dset_leave(&a);
	br_dset_enter(lanes[0], 7, &b);		/* the same slot, the same block */
	assert_int_equal(a.slot, b.slot);
	assert_false(br_dset_quiesce(&set, 7, &wg, &g.op));
	br_dset_leave(&b);			/* counted by g alone */
	assert_waits(&f);
	assert_waits(&g);
	br_dset_leave(&stays);			/* counted by both */
	assert_granted_once(&f);
	assert_granted_once(&g);
}

static void two_waiters_of_one_entry_are_both_released(void **state)
{
	struct fake_op f = { .launched = 0 }, g = { .launched = 0 };
	struct br_dset_waiter wf, wg;
	struct br_entry e;

	(void)state;
	br_dset_enter(lanes[0], 7, &e);
	assert_false(br_dset_quiesce(&set, 7, &wf, &f.op));
	assert_false(br_dset_quiesce(&set, 7, &wg, &g.op));
	br_dset_leave(&e);
	assert_granted_once(&f);
	assert_granted_once(&g);
}

static void a_range_waits_for_each_of_its_blocks_and_no_other(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_dset_waiter w;
	struct br_entry e[200];

	(void)state;
	for (uint64_t i = 0; i < 200; i++)
		br_dset_enter(lanes[i % 2], i, &e[i]);
	assert_false(br_dset_quiesce_range(&set, 50, 150, &w, &f.op));
	for (unsigned i = 0; i < 50; i++)
		br_dset_leave(&e[i]);
	for (unsigned i = 50; i < 149; i++) {
		br_dset_leave(&e[i]);
		assert_waits(&f);
	}
	br_dset_leave(&e[149]);
	assert_granted_once(&f);
	for (unsigned i = 150; i < 200; i++)
		br_dset_leave(&e[i]);
}

static void a_short_range_looks_at_the_lines_of_its_blocks(void **state)
{
	struct br_dset_waiter w;
	struct br_entry e;

	(void)state;
	for (uint64_t b = 0; b < 300; b++) {
		struct fake_op f = { .launched = 0 };

		br_dset_enter(lanes[1], b, &e);
		assert_false(br_dset_quiesce_range(&set, b > 5 ? b - 5 : 0, b + 5, &w, &f.op));
		br_dset_leave(&e);
		assert_granted_once(&f);
	}
}

static void entries_that_find_their_line_full_count_as_well(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_dset_waiter w;
	struct br_entry e[2 * BR_DSET_SLOTS + 1], later;
	unsigned n = 2 * BR_DSET_SLOTS + 1;

	(void)state;
	for (unsigned i = 0; i < n; i++)
		br_dset_enter(lanes[0], 7, &e[i]);
	assert_false(br_dset_quiesce(&set, 7, &w, &f.op));
	br_dset_enter(lanes[0], 7, &later);	/* in overflow, too */
	for (unsigned i = 0; i < n - 1; i++)
		br_dset_leave(&e[i]);
	assert_waits(&f);
	br_dset_leave(&e[n - 1]);
	assert_granted_once(&f);
	br_dset_leave(&later);
	assert_granted_once(&f);
}

static void an_entry_in_overflow_that_nobody_waits_for_releases_nobody(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_dset_waiter w;
	struct br_entry e[BR_DSET_SLOTS], over, late;

	(void)state;
	for (unsigned i = 0; i < BR_DSET_SLOTS; i++)
		br_dset_enter(lanes[0], 7, &e[i]);
	br_dset_enter(lanes[0], 7, &over);
	br_dset_leave(&over);
	assert_false(br_dset_quiesce(&set, 7, &w, &f.op));
	br_dset_enter(lanes[0], 7, &late);
	br_dset_leave(&late);
	assert_waits(&f);
	for (unsigned i = 0; i < BR_DSET_SLOTS; i++)
		br_dset_leave(&e[i]);
	assert_granted_once(&f);
}

/* Another block that lies in the same line as block 7. */
static uint64_t neighbour_of_7(void)
{
	struct br_entry e;
	uint32_t line;

	br_dset_enter(lanes[1], 7, &e);
	line = e.slot / BR_DSET_SLOTS;
	br_dset_leave(&e);
	for (uint64_t b = 8;; b++) {
		br_dset_enter(lanes[1], b, &e);
		br_dset_leave(&e);
		if (e.slot / BR_DSET_SLOTS == line)
			return b;
	}
}

static void a_block_in_the_same_line_is_another_block(void **state)
{
	struct fake_op f = { .launched = 0 };
	uint64_t other = neighbour_of_7();
	struct br_dset_waiter w;
	struct br_entry e[BR_DSET_SLOTS + 2], mine;

	(void)state;
	br_dset_enter(lanes[0], 7, &mine);
	for (unsigned i = 0; i < BR_DSET_SLOTS + 2; i++)
		br_dset_enter(lanes[0], other, &e[i]);	/* seven slots, three in overflow */
	assert_false(br_dset_quiesce(&set, 7, &w, &f.op));
	br_dset_leave(&e[0]);
	br_dset_leave(&e[BR_DSET_SLOTS]);
	assert_waits(&f);
	br_dset_leave(&mine);
	assert_granted_once(&f);
	for (unsigned i = 1; i < BR_DSET_SLOTS + 2; i++)
		if (i != BR_DSET_SLOTS)
			br_dset_leave(&e[i]);
}

static void blocks_at_both_ends_of_the_numbers_work(void **state)
{
	static const uint64_t blocks[] = { 0, 1, BR_DSET_BLOCK_MAX - 1 };
	struct br_dset_waiter w;
	struct br_entry e;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct fake_op f = { .launched = 0 };

		br_dset_enter(lanes[0], blocks[i], &e);
		assert_false(br_dset_quiesce(&set, blocks[i], &w, &f.op));
		br_dset_leave(&e);
		assert_granted_once(&f);
	}
}

static void no_memory_for_a_lane_is_an_error_and_leaves_the_set_as_it_was(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_dset_lane *l = lanes[0];
	struct br_dset_waiter w;

	(void)state;
	fake_allocs_left = 0;
	assert_int_equal(br_dset_lane_open(&set, NULL, &l), -ENOMEM);
	fake_allocs_left = -1;
	assert_ptr_equal(l, lanes[0]);
	assert_true(br_dset_quiesce_range(&set, 0, UINT64_MAX / 2, &w, &f.op));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_block_is_quiet_at_once),
		TEST(the_last_of_those_inside_releases_the_waiter),
		TEST(whoever_leaves_while_the_wait_begins_is_not_waited_for),
		TEST(who_comes_later_neither_delays_nor_is_waited_for),
		TEST(a_slot_used_again_is_not_struck_off_twice),
		TEST(two_waiters_of_one_entry_are_both_released),
		TEST(a_range_waits_for_each_of_its_blocks_and_no_other),
		TEST(a_short_range_looks_at_the_lines_of_its_blocks),
		TEST(entries_that_find_their_line_full_count_as_well),
		TEST(an_entry_in_overflow_that_nobody_waits_for_releases_nobody),
		TEST(a_block_in_the_same_line_is_another_block),
		TEST(blocks_at_both_ends_of_the_numbers_work),
		TEST(no_memory_for_a_lane_is_an_error_and_leaves_the_set_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
