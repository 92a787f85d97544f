/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>

#include "blkremap/blkremap.h"

enum { KB = 1024, BLOCK = 256 * KB };

static void what_was_not_written_reads_as_zeroes(void **state)
{
	struct br_dev *dev = rig_memory(4 * BLOCK);
	struct br_sync s;

	(void)state;
	rig_open(&s, dev);
	assert_int_equal(rig_write(&s, BLOCK - 512, 1024, 1), 0);	/* across a border */
	rig_assert_zero(&s, 0, BLOCK - 512);
	rig_assert_data(&s, BLOCK - 512, 1024, BLOCK - 512, 1);
	rig_assert_zero(&s, BLOCK + 512, 3 * BLOCK - 512);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
}

static void discarding_zeroes_and_gives_memory_back(void **state)
{
	struct br_dev *dev = rig_memory(4 * BLOCK);
	int before = fake_allocs, with_data;
	struct br_sync s;

	(void)state;
	rig_open(&s, dev);
	with_data = fake_allocs;
	assert_int_equal(rig_write(&s, 0, 4 * BLOCK, 1), 0);
	assert_int_equal(fake_allocs, with_data + 4);
	assert_int_equal(br_sync_simple(&s, BR_DISCARD, BLOCK - 4096, 2 * BLOCK, 0), 0);
	assert_int_equal(fake_allocs, with_data + 3);
	rig_assert_data(&s, 0, BLOCK - 4096, 0, 1);
	rig_assert_zero(&s, BLOCK - 4096, 2 * BLOCK);
	rig_assert_data(&s, 3 * BLOCK - 4096, BLOCK + 4096, 3 * BLOCK - 4096, 1);
	br_sync_close(&s);
	assert_int_equal(fake_allocs, before + 4 - 1);
	assert_int_equal(br_dev_put(dev), 0);
}

static void write_zeroes_keeps_memory_unless_it_may_unmap(void **state)
{
	struct br_dev *dev = rig_memory(2 * BLOCK);
	struct br_sync s;
	int full;

	(void)state;
	rig_open(&s, dev);
	assert_int_equal(rig_write(&s, 0, 2 * BLOCK, 1), 0);
	full = fake_allocs;
	assert_int_equal(br_sync_simple(&s, BR_WRITE_ZEROES, 0, BLOCK, 0), 0);
	assert_int_equal(fake_allocs, full);
	rig_assert_zero(&s, 0, BLOCK);
	assert_int_equal(br_sync_simple(&s, BR_WRITE_ZEROES, 0, 2 * BLOCK, BR_MAY_UNMAP), 0);
	assert_int_equal(fake_allocs, full - 2);
	rig_assert_zero(&s, 0, 2 * BLOCK);
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), 0);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
}

static void extents_are_joined_and_clipped(void **state)
{
	struct br_dev *dev = rig_memory(8 * BLOCK);
	struct blkremap_extent e[8];
	struct br_sync s;

	(void)state;
	rig_open(&s, dev);
	assert_int_equal(rig_write(&s, 2 * BLOCK, 512, 1), 0);
	assert_int_equal(rig_write(&s, 3 * BLOCK, 512, 1), 0);
	assert_int_equal(rig_extents(&s, 512, 6 * BLOCK, e, sizeof(e)), 3);
	assert_int_equal(e[0].offset, 512);
	assert_int_equal(e[0].length, 2 * BLOCK - 512);
	assert_int_equal(e[0].kind, BLKREMAP_EXT_HOLE | BLKREMAP_EXT_ZERO);
	assert_int_equal(e[1].offset, 2 * BLOCK);
	assert_int_equal(e[1].length, 2 * BLOCK);
	assert_int_equal(e[1].kind, BLKREMAP_EXT_DATA);
	assert_int_equal(e[1].dev_id, dev->id);
	assert_int_equal(e[2].offset + e[2].length, 512 + 6 * BLOCK);
	assert_int_equal(rig_extents(&s, 0, 8 * BLOCK, e, 2 * sizeof(e[0])), 2);
	assert_int_equal(e[1].length, 2 * BLOCK);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
}

static void extents_fill_what_is_left_of_the_vectors(void **state)
{
	struct br_dev *dev = rig_memory(4 * BLOCK);
	struct blkremap_extent e[3];
	struct iovec iov = { e, sizeof(e) };
	struct br_req req = { .op = BR_EXTENTS, .length = 4 * BLOCK, .iov = &iov, .iovcnt = 1,
			      .iov_skip = sizeof(e[0]) };
	struct br_sync s;

	(void)state;
	memset(e, 0xff, sizeof(e));
	rig_open(&s, dev);
	assert_int_equal(rig_write(&s, BLOCK, 512, 1), 0);	/* a hole, data, a hole */
	assert_int_equal(br_sync_submit(&s, s.chan, &req), 2);
	assert_true(e[0].offset == UINT64_MAX);
	assert_int_equal(e[1].offset, 0);
	assert_int_equal(e[2].offset, BLOCK);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
}

