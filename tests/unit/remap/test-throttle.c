/* SPDX-License-Identifier: BSD-3-Clause */
/* Admission: in order, within the limits in flight, within the rates of a clock that the test moves. */
#include "fake.h"

#include <errno.h>

#include "remap/throttle.h"

static struct br_throttle t;
static struct br_timer *armed;

void br_timer_arm(struct br_ctx *ctx, struct br_timer *timer, struct br_queue *q, uint64_t when_ns)
{
	(void)ctx;
	(void)q;
	assert_null(armed);
	armed = timer;
	timer->when_ns = when_ns;
}

bool br_timer_cancel(struct br_ctx *ctx, struct br_timer *timer)
{
	(void)ctx;
	assert_true(armed == timer || !armed);
	if (!armed)
		return false;
	armed = NULL;
	return true;
}

static void fire(void)
{
	struct br_timer *timer = armed;

	assert_non_null(timer);
	armed = NULL;
	if (timer->when_ns > fake_now)
		fake_now = timer->when_ns;
	timer->task.run(&timer->task);
}

/* The real one helps until the timer's task has run. */
bool br_block(struct br_ctx *ctx, struct br_queue *q, bool (*done)(void *arg), void *arg, uint64_t deadline_ns)
{
	(void)ctx;
	(void)q;
	(void)deadline_ns;
	t.timer.task.run(&t.timer.task);
	return done(arg);
}

static void init(uint64_t in_flight, uint64_t bytes_per_s, uint64_t iops)
{
	struct br_throttle_limits l = { in_flight, bytes_per_s, iops };

	armed = NULL;
	fake_now = UINT64_C(1000000000000);
	br_throttle_init(&t, &fake_ctx, NULL, &l);
}

static void without_limits_all_are_admitted_at_once(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_throttle_turn turn;

	(void)state;
	init(0, 0, 0);
	for (int i = 0; i < 100; i++)
		assert_true(br_throttle_take(&t, &turn, UINT64_C(1) << 50, &f.op));
	assert_int_equal(f.launched, 0);
	br_throttle_done(&t);
}

static void who_does_not_fit_waits_and_nobody_overtakes(void **state)
{
	struct fake_op f[4] = { { .launched = 0 } };
	struct br_throttle_turn turn[4];

	(void)state;
	init(100, 0, 0);
	assert_true(br_throttle_take(&t, &turn[0], 60, &f[0].op));
	assert_false(br_throttle_take(&t, &turn[1], 50, &f[1].op));
	assert_false(br_throttle_take(&t, &turn[2], 10, &f[2].op));	/* would fit, but came later */
	assert_int_equal(fake_ctx.waits, 1);
	assert_int_equal(f[1].launched, 1);
	assert_int_equal(f[2].launched, 1);
	br_throttle_give(&t, 60);
	assert_int_equal(f[1].granted, 1);
	assert_int_equal(f[2].granted, 1);
	assert_int_equal(fake_ctx.waits, 0);
	assert_true(br_throttle_take(&t, &turn[3], 40, &f[3].op));
	br_throttle_give(&t, 100);
	assert_null(armed);
	br_throttle_done(&t);
}

static void what_exceeds_the_limit_goes_alone(void **state)
{
	struct fake_op f = { .launched = 0 }, g = { .launched = 0 };
	struct br_throttle_turn a, b;

	(void)state;
	init(100, 0, 0);
	assert_true(br_throttle_take(&t, &a, 1, &f.op));
	assert_false(br_throttle_take(&t, &b, 1000, &g.op));
	br_throttle_give(&t, 1);
	assert_int_equal(g.granted, 1);
	assert_false(br_throttle_take(&t, &a, 1, &f.op));
	br_throttle_give(&t, 1000);
	assert_int_equal(f.granted, 1);
	br_throttle_give(&t, 1);
	br_throttle_done(&t);
}

/* Run requests of @bytes one after another for @seconds and say how many were admitted. */
static uint64_t admitted_in(uint64_t bytes, uint64_t seconds)
{
	uint64_t end = fake_now + seconds * UINT64_C(1000000000), n = 0;

	while (fake_now < end) {
		struct fake_op f = { .launched = 0 };
		struct br_throttle_turn turn;

		if (!br_throttle_take(&t, &turn, bytes, &f.op))
			while (!f.granted)
				fire();
		br_throttle_give(&t, bytes);
		n++;
	}
	return n;
}

