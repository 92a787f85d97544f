/* SPDX-License-Identifier: BSD-3-Clause */
/* What kind of name an operand is, and runs of zeroes and differences: tools/spec.c, tools/range.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "range.h"
#include "spec.h"

static void becomes(const char *operand, const char *wanted)
{
	char *spec = ctl_spec(operand);

	assert_non_null(spec);
	assert_string_equal(spec, wanted);
	free(spec);
}

static void names_in_blkr_are_stack_files(void **state)
{
	(void)state;
	becomes("vol.blkr", "@vol.blkr");
	becomes("dir/vol.blkr", "@dir/vol.blkr");
	becomes("./snapshot:x.blkr", "@./snapshot:x.blkr");
	becomes("my vol.blkr", "@my vol.blkr");
	becomes("2024 1 vol.blkr", "@2024 1 vol.blkr");
	becomes("@vol.blkr", "@vol.blkr");
	becomes("@vol.blkr#base", "@vol.blkr#base");
	becomes("@vol", "@vol");
}

static void everything_else_goes_to_the_library_as_it_is(void **state)
{
	static const char *const same[] = { "disk.img",
					    "/dev/sdb",
					    ".blkr",
					    "vol.blkr.bak",
					    "snapshot:origin=a,store=b.blkr",
					    "nbd://host/vol.blkr",
					    "0 8 snapshot a b.blkr",
					    "rbd:pool/x.blkr" };

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		becomes(same[i], same[i]);
}

static void paths_are_told_from_specs(void **state)
{
	(void)state;
	assert_true(ctl_spec_is_path("disk.img"));
	assert_true(ctl_spec_is_path("a:b"));
	assert_true(ctl_spec_is_path("./snapshot:origin=x"));
	assert_true(ctl_spec_is_path("Snapshot:origin=x"));
	assert_false(ctl_spec_is_path("snapshot:origin=x"));
	assert_false(ctl_spec_is_path("@x"));
	assert_false(ctl_spec_is_path("0 2097152 snapshot base.img snap.cow P 16"));
	assert_false(ctl_spec_is_path("nbd+unix:///?socket=/run/v.sock"));
	assert_false(ctl_spec_is_path("dev:base"));
}

static void zero_is_every_byte(void **state)
{
	unsigned char p[300] = { 0 };

	(void)state;
	assert_true(ctl_is_zero(p, 0));
	assert_true(ctl_is_zero(p, sizeof(p)));
	for (size_t i = 0; i < sizeof(p); i++) {
		p[i] = 1;
		assert_false(ctl_is_zero(p, sizeof(p)));
		p[i] = 0;
	}
}

static void runs_end_where_the_kind_of_block_changes(void **state)
{
	unsigned char p[100] = { 0 };
	bool zero;

	(void)state;
	p[47] = 1; /* the block from 40 to 50 */
	assert_int_equal(ctl_run_zero(p, 100, 10, &zero), 40);
	assert_true(zero);
	assert_int_equal(ctl_run_zero(p + 40, 60, 10, &zero), 10);
	assert_false(zero);
	assert_int_equal(ctl_run_zero(p + 50, 45, 10, &zero), 45);
	assert_true(zero);
	p[99] = 1; /* in the short last block */
	assert_int_equal(ctl_run_zero(p + 50, 50, 20, &zero), 40);
	assert_true(zero);
}

static void differences_are_told_in_blocks(void **state)
{
	unsigned char a[100] = { 0 }, b[100] = { 0 };
	bool same;

	(void)state;
	b[0] = b[19] = 1;
	assert_int_equal(ctl_run_same(a, b, 100, 10, &same), 20);
	assert_false(same);
	assert_int_equal(ctl_run_same(a + 20, b + 20, 80, 10, &same), 80);
	assert_true(same);
	b[99] = 1;
	assert_int_equal(ctl_run_same(a + 95, b + 95, 5, 10, &same), 5);
	assert_false(same);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_in_blkr_are_stack_files),
		cmocka_unit_test(everything_else_goes_to_the_library_as_it_is),
		cmocka_unit_test(paths_are_told_from_specs),
		cmocka_unit_test(zero_is_every_byte),
		cmocka_unit_test(runs_end_where_the_kind_of_block_changes),
		cmocka_unit_test(differences_are_told_in_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
