/* SPDX-License-Identifier: BSD-3-Clause */
#include "../fake-env.h"

#include <errno.h>

#include "base/pool.h"

static void every_object_is_aligned_apart_from_the_others_and_given_once(void **state)
{
	struct br_pool p;
	char *taken[7];

	(void)state;
	assert_int_equal(br_pool_init(&p, &fake_env, 100, 64, 7), 0);
	for (unsigned i = 0; i < 7; i++) {
		taken[i] = br_pool_take(&p);
		assert_non_null(taken[i]);
		assert_int_equal((uintptr_t)taken[i] % 64, 0);
		for (unsigned j = 0; j < i; j++)
			assert_true(taken[j] + 100 <= taken[i] || taken[i] + 100 <= taken[j]);
		memset(taken[i], 0xee, 100);
	}
	assert_int_equal(p.nr_free, 0);
	assert_null(br_pool_take(&p));
	br_pool_give(&p, taken[3]);
	assert_int_equal(p.nr_free, 1);
	assert_ptr_equal(br_pool_take(&p), taken[3]);
	for (unsigned i = 0; i < 7; i++)
		br_pool_give(&p, taken[i]);
	assert_int_equal(p.nr_free, 7);
	br_pool_done(&p);
	assert_int_equal(fake_allocs, 0);
}

static void a_pool_without_memory_has_nothing_and_can_be_given_up(void **state)
{
	struct br_pool p;

	(void)state;
	fake_allocs_left = 0;
	assert_int_equal(br_pool_init(&p, &fake_env, 16, 16, 4), -ENOMEM);
	fake_allocs_left = -1;
	assert_null(br_pool_take(&p));
	br_pool_done(&p);
	assert_int_equal(fake_allocs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_object_is_aligned_apart_from_the_others_and_given_once),
		cmocka_unit_test(a_pool_without_memory_has_nothing_and_can_be_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
