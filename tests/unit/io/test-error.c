/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>

#include "blkremap/blkremap.h"
#include "io/error.h"

enum { BYTES = 1 << 20 };

static struct br_dev *lower, *dev, *a_second;
static struct br_sync s;

static void open_with(const struct br_error_opts *o)
{
	lower = rig_memory(BYTES);
	assert_int_equal(br_error_open(&rig, lower, o, &dev), 0);
	rig_open(&s, dev);
}

static void close_all(void)
{
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
	assert_int_equal(br_dev_put(lower), 0);
}

static void without_a_device_below_everything_fails(void **state)
{
	static const uint32_t ops[] = { BR_FLUSH, BR_DISCARD, BR_WRITE_ZEROES };

	(void)state;
	assert_int_equal(br_error_open(&rig, NULL, &(struct br_error_opts){ .bytes = 4096 }, &dev), 0);
	rig_open(&s, dev);
	assert_int_equal(br_sync_read(&s, rig_buf, 512, 0), -EIO);
	assert_int_equal(rig_write(&s, 0, 512, 1), -EIO);
	for (int i = 0; i < 3; i++)
		assert_int_equal(br_sync_simple(&s, ops[i], 0, 512, 0), -EIO);
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
	assert_int_equal(br_error_open(&rig, NULL, &(struct br_error_opts){ .bytes = 100 }, &dev), -EINVAL);
}

static void only_the_nth_request_of_the_kind_fails(void **state)
{
	struct br_error_opts o = { .ops = BR_ERROR_WRITES, .nth = 3, .once = true, .error = -ENOSPC };

	(void)state;
	open_with(&o);
	for (uint64_t i = 1; i <= 5; i++) {
		assert_int_equal(rig_write(&s, i * 512, 512, 1), i == 3 ? -ENOSPC : 0);
		assert_int_equal(br_sync_read(&s, rig_buf, 512, 0), 0);
		assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), 0);
	}
	rig_assert_zero(&s, 3 * 512, 512);
	rig_assert_data(&s, 4 * 512, 512, 4 * 512, 1);
	close_all();
}

static void all_from_the_nth_flush_on_fail_until_it_is_disarmed(void **state)
{
	struct br_error_opts o = { .ops = BR_ERROR_FLUSHES, .nth = 2 };

	(void)state;
	open_with(&o);
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), 0);
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), -EIO);
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), -EIO);
	br_error_arm(dev, false);
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), 0);
	br_error_arm(dev, true);
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), 0);
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), -EIO);
	close_all();
}

static void a_failure_tells_where_it_was(void **state)
{
	struct br_error_opts o = { .ops = BR_ERROR_READS };
	struct iovec iov = { rig_buf, 512 };
	struct br_req req = { .op = BR_READ, .offset = 1024, .length = 512, .iov = &iov, .iovcnt = 1 };

	(void)state;
	open_with(&o);
	assert_int_equal(br_sync_submit(&s, s.chan, &req), -EIO);
	assert_int_equal(req.code, BLKREMAP_CODE_MEDIUM);
	assert_int_equal(req.fail_dev, dev->id);
	assert_int_equal(req.fail_offset, 1024);
	close_all();
}

static void it_looks_like_the_device_below_and_claims_it(void **state)
{
	struct br_error_opts o = { .nth = 1000 };
	struct br_dev *second = NULL;
	struct blkremap_extent e[4];
	uint64_t bytes = 0;

	(void)state;
	open_with(&o);
	assert_int_equal(dev->caps, lower->caps);
	assert_int_equal(dev->bytes, BYTES);
	assert_int_equal(rig_write(&s, 0, 512, 1), 0);
	assert_int_equal(rig_extents(&s, 0, BYTES, e, sizeof(e)), 2);
	assert_int_equal(e[0].dev_id, lower->id);
	assert_int_equal(br_error_open(&rig, lower, &o, &second), -EBUSY);
	assert_null(second);
	assert_int_equal(dev->ops->resize(dev, BYTES / 2, &bytes), 0);
	assert_int_equal(dev->bytes, BYTES / 2);
	close_all();
}

