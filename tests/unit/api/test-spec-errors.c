/* SPDX-License-Identifier: BSD-3-Clause */
/* Each sentence that a spec, a table line or a stack file can provoke, whole, with its byte or line. */
#include "api/stackfile.h"

#include <errno.h>
#include <stdio.h>

#include "spec-env.h"

#include "base/compiler.h"

struct wrong {
	const char *text;
	int error;
	const char *sentence;	/* behind "spec: byte " or "v:" */
};

static void check_specs(const struct wrong *wrong, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct br_spec *spec = (struct br_spec *)&env;
		char *copy = strdup(wrong[i].text), expected[320];
		int r = br_spec_parse(&env, copy, &spec);

		free(copy);
		snprintf(expected, sizeof(expected), "spec: byte %s", wrong[i].sentence);
		if (r != wrong[i].error || strcmp(br_error_text(), expected) != 0)
			fail_msg("'%s': %d, '%s' and not '%s'", wrong[i].text, r, br_error_text(), expected);
		assert_ptr_equal(spec, &env);
		assert_int_equal(env_bytes, 0);
	}
}

static void check_stacks(const struct wrong *wrong, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct br_stack *stack = (struct br_stack *)&env;
		char *copy = strdup(wrong[i].text), expected[320];
		int r = br_stack_parse(&env, "v", copy, strlen(copy), &stack);

		free(copy);
		snprintf(expected, sizeof(expected), "v:%s", wrong[i].sentence);
		if (r != wrong[i].error || strcmp(br_error_text(), expected) != 0)
			fail_msg("'%s': %d, '%s' and not '%s'", wrong[i].text, r, br_error_text(), expected);
		assert_ptr_equal(stack, &env);
		assert_int_equal(env_bytes, 0);
	}
}

