/* SPDX-License-Identifier: BSD-3-Clause */
/* Real threads on real bells: posters, an owner who sleeps, helpers, and the queue freed right after the last post. */
#include "../fake-env.h"

#include <pthread.h>

#include "base/env-posix.h"
#include "op/ctx.h"
#include "op/worker.h"

enum { POSTERS = 3, TASKS = 20, ROUNDS = 150 };

static struct br_ctx ctx;
static struct br_queue *queue;
static struct br_task tasks[POSTERS][TASKS];
static pthread_barrier_t barrier;
static int nr_ran;			/* the owner word's: whoever runs the queue */

static void count_task(struct br_task *t)
{
	(void)t;
	nr_ran++;
}

static bool all_ran(void *arg)
{
	(void)arg;
	return nr_ran == POSTERS * TASKS;
}

static void *post_all(void *arg)
{
	struct br_task *mine = arg;

	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < TASKS; i++) {
			mine[i].run = count_task;
			br_queue_post(queue, &mine[i]);
			if (i % 7 == round % 7)
				sched_yield();
		}
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* Every third round the owner comes late, and somebody waits: then helpers have run what was posted. */
static void one_round(int round)
{
	bool helped = round % 3 == 0;

	queue = br_alloc(&br_env_posix, sizeof(*queue));
	assert_int_equal(br_queue_init(queue, &ctx, false), 0);
	nr_ran = 0;
	if (helped)
		br_wait_begin(&ctx);
	pthread_barrier_wait(&barrier);
	if (helped)
		sched_yield();
	assert_int_equal(br_queue_enter(queue), 0);
	assert_true(br_block(&ctx, queue, all_ran, NULL, BR_NEVER));
	br_queue_leave(queue);
	br_queue_done(queue);
	if (helped)
		br_wait_end(&ctx);
	memset(queue, 0xee, sizeof(*queue));
	br_free(&br_env_posix, queue, sizeof(*queue));
	pthread_barrier_wait(&barrier);
}

static void posters_owner_and_helpers_lose_nothing_and_touch_nothing_late(void **state)
{
	pthread_t threads[POSTERS];
	struct br_workers *workers;

	(void)state;
	assert_int_equal(br_ctx_init(&ctx, &br_env_posix, false), 0);
	assert_int_equal(br_workers_start(&ctx, 2, &workers), 0);
	pthread_barrier_init(&barrier, NULL, POSTERS + 1);
	for (int i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_all, tasks[i]), 0);
	for (int round = 0; round < ROUNDS; round++)
		one_round(round);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	br_workers_stop(workers);
	pthread_barrier_destroy(&barrier);
	br_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(posters_owner_and_helpers_lose_nothing_and_touch_nothing_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
