/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Range locks and throttles under real threads.  What they guard is plain memory, so the thread sanitizer sees each
 * overlap, and without it a lost update tells.
 */
#include "fake.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "remap/range-lock.h"
#include "remap/throttle.h"

enum { THREADS = 3, ROUNDS = 4000, BLOCKS = 4 };

static struct br_range_lock rl;
static struct br_throttle throttle;
static const struct br_throttle_limits limits = { .in_flight_bytes = 10 };
static uint64_t guarded[BLOCKS];	/* plain: whoever holds the block exclusively may write */
static _Atomic uint64_t writes[BLOCKS], torn, inside, most_inside;

/* True: granted; false: cancelled. */
static bool wait_for(struct fake_op *f)
{
	while (!atomic_load(&f->granted))
		sched_yield();
	return !atomic_load(&f->error);
}

static void use(uint64_t begin, uint64_t end, bool exclusive)
{
	for (uint64_t b = begin; b < end; b++) {
		uint64_t before = guarded[b];

		if (begin == b)
			sched_yield();
		if (exclusive) {
			guarded[b] = before + 1;
			atomic_fetch_add(&writes[b], 1);
		} else if (guarded[b] != before) {
			atomic_fetch_add(&torn, 1);
		}
	}
}

/* Take it, or perhaps think better of it while it is waited for. */
static bool take(struct br_range_hold *h, uint64_t begin, uint64_t end, bool exclusive, bool fickle)
{
	struct fake_op f = { .launched = 0 };

	if (br_range_lock_take(&rl, h, begin, end, exclusive, &f.op))
		return true;
	if (fickle)
		br_range_lock_cancel(&rl, h);
	return wait_for(&f);
}

static void *locker(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct br_range_hold h = { .begin = 0 };
		uint64_t begin = (uint64_t)rand_r(&seed) % BLOCKS, end = begin + 1 + (uint64_t)rand_r(&seed) % 2;
		bool exclusive = rand_r(&seed) % 2, held;

		end = end > BLOCKS ? BLOCKS : end;
		held = rand_r(&seed) % 4 == 0 ? br_range_lock_try(&rl, &h, begin, end, exclusive)
					      : take(&h, begin, end, exclusive, rand_r(&seed) % 4 == 0);
		if (!held)
			continue;
		use(begin, end, exclusive);
		br_range_lock_give(&rl, &h);
	}
	return arg;
}

static void *taker(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct fake_op f = { .launched = 0 };
		struct br_throttle_turn turn = { .bytes = 0 };
		uint64_t bytes = 1 + (uint64_t)rand_r(&seed) % 6, now, most;
		bool mine = br_throttle_take(&throttle, &turn, bytes, &f.op);

		if (!mine && rand_r(&seed) % 4 == 0)
			br_throttle_cancel(&throttle, &turn);
		if (!mine && !wait_for(&f))
			continue;
		if (rand_r(&seed) % 4 == 0)
			br_throttle_set(&throttle, &limits);
		now = atomic_fetch_add(&inside, bytes) + bytes;
		most = atomic_load(&most_inside);
		while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
			;
		sched_yield();
		atomic_fetch_sub(&inside, bytes);
		br_throttle_give(&throttle, bytes);
	}
	return arg;
}

static void run_threads(void *(*run)(void *))
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(fake_ctx.waits, 0);
}

static void a_range_has_one_writer_or_only_readers(void **state)
{
	(void)state;
	br_range_lock_init(&rl, &fake_ctx);
	run_threads(locker);
	assert_int_equal(torn, 0);
	for (int b = 0; b < BLOCKS; b++)
		assert_int_equal(guarded[b], writes[b]);
	assert_true(br_list_empty(&rl.wide));
	for (int i = 0; i < BR_RANGE_LOCK_LISTS; i++)
		assert_true(br_list_empty(&rl.narrow[i]));
}

static void no_more_than_the_limit_is_in_flight(void **state)
{
	(void)state;
	br_throttle_init(&throttle, &fake_ctx, NULL, &limits);
	run_threads(taker);
	assert_true(most_inside <= 10);
	assert_int_equal(throttle.in_flight, 0);
	assert_true(br_list_empty(&throttle.turns));
	br_throttle_done(&throttle);
}

/* Without rates there are no timers. */
void br_timer_arm(struct br_ctx *ctx, struct br_timer *timer, struct br_queue *q, uint64_t when_ns)
{
	(void)ctx;
	(void)timer;
	(void)q;
	(void)when_ns;
	abort();
}

bool br_timer_cancel(struct br_ctx *ctx, struct br_timer *timer)
{
	(void)ctx;
	(void)timer;
	abort();
}

bool br_block(struct br_ctx *ctx, struct br_queue *q, bool (*done)(void *arg), void *arg, uint64_t deadline_ns)
{
	(void)ctx;
	(void)q;
	(void)done;
	(void)arg;
	(void)deadline_ns;
	abort();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_has_one_writer_or_only_readers),
		cmocka_unit_test(no_more_than_the_limit_is_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
