/* SPDX-License-Identifier: BSD-3-Clause */
/* Merges: held, paused, cancelled, failing, one after another. */
#include "rig.h"

enum { KIB = 1024, CHUNK = 4 * KIB, BASE = 256 * KIB };

static struct blkremap_job *start(struct rig *r, uint32_t i, uint32_t flags)
{
	struct blkremap_job_opts o = { .size = sizeof(o), .flags = flags };
	struct blkremap_job *job;

	assert_int_equal(blkremap_job_start(r->snap[i], BLKREMAP_JOB_MERGE, &o, &job), 0);
	return job;
}

static uint32_t state_of(struct blkremap_job *job)
{
	struct blkremap_job_status st = { .size = sizeof(st) };

	assert_int_equal(blkremap_job_status(job, &st), 0);
	return st.state;
}

static uint32_t finish(struct rig *r, struct blkremap_job *job)
{
	uint32_t state;

	for (int n = 0; n < 1000 && blkremap_job_wait(job, 0) == 0; n++)
		rig_pump(r);
	state = state_of(job);
	blkremap_job_free(job);
	return state;
}

/* M2: what is on its way to the store is copied with it; what comes during the copy ends up in the base, last. */
static void writes_before_and_during_a_merge_are_not_lost(void **state)
{
	struct blkremap_job *job;
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	rig_take(&r, 0, CHUNK);
	rig_queue(&r, 0);
	put(r.snap[0], 0, CHUNK, 'a');
	disk_hold(&r.base, ON_WRITE, 0, CHUNK);		/* the copy */
	job = start(&r, 0, 0);
	rig_pump(&r);
	assert_int_equal(r.base.nr_held, 1);
	rig_write(&r, r.sq[0], 1, 0, 512, 'b');
	rig_write(&r, r.oq, 2, 512, 512, 'c');
	rig_read(&r, r.oq, 3, 0, 512);
	rig_pump(&r);
	assert_false(r.done[1] || r.done[2]);
	assert_true(r.done[3]);				/* readers are not held up */
	assert_int_equal(((char *)r.buf[3])[0], 'a');
	disk_release_all(&r.base);
	assert_int_equal(finish(&r, job), BLKREMAP_JOB_DONE);
	rig_pump(&r);
	assert_true(r.done[1] && r.done[2]);
	expect_fill(r.origin, 0, 512, 'b');
	expect_fill(r.snap[0], 512, 512, 'c');
	assert_int_equal(r.base.data[0], 'b');
	assert_int_equal(r.base.data[1024], 'a');
	rig_close(&r);
}

/* M3. */
static void other_snapshots_keep_what_a_merge_overwrites(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 3);
	rig_take(&r, 0, 4 * CHUNK);
	rig_take(&r, 1, CHUNK);
	rig_take(&r, 2, 8 * CHUNK);
	put(r.snap[0], 0, BASE, 's');
	assert_int_equal(finish(&r, start(&r, 0, 0)), BLKREMAP_JOB_DONE);
	expect_fill(r.origin, 0, BASE, 's');
	expect_old(r.snap[1], 0, BASE);
	expect_old(r.snap[2], 0, BASE);
	rig_close(&r);
}

/* M4: nothing new gets a place in the store; M6: it is not to be dropped before its end, and then it is. */
static void a_merging_snapshot_takes_no_exceptions_and_is_dropped_only_when_done(void **state)
{
	struct blkremap_status st = { .size = sizeof(st) };
	struct blkremap_job *job, *again;
	char words[64];
	struct rig r;
	uint64_t used;

	(void)state;
	rig_open(&r, BASE, 2);
	rig_take(&r, 0, CHUNK);
	rig_take(&r, 1, CHUNK);
	put(r.snap[0], 0, CHUNK, 's');
	job = start(&r, 0, BLKREMAP_JOB_PAUSED);
	rig_pump(&r);
	assert_int_equal(state_of(job), BLKREMAP_JOB_IS_PAUSED);
	assert_int_equal(blkremap_job_start(r.snap[0], BLKREMAP_JOB_MERGE, NULL, &again), -EALREADY);
	assert_int_equal(blkremap_snapshot_drop(r.snap[0]), -EBUSY);
	assert_int_equal(blkremap_snapshot_reset(r.snap[0]), -EBUSY);
	assert_int_equal(blkremap_status(r.snap[0], &st), 0);
	used = st.store_used;
	put(r.snap[0], 4 * CHUNK, CHUNK, 't');
	assert_int_equal(blkremap_status(r.snap[0], &st), 0);
	assert_int_equal(st.store_used, used);
	expect_fill(r.origin, 4 * CHUNK, CHUNK, 't');
	assert_int_equal(blkremap_job_resume(job), 0);
	assert_int_equal(finish(&r, job), BLKREMAP_JOB_DONE);
	assert_true(blkremap_dm_status(r.snap[0], words, sizeof(words)) > 0);
	assert_string_equal(words, "16/2560 16");	/* used is metadata alone: the kernel's word for done */
	assert_int_equal(blkremap_snapshot_drop(r.snap[0]), 0);
	expect_old(r.snap[1], 0, BASE);
	assert_int_equal(finish(&r, start(&r, 1, 0)), BLKREMAP_JOB_DONE);
	expect_old(r.origin, 0, BASE);
	rig_close(&r);
}