static void growing_again_after_shrinking_brings_zeroes(void **state)
{
	struct br_memory_opts o = { .bytes = 2 * BLOCK, .max_bytes = 4 * BLOCK };
	struct br_dev *dev = NULL;
	uint64_t bytes = 0;
	struct br_sync s;
	int with_two;

	(void)state;
	assert_int_equal(br_memory_open(&rig, &o, &dev), 0);
	rig_open(&s, dev);
	assert_int_equal(rig_write(&s, 0, 2 * BLOCK, 1), 0);
	with_two = fake_allocs;
	assert_int_equal(dev->ops->resize(dev, BLOCK + 512, &bytes), 0);
	assert_int_equal(bytes, BLOCK + 512);
	assert_int_equal(fake_allocs, with_two);
	assert_int_equal(dev->ops->resize(dev, BLOCK, &bytes), 0);
	assert_int_equal(dev->ops->resize(dev, BLOCK / 2, &bytes), 0);
	assert_int_equal(fake_allocs, with_two);	/* partly cut off: kept */
	assert_int_equal(dev->ops->resize(dev, 2 * BLOCK, &bytes), 0);
	assert_int_equal(rig_write(&s, BLOCK, BLOCK, 1), 0);
	with_two = fake_allocs;
	assert_int_equal(dev->ops->resize(dev, BLOCK, &bytes), 0);
	assert_int_equal(fake_allocs, with_two - 1);	/* wholly cut off: given back */
	assert_int_equal(dev->ops->resize(dev, BLOCK + 512, &bytes), 0);
	assert_int_equal(rig_write(&s, 0, BLOCK + 512, 1), 0);
	assert_int_equal(br_sync_read(&s, rig_buf, 512, BLOCK + 512), -EIO);
	assert_int_equal(dev->ops->resize(dev, 4 * BLOCK, &bytes), 0);
	rig_assert_data(&s, 0, BLOCK + 512, 0, 1);
	rig_assert_zero(&s, BLOCK + 512, 3 * BLOCK - 512);
	assert_int_equal(dev->ops->resize(dev, 4 * BLOCK + 512, &bytes), -EINVAL);
	assert_int_equal(dev->ops->resize(dev, 0, &bytes), 0);
	assert_int_equal(bytes, 4 * BLOCK);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
}

static void a_read_only_one_refuses_writes(void **state)
{
	struct br_memory_opts o = { .bytes = BLOCK, .read_only = true };
	struct br_dev *dev = NULL;
	struct br_sync s;

	(void)state;
	assert_int_equal(br_memory_open(&rig, &o, &dev), 0);
	rig_open(&s, dev);
	assert_int_equal(rig_write(&s, 0, 512, 1), -EROFS);
	rig_assert_zero(&s, 0, BLOCK);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
}

static void no_memory_for_a_write_fails_that_write_only(void **state)
{
	struct br_dev *dev = rig_memory(2 * BLOCK);
	struct br_sync s;

	(void)state;
	rig_open(&s, dev);
	assert_int_equal(rig_write(&s, 0, 512, 1), 0);
	fake_allocs_left = 0;
	assert_int_equal(rig_write(&s, BLOCK, 512, 1), -ENOMEM);
	assert_int_equal(rig_write(&s, 512, 512, 1), 0);
	fake_allocs_left = -1;
	rig_assert_data(&s, 0, 1024, 0, 1);
	rig_assert_zero(&s, BLOCK, BLOCK);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
}

static struct br_sync other;

static void write_from_another_queue(void)
{
	assert_int_equal(rig_write(&other, BLOCK, 1024, 2), 0);
}

static void two_first_writes_to_a_block_at_a_time_share_its_memory(void **state)
{
	struct br_dev *dev = rig_memory(2 * BLOCK);
	uint8_t mine[512];
	struct br_sync s;
	int before;

	(void)state;
	rig_open(&s, dev);
	rig_open(&other, dev);
	before = fake_allocs;
	memset(mine, 9, sizeof(mine));
	fake_on_alloc = write_from_another_queue;
	assert_int_equal(br_sync_write(&s, mine, 512, BLOCK, 0), 0);
	assert_int_equal(fake_allocs, before + 1);
	rig_assert_data(&s, BLOCK + 512, 512, BLOCK + 512, 2);	/* the other's, beside ours */
	assert_int_equal(br_sync_read(&s, rig_buf, 512, BLOCK), 0);
	assert_memory_equal(rig_buf, mine, 512);
	br_sync_close(&other);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
}

static void opening_without_memory_or_sense_keeps_nothing(void **state)
{
	static const struct br_memory_opts bad[] = {
		{ .bytes = 0 }, { .bytes = 513 }, { .bytes = 512, .logical_block = 4096 },
		{ .bytes = 4096, .logical_block = 256 }, { .bytes = 4096, .logical_block = 1000 },
		{ .bytes = 1024, .max_bytes = 512 },
		{ .bytes = UINT64_MAX & ~UINT64_C(511), .logical_block = 8192 },
	};
	struct br_memory_opts o = { .bytes = BLOCK, .name = "m" };
	struct br_dev *dev = NULL, *again = NULL;

	(void)state;
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(br_memory_open(&rig, &bad[i], &dev), -EINVAL);
	for (int nth = 0; nth < 2; nth++) {
		fake_allocs_left = nth;
		assert_int_equal(br_memory_open(&rig, &o, &dev), -ENOMEM);
	}
	fake_allocs_left = -1;
	assert_null(dev);
	assert_int_equal(br_memory_open(&rig, &o, &dev), 0);
	assert_int_equal(br_memory_open(&rig, &o, &again), -EEXIST);
	assert_null(again);
	assert_int_equal(br_dev_put(dev), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(what_was_not_written_reads_as_zeroes),
		RIG_TEST(discarding_zeroes_and_gives_memory_back),
		RIG_TEST(write_zeroes_keeps_memory_unless_it_may_unmap),
		RIG_TEST(extents_are_joined_and_clipped),
		RIG_TEST(extents_fill_what_is_left_of_the_vectors),
		RIG_TEST(growing_again_after_shrinking_brings_zeroes),
		RIG_TEST(a_read_only_one_refuses_writes),
		RIG_TEST(no_memory_for_a_write_fails_that_write_only),
		RIG_TEST(two_first_writes_to_a_block_at_a_time_share_its_memory),
		RIG_TEST(opening_without_memory_or_sense_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
