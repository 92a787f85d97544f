/* SPDX-License-Identifier: BSD-3-Clause */
#include "../fake-env.h"

#include "remap/extable.h"

#include <errno.h>

/* ---- chance, the same each time ---------------------------------------------------------------------------------- */

static uint64_t seed;

static uint64_t chance(uint64_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 20) % below;
}

static struct br_extable *new_table(void)
{
	struct br_extable *t;

	seed = 1;
	assert_int_equal(br_extable_new(&fake_env, 0, &t), 0);
	return t;
}

static void free_table(struct br_extable *t)
{
	br_extable_free(t);
	assert_int_equal(fake_allocs, 0);
}

/* ---- the model: every chunk of some windows, in plain arrays ----------------------------------------------------- */

enum { WINDOWS = 4, WINDOW = 4096 };

static const uint64_t window_start[WINDOWS] = {
	0, UINT64_C(123456789) * 16, (UINT64_C(1) << 39) - WINDOW / 2, (UINT64_C(1) << 48) - WINDOW
};

struct model {
	struct br_extable *t;
	int state[WINDOWS][WINDOW];
	uint64_t place[WINDOWS][WINDOW];
	uint64_t count;
};

static struct model model;

static void check_chunk(int w, int i)
{
	uint64_t place = 77;
	int state = br_extable_lookup(model.t, window_start[w] + (uint64_t)i, &place);

	assert_int_equal(state, model.state[w][i]);
	assert_int_equal(place, state ? model.place[w][i] : 77);
}

static void check_all(void)
{
	struct br_exception e = { 0 };
	uint64_t from = 0;

	for (int w = 0; w < WINDOWS; w++) {
		for (int i = 0; i < WINDOW; i++) {
			check_chunk(w, i);
			if (!model.state[w][i])
				continue;
			assert_int_equal(br_extable_next(model.t, from, UINT64_MAX, &e), 0);
			assert_int_equal(e.old_chunk, window_start[w] + (uint64_t)i);
			assert_int_equal(e.new_chunk, model.place[w][i]);
			from = e.old_chunk + 1;
		}
	}
	assert_int_equal(br_extable_next(model.t, from, UINT64_MAX, &e), -ENOENT);
	assert_int_equal(br_extable_count(model.t), model.count);
}

static void insert(int w, int i, uint64_t place, int state)
{
	uint64_t chunk = window_start[w] + (uint64_t)i;

	if (model.state[w][i]) {
		assert_int_equal(br_extable_insert(model.t, chunk, place, state), -EEXIST);
		return;
	}
	assert_int_equal(br_extable_insert(model.t, chunk, place, state), 0);
	model.state[w][i] = state;
	model.place[w][i] = place;
	model.count++;
	check_chunk(w, i);
}

/* Runs of 1 to 256 from anywhere, in order, in reverse or in none; done, draining or now this, now that. */
static void insert_run(void)
{
	int w = (int)chance(WINDOWS), at = (int)chance(WINDOW), n = 1 + (int)chance(chance(2) ? 8 : 256);
	uint64_t place = chance(4) ? chance(BR_EX_CHUNK_END - 512) : BR_EX_CHUNK_END - 256, order = chance(4);
	int kind = (int)chance(3);

	for (int k = 0; k < n && at + k < WINDOW; k++) {
		uint64_t its = order < 2 ? place + (uint64_t)k : order == 2 ? place + (uint64_t)(n - 1 - k) :
			       chance(BR_EX_CHUNK_END);

		insert(w, at + k, its, kind == 2 ? 1 + (int)chance(2) : 1 + kind);
	}
}

static void remove_run(void)
{
	int w = (int)chance(WINDOWS), at = (int)chance(WINDOW), n = 1 + (int)chance(64);

	for (int k = 0; k < n && at < WINDOW; k++, at++) {
		uint64_t chunk = window_start[w] + (uint64_t)at;

		assert_int_equal(br_extable_remove(model.t, chunk), model.state[w][at] ? 0 : -ENOENT);
		model.count -= model.state[w][at] != 0;
		model.state[w][at] = 0;
		check_chunk(w, at);
	}
}

