/* SPDX-License-Identifier: BSD-3-Clause */
/* What was found broken once, seen from outside. */
#include "rig.h"

enum { KIB = 1024, CHUNK = 64 * KIB };

static int merge(struct rig *r, uint32_t i)
{
	struct blkremap_job_status st = { .size = sizeof(st) };
	struct blkremap_job *job;
	int e = blkremap_job_start(r->snap[i], BLKREMAP_JOB_MERGE, NULL, &job);

	if (e < 0)
		return e;
	for (int n = 0; n < 1000 && blkremap_job_wait(job, 0) == 0; n++)
		rig_pump(r);
	assert_int_equal(blkremap_job_status(job, &st), 0);
	assert_true(st.state >= BLKREMAP_JOB_DONE);
	blkremap_job_free(job);
	return st.result;
}

static void the_tail_of_equal_snapshots_longer_than_their_base_reads_zeroes(void **state)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK, .bytes = 4 * CHUNK };
	struct rig r;

	(void)state;
	rig_make(&r, 2 * CHUNK + 512, 2, 1 << 20);
	for (int i = 0; i < 2; i++)
		memset(r.store[i].data + CHUNK, 0xaa, (1 << 20) - CHUNK);
	rig_origin(&r, 0);
	assert_int_equal(rig_try_take(&r, 0, &o), 0);
	assert_int_equal(rig_try_take(&r, 1, &o), 0);
	put(r.origin, 2 * CHUNK, 512, 'x');
	for (int i = 0; i < 2; i++) {
		expect_old(r.snap[i], 2 * CHUNK, 512);
		expect_fill(r.snap[i], 2 * CHUNK + 512, 2 * CHUNK - 512, 0);
	}
	rig_close(&r);
}

static void a_write_into_the_tail_leaves_the_rest_of_its_chunk_zero(void **state)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK, .bytes = 4 * CHUNK };
	struct rig r;

	(void)state;
	rig_make(&r, 2 * CHUNK + 512, 1, 1 << 20);
	memset(r.store[0].data + CHUNK, 0xaa, (1 << 20) - CHUNK);
	rig_origin(&r, 0);
	assert_int_equal(rig_try_take(&r, 0, &o), 0);
	put(r.snap[0], 2 * CHUNK + 8192, 512, 'x');
	put(r.snap[0], 3 * CHUNK + 8192, 512, 'y');
	expect_old(r.snap[0], 2 * CHUNK, 512);
	expect_fill(r.snap[0], 2 * CHUNK + 512, 8192 - 512, 0);
	expect_fill(r.snap[0], 2 * CHUNK + 8192, 512, 'x');
	expect_fill(r.snap[0], 2 * CHUNK + 8704, CHUNK - 8704, 0);
	expect_fill(r.snap[0], 3 * CHUNK, 8192, 0);
	expect_fill(r.snap[0], 3 * CHUNK + 8192, 512, 'y');
	expect_fill(r.snap[0], 3 * CHUNK + 8704, CHUNK - 8704, 0);
	rig_close(&r);
}

static void a_merge_whose_removal_failed_does_not_write_the_header_over_the_base(void **state)
{
	struct rig r;
	int e;

	(void)state;
	rig_open(&r, 1 << 20, 1);
	rig_take(&r, 0, CHUNK);
	put(r.snap[0], 3 * CHUNK, CHUNK, 's');
	disk_fail(&r.store[0], ON_WRITE, CHUNK, CHUNK + 4096, -EIO);
	assert_int_equal(merge(&r, 0), -EIO);
	r.store[0].fail.ops = 0;
	e = merge(&r, 0);
	assert_int_equal(e, -EIO);	/* what is on the disk is not known until the store is opened again */
	expect_old(r.snap[0], 0, 3 * CHUNK);
	expect_old(r.origin, 0, 3 * CHUNK);
	expect_fill(r.snap[0], 3 * CHUNK, CHUNK, 's');
	rig_close(&r);
}

static void a_merge_whose_page_could_not_be_read_goes_on_when_it_can(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 4 << 20, 1, 6 << 20);
	rig_origin(&r, 0);
	rig_take(&r, 0, 4096);
	for (uint64_t at = 0; at < 300 * 4096; at += 4096)
		put(r.snap[0], at, 4096, 's');
	disk_fail(&r.store[0], ON_READ, 4096, 8192, -EIO);	/* the first area, which is needed after the second */
	assert_int_equal(merge(&r, 0), -EIO);
	r.store[0].fail.ops = 0;
	assert_int_equal(merge(&r, 0), 0);
	expect_fill(r.snap[0], 0, 300 * 4096, 's');
	expect_old(r.snap[0], 300 * 4096, (4 << 20) - 300 * 4096);
	rig_close(&r);
}

