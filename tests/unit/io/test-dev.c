/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices, channels and gates over a leaf that keeps its requests until the test completes them. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "blkremap/blkremap.h"

enum { BYTES = 1 << 20, QUEUES = 3 };

struct leaf_chan {
	struct br_chan chan;
	struct br_req *inside[16];
	unsigned n;
};

static struct br_dev leaf;
static int open_error, chans, closed;
static bool at_once;		/* complete inside submit */

static struct leaf_chan *to_leaf(struct br_chan *chan)
{
	return br_container_of(chan, struct leaf_chan, chan);
}

static int leaf_chan_open(struct br_chan *chan)
{
	(void)chan;
	chans += !open_error;
	return open_error;
}

static void leaf_chan_close(struct br_chan *chan)
{
	assert_int_equal(chan->in_flight, 0);
	chans--;
}

static void leaf_submit(struct br_chan *chan, struct br_req *req)
{
	struct leaf_chan *c = to_leaf(chan);

	if (at_once)
		br_req_complete(req, 0);
	else
		c->inside[c->n++] = req;
}

static int leaf_close(struct br_dev *dev)
{
	(void)dev;
	closed++;
	return -ENODEV;
}

static const struct br_dev_ops leaf_ops = {
	.type = "leaf", .chan_bytes = sizeof(struct leaf_chan), .chan_open = leaf_chan_open,
	.chan_close = leaf_chan_close, .submit = leaf_submit, .close = leaf_close,
};

static void fill_leaf(struct br_dev *dev)
{
	*dev = (struct br_dev){ .logical_block = 512 };
	atomic_store(&dev->bytes, BYTES);
	atomic_store(&dev->caps, BR_CAP_WRITE | BR_CAP_DISCARD);
}

static struct br_queue q[QUEUES];
static struct br_chan *chan[QUEUES];

static void setup(void)
{
	fill_leaf(&leaf);
	open_error = chans = closed = 0;
	at_once = false;
	assert_int_equal(br_dev_add(&leaf, &rig, &leaf_ops, NULL), 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		assert_int_equal(br_queue_init(&q[i], &rig, false), 0);
		br_queue_enter(&q[i]);
		assert_int_equal(br_chan_get(&q[i], &leaf, &chan[i]), 0);
	}
}

static void teardown(void)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		while (br_queue_run(&q[i]))
			;
		br_chan_put(chan[i]);
		br_queue_leave(&q[i]);
		br_queue_done(&q[i]);
	}
	assert_int_equal(chans, 0);
	assert_int_equal(atomic_load(&rig.waits), 0);
	assert_int_equal(br_dev_put(&leaf), -ENODEV);
	assert_int_equal(closed, 1);
}

static void pump(unsigned i)
{
	while (br_queue_run(&q[i]))
		;
}

static void pump_all(void)
{
	for (unsigned k = 0; k < 3; k++)
		for (unsigned i = 0; i < QUEUES; i++)
			pump(i);
}

static void done(struct br_req *req)
{
	(*(int *)req->priv)++;
}

static struct br_req request(uint32_t op, uint64_t offset, uint64_t length, int *ends)
{
	return (struct br_req){ .op = op, .offset = offset, .length = length, .done = done, .priv = ends };
}

static void let_one_go(unsigned i)
{
	struct leaf_chan *c = to_leaf(chan[i]);

	assert_true(c->n > 0);
	br_req_complete(c->inside[--c->n], 0);
	pump(i);
}

/* ---- ops that broadcast ---- */

struct talker {
	struct br_op op;
	int ended, error;
};

static int step_begin(struct br_op *op)
{
	br_op_launch(op);
	return br_op_await(op, 1);
}

static int step_over(struct br_op *op)
{
	(void)op;
	return BR_OP_END;
}

static void talker_finish(struct br_op *op, int error)
{
	struct talker *t = br_container_of(op, struct talker, op);

	t->ended++;
	t->error = error;
}

static const struct br_op_step talker_steps[] = {
	{ "begin", step_begin, BR_OP_END }, { "over", step_over, BR_OP_END },
};
static const struct br_op_class talker_class = { "talker", talker_finish, talker_steps };

