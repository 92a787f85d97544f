/* SPDX-License-Identifier: BSD-3-Clause */
/* The JSON writer and the UTF-8 it lets through: tools/json.c, tools/utf8.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "json.h"
#include "utf8.h"

/* What a file would have got. */
struct printed {
	char text[1024];
};

static struct printed print(struct ctl_json *j)
{
	struct printed p = { { 0 } };
	FILE *out = fmemopen(p.text, sizeof(p.text), "w");

	assert_non_null(out);
	assert_int_equal(ctl_json_end(j, out), 0);
	fclose(out);
	return p;
}

static void a_string_comes_out_as(const char *in, const char *out)
{
	char wanted[256];
	struct ctl_json j;

	ctl_json_begin(&j, "x");
	ctl_json_string(&j, "s", in);
	snprintf(wanted, sizeof(wanted), "{\"format\":\"blkremap/1\",\"command\":\"x\",\"s\":\"%s\"}\n", out);
	assert_string_equal(print(&j).text, wanted);
}

static void an_object_names_its_format_and_command(void **state)
{
	struct ctl_json j;

	(void)state;
	ctl_json_begin(&j, "info");
	assert_string_equal(print(&j).text, "{\"format\":\"blkremap/1\",\"command\":\"info\"}\n");
}

static void nesting_places_commas_and_closes_what_is_open(void **state)
{
	struct ctl_json j;

	(void)state;
	ctl_json_begin(&j, "m");
	ctl_json_array(&j, "a");
	ctl_json_u64(&j, NULL, 1);
	ctl_json_object(&j, NULL);
	ctl_json_bool(&j, "t", true);
	ctl_json_bool(&j, "f", false);
	ctl_json_close(&j);
	ctl_json_object(&j, NULL);
	ctl_json_close(&j);
	ctl_json_close(&j);
	ctl_json_u64(&j, "n", 2);
	ctl_json_array(&j, "open");
	ctl_json_object(&j, NULL);
	assert_string_equal(print(&j).text,
			    "{\"format\":\"blkremap/1\",\"command\":\"m\",\"a\":[1,{\"t\":true,\"f\":false},{}],"
			    "\"n\":2,\"open\":[{}]}\n");
}

static void numbers_are_integers_of_64_bits(void **state)
{
	struct ctl_json j;

	(void)state;
	ctl_json_begin(&j, "n");
	ctl_json_u64(&j, "max", UINT64_MAX);
	assert_non_null(strstr(print(&j).text, "\"max\":18446744073709551615}"));
}

static void control_bytes_quotes_and_backslashes_are_escaped(void **state)
{
	(void)state;
	a_string_comes_out_as("a\"b\\c", "a\\\"b\\\\c");
	a_string_comes_out_as("\n\t\x1b[31m\x7f", "\\u000a\\u0009\\u001b[31m\\u007f");
	a_string_comes_out_as("", "");
}

static void what_is_not_utf8_becomes_a_replacement_for_each_byte(void **state)
{
	(void)state;
	a_string_comes_out_as("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
	a_string_comes_out_as("\xf0\x9f\x90\xa7", "\xf0\x9f\x90\xa7");
	a_string_comes_out_as("\xff\xfe", "\\ufffd\\ufffd");
	a_string_comes_out_as("a\xc3", "a\\ufffd");
	a_string_comes_out_as("\xe2\x82", "\\ufffd\\ufffd");
	a_string_comes_out_as("\xc0\xaf", "\\ufffd\\ufffd");
	a_string_comes_out_as("\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd");
	a_string_comes_out_as("\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd");
}

static void a_length_never_reaches_past_the_end(void **state)
{
	(void)state;
	assert_int_equal(ctl_utf8_len(""), 1);
	assert_int_equal(ctl_utf8_len("\xf0"), 0);
	assert_int_equal(ctl_utf8_len("\xf0\x9f"), 0);
	assert_int_equal(ctl_utf8_len("\xf0\x9f\x90"), 0);
	assert_int_equal(ctl_utf8_len("\xf0\x9f\x90\xa7"), 4);
	assert_int_equal(ctl_utf8_len("\x80"), 0);
	assert_int_equal(ctl_utf8_len("\xf8\x88\x80\x80\x80"), 0);
}

static void a_dropped_object_prints_nothing(void **state)
{
	struct ctl_json j;

	(void)state;
	ctl_json_begin(&j, "d");
	ctl_json_array(&j, "a");
	ctl_json_drop(&j);
	ctl_json_u64(&j, "n", 1);
	ctl_json_close(&j);
	assert_int_equal(ctl_json_end(&j, stdout), -ENOMEM);
}

static void a_file_that_takes_nothing_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct ctl_json j;

	(void)state;
	if (!full)
		skip();
	setvbuf(full, NULL, _IONBF, 0);
	ctl_json_begin(&j, "e");
	assert_int_equal(ctl_json_end(&j, full), -EIO);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_names_its_format_and_command),
		cmocka_unit_test(nesting_places_commas_and_closes_what_is_open),
		cmocka_unit_test(numbers_are_integers_of_64_bits),
		cmocka_unit_test(control_bytes_quotes_and_backslashes_are_escaped),
		cmocka_unit_test(what_is_not_utf8_becomes_a_replacement_for_each_byte),
		cmocka_unit_test(a_length_never_reaches_past_the_end),
		cmocka_unit_test(a_dropped_object_prints_nothing),
		cmocka_unit_test(a_file_that_takes_nothing_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
