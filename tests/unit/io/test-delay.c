/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>

#include "io/delay.h"

enum { BYTES = 1 << 20 };

static struct br_dev *lower, *dev;
static struct br_sync s;

static const struct br_delay_opts opts = { .read_ns = 1000000, .write_ns = 2000000, .flush_ns = 5000000 };

static void open_all(void)
{
	lower = rig_memory(BYTES);
	assert_int_equal(br_delay_open(&rig, lower, &opts, &dev), 0);
	rig_open(&s, dev);
}

static void close_all(void)
{
	br_sync_close(&s);
	assert_int_equal(br_dev_put(dev), 0);
	assert_int_equal(br_dev_put(lower), 0);
}

static void each_kind_has_its_own_delay_and_arrives(void **state)
{
	uint64_t t;

	(void)state;
	open_all();
	t = fake_now;
	assert_int_equal(rig_write(&s, 512, 4096, 1), 0);
	assert_in_range(fake_now - t, 2000000, 2100000);
	t = fake_now;
	rig_assert_data(&s, 512, 4096, 512, 1);
	assert_in_range(fake_now - t, 1000000, 1100000);
	t = fake_now;
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), 0);
	assert_in_range(fake_now - t, 5000000, 5100000);
	t = fake_now;
	assert_int_equal(br_sync_simple(&s, BR_DISCARD, 0, BYTES, 0), 0);
	assert_in_range(fake_now - t, 2000000, 2100000);
	close_all();
}

static void without_a_delay_it_only_passes_on(void **state)
{
	uint64_t t;

	(void)state;
	open_all();
	br_delay_set(dev, &(struct br_delay_opts){ .read_ns = 0 });
	t = fake_now;
	assert_int_equal(rig_write(&s, 0, 4096, 1), 0);
	rig_assert_data(&s, 0, 4096, 0, 1);
	assert_int_equal(fake_now, t);
	close_all();
}

static void many_wait_at_the_same_time_and_the_quick_ones_overtake(void **state)
{
	static struct br_req reqs[300];
	static _Bool done[300];
	uint64_t t;

	(void)state;
	open_all();
	t = fake_now;
	br_queue_enter(&s.queue);
	for (unsigned i = 0; i < 300; i++) {
		done[i] = false;
		reqs[i] = (struct br_req){ .op = i ? BR_DISCARD : BR_FLUSH, .offset = 512 * i, .length = 512,
					   .done = rig_mark_done, .priv = &done[i] };
		br_submit(s.chan, &reqs[i]);
	}
	assert_true(br_block(&rig, &s.queue, rig_is_true, &done[1], BR_NEVER));
	assert_false(done[0]);
	assert_in_range(fake_now - t, 2000000, 2100000);
	for (unsigned i = 0; i < 300; i++)
		assert_true(br_block(&rig, &s.queue, rig_is_true, &done[i], BR_NEVER));
	br_queue_leave(&s.queue);
	assert_in_range(fake_now - t, 5000000, 8100000);	/* not 300 times 2 ms */
	close_all();
}

static void an_error_below_comes_through(void **state)
{
	uint64_t bytes;

	(void)state;
	open_all();
	assert_int_equal(lower->ops->resize(lower, BYTES / 2, &bytes), 0);
	assert_int_equal(br_sync_read(&s, rig_buf, 512, BYTES / 2), -EIO);
	assert_int_equal(dev->ops->resize(dev, 0, &bytes), 0);
	assert_int_equal(dev->bytes, BYTES / 2);
	close_all();
}

static void a_name_in_use_leaves_the_device_below_alone(void **state)
{
	struct br_delay_opts o = { .read_ns = 1 };
	struct br_dev *second = NULL;

	(void)state;
	open_all();
	lower = rig_memory(BYTES);
	o.name = dev->name;
	assert_int_equal(br_delay_open(&rig, lower, &o, &second), -EEXIST);
	assert_null(second);
	assert_null(lower->claimed_by);
	assert_int_equal(br_dev_put(lower), 0);
	lower = dev->lower[0];
	close_all();
}

static void out_of_memory_at_each_place_keeps_nothing(void **state)
{
	int before, r;

	(void)state;
	lower = rig_memory(BYTES);
	before = fake_allocs;
	for (int nth = 0;; nth++) {
		memset(&s, 0, sizeof(s));
		fake_allocs_left = nth;
		r = br_delay_open(&rig, lower, &opts, &dev);
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
		RIG_TEST(each_kind_has_its_own_delay_and_arrives),
		RIG_TEST(without_a_delay_it_only_passes_on),
		RIG_TEST(many_wait_at_the_same_time_and_the_quick_ones_overtake),
		RIG_TEST(an_error_below_comes_through),
		RIG_TEST(a_name_in_use_leaves_the_device_below_alone),
		RIG_TEST(out_of_memory_at_each_place_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