/* On queue 0; the message is sent and queue 0 has had it. */
static void say(struct talker *t, void (*what)(struct br_dev *dev, struct br_op *op))
{
	*t = (struct talker){ .ended = 0 };
	br_op_start(&t->op, &talker_class, &q[0]);
	what(&leaf, &t->op);
	br_op_done(&t->op, 0);
}

static void say_and_end(void (*what)(struct br_dev *dev, struct br_op *op))
{
	struct talker t;

	say(&t, what);
	pump_all();
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.error, 0);
}

/* ---- names, references, claims ---- */

static void names_are_unique_even_those_made_up(void **state)
{
	struct br_dev a, b, c;
	char next[64];

	(void)state;
	fill_leaf(&a);
	fill_leaf(&b);
	fill_leaf(&c);
	snprintf(next, sizeof(next), "leaf-%u", (unsigned)rig.next_id + 2);
	assert_int_equal(br_dev_add(&a, &rig, &leaf_ops, next), 0);
	assert_int_equal(br_dev_add(&b, &rig, &leaf_ops, next), -EEXIST);
	assert_int_equal(br_dev_add(&b, &rig, &leaf_ops, NULL), 0);
	assert_string_not_equal(a.name, b.name);
	assert_int_equal(br_dev_add(&c, &rig, &leaf_ops, NULL), 0);
	assert_string_not_equal(b.name, c.name);
	assert_int_equal(strncmp(b.name, "leaf-", 5), 0);
	assert_true(a.id != b.id && b.id != c.id);
	br_dev_put(&a);
	br_dev_put(&b);
	br_dev_put(&c);
	assert_true(br_list_empty(&rig.devs));
}

static void a_name_that_is_too_long_is_refused(void **state)
{
	char name[65] = { 0 };
	struct br_dev a;

	(void)state;
	memset(name, 'x', 64);
	fill_leaf(&a);
	assert_int_equal(br_dev_add(&a, &rig, &leaf_ops, name), -EINVAL);
	name[63] = '\0';
	assert_int_equal(br_dev_add(&a, &rig, &leaf_ops, name), 0);
	br_dev_put(&a);
}

static void the_last_reference_closes_the_device_and_hands_on_what_it_says(void **state)
{
	struct br_dev a;

	(void)state;
	fill_leaf(&a);
	closed = 0;
	br_dev_add(&a, &rig, &leaf_ops, NULL);
	br_dev_get(&a);
	assert_int_equal(br_dev_put(&a), 0);
	assert_int_equal(closed, 0);
	assert_int_equal(br_dev_put(&a), -ENODEV);
	assert_int_equal(closed, 1);
}

static void one_device_at_a_time_has_the_right_to_write(void **state)
{
	struct br_dev a, b;

	(void)state;
	setup();
	assert_int_equal(br_dev_claim(&leaf, &a), 0);
	assert_int_equal(br_dev_claim(&leaf, &a), 0);
	fill_leaf(&b);
	strcpy(a.name, "a");
	assert_int_equal(br_dev_claim(&leaf, &b), -EBUSY);
	br_dev_unclaim(&leaf, &b);		/* it is not b's */
	assert_int_equal(br_dev_claim(&leaf, &b), -EBUSY);
	br_dev_unclaim(&leaf, &a);
	assert_int_equal(br_dev_claim(&leaf, &b), 0);
	br_dev_unclaim(&leaf, &b);
	teardown();
}

/* ---- channels ---- */

static void a_queue_has_one_channel_into_a_device_however_often_it_asks(void **state)
{
	struct br_chan *again;

	(void)state;
	setup();
	assert_int_equal(chans, QUEUES);
	assert_int_equal(br_chan_get(&q[0], &leaf, &again), 0);
	assert_ptr_equal(again, chan[0]);
	assert_ptr_not_equal(chan[0], chan[1]);
	br_chan_put(again);
	assert_int_equal(chans, QUEUES);
	br_chan_put(NULL);
	teardown();
}

