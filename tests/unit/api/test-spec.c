/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/spec.h"

#include <errno.h>
#include <stdio.h>

#include "spec-env.h"

#include "base/compiler.h"

static void a_path_is_a_file(void **state)
{
	static const char *const paths[] = {
		"disk.img", "/dev/sdb", "./cache:x", "a b,c(d).img", "\"x\"", "(x)", "foo:bar=1", " x", "cachex:", ":x",
		"1 2", "1 2 3", "0 2097152", "nbdx", "C:disk", "snapshot", "0 8x", "snapshot.img", "dev/sdb", "file=1",
		"line\nfeed", "\xc3\xa4.img",
	};

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(paths); i++) {
		struct br_spec *spec = parse(paths[i]);

		assert_true(br_spec_is(spec, "file"));
		assert_string_equal(br_spec_text(spec, "path"), paths[i]);
		assert_null(spec->keys->next);
		assert_null(br_spec_name(spec));
		br_spec_free(spec);
	}
	assert_int_equal(env_bytes, 0);
}

static void keys_become_text_numbers_and_children(void **state)
{
	struct br_spec *spec = parse("snapshot:origin=base.img,store=(file:path=s.cow,max_grow=1G,direct=yes),"
				     "chunk=64K,size=128s,when_full=hold,hold=5ms,low_space=1M,grow_step=2M,"
				     "discard_zeroes_cow=yes,discard_passdown=yes,"
				     "transient=no,merging=yes,ro=no,name=snap");
	const struct br_spec *store = br_spec_child(spec, "store");

	(void)state;
	assert_true(br_spec_is(spec, "snapshot"));
	assert_int_equal(spec->depth, 2);
	assert_true(br_spec_is(br_spec_child(spec, "origin"), "file"));
	assert_string_equal(br_spec_text(br_spec_child(spec, "origin"), "path"), "base.img");
	assert_string_equal(br_spec_text(store, "path"), "s.cow");
	assert_int_equal(br_spec_number(store, "max_grow", 0), 1 << 30);
	assert_true(br_spec_yes(store, "direct"));
	assert_int_equal(br_spec_number(spec, "chunk", 0), 65536);
	assert_int_equal(br_spec_number(spec, "size", 0), 65536);
	assert_int_equal(br_spec_number(spec, "when_full", 0), 2);
	assert_string_equal(br_spec_text(spec, "when_full"), "hold");
	assert_int_equal(br_spec_number(spec, "hold", 0), 5000000);
	assert_int_equal(br_spec_number(spec, "low_space", 0), 1 << 20);
	assert_int_equal(br_spec_number(spec, "grow_step", 0), 2 << 20);
	assert_true(br_spec_yes(spec, "discard_zeroes_cow"));
	assert_true(br_spec_yes(spec, "discard_passdown"));
	assert_true(br_spec_yes(spec, "merging"));
	assert_false(br_spec_yes(spec, "transient"));
	assert_false(br_spec_yes(spec, "ro"));
	assert_string_equal(br_spec_name(spec), "snap");
	br_spec_free(spec);
}

static void what_is_not_given_is_told_apart(void **state)
{
	struct br_spec *spec = parse("snapshot:origin=a,transient=yes");

	(void)state;
	assert_null(br_spec_child(spec, "store"));
	assert_null(br_spec_find(spec, "chunk"));
	assert_int_equal(br_spec_number(spec, "chunk", 77), 77);
	assert_int_equal(br_spec_number(spec, "when_full", 0), 0);
	assert_null(br_spec_text(spec, "when_full"));
	assert_null(br_spec_name(spec));
	assert_null(spec->section);
	assert_null(spec->opener);
	br_spec_free(spec);
}

/* The numbers that the header promises, so that the opener needs no names. */
static void choices_are_numbered_in_their_order(void **state)
{
	static const struct {
		const char *text, *key;
		uint64_t number;
	} all[] = {
		{ "snapshot:origin=a,store=b,when_full=invalidate", "when_full", 0 },
		{ "snapshot:origin=a,store=b,when_full=refuse", "when_full", 1 },
		{ "snapshot:origin=a,store=b,when_full=hold", "when_full", 2 },
		{ "error:dev=a,op=read", "op", 0 }, { "error:dev=a,op=write", "op", 1 },
		{ "error:dev=a,op=flush", "op", 2 }, { "error:dev=a,op=any", "op", 3 },
		{ "error:dev=a,errno=EIO", "errno", 0 }, { "error:dev=a,errno=ENOSPC", "errno", 1 },
		{ "file:path=a,engine=aio", "engine", 0 }, { "file:path=a,engine=threads", "engine", 1 },
	};

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(all); i++) {
		struct br_spec *spec = parse(all[i].text);

		assert_int_equal(br_spec_number(spec, all[i].key, 99), all[i].number);
		br_spec_free(spec);
	}
}

