/* SPDX-License-Identifier: BSD-3-Clause */
/* Attached, closed, dropped, claimed, taken: what must hold from one call to the next. */
#include "rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

enum { KIB = 1024, CHUNK = 4 * KIB, BASE = 256 * KIB };

static void a_store_that_comes_after_a_write_is_stale(void **state)
{
	char buf[512] = "";
	struct rig r;

	(void)state;
	rig_make(&r, BASE, 2, BASE * 2);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[0].dev, NULL), 0);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[1].dev, NULL), 0);
	rig_origin(&r, BLKREMAP_SUSPENDED);
	rig_write(&r, r.oq, 1, 0, 512, 'n');	/* waits at the gate: not accepted yet */
	rig_pump(&r);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, NULL, &r.snap[0]), 0);
	assert_int_equal(blkremap_resume(r.origin), 0);
	rig_pump(&r);
	assert_true(r.done[1]);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[1].dev, NULL, &r.snap[1]), -ESTALE);
	assert_string_not_equal(blkremap_last_error(), "");
	expect_old(r.snap[0], 0, BASE);
	assert_int_equal(blkremap_pwrite(r.store[1].dev, buf, 512, 0, 0), 0);	/* nothing was kept */
	rig_close(&r);
}

static void a_closed_snapshot_is_still_protected(void **state)
{
	uint64_t id;
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	rig_take(&r, 0, CHUNK);
	id = blkremap_dev_id(r.snap[0]);
	assert_int_equal(blkremap_dev_close(r.snap[0]), 0);
	put(r.origin, 0, CHUNK, 'n');
	assert_int_equal(blkremap_dev_get(r.ctx, id, &r.snap[0]), 0);
	expect_old(r.snap[0], 0, BASE);
	put(r.snap[0], 0, 512, 's');
	rig_shut(&r);
	disk_crash(&r.store[0]);
	disk_crash(&r.base);
	rig_again(&r);
	rig_origin(&r, BLKREMAP_SUSPENDED);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, NULL, &r.snap[0]), 0);
	assert_int_equal(blkremap_resume(r.origin), 0);
	expect_old(r.snap[0], CHUNK, BASE - CHUNK);
	expect_fill(r.snap[0], 0, 512, 's');
	expect_fill(r.origin, 0, CHUNK, 'n');
	rig_close(&r);
}

static void a_dropped_snapshot_is_durably_invalid_and_costs_nothing_more(void **state)
{
	struct blkremap_dev *other;
	char buf[512];
	uint32_t writes;
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 2);
	rig_take(&r, 0, CHUNK);
	rig_take(&r, 1, CHUNK);
	assert_int_equal(blkremap_dev_get(r.ctx, blkremap_dev_id(r.snap[0]), &other), 0);
	assert_int_equal(blkremap_snapshot_drop(r.snap[0]), 0);
	assert_int_equal(r.store[0].durable[4], 0);
	assert_int_equal(blkremap_pread(other, buf, 512, 0, 0), -EIO);
	assert_int_equal(blkremap_pwrite(other, buf, 512, 0, 0), -EIO);
	assert_int_equal(blkremap_flush(other), -EIO);
	assert_int_equal(blkremap_snapshot_drop(other), -EALREADY);
	writes = r.store[0].writes;
	put(r.origin, 0, CHUNK, 'n');
	assert_int_equal(r.store[0].writes, writes);
	expect_old(r.snap[1], 0, BASE);
	assert_int_equal(blkremap_dev_close(other), 0);
	rig_shut(&r);
	rig_again(&r);
	rig_origin(&r, BLKREMAP_SUSPENDED);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, NULL, &r.snap[0]), -ENOTRECOVERABLE);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[1].dev, NULL, &r.snap[1]), 0);
	assert_int_equal(blkremap_resume(r.origin), 0);
	expect_old(r.snap[1], 0, BASE);
	rig_close(&r);
}

static void a_mark_that_cannot_be_written_is_told_and_the_snapshot_detached(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	rig_take(&r, 0, CHUNK);
	disk_fail(&r.store[0], ON_WRITE | ON_FLUSH, 0, UINT64_MAX, -EIO);
	assert_int_equal(blkremap_snapshot_drop(r.snap[0]), -EIO);
	put(r.origin, 0, CHUNK, 'n');
	assert_int_equal(blkremap_snapshot_drop(r.snap[0]), -EALREADY);
	rig_close(&r);
}