static void a_channel_that_cannot_be_opened_leaves_nothing(void **state)
{
	struct br_queue other;
	struct br_chan *c = NULL;
	int before;

	(void)state;
	setup();
	br_queue_init(&other, &rig, false);
	br_queue_enter(&other);
	before = fake_allocs;
	open_error = -EMFILE;
	assert_int_equal(br_chan_get(&other, &leaf, &c), -EMFILE);
	open_error = 0;
	fake_allocs_left = 0;
	assert_int_equal(br_chan_get(&other, &leaf, &c), -ENOMEM);
	fake_allocs_left = -1;
	assert_null(c);
	assert_int_equal(fake_allocs, before);
	assert_true(br_list_empty(&other.chans));
	br_queue_leave(&other);
	br_queue_done(&other);
	teardown();
}

/* ---- submission ---- */

static void what_does_not_fit_the_device_never_reaches_it(void **state)
{
	static const struct {
		uint32_t op;
		uint64_t offset, length;
		int result;
		uint32_t code;
	} bad[] = {
		{ BR_READ, 1, 512, -EINVAL, BLKREMAP_CODE_NONE },
		{ BR_READ, 0, 513, -EINVAL, BLKREMAP_CODE_NONE },
		{ BR_READ, BYTES - 512, 1024, -EIO, BLKREMAP_CODE_BEYOND_END },
		{ BR_WRITE, BYTES - 512, 1024, -ENOSPC, BLKREMAP_CODE_BEYOND_END },
		{ BR_READ, BYTES + 512, 0, -EIO, BLKREMAP_CODE_BEYOND_END },
		{ BR_READ, 512, UINT64_MAX - 511, -EIO, BLKREMAP_CODE_BEYOND_END },
		{ BR_EXTENTS, 0, 512, -EOPNOTSUPP, BLKREMAP_CODE_UNSUPPORTED },
	};

	(void)state;
	setup();
	for (size_t i = 0; i < BR_ARRAY_SIZE(bad); i++) {
		int ends = 0;
		struct br_req req = request(bad[i].op, bad[i].offset, bad[i].length, &ends);

		br_submit(chan[0], &req);
		assert_int_equal(ends, 0);	/* never from inside */
		pump(0);
		assert_int_equal(ends, 1);
		assert_int_equal(req.result, bad[i].result);
		assert_int_equal(req.code, bad[i].code);
		assert_int_equal(req.fail_dev, leaf.id);
		assert_int_equal(req.fail_offset, bad[i].offset);
	}
	assert_int_equal(to_leaf(chan[0])->n, 0);
	assert_int_equal(chan[0]->in_flight, 0);
	atomic_store(&leaf.caps, 0);
	for (unsigned i = 0; i < 2; i++) {
		int ends = 0;
		struct br_req req = request(i ? BR_WRITE_ZEROES : BR_WRITE, 0, 512, &ends);

		br_submit(chan[0], &req);
		pump(0);
		assert_int_equal(req.result, -EROFS);
		assert_int_equal(req.code, BLKREMAP_CODE_READ_ONLY);
	}
	teardown();
}

static void counters_survive_their_channel(void **state)
{
	struct br_req reqs[3];
	int ends = 0;

	(void)state;
	setup();
	at_once = true;
	reqs[0] = request(BR_READ, 0, 1024, &ends);
	reqs[1] = request(BR_WRITE, 0, 512, &ends);
	reqs[2] = request(BR_READ, BYTES, 512, &ends);
	for (unsigned i = 0; i < 3; i++)
		br_submit(chan[0], &reqs[i]);
	pump(0);
	assert_int_equal(ends, 3);
	br_chan_put(chan[0]);
	assert_int_equal(atomic_load(&leaf.counters[BR_COUNT_READ_BYTES]), 1024);
	assert_int_equal(atomic_load(&leaf.counters[BR_COUNT_WRITES]), 1);
	assert_int_equal(atomic_load(&leaf.counters[BR_COUNT_ERRORS]), 1);
	assert_int_equal(br_chan_get(&q[0], &leaf, &chan[0]), 0);
	teardown();
}

/* ---- broadcasts and gates ---- */

static int heard[QUEUES], answer_of[QUEUES];

static int hear(struct br_chan *c, void *arg)
{
	for (unsigned i = 0; i < QUEUES; i++)
		if (c == chan[i])
			heard[i] += *(int *)arg;
	return c == chan[1] ? answer_of[1] : c == chan[2] ? answer_of[2] : 0;
}

