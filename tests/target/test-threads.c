/* SPDX-License-Identifier: BSD-3-Clause */
/* The same from several threads at a time; what it proves it proves in a TSan build. */
#include "rig.h"

#include <pthread.h>
#include <stdatomic.h>

enum { BASE = 1 << 20, CHUNK = 4096, ROUNDS = 20 };

static struct blkremap_dev *origin;
static _Atomic bool stop;

/* Whole chunks of one value, so that a chunk in which two values are seen was torn by a snapshot. */
static void *writer(void *arg)
{
	uint64_t at = (uint64_t)(uintptr_t)arg;
	char buf[CHUNK];

	for (unsigned i = 1; !atomic_load(&stop); i++) {
		memset(buf, (int)(i % 250), sizeof(buf));
		if (blkremap_pwrite(origin, buf, sizeof(buf), at + i % 64 * CHUNK, 0) < 0)
			return &origin;
	}
	return NULL;
}

static void *drop(void *arg)
{
	return (void *)(intptr_t)blkremap_snapshot_drop(arg);
}

static void expect_frozen(struct blkremap_dev *snap)
{
	static uint8_t first[BASE], second[BASE];

	assert_int_equal(blkremap_pread(snap, first, BASE, 0, 0), 0);
	for (size_t at = 0; at < BASE; at += CHUNK)
		assert_memory_equal(first + at, first + at + CHUNK - 512, 512);
	assert_int_equal(blkremap_pread(snap, second, BASE, 0, 0), 0);
	assert_memory_equal(first, second, BASE);
}

static void snapshots_come_and_go_under_writers_and_are_dropped_once(void **state)
{
	struct blkremap_dev *base, *other;
	pthread_t writers[2], droppers[2];
	struct blkremap_ctx *ctx;
	void *r[2];

	(void)state;
	assert_int_equal(blkremap_ctx_new(NULL, &ctx), 0);
	assert_int_equal(blkremap_mem_open(ctx, BASE, NULL, &base), 0);
	assert_int_equal(blkremap_origin_open(ctx, base, NULL, &origin), 0);
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, writer, (void *)(i * BASE / 2)), 0);
	for (int round = 0; round < ROUNDS; round++) {
		struct blkremap_take t = { .origin = origin };

		assert_int_equal(blkremap_snapshot_take(&t, 1, -1, NULL), 0);
		expect_frozen(t.snap);
		assert_int_equal(blkremap_dev_get(ctx, blkremap_dev_id(t.snap), &other), 0);
		assert_int_equal(pthread_create(&droppers[0], NULL, drop, t.snap), 0);
		assert_int_equal(pthread_create(&droppers[1], NULL, drop, other), 0);
		for (int i = 0; i < 2; i++)
			pthread_join(droppers[i], &r[i]);
		assert_true((!r[0] && (intptr_t)r[1] == -EALREADY) || (!r[1] && (intptr_t)r[0] == -EALREADY));
		assert_int_equal(blkremap_dev_close(other), 0);
		assert_int_equal(blkremap_dev_close(t.snap), 0);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(writers[i], &r[0]);
		assert_null(r[0]);
	}
	assert_int_equal(blkremap_dev_close(origin), 0);
	assert_int_equal(blkremap_dev_close(base), 0);
	assert_int_equal(blkremap_ctx_free(ctx), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshots_come_and_go_under_writers_and_are_dropped_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