static void take_is_refused_until_a_merge_is_done(void **state)
{
	struct blkremap_job_opts jo = { .size = sizeof(jo), .flags = BLKREMAP_JOB_PAUSED };
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK };
	struct blkremap_job *job;
	struct rig r;

	(void)state;
	rig_open(&r, 1 << 20, 2);
	rig_take(&r, 0, CHUNK);
	put(r.snap[0], 3 * CHUNK, CHUNK, 's');
	assert_int_equal(blkremap_job_start(r.snap[0], BLKREMAP_JOB_MERGE, &jo, &job), 0);
	rig_pump(&r);
	expect_fill(r.origin, 3 * CHUNK, CHUNK, 's');
	assert_int_equal(rig_try_take(&r, 1, &o), -EBUSY);	/* the base does not hold what the origin shows */
	assert_int_equal(blkremap_job_cancel(job), 0);
	rig_pump(&r);
	blkremap_job_free(job);
	rig_close(&r);
}

static void a_read_only_store_cannot_be_attached_to_an_origin_that_is_written(void **state)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK };
	struct rig r;

	(void)state;
	rig_make(&r, 1 << 20, 1, 1 << 20);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[0].dev, &o), 0);
	rig_origin(&r, 0);
	rig_shut(&r);
	r.store[0].caps = 0;
	rig_again(&r);
	rig_origin(&r, 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, NULL, &r.snap[0]), -EROFS);
	rig_close(&r);
}

static void a_failed_reset_does_not_hand_out_places_twice(void **state)
{
	struct rig r;
	char buf[512];

	(void)state;
	rig_make(&r, 1 << 20, 1, 1 << 20);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[0].dev, NULL), 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.base.dev, r.store[0].dev, NULL, &r.snap[0]), 0);
	put(r.snap[0], 0, CHUNK, 'a');
	disk_fail(&r.store[0], ON_FLUSH, 0, 0, -EIO);
	assert_int_equal(blkremap_snapshot_reset(r.snap[0]), -EIO);
	r.store[0].fail.ops = 0;
	memset(buf, 'b', sizeof(buf));
	assert_int_equal(blkremap_pwrite(r.snap[0], buf, 512, 2 * CHUNK, 0), -EIO);
	assert_int_equal(blkremap_pread(r.snap[0], buf, 512, 0, 0), -EIO);
	assert_int_equal(blkremap_snapshot_reset(r.snap[0]), 0);
	expect_old(r.snap[0], 0, 4 * CHUNK);
	rig_close(&r);
}

static void a_reset_brings_a_full_snapshot_back(void **state)
{
	struct rig r;
	char buf[512] = "";
	int e = 0;

	(void)state;
	rig_make(&r, 1 << 20, 1, 4 * CHUNK);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[0].dev, NULL), 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.base.dev, r.store[0].dev, NULL, &r.snap[0]), 0);
	for (uint64_t at = 0; at < 1 << 20 && e == 0; at += CHUNK)
		e = blkremap_pwrite(r.snap[0], buf, 512, at, 0);
	assert_int_equal(e, -ENOSPC);
	assert_int_equal(blkremap_snapshot_reset(r.snap[0]), 0);
	expect_old(r.snap[0], 0, 1 << 20);
	put(r.snap[0], 0, 512, 'x');
	expect_fill(r.snap[0], 0, 512, 'x');
	rig_close(&r);
}

static void a_snapshot_longer_than_its_base_is_not_merged(void **state)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK, .bytes = 4 * CHUNK };
	struct rig r;

	(void)state;
	rig_make(&r, 2 * CHUNK + 512, 1, 1 << 20);
	rig_origin(&r, 0);
	assert_int_equal(rig_try_take(&r, 0, &o), 0);
	put(r.snap[0], 0, 512, 's');
	put(r.snap[0], 3 * CHUNK, 512, 't');
	assert_int_equal(merge(&r, 0), -EOPNOTSUPP);
	expect_fill(r.snap[0], 3 * CHUNK, 512, 't');
	expect_fill(r.snap[0], 0, 512, 's');
	rig_close(&r);
}

