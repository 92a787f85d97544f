/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes as people write and read them: tools/size.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include "size.h"

static void parses(const char *text, uint64_t bytes)
{
	uint64_t n = 1;

	assert_int_equal(ctl_size_parse(text, &n), 0);
	assert_int_equal(n, bytes);
}

static void refuses(const char *text, int error)
{
	uint64_t n = 4711;

	assert_int_equal(ctl_size_parse(text, &n), error);
	assert_int_equal(n, 4711);
}

static void sizes_are_powers_of_1024_or_sectors(void **state)
{
	(void)state;
	parses("0", 0);
	parses("4096", 4096);
	parses("64k", 65536);
	parses("64K", 65536);
	parses("64KiB", 65536);
	parses("1M", UINT64_C(1) << 20);
	parses("1G", UINT64_C(1) << 30);
	parses("1GiB", UINT64_C(1) << 30);
	parses("1T", UINT64_C(1) << 40);
	parses("128s", 65536);
	parses("007", 7);
	parses("9223372036854775807", INT64_MAX);
}

static void what_is_no_size_is_refused_and_leaves_the_result(void **state)
{
	static const char *const bad[] = { "",	   " ",	   "k",	    "-1",    "+1",  " 1",  "1 ", "1 k",	 "1.5M",
					   "64kb", "64KB", "64kiB", "64Ki",  "1m",  "1g",  "1P", "128S", "0x10",
					   "1e3",  "1kk",  "1ss",   "1,000", "1\n", "one", "%",	 "20%" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(bad[i], -EINVAL);
}

static void sizes_beyond_the_largest_file_are_too_large(void **state)
{
	(void)state;
	refuses("9223372036854775808", -ERANGE);
	refuses("18446744073709551616", -ERANGE);
	refuses("99999999999999999999999999", -ERANGE);
	refuses("8388608T", -ERANGE);
	parses("8388607T", UINT64_C(8388607) << 40);
	refuses("18014398509481984s", -ERANGE);
}

static void offsets_may_be_hexadecimal(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(ctl_offset_parse("0x00080000", &n), 0);
	assert_int_equal(n, 0x80000);
	assert_int_equal(ctl_offset_parse("0xfFf", &n), 0);
	assert_int_equal(n, 0xfff);
	assert_int_equal(ctl_offset_parse("512k", &n), 0);
	assert_int_equal(n, 0x80000);
	assert_int_equal(ctl_offset_parse("0x", &n), -EINVAL);
	assert_int_equal(ctl_offset_parse("0x1k", &n), -EINVAL);
	assert_int_equal(ctl_offset_parse("0x8000000000000000", &n), -ERANGE);
	assert_int_equal(ctl_offset_parse("0x10000000000000000", &n), -ERANGE);
}

static void counts_have_a_limit(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(ctl_count_parse("255", 255, &n), 0);
	assert_int_equal(n, 255);
	assert_int_equal(ctl_count_parse("0xA5", 255, &n), 0);
	assert_int_equal(n, 0xa5);
	assert_int_equal(ctl_count_parse("256", 255, &n), -ERANGE);
	assert_int_equal(ctl_count_parse("1k", 4096, &n), -EINVAL);
	assert_int_equal(ctl_count_parse("", 255, &n), -EINVAL);
}

static void shares_are_of_the_whole(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(ctl_share_parse("20%", 1000, &n), 0);
	assert_int_equal(n, 200);
	assert_int_equal(ctl_share_parse("33%", 10, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(ctl_share_parse("150%", UINT64_C(1) << 40, &n), 0);
	assert_int_equal(n, UINT64_C(3) << 39);
	assert_int_equal(ctl_share_parse("64K", 1000, &n), 0);
	assert_int_equal(n, 65536);
	assert_int_equal(ctl_share_parse("%", 1000, &n), -EINVAL);
	assert_int_equal(ctl_share_parse("20%%", 1000, &n), -EINVAL);
	assert_int_equal(ctl_share_parse("-20%", 1000, &n), -EINVAL);
	assert_int_equal(ctl_share_parse("200%", INT64_MAX, &n), -ERANGE);
	assert_int_equal(ctl_share_parse("99999999999999999999%", 1000, &n), -ERANGE);
}

static void human_sizes_have_one_decimal_and_never_1024_of_a_unit(void **state)
{
	(void)state;
	assert_string_equal(ctl_human(0).s, "0 B");
	assert_string_equal(ctl_human(1023).s, "1023 B");
	assert_string_equal(ctl_human(1024).s, "1.0 KiB");
	assert_string_equal(ctl_human(1536).s, "1.5 KiB");
	assert_string_equal(ctl_human(65536).s, "64.0 KiB");
	assert_string_equal(ctl_human((UINT64_C(1) << 20) - 1).s, "1.0 MiB");
	assert_string_equal(ctl_human(1023 * 1024 + 900).s, "1023.9 KiB");
	assert_string_equal(ctl_human(UINT64_C(7945689497)).s, "7.4 GiB");
	assert_string_equal(ctl_human(UINT64_MAX).s, "16.0 EiB");
}

static void thousands_are_parted_by_commas(void **state)
{
	(void)state;
	assert_string_equal(ctl_thousands(0).s, "0");
	assert_string_equal(ctl_thousands(999).s, "999");
	assert_string_equal(ctl_thousands(1000).s, "1,000");
	assert_string_equal(ctl_thousands(16384).s, "16,384");
	assert_string_equal(ctl_thousands(UINT64_MAX).s, "18,446,744,073,709,551,615");
}

static void durations_fit_their_size(void **state)
{
	(void)state;
	assert_string_equal(ctl_duration(200000).s, "0.2 ms");
	assert_string_equal(ctl_duration(UINT64_C(7900000000)).s, "7.9 s");
	assert_string_equal(ctl_duration(UINT64_C(187) * 1000000000).s, "3:07");
	assert_string_equal(ctl_duration(UINT64_C(7985) * 1000000000).s, "2:13:05");
}

static void a_hundred_percent_is_all(void **state)
{
	(void)state;
	assert_string_equal(ctl_percent(1, 1, 1).s, "100.0");
	assert_string_equal(ctl_percent(99999, 100000, 1).s, "99.9");
	assert_string_equal(ctl_percent(196608, 1073741824, 2).s, "0.02");
	assert_string_equal(ctl_percent(1073545216, 1073741824, 2).s, "99.98");
	assert_string_equal(ctl_percent(0, 0, 1).s, "-");
	assert_string_equal(ctl_percent(UINT64_MAX / 2, UINT64_MAX, 1).s, "50.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_powers_of_1024_or_sectors),
		cmocka_unit_test(what_is_no_size_is_refused_and_leaves_the_result),
		cmocka_unit_test(sizes_beyond_the_largest_file_are_too_large),
		cmocka_unit_test(offsets_may_be_hexadecimal),
		cmocka_unit_test(counts_have_a_limit),
		cmocka_unit_test(shares_are_of_the_whole),
		cmocka_unit_test(human_sizes_have_one_decimal_and_never_1024_of_a_unit),
		cmocka_unit_test(thousands_are_parted_by_commas),
		cmocka_unit_test(durations_fit_their_size),
		cmocka_unit_test(a_hundred_percent_is_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
