/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>

#include "blkremap/blkremap.h"
#include "io/error.h"
#include "io/linear.h"

enum { KB = 1024, BYTES = 512 * KB };

static struct br_dev *a, *b, *dev;
static struct br_sync s;

/* 64 KiB of a, all of b, another 8 KiB of a, overlapping nothing. */
static void open_three(void)
{
	struct br_linear_segment segments[3];

	a = rig_memory(BYTES);
	b = rig_memory(BYTES);
	segments[0] = (struct br_linear_segment){ a, 128 * KB, 64 * KB };
	segments[1] = (struct br_linear_segment){ b, 0, 0 };
	segments[2] = (struct br_linear_segment){ a, 0, 8 * KB };
	assert_int_equal(br_linear_open(&rig, segments, 3, NULL, false, &dev), 0);
	rig_open(&s, dev);
}

static void close_three(void)
{
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
	assert_int_equal(br_dev_put(a), 0);
	assert_int_equal(br_dev_put(b), 0);
}

static void requests_are_split_at_borders(void **state)
{
	struct br_sync below;

	(void)state;
	open_three();
	assert_int_equal(dev->bytes, (64 + 512 + 8) * KB);
	assert_int_equal(rig_write(&s, 0, (64 + 512 + 8) * KB, 5), 0);
	rig_assert_data(&s, 0, (64 + 512 + 8) * KB, 0, 5);
	rig_assert_data(&s, 64 * KB - 512, 1024, 64 * KB - 512, 5);
	br_sync_close(&s);
	rig_open(&below, a);
	rig_assert_data(&below, 128 * KB, 64 * KB, 0, 5);
	rig_assert_data(&below, 0, 8 * KB, (64 + 512) * KB, 5);
	rig_assert_zero(&below, 8 * KB, 120 * KB);
	rig_assert_zero(&below, 192 * KB, BYTES - 192 * KB);
	br_sync_close(&below);
	rig_open(&below, b);
	rig_assert_data(&below, 0, BYTES, 64 * KB, 5);
	br_sync_close(&below);
	rig_open(&s, dev);
	assert_int_equal(br_sync_simple(&s, BR_DISCARD, 32 * KB, 64 * KB, 0), 0);
	rig_assert_data(&s, 0, 32 * KB, 0, 5);
	rig_assert_zero(&s, 32 * KB, 64 * KB);
	rig_assert_data(&s, 96 * KB, 64 * KB, 96 * KB, 5);
	close_three();
}

static void a_flush_goes_to_each_device_once(void **state)
{
	(void)state;
	open_three();
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), 0);
	br_sync_close(&s);
	assert_int_equal(a->counters[BR_COUNT_FLUSHES], 1);
	assert_int_equal(b->counters[BR_COUNT_FLUSHES], 1);
	rig_open(&s, dev);
	close_three();
}

static void extents_are_of_one_segment_and_in_our_numbers(void **state)
{
	struct blkremap_extent e[4];

	(void)state;
	open_three();
	assert_int_equal(rig_write(&s, 64 * KB, 512, 1), 0);
	assert_int_equal(rig_extents(&s, 32 * KB, 512 * KB, e, sizeof(e)), 1);
	assert_int_equal(e[0].offset, 32 * KB);
	assert_int_equal(e[0].length, 32 * KB);
	assert_int_equal(e[0].kind, BLKREMAP_EXT_HOLE | BLKREMAP_EXT_ZERO);
	assert_int_equal(e[0].at, 160 * KB);
	assert_int_equal(rig_extents(&s, 64 * KB, 512 * KB, e, sizeof(e)), 2);
	assert_int_equal(e[0].offset, 64 * KB);
	assert_int_equal(e[0].kind, BLKREMAP_EXT_DATA);
	assert_int_equal(e[0].dev_id, b->id);
	assert_int_equal(e[1].offset, (64 + 256) * KB);
	assert_int_equal(e[1].length, 256 * KB);
	close_three();
}

static void an_error_of_one_segment_is_the_requests_and_says_where(void **state)
{
	struct br_linear_segment segments[2];
	struct br_dev *bad = NULL;
	struct iovec iov = { rig_buf, 16 * KB };
	struct br_req req = { .op = BR_READ, .offset = 8 * KB, .length = 16 * KB, .iov = &iov, .iovcnt = 1 };

	(void)state;
	a = rig_memory(BYTES);
	assert_int_equal(br_error_open(&rig, NULL, &(struct br_error_opts){ .bytes = BYTES }, &bad), 0);
	segments[0] = (struct br_linear_segment){ a, 0, 16 * KB };
	segments[1] = (struct br_linear_segment){ bad, 64 * KB, 16 * KB };
	assert_int_equal(br_linear_open(&rig, segments, 2, NULL, false, &dev), 0);
	rig_open(&s, dev);
	assert_int_equal(br_sync_submit(&s, s.chan, &req), -EIO);
	assert_int_equal(req.fail_dev, bad->id);
	assert_int_equal(req.fail_offset, 64 * KB);
	assert_int_equal(br_sync_read(&s, rig_buf, 16 * KB, 0), 0);
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), -EIO);
	assert_false(dev->caps & BR_CAP_EXTENTS);	/* the bad one has none */
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
	assert_int_equal(br_dev_put(bad), 0);
	assert_int_equal(br_dev_put(a), 0);
}

