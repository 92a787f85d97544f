/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/units.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static int size(const char *text, uint64_t *ret)
{
	return br_size_parse(text, strlen(text), ret);
}

static int time(const char *text, uint64_t *ret)
{
	return br_time_parse(text, strlen(text), ret);
}

static void sizes_are_1024_based_and_s_is_sectors(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 }, { "1", 1 }, { "4096", 4096 }, { "64k", 65536 }, { "64K", 65536 }, { "64KiB", 65536 },
		{ "1M", 1 << 20 }, { "3MiB", 3 << 20 }, { "1G", 1 << 30 }, { "2GiB", 1ULL << 31 }, { "1T", 1ULL << 40 },
		{ "5TiB", 5ULL << 40 }, { "128s", 65536 }, { "007", 7 }, { "9223372036854775807", INT64_MAX },
		{ "8388607T", 8388607ULL << 40 },
	};

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(good); i++) {
		uint64_t bytes = 99;

		assert_int_equal(size(good[i].text, &bytes), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
}

static void what_is_no_size_is_refused_and_changes_nothing(void **state)
{
	static const char *const bad[] = { "", "k", "+1", "-1", " 1", "1 ", "1 k", "1kb", "1KB", "1kiB", "1kib", "1m",
					   "1g", "1P", "0x10", "1.5G", "1e3", "1_000", "1,000", "1S",
					   "1ks", "1Kx", "\xd9\xa1" };
	uint64_t bytes = 99;

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(bad); i++)
		assert_int_equal(size(bad[i], &bytes), -EINVAL);
	assert_int_equal(bytes, 99);
}

static void what_does_not_fit_into_63_bits_is_refused(void **state)
{
	static const char *const large[] = { "9223372036854775808", "18446744073709551615", "18446744073709551616",
					     "99999999999999999999999999999999", "8388608T", "18014398509481984s",
					     "16777216T", "9007199254740992K" };
	uint64_t bytes = 99;

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(large); i++)
		assert_int_equal(size(large[i], &bytes), -ERANGE);
	assert_int_equal(time("9223372037s", &bytes), -ERANGE);
	assert_int_equal(time("9223372036s", &bytes), 0);
	assert_int_equal(br_count_parse("18446744073709551615", 20, &bytes), -ERANGE);
}

static void only_len_bytes_are_read(void **state)
{
	uint64_t bytes;

	(void)state;
	assert_int_equal(br_size_parse("64KiB", 2, &bytes), 0);
	assert_int_equal(bytes, 64);
	assert_int_equal(br_size_parse("64KiB", 3, &bytes), 0);
	assert_int_equal(bytes, 65536);
	assert_int_equal(br_size_parse("64KiB", 4, &bytes), -EINVAL);
	assert_int_equal(br_size_parse("64KiB", 0, &bytes), -EINVAL);
}

static void a_time_has_a_unit(void **state)
{
	uint64_t ns = 99;

	(void)state;
	assert_int_equal(time("5", &ns), -EINVAL);
	assert_int_equal(time("0", &ns), -EINVAL);
	assert_int_equal(time("5m", &ns), -EINVAL);
	assert_int_equal(time("ms", &ns), -EINVAL);
	assert_int_equal(ns, 99);
	assert_int_equal(time("7ns", &ns), 0);
	assert_int_equal(ns, 7);
	assert_int_equal(time("20us", &ns), 0);
	assert_int_equal(ns, 20000);
	assert_int_equal(time("5ms", &ns), 0);
	assert_int_equal(ns, 5000000);
	assert_int_equal(time("1s", &ns), 0);
	assert_int_equal(ns, 1000000000);
}

static void counts_and_booleans_have_one_form(void **state)
{
	uint64_t v = 99;

	(void)state;
	assert_int_equal(br_count_parse("12", 2, &v), 0);
	assert_int_equal(v, 12);
	assert_int_equal(br_count_parse("1k", 2, &v), -EINVAL);
	assert_int_equal(br_bool_parse("yes", 3, &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(br_bool_parse("no", 2, &v), 0);
	assert_int_equal(v, 0);
	v = 99;
	assert_int_equal(br_bool_parse("Yes", 3, &v), -EINVAL);
	assert_int_equal(br_bool_parse("true", 4, &v), -EINVAL);
	assert_int_equal(br_bool_parse("1", 1, &v), -EINVAL);
	assert_int_equal(br_bool_parse("ye", 2, &v), -EINVAL);
	assert_int_equal(br_bool_parse("", 0, &v), -EINVAL);
	assert_int_equal(v, 99);
}

static void check_print(uint64_t value, const char *as_size, const char *as_time)
{
	char buf[BR_UNITS_MAX];
	uint64_t back;

	br_size_print(value, buf);
	assert_string_equal(buf, as_size);
	assert_int_equal(size(buf, &back), 0);
	assert_int_equal(back, value);
	br_time_print(value, buf);
	assert_string_equal(buf, as_time);
	assert_int_equal(time(buf, &back), 0);
	assert_int_equal(back, value);
}

static void what_is_printed_parses_to_the_same_value(void **state)
{
	(void)state;
	check_print(0, "0", "0s");
	check_print(1, "1", "1ns");
	check_print(65536, "64K", "65536ns");
	check_print(1000000, "1000000", "1ms");
	check_print(1500000, "1500000", "1500us");
	check_print(1ULL << 40, "1T", "1099511627776ns");
	check_print(3000000000, "3000000000", "3s");
	check_print(INT64_MAX, "9223372036854775807", "9223372036854775807ns");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_1024_based_and_s_is_sectors),
		cmocka_unit_test(what_is_no_size_is_refused_and_changes_nothing),
		cmocka_unit_test(what_does_not_fit_into_63_bits_is_refused),
		cmocka_unit_test(only_len_bytes_are_read),
		cmocka_unit_test(a_time_has_a_unit),
		cmocka_unit_test(counts_and_booleans_have_one_form),
		cmocka_unit_test(what_is_printed_parses_to_the_same_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