static void end_draining(void)
{
	int w = (int)chance(WINDOWS), at = (int)chance(WINDOW);

	for (int k = 0; k < 512 && at < WINDOW; k++, at++) {
		br_extable_set_done(model.t, window_start[w] + (uint64_t)at);
		if (model.state[w][at] == BR_EX_DRAINING)
			model.state[w][at] = BR_EX_DONE;
		check_chunk(w, at);
	}
}

static void the_table_says_what_a_plain_array_says(void **state)
{
	(void)state;
	memset(&model, 0, sizeof(model));
	model.t = new_table();
	for (int i = 0; i < 6000; i++) {
		uint64_t what = chance(8);

		if (what < (i / 1500 % 2 ? 1 : 4))	/* fills, then empties, then fills again */
			insert_run();
		else if (what < 6)
			remove_run();
		else
			end_draining();
		if (i % 500 == 0)
			check_all();
	}
	check_all();
	free_table(model.t);
}

/* ---- single facts ------------------------------------------------------------------------------------------------ */

static void the_first_and_the_last_chunk_are_chunks_like_others(void **state)
{
	struct br_extable *t = new_table();
	uint64_t last = BR_EX_CHUNK_END - 1, place;

	(void)state;
	assert_int_equal(br_extable_lookup(t, 0, &place), BR_EX_NONE);
	assert_int_equal(br_extable_lookup(t, last, &place), BR_EX_NONE);
	assert_int_equal(br_extable_insert(t, 0, last, BR_EX_DONE), 0);
	assert_int_equal(br_extable_insert(t, last, 0, BR_EX_DONE), 0);
	assert_int_equal(br_extable_lookup(t, 0, &place), BR_EX_DONE);
	assert_int_equal(place, last);
	assert_int_equal(br_extable_lookup(t, last, &place), BR_EX_DONE);
	assert_int_equal(place, 0);
	assert_int_equal(br_extable_lookup(t, BR_EX_CHUNK_END, &place), BR_EX_NONE);
	assert_int_equal(br_extable_lookup(t, UINT64_MAX, &place), BR_EX_NONE);
	assert_int_equal(br_extable_insert(t, BR_EX_CHUNK_END, 1, BR_EX_DONE), -EINVAL);
	assert_int_equal(br_extable_insert(t, 1, BR_EX_CHUNK_END, BR_EX_DONE), -EINVAL);
	assert_int_equal(br_extable_count(t), 2);
	free_table(t);
}

static void a_chunk_drains_until_it_is_said_to_be_done_whatever_its_neighbours_do(void **state)
{
	struct br_extable *t = new_table();
	uint64_t place;

	(void)state;
	for (uint64_t i = 0; i < 32; i++)
		assert_int_equal(br_extable_insert(t, i, 1000 + i, i % 3 ? BR_EX_DONE : BR_EX_DRAINING), 0);
	for (uint64_t i = 0; i < 32; i++) {
		assert_int_equal(br_extable_lookup(t, i, &place), i % 3 ? BR_EX_DONE : BR_EX_DRAINING);
		br_extable_set_done(t, i);
		br_extable_set_done(t, i);
		assert_int_equal(br_extable_lookup(t, i, &place), BR_EX_DONE);
		assert_int_equal(place, 1000 + i);
	}
	br_extable_set_done(t, 99);
	assert_int_equal(br_extable_lookup(t, 99, &place), BR_EX_NONE);
	free_table(t);
}

static void the_walk_finds_a_few_chunks_far_apart_without_trying_each(void **state)
{
	static const uint64_t chunks[] = { 5, UINT64_C(1) << 33, (UINT64_C(1) << 39) - 1, UINT64_C(1) << 39,
		UINT64_C(1) << 47 };
	struct br_extable *t = new_table();
	struct br_exception e;
	uint64_t from = 0;

	(void)state;
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(br_extable_insert(t, chunks[i], i, BR_EX_DONE), 0);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(br_extable_next(t, from, chunks[i], &e), -ENOENT);
		assert_int_equal(br_extable_next(t, from, UINT64_MAX, &e), 0);
		assert_int_equal(e.old_chunk, chunks[i]);
		assert_int_equal(e.new_chunk, i);
		from = e.old_chunk + 1;
	}
	assert_int_equal(br_extable_next(t, from, UINT64_MAX, &e), -ENOENT);
	free_table(t);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

