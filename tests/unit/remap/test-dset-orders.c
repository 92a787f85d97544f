/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All interleavings of readers and quiescers, at the grain of single atomic operations.
 *
 * dset.c is compiled into this program with its atomics and its lock replaced by ones that give the turn away first.
 * Each party is a coroutine; a depth-first walk over "whose turn is it" replays the world from the start for each
 * order. Within one order memory is sequentially consistent, which is what dset.c asks of the hardware (all its
 * atomics that matter are seq_cst); that it asks for enough elsewhere is for the thread sanitizer, in
 * test-dset-threads.c.
 *
 * Slots that no party of a scenario can be in are read without giving the turn away: their value never changes.
 */
#include "fake.h"

#include <stdio.h>
#include <ucontext.h>

#include "base/mutex.h"
#include "base/mutant.h"
#include "remap/dset.h"

static void turn(void);
static void model_lock(void);
static void model_unlock(void);

static uint64_t model_load(_Atomic uint64_t *p, memory_order o)
{
	if (o == memory_order_seq_cst && ((uintptr_t)p / 8) % BR_DSET_SLOTS < 2)
		turn();
	return atomic_load_explicit(p, o);
}

static uint64_t model_exchange(_Atomic uint64_t *p, uint64_t v, memory_order o)
{
	turn();
	return atomic_exchange_explicit(p, v, o);
}

static void model_store(_Atomic uint64_t *p, uint64_t v, memory_order o)
{
	turn();
	atomic_store_explicit(p, v, o);
}

static bool model_cas(_Atomic uint64_t *p, uint64_t *seen, uint64_t v, memory_order yes, memory_order no)
{
	turn();
	return atomic_compare_exchange_strong_explicit(p, seen, v, yes, no);
}

#undef atomic_load_explicit
#undef atomic_exchange_explicit
#undef atomic_store_explicit
#undef atomic_compare_exchange_strong_explicit
#define atomic_load_explicit(p, o) model_load(p, o)
#define atomic_exchange_explicit(p, v, o) model_exchange(p, v, o)
#define atomic_store_explicit(p, v, o) model_store(p, v, o)
#define atomic_compare_exchange_strong_explicit(p, s, v, y, n) model_cas(p, s, v, y, n)
#define br_mutex_lock(m, env) ((void)(m), model_lock())
#define br_mutex_unlock(m, env) ((void)(m), model_unlock())
#include "remap/dset.c"

/* ---- coroutines and the walk ----------------------------------------------------------------------------------- */

enum { PARTIES = 4, STACK = 65536, MAX_DEPTH = 200 };

struct party {
	ucontext_t uc;
	char stack[STACK];
	void (*run)(int me);
	bool ready, over;
	bool wants_lock;
	struct fake_op *awaits;
};

static struct party parties[PARTIES];
static int nr_parties, running = -1;
static ucontext_t home;
static bool locked;

static struct {
	uint8_t chosen, among;
} path[MAX_DEPTH];
static int depth, depth_kept;
static int preemptions, max_preemptions;

static void turn(void)
{
	if (running >= 0)
		swapcontext(&parties[running].uc, &home);
}

static void model_lock(void)
{
	if (running >= 0) {
		parties[running].wants_lock = true;
		turn();
		parties[running].wants_lock = false;
	}
	assert_false(locked);
	locked = true;
}

static void model_unlock(void)
{
	locked = false;
}

static void enter_party(void)
{
	parties[running].run(running);
	parties[running].over = true;
	swapcontext(&parties[running].uc, &home);
}

static bool can_run(const struct party *p)
{
	return !p->over && !(p->wants_lock && locked) && !(p->awaits && !p->awaits->granted);
}

/* Those who may go now, the one who went last first: choosing another, while it could, is a preemption. */
static int candidates(int *out)
{
	int n = 0, last = running;

	if (last >= 0 && can_run(&parties[last])) {
		out[n++] = last;
		if (preemptions == max_preemptions)
			return n;
	}
	for (int i = 0; i < nr_parties; i++)
		if (i != last && can_run(&parties[i]))
			out[n++] = i;
	return n;
}

static void choose(void)
{
	int c[PARTIES], n = candidates(c), last = running;

	assert_true(n > 0);		/* else all wait for each other: somebody was not released */
	assert_true(depth < MAX_DEPTH);
	if (depth == depth_kept) {
		path[depth].chosen = 0;
		depth_kept++;
	}
	path[depth].among = (uint8_t)n;
	running = c[path[depth].chosen];
	depth++;
	if (running != last && last >= 0 && can_run(&parties[last]))
		preemptions++;
}

static bool anybody_left(void)
{
	for (int i = 0; i < nr_parties; i++)
		if (!parties[i].over)
			return true;
	return false;
}

static void run_one_order(void)
{
	depth = preemptions = 0;
	for (int i = 0; i < nr_parties; i++) {
		struct party *p = &parties[i];

		p->over = p->wants_lock = false;
		p->awaits = NULL;
		getcontext(&p->uc);
		p->uc.uc_stack.ss_sp = p->stack;
		p->uc.uc_stack.ss_size = STACK;
		makecontext(&p->uc, enter_party, 0);
	}
	running = -1;
	while (anybody_left()) {
		choose();
		swapcontext(&home, &parties[running].uc);
	}
	running = -1;
}

static bool next_order(void)
{
	while (depth_kept && path[depth_kept - 1].chosen + 1 == path[depth_kept - 1].among)
		depth_kept--;
	if (!depth_kept)
		return false;
	path[depth_kept - 1].chosen++;
	return true;
}

/* ---- the world ------------------------------------------------------------------------------------------------- */