static void the_grammar_has_sentences(void **state)
{
	static const struct wrong wrong[] = {
		{ "", -EINVAL, "0: a device is not named by nothing" },
		{ "origin:base=()", -EINVAL, "13: a device is not named by nothing" },
		{ "snapshot:", -EINVAL, "9: expected KEY=VALUE of snapshot, found ''" },
		{ "snapshot:origin", -EINVAL, "9: expected KEY=VALUE of snapshot, found 'origin'" },
		{ "snapshot:origin=a,", -EINVAL, "18: expected KEY=VALUE of snapshot, found ''" },
		{ "snapshot:origin=a, store=b", -EINVAL, "18: expected KEY=VALUE of snapshot, found ' store=b'" },
		{ "snapshot:=a", -EINVAL, "9: expected KEY=VALUE of snapshot, found '=a'" },
		{ "snapshot:Origin=a", -EINVAL, "9: expected KEY=VALUE of snapshot, found 'Origin=a'" },
		{ "origin:base=(snapshot:origin)=a", -EINVAL, "22: expected KEY=VALUE of snapshot, found 'origin'" },
		{ "snapshot:origin=a,stoer=b", -EINVAL, "18: unknown key 'stoer' of snapshot, did you mean 'store'?" },
		{ "snapshot:origin=a,whenfull=b", -EINVAL,
		  "18: unknown key 'whenfull' of snapshot, did you mean 'when_full'?" },
		{ "snapshot:origin=a,bytes=1", -EINVAL, "18: unknown key 'bytes' of snapshot" },
		{ "snapshot:origin_of_all_that_there_is_in_the_world=b", -EINVAL,
		  "9: unknown key 'origin_of_all_that_there_is_in_the_world' of snapshot" },
		{ "snapshot:roigni=a", -EINVAL, "9: unknown key 'roigni' of snapshot, did you mean 'origin'?" },
		{ "snapshot:rogini=a", -EINVAL, "9: unknown key 'rogini' of snapshot" },
		{ "error:od=a", -EINVAL, "6: unknown key 'od' of error, did you mean 'op'?" },
		{ "file:path=a,xx=yes", -EINVAL, "12: unknown key 'xx' of file" },
		{ "memory:x=1", -EINVAL, "7: unknown key 'x' of memory" },
		{ "snapshot:origin=\"a\"b", -EINVAL, "19: expected ',' before 'b'" },
		{ "snapshot:origin=(a)b,store=c", -EINVAL, "19: expected ',' before 'b,store=c'" },
		{ "snapshot:origin=a b", -EINVAL, "17: a value with blanks or any of ( ) \" must be quoted" },
		{ "snapshot:origin=a(b)", -EINVAL, "17: a value with blanks or any of ( ) \" must be quoted" },
		{ "snapshot:origin=a)", -EINVAL, "17: a value with blanks or any of ( ) \" must be quoted" },
		{ "snapshot:origin=a\"", -EINVAL, "17: a value with blanks or any of ( ) \" must be quoted" },
		{ "snapshot:origin=a\x7f", -EINVAL, "17: a value with blanks or any of ( ) \" must be quoted" },
		{ "snapshot:origin=\"a", -EINVAL, "16: this quote is not closed" },
		{ "snapshot:origin=\"a\\", -EINVAL, "16: this quote is not closed" },
		{ "snapshot:origin=\"", -EINVAL, "16: this quote is not closed" },
		{ "snapshot:origin=(\"a)", -EINVAL, "17: this quote is not closed" },
		{ "snapshot:origin=\"a\\nb\"", -EINVAL, "19: only \\\" and \\\\ are known in a quoted text" },
		{ "snapshot:origin=(a", -EINVAL, "16: this parenthesis is not closed" },
		{ "snapshot:origin=((a)", -EINVAL, "16: this parenthesis is not closed" },
		{ "origin:base=(a(b))", -EINVAL, "14: a path with any of ( ) \" must be written \"PATH\"" },
		{ "origin:base=((a))", -EINVAL, "13: a path with any of ( ) \" must be written \"PATH\"" },
		{ "origin:base=memory:bytes=1", -EINVAL, "12: write (memory:bytes=1) in parentheses" },
		{ "dev:\"a\"b", -EINVAL, "7: the value ends before 'b'" },
		{ "dev:\"a", -EINVAL, "4: this quote is not closed" },
	};

	(void)state;
	check_specs(wrong, BR_ARRAY_SIZE(wrong));
}

static void keys_have_sentences(void **state)
{
	static const struct wrong wrong[] = {
		{ "snapshot:store=a", -EINVAL, "0: snapshot needs the key 'origin'" },
		{ "origin:base=(memory:name=x)", -EINVAL, "13: memory needs the key 'bytes'" },
		{ "snapshot:origin=a,origin=b", -EINVAL, "18: key 'origin' of snapshot is given twice" },
		{ "memory:bytes=1,bytes=1", -EINVAL, "15: key 'bytes' of memory is given twice" },
		{ "snapshot:origin=,store=a", -EINVAL, "16: a device is not named by nothing" },
		{ "origin:base=\"\"", -EINVAL, "12: key 'path' has no value" },
		{ "memory:bytes=", -EINVAL, "13: key 'bytes' has no value" },
		{ "memory:bytes=\"\"", -EINVAL, "13: key 'bytes' has no value" },
		{ "file:path=,ro=yes", -EINVAL, "10: key 'path' has no value" },
		{ "dev:", -EINVAL, "4: key 'name' has no value" },
		{ "@", -EINVAL, "1: key 'path' has no value" },
		{ "@#s", -EINVAL, "1: key 'path' has no value" },
		{ "@f#", -EINVAL, "3: key 'section' has no value" },
		{ "memory:bytes=(a)", -EINVAL, "13: key 'bytes' of memory takes no device" },
		{ "memory:bytes=1KB", -EINVAL, "13: bytes=1KB is not a size, like 4096, 64K, 1G or 128s (sectors)" },
		{ "memory:bytes=-1", -EINVAL, "13: bytes=-1 is not a size, like 4096, 64K, 1G or 128s (sectors)" },
		{ "memory:bytes=8388608T", -EINVAL, "13: bytes=8388608T is too large" },
		{ "delay:dev=a,read=5", -EINVAL, "17: read=5 is not a time, like 500ns, 20us, 5ms or 1s" },
		{ "delay:dev=a,read=9999999999s", -EINVAL, "17: read=9999999999s is too large" },
		{ "error:dev=a,nth=x", -EINVAL, "16: nth=x is not a count, like 1 or 20" },
		{ "file:path=a,ro=true", -EINVAL, "15: ro=true is not yes or no" },
		{ "file:path=a,engine=uring", -EINVAL, "19: engine=uring: choose one of aio, threads" },
		{ "snapshot:origin=a,when_full=wait", -EINVAL,
		  "28: when_full=wait: choose one of invalidate, refuse, hold" },
		{ "error:dev=a,op=all", -EINVAL, "15: op=all: choose one of read, write, flush, any" },
		{ "memory:bytes=1,name=\"a\tb\"", -EINVAL, "20: a name with a control character" },
		{ "memory:bytes=123456789012345678901234567890123456789012345678901234567890", -EINVAL,
		  "13: bytes=12345678901234567890123456789012345678901234... is too large" },
		{ "memory:bytes=\"1\n\"", -EINVAL, "13: bytes=1? is not a size, like 4096, 64K, 1G or 128s (sectors)" },
	};

	(void)state;
	check_specs(wrong, BR_ARRAY_SIZE(wrong));
}

