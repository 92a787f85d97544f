/* SPDX-License-Identifier: BSD-3-Clause */
#include "../fake-env.h"

#include <errno.h>
#include <pthread.h>

#include "base/compiler.h"
#include "op/ctx.h"
#include "op/op.h"

static struct br_ctx ctx;
static struct br_queue q;

static int setup(void **state)
{
	(void)state;
	memset(&ctx, 0, sizeof(ctx));
	if (br_ctx_init(&ctx, &fake_env, true) || br_queue_init(&q, &ctx, false))
		return -1;
	return br_queue_enter(&q);
}

static int teardown(void **state)
{
	(void)state;
	br_queue_leave(&q);
	br_queue_done(&q);
	br_ctx_done(&ctx);
	return q.ops != 0;
}

/* ---- an op whose steps do what the test says ---- */

enum { LAUNCH, AGAIN, LAST, CLEAN };

static struct thing {
	struct br_op op;
	int launches;			/* of the first step, none of them done in it */
	int fail_with;			/* in the first step, before launching */
	bool clear;			/* the cleaning step has dealt with it */
	char visits[16];
	unsigned nr_visits;
	int finished, error;
} x;

static void visit(struct br_op *op, char c)
{
	struct thing *t = br_container_of(op, struct thing, op);

	assert_true(t->nr_visits < sizeof(t->visits) - 1);
	t->visits[t->nr_visits++] = c;
	t->visits[t->nr_visits] = '\0';
}

static int step_launch(struct br_op *op)
{
	visit(op, 'l');
	if (x.fail_with)
		return br_op_fail(op, x.fail_with);
	for (int i = 0; i < x.launches; i++)
		br_op_launch(op);
	return br_op_await(op, AGAIN);
}

static int step_again(struct br_op *op)
{
	visit(op, 'a');
	return LAST;
}

static int step_last(struct br_op *op)
{
	visit(op, 'z');
	return BR_OP_END;
}

static int step_clean(struct br_op *op)
{
	visit(op, 'c');
	if (x.clear)
		br_op_clear_error(op);
	return x.clear ? AGAIN : BR_OP_END;
}

static void finish(struct br_op *op, int error)
{
	struct thing *t = br_container_of(op, struct thing, op);

	assert_true(br_op_ended(op));
	t->finished++;
	t->error = error;
}

static const struct br_op_step steps[] = {
	[LAUNCH] = { "launch", step_launch, CLEAN },
	[AGAIN] = { "again", step_again, BR_OP_END },
	[LAST] = { "last", step_last, BR_OP_END },
	[CLEAN] = { "clean", step_clean, BR_OP_END },
};
static const struct br_op_class class = { "thing", finish, steps };

static void start(int launches)
{
	x = (struct thing){ .launches = launches, .fail_with = x.fail_with, .clear = x.clear };
	br_op_start(&x.op, &class, &q);
}

static void run(void)
{
	while (br_queue_run(&q))
		;
}

static void expect(const char *visits, int finished, int error)
{
	assert_string_equal(x.visits, visits);
	assert_int_equal(x.finished, finished);
	assert_int_equal(x.error, error);
	assert_int_equal(q.ops, !finished);
}

/* ---- tests ---- */

static void an_op_that_launches_nothing_ends_in_the_call_that_starts_it(void **state)
{
	(void)state;
	x = (struct thing){ .finished = 0 };
	start(0);
	expect("laz", 1, 0);
}

static void an_op_goes_on_when_the_last_piece_is_done_and_not_from_inside_it(void **state)
{
	(void)state;
	x = (struct thing){ .finished = 0 };
	start(3);
	br_op_done(&x.op, 0);
	br_op_done(&x.op, 0);
	run();
	expect("l", 0, 0);
	br_op_done(&x.op, 0);
	expect("l", 0, 0);
	run();
	expect("laz", 1, 0);
}

static void the_first_error_sticks_and_leads_to_the_row_of_who_awaited(void **state)
{
	(void)state;
	x = (struct thing){ .finished = 0 };
	start(3);
	br_op_done(&x.op, 0);
	br_op_done(&x.op, -EIO);
	br_op_done(&x.op, -ENOMEM);
	run();
	expect("lc", 1, -EIO);
}

static void an_error_that_was_dealt_with_is_forgotten(void **state)
{
	(void)state;
	x = (struct thing){ .clear = true };
	start(1);
	br_op_done(&x.op, -EIO);
	run();
	expect("lcaz", 1, 0);
}

static void a_step_can_fail_by_itself(void **state)
{
	(void)state;
	x = (struct thing){ .fail_with = -ENOSPC };
	start(0);
	expect("lc", 1, -ENOSPC);
}

static void grants_come_home_through_the_inbox_each_counted_once(void **state)
{
	(void)state;
	x = (struct thing){ .finished = 0 };
	start(4);
	br_op_grant(&x.op, 0);
	br_op_grant(&x.op, -EIO);
	br_op_grant(&x.op, -ENOMEM);
	run();
	expect("l", 0, 0);
	br_op_grant(&x.op, 0);
	run();
	expect("lc", 1, -EIO);
}

enum { THREADS = 4, ROUNDS = 3000 };

static _Atomic int go;
static _Atomic bool stop;

static void *granter(void *arg)
{
	int seen = 0;

	while (!atomic_load(&stop)) {
		int now = atomic_load(&go);

		if (now == seen) {
			sched_yield();
			continue;
		}
		seen = now;
		br_op_grant(&x.op, arg && now % 3 == 0 ? -EIO : 0);
	}
	return NULL;
}

/* The memory is the next op's as soon as this one has finished: a granter that touched it late would be seen. */
static void grants_of_several_threads_end_the_op_once_and_the_error_is_seen(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	x = (struct thing){ .finished = 0 };
	atomic_store(&go, 0);
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, granter, (void *)(i == 2 ? &x : NULL)), 0);
	for (int n = 1; n <= ROUNDS; n++) {
		start(THREADS);
		atomic_fetch_add(&go, 1);
		while (!x.finished)
			if (!br_queue_run(&q))
				sched_yield();
		assert_int_equal(x.finished, 1);
		assert_int_equal(x.error, n % 3 == 0 ? -EIO : 0);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_op_that_launches_nothing_ends_in_the_call_that_starts_it),
		TEST(an_op_goes_on_when_the_last_piece_is_done_and_not_from_inside_it),
		TEST(the_first_error_sticks_and_leads_to_the_row_of_who_awaited),
		TEST(an_error_that_was_dealt_with_is_forgotten),
		TEST(a_step_can_fail_by_itself),
		TEST(grants_come_home_through_the_inbox_each_counted_once),
		TEST(grants_of_several_threads_end_the_op_once_and_the_error_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
