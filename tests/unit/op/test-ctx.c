/* SPDX-License-Identifier: BSD-3-Clause */
/* Timers, the control lock, help and blocking, in an environment whose bells, sleeps and sleepers the test can see. */
#include "../fake-env.h"

#include <errno.h>

#include "base/compiler.h"
#include "op/ctx.h"
#include "op/op.h"

enum { BELLS = 16 };

static int rung[BELLS], nr_bells, sleeps;
static void (*on_idle)(void), (*on_wake)(void);	/* what others do while somebody sleeps, or when a lock is given back */
static struct blkremap_env env;
static struct br_env_ops ops;
static struct br_ctx ctx;

static int open_bell(const struct blkremap_env *e)
{
	(void)e;
	return nr_bells < BELLS ? nr_bells++ : -EMFILE;
}

static void ring_bell(const struct blkremap_env *e, int bell)
{
	(void)e;
	rung[bell]++;
}

static void clear_bell(const struct blkremap_env *e, int bell)
{
	(void)e;
	rung[bell] = 0;
}

/* The real one hears the queue's bell and, without threads, the context's. */
static void idle(const struct blkremap_env *e, struct br_ctx *c, struct br_queue *q, uint64_t deadline_ns)
{
	(void)e;
	sleeps++;
	assert_in_range(sleeps, 0, 1000);
	if (on_idle)
		on_idle();
	if ((q && rung[q->bell]) || (c->no_threads && rung[c->bell]))
		return;
	assert_int_not_equal(deadline_ns, BR_NEVER);
	if (deadline_ns > fake_now)
		fake_now = deadline_ns;
}

static void wake(const struct blkremap_env *e, _Atomic uint32_t *word)
{
	void (*run)(void) = on_wake;

	(void)e;
	(void)word;
	on_wake = NULL;
	if (run)
		run();
}

static void lock_is_free_now(const struct blkremap_env *e, _Atomic uint32_t *word, uint32_t seen)
{
	(void)e;
	(void)seen;
	atomic_store(word, 0);
}

static int setup_with(bool no_threads)
{
	ops = fake_env_ops;
	ops.bell_open = open_bell;
	ops.bell_ring = ring_bell;
	ops.bell_clear = clear_bell;
	ops.idle = idle;
	ops.word_wake = wake;
	env.ops = &ops;
	memset(&ctx, 0, sizeof(ctx));
	memset(rung, 0, sizeof(rung));
	nr_bells = sleeps = 0;
	on_idle = on_wake = NULL;
	return br_ctx_init(&ctx, &env, no_threads);
}

static int setup(void **state)
{
	(void)state;
	return setup_with(false);
}

static int setup_no_threads(void **state)
{
	(void)state;
	return setup_with(true);
}

static int teardown(void **state)
{
	(void)state;
	br_ctx_done(&ctx);
	return 0;
}

/* ---- tasks that count ---- */

static int order[16], nr_order;

struct job {
	struct br_task task;
	struct br_timer timer;
	int number;
};

static void job_runs(struct br_task *t)
{
	order[nr_order++] = br_container_of(t, struct job, task)->number;
}

static void timer_runs(struct br_task *t)
{
	order[nr_order++] = br_container_of(t, struct job, timer.task)->number;
}