static void keys_that_contradict_have_sentences(void **state)
{
	static const struct wrong wrong[] = {
		{ "file:path=a,create=yes", -EINVAL, "12: create=yes needs bytes=SIZE" },
		{ "file:path=a,bytes=1M", -EINVAL, "12: bytes of a file is for create=yes only" },
		{ "file:path=a,bytes=1M,create=no", -EINVAL, "12: bytes of a file is for create=yes only" },
		{ "file:path=a,create=yes,bytes=1,ro=yes", -EINVAL, "31: create=yes and ro=yes exclude each other" },
		{ "linear:offset=1,dev=a", -EINVAL, "7: offset and bytes of linear follow the dev they are about" },
		{ "linear:name=x,bytes=1,dev=a", -EINVAL,
		  "14: offset and bytes of linear follow the dev they are about" },
		{ "linear:dev=a,offset=1,offset=2", -EINVAL, "22: offset or bytes given twice for one dev of linear" },
		{ "linear:dev=a,bytes=1,ro=yes,bytes=1", -EINVAL,
		  "28: offset or bytes given twice for one dev of linear" },
		{ "linear:dev=a,offset=1,bytes=1,offset=2", -EINVAL,
		  "30: offset or bytes given twice for one dev of linear" },
		{ "linear:dev=a,bytes=1,offset=1,bytes=2", -EINVAL,
		  "30: offset or bytes given twice for one dev of linear" },
		{ "linear:dev=a,bytes=0", -EINVAL, "13: bytes=0: a segment of linear is not empty" },
		{ "snapshot:origin=a", -EINVAL, "0: snapshot needs a store, or transient=yes" },
		{ "snapshot:origin=a,transient=no", -EINVAL, "0: snapshot needs a store, or transient=yes" },
		{ "snapshot:origin=a,transient=yes,merging=yes", -EINVAL,
		  "32: merging=yes needs a persistent store, not transient=yes" },
		{ "snapshot:origin=a,store=b,discard_passdown=yes", -EINVAL,
		  "26: discard_passdown=yes needs discard_zeroes_cow=yes" },
		{ "snapshot:origin=a,store=b,hold=1s", -EINVAL, "26: hold is for when_full=hold only" },
		{ "snapshot:origin=a,store=b,hold=1s,when_full=refuse", -EINVAL,
		  "26: hold is for when_full=hold only" },
		{ "error:op=read", -EINVAL, "0: error needs either bytes=SIZE or dev=SPEC" },
		{ "error:dev=a,bytes=1", -EINVAL, "12: error needs either bytes=SIZE or dev=SPEC" },
		{ "error:bytes=1,op=read", -EINVAL, "14: op, nth and once of error need a dev" },
		{ "error:bytes=1,once=yes", -EINVAL, "14: op, nth and once of error need a dev" },
		{ "error:bytes=1,nth=1", -EINVAL, "14: op, nth and once of error need a dev" },
		{ "error:dev=a,nth=0", -EINVAL, "12: nth counts from 1" },
	};

	(void)state;
	check_specs(wrong, BR_ARRAY_SIZE(wrong));
}

