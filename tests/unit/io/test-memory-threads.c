/* SPDX-License-Identifier: BSD-3-Clause */
/* One memory device, queues in several threads: nothing is torn within a block, nothing is used that was freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/env-posix.h"
#include "io/memory.h"
#include "io/sync.h"

enum { THREADS = 3, ROUNDS = 400, BLOCK = 256 * 1024, LEN = 4096 };

static struct br_ctx ctx;
static struct br_dev *dev;
static _Atomic unsigned failed, torn;

/* All three at the same place: each read is one write's bytes, or zeroes. */
static void one_round(struct br_sync *s, unsigned round)
{
	uint8_t buf[LEN];
	int r;

	memset(buf, (int)round, LEN);
	if (round % 3 == 0)
		r = br_sync_write(s, buf, LEN, BLOCK - LEN, 0);
	else if (round % 3 == 1)
		r = br_sync_simple(s, BR_DISCARD, 0, BLOCK, 0);
	else
		r = br_sync_read(s, buf, LEN, BLOCK - LEN);
	if (r < 0)
		atomic_fetch_add(&failed, 1);
	for (unsigned i = 1; i < LEN; i++)
		if (buf[i] != buf[0])
			atomic_fetch_add(&torn, 1);
}

static void *io_thread(void *arg)
{
	struct br_sync s = { .chan = NULL };

	if (br_sync_open(&s, &ctx, dev) < 0) {
		atomic_fetch_add(&failed, 1);
		return NULL;
	}
	for (unsigned i = 0; i < ROUNDS; i++)
		one_round(&s, i + (unsigned)(uintptr_t)arg);
	br_sync_close(&s);
	return NULL;
}

static void queues_in_threads_share_a_block_whole(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	assert_int_equal(br_ctx_init(&ctx, &br_env_posix, false), 0);
	assert_int_equal(br_memory_open(&ctx, &(struct br_memory_opts){ .bytes = BLOCK }, &dev), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, io_thread, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(br_dev_put(dev), 0);
	br_ctx_done(&ctx);
	assert_int_equal(failed, 0);
	assert_int_equal(torn, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_in_threads_share_a_block_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