enum { MILLION = 1000000 };

/* A permutation of 2^28 chunks: what looks like chance, and no chunk twice. */
static uint64_t scattered(uint64_t i)
{
	uint64_t x = i;

	for (int round = 0; round < 3; round++) {
		x = x * UINT64_C(0x9e3779b1) & 0xfffffff;
		x ^= x >> 13;
	}
	return x;
}

static uint64_t bytes_for(uint64_t n, uint64_t (*chunk)(uint64_t), uint64_t (*place)(uint64_t))
{
	struct br_extable *t = new_table();
	uint64_t bytes, where;

	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(br_extable_insert(t, chunk(i), place(i), BR_EX_DONE), 0);
	for (uint64_t i = 0; i < n; i++) {
		assert_int_equal(br_extable_lookup(t, chunk(i), &where), BR_EX_DONE);
		assert_int_equal(where, place(i));
	}
	bytes = br_extable_bytes(t);
	free_table(t);
	return bytes;
}

static uint64_t in_order(uint64_t i)
{
	return i;
}

/* Runs of 16, aligned to nothing. */
static uint64_t clustered(uint64_t i)
{
	return scattered(i / 16) * 32 + 7 + i % 16;
}

/* All of 2^20 chunks but one in 21, in no order. */
static uint64_t dense(uint64_t i)
{
	return i * 3677 % (1 << 20);
}

static uint64_t in_no_order(uint64_t i)
{
	return scattered(i + 12345);
}

static void a_million_exceptions_take_22_bytes_each_scattered_and_3_in_runs(void **state)
{
	uint64_t random = bytes_for(MILLION, scattered, in_no_order), runs = bytes_for(MILLION, clustered, in_order);
	uint64_t packed = bytes_for(MILLION, dense, in_no_order), straight = bytes_for(MILLION, in_order, in_order);

	(void)state;
	print_message("# bytes each: scattered %.2f, runs %.2f, dense in no order %.2f, straight %.2f\n",
		      (double)random / MILLION, (double)runs / MILLION, (double)packed / MILLION,
		      (double)straight / MILLION);
	assert_true(random <= 22 * MILLION);
	assert_true(runs <= 3 * MILLION);
	assert_true(packed <= 12 * MILLION);
	assert_true(straight <= 2 * MILLION);
}

static void what_was_promised_needs_no_memory(void **state)
{
	static uint64_t (*const chunk_of[])(uint64_t) = { scattered, clustered, dense, in_order };
	static const uint64_t batch[] = { 1, 7, 100, 3000, 150000 };

	(void)state;
	for (size_t k = 0; k < 20; k++) {
		uint64_t (*chunk)(uint64_t) = chunk_of[k % 4], n = batch[k / 4], all = n < 10 ? 30000 : 200000, i = 0;
		struct br_extable *t = new_table();

		while (i + n <= all) {
			assert_int_equal(br_extable_reserve(t, n), 0);
			fake_allocs_left = 0;
			for (uint64_t end = i + n; i < end; i++) {
				assert_int_equal(br_extable_insert(t, chunk(i), in_no_order(i), 1 + (int)(i % 2)), 0);
				br_extable_set_done(t, chunk(i));
			}
			fake_allocs_left = -1;
		}
		assert_int_equal(br_extable_count(t), i);
		free_table(t);
	}
}

/* As requests do: each promises its own, and they insert in another order, some never. */
static void promises_add_up_until_they_are_used_or_given_back(void **state)
{
	struct br_extable *t = new_table();

	(void)state;
	for (uint64_t i = 0; i < 5000; i++)
		assert_int_equal(br_extable_reserve(t, 1), 0);
	br_extable_unreserve(t, 1000);
	br_extable_reclaim(t);
	fake_allocs_left = 0;
	for (uint64_t i = 0; i < 4000; i++)
		assert_int_equal(br_extable_insert(t, scattered(i), i, BR_EX_DRAINING), 0);
	fake_allocs_left = -1;
	free_table(t);
}