static void a_cancelled_merge_goes_on_after_another_open(void **state)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .flags = BLKREMAP_SNAP_MERGING };
	struct blkremap_job *job;
	struct rig r;

	(void)state;
	rig_make(&r, 4 << 20, 1, 6 << 20);
	rig_origin(&r, 0);
	rig_take(&r, 0, CHUNK);
	put(r.snap[0], 0, 3 << 20, 's');
	disk_hold(&r.base, ON_FLUSH, 0, 0);
	r.base.hold.skip = 2;
	job = start(&r, 0, 0);
	for (int i = 0; i < 100 && !r.base.nr_held; i++)
		rig_pump(&r);
	assert_int_equal(r.base.nr_held, 1);
	assert_int_equal(blkremap_job_cancel(job), 0);
	disk_release_all(&r.base);
	assert_int_equal(finish(&r, job), BLKREMAP_JOB_CANCELED);
	expect_fill(r.origin, 0, 3 << 20, 's');
	rig_shut(&r);
	disk_crash(&r.base);
	disk_crash(&r.store[0]);
	rig_again(&r);
	rig_origin(&r, BLKREMAP_SUSPENDED);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, &o, &r.snap[0]), 0);
	assert_int_equal(blkremap_resume(r.origin), 0);
	expect_fill(r.origin, 0, 3 << 20, 's');
	assert_int_equal(finish(&r, start(&r, 0, 0)), BLKREMAP_JOB_DONE);
	rig_shut(&r);
	disk_crash(&r.base);
	for (int i = 0; i < 3 << 20; i++)
		assert_int_equal(r.base.data[i], 's');
	rig_close(&r);
}

/* M7: whatever fails first, both faces show the snapshot. */
static void a_merge_that_fails_anywhere_leaves_the_content(void **state)
{
	struct rig r;

	(void)state;
	for (uint32_t step = 0; step < 24; step++) {
		struct disk *d;
		uint32_t op = (uint32_t[]){ ON_READ, ON_WRITE, ON_FLUSH }[step % 3];

		rig_open(&r, BASE, 1);
		rig_take(&r, 0, CHUNK);
		put(r.snap[0], 0, 3 * CHUNK, 's');
		d = step / 3 % 2 ? &r.store[0] : &r.base;
		disk_fail(d, op, 0, UINT64_MAX, -EIO);
		d->fail.skip = step / 6;
		finish(&r, start(&r, 0, 0));
		d->fail.ops = 0;
		expect_fill(r.snap[0], 0, 3 * CHUNK, 's');
		expect_fill(r.origin, 0, 3 * CHUNK, 's');
		expect_old(r.origin, 3 * CHUNK, BASE - 3 * CHUNK);
		rig_close(&r);
	}
}

static void misuse_has_an_errno_and_a_sentence(void **state)
{
	struct blkremap_job *job;
	struct blkremap_dev *dev;
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	assert_int_equal(blkremap_job_start(r.origin, BLKREMAP_JOB_MERGE, NULL, &job), -EOPNOTSUPP);
	assert_int_equal(blkremap_job_start(NULL, BLKREMAP_JOB_MERGE, NULL, &job), -EINVAL);
	assert_int_equal(blkremap_job_start(r.origin, 99, NULL, &job), -EOPNOTSUPP);
	assert_int_equal(blkremap_snapshot_drop(NULL), -EINVAL);
	assert_int_equal(blkremap_snapshot_drop(r.origin), -EINVAL);
	assert_int_equal(blkremap_snapshot_reset(r.base.dev), -EINVAL);
	assert_int_equal(blkremap_snapshot_take(NULL, 1, -1, NULL), -EINVAL);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, NULL, NULL, &dev), -EINVAL);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, NULL, NULL), -EINVAL);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, NULL, &dev), -ENODATA);
	assert_int_equal(blkremap_origin_open(r.ctx, NULL, NULL, &dev), -EINVAL);
	assert_int_equal(blkremap_job_wait(NULL, 0), -EINVAL);
	assert_string_not_equal(blkremap_last_error(), "");
	rig_take(&r, 0, CHUNK);
	assert_int_equal(blkremap_snapshot_reset(r.snap[0]), -EINVAL);
	assert_int_equal(blkremap_ctx_free(r.ctx), -EBUSY);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_before_and_during_a_merge_are_not_lost),
		cmocka_unit_test(other_snapshots_keep_what_a_merge_overwrites),
		cmocka_unit_test(a_merging_snapshot_takes_no_exceptions_and_is_dropped_only_when_done),
		cmocka_unit_test(a_cancelled_merge_goes_on_after_another_open),
		cmocka_unit_test(a_merge_that_fails_anywhere_leaves_the_content),
		cmocka_unit_test(misuse_has_an_errno_and_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