static void only_the_target_writes_what_it_has_claimed(void **state)
{
	struct blkremap_dev *again;
	char buf[512] = "";
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 2);
	rig_take(&r, 0, CHUNK);
	assert_int_equal(blkremap_pwrite(r.base.dev, buf, 512, 0, 0), -EBUSY);
	assert_int_equal(blkremap_discard(r.base.dev, 0, 512, 0), -EBUSY);
	assert_int_equal(blkremap_write_zeroes(r.base.dev, 0, 512, 0), -EBUSY);
	assert_int_equal(blkremap_pwrite(r.store[0].dev, buf, 512, 0, 0), -EBUSY);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[0].dev, NULL), -EBUSY);
	assert_int_equal(rig_try_take(&r, 0, NULL), -EBUSY);
	assert_int_equal(blkremap_origin_open(r.ctx, r.base.dev, NULL, &again), -EBUSY);
	assert_int_equal(blkremap_origin_open(r.ctx, r.origin, NULL, &again), -EINVAL);
	assert_int_equal(blkremap_dev_get(r.ctx, blkremap_dev_id(r.store[0].dev), &again), 0);
	assert_int_equal(blkremap_pwrite(again, buf, 512, 0, 0), -EBUSY);
	assert_int_equal(blkremap_dev_close(again), 0);
	expect_old(r.snap[0], 0, BASE);
	rig_close(&r);
}

/* S25: by path, by another path, by a hard link; and the base of a base. */
static void an_origin_is_no_store_of_its_own(void **state)
{
	char path[] = "/tmp/blkremap-life-XXXXXX", link_path[64];
	struct blkremap_open_opts ro = { .size = sizeof(ro), .flags = BLKREMAP_NOLOCK };
	struct blkremap_dev *base, *same, *origin;
	struct blkremap_take t = { 0 };
	struct blkremap_ctx *ctx;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	snprintf(link_path, sizeof(link_path), "%s.link", path);
	assert_int_equal(link(path, link_path), 0);
	assert_int_equal(blkremap_ctx_new(NULL, &ctx), 0);
	assert_int_equal(blkremap_file_open(ctx, path, NULL, &base), 0);
	assert_int_equal(blkremap_origin_open(ctx, base, NULL, &origin), 0);
	assert_int_equal(blkremap_file_open(ctx, link_path, NULL, &same), -EBUSY);
	assert_int_equal(blkremap_file_open(ctx, link_path, &ro, &same), 0);
	t.origin = origin;
	t.store = same;
	assert_int_equal(blkremap_snapshot_take(&t, 1, -1, NULL), -EINVAL);
	t.store = base;
	assert_true(blkremap_snapshot_take(&t, 1, -1, NULL) < 0);
	t.store = origin;
	assert_int_equal(blkremap_snapshot_take(&t, 1, -1, NULL), -EINVAL);
	blkremap_dev_close(same);
	blkremap_dev_close(origin);
	blkremap_dev_close(base);
	assert_int_equal(blkremap_ctx_free(ctx), 0);
	unlink(path);
	unlink(link_path);
	close(fd);
}

/* What snapshots share must not become the store of another. */
static void a_base_that_is_shared_is_no_store(void **state)
{
	struct blkremap_snapshot_opts force = { .size = sizeof(force), .flags = BLKREMAP_FORCE };
	struct rig r;

	(void)state;
	rig_make(&r, BASE, 2, BASE * 2);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[0].dev, NULL), 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.base.dev, r.store[0].dev, NULL, &r.snap[0]), 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.snap[0], r.base.dev, NULL, &r.snap[1]), -EBADMSG);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.base.dev, &force), -EBUSY);
	expect_old(r.snap[0], 0, BASE);
	rig_close(&r);
}

/* Three deep: each shows its own, and a merge of the middle reaches only what is below it. */
static void snapshots_of_snapshots_keep_apart(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, BASE, 3, BASE * 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[i].dev, NULL), 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.base.dev, r.store[0].dev, NULL, &r.snap[0]), 0);
	put(r.snap[0], 0, 512, 'a');
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.snap[0], r.store[1].dev, NULL, &r.snap[1]), 0);
	put(r.snap[1], 512, 512, 'b');
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.snap[1], r.store[2].dev, NULL, &r.snap[2]), 0);
	put(r.snap[2], 1024, 512, 'c');
	expect_fill(r.snap[2], 0, 512, 'a');
	expect_fill(r.snap[2], 512, 512, 'b');
	expect_fill(r.snap[2], 1024, 512, 'c');
	expect_old(r.snap[2], 1536, BASE - 1536);
	expect_old(r.snap[1], 1024, BASE - 1024);
	expect_old(r.snap[0], 512, BASE - 512);
	expect_old(r.base.dev, 0, BASE);
	assert_int_equal(blkremap_snapshot_reset(r.snap[2]), 0);
	expect_fill(r.snap[2], 512, 512, 'b');
	expect_old(r.snap[2], 1024, BASE - 1024);
	rig_close(&r);
}

