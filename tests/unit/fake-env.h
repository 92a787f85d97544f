/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An environment for unit tests: memory that can run out, a clock that moves when a test says so (or when somebody
 * sleeps), bells that nobody hears.
 */
#ifndef TEST_FAKE_ENV_H
#define TEST_FAKE_ENV_H

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/env.h"

static int fake_allocs_left = -1;	/* -1: any number */
static int fake_allocs;			/* not freed */
static uint64_t fake_now;
static void (*fake_on_alloc)(void);	/* what another thread might do just then; runs once */

static void *fake_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	void *p = NULL;

	(void)env;
	if (fake_on_alloc) {
		void (*run)(void) = fake_on_alloc;

		fake_on_alloc = NULL;
		run();
	}
	if (fake_allocs_left == 0)
		return NULL;
	if (fake_allocs_left > 0)
		fake_allocs_left--;
	if (posix_memalign(&p, align < 16 ? 16 : align, size))
		return NULL;
	fake_allocs++;
	return memset(p, 0, size);
}

static void fake_free(const struct blkremap_env *env, void *p, size_t size)
{
	(void)env;
	(void)size;
	fake_allocs--;
	free(p);
}

static uint64_t fake_now_ns(const struct blkremap_env *env)
{
	(void)env;
	return fake_now;
}

static uint64_t fake_random(const struct blkremap_env *env)
{
	(void)env;
	return 4;
}

static void fake_word_wait(const struct blkremap_env *env, _Atomic uint32_t *word, uint32_t seen)
{
	(void)env;
	while (atomic_load(word) == seen)
		sched_yield();
}

static void fake_word_wake(const struct blkremap_env *env, _Atomic uint32_t *word)
{
	(void)env;
	(void)word;
}

static int fake_bell_open(const struct blkremap_env *env)
{
	(void)env;
	return 0;
}

static int fake_rung;	/* 1 once a bell has been rung and not cleared */

static void fake_bell_ring(const struct blkremap_env *env, int bell)
{
	(void)env;
	(void)bell;
	fake_rung = 1;
}

static void fake_bell_clear(const struct blkremap_env *env, int bell)
{
	(void)env;
	(void)bell;
	fake_rung = 0;
}

static void fake_bell_close(const struct blkremap_env *env, int bell)
{
	(void)env;
	(void)bell;
}

/* Sleeping is the clock jumping to the deadline; without one nothing could ever wake us. */
static void fake_idle(const struct blkremap_env *env, struct br_ctx *ctx, struct br_queue *queue, uint64_t deadline_ns)
{
	(void)env;
	(void)ctx;
	(void)queue;
	assert_int_not_equal(deadline_ns, BR_NEVER);
	if (deadline_ns > fake_now)
		fake_now = deadline_ns;
}

static const struct br_env_ops fake_env_ops = {
	.alloc = fake_alloc, .free = fake_free, .now_ns = fake_now_ns, .random = fake_random,
	.word_wait = fake_word_wait, .word_wake = fake_word_wake,
	.bell_open = fake_bell_open, .bell_close = fake_bell_close,
	.bell_ring = fake_bell_ring, .bell_clear = fake_bell_clear,
	.idle = fake_idle,
};
static const struct blkremap_env fake_env = { .ops = &fake_env_ops };

#endif /* TEST_FAKE_ENV_H */