static void what_is_not_built_is_refused_and_not_taken_for_a_path(void **state)
{
	static const struct wrong wrong[] = {
		{ "cache:origin=a", -EOPNOTSUPP, "0: 'cache' is not built in this version" },
		{ "clone:x", -EOPNOTSUPP, "0: 'clone' is not built in this version" },
		{ "ploop:top.hds", -EOPNOTSUPP, "0: 'ploop' is not built in this version" },
		{ "zero:", -EOPNOTSUPP, "0: 'zero' is not built in this version" },
		{ "rbd:pool/img@snap?conf=/etc/ceph/ceph.conf", -EOPNOTSUPP, "0: 'rbd' is not built in this version" },
		{ "http://host/x", -EOPNOTSUPP, "0: no such URI in this version: 'http://host/x'" },
		{ "nbd://host/x", -EOPNOTSUPP, "0: 'nbd' is not built in this version" },
		{ "nbd+unix:///?socket=/s", -EOPNOTSUPP, "0: 'nbd+unix' is not built in this version" },
		{ "x-y.z://", -EOPNOTSUPP, "0: no such URI in this version: 'x-y.z://'" },
		{ "origin:base=nbd://h/v", -EOPNOTSUPP, "12: 'nbd' is not built in this version" },
		{ "origin:base=(cache:a=b)", -EOPNOTSUPP, "13: 'cache' is not built in this version" },
		{ "0 8 thin a b", -EOPNOTSUPP, "4: the target 'thin' is not built in this version" },
		{ "0 8 a", -EOPNOTSUPP, "4: the target 'a' is not built in this version" },
		{ "0 8 zero", -EOPNOTSUPP, "4: the target 'zero' is not built in this version" },
	};

	(void)state;
	check_specs(wrong, BR_ARRAY_SIZE(wrong));
}