static void a_base_that_is_no_multiple_of_the_chunk_is_kept_to_its_last_block(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 3 * 64 * KIB + 5 * 512, 2, 1 << 20);
	rig_origin(&r, 0);
	rig_take(&r, 0, 64 * KIB);
	rig_take(&r, 1, 4 * KIB);
	put(r.origin, 3 * 64 * KIB, 5 * 512, 'n');
	put(r.origin, 2 * 64 * KIB - 512, 1024, 'n');
	expect_old(r.snap[0], 0, 3 * 64 * KIB + 5 * 512);
	expect_old(r.snap[1], 0, 3 * 64 * KIB + 5 * 512);
	put(r.snap[1], 3 * 64 * KIB, 5 * 512, 's');
	expect_fill(r.snap[1], 3 * 64 * KIB, 5 * 512, 's');
	rig_close(&r);
}

static void take_is_all_or_none(void **state)
{
	struct blkremap_take t[2] = { 0 };
	struct blkremap_dev *small, *base2, *origin2;
	char buf[512] = "";
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	assert_int_equal(blkremap_mem_open(r.ctx, BASE, NULL, &base2), 0);
	assert_int_equal(blkremap_origin_open(r.ctx, base2, NULL, &origin2), 0);
	assert_int_equal(blkremap_mem_open(r.ctx, 4096, NULL, &small), 0);
	t[0] = (struct blkremap_take){ .origin = r.origin, .store = r.store[0].dev };
	t[1] = (struct blkremap_take){ .origin = origin2, .store = small };
	assert_true(blkremap_snapshot_take(t, 2, -1, NULL) < 0);
	assert_null(t[0].snap);
	assert_null(t[1].snap);
	assert_int_equal(blkremap_pwrite(r.store[0].dev, buf, 512, 0, 0), 0);	/* not claimed */
	put(r.origin, 0, BASE, 'n');
	t[1].store = NULL;
	assert_int_equal(blkremap_snapshot_take(t, 2, -1, NULL), 0);
	put(r.origin, 0, 512, 'm');
	put(origin2, 0, 512, 'm');
	expect_fill(t[0].snap, 0, BASE, 'n');
	expect_fill(t[1].snap, 0, BASE, 0);
	r.snap[0] = t[0].snap;
	blkremap_dev_close(t[1].snap);
	blkremap_dev_close(origin2);
	blkremap_dev_close(base2);
	blkremap_dev_close(small);
	rig_close(&r);
}

/* The thread that calls is the only one that could bring the requests in flight to their end. */
static void take_drives_the_requests_that_it_waits_for(void **state)
{
	struct blkremap_take t = { 0 };
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	for (uint32_t i = 1; i <= 16; i++)
		rig_write(&r, r.oq, i, i * CHUNK, CHUNK, 'n');
	t.origin = r.origin;
	t.store = r.store[0].dev;
	assert_int_equal(blkremap_snapshot_take(&t, 1, 5000000000, NULL), 0);
	r.snap[0] = t.snap;
	rig_pump(&r);
	for (uint32_t i = 1; i <= 16; i++)
		assert_true(r.done[i]);
	expect_fill(r.snap[0], CHUNK, 16 * CHUNK, 'n');
	rig_close(&r);
}

static void a_take_that_cannot_drain_times_out_and_leaves_all_as_it_was(void **state)
{
	struct blkremap_take t = { 0 };
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	disk_hold(&r.base, ON_WRITE, 0, CHUNK);
	rig_write(&r, r.oq, 1, 0, CHUNK, 'n');
	rig_pump(&r);
	t.origin = r.origin;
	t.store = r.store[0].dev;
	assert_int_equal(blkremap_snapshot_take(&t, 1, 1000000, NULL), -ETIMEDOUT);
	assert_int_equal(blkremap_snapshot_take(&t, 1, 0, NULL), -ETIMEDOUT);
	put(r.origin, CHUNK, CHUNK, 'm');
	disk_release_all(&r.base);
	rig_pump(&r);
	assert_true(r.done[1]);
	assert_int_equal(blkremap_snapshot_take(&t, 1, -1, NULL), 0);
	r.snap[0] = t.snap;
	expect_fill(r.snap[0], 0, CHUNK, 'n');
	rig_close(&r);
}

