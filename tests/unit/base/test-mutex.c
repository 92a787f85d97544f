/* SPDX-License-Identifier: BSD-3-Clause */
#include "../fake-env.h"

#include <pthread.h>

#include "base/env-posix.h"
#include "base/mutex.h"

enum { THREADS = 4, ROUNDS = 20000 };

static struct br_mutex mutex;
static int wakes, waits;
static unsigned long counter;

static void count_wake(const struct blkremap_env *env, _Atomic uint32_t *word)
{
	(void)env;
	(void)word;
	wakes++;
}

/* The holder gives it back while we go to sleep. */
static void count_wait(const struct blkremap_env *env, _Atomic uint32_t *word, uint32_t seen)
{
	(void)env;
	waits++;
	assert_int_equal(seen, 2);
	assert_int_equal(atomic_load(word), 2);
	if (waits == 2)
		atomic_store(word, 0);
}

static const struct br_env_ops counting_ops = { .word_wait = count_wait, .word_wake = count_wake };
static const struct blkremap_env counting = { .ops = &counting_ops };

static void without_a_rival_nobody_is_woken(void **state)
{
	(void)state;
	wakes = 0;
	br_mutex_lock(&mutex, &counting);
	assert_int_equal(atomic_load(&mutex.word), 1);
	br_mutex_unlock(&mutex, &counting);
	assert_int_equal(atomic_load(&mutex.word), 0);
	assert_int_equal(wakes, 0);
}

static void who_slept_leaves_a_word_that_wakes_the_next_one(void **state)
{
	(void)state;
	wakes = waits = 0;
	atomic_store(&mutex.word, 1);
	br_mutex_lock(&mutex, &counting);
	assert_int_equal(waits, 2);		/* woken for no reason once */
	br_mutex_unlock(&mutex, &counting);
	assert_int_equal(wakes, 1);
}

static void *add(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		br_mutex_lock(&mutex, arg);
		counter++;
		if (i % 64 == 0)
			sched_yield();
		br_mutex_unlock(&mutex, arg);
	}
	return NULL;
}

static void one_thread_at_a_time_is_inside(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	counter = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add, (void *)(uintptr_t)&br_env_posix), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter, (unsigned long)THREADS * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_rival_nobody_is_woken),
		cmocka_unit_test(who_slept_leaves_a_word_that_wakes_the_next_one),
		cmocka_unit_test(one_thread_at_a_time_is_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