static void quotes_hold_anything_and_know_two_escapes(void **state)
{
	struct br_spec *spec = parse("snapshot:origin=\"a, (b) \\\"c\\\" \\\\d\","
				     "store=\"memory:bytes=1M\",chunk=\"64K\"");

	(void)state;
	assert_string_equal(br_spec_text(br_spec_child(spec, "origin"), "path"), "a, (b) \"c\" \\d");
	assert_true(br_spec_is(br_spec_child(spec, "store"), "file"));
	assert_string_equal(br_spec_text(br_spec_child(spec, "store"), "path"), "memory:bytes=1M");
	assert_int_equal(br_spec_number(spec, "chunk", 0), 65536);
	br_spec_free(spec);
}

static void parentheses_in_quotes_do_not_count(void **state)
{
	struct br_spec *spec = parse("origin:base=(file:path=\"a)b(\\\"\"),name=o");

	(void)state;
	assert_string_equal(br_spec_text(br_spec_child(spec, "base"), "path"), "a)b(\"");
	assert_string_equal(br_spec_name(spec), "o");
	br_spec_free(spec);
}

static void a_word_names_a_path_an_open_device_or_a_stack_file(void **state)
{
	struct br_spec *spec = parse("linear:dev=a=b:c,dev=dev:x,"
				     "dev=@v.blkr#s,dev=(@w,1.blkr),dev=(dev:\"y)\"),dev=(p,q)");
	const struct br_spec_key *k = spec->keys;

	(void)state;
	assert_string_equal(br_spec_text(k->child, "path"), "a=b:c");
	k = k->next;
	assert_true(br_spec_is(k->child, "dev"));
	assert_string_equal(br_spec_text(k->child, "name"), "x");
	k = k->next;
	assert_true(br_spec_is(k->child, "stack"));
	assert_string_equal(br_spec_text(k->child, "path"), "v.blkr");
	assert_string_equal(br_spec_text(k->child, "section"), "s");
	k = k->next;
	assert_string_equal(br_spec_text(k->child, "path"), "w,1.blkr");
	assert_null(br_spec_text(k->child, "section"));
	k = k->next;
	assert_string_equal(br_spec_text(k->child, "name"), "y)");
	k = k->next;
	assert_string_equal(br_spec_text(k->child, "path"), "p,q");
	br_spec_free(spec);
}

static void segments_follow_their_device(void **state)
{
	struct br_spec *spec = parse("linear:dev=a,offset=1M,bytes=2M,dev=b,dev=c,bytes=512,name=l,offset=1s,ro=yes");
	uint64_t offset, bytes;
	struct br_spec *dev;

	(void)state;
	assert_true(br_spec_segment(spec, 0, &dev, &offset, &bytes));
	assert_string_equal(br_spec_text(dev, "path"), "a");
	assert_int_equal(offset, 1 << 20);
	assert_int_equal(bytes, 2 << 20);
	assert_true(br_spec_segment(spec, 1, &dev, &offset, &bytes));
	assert_string_equal(br_spec_text(dev, "path"), "b");
	assert_int_equal(offset, 0);
	assert_int_equal(bytes, 0);
	assert_true(br_spec_segment(spec, 2, &dev, &offset, &bytes));
	assert_string_equal(br_spec_text(dev, "path"), "c");
	assert_int_equal(offset, 512);
	assert_int_equal(bytes, 512);
	assert_false(br_spec_segment(spec, 3, &dev, &offset, &bytes));
	br_spec_free(spec);
}

