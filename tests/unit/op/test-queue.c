/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues: the owner word, the inbox, the bell.  First in every order of the atomic operations of two posters and an
 * owner who sleeps, with at most three forced switches: queue.c and ctx.c are compiled into this program with atomics
 * that give the turn away.  Within one order memory is sequentially consistent, which is what these operations ask for;
 * that they ask for enough is for the thread sanitizer, in test-queue-threads.c.
 */
#include "../fake-env.h"

#include <errno.h>
#include <ucontext.h>

#include "../walk.h"

static void turn(void);
static void before_load(const volatile void *p);

static uint32_t fetch_sub(_Atomic uint32_t *p, uint32_t n, memory_order o)
{
	turn();
	return atomic_fetch_sub_explicit(p, n, o);
}

#include "base/mutex.h"
#include "op/ctx.h"
#include "op/op.h"

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_exchange
#undef atomic_compare_exchange_weak
#undef atomic_fetch_sub_explicit
#define atomic_load(p) (turn(), *(p))
#define atomic_load_explicit(p, o) (before_load(p), *(p))
#define atomic_store(p, v) (turn(), (void)(*(p) = (v)))
#define atomic_exchange(p, v) (turn(), atomic_exchange_explicit(p, v, memory_order_seq_cst))
#define atomic_compare_exchange_weak(p, s, v) \
	(turn(), atomic_compare_exchange_strong_explicit(p, s, v, memory_order_seq_cst, memory_order_seq_cst))
#define atomic_fetch_sub_explicit(p, n, o) fetch_sub(p, n, o)
#include "op/queue.c"
#include "op/ctx.c"

/* ---- parties: coroutines that run one at a time, each until it touches something shared ---- */

enum { PARTIES = 3, STACK = 128 * 1024, MAX_SWITCHES = 3 };

static struct party {
	ucontext_t uc;
	char stack[STACK];
	void (*run)(int me);
	_Atomic uint32_t *until_zero;	/* may not run before */
	bool asleep, over;
} parties[PARTIES];
static struct br_ctx ctx;
static struct br_queue *queue;
static int nr_parties, running = -1, last_run, switches;
static ucontext_t home;

static void turn(void)
{
	if (running >= 0)
		swapcontext(&parties[running].uc, &home);
}

/* Who waits for the posters to be gone would spin: it cannot run before. */
static void before_load(const volatile void *p)
{
	if (running < 0 || p != &queue->posters)
		return;
	parties[running].until_zero = &queue->posters;
	turn();
	parties[running].until_zero = NULL;
}

static void enter_party(void)
{
	struct party *p = &parties[running];

	p->run(running);
	p->over = true;
	swapcontext(&p->uc, &home);
}

static void add_party(void (*run)(int me))
{
	struct party *p = &parties[nr_parties++];

	p->run = run;
	p->until_zero = NULL;
	p->asleep = p->over = false;
	getcontext(&p->uc);
	p->uc.uc_stack.ss_sp = p->stack;
	p->uc.uc_stack.ss_size = STACK;
	makecontext(&p->uc, enter_party, 0);
}

/* ---- the environment of the walk ---- */

static int bell_rung;
static void ring(const struct blkremap_env *env, int bell)
{
	(void)env;
	if (bell)
		bell_rung++;
}

static void clear_it(const struct blkremap_env *env, int bell)
{
	(void)env;
	if (bell)
		bell_rung = 0;
}

static int open_it(const struct blkremap_env *env)
{
	static int n;

	(void)env;
	return n++ ? 1 : 0;		/* 0: the context's */
}

static void sleep_till_rung(const struct blkremap_env *env, struct br_ctx *c, struct br_queue *q, uint64_t deadline_ns)
{
	(void)env;
	(void)c;
	(void)q;
	(void)deadline_ns;
	parties[running].asleep = true;
	turn();
	parties[running].asleep = false;
}

static struct br_env_ops walk_ops;
static const struct blkremap_env walk_env = { .ops = &walk_ops };

static bool can_run(int i)
{
	struct party *p = &parties[i];

	if (p->over || (p->asleep && !bell_rung))
		return false;
	return !p->until_zero || !*p->until_zero;
}

/* The one who ran goes on, unless it cannot or the walk says otherwise; so many times at most. */
static int choose(void)
{
	int can[PARTIES], n = 0;

	if (can_run(last_run))
		can[n++] = last_run;
	for (int i = 0; i < nr_parties; i++)
		if (i != last_run && can_run(i))
			can[n++] = i;
	if (n == 0)
		return -1;
	if (can[0] == last_run && switches == MAX_SWITCHES)
		return last_run;
	n = (int)walk_choose((unsigned)n);
	switches += can[0] == last_run && n != 0;
	return can[n];
}

static void run_parties(void)
{
	int left = 0;

	last_run = switches = 0;
	for (int i; (i = choose()) >= 0; running = -1) {
		last_run = running = i;
		swapcontext(&home, &parties[i].uc);
	}
	for (int i = 0; i < nr_parties; i++)
		left += !parties[i].over;
	if (left)
		fail_msg("%d parties sleep for ever: a wake-up was lost", left);
}

/* ---- the story ---- */