static void more_requests_than_legs_wait_their_turn(void **state)
{
	struct br_error_opts o = { .nth = 100000 };
	static struct br_req reqs[500];
	static uint8_t bufs[500][512];
	static struct iovec iovs[500];
	static _Bool done[500];

	(void)state;
	open_with(&o);
	assert_int_equal(rig_write(&s, 0, 500 * 512, 3), 0);
	br_queue_enter(&s.queue);
	for (unsigned i = 0; i < 500; i++) {
		iovs[i] = (struct iovec){ bufs[i], 512 };
		reqs[i] = (struct br_req){ .op = BR_READ, .offset = i * 512, .length = 512, .iov = &iovs[i],
					   .iovcnt = 1, .priv = &done[i] };
		reqs[i].done = rig_mark_done;
		br_submit(s.chan, &reqs[i]);
	}
	while (br_queue_run(&s.queue))
		;
	br_queue_leave(&s.queue);
	for (unsigned i = 0; i < 500; i++) {
		assert_true(done[i]);
		assert_int_equal(reqs[i].result, 0);
		assert_int_equal(bufs[i][17], rig_byte(i * 512 + 17, 3));
	}
	close_all();
}

static void what_cannot_be_below_it_is_left_alone(void **state)
{
	struct br_error_opts o = { .name = "taken" };
	struct br_dev *second = NULL, *fixed = NULL;
	struct br_ctx elsewhere = { .env = &fake_env };
	uint64_t bytes = 0;

	(void)state;
	open_with(&o);
	a_second = rig_memory(BYTES);
	assert_int_equal(br_error_open(&rig, a_second, &o, &second), -EEXIST);
	assert_null(a_second->claimed_by);
	assert_int_equal(br_error_open(&elsewhere, a_second, &o, &second), -EINVAL);
	assert_null(second);
	assert_int_equal(br_dev_put(a_second), 0);
	assert_int_equal(dev->ops->resize(dev, 3 * BYTES, &bytes), -EINVAL);	/* the lower one's answer */
	close_all();
	assert_int_equal(br_error_open(&rig, NULL, &(struct br_error_opts){ .bytes = 4096 }, &fixed), 0);
	assert_int_equal(fixed->ops->resize(fixed, 8192, &bytes), -EOPNOTSUPP);
	assert_int_equal(fixed->ops->resize(fixed, 0, &bytes), 0);
	assert_int_equal(bytes, 4096);
	assert_int_equal(br_dev_put(fixed), 0);
}

static void out_of_memory_at_each_place_keeps_nothing(void **state)
{
	struct br_error_opts o = { .name = "e" };
	int before, r;

	(void)state;
	lower = rig_memory(BYTES);
	before = fake_allocs;
	for (int nth = 0;; nth++) {
		memset(&s, 0, sizeof(s));
		fake_allocs_left = nth;
		r = br_error_open(&rig, lower, &o, &dev);
		if (r == 0) {
			r = br_sync_open(&s, &rig, dev);
			if (r == 0)
				break;
			assert_int_equal(br_dev_put(dev), 0);
		}
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(fake_allocs, before);
		assert_null(lower->claimed_by);
	}
	fake_allocs_left = -1;
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(without_a_device_below_everything_fails),
		RIG_TEST(only_the_nth_request_of_the_kind_fails),
		RIG_TEST(all_from_the_nth_flush_on_fail_until_it_is_disarmed),
		RIG_TEST(a_failure_tells_where_it_was),
		RIG_TEST(it_looks_like_the_device_below_and_claims_it),
		RIG_TEST(more_requests_than_legs_wait_their_turn),
		RIG_TEST(what_cannot_be_below_it_is_left_alone),
		RIG_TEST(out_of_memory_at_each_place_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