static void bytes_a_second_are_kept(void **state)
{
	(void)state;
	init(0, 1000000, 0);
	assert_in_range(admitted_in(4000, 10), 2500, 2520);
	br_throttle_done(&t);
}

static void operations_a_second_are_kept_beside_bytes(void **state)
{
	(void)state;
	init(0, 1000000000, 50);
	assert_in_range(admitted_in(4000, 10), 500, 505);
	br_throttle_done(&t);
}

static void time_that_was_not_used_is_not_saved_up(void **state)
{
	(void)state;
	init(0, 1000000, 0);
	fake_now += UINT64_C(3600000000000);
	assert_in_range(admitted_in(4000, 1), 250, 270);
	br_throttle_done(&t);
}

static void a_new_rate_applies_to_those_who_wait(void **state)
{
	const struct br_throttle_limits fast = { 0, 1000000000, 0 }, none = { 0, 0, 0 };
	struct fake_op f = { .launched = 0 }, g = { .launched = 0 };
	struct br_throttle_turn turn;

	(void)state;
	init(0, 1, 0);		/* a byte a second */
	assert_true(br_throttle_take(&t, &turn, 1000000, &f.op));
	assert_false(br_throttle_take(&t, &turn, 1000000, &g.op));
	fire();
	assert_int_equal(g.granted, 0);
	br_throttle_set(&t, &fast);
	assert_int_equal(g.granted, 1);
	br_throttle_set(&t, &none);
	for (int i = 0; i < 10; i++)
		assert_true(br_throttle_take(&t, &turn, 1000000, &f.op));
	br_throttle_done(&t);		/* the timer was still armed */
	assert_null(armed);
}

static void who_waits_for_room_needs_no_timer(void **state)
{
	struct fake_op f = { .launched = 0 }, g = { .launched = 0 };
	struct br_throttle_turn turn;

	(void)state;
	init(1000, 1000, 0);
	assert_true(br_throttle_take(&t, &turn, 1000, &f.op));	/* and the rate is used up for a second */
	assert_false(br_throttle_take(&t, &turn, 1000, &g.op));
	assert_null(armed);
	assert_int_equal(fake_ctx.waits, 1);
	br_throttle_give(&t, 1000);
	assert_non_null(armed);			/* now it waits for time, and for nobody */
	assert_int_equal(fake_ctx.waits, 0);
	while (!g.granted)
		fire();
	br_throttle_give(&t, 1000);
	br_throttle_done(&t);
}

static void huge_requests_at_tiny_rates_wait_an_hour_at_most(void **state)
{
	const struct br_throttle_limits tiny = { 0, 1, 0 };
	struct fake_op f = { .launched = 0 }, g = { .launched = 0 };
	struct br_throttle_turn turn;
	uint64_t begin;

	(void)state;
	for (int i = 0; i < 3; i++) {
		static const uint64_t bytes[] = { UINT64_MAX, 4000, UINT64_C(1) << 40 };

		init(0, 0, 0);
		br_throttle_set(&t, &tiny);
		f.granted = g.granted = 0;
		begin = fake_now;
		assert_true(br_throttle_take(&t, &turn, bytes[i], &f.op));
		assert_false(br_throttle_take(&t, &turn, 1, &g.op));
		while (!g.granted)
			fire();
		assert_in_range((fake_now - begin) / 1000000000, 3599, 3601);
		br_throttle_done(&t);
	}
}

static void the_clock_may_begin_at_zero(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_throttle_turn turn;

	(void)state;
	init(0, 1000000, 0);
	fake_now = 0;
	assert_true(br_throttle_take(&t, &turn, 1000, &f.op));
	assert_false(br_throttle_take(&t, &turn, 1000, &f.op));
	fire();
	assert_int_equal(f.granted, 1);
	assert_int_equal(fake_now, 1000000);
	br_throttle_done(&t);
}

static void the_greatest_rate_that_is_kept_is_kept(void **state)
{
	const uint64_t rate = (UINT64_C(1) << 34) - 1;
	struct fake_op f = { .launched = 0 };
	struct br_throttle_turn turn;

	(void)state;
	init(0, rate, 0);
	assert_true(br_throttle_take(&t, &turn, rate, &f.op));
	assert_false(br_throttle_take(&t, &turn, rate - 1, &f.op));
	assert_true(br_throttle_cancel(&t, &turn));
	br_throttle_done(&t);
	init(0, rate + 1, 0);
	assert_true(br_throttle_take(&t, &turn, rate, &f.op));
	assert_true(br_throttle_take(&t, &turn, rate, &f.op));
	br_throttle_done(&t);
}