static struct br_task tasks[PARTIES];
static int ran[PARTIES], nr_ran;

static void count_task(struct br_task *t)
{
	ran[nr_ran++] = (int)(t - tasks);
}

static bool all_ran(void *arg)
{
	return nr_ran == *(int *)arg;
}

static void poster(int me)
{
	br_queue_post(queue, &tasks[me]);
}

/* Sleeps until all have been heard, and then nobody may touch the queue any more. */
static void owner(int me)
{
	int want = nr_parties - 1;

	(void)me;
	assert_int_equal(br_queue_enter(queue), 0);
	assert_true(br_block(&ctx, queue, all_ran, &want, BR_NEVER));
	br_queue_leave(queue);
	br_queue_done(queue);
	memset(queue, 0xee, sizeof(*queue));
}

static void walk_setup(void)
{
	walk_ops = fake_env_ops;
	walk_ops.bell_ring = ring;
	walk_ops.bell_clear = clear_it;
	walk_ops.bell_open = open_it;
	walk_ops.idle = sleep_till_rung;
	memset(&ctx, 0, sizeof(ctx));
	assert_int_equal(br_ctx_init(&ctx, &walk_env, false), 0);
	queue = malloc(sizeof(*queue));
}

static void in_every_order_the_sleeping_owner_hears_every_post_and_may_go_at_once(void **state)
{
	uint64_t orders = 0;

	(void)state;
	walk_setup();
	walk_begin();
	do {
		nr_parties = nr_ran = bell_rung = 0;
		assert_int_equal(br_queue_init(queue, &ctx, false), 0);
		add_party(owner);
		for (int i = 1; i < PARTIES; i++) {
			tasks[i].run = count_task;
			add_party(poster);
		}
		run_parties();
		assert_int_equal(nr_ran, PARTIES - 1);
		assert_int_not_equal(ran[0], ran[1]);
		for (size_t i = 0; i < sizeof(*queue); i++)
			assert_int_equal(((uint8_t *)queue)[i], 0xee);
		orders++;
	} while (walk_next());
	assert_true(orders > 1000);
	br_ctx_done(&ctx);
	free(queue);
}

/* ---- one thread ---- */

static void plain_setup(struct br_queue *q)
{
	walk_setup();
	free(queue);
	bell_rung = 0;
	assert_int_equal(br_queue_init(q, &ctx, false), 0);
}

static void plain_done(struct br_queue *q)
{
	br_queue_done(q);
	br_ctx_done(&ctx);
}

static void a_second_thread_is_refused_and_helpers_only_try(void **state)
{
	struct br_queue q;

	(void)state;
	plain_setup(&q);
	assert_int_equal(br_queue_enter(&q), 0);
	assert_int_equal(br_queue_enter(&q), -EBUSY);
	assert_false(br_queue_try_help(&q));
	br_queue_leave(&q);
	assert_true(br_queue_try_help(&q));
	assert_false(br_queue_try_help(&q));
	br_queue_leave(&q);
	assert_int_equal(br_queue_enter(&q), 0);
	br_queue_leave(&q);
	plain_done(&q);
}

static void tasks_run_in_the_order_of_their_posting_and_new_ones_in_the_next_round(void **state)
{
	struct br_queue q;

	(void)state;
	plain_setup(&q);
	nr_ran = 0;
	br_queue_enter(&q);
	for (int i = 0; i < PARTIES; i++) {
		tasks[i].run = count_task;
		br_queue_post(&q, &tasks[i]);
	}
	assert_true(br_queue_has_work(&q));
	assert_true(br_queue_run(&q));
	for (int i = 0; i < PARTIES; i++)
		assert_int_equal(ran[i], i);
	assert_false(br_queue_run(&q));
	assert_int_equal(bell_rung, 0);		/* the owner is inside: it needs no bell */
	br_queue_leave(&q);
	plain_done(&q);
}

static void the_bell_rings_once_for_who_watches_and_when_leaving_work_behind(void **state)
{
	struct br_queue q;

	(void)state;
	plain_setup(&q);
	nr_ran = 0;
	br_queue_post(&q, &tasks[0]);
	assert_int_equal(bell_rung, 0);		/* nobody watches */
	br_queue_enter(&q);
	br_queue_set_notify(&q, true);
	br_queue_leave(&q);
	assert_int_equal(bell_rung, 1);
	br_queue_enter(&q);
	br_queue_run(&q);
	br_queue_leave(&q);
	assert_int_equal(bell_rung, 1);
	br_queue_post(&q, &tasks[0]);
	br_queue_post(&q, &tasks[1]);
	assert_int_equal(bell_rung, 2);
	br_queue_enter(&q);
	br_queue_run(&q);
	q.unreaped = 1;
	br_queue_leave(&q);
	assert_int_equal(bell_rung, 3);
	plain_done(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_every_order_the_sleeping_owner_hears_every_post_and_may_go_at_once),
		cmocka_unit_test(a_second_thread_is_refused_and_helpers_only_try),
		cmocka_unit_test(tasks_run_in_the_order_of_their_posting_and_new_ones_in_the_next_round),
		cmocka_unit_test(the_bell_rings_once_for_who_watches_and_when_leaving_work_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
