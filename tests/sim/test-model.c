/* SPDX-License-Identifier: BSD-3-Clause */
/* The reference model: each verdict is given when it should be, and only then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "sim/model.h"
#include "sim/stamp.h"

enum { ORIGIN, SNAP, SECTORS = 4 };

static struct sim_model *m;
static uint8_t zero[SIM_SECTOR];

static int set_up(void **state)
{
	(void)state;
	m = sim_model_new();
	sim_model_add(m, ORIGIN, SECTORS);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sim_model_free(m);
	return 0;
}

struct sector {
	uint8_t data[SIM_SECTOR];
};

static uint32_t begin(uint32_t vol, uint64_t lba, struct sector *s)
{
	return sim_model_write(m, vol, lba, 1, s->data);
}

static struct sector put(uint32_t vol, uint64_t lba, bool fua)
{
	struct sector s;

	sim_model_ack(m, begin(vol, lba, &s), 0, fua);
	return s;
}

static void flush(uint32_t vol)
{
	uint32_t f = sim_model_flush(m, vol);

	sim_model_flush_ack(m, vol, f, 0);
}

static enum sim_verdict see(uint32_t vol, uint64_t lba, const void *data)
{
	uint64_t where;

	return sim_model_read(m, vol, lba, 1, data, sim_model_now(m), &where);
}

static void fresh_volume_reads_zeroes_only(void **state)
{
	struct sector s;

	(void)state;
	memset(&s, 1, sizeof(s));
	assert_int_equal(see(ORIGIN, 0, zero), SIM_RIGHT);
	assert_int_equal(see(ORIGIN, 0, s.data), SIM_GARBAGE);
}

static void acknowledged_write_replaces_what_was_before(void **state)
{
	struct sector a = put(ORIGIN, 1, false), b = put(ORIGIN, 1, false);

	(void)state;
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_STALE);
	assert_int_equal(see(ORIGIN, 1, zero), SIM_STALE);
	assert_int_equal(see(ORIGIN, 1, b.data), SIM_RIGHT);
}

static void write_in_flight_may_be_seen_or_not_and_once_seen_is_not_unread(void **state)
{
	struct sector a = put(ORIGIN, 1, false), b;
	uint32_t op = begin(ORIGIN, 1, &b);

	(void)state;
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_RIGHT);
	assert_int_equal(see(ORIGIN, 1, b.data), SIM_RIGHT);
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_STALE);
	sim_model_ack(m, op, 0, false);
	assert_int_equal(see(ORIGIN, 1, b.data), SIM_RIGHT);
}

static void two_writes_at_once_settle_in_either_order_but_in_one(void **state)
{
	struct sector a, b;
	uint32_t x = begin(ORIGIN, 1, &a), y = begin(ORIGIN, 1, &b);

	(void)state;
	sim_model_ack(m, x, 0, false);
	sim_model_ack(m, y, 0, false);
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_RIGHT);
	assert_int_equal(see(ORIGIN, 1, b.data), SIM_STALE);
}

static void sector_of_another_place_is_foreign(void **state)
{
	struct sector a = put(ORIGIN, 1, false);

	(void)state;
	assert_int_equal(see(ORIGIN, 2, a.data), SIM_FOREIGN);
}

static void torn_sector_is_garbage(void **state)
{
	struct sector a = put(ORIGIN, 1, false), b = put(ORIGIN, 1, false);

	(void)state;
	memcpy(a.data + 256, b.data + 256, 256);
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_GARBAGE);
}

static void value_nobody_wrote_is_future(void **state)
{
	struct sector s;

	(void)state;
	sim_stamp_fill(s.data, 7, 1);
	assert_int_equal(see(ORIGIN, 1, s.data), SIM_FUTURE);
}

static void crash_may_lose_what_was_not_flushed(void **state)
{
	struct sector a = put(ORIGIN, 1, false);

	(void)state;
	sim_model_crash(m);
	assert_int_equal(see(ORIGIN, 1, zero), SIM_RIGHT);
	/* and it stays lost */
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_STALE_DURABLE);
}

static void crash_may_not_lose_what_was_flushed(void **state)
{
	struct sector a = put(ORIGIN, 1, false), b;

	(void)state;
	flush(ORIGIN);
	b = put(ORIGIN, 1, false);
	sim_model_crash(m);
	assert_int_equal(see(ORIGIN, 1, zero), SIM_STALE_DURABLE);
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_RIGHT);
	assert_int_equal(see(ORIGIN, 1, b.data), SIM_STALE_DURABLE);
}

static void flush_covers_only_what_was_acknowledged_before_it_began(void **state)
{
	struct sector a;
	uint32_t op = begin(ORIGIN, 1, &a), f = sim_model_flush(m, ORIGIN);

	(void)state;
	sim_model_ack(m, op, 0, false);
	sim_model_flush_ack(m, ORIGIN, f, 0);
	sim_model_crash(m);
	assert_int_equal(see(ORIGIN, 1, zero), SIM_RIGHT);
}

static void fua_is_durable_when_acknowledged(void **state)
{
	struct sector a = put(ORIGIN, 1, true);

	(void)state;
	sim_model_crash(m);
	assert_int_equal(see(ORIGIN, 1, zero), SIM_STALE_DURABLE);
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_RIGHT);
}

static void failed_write_may_come_or_not(void **state)
{
	struct sector a;

	(void)state;
	sim_model_ack(m, begin(ORIGIN, 1, &a), -5, true);
	assert_int_equal(see(ORIGIN, 1, zero), SIM_RIGHT);
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_STALE);
}