static void without_memory_an_insert_fails_and_nothing_else_happens(void **state)
{
	struct br_extable *t;
	uint64_t n = 0, failed = 0, place;

	(void)state;
	fake_allocs_left = 0;
	assert_int_equal(br_extable_new(&fake_env, 0, &t), -ENOMEM);
	fake_allocs_left = -1;
	t = new_table();
	while (n < 30000) {
		uint64_t chunk = n % 2 ? dense(n) : BR_EX_CHUNK_END - 1 - scattered(n);

		fake_allocs_left = failed % 2 ? -1 : 0;		/* each allocation fails once, then succeeds */
		if (br_extable_insert(t, chunk, in_no_order(n), 1 + (int)(n % 2)) == 0) {
			n += 1;
			failed &= ~UINT64_C(1);
			continue;
		}
		assert_int_equal(fake_allocs_left, 0);
		assert_int_equal(br_extable_lookup(t, chunk, &place), BR_EX_NONE);
		assert_int_equal(br_extable_count(t), n);
		failed++;
	}
	fake_allocs_left = -1;
	assert_true(failed == 0);
	for (uint64_t i = 0; i < n; i++) {
		assert_int_equal(br_extable_lookup(t, i % 2 ? dense(i) : BR_EX_CHUNK_END - 1 - scattered(i), &place),
				 1 + (int)(i % 2));
		assert_int_equal(place, in_no_order(i));
	}
	free_table(t);
}

static void the_bound_is_kept(void **state)
{
	enum { BOUND = 4 << 20 };
	struct br_extable *t;
	uint64_t n = 0, place;

	(void)state;
	assert_int_equal(br_extable_new(&fake_env, 100, &t), -ENOMEM);
	assert_int_equal(br_extable_new(&fake_env, BOUND, &t), 0);
	assert_int_equal(br_extable_reserve(t, BOUND), -ENOMEM);
	assert_int_equal(br_extable_reserve(t, UINT64_MAX), -ENOMEM);
	while (br_extable_insert(t, scattered(n), n, BR_EX_DONE) == 0)
		n++;
	assert_true(br_extable_bytes(t) <= BOUND);
	assert_true(n > BOUND / 32);
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(br_extable_lookup(t, scattered(i), &place), BR_EX_DONE);
	free_table(t);
}

static void what_is_removed_can_be_reclaimed_and_a_cleared_table_is_as_new(void **state)
{
	struct br_extable *t = new_table();
	uint64_t fresh = br_extable_bytes(t), full, place;

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < 100000; i++)
			assert_int_equal(br_extable_insert(t, scattered(i), i, BR_EX_DONE), 0);
		full = br_extable_bytes(t);
		for (uint64_t i = 0; i < 100000; i++)
			assert_int_equal(br_extable_remove(t, scattered(i)), 0);
		br_extable_reclaim(t);
		assert_true(br_extable_bytes(t) < full / 20);
		for (uint64_t i = 0; i < 1000; i++)
			assert_int_equal(br_extable_insert(t, scattered(i), i, BR_EX_DONE), 0);
		br_extable_clear(t);
		assert_int_equal(br_extable_bytes(t), fresh);
		assert_int_equal(br_extable_lookup(t, scattered(0), &place), BR_EX_NONE);
	}
	free_table(t);
	br_extable_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_says_what_a_plain_array_says),
		cmocka_unit_test(the_first_and_the_last_chunk_are_chunks_like_others),
		cmocka_unit_test(a_chunk_drains_until_it_is_said_to_be_done_whatever_its_neighbours_do),
		cmocka_unit_test(the_walk_finds_a_few_chunks_far_apart_without_trying_each),
		cmocka_unit_test(a_million_exceptions_take_22_bytes_each_scattered_and_3_in_runs),
		cmocka_unit_test(what_was_promised_needs_no_memory),
		cmocka_unit_test(promises_add_up_until_they_are_used_or_given_back),
		cmocka_unit_test(without_memory_an_insert_fails_and_nothing_else_happens),
		cmocka_unit_test(the_bound_is_kept),
		cmocka_unit_test(what_is_removed_can_be_reclaimed_and_a_cleared_table_is_as_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