static struct br_dset set;
static struct br_dset_lane *lanes[2];
static int mapped_to;			/* the table: 0 old place, n > 0 the n-th insert */
static int inside[PARTIES];		/* 1 + the place that this reader reads now, or 0 */
static struct fake_op ops[PARTIES];
static struct br_dset_waiter waiters[PARTIES];
static bool violated;
static uint64_t crowd;			/* entries that fill lane 0's line before it begins */

static void read_once(int me, int lane)
{
	struct br_entry e;

	br_dset_enter(lanes[lane], 7, &e);
	turn();
	inside[me] = 1 + mapped_to;
	turn();
	inside[me] = 0;
	br_dset_leave(&e);
}

static void reader_lane0(int me)
{
	read_once(me, 0);
}

static void reader_lane1(int me)
{
	read_once(me, 1);
}

static void reader_lane0_twice(int me)
{
	read_once(me, 0);
	read_once(me, 0);
}

/* The two readers of lane 0 share a queue, so whole calls alternate and not their insides: model them as one party. */
static void two_readers_of_one_queue(int me)
{
	struct br_entry a, b;

	br_dset_enter(lanes[0], 7, &a);
	turn();
	inside[me] = 1 + mapped_to;
	br_dset_enter(lanes[0], 7, &b);
	turn();
	if (mapped_to)
		inside[me] = inside[me] ? inside[me] : 1 + mapped_to;
	br_dset_leave(&b);
	turn();
	inside[me] = 0;
	br_dset_leave(&a);
}

static void quiescer(int me)
{
	int mine;

	turn();
	mine = ++mapped_to;
	if (!br_dset_quiesce(&set, 7, &waiters[me], &ops[me].op)) {
		parties[me].awaits = &ops[me];
		turn();
		parties[me].awaits = NULL;
	}
	for (int i = 0; i < nr_parties; i++)
		if (inside[i] && inside[i] - 1 < mine)
			violated = true;
}

static uint64_t count_orders(void (*const *run)(int), int n, int bound)
{
	uint64_t orders = 0;

	nr_parties = n;
	max_preemptions = bound;
	depth_kept = 0;
	do {
		memset(ops, 0, sizeof(ops));
		mapped_to = 0;
		br_dset_init(&set, &fake_ctx);
		for (int i = 0; i < 2; i++)
			assert_int_equal(br_dset_lane_open(&set, NULL, &lanes[i]), 0);
		for (uint64_t i = 0; i < crowd; i++)
			lanes[0]->slots[line_of(7)][i] = word_of(1);
		for (int i = 0; i < n; i++)
			parties[i].run = run[i];
		run_one_order();
		for (int i = 0; i < n; i++)
			assert_int_equal(ops[i].granted, ops[i].launched);
		assert_int_equal(fake_ctx.waits, 0);
		assert_true(br_list_empty(&set.waiters));
		for (int i = 0; i < 2; i++)
			br_dset_lane_close(lanes[i]);
		orders++;
	} while (!violated && next_order());
	return orders;
}

static void check(void (*const *run)(int), int n, int bound)
{
	violated = false;
	print_message("# %d parties, at most %d preemptions: %llu orders\n", n, bound,
		      (unsigned long long)count_orders(run, n, bound));
	assert_false(violated);
}

enum { UNBOUNDED = 1000 };

static void one_reader_and_one_quiescer_in_every_order(void **state)
{
	void (*const run[])(int) = { reader_lane0, quiescer };

	(void)state;
	check(run, 2, UNBOUNDED);
}

static void two_readers_of_one_queue_and_one_quiescer_in_every_order(void **state)
{
	void (*const run[])(int) = { two_readers_of_one_queue, quiescer };

	(void)state;
	check(run, 2, UNBOUNDED);
}

static void a_reader_that_comes_back_and_one_quiescer_in_every_order(void **state)
{
	void (*const run[])(int) = { reader_lane0_twice, quiescer };

	(void)state;
	check(run, 2, UNBOUNDED);
}

static void two_readers_on_two_queues_and_one_quiescer(void **state)
{
	void (*const run[])(int) = { reader_lane0, reader_lane1, quiescer };

	(void)state;
	check(run, 3, 4);
}

static void a_reader_twice_another_and_two_quiescers(void **state)
{
	void (*const run[])(int) = { reader_lane0_twice, reader_lane1, quiescer, quiescer };

	(void)state;
	check(run, 4, 2);
}

static void readers_in_overflow_and_one_quiescer(void **state)
{
	void (*const run[])(int) = { reader_lane0, reader_lane1, quiescer };

	(void)state;
	crowd = BR_DSET_SLOTS;
	check(run, 3, 3);
	crowd = 0;
}

/* The test of the test: a changer that forgets to quiesce must be caught. */
static void forgetful(int me)
{
	turn();
	mapped_to++;
	for (int i = 0; i < nr_parties; i++)
		violated |= i != me && inside[i] == 1;
}

static void a_changer_that_does_not_quiesce_is_caught(void **state)
{
	void (*const run[])(int) = { reader_lane0, forgetful };

	(void)state;
	violated = false;
	count_orders(run, 2, UNBOUNDED);
	assert_true(violated);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_reader_and_one_quiescer_in_every_order),
		cmocka_unit_test(two_readers_of_one_queue_and_one_quiescer_in_every_order),
		cmocka_unit_test(a_reader_that_comes_back_and_one_quiescer_in_every_order),
		cmocka_unit_test(two_readers_on_two_queues_and_one_quiescer),
		cmocka_unit_test(a_reader_twice_another_and_two_quiescers),
		cmocka_unit_test(readers_in_overflow_and_one_quiescer),
		cmocka_unit_test(a_changer_that_does_not_quiesce_is_caught),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
