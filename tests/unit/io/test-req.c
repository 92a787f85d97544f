/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>

static struct br_dev *dev;
static struct br_sync s;

static void open_all(void)
{
	dev = rig_memory(1 << 20);
	rig_open(&s, dev);
	br_queue_enter(&s.queue);
}

static void close_all(void)
{
	br_queue_leave(&s.queue);
	br_sync_close(&s);
	br_dev_put(dev);
}

static int ends;

static void count_end(struct br_req *req)
{
	(void)req;
	ends++;
}

/* As a device has it: submitted, inside, not complete. */
static struct br_req parent_of(unsigned op)
{
	struct br_req p = { .op = op, .offset = 4096, .length = 4096, .chan = s.chan, .done = count_end };

	ends = 0;
	return p;
}

static void a_parent_ends_with_its_last_leg_and_has_the_first_error_with_its_place(void **state)
{
	struct br_req parent, legs[3] = {
		{ .result = 0 },
		{ .result = -EIO, .code = 7, .fail_dev = 5, .fail_offset = 512 },
		{ .result = -ENOSPC, .code = 8, .fail_dev = 6 },
	};

	(void)state;
	open_all();
	parent = parent_of(BR_READ);
	s.chan->in_flight++;
	br_req_legs_begin(&parent);
	for (unsigned i = 0; i < 3; i++)
		br_req_leg_add(&parent);
	br_req_leg_done(&parent, &legs[0]);	/* while others are still being made */
	br_req_legs_end(&parent);
	br_req_leg_done(&parent, &legs[1]);
	assert_int_equal(s.chan->in_flight, 1);
	br_req_leg_done(&parent, &legs[2]);
	assert_int_equal(s.chan->in_flight, 0);
	assert_int_equal(parent.result, -EIO);
	assert_int_equal(parent.code, 7);
	assert_int_equal(parent.fail_dev, 5);
	assert_int_equal(parent.fail_offset, 512);
	parent.task.run = NULL;
	br_task_list_init(&s.queue.ready);
	close_all();
}

/* Vectors of odd sizes, some empty; any slice of them. */
static void a_slice_of_a_request_is_the_same_bytes_by_vectors_and_by_copy(void **state)
{
	static const size_t sizes[] = { 512, 0, 1, 511, 1500, 0, 0, 36, 1536 };
	uint8_t data[4096], out[4096];
	struct iovec iov[9], got[9];
	struct br_req parent, leg;
	size_t at = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = rig_byte(i, 3);
	for (unsigned i = 0; i < 9; i++, at += sizes[i - 1])
		iov[i] = (struct iovec){ data + at, sizes[i] };
	parent = (struct br_req){ .op = BR_READ, .flags = BR_FUA, .offset = 8192, .length = 4096, .iov = iov,
				  .iovcnt = 9 };
	for (uint64_t from = 0; from < 4096; from += 128) {
		for (uint64_t n = 128; from + n <= 4096; n += 384) {
			uint64_t sum = 0;
			int k;

			br_req_slice(&leg, &parent, from, n);
			assert_int_equal(leg.offset, 8192 + from);
			assert_int_equal(leg.flags, BR_FUA);
			k = br_req_iov(&leg, got, 9);
			assert_in_range(k, 1, 9);
			for (int i = 0; i < k; i++) {
				assert_ptr_equal(got[i].iov_base, data + from + sum);
				sum += got[i].iov_len;
			}
			assert_int_equal(sum, n);
			if (k > 1)
				assert_int_equal(br_req_iov(&leg, got, k - 1), -E2BIG);
			memset(out, 0xaa, sizeof(out));
			br_req_copy_out(&leg, 64, out, n - 64);
			assert_memory_equal(out, data + from + 64, n - 64);
			assert_int_equal(out[n - 64], 0xaa);
		}
	}
	br_req_slice(&leg, &parent, 100, 2000);
	br_req_copy_in(&leg, 10, NULL, 1000);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(data[i], i >= 110 && i < 1110 ? 0 : rig_byte(i, 3));
	memset(out, 0x55, sizeof(out));
	br_req_copy_in(&leg, 10, out, 1000);
	assert_int_equal(data[109], rig_byte(109, 3));
	assert_int_equal(data[110], 0x55);
	assert_int_equal(data[1109], 0x55);
	assert_int_equal(data[1110], rig_byte(1110, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_parent_ends_with_its_last_leg_and_has_the_first_error_with_its_place),
		RIG_TEST(a_slice_of_a_request_is_the_same_bytes_by_vectors_and_by_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
