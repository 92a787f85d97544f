/* SPDX-License-Identifier: BSD-3-Clause */
/* Look-ups beside a writer.  For the thread checker as much as for the assertions: build with b_sanitize=thread. */
#include "../fake-env.h"

#include "remap/extable.h"

#include <pthread.h>
#include <stdbool.h>

enum { READERS = 2, CHUNKS = 60000, CHURN = 512, VERSIONS = 4, TOGGLES = 60000, MEETINGS = 20000 };

static struct br_extable *table;
static _Atomic uint64_t inserted;	/* so many of numbered() are in the table */
static _Atomic uint32_t phase[CHURN];	/* of churned(): 0 absent, 1 changing, 2 draining, 3 done */
static _Atomic bool over;
static _Atomic uint64_t wrong, looked;

static uint64_t mix(uint64_t x)
{
	x = (x + 1) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 31) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 29;
}

/* A third lies scattered, a third in no order in dense blocks, a third in runs: even numbers, churned() has the odd. */
static uint64_t numbered(uint64_t i)
{
	switch (i % 3) {
	case 0:
		return (i * UINT64_C(0x9e3779b1) & 0xfffffff) * 2 + (UINT64_C(1) << 32);
	case 1:
		return i / 3 * 7919 % 32768 * 2;
	default:
		return i + (UINT64_C(1) << 45);
	}
}

static uint64_t place_of(uint64_t i)
{
	return i % 3 == 2 ? i + 5 : mix(i) % BR_EX_CHUNK_END;
}

/* Neighbours of those of numbered(): in the same blocks. */
static uint64_t churned(uint64_t i)
{
	return i * 2 + 1;
}

static uint64_t churned_place(uint64_t i, uint64_t version)
{
	return mix(i * VERSIONS + version) % BR_EX_CHUNK_END;
}

static bool is_place_of_churned(uint64_t i, uint64_t place)
{
	for (uint64_t v = 0; v < VERSIONS; v++) {
		if (place == churned_place(i, v))
			return true;
	}
	return false;
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

static void look_at_numbered(uint64_t dice)
{
	uint64_t n = atomic_load(&inserted), i = n ? dice % n : 0, place = 0;

	if (n && (br_extable_lookup(table, numbered(i), &place) != BR_EX_DONE || place != place_of(i)))
		atomic_fetch_add(&wrong, 1);
}

/* What the phase was all the time, the look-up must have said. */
static void look_at_churned(uint64_t dice)
{
	uint64_t i = dice % CHURN, place = 0;
	uint32_t before = atomic_load(&phase[i]), after;
	int state;

	br_extable_prefetch(table, churned(i));
	state = br_extable_lookup(table, churned(i), &place);
	after = atomic_load(&phase[i]);
	if (state != BR_EX_NONE && !is_place_of_churned(i, place))
		atomic_fetch_add(&wrong, 1);
	if (before != after)
		return;
	if ((before % 4 == 0 && state != BR_EX_NONE) || (before % 4 == 2 && state != BR_EX_DRAINING) ||
	    (before % 4 == 3 && state != BR_EX_DONE))
		atomic_fetch_add(&wrong, 1);
}

static void *reader(void *arg)
{
	uint64_t dice = (uintptr_t)arg;

	while (!atomic_load(&over)) {
		dice = mix(dice);
		look_at_numbered(dice);
		look_at_churned(dice >> 20);
		atomic_fetch_add_explicit(&looked, 1, memory_order_relaxed);
	}
	return NULL;
}

/* ---- the writer -------------------------------------------------------------------------------------------------- */

static void set_phase(uint64_t i, uint32_t to)
{
	uint32_t now = atomic_load(&phase[i]);

	atomic_store(&phase[i], (now & ~3u) + (to <= (now & 3u) ? 4 : 0) + to);	/* never the same number twice */
}

/* One step in the life of a churned chunk: comes, drains, is done, goes. */
static void churn(uint64_t dice)
{
	uint64_t i = dice % CHURN, version = dice / CHURN % VERSIONS;
	uint32_t now = atomic_load(&phase[i]) & 3;

	set_phase(i, 1);
	if (now == 0) {
		assert_int_equal(br_extable_insert(table, churned(i), churned_place(i, version), BR_EX_DRAINING), 0);
		set_phase(i, 2);
	} else if (now == 2) {
		br_extable_set_done(table, churned(i));
		set_phase(i, 3);
	} else {
		assert_int_equal(br_extable_remove(table, churned(i)), 0);
		set_phase(i, 0);
	}
}

static void write_all(void)
{
	for (uint64_t i = 0; i < CHUNKS; i++) {
		assert_int_equal(br_extable_insert(table, numbered(i), place_of(i), BR_EX_DONE), 0);
		atomic_store(&inserted, i + 1);
		churn(mix(i) >> 8);
	}
	for (uint64_t i = 0; i < TOGGLES; i++)
		churn(mix(i) >> 9);
}

static void look_ups_find_what_is_there_while_the_table_grows_and_changes(void **state)
{
	pthread_t threads[READERS];

	(void)state;
	assert_int_equal(br_extable_new(&fake_env, 0, &table), 0);
	for (uintptr_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, (void *)(i + 1)), 0);
	write_all();
	while (atomic_load(&looked) < CHUNKS)
		sched_yield();
	atomic_store(&over, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&wrong), 0);
	br_extable_free(table);
	assert_int_equal(fake_allocs, 0);
}

/* ---- the bargain with the deferred set --------------------------------------------------------------------------- */

static _Atomic uint32_t inside[MEETINGS];
static int seen[MEETINGS];
static _Atomic uint32_t turn_reader, turn_writer;

static void *enter_and_look_up(void *arg)
{
	uint64_t place;

	(void)arg;
	for (uint32_t i = 0; i < MEETINGS; i++) {
		atomic_store(&turn_reader, i + 1);
		while (atomic_load(&turn_writer) < i + 1)
			sched_yield();
		atomic_exchange(&inside[i], 1);
		seen[i] = br_extable_lookup(table, i * UINT64_C(37), &place);
	}
	return NULL;
}

static void either_the_reader_sees_the_insert_or_the_writer_sees_the_reader(void **state)
{
	static uint32_t met[MEETINGS];
	pthread_t thread;

	(void)state;
	assert_int_equal(br_extable_new(&fake_env, 0, &table), 0);
	assert_int_equal(pthread_create(&thread, NULL, enter_and_look_up, NULL), 0);
	for (uint32_t i = 0; i < MEETINGS; i++) {
		atomic_store(&turn_writer, i + 1);
		while (atomic_load(&turn_reader) < i + 1)
			sched_yield();
		assert_int_equal(br_extable_insert(table, i * UINT64_C(37), i, BR_EX_DRAINING), 0);
		met[i] = atomic_load(&inside[i]);
	}
	pthread_join(thread, NULL);
	for (uint32_t i = 0; i < MEETINGS; i++)
		assert_true(met[i] || seen[i] == BR_EX_DRAINING);
	br_extable_free(table);
	assert_int_equal(fake_allocs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(look_ups_find_what_is_there_while_the_table_grows_and_changes),
		cmocka_unit_test(either_the_reader_sees_the_insert_or_the_writer_sees_the_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