static struct job job(int number)
{
	nr_order = number == 1 ? 0 : nr_order;
	return (struct job){ .task.run = job_runs, .timer.task.run = timer_runs, .number = number };
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

/* ---- timers ---- */

static void timers_fire_in_the_order_of_their_times_and_of_their_arming(void **state)
{
	struct job a = job(1), b = job(2), c = job(3), d = job(4);

	(void)state;
	br_timer_arm(&ctx, &a.timer, &ctx.service, fake_now + 30);
	br_timer_arm(&ctx, &b.timer, &ctx.service, fake_now + 10);
	br_timer_arm(&ctx, &c.timer, &ctx.service, fake_now + 10);
	br_timer_arm(&ctx, &d.timer, &ctx.service, fake_now + 40);
	assert_int_equal(br_timers_fire(&ctx), fake_now + 10);
	fake_now += 30;
	assert_int_equal(br_timers_fire(&ctx), fake_now + 10);
	while (br_help(&ctx, true))
		;
	assert_int_equal(nr_order, 3);
	assert_int_equal(order[0], 2);
	assert_int_equal(order[1], 3);
	assert_int_equal(order[2], 1);
	assert_true(br_timer_cancel(&ctx, &d.timer));
	assert_int_equal(br_timers_fire(&ctx), BR_NEVER);
}

static void only_a_timer_that_is_the_next_one_wakes_the_sleepers(void **state)
{
	struct job a = job(1), b = job(2), c = job(3);

	(void)state;
	br_timer_arm(&ctx, &a.timer, &ctx.service, fake_now + 30);
	assert_int_equal(rung[ctx.bell], 1);
	br_timer_arm(&ctx, &b.timer, &ctx.service, fake_now + 40);
	assert_int_equal(rung[ctx.bell], 1);
	br_timer_arm(&ctx, &c.timer, &ctx.service, fake_now + 20);
	assert_int_equal(rung[ctx.bell], 2);
	br_timer_cancel(&ctx, &a.timer);
	br_timer_cancel(&ctx, &b.timer);
	br_timer_cancel(&ctx, &c.timer);
}

static void a_timer_that_has_fired_cannot_be_canceled_and_its_task_still_comes(void **state)
{
	struct job a = job(1);

	(void)state;
	br_timer_arm(&ctx, &a.timer, &ctx.service, fake_now);
	br_timers_fire(&ctx);
	assert_false(br_timer_cancel(&ctx, &a.timer));
	assert_int_equal(nr_order, 0);
	br_help(&ctx, true);
	assert_int_equal(nr_order, 1);
	br_timer_arm(&ctx, &a.timer, &ctx.service, fake_now + 5);	/* and again */
	assert_true(br_timer_cancel(&ctx, &a.timer));
	assert_false(br_timer_cancel(&ctx, &a.timer));
}

/* ---- the control lock ---- */

struct holder {
	struct br_op op;
	struct br_control control;
	bool has;
};

static int step_lock(struct br_op *op)
{
	br_control_lock(&ctx, &br_container_of(op, struct holder, op)->control, op);
	return br_op_await(op, 1);
}

static int step_has(struct br_op *op)
{
	br_container_of(op, struct holder, op)->has = true;
	return BR_OP_END;
}

static void holder_finish(struct br_op *op, int error)
{
	(void)op;
	assert_int_equal(error, 0);
}

static const struct br_op_step lock_steps[] = { { "lock", step_lock, BR_OP_END }, { "has", step_has, BR_OP_END } };
static const struct br_op_class lock_class = { "holder", holder_finish, lock_steps };

static void the_control_lock_goes_to_who_came_first(void **state)
{
	struct holder h[4] = { 0 };
	struct br_queue q;

	(void)state;
	assert_int_equal(br_queue_init(&q, &ctx, false), 0);
	br_queue_enter(&q);
	for (unsigned i = 0; i < 4; i++)
		br_op_start(&h[i].op, &lock_class, &q);
	for (unsigned i = 0; i < 4; i++) {
		while (br_queue_run(&q))
			;
		for (unsigned j = 0; j < 4; j++)
			assert_int_equal(h[j].has, j <= i);
		assert_int_equal(atomic_load(&ctx.waits), 3 - i);
		br_control_unlock(&ctx);
	}
	assert_null(ctx.control);
	br_queue_leave(&q);
	br_queue_done(&q);
}

static bool waits_were_right;

static void unlock_control(void)
{
	br_control_unlock(&ctx);
	waits_were_right = atomic_load(&ctx.waits) == 0;
}

/* The holder gives it back in the very moment in which the other one has joined the list. */
static void waits_are_counted_before_they_can_end(void **state)
{
	struct holder a = { 0 }, b = { 0 };
	struct br_queue q;

	(void)state;
	br_queue_init(&q, &ctx, false);
	br_queue_enter(&q);
	br_op_start(&a.op, &lock_class, &q);
	while (br_queue_run(&q))
		;
	ops.word_wait = lock_is_free_now;
	atomic_store(&ctx.lock.word, 2);
	on_wake = unlock_control;
	waits_were_right = false;
	br_op_start(&b.op, &lock_class, &q);
	assert_true(waits_were_right);
	while (br_queue_run(&q))
		;
	assert_true(b.has);
	br_control_unlock(&ctx);
	br_queue_leave(&q);
	br_queue_done(&q);
}

/* ---- help ---- */

static void a_neglected_queue_is_helped_only_while_somebody_waits(void **state)
{
	struct br_queue q;
	struct job a = job(1);

	(void)state;
	br_queue_init(&q, &ctx, false);
	br_queue_post(&q, &a.task);
	for (unsigned i = 0; i < 3; i++)
		assert_false(br_help(&ctx, true));
	br_wait_begin(&ctx);
	br_help(&ctx, false);		/* the first look finds out what neglect is */
	br_help(&ctx, false);
	assert_int_equal(nr_order, 1);
	br_queue_enter(&q);
	br_queue_post(&q, &a.task);
	for (unsigned i = 0; i < 3; i++)
		br_help(&ctx, true);
	assert_int_equal(nr_order, 1);	/* its owner is inside */
	br_queue_leave(&q);
	br_help(&ctx, true);
	br_help(&ctx, true);
	assert_int_equal(nr_order, 2);
	br_wait_end(&ctx);
	br_queue_done(&q);
}

static struct br_queue leaving;

static void kick_nothing(struct br_source *s)
{
	(void)s;
}

/* The owner of a queue closes it while it is being helped: what br_queue_done() does before it waits for the pins. */
static int leaves_the_list(struct br_source *s)
{
	(void)s;
	br_ctx_lock(&ctx);
	br_list_del(&leaving.ctx_link);
	br_ctx_unlock(&ctx);
	return 0;
}

static const struct br_source_ops leaving_ops = {
	.kick = kick_nothing, .poll = leaves_the_list, .close = kick_nothing,
};

/* The helper has silenced its bell by now: whatever lay behind that queue must not wait for the next ring. */
static void a_queue_that_leaves_while_it_is_helped_does_not_end_the_helping(void **state)
{
	struct br_source source = { .ops = &leaving_ops };
	struct br_queue other;
	struct job a = job(1);

	(void)state;
	br_queue_init(&leaving, &ctx, false);
	br_queue_init(&other, &ctx, false);
	br_queue_add_source(&leaving, &source);
	br_wait_begin(&ctx);
	br_queue_post(&other, &a.task);
	while (br_help(&ctx, false))
		;
	assert_int_equal(nr_order, 1);
	br_wait_end(&ctx);
	br_queue_done(&leaving);
	br_queue_done(&other);
}

/* ---- blocking ---- */

static struct job late;
static struct br_queue *late_queue;
static bool late_done;

static void late_runs(struct br_task *t)
{
	(void)t;
	late_done = true;
}

static void post_late(void)
{
	on_idle = NULL;
	assert_int_equal(late_queue->owner, BR_QUEUE_WAITING);
	late.task.run = late_runs;
	br_queue_post(late_queue, &late.task);
}

static void a_post_ends_the_sleep_of_the_owner(void **state)
{
	struct br_queue q;

	(void)state;
	br_queue_init(&q, &ctx, false);
	br_queue_enter(&q);
	late_queue = &q;
	late_done = false;
	on_idle = post_late;
	assert_true(br_block(&ctx, &q, is_true, &late_done, BR_NEVER));
	assert_int_equal(sleeps, 1);
	assert_int_equal(q.owner, BR_QUEUE_BUSY);
	br_queue_leave(&q);
	br_queue_done(&q);
}

static void a_deadline_ends_blocking_and_what_is_done_already_needs_no_time(void **state)
{
	bool yes = true;
	struct br_queue q;
	uint64_t t = fake_now;

	(void)state;
	br_queue_init(&q, &ctx, false);
	br_queue_enter(&q);
	assert_true(br_block(&ctx, &q, is_true, &yes, 0));
	assert_false(br_block(&ctx, &q, never, NULL, 0));
	assert_int_equal(fake_now, t);
	assert_false(br_block(&ctx, &q, never, NULL, t + 5000));
	assert_int_equal(fake_now, t + 5000);
	assert_false(br_block(&ctx, NULL, never, NULL, t + 9000000));
	assert_true(fake_now >= t + 9000000);
	br_queue_leave(&q);
	br_queue_done(&q);
}

static unsigned rounds;

/* Work that never ends, of somebody else: a merge over memory, run by whoever blocks. */
static void runs_again(struct br_task *t)
{
	fake_now += 1000;
	rounds++;
	assert_in_range(rounds, 0, 1000);
	br_queue_ready(&ctx.service, t);
}

static void a_deadline_is_kept_although_there_is_always_something_to_help_with(void **state)
{
	struct br_task busy = { .run = runs_again };
	uint64_t t = fake_now;
	struct br_queue q;

	(void)state;
	rounds = 0;
	br_queue_init(&q, &ctx, false);
	br_queue_post(&ctx.service, &busy);
	br_queue_enter(&q);
	assert_false(br_block(&ctx, &q, never, NULL, t + 50000));
	assert_in_range(fake_now, t + 50000, t + 55000);
	br_queue_leave(&q);
	br_queue_done(&q);
}

static void without_threads_a_bell_that_was_heard_does_not_keep_a_sleeper_awake(void **state)
{
	uint64_t t = fake_now;
	struct job a = job(1);
	struct br_queue q;

	(void)state;
	br_queue_init(&q, &ctx, false);
	br_queue_enter(&q);
	br_timer_arm(&ctx, &a.timer, &ctx.service, t + 5000);	/* rings */
	assert_false(br_block(&ctx, &q, never, NULL, t + 1000));
	assert_in_range(sleeps, 1, 3);
	assert_int_not_equal(rung[ctx.bell], 0);	/* the timer is for who sleeps next */
	assert_false(br_block(&ctx, &q, never, NULL, t + 9000));
	assert_in_range(sleeps, 2, 9);
	assert_int_equal(nr_order, 1);
	br_queue_leave(&q);
	br_queue_done(&q);
}

static void a_context_without_bells_is_refused_and_leaves_nothing(void **state)
{
	struct br_ctx c = { 0 };
	struct br_queue q;

	(void)state;
	nr_bells = BELLS;
	assert_int_equal(br_ctx_init(&c, &env, false), -EMFILE);
	assert_int_equal(br_queue_init(&q, &ctx, false), -EMFILE);
	assert_ptr_equal(ctx.queues.next, &ctx.service.ctx_link);
	assert_ptr_equal(ctx.service.ctx_link.next, &ctx.queues);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_NO_THREADS(f) cmocka_unit_test_setup_teardown(f, setup_no_threads, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(timers_fire_in_the_order_of_their_times_and_of_their_arming),
		TEST(only_a_timer_that_is_the_next_one_wakes_the_sleepers),
		TEST(a_timer_that_has_fired_cannot_be_canceled_and_its_task_still_comes),
		TEST(the_control_lock_goes_to_who_came_first),
		TEST(waits_are_counted_before_they_can_end),
		TEST(a_neglected_queue_is_helped_only_while_somebody_waits),
		TEST(a_queue_that_leaves_while_it_is_helped_does_not_end_the_helping),
		TEST(a_post_ends_the_sleep_of_the_owner),
		TEST(a_deadline_ends_blocking_and_what_is_done_already_needs_no_time),
		TEST_NO_THREADS(a_deadline_is_kept_although_there_is_always_something_to_help_with),
		TEST_NO_THREADS(without_threads_a_bell_that_was_heard_does_not_keep_a_sleeper_awake),
		TEST(a_context_without_bells_is_refused_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
