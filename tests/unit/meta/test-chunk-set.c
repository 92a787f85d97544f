/* SPDX-License-Identifier: BSD-3-Clause */
#include "meta/chunk-set.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "snap-env.h"

enum { N = 20000 };

/* The same chunks in the same order each time; a bijection, so no chunk comes twice. */
static uint64_t scattered(uint64_t i)
{
	return i * UINT64_C(0xd1342543de82ef95);
}

static void a_chunk_is_new_once_and_known_from_then_on(void **state)
{
	struct br_chunk_set set;

	(void)state;
	br_chunk_set_init(&set, &env);
	assert_false(br_chunk_set_has(&set, 0));
	for (uint64_t i = 0; i < N; i++) {
		uint64_t chunk = i & 1 ? scattered(i) : i;

		assert_false(br_chunk_set_has(&set, chunk));
		assert_int_equal(br_chunk_set_add(&set, chunk), 1);
		assert_int_equal(br_chunk_set_add(&set, chunk), 0);
	}
	assert_int_equal(set.count, N);
	for (uint64_t i = 0; i < N; i++)
		assert_true(br_chunk_set_has(&set, i & 1 ? scattered(i) : i));
	assert_false(br_chunk_set_has(&set, 1));
	br_chunk_set_done(&set);
	assert_int_equal(env_bytes, 0);
}

static void the_highest_and_the_lowest_numbers_are_members_like_others(void **state)
{
	struct br_chunk_set set;

	(void)state;
	br_chunk_set_init(&set, &env);
	assert_int_equal(br_chunk_set_add(&set, UINT64_MAX), 1);
	assert_false(br_chunk_set_has(&set, UINT64_MAX - 1));
	assert_int_equal(br_chunk_set_add(&set, 0), 1);
	assert_int_equal(br_chunk_set_add(&set, UINT64_MAX), 0);
	br_chunk_set_done(&set);
}

static void memory_is_by_what_is_in_it(void **state)
{
	struct br_chunk_set set;

	(void)state;
	br_chunk_set_init(&set, &env);
	for (uint64_t i = 0; i < 64 * N; i++)
		assert_int_equal(br_chunk_set_add(&set, (UINT64_C(1) << 47) + i), 1);
	assert_true(env_bytes <= 43 * N);	/* groups, all with 64 members */
	br_chunk_set_done(&set);
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(br_chunk_set_add(&set, scattered(i)), 1);
	assert_true(env_bytes <= 43 * N);	/* the same number, all with one */
	br_chunk_set_done(&set);
}

static void no_memory_is_an_error_and_what_was_in_it_stays(void **state)
{
	struct br_chunk_set set;
	uint64_t n = 0;
	int r;

	(void)state;
	br_chunk_set_init(&set, &env);
	env_fail_in = 3;
	do {
		r = br_chunk_set_add(&set, scattered(n++));
	} while (r == 1);
	env_fail_in = -1;
	assert_int_equal(r, -ENOMEM);
	for (uint64_t i = 0; i + 1 < n; i++)
		assert_true(br_chunk_set_has(&set, scattered(i)));
	assert_int_equal(br_chunk_set_add(&set, scattered(n - 1)), 1);
	br_chunk_set_done(&set);
	assert_int_equal(env_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chunk_is_new_once_and_known_from_then_on),
		cmocka_unit_test(the_highest_and_the_lowest_numbers_are_members_like_others),
		cmocka_unit_test(memory_is_by_what_is_in_it),
		cmocka_unit_test(no_memory_is_an_error_and_what_was_in_it_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