static void at_is_where_things_stand_in_the_text(void **state)
{
	struct br_spec *spec = parse("origin:base=(memory:bytes=1M)");

	(void)state;
	assert_int_equal(spec->at, 0);
	assert_int_equal(spec->keys->at, 7);
	assert_int_equal(spec->keys->child->at, 13);
	assert_int_equal(spec->keys->child->keys->at, 20);
	br_spec_free(spec);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

/* @levels nodes in one another: origins around a file. */
static char *nested(int levels)
{
	char *text = malloc((size_t)levels * 16 + 16);
	int n = 0;

	for (int i = 1; i < levels; i++)
		n += sprintf(text + n, i + 1 < levels ? "origin:base=(" : "origin:base=");
	n += sprintf(text + n, "x");
	for (int i = 2; i < levels; i++)
		n += sprintf(text + n, ")");
	return text;
}

static int try(const char *text)
{
	struct br_spec *spec = (struct br_spec *)&env;
	int r = br_spec_parse(&env, text, &spec);

	if (r == 0)
		br_spec_free(spec);
	else
		assert_ptr_equal(spec, &env);	/* untouched */
	assert_int_equal(env_bytes, 0);
	return r;
}

static void depth_is_bounded(void **state)
{
	(void)state;
	for (int levels = BR_SPEC_MAX_DEPTH - 1; levels <= BR_SPEC_MAX_DEPTH + 2; levels++) {
		char *text = nested(levels);

		assert_int_equal(try(text), levels <= BR_SPEC_MAX_DEPTH ? 0 : -EINVAL);
		free(text);
	}
	assert_string_equal(br_error_text() + strlen(br_error_text()) - 22, "deeper than 32 devices");
}

static void many_open_parentheses_cost_nothing(void **state)
{
	char *text = malloc(BR_SPEC_MAX_TEXT + 1);

	(void)state;
	memset(text, '(', BR_SPEC_MAX_TEXT);
	memcpy(text, "origin:base=", 12);
	memset(text + BR_SPEC_MAX_TEXT / 2 + 6, ')', BR_SPEC_MAX_TEXT / 2 - 6);
	text[BR_SPEC_MAX_TEXT] = '\0';
	assert_int_equal(try(text), -EINVAL);
	free(text);
}

/* A linear over linears of 32 files each: 1 + 31 * 33 devices. */
static void the_number_of_devices_is_bounded(void **state)
{
	char *text = malloc(BR_SPEC_MAX_TEXT);
	int r[2];

	(void)state;
	for (int more = 0; more < 2; more++) {
		int n = sprintf(text, "linear:name=x");

		for (int i = 0; i < (BR_SPEC_MAX_NODES - 1) / 33; i++) {
			n += sprintf(text + n, ",dev=(linear:name=y");
			for (int j = 0; j < 32; j++)
				n += sprintf(text + n, ",dev=a");
			n += sprintf(text + n, ")");
		}
		assert_int_equal((BR_SPEC_MAX_NODES - 1) % 33, 0);
		if (more)
			sprintf(text + n, ",dev=a");
		r[more] = try(text);
	}
	assert_int_equal(r[0], 0);
	assert_int_equal(r[1], -EINVAL);
	assert_non_null(strstr(br_error_text(), "more than 1024 devices"));
	free(text);
}

static void the_number_of_segments_is_bounded(void **state)
{
	char text[1024];
	int n = sprintf(text, "linear:dev=a");

	(void)state;
	for (int i = 1; i < BR_SPEC_MAX_SEGMENTS; i++)
		n += sprintf(text + n, ",dev=a");
	assert_int_equal(try(text), 0);
	sprintf(text + n, ",dev=b");
	assert_int_equal(try(text), -EINVAL);
	assert_string_equal(br_error_text(), "spec: byte 391: a linear of more than 64 segments");
}

static void the_length_of_texts_names_and_paths_is_bounded(void **state)
{
	char *text = malloc(BR_SPEC_MAX_TEXT + 2);

	(void)state;
	memset(text, 'a', BR_SPEC_MAX_TEXT + 1);
	text[BR_SPEC_MAX_TEXT + 1] = '\0';
	assert_int_equal(try(text), -EINVAL);
	assert_string_equal(br_error_text(), "spec: longer than 65536 bytes");
	text[BR_SPEC_MAX_TEXT] = '\0';
	assert_int_equal(try(text), -EINVAL);
	assert_string_equal(br_error_text(), "spec: byte 0: a path of 65536 bytes; at most 4095");
	text[4096] = '\0';
	assert_int_equal(try(text), -EINVAL);
	text[4095] = '\0';
	assert_int_equal(try(text), 0);
	memcpy(text, "dev:", 4);
	text[4 + BR_SPEC_MAX_NAME] = '\0';
	assert_int_equal(try(text), 0);
	text[4 + BR_SPEC_MAX_NAME] = 'a';
	text[5 + BR_SPEC_MAX_NAME] = '\0';
	assert_int_equal(try(text), -EINVAL);
	assert_string_equal(br_error_text(), "spec: byte 4: a name of 64 bytes; at most 63");
	free(text);
}

/* Parse with each allocation failing in turn; how many there were. */
static int fail_each(const char *text)
{
	for (int i = 0;; i++) {
		struct br_spec *spec = NULL;
		int r;

		env_fail_in = i;
		r = br_spec_parse(&env, text, &spec);
		env_fail_in = -1;
		assert_true(!spec == (r < 0));
		br_spec_free(spec);
		assert_int_equal(env_bytes, 0);
		if (r == 0)
			return i;
		assert_int_equal(r, -ENOMEM);
		assert_string_equal(br_error_text(), "spec: no memory");
	}
}

/* The arena takes memory in blocks: the first path, longer each time, moves each piece in turn to where one ends. */
static void each_allocation_may_fail_and_nothing_is_lost(void **state)
{
	char *text = malloc(BR_SPEC_MAX_TEXT);

	(void)state;
	for (int shift = 1; shift < 512; shift += 16) {
		int n = sprintf(text, "linear:dev=%0*d,dev=\"%04090d\",dev=(dev:\"a\"),dev=@a#b", shift, 0, 0);

		for (int i = 0; i < 60; i++)
			n += sprintf(text + n, ",dev=(snapshot:origin=\"a\",store=file%d,when_full=refuse,name=x)", i);
		assert_true(fail_each(text) > 10);
	}
	free(text);
}

static void freeing_nothing_is_fine(void **state)
{
	(void)state;
	br_spec_free(NULL);
}

/* ---- describe ---------------------------------------------------------------------------------------------------- */

/* Just enough of JSON to know that a text is some: the place behind the value at @p, or NULL. */
static const char *json(const char *p)
{
	char close = *p == '{' ? '}' : ']';

	if (*p == '"') {
		while (*++p && *p != '"')
			p += *p == '\\';
		return *p ? p + 1 : NULL;
	}
	if (!strncmp(p, "true", 4) || !strncmp(p, "false", 5))
		return p + 4 + (*p == 'f');
	if (*p != '{' && *p != '[')
		return NULL;
	if (*++p == close)
		return p + 1;
	for (;; p++) {
		if (close == '}' && (*p != '"' || !(p = json(p)) || *p++ != ':'))
			return NULL;
		p = json(p);
		if (!p || (*p != ',' && *p != close))
			return NULL;
		if (*p == close)
			return p + 1;
	}
}

static void each_type_is_described_in_json(void **state)
{
	static const char *const types[] = { "file", "memory", "linear", "origin", "snapshot", "error", "delay", "dev",
					     "stack" };

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(types); i++) {
		const char *text = br_spec_describe(types[i]);
		char begin[64];

		assert_non_null(text);
		assert_string_equal(json(text), "");
		snprintf(begin, sizeof(begin), "{\"type\":\"%s\",\"keys\":[{\"name\":\"", types[i]);
		assert_int_equal(strncmp(text, begin, strlen(begin)), 0);
	}
	assert_string_equal(br_spec_describe("dev"),
			    "{\"type\":\"dev\",\"keys\":[{\"name\":\"name\",\"type\":\"name\",\"required\":true,"
			    "\"repeated\":false,\"live\":false,\"choices\":[],\"default\":\"\","
			    "\"help\":\"of an open device of the context\"}]}");
	assert_non_null(strstr(br_spec_describe("memory"), "\"required\":false,\"repeated\":false,\"live\":false"));
	assert_null(br_spec_describe("cache"));
	assert_null(br_spec_describe(""));
	assert_non_null(strstr(br_spec_describe("snapshot"),
			       "{\"name\":\"low_space\",\"type\":\"size\","
			       "\"required\":false,\"repeated\":false,\"live\":true"));
	assert_non_null(strstr(br_spec_describe("snapshot"), "\"required\":true,\"repeated\":false,\"live\":false"));
	assert_non_null(strstr(br_spec_describe("linear"), "\"required\":true,\"repeated\":true,\"live\":false"));
	assert_non_null(strstr(br_spec_describe("linear"), "\"required\":false,\"repeated\":true,\"live\":false"));
	assert_null(strstr(br_spec_describe("file"), "\"repeated\":true"));
	assert_non_null(strstr(br_spec_describe("snapshot"), "\"choices\":[\"invalidate\",\"refuse\",\"hold\"]"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_is_a_file),
		cmocka_unit_test(keys_become_text_numbers_and_children),
		cmocka_unit_test(what_is_not_given_is_told_apart),
		cmocka_unit_test(choices_are_numbered_in_their_order),
		cmocka_unit_test(quotes_hold_anything_and_know_two_escapes),
		cmocka_unit_test(parentheses_in_quotes_do_not_count),
		cmocka_unit_test(a_word_names_a_path_an_open_device_or_a_stack_file),
		cmocka_unit_test(segments_follow_their_device),
		cmocka_unit_test(at_is_where_things_stand_in_the_text),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(many_open_parentheses_cost_nothing),
		cmocka_unit_test(the_number_of_devices_is_bounded),
		cmocka_unit_test(the_number_of_segments_is_bounded),
		cmocka_unit_test(the_length_of_texts_names_and_paths_is_bounded),
		cmocka_unit_test(each_allocation_may_fail_and_nothing_is_lost),
		cmocka_unit_test(freeing_nothing_is_fine),
		cmocka_unit_test(each_type_is_described_in_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