static void a_rate_beyond_all_measure_is_no_limit(void **state)
{
	struct fake_op f = { .launched = 0 };
	struct br_throttle_turn turn;

	(void)state;
	init(0, UINT64_MAX, UINT64_MAX);
	for (int i = 0; i < 100; i++)
		assert_true(br_throttle_take(&t, &turn, UINT64_MAX / 1000, &f.op));
	br_throttle_done(&t);
}

static void whoever_is_cancelled_lets_those_behind_pass(void **state)
{
	struct fake_op f[3] = { { .launched = 0 } };
	struct br_throttle_turn turn[3];

	(void)state;
	init(100, 0, 0);
	assert_true(br_throttle_take(&t, &turn[0], 60, &f[0].op));
	assert_false(br_throttle_take(&t, &turn[1], 50, &f[1].op));
	assert_false(br_throttle_take(&t, &turn[2], 10, &f[2].op));
	assert_true(br_throttle_cancel(&t, &turn[1]));
	assert_false(br_throttle_cancel(&t, &turn[1]));
	assert_int_equal(f[1].granted, 1);
	assert_int_equal(f[1].error, -ECANCELED);
	assert_int_equal(f[2].granted, 1);
	assert_int_equal(f[2].error, 0);
	assert_false(br_throttle_cancel(&t, &turn[2]));
	assert_int_equal(f[2].granted, 1);
	assert_int_equal(fake_ctx.waits, 0);
	br_throttle_give(&t, 70);
	br_throttle_done(&t);
}

static struct br_throttle_turn *late;

static void cancel_late(void)
{
	assert_false(br_throttle_cancel(&t, late));
}

static void who_has_been_admitted_is_not_cancelled_any_more(void **state)
{
	struct fake_op f[3] = { { .launched = 0 } };
	struct br_throttle_turn turn[3] = { { .bytes = 0 } };

	(void)state;
	init(100, 0, 0);
	assert_false(br_throttle_cancel(&t, &turn[0]));		/* never taken */
	assert_true(br_throttle_take(&t, &turn[0], 100, &f[0].op));
	assert_false(br_throttle_take(&t, &turn[1], 50, &f[1].op));
	assert_false(br_throttle_take(&t, &turn[2], 50, &f[2].op));
	late = &turn[2];
	fake_on_grant = cancel_late;	/* while the first of the two is being told */
	br_throttle_give(&t, 100);
	for (int i = 1; i < 3; i++) {
		assert_int_equal(f[i].granted, 1);
		assert_int_equal(f[i].error, 0);
	}
	br_throttle_give(&t, 100);
	br_throttle_done(&t);
}

static void closing_waits_for_a_timer_that_has_fired(void **state)
{
	struct fake_op f = { .launched = 0 }, g = { .launched = 0 };
	struct br_throttle_turn turn;

	(void)state;
	init(0, 1, 0);
	assert_true(br_throttle_take(&t, &turn, 10, &f.op));
	assert_false(br_throttle_take(&t, &turn, 10, &g.op));
	assert_true(br_throttle_cancel(&t, &turn));
	armed = NULL;			/* fired, and its task is under way */
	assert_true(t.armed);
	br_throttle_done(&t);
	assert_false(t.armed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_limits_all_are_admitted_at_once),
		cmocka_unit_test(who_does_not_fit_waits_and_nobody_overtakes),
		cmocka_unit_test(what_exceeds_the_limit_goes_alone),
		cmocka_unit_test(bytes_a_second_are_kept),
		cmocka_unit_test(operations_a_second_are_kept_beside_bytes),
		cmocka_unit_test(time_that_was_not_used_is_not_saved_up),
		cmocka_unit_test(a_new_rate_applies_to_those_who_wait),
		cmocka_unit_test(who_waits_for_room_needs_no_timer),
		cmocka_unit_test(huge_requests_at_tiny_rates_wait_an_hour_at_most),
		cmocka_unit_test(the_clock_may_begin_at_zero),
		cmocka_unit_test(the_greatest_rate_that_is_kept_is_kept),
		cmocka_unit_test(a_rate_beyond_all_measure_is_no_limit),
		cmocka_unit_test(whoever_is_cancelled_lets_those_behind_pass),
		cmocka_unit_test(who_has_been_admitted_is_not_cancelled_any_more),
		cmocka_unit_test(closing_waits_for_a_timer_that_has_fired),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
