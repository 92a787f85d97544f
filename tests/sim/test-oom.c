/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory runs out at each allocation in turn, once or for good: each call says so or succeeds, nothing is leaked, and
 * what the snapshot shows is what was there when it was taken.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "blkremap/blkremap.h"
#include "sim/face.h"
#include "sim/world.h"

enum { CHUNK = 4096, BYTES = 4 * CHUNK, STORE_BYTES = 10 * CHUNK, MOST = 4000 };

struct stack {
	struct sim_world *w;
	struct blkremap_ctx *ctx;
	struct blkremap_dev *base, *origin, *store, *snap;
};

/* Only want of memory is an excuse. */
static int excuse(struct sim_world *w, const char *what, int r)
{
	return r < 0 && r != -ENOMEM ? sim_fail(w, "%s: %d, %s", what, r, blkremap_last_error()) : r;
}

static int open_all(struct stack *s)
{
	struct blkremap_ctx_opts opts = { .size = sizeof(opts), .flags = BLKREMAP_CTX_NO_THREADS, .env = &s->w->env };
	int r = blkremap_ctx_new(&opts, &s->ctx);

	if (r >= 0)
		r = sim_face_disk(s->w, s->ctx, "origin", BYTES, 512, &s->base);
	if (r >= 0)
		r = blkremap_origin_open(s->ctx, s->base, NULL, &s->origin);
	if (r >= 0)
		r = sim_face_disk(s->w, s->ctx, "store", STORE_BYTES, 512, &s->store);
	return excuse(s->w, "open", r);
}

static void close_all(struct stack *s)
{
	struct blkremap_dev *devs[] = { s->snap, s->store, s->origin, s->base };

	for (size_t i = 0; i < 4; i++)
		if (devs[i])
			excuse(s->w, "close", blkremap_dev_close(devs[i]));
	if (s->ctx)
		excuse(s->w, "closing the context", blkremap_ctx_free(s->ctx));
}

static int write_all(struct stack *s, uint8_t byte)
{
	uint8_t data[512];
	int r = 0, r2;

	memset(data, byte, sizeof(data));
	for (uint64_t at = 0; at < BYTES; at += CHUNK) {
		r2 = excuse(s->w, "write", blkremap_pwrite(s->origin, data, sizeof(data), at, BLKREMAP_FUA));
		r = r < 0 ? r : r2;
	}
	return r;
}

/* What the snapshot shows is what was there when it was taken, or no memory. */
static void check_snapshot(struct stack *s, uint8_t byte)
{
	uint8_t data[512];

	for (uint64_t at = 0; at < BYTES; at += CHUNK) {
		int r = blkremap_pread(s->snap, data, sizeof(data), at, 0);

		/* Want of memory for an exception may cost the snapshot, as want of space does. */
		if (r < 0 && r != -ENOMEM && r != -EIO)
			excuse(s->w, "read", r);
		if (r >= 0 && data[0] != byte)
			sim_fail(s->w, "the snapshot holds %u at byte %u", data[0], (unsigned)at);
	}
}

static int take(struct stack *s)
{
	struct blkremap_snapshot_opts opts = { .size = sizeof(opts), .chunk_bytes = CHUNK };
	struct blkremap_take take = { .origin = s->origin, .store = s->store, .opts = &opts };
	int r = excuse(s->w, "take", blkremap_snapshot_take(&take, 1, -1, NULL));

	s->snap = r >= 0 ? take.snap : NULL;
	return r;
}

static void merge(struct stack *s)
{
	struct blkremap_job *job = NULL;
	int r = blkremap_job_start(s->snap, BLKREMAP_JOB_MERGE, NULL, &job);

	if (r >= 0)
		blkremap_job_wait(job, -1);
	blkremap_job_free(job);
	if (r != -ENOTRECOVERABLE)	/* invalid already */
		excuse(s->w, "merge", r);
}

static int life(struct sim_world *w, void *arg)
{
	struct stack s = { .w = w };
	bool merging = *(bool *)arg;
	int r = open_all(&s), first = -1;

	if (r >= 0)
		first = write_all(&s, 'a');
	if (first >= 0 && take(&s) >= 0) {
		write_all(&s, 'b');
		check_snapshot(&s, 'a');
		if (merging)
			merge(&s);
	}
	close_all(&s);
	return w->failed ? -EPROTO : 0;
}

/* Returns whether the failure was reached at all. */
static bool live(struct sim_hub *hub, uint64_t nth, bool for_good, bool merging)
{
	struct sim_world *w = sim_world_new(hub, NULL);
	bool reached;

	w->fail_alloc = nth;
	w->fail_all = for_good;
	if (sim_world_run(w, life, &merging) < 0) {
		print_message("allocation %u%s: %s\n", (unsigned)nth, for_good ? " and all after it" : "", w->text);
		fail();
	}
	reached = w->allocs >= nth;
	sim_world_free(w);
	return reached;
}

static void live_with_each(bool for_good, bool merging)
{
	struct sim_hub hub;
	uint64_t n = 1;

	sim_hub_init(&hub);
	while (live(&hub, n, for_good, merging) && n < MOST)
		n++;
	assert_true(n > 50 && n < MOST);
	print_message("%u allocations failed\n", (unsigned)n - 1);
	sim_hub_done(&hub);
}

static void one_allocation_that_fails_is_survived(void **state)
{
	(void)state;
	live_with_each(false, false);
}

static void memory_that_is_gone_for_good_is_survived(void **state)
{
	(void)state;
	live_with_each(true, false);
}

static void merging_survives_one_allocation_that_fails(void **state)
{
	(void)state;
	live_with_each(false, true);
}

static void merging_survives_memory_that_is_gone_for_good(void **state)
{
	(void)state;
	live_with_each(true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_allocation_that_fails_is_survived),
		cmocka_unit_test(memory_that_is_gone_for_good_is_survived),
		cmocka_unit_test(merging_survives_one_allocation_that_fails),
		cmocka_unit_test(merging_survives_memory_that_is_gone_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
