/* SPDX-License-Identifier: BSD-3-Clause */
/* The caller's devices: when requests go out and come back, and what happens when the caller is unwilling. */
#include "user-rig.h"

#include <errno.h>

/* ---- flow ------------------------------------------------------------------------------------------------------ */

static void what_is_not_taken_comes_again_in_order_after_a_completion(void **state)
{
	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW });
	holds = true;
	takes = 2;
	for (unsigned i = 0; i < 7; i++)
		submit_to(&s, i, BR_READ, i * 512, 512);
	run(&s);
	assert_int_equal(nr_submits, 1);	/* one batch; two taken, then silence */
	assert_int_equal(nr_held, 2);
	run(&s);
	assert_int_equal(nr_submits, 1);
	assert_true(br_list_empty(&rig.timers));	/* a completion will come */
	takes = 1;
	while (nr_held) {
		finish_held(0, 0);
		run(&s);
	}
	for (unsigned i = 0; i < 7; i++) {
		assert_int_equal(seen[i].offset, i * 512);
		assert_true(done[i]);
	}
	assert_int_equal(nr_seen, 7);
	close_push();
}

static void a_caller_that_takes_nothing_at_all_is_asked_again_after_a_while(void **state)
{
	uint64_t t;

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW });
	takes = 0;
	submit_to(&s, 0, BR_READ, 0, 512);
	run(&s);
	assert_int_equal(nr_submits, 1);
	takes = UINT32_MAX;
	t = fake_now;
	br_queue_enter(&s.queue);
	assert_true(br_block(&rig, &s.queue, rig_is_true, &done[0], fake_now + 1000000000));
	br_queue_leave(&s.queue);
	assert_in_range(fake_now - t, 500000, 2000000);
	assert_int_equal(nr_submits, 2);
	close_push();
}

static void a_device_is_closed_while_a_retry_is_armed(void **state)
{
	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW });
	takes = 0;
	submit_to(&s, 0, BR_READ, 0, 512);
	run(&s);
	takes = UINT32_MAX;
	br_user_send(user);		/* stalled: nothing happens */
	assert_int_equal(nr_submits, 1);
	user->stalled = false;		/* as if a completion had come in between */
	br_user_send(user);
	run(&s);
	assert_true(done[0]);
	assert_true(user->retry_armed);
	close_push();
	assert_true(br_list_empty(&rig.timers));
}

static void a_device_is_closed_while_a_retry_is_on_its_way(void **state)
{
	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW });
	takes = 0;
	submit_to(&s, 0, BR_READ, 0, 512);
	run(&s);
	takes = UINT32_MAX;
	user->stalled = false;
	br_user_send(user);
	run(&s);
	fake_now += 1000000000;
	br_timers_fire(&rig);		/* its task is posted now, and not run */
	assert_true(user->retry_armed);
	close_push();
}

static void an_error_from_submit_is_the_first_requests(void **state)
{
	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW });
	refuses = -EACCES;
	for (unsigned i = 0; i < 3; i++)
		submit_to(&s, i, BR_READ, i * 512, 512);
	run(&s);
	assert_int_equal(reqs[0].result, -EACCES);
	assert_int_equal(reqs[1].result | reqs[2].result, 0);
	assert_true(done[0] && done[1] && done[2]);
	assert_int_equal(nr_seen, 2);
	close_push();
}

static void no_more_than_max_inflight_are_with_the_caller(void **state)
{
	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW, .max_inflight = 3 });
	holds = true;
	for (unsigned i = 0; i < 200; i++)
		submit_to(&s, i, BR_READ, i * 512, 512);
	run(&s);
	while (nr_held) {
		finish_held(nr_held / 2, 0);
		run(&s);
	}
	assert_int_equal(most_held, 3);
	for (unsigned i = 0; i < 200; i++)
		assert_true(done[i]);
	close_push();
}