static void a_take_as_a_job_gives_handles_that_work_when_it_is_done(void **state)
{
	struct blkremap_job_status st = { .size = sizeof(st) };
	struct blkremap_take t = { 0 };
	struct blkremap_job *job;
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	t.origin = r.origin;
	t.store = r.store[0].dev;
	assert_int_equal(blkremap_snapshot_take(&t, 1, -1, &job), 0);
	assert_int_equal(blkremap_job_wait(job, -1), 1);
	assert_int_equal(blkremap_job_status(job, &st), 0);
	assert_int_equal(st.result, 0);
	blkremap_job_free(job);
	r.snap[0] = t.snap;
	assert_int_equal(event_count(r.ctx, BLKREMAP_EV_SNAPSHOT_ADDED), 1);
	put(r.origin, 0, CHUNK, 'n');
	expect_old(r.snap[0], 0, BASE);
	rig_close(&r);
}

static unsigned entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A warm-up first; a little is for what the C library keeps, which is not ours. */
static void nothing_is_left_and_no_thread_is_made(void **state)
{
	unsigned fds = 0, threads = entries("/proc/self/task");
	size_t bytes = 0;
	struct rig r;

	(void)state;
	for (int i = 0; i < 20; i++) {
		rig_open(&r, BASE, 2);
		rig_take(&r, 0, CHUNK);
		rig_take(&r, 1, 4 * CHUNK);
		put(r.origin, 0, BASE, 'n');
		put(r.snap[0], 0, BASE, 's');
		assert_int_equal(entries("/proc/self/task"), threads);
		assert_int_equal(blkremap_snapshot_drop(r.snap[1]), 0);
		rig_close(&r);
		if (i == 1) {
			fds = entries("/proc/self/fd");
			bytes = mallinfo2().uordblks;
		}
	}
	assert_int_equal(entries("/proc/self/fd"), fds);
	assert_true(mallinfo2().uordblks <= bytes + 2048);
}

static void a_storm_of_events_is_one_event(void **state)
{
	struct blkremap_event e = { .size = sizeof(e) };
	struct blkremap_dev *mem;
	struct rig r;
	uint64_t sum = 0;
	int n = 0;

	(void)state;
	rig_open(&r, BASE, 1);
	assert_int_equal(blkremap_mem_open(r.ctx, BASE, NULL, &mem), 0);
	for (uint64_t i = 1; i <= 10000; i++)
		assert_int_equal(blkremap_user_set_bytes(r.base.be, BASE - (i % 2) * 512), 0);
	while (blkremap_event_next(r.ctx, &e) == 1) {
		sum += e.count;
		n++;
	}
	assert_true(n <= 4);
	assert_true(sum >= 10000);
	blkremap_dev_close(mem);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_that_comes_after_a_write_is_stale),
		cmocka_unit_test(a_closed_snapshot_is_still_protected),
		cmocka_unit_test(a_dropped_snapshot_is_durably_invalid_and_costs_nothing_more),
		cmocka_unit_test(a_mark_that_cannot_be_written_is_told_and_the_snapshot_detached),
		cmocka_unit_test(only_the_target_writes_what_it_has_claimed),
		cmocka_unit_test(an_origin_is_no_store_of_its_own),
		cmocka_unit_test(a_base_that_is_shared_is_no_store),
		cmocka_unit_test(snapshots_of_snapshots_keep_apart),
		cmocka_unit_test(a_base_that_is_no_multiple_of_the_chunk_is_kept_to_its_last_block),
		cmocka_unit_test(take_is_all_or_none),
		cmocka_unit_test(take_drives_the_requests_that_it_waits_for),
		cmocka_unit_test(a_take_that_cannot_drain_times_out_and_leaves_all_as_it_was),
		cmocka_unit_test(a_take_as_a_job_gives_handles_that_work_when_it_is_done),
		cmocka_unit_test(nothing_is_left_and_no_thread_is_made),
		cmocka_unit_test(a_storm_of_events_is_one_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