static void take(void)
{
	sim_model_take(m, SNAP, ORIGIN);
	sim_model_taken(m, SNAP, true);
}

static void snapshot_shows_the_point_in_time_whatever_happens_to_its_origin(void **state)
{
	struct sector a = put(ORIGIN, 1, false), b;

	(void)state;
	take();
	b = put(ORIGIN, 1, true);
	assert_int_equal(see(SNAP, 1, b.data), SIM_NOT_FROZEN);
	assert_true(see(SNAP, 1, zero) != SIM_RIGHT);
	assert_int_equal(see(SNAP, 1, a.data), SIM_RIGHT);
	sim_model_crash(m);
	assert_int_equal(see(SNAP, 1, b.data), SIM_NOT_FROZEN);
	assert_int_equal(see(SNAP, 1, a.data), SIM_RIGHT);
}

static void snapshot_write_is_seen_through_the_snapshot_alone(void **state)
{
	struct sector a = put(ORIGIN, 1, false), s;

	(void)state;
	take();
	s = put(SNAP, 1, false);
	assert_int_equal(see(SNAP, 1, s.data), SIM_RIGHT);
	assert_true(see(ORIGIN, 1, s.data) != SIM_RIGHT);
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_RIGHT);
}

static void write_that_races_with_the_point_in_time_is_in_it_or_not_and_then_for_ever(void **state)
{
	struct sector a;
	uint32_t op = begin(ORIGIN, 1, &a);

	(void)state;
	take();
	sim_model_ack(m, op, 0, true);
	assert_int_equal(see(SNAP, 1, zero), SIM_RIGHT);
	assert_int_equal(see(SNAP, 1, a.data), SIM_NOT_FROZEN);
}

static void point_in_time_may_lie_before_a_write_that_was_replaced_while_it_was_taken(void **state)
{
	struct sector a = put(ORIGIN, 1, true), b;
	uint32_t op = begin(ORIGIN, 1, &b);

	(void)state;
	sim_model_take(m, SNAP, ORIGIN);
	sim_model_ack(m, op, 0, true);
	put(ORIGIN, 1, true);
	sim_model_taken(m, SNAP, true);
	assert_int_equal(see(SNAP, 1, a.data), SIM_RIGHT);
}

/* Two crashes before anybody has looked whether the snapshot exists: the first one has settled what it may show. */
static void second_crash_leaves_a_snapshot_in_the_making_what_the_first_has_left_it(void **state)
{
	struct sector a = put(ORIGIN, 1, true), b;
	uint32_t op;

	(void)state;
	sim_model_take(m, SNAP, ORIGIN);
	op = begin(ORIGIN, 1, &b);
	sim_model_ack(m, op, 0, true);
	sim_model_crash(m);
	sim_model_crash(m);
	sim_model_settle(m, SNAP, true);
	assert_int_equal(see(SNAP, 1, a.data), SIM_RIGHT);
}

static void merged_view_is_the_origins(void **state)
{
	struct sector a = put(ORIGIN, 1, false), s;

	(void)state;
	take();
	s = put(SNAP, 1, true);
	put(ORIGIN, 2, true);
	sim_model_merge(m, SNAP);
	sim_model_merged(m, SNAP);
	assert_true(see(ORIGIN, 1, a.data) != SIM_RIGHT);
	assert_int_equal(see(ORIGIN, 1, s.data), SIM_RIGHT);
	assert_int_equal(see(ORIGIN, 2, zero), SIM_RIGHT);
	assert_int_equal(see(SNAP, 1, s.data), SIM_RIGHT);
	s = put(SNAP, 1, false);
	assert_int_equal(see(ORIGIN, 1, s.data), SIM_RIGHT);
}

static void fork_does_not_change_its_parent(void **state)
{
	struct sim_model *parent = m;
	struct sector a = put(ORIGIN, 1, false);

	(void)state;
	m = sim_model_fork(parent);
	sim_model_crash(m);
	assert_int_equal(see(ORIGIN, 1, zero), SIM_RIGHT);
	sim_model_free(m);
	m = parent;
	assert_int_equal(see(ORIGIN, 1, zero), SIM_STALE);
	assert_int_equal(see(ORIGIN, 1, a.data), SIM_RIGHT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fresh_volume_reads_zeroes_only),
		TEST(acknowledged_write_replaces_what_was_before),
		TEST(write_in_flight_may_be_seen_or_not_and_once_seen_is_not_unread),
		TEST(two_writes_at_once_settle_in_either_order_but_in_one),
		TEST(sector_of_another_place_is_foreign),
		TEST(torn_sector_is_garbage),
		TEST(value_nobody_wrote_is_future),
		TEST(crash_may_lose_what_was_not_flushed),
		TEST(crash_may_not_lose_what_was_flushed),
		TEST(flush_covers_only_what_was_acknowledged_before_it_began),
		TEST(fua_is_durable_when_acknowledged),
		TEST(failed_write_may_come_or_not),
		TEST(snapshot_shows_the_point_in_time_whatever_happens_to_its_origin),
		TEST(snapshot_write_is_seen_through_the_snapshot_alone),
		TEST(write_that_races_with_the_point_in_time_is_in_it_or_not_and_then_for_ever),
		TEST(point_in_time_may_lie_before_a_write_that_was_replaced_while_it_was_taken),
		TEST(second_crash_leaves_a_snapshot_in_the_making_what_the_first_has_left_it),
		TEST(merged_view_is_the_origins),
		TEST(fork_does_not_change_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