static void a_broadcast_reaches_each_channel_once_and_answers_with_the_first_error(void **state)
{
	struct talker t = { .ended = 0 };
	int by = 1;

	(void)state;
	setup();
	memset(heard, 0, sizeof(heard));
	answer_of[1] = -ENOLCK;
	answer_of[2] = -ENOSYS;
	br_op_start(&t.op, &talker_class, &q[0]);
	br_dev_broadcast(&leaf, &t.op, hear, &by);
	br_op_done(&t.op, 0);
	assert_int_equal(atomic_load(&rig.waits), 1);
	pump(0);
	pump(2);
	assert_int_equal(t.ended, 0);
	pump(1);
	pump(0);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.error, -ENOSYS);
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(heard[i], 1);
	teardown();
}

static void a_device_without_channels_answers_at_once(void **state)
{
	struct talker t = { .ended = 0 };
	struct br_dev lonely;

	(void)state;
	setup();
	fill_leaf(&lonely);
	br_dev_add(&lonely, &rig, &leaf_ops, NULL);
	br_op_start(&t.op, &talker_class, &q[0]);
	br_dev_drain(&lonely, &t.op);
	br_op_done(&t.op, 0);
	pump(0);
	assert_int_equal(t.ended, 1);
	br_dev_put(&lonely);
	closed = 0;
	teardown();
}

static void a_drain_waits_for_what_is_inside_and_holds_what_comes(void **state)
{
	struct br_req reqs[4];
	struct talker t;
	int ends = 0;

	(void)state;
	setup();
	for (unsigned i = 0; i < 4; i++)
		reqs[i] = request(BR_WRITE, 512 * i, 512, &ends);
	br_submit(chan[1], &reqs[0]);
	say(&t, br_dev_drain);
	pump_all();
	assert_int_equal(t.ended, 0);
	br_submit(chan[1], &reqs[1]);
	br_submit(chan[1], &reqs[2]);
	assert_int_equal(to_leaf(chan[1])->n, 1);
	let_one_go(1);
	pump_all();
	assert_int_equal(t.ended, 1);
	assert_int_equal(to_leaf(chan[1])->n, 0);
	br_submit_inside(chan[1], &reqs[3]);
	assert_int_equal(to_leaf(chan[1])->n, 1);
	let_one_go(1);
	say_and_end(br_dev_resume);
	assert_int_equal(to_leaf(chan[1])->n, 2);
	assert_ptr_equal(to_leaf(chan[1])->inside[0], &reqs[1]);	/* in order */
	let_one_go(1);
	let_one_go(1);
	assert_int_equal(ends, 4);
	teardown();
}

static void drains_are_counted_and_the_last_resume_opens(void **state)
{
	struct br_req req;
	int ends = 0;

	(void)state;
	setup();
	say_and_end(br_dev_drain);
	say_and_end(br_dev_drain);
	req = request(BR_WRITE, 0, 512, &ends);
	br_submit(chan[2], &req);
	say_and_end(br_dev_resume);
	assert_int_equal(to_leaf(chan[2])->n, 0);
	say_and_end(br_dev_resume);
	assert_int_equal(to_leaf(chan[2])->n, 1);
	let_one_go(2);
	teardown();
}

static void a_channel_opened_while_the_device_is_drained_is_gated_from_birth(void **state)
{
	struct br_req req;
	int ends = 0;

	(void)state;
	setup();
	br_chan_put(chan[1]);
	say_and_end(br_dev_drain);
	assert_int_equal(br_chan_get(&q[1], &leaf, &chan[1]), 0);
	req = request(BR_WRITE, 0, 512, &ends);
	br_submit(chan[1], &req);
	assert_int_equal(to_leaf(chan[1])->n, 0);
	say_and_end(br_dev_resume);
	let_one_go(1);
	assert_int_equal(ends, 1);
	teardown();
}

