/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The deferred set under real threads: readers that look up and read, changers that insert, quiesce and overwrite.
 * The overwritten word is plain memory, so the thread sanitizer sees each reader that was not waited for.
 */
#include "fake.h"

#include <pthread.h>

#include "remap/dset.h"

enum { READERS = 2, BLOCKS = 3, ROUNDS = 3000 };

static struct br_dset set;
static struct br_dset_lane *lanes[READERS];
static _Atomic uint64_t moved[BLOCKS];	/* the table: 0 as long as the block lives in its old place */
static uint64_t old_place[BLOCKS];	/* 1 until it is overwritten */
static _Atomic int round_nr, arrived;
static _Atomic bool bad;
static unsigned waited;			/* quiesces that found somebody inside */

static void meet(int *my_round)
{
	int all = READERS + 1;

	++*my_round;
	if (atomic_fetch_add(&arrived, 1) + 1 == all) {
		atomic_store(&arrived, 0);
		atomic_store(&round_nr, *my_round);
		return;
	}
	while (atomic_load(&round_nr) != *my_round)
		sched_yield();
}

static void read_block(struct br_dset_lane *l, uint64_t b)
{
	static _Thread_local unsigned nth;
	struct br_entry e[10];
	unsigned n = b == 0 ? 10 : 1;	/* block 0 overflows its line */

	for (unsigned i = 0; i < n; i++)
		br_dset_enter(l, b, &e[i]);
	if (!atomic_load_explicit(&moved[b], memory_order_seq_cst)) {
		if (++nth % 3)		/* sometimes long enough for the changer to find us inside */
			sched_yield();
		if (old_place[b] != 1)
			atomic_store(&bad, true);
	}
	for (unsigned i = 0; i < n; i++)
		br_dset_leave(&e[i]);
}

static void *reader(void *arg)
{
	struct br_dset_lane *l = arg;
	int my_round = 0;

	for (int i = 0; i < ROUNDS; i++) {
		meet(&my_round);
		for (uint64_t n = 0; n < 4; n++)
			for (uint64_t b = 0; b < BLOCKS; b++)
				read_block(l, b);
		meet(&my_round);
	}
	return NULL;
}

static void change(uint64_t b)
{
	struct fake_op f = { .launched = 0 };
	struct br_dset_waiter w;

	atomic_store_explicit(&moved[b], 1, memory_order_seq_cst);
	if (!br_dset_quiesce(&set, b, &w, &f.op))
		for (waited++; !atomic_load(&f.granted);)
			sched_yield();
	old_place[b] = 2;
}

static void no_reader_sees_its_block_overwritten(void **state)
{
	pthread_t threads[READERS];
	int my_round = 0;

	(void)state;
	br_dset_init(&set, &fake_ctx);
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(br_dset_lane_open(&set, NULL, &lanes[i]), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, reader, lanes[i]), 0);
	}
	for (int i = 0; i < ROUNDS; i++) {
		for (uint64_t b = 0; b < BLOCKS; b++) {
			atomic_store(&moved[b], 0);
			old_place[b] = 1;
		}
		meet(&my_round);
		for (uint64_t b = 0; b < BLOCKS; b++)
			change((b + (uint64_t)i) % BLOCKS);
		meet(&my_round);
	}
	for (int i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		br_dset_lane_close(lanes[i]);
	}
	assert_false(bad);
	print_message("# waited %u times\n", waited);
	assert_true(waited > ROUNDS / 100);	/* else this has tested nothing */
	assert_int_equal(fake_ctx.waits, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_reader_sees_its_block_overwritten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