static void table_lines_have_sentences(void **state)
{
	static const struct wrong wrong[] = {
		{ "8 8 linear a 0", -EINVAL, "0: a table of one line starts at sector 0" },
		{ "0 0 linear a 0", -EINVAL, "2: a table of no sectors" },
		{ "0 18014398509481984 linear a 0", -EINVAL, "2: 18014398509481984 is too large" },
		{ "0 99999999999999999999 linear a 0", -EINVAL, "2: 99999999999999999999 is too large" },
		{ "0 8 linear a", -EINVAL, "4: linear takes 2 arguments" },
		{ "0 8 linear a 0 0", -EINVAL, "4: linear takes 2 arguments" },
		{ "0 8 linear a x", -EINVAL, "13: 'x' is not a number" },
		{ "0 8 linear a -1", -EINVAL, "13: '-1' is not a number" },
		{ "0 8 linear a 8s", -EINVAL, "13: '8s' is not a number" },
		{ "0 8 linear cache:a 0", -EOPNOTSUPP, "11: 'cache' is not built in this version" },
		{ "0 8 error a", -EINVAL, "4: error takes 0 arguments" },
		{ "0 8 error 1 2 3 4 5 6 7 8 9 10 11 12 13 14", -EINVAL, "4: error takes 0 arguments" },
		{ "0 8 snapshot-origin", -EINVAL, "4: snapshot-origin takes 1 arguments" },
		{ "0 8 snapshot a b P", -EINVAL, "4: snapshot takes 4 to 7 arguments" },
		{ "0 8 snapshot a b Q 8", -EINVAL, "17: 'Q' is no kind of store: P, PO or N" },
		{ "0 8 snapshot a b PX 8", -EINVAL, "17: 'PX' is no kind of store: P, PO or N" },
		{ "0 8 snapshot a b P x", -EINVAL, "19: 'x' is not a number" },
		{ "0 8 snapshot-merge a b N 8", -EINVAL, "23: only a persistent store (P) can be merged" },
		{ "0 8 snapshot a b N 0", -EINVAL, "19: a transient store needs a chunk size" },
		{ "0 8 snapshot a b P 8 1", -EINVAL, "21: the number of features is 1, but 0 follow" },
		{ "0 8 snapshot a b P 8 0 discard_zeroes_cow", -EINVAL,
		  "21: the number of features is 0, but 1 follow" },
		{ "0 8 snapshot a b P 8 1 speed", -EINVAL, "23: unknown feature 'speed' of a snapshot" },
		{ "0 8 snapshot a b P 8 1 discard_passdown_origin", -EINVAL,
		  "4: discard_passdown=yes needs discard_zeroes_cow=yes" },
		{ "0 8 snapshot a b P 8 2 discard_zeroes_cow discard_zeroes_cow", -EINVAL,
		  "4: key 'discard_zeroes_cow' of snapshot is given twice" },
		{ "0 8 delay a 0 1 a 0 1 a 0 1 a", -EINVAL, "4: delay takes 3 to 9 arguments" },
		{ "0 8 delay a 0 1 a 0 1 a 0 1 a 0 1", -EINVAL, "4: delay takes 3 to 9 arguments" },
		{ "0 8 delay a 0", -EINVAL, "4: delay takes 3 to 9 arguments" },
		{ "0 8 delay a 0 1 b", -EINVAL, "4: delay takes 3, 6 or 9 arguments" },
		{ "0 8 delay a 0 1 b 0 1", -EINVAL, "16: delay: reads, writes and flushes go to one place" },
		{ "0 8 delay a 0 1 a 8 1", -EINVAL, "16: delay: reads, writes and flushes go to one place" },
		{ "origin:base=(0 8 linear a x)", -EINVAL, "26: 'x' is not a number" },
	};

	(void)state;
	check_specs(wrong, BR_ARRAY_SIZE(wrong));
}