static void a_discard_passed_down_makes_other_stores_stale(void **state)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK,
		.flags = BLKREMAP_SNAP_DISCARD_ZEROES_COW | BLKREMAP_SNAP_DISCARD_PASSDOWN };
	struct rig r;

	(void)state;
	rig_make(&r, 1 << 20, 2, 1 << 20);
	rig_shut(&r);
	r.base.caps |= BLKREMAP_CAP_DISCARD;
	rig_again(&r);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[0].dev, NULL), 0);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[1].dev, NULL), 0);
	rig_origin(&r, 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, &o, &r.snap[0]), 0);
	assert_int_equal(blkremap_discard(r.snap[0], 0, CHUNK, 0), 0);
	expect_fill(r.origin, 0, CHUNK, 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[1].dev, NULL, &r.snap[1]), -ESTALE);
	rig_close(&r);
}

static void who_names_discard_zeroes_reads_zeroes_after_a_discard(void **state)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK,
		.flags = BLKREMAP_SNAP_DISCARD_ZEROES_COW };
	struct blkremap_dev_info info = { .size = sizeof(info) };
	struct rig r;

	(void)state;
	rig_open(&r, 1 << 20, 1);
	assert_int_equal(rig_try_take(&r, 0, &o), 0);
	assert_int_equal(blkremap_dev_info(r.snap[0], &info), 0);
	assert_int_equal(blkremap_discard(r.snap[0], 0, CHUNK, 0), 0);
	if (info.caps & BLKREMAP_CAP_DISCARD_ZEROES)
		expect_fill(r.snap[0], 0, CHUNK, 0);
	rig_close(&r);
}

static void a_base_that_snapshots_share_is_not_discarded_by_one_of_them(void **state)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK,
		.flags = BLKREMAP_SNAP_DISCARD_ZEROES_COW | BLKREMAP_SNAP_DISCARD_PASSDOWN };
	struct rig r;

	(void)state;
	rig_make(&r, 1 << 20, 2, 1 << 20);
	rig_shut(&r);
	r.base.caps |= BLKREMAP_CAP_DISCARD;
	rig_again(&r);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[0].dev, NULL), 0);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[1].dev, NULL), 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.base.dev, r.store[0].dev, &o, &r.snap[0]), 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.base.dev, r.store[1].dev, NULL, &r.snap[1]), 0);
	blkremap_discard(r.snap[0], 0, CHUNK, 0);
	expect_old(r.snap[1], 0, CHUNK);
	expect_old(r.base.dev, 0, CHUNK);
	rig_close(&r);
}

static void an_origin_names_no_discard_zeroes_that_it_may_not_keep(void **state)
{
	struct blkremap_job_opts jo = { .size = sizeof(jo), .flags = BLKREMAP_JOB_PAUSED };
	struct blkremap_dev_info info = { .size = sizeof(info) };
	struct blkremap_dev *base, *origin;
	struct blkremap_take t = { 0 };
	struct blkremap_dev *store;
	struct blkremap_job *job;
	struct rig r = { 0 };

	(void)state;
	rig_ctx(&r);
	assert_int_equal(blkremap_mem_open(r.ctx, 1 << 20, NULL, &base), 0);
	assert_int_equal(blkremap_mem_open(r.ctx, 2 << 20, NULL, &store), 0);
	assert_int_equal(blkremap_origin_open(r.ctx, base, NULL, &origin), 0);
	put(origin, 0, 1 << 20, 'o');
	t.origin = origin;
	t.store = store;
	assert_int_equal(blkremap_snapshot_take(&t, 1, -1, NULL), 0);
	assert_int_equal(blkremap_job_start(t.snap, BLKREMAP_JOB_MERGE, &jo, &job), 0);
	rig_pump(&r);
	assert_int_equal(blkremap_dev_info(origin, &info), 0);
	blkremap_discard(origin, 0, CHUNK, 0);
	if (info.caps & BLKREMAP_CAP_DISCARD_ZEROES)
		expect_fill(origin, 0, CHUNK, 0);
	blkremap_job_cancel(job);
	rig_pump(&r);
	blkremap_job_free(job);
	blkremap_dev_close(t.snap);
	blkremap_dev_close(origin);
	blkremap_dev_close(base);
	blkremap_dev_close(store);
	assert_int_equal(blkremap_ctx_free(r.ctx), 0);
}