static void a_channel_closes_only_after_the_message_that_is_under_way(void **state)
{
	struct talker t;

	(void)state;
	setup();
	say(&t, br_dev_drain);
	br_chan_put(chan[1]);		/* takes it out of its queue's inbox */
	pump(2);
	pump(0);
	assert_int_equal(t.ended, 1);
	say_and_end(br_dev_resume);
	assert_int_equal(br_chan_get(&q[1], &leaf, &chan[1]), 0);
	teardown();
}

/* What is inside stays there, queue 1's; the gates open and the held ones go in. */
static void a_drain_that_is_given_up_opens_every_gate_and_says_so(void **state)
{
	struct br_req reqs[3];
	struct talker t;
	int ends = 0;

	(void)state;
	setup();
	for (unsigned i = 0; i < 3; i++)
		reqs[i] = request(BR_WRITE, 512 * i, 512, &ends);
	br_submit(chan[1], &reqs[0]);
	say(&t, br_dev_drain);
	pump_all();
	br_submit(chan[1], &reqs[1]);
	br_submit(chan[2], &reqs[2]);
	br_dev_drain_cancel(&leaf, &t.op);
	br_dev_drain_cancel(&leaf, &t.op);	/* a timer and a user at once */
	pump_all();
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.error, -ETIMEDOUT);
	assert_int_equal(to_leaf(chan[1])->n, 2);
	assert_int_equal(to_leaf(chan[2])->n, 1);
	let_one_go(1);
	let_one_go(1);
	let_one_go(2);
	br_dev_drain_cancel(&leaf, &t.op);	/* too late: nothing */
	assert_int_equal(leaf.suspends, 0);
	say_and_end(br_dev_drain);
	say_and_end(br_dev_resume);
	teardown();
}

/* Queue 2 answers the first drain and is then left alone, with both of the others' messages in its inbox. */
static void drains_given_up_one_after_another_reach_a_queue_that_sleeps(void **state)
{
	struct br_req reqs[2];
	struct talker t, t2;
	int ends = 0;

	(void)state;
	setup();
	reqs[0] = request(BR_WRITE, 0, 512, &ends);
	reqs[1] = request(BR_WRITE, 0, 512, &ends);
	br_submit(chan[1], &reqs[0]);
	say(&t, br_dev_drain);
	pump_all();
	br_dev_drain_cancel(&leaf, &t.op);
	for (unsigned i = 0; i < 2; i++) {
		pump(1);
		pump(0);
	}
	assert_int_equal(t.ended, 0);		/* queue 2's gate is closed still */
	pump(2);
	pump(0);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.error, -ETIMEDOUT);
	say(&t2, br_dev_drain);
	br_dev_drain_cancel(&leaf, &t2.op);
	pump_all();
	assert_int_equal(t2.ended, 1);
	assert_int_equal(t2.error, -ETIMEDOUT);
	br_submit(chan[2], &reqs[1]);
	assert_int_equal(to_leaf(chan[2])->n, 1);
	let_one_go(1);
	let_one_go(2);
	teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(names_are_unique_even_those_made_up),
		RIG_TEST(a_name_that_is_too_long_is_refused),
		RIG_TEST(the_last_reference_closes_the_device_and_hands_on_what_it_says),
		RIG_TEST(one_device_at_a_time_has_the_right_to_write),
		RIG_TEST(a_queue_has_one_channel_into_a_device_however_often_it_asks),
		RIG_TEST(a_channel_that_cannot_be_opened_leaves_nothing),
		RIG_TEST(what_does_not_fit_the_device_never_reaches_it),
		RIG_TEST(counters_survive_their_channel),
		RIG_TEST(a_broadcast_reaches_each_channel_once_and_answers_with_the_first_error),
		RIG_TEST(a_device_without_channels_answers_at_once),
		RIG_TEST(a_drain_waits_for_what_is_inside_and_holds_what_comes),
		RIG_TEST(drains_are_counted_and_the_last_resume_opens),
		RIG_TEST(a_channel_opened_while_the_device_is_drained_is_gated_from_birth),
		RIG_TEST(a_channel_closes_only_after_the_message_that_is_under_way),
		RIG_TEST(a_drain_that_is_given_up_opens_every_gate_and_says_so),
		RIG_TEST(drains_given_up_one_after_another_reach_a_queue_that_sleeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