static void stack_files_have_sentences(void **state)
{
	static const struct wrong wrong[] = {
		{ "", -EINVAL, "1: no section" },
		{ "# nothing\n", -EINVAL, "1: no section" },
		{ "type = file\n", -EINVAL, "1: 'type' stands before the first section" },
		{ "[a]\n", -EINVAL, "1: section [a] has no type" },
		{ "[a]\n[b]\ntype = memory\nbytes = 1\n", -EINVAL, "1: section [a] has no type" },
		{ "[a\ntype = file", -EINVAL, "1: a section begins with [NAME]" },
		{ "[", -EINVAL, "1: a section begins with [NAME]" },
		{ "[]", -EINVAL, "1: '' is no section name: 1 to 63 of A-Z a-z 0-9 . _ - and not - first" },
		{ "[-a]", -EINVAL, "1: '-a' is no section name: 1 to 63 of A-Z a-z 0-9 . _ - and not - first" },
		{ "[a b]", -EINVAL, "1: 'a b' is no section name: 1 to 63 of A-Z a-z 0-9 . _ - and not - first" },
		{ "[a]\ntype=memory\nbytes=1\n\n[a]\n", -EINVAL, "5: section [a] is there twice" },
		{ "[a]\nbytes = 1\n", -EINVAL, "2: the first key of section [a], and only that, is type" },
		{ "[a]\ntype = memory\nbytes = 1\ntype = memory\n", -EINVAL,
		  "4: the first key of section [a], and only that, is type" },
		{ "[a]\ntype = memori\n", -EINVAL, "2: unknown type 'memori', did you mean 'memory'?" },
		{ "[a]\ntype = mmry\n", -EINVAL, "2: unknown type 'mmry', did you mean 'memory'?" },
		{ "[a]\ntype = mmy\n", -EINVAL, "2: unknown type 'mmy'" },
		{ "[a]\ntype =\n", -EINVAL, "2: unknown type ''" },
		{ "[a]\ntype = cache\n", -EOPNOTSUPP, "2: 'cache' is not built in this version" },
		{ "[a]\ntype = stack\n", -EINVAL, "2: a stack file does not name another stack file" },
		{ "[a]\ntype = origin\nbase = @b\n", -EINVAL, "3: a stack file does not name another stack file" },
		{ "[a]\ntype = origin\nbase = (stack:path=b)\n", -EINVAL,
		  "3: a stack file does not name another stack file" },
		{ "[a]\n\ntype = memory\nbytes\n", -EINVAL, "4: expected KEY = VALUE, found 'bytes'" },
		{ "[a]\ntype = memory\nbyte = 1\n", -EINVAL, "3: unknown key 'byte' of memory, did you mean 'bytes'?" },
		{ "[a]\ntype = memory\nzzz = 1\n", -EINVAL, "3: unknown key 'zzz' of memory" },
		{ "[a]\ntype = memory\n = 1\n", -EINVAL, "3: unknown key '' of memory" },
		{ "[a]\ntype = memory\nbytes =\n", -EINVAL, "3: key 'bytes' has no value" },
		{ "[a]\ntype = memory\nbytes = 1 # one\n", -EINVAL,
		  "3: bytes=1 # one is not a size, like 4096, 64K, 1G or 128s (sectors)" },
		{ "[a]\ntype = memory\n\n[b]\ntype = memory\n", -EINVAL, "1: memory needs the key 'bytes'" },
		{ "[a]\ntype = memory\nbytes = 1\nbytes = 2\n", -EINVAL, "4: key 'bytes' of memory is given twice" },
		{ "[a]\ntype = origin\nbase = \"x\" y\n", -EINVAL, "3: the value ends before ' y'" },
		{ "[a]\ntype = origin\nbase = (x\n)\n", -EINVAL, "3: this parenthesis is not closed" },
		{ "[a]\ntype = origin\nbase = a\n", -EINVAL, "3: section [a] names itself" },
		{ "[a]\ntype = origin\nbase = b\n[b]\ntype = memory\nbytes = 1\n", -EINVAL,
		  "3: section [b] comes later; only sections above can be named" },
		{ "[a]\ntype = snapshot\norigin = (origin:base=)\n", -EINVAL, "3: a device is not named by nothing" },
		{ "[s]\ntype = snapshot\norigin = x\n", -EINVAL, "1: snapshot needs a store, or transient=yes" },
	};

	(void)state;
	check_stacks(wrong, BR_ARRAY_SIZE(wrong));
}

static void a_long_name_of_a_stack_file_is_shortened_in_front(void **state)
{
	struct br_stack *stack;

	(void)state;
	assert_int_equal(br_stack_parse(&env, "a/very/long/name/of/a/folder/in/which/there/is/a/file.blkr", "x", 1,
					&stack), -EINVAL);
	assert_string_equal(br_error_text(),
			    "...me/of/a/folder/in/which/there/is/a/file.blkr:1: expected KEY = VALUE, found 'x'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_grammar_has_sentences),
		cmocka_unit_test(keys_have_sentences),
		cmocka_unit_test(keys_that_contradict_have_sentences),
		cmocka_unit_test(what_is_not_built_is_refused_and_not_taken_for_a_path),
		cmocka_unit_test(table_lines_have_sentences),
		cmocka_unit_test(stack_files_have_sentences),
		cmocka_unit_test(a_long_name_of_a_stack_file_is_shortened_in_front),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
