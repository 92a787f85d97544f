/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>

static struct br_dev *dev;
static struct br_sync s;

static void what_is_written_can_be_read_and_errors_come_back(void **state)
{
	(void)state;
	dev = rig_memory(1 << 20);
	rig_open(&s, dev);
	assert_int_equal(rig_write(&s, 4096, 8192, 1), 0);
	rig_assert_data(&s, 4608, 4096, 4608, 1);
	assert_int_equal(br_sync_simple(&s, BR_WRITE_ZEROES, 4096, 4096, 0), 0);
	rig_assert_zero(&s, 4096, 4096);
	assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), 0);
	assert_int_equal(br_sync_read(&s, rig_buf, 512, 1 << 20), -EIO);
	assert_int_equal(br_sync_write(&s, rig_buf, 511, 0, 0), -EINVAL);
	br_queue_enter(&s.queue);
	assert_int_equal(br_sync_read(&s, rig_buf, 512, 0), -EBUSY);
	br_queue_leave(&s.queue);
	br_sync_close(&s);
	br_dev_put(dev);
}

static void one_that_cannot_be_opened_leaves_no_queue(void **state)
{
	(void)state;
	dev = rig_memory(1 << 20);
	fake_allocs_left = 0;
	assert_int_equal(br_sync_open(&s, &rig, dev), -ENOMEM);
	fake_allocs_left = -1;
	assert_null(s.chan);
	assert_null(rig.control);
	assert_ptr_equal(rig.queues.next, &rig.service.ctx_link);
	assert_ptr_equal(rig.service.ctx_link.next, &rig.queues);
	br_dev_put(dev);
}

/* ---- ops ---- */

static int step_park(struct br_op *op)
{
	br_op_launch(op);
	return br_op_await(op, 1);
}

static int step_end(struct br_op *op)
{
	return br_op_fail(op, -ENOLCK);
}

static void finish(struct br_op *op, int error)
{
	(void)op;
	(void)error;
}

static const struct br_op_step steps[] = { { "park", step_park, BR_OP_END }, { "end", step_end, BR_OP_END } };
static const struct br_op_class class = { "parked", finish, steps };

static void an_op_that_outlives_the_deadline_goes_on_and_is_waited_for_at_close(void **state)
{
	uint64_t t = fake_now;
	struct br_op op;

	(void)state;
	rig_open(&s, NULL);
	assert_int_equal(br_sync_op(&s, &op, &class, t + 7000), -ETIMEDOUT);
	assert_int_equal(fake_now, t + 7000);
	assert_int_equal(s.queue.ops, 1);
	assert_false(br_op_ended(&op));
	br_op_grant(&op, 0);
	br_sync_close(&s);
	assert_true(br_op_ended(&op));
	assert_int_equal(op.error, -ENOLCK);
}

static void the_control_lock_is_taken_blocking_and_given_back(void **state)
{
	(void)state;
	rig_open(&s, NULL);
	br_queue_enter(&s.queue);
	br_sync_control(&s.queue);
	assert_non_null(rig.control);
	br_control_unlock(&rig);
	assert_null(rig.control);
	br_queue_leave(&s.queue);
	br_sync_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(what_is_written_can_be_read_and_errors_come_back),
		RIG_TEST(one_that_cannot_be_opened_leaves_no_queue),
		RIG_TEST(an_op_that_outlives_the_deadline_goes_on_and_is_waited_for_at_close),
		RIG_TEST(the_control_lock_is_taken_blocking_and_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