static void more_segments_than_legs_are_served_in_turns(void **state)
{
	enum { N = 400 };
	static struct br_linear_segment segments[N];

	(void)state;
	a = rig_memory(BYTES);
	for (unsigned i = 0; i < N; i++)
		segments[i] = (struct br_linear_segment){ a, (N - 1 - i) * 1024, 1024 };
	assert_int_equal(br_linear_open(&rig, segments, N, NULL, false, &dev), 0);
	rig_open(&s, dev);
	assert_int_equal(rig_write(&s, 0, N * 1024, 2), 0);
	rig_assert_data(&s, 0, N * 1024, 0, 2);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
	rig_open(&s, a);
	for (uint64_t i = 0; i < N; i++)
		rig_assert_data(&s, (N - 1 - i) * 1024, 1024, i * 1024, 2);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(a), 0);
}

static void a_flush_of_more_devices_than_legs_reaches_all(void **state)
{
	enum { N = 200 };
	static struct br_linear_segment segments[N];

	(void)state;
	for (unsigned i = 0; i < N; i++)
		segments[i].dev = rig_memory(512);
	assert_int_equal(br_linear_open(&rig, segments, N, NULL, false, &dev), 0);
	assert_int_equal(dev->nr_lower, 2);	/* as many as are listed */
	assert_ptr_equal(dev->lower[1], segments[1].dev);
	rig_open(&s, dev);
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), 0);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(segments[i].dev->counters[BR_COUNT_FLUSHES], 1);
		assert_int_equal(br_dev_put(segments[i].dev), 0);
	}
}

static void segments_without_sense_are_refused(void **state)
{
	struct br_dev *coarse = NULL;
	struct br_memory_opts o = { .bytes = BYTES, .logical_block = 4096 };
	struct br_ctx elsewhere = { .env = &fake_env };

	(void)state;
	a = rig_memory(BYTES);
	dev = NULL;
	assert_int_equal(br_memory_open(&rig, &o, &coarse), 0);
	const struct br_linear_segment bad[][2] = {
		{ { a, BYTES, 0 }, { a, 0, 0 } },
		{ { a, 0, BYTES + 512 }, { a, 0, 0 } },
		{ { a, UINT64_MAX, 512 }, { a, 0, 0 } },
		{ { a, 512, 4096 }, { coarse, 0, 4096 } },
		{ { a, 0, 512 }, { coarse, 0, 4096 } },
		{ { coarse, 0, 4096 }, { a, 0, 512 } },
	};
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(br_linear_open(&rig, bad[i], 2, NULL, false, &dev), -EINVAL);
	assert_int_equal(br_linear_open(&rig, bad[0], 0, NULL, false, &dev), -EINVAL);
	assert_int_equal(br_linear_open(&elsewhere, bad[1], 1, NULL, false, &dev), -EINVAL);
	atomic_store(&a->bytes, UINT64_MAX & ~UINT64_C(511));
	assert_int_equal(br_linear_open(&rig, (struct br_linear_segment[]){ { a, 0, 0 }, { a, 0, 0 } }, 2, NULL, false,
					&dev), -EOVERFLOW);
	assert_null(dev);
	assert_null(a->claimed_by);
	assert_int_equal(br_dev_put(coarse), 0);
	assert_int_equal(br_dev_put(a), 0);
}

static void it_claims_what_it_writes_to_and_a_read_only_one_does_not(void **state)
{
	struct br_linear_segment segments[2];
	struct br_dev *second = NULL;

	(void)state;
	a = rig_memory(BYTES);
	b = rig_memory(BYTES);
	segments[0] = (struct br_linear_segment){ a, 0, 0 };
	segments[1] = (struct br_linear_segment){ b, 0, 0 };
	assert_int_equal(br_linear_open(&rig, &segments[1], 1, NULL, false, &dev), 0);
	assert_int_equal(br_linear_open(&rig, segments, 2, NULL, false, &second), -EBUSY);
	assert_null(a->claimed_by);
	assert_int_equal(br_linear_open(&rig, segments, 2, NULL, true, &second), 0);
	rig_open(&s, second);
	assert_int_equal(rig_write(&s, 0, 512, 1), -EROFS);
	rig_assert_zero(&s, 0, 2 * BYTES);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(second), 0);
	assert_ptr_equal(b->claimed_by, dev);
	assert_int_equal(br_dev_put(dev), 0);
	assert_int_equal(br_dev_put(a), 0);
	assert_int_equal(br_dev_put(b), 0);
}

static void out_of_memory_at_each_place_keeps_nothing(void **state)
{
	struct br_linear_segment segments[2];
	int before, r;

	(void)state;
	a = rig_memory(BYTES);
	b = rig_memory(BYTES);
	segments[0] = (struct br_linear_segment){ a, 0, 0 };
	segments[1] = (struct br_linear_segment){ b, 0, 0 };
	before = fake_allocs;
	for (int nth = 0;; nth++) {
		memset(&s, 0, sizeof(s));
		fake_allocs_left = nth;
		r = br_linear_open(&rig, segments, 2, "l", false, &dev);
		if (r == 0) {
			r = br_sync_open(&s, &rig, dev);
			if (r == 0)
				break;
			assert_int_equal(br_dev_put(dev), 0);
		}
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(fake_allocs, before);
		assert_null(a->claimed_by);
	}
	fake_allocs_left = -1;
	close_three();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(requests_are_split_at_borders),
		RIG_TEST(a_flush_goes_to_each_device_once),
		RIG_TEST(extents_are_of_one_segment_and_in_our_numbers),
		RIG_TEST(an_error_of_one_segment_is_the_requests_and_says_where),
		RIG_TEST(more_segments_than_legs_are_served_in_turns),
		RIG_TEST(a_flush_of_more_devices_than_legs_reaches_all),
		RIG_TEST(segments_without_sense_are_refused),
		RIG_TEST(it_claims_what_it_writes_to_and_a_read_only_one_does_not),
		RIG_TEST(out_of_memory_at_each_place_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
