/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/spec.h"

#include <errno.h>

#include "spec-env.h"

#include "base/compiler.h"

static void check(const char *line, const char *meaning)
{
	struct br_spec *spec = parse(line), *same = parse(meaning);
	char buf[1024];

	assert_int_equal(br_spec_print(spec, buf, sizeof(buf)), 0);
	assert_string_equal(buf, meaning);
	assert_true(same_tree(spec, same));
	br_spec_free(spec);
	br_spec_free(same);
	assert_int_equal(env_bytes, 0);
}

static void a_snapshot_has_the_size_of_its_table(void **state)
{
	(void)state;
	check("0 2097152 snapshot base.img snap.cow P 16", "snapshot:origin=base.img,store=snap.cow,chunk=8K,size=1G");
	check("0 2097152 snapshot base.img snap.cow PO 16", "snapshot:origin=base.img,store=snap.cow,chunk=8K,size=1G");
	check("0 2097152 snapshot base.img snap.cow p 0", "snapshot:origin=base.img,store=snap.cow,size=1G");
	check("0 8 snapshot a b N 8 0", "snapshot:origin=a,store=b,transient=yes,chunk=4K,size=4K");
	check("0 8 snapshot a b nobody 8", "snapshot:origin=a,store=b,transient=yes,chunk=4K,size=4K");
}

static void features_of_a_snapshot_become_keys(void **state)
{
	(void)state;
	check("0 8 snapshot a b P 8 1 discard_zeroes_cow",
	      "snapshot:origin=a,store=b,chunk=4K,size=4K,discard_zeroes_cow=yes");
	check("0 8 snapshot a b P 8 2 discard_zeroes_cow discard_passdown_origin",
	      "snapshot:origin=a,store=b,chunk=4K,size=4K,discard_zeroes_cow=yes,discard_passdown=yes");
}

static void a_merge_says_that_it_is_one(void **state)
{
	(void)state;
	check("0 8 snapshot-merge a b P 8", "snapshot:origin=a,store=b,chunk=4K,size=4K,merging=yes");
}

static void lengths_of_the_others_are_made_by_a_linear(void **state)
{
	(void)state;
	check("0 2048 linear /dev/sdb 384", "linear:dev=/dev/sdb,offset=192K,bytes=1M");
	check("0 2048 snapshot-origin base.img", "origin:base=(linear:dev=base.img,offset=0,bytes=1M)");
	check("0 2048 error", "error:bytes=1M");
	check("0 2048 delay a 8 20", "delay:dev=(linear:dev=a,offset=4K,bytes=1M),read=20ms,write=20ms,flush=20ms");
	check("0 2048 delay a 0 0 a 0 5", "delay:dev=(linear:dev=a,offset=0,bytes=1M),read=0s,write=5ms,flush=5ms");
	check("0 2048 delay a 0 1 a 0 2 a 0 3000",
	      "delay:dev=(linear:dev=a,offset=0,bytes=1M),read=1ms,write=2ms,flush=3s");
}

static void blanks_between_words_may_be_many(void **state)
{
	(void)state;
	check("0  2048\tlinear  a   8 ", "linear:dev=a,offset=4K,bytes=1M");
}

static void words_name_devices_as_elsewhere(void **state)
{
	(void)state;
	check("0 8 snapshot dev:x @y.blkr P 8", "snapshot:origin=dev:x,store=@y.blkr,chunk=4K,size=4K");
	check("origin:base=(0 8 linear a 0)", "origin:base=(linear:dev=a,offset=0,bytes=4K)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_snapshot_has_the_size_of_its_table),
		cmocka_unit_test(features_of_a_snapshot_become_keys),
		cmocka_unit_test(a_merge_says_that_it_is_one),
		cmocka_unit_test(lengths_of_the_others_are_made_by_a_linear),
		cmocka_unit_test(blanks_between_words_may_be_many),
		cmocka_unit_test(words_name_devices_as_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