/* The removal reaches the medium, and yet an error is told: the entry is gone, and its chunk is the base's. */
static void no_write_is_acknowledged_after_a_failed_removal(void **state)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .flags = BLKREMAP_SNAP_MERGING };
	struct blkremap_job *job;
	char buf[512];
	struct rig r;

	(void)state;
	rig_open(&r, 1 << 20, 1);
	rig_take(&r, 0, CHUNK);
	put(r.snap[0], 3 * CHUNK, CHUNK, 's');
	disk_hold(&r.store[0], ON_WRITE, CHUNK, CHUNK + 4096);
	assert_int_equal(blkremap_job_start(r.snap[0], BLKREMAP_JOB_MERGE, NULL, &job), 0);
	rig_pump(&r);
	assert_int_equal(r.store[0].nr_held, 1);
	memset(r.store[0].data + CHUNK, 0, 4096);
	memset(r.store[0].durable + CHUNK, 0, 4096);
	r.store[0].hold.ops = 0;
	disk_release(&r.store[0], 0, -EIO);
	rig_pump(&r);
	blkremap_job_free(job);
	memset(buf, 'n', sizeof(buf));
	assert_int_equal(blkremap_pwrite(r.snap[0], buf, 512, 3 * CHUNK, BLKREMAP_FUA), -EIO);
	assert_int_equal(blkremap_pwrite(r.origin, buf, 512, 5 * CHUNK, BLKREMAP_FUA), -EIO);
	expect_fill(r.origin, 3 * CHUNK, CHUNK, 's');
	rig_shut(&r);
	disk_crash(&r.base);
	disk_crash(&r.store[0]);
	rig_again(&r);
	rig_origin(&r, BLKREMAP_SUSPENDED);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, &o, &r.snap[0]), 0);
	assert_int_equal(blkremap_resume(r.origin), 0);
	expect_fill(r.snap[0], 3 * CHUNK, CHUNK, 's');
	rig_close(&r);
}

/* Of a reset that could not flush, only the area's page came through a crash: it must not pass for fewer exceptions. */
static void a_reset_that_is_cut_short_leaves_all_or_nothing(void **state)
{
	uint8_t *before;
	struct rig r;
	int e;

	(void)state;
	rig_make(&r, 1 << 20, 1, 1 << 20);
	assert_int_equal(blkremap_snapshot_create(r.ctx, r.store[0].dev, NULL), 0);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.base.dev, r.store[0].dev, NULL, &r.snap[0]), 0);
	for (uint64_t at = 0; at < 10 * CHUNK; at += CHUNK)
		put(r.snap[0], at, 512, 'a');
	assert_int_equal(blkremap_flush(r.snap[0]), 0);
	before = malloc(1 << 20);
	memcpy(before, r.store[0].durable, 1 << 20);
	disk_fail(&r.store[0], ON_FLUSH, 0, 0, -EIO);
	assert_int_equal(blkremap_snapshot_reset(r.snap[0]), -EIO);
	memcpy(before + CHUNK, r.store[0].data + CHUNK, 4096);
	rig_shut(&r);
	memcpy(r.store[0].durable, before, 1 << 20);
	disk_crash(&r.store[0]);
	free(before);
	rig_again(&r);
	e = blkremap_snapshot_open(r.ctx, r.base.dev, r.store[0].dev, NULL, &r.snap[0]);
	if (e == 0)
		expect_fill(r.snap[0], 0, 512, 'a');
	else
		assert_int_equal(e, -ENODATA);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tail_of_equal_snapshots_longer_than_their_base_reads_zeroes),
		cmocka_unit_test(a_write_into_the_tail_leaves_the_rest_of_its_chunk_zero),
		cmocka_unit_test(a_merge_whose_removal_failed_does_not_write_the_header_over_the_base),
		cmocka_unit_test(a_merge_whose_page_could_not_be_read_goes_on_when_it_can),
		cmocka_unit_test(take_is_refused_until_a_merge_is_done),
		cmocka_unit_test(a_read_only_store_cannot_be_attached_to_an_origin_that_is_written),
		cmocka_unit_test(a_failed_reset_does_not_hand_out_places_twice),
		cmocka_unit_test(a_reset_brings_a_full_snapshot_back),
		cmocka_unit_test(a_snapshot_longer_than_its_base_is_not_merged),
		cmocka_unit_test(a_discard_passed_down_makes_other_stores_stale),
		cmocka_unit_test(who_names_discard_zeroes_reads_zeroes_after_a_discard),
		cmocka_unit_test(a_base_that_snapshots_share_is_not_discarded_by_one_of_them),
		cmocka_unit_test(an_origin_names_no_discard_zeroes_that_it_may_not_keep),
		cmocka_unit_test(no_write_is_acknowledged_after_a_failed_removal),
		cmocka_unit_test(a_reset_that_is_cut_short_leaves_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