static void an_id_is_good_once(void **state)
{
	uint64_t id;

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW });
	holds = true;
	submit_to(&s, 0, BR_READ, 0, 512);
	run(&s);
	id = held[0].id;
	assert_int_equal(br_user_complete(user, 0, 0), -ENOENT);
	assert_int_equal(br_user_complete(user, id + 1, 0), -ENOENT);
	assert_int_equal(br_user_complete(user, id + (UINT64_C(1) << 32), 0), -ENOENT);
	assert_int_equal(br_user_complete(user, UINT64_MAX, 0), -ENOENT);
	assert_int_equal(br_user_complete(user, id, 0), 0);
	assert_int_equal(br_user_complete(user, id, 0), -ENOENT);
	run(&s);
	assert_int_equal(br_user_complete(user, id, 0), -ENOENT);
	nr_held = 0;
	submit_to(&s, 0, BR_READ, 0, 512);
	run(&s);
	assert_int_not_equal(held[0].id, id);
	finish_held(0, 0);
	run(&s);
	close_push();
}

static void a_completion_on_one_queue_lets_another_queues_request_go(void **state)
{
	struct br_sync other;

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW, .max_inflight = 1 });
	rig_open(&other, dev);
	holds = true;
	submit_to(&s, 0, BR_READ, 0, 512);
	run(&s);
	submit_to(&other, 1, BR_READ, 512, 512);
	run(&other);
	assert_int_equal(nr_held, 1);
	finish_held(0, 0);
	assert_int_not_equal(rig.waits, 0);	/* so that its queue is helped if its owner neglects it */
	run(&other);				/* not the queue that the completion went to */
	assert_int_equal(rig.waits, 0);
	assert_int_equal(nr_held, 1);
	finish_held(0, 0);
	run(&s);
	run(&other);
	assert_true(done[0] && done[1]);
	br_sync_close(&other);
	close_push();
}

static void a_queue_is_nudged_once_however_many_completions_come(void **state)
{
	struct br_sync other;

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW, .max_inflight = 2 });
	rig_open(&other, dev);
	holds = true;
	for (unsigned i = 0; i < 2; i++)
		submit_to(&s, i, BR_READ, i * 512, 512);
	run(&s);
	for (unsigned i = 2; i < 4; i++)
		submit_to(&other, i, BR_READ, i * 512, 512);
	run(&other);
	finish_held(0, 0);
	finish_held(0, 0);
	assert_int_equal(rig.waits, 1);
	run(&other);
	assert_int_equal(rig.waits, 0);
	assert_int_equal(nr_held, 2);
	finish_held(0, 0);
	finish_held(0, 0);
	run(&s);
	run(&other);
	for (unsigned i = 0; i < 4; i++)
		assert_true(done[i]);
	br_sync_close(&other);
	close_push();
}

/* ---- size ------------------------------------------------------------------------------------------------------ */

static struct br_event event;
static unsigned nr_events;

static void on_event(struct br_ctx *ctx, const struct br_event *e)
{
	(void)ctx;
	event = *e;
	nr_events++;
}

static void a_new_size_is_told_and_what_lies_beyond_fails(void **state)
{
	uint64_t bytes = 0;

	(void)state;
	nr_events = 0;
	rig.on_event = on_event;
	open_push((struct blkremap_backend_info){ .caps = RW, .max_inflight = 1 });
	holds = true;
	submit_to(&s, 0, BR_READ, 0, 512);
	submit_to(&s, 1, BR_READ, BYTES - 512, 512);
	run(&s);
	assert_int_equal(br_user_set_bytes(user, BYTES / 2), 0);
	assert_int_equal(dev->bytes, BYTES / 2);
	assert_int_equal(event.type, BLKREMAP_EV_RESIZED);
	assert_int_equal(event.value[0], BYTES / 2);
	assert_int_equal(event.value[1], BYTES);
	finish_held(0, 0);
	run(&s);
	assert_true(done[1]);
	assert_int_equal(reqs[1].result, -EIO);
	assert_int_equal(reqs[1].code, BLKREMAP_CODE_BEYOND_END);
	assert_int_equal(br_user_set_bytes(user, BYTES / 2), 0);
	assert_int_equal(nr_events, 1);
	assert_int_equal(br_user_set_bytes(user, 0), -EINVAL);
	assert_int_equal(br_user_set_bytes(user, 513), -EINVAL);
	assert_int_equal(dev->ops->resize(dev, BYTES, &bytes), -EOPNOTSUPP);
	assert_int_equal(dev->ops->resize(dev, 0, &bytes), 0);
	assert_int_equal(bytes, BYTES / 2);
	close_push();
}

/* ---- pulling --------------------------------------------------------------------------------------------------- */

static void a_pulling_caller_fetches_and_ends_with_close(void **state)
{
	struct blkremap_backend_req r[4];

	(void)state;
	open_with((struct blkremap_backend_info){ .caps = RW, .max_inflight = 2 }, NULL);
	assert_true(br_user_bell(user) >= 0);
	assert_int_equal(br_user_fetch(user, r, 4), 0);
	for (unsigned i = 0; i < 3; i++)
		submit_to(&s, i, BR_WRITE, i * 512, 512);
	fake_rung = 0;
	run(&s);
	assert_true(fake_rung);
	assert_int_equal(br_user_fetch(user, r, 0), 0);
	assert_true(fake_rung);			/* there is more: the descriptor stays readable */
	assert_int_equal(br_user_fetch(user, r, 1), 1);
	assert_true(fake_rung);
	assert_int_equal(br_user_fetch(user, r + 1, 4), 1);	/* max_inflight */
	assert_int_equal(r[1].offset, 512);
	assert_false(fake_rung);		/* more, but not now */
	assert_int_equal(br_user_fetch(user, r + 2, 4), 0);
	assert_int_equal(br_user_complete(user, r[1].id, perform(&r[1])), 0);
	assert_true(fake_rung);
	assert_int_equal(br_user_fetch(user, r + 2, 4), 1);
	assert_false(fake_rung);
	assert_int_equal(br_user_complete(user, r[0].id, -EIO), 0);
	assert_int_equal(br_user_complete(user, r[2].id, 0), 0);
	run(&s);
	assert_int_equal(reqs[0].result, -EIO);
	assert_true(done[1] && done[2]);
	br_sync_close(&s);
	fake_rung = 0;
	assert_int_equal(br_dev_put(dev), 0);
	assert_true(fake_rung);
	assert_int_equal(br_user_fetch(user, r, 0), 0);
	assert_true(fake_rung);
	assert_int_equal(br_user_fetch(user, r, 4), 1);
	assert_int_equal(r[0].op, BLKREMAP_CLOSE);
	assert_false(fake_rung);
	assert_int_equal(br_user_fetch(user, r + 1, 3), 0);
	assert_int_equal(br_user_complete(user, r[0].id + 1, 0), -ENOENT);
	assert_int_equal(br_user_complete(user, r[0].id, 0), 0);
	assert_int_equal(nr_closes, 0);
}

static void a_pushing_caller_has_nothing_to_fetch(void **state)
{
	struct blkremap_backend_req r;

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW });
	assert_int_equal(br_user_fetch(user, &r, 1), -EINVAL);
	assert_int_equal(br_user_bell(user), -EINVAL);
	close_push();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(what_is_not_taken_comes_again_in_order_after_a_completion),
		RIG_TEST(a_caller_that_takes_nothing_at_all_is_asked_again_after_a_while),
		RIG_TEST(a_device_is_closed_while_a_retry_is_armed),
		RIG_TEST(a_device_is_closed_while_a_retry_is_on_its_way),
		RIG_TEST(an_error_from_submit_is_the_first_requests),
		RIG_TEST(no_more_than_max_inflight_are_with_the_caller),
		RIG_TEST(an_id_is_good_once),
		RIG_TEST(a_completion_on_one_queue_lets_another_queues_request_go),
		RIG_TEST(a_queue_is_nudged_once_however_many_completions_come),
		RIG_TEST(a_new_size_is_told_and_what_lies_beyond_fails),
		RIG_TEST(a_pulling_caller_fetches_and_ends_with_close),
		RIG_TEST(a_pushing_caller_has_nothing_to_fetch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
