/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/spec.h"

#include <errno.h>
#include <stdio.h>

#include "spec-env.h"

#include "base/compiler.h"

enum { ROUNDS = 3000, TEXT_BYTES = 8192 };

static void check(const char *text, const char *canonical)
{
	struct br_spec *spec = parse(text), *again;
	char buf[TEXT_BYTES], buf2[TEXT_BYTES];

	assert_int_equal(br_spec_print(spec, buf, sizeof(buf)), 0);
	if (canonical)
		assert_string_equal(buf, canonical);
	again = parse(buf);
	if (!same_tree(spec, again))
		fail_msg("'%s' is another tree than '%s'", text, buf);
	assert_int_equal(br_spec_print(again, buf2, sizeof(buf2)), 0);
	assert_string_equal(buf, buf2);
	br_spec_free(spec);
	br_spec_free(again);
}

static void what_can_be_short_is_short(void **state)
{
	(void)state;
	check("disk.img", "disk.img");
	check("file:path=disk.img", "disk.img");
	check("file:path=\"a b\"", "a b");
	check("file:path=disk.img,ro=yes", "file:path=disk.img,ro=yes");
	check("dev:x", "dev:x");
	check("dev:\"x\"", "dev:x");
	check("@vol.blkr", "@vol.blkr");
	check("@vol.blkr#base", "@vol.blkr#base");
	check("stack:path=vol.blkr,section=base", "@vol.blkr#base");
	check("origin:base=(file:path=b.img)", "origin:base=b.img");
	check("origin:base=\"b.img\"", "origin:base=b.img");
	check("origin:base=(dev:x)", "origin:base=dev:x");
	check("origin:base=(@v#s)", "origin:base=@v#s");
	check("memory:bytes=1048576", "memory:bytes=1M");
	check("memory:bytes=3s", "memory:bytes=1536");
	check("delay:dev=a,read=1000us,write=0us", "delay:dev=a,read=1ms,write=0s");
	check("error:dev=a,nth=3,op=\"read\"", "error:dev=a,nth=3,op=read");
}

static void what_would_be_misread_is_not_short(void **state)
{
	(void)state;
	check("file:path=\"memory:bytes=1M\"", "file:path=memory:bytes=1M");
	check("file:path=cache:x", "file:path=cache:x");
	check("file:path=@x", "file:path=@x");
	check("file:path=http://x", "file:path=http://x");
	check("file:path=\"0 8 linear a 0\"", "file:path=\"0 8 linear a 0\"");
	check("file:path=\"@a b\"", "file:path=\"@a b\"");
	check("origin:base=\"memory:bytes=1M\"", "origin:base=\"memory:bytes=1M\"");
	check("origin:base=\"a,b\"", "origin:base=\"a,b\"");
	check("origin:base=\"a\\\"\\\\b\"", "origin:base=\"a\\\"\\\\b\"");
	check("origin:base=\"@a\"", "origin:base=\"@a\"");
	check("origin:base=\"dev:a\"", "origin:base=\"dev:a\"");
	check("origin:base=(dev:\"a,b\")", "origin:base=(dev:\"a,b\")");
	check("dev:\"\\\"a\"", "dev:\"\\\"a\"");
	check("stack:path=a#b", "stack:path=a#b");
	check("stack:path=a,section=b#c", "stack:path=a,section=b#c");
	check("stack:section=b,path=a", "stack:section=b,path=a");
	check("origin:base=(@a b)", "origin:base=(stack:path=\"a b\")");
}

static void everything_is_written_out(void **state)
{
	static const char all[] =
		"snapshot:origin=(linear:dev=a,offset=1M,bytes=2M,dev=(memory:bytes=4K),name=l),"
		"store=(file:path=\"my store\",direct=yes,engine=threads,create=yes,bytes=1G,max_grow=2G,nolock=yes),"
		"chunk=64K,size=8G,when_full=hold,hold=5ms,low_space=1M,grow_step=64M,discard_zeroes_cow=yes,"
		"discard_passdown=yes,transient=no,merging=yes,ro=no,name=\"a snap\"";

	(void)state;
	check(all, all);
}

static void no_room_is_an_error_with_a_terminated_text(void **state)
{
	static const char text[] = "origin:base=(file:path=\"a b\",ro=yes)";
	struct br_spec *spec = parse(text);
	char buf[sizeof(text)];

	(void)state;
	assert_int_equal(br_spec_print(spec, buf, 0), -ENOSPC);
	for (size_t size = 1; size < sizeof(text); size++) {
		memset(buf, '#', sizeof(buf));
		assert_int_equal(br_spec_print(spec, buf, size), -ENOSPC);
		assert_true(strlen(buf) < size);
		assert_int_equal(strncmp(buf, text, strlen(buf)), 0);
	}
	assert_int_equal(br_spec_print(spec, buf, sizeof(text)), 0);
	assert_string_equal(buf, text);
	br_spec_free(spec);
}

/* ---- random specs ------------------------------------------------------------------------------------------------ */

static uint64_t seed;

static unsigned pick(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % n;
}

struct out {
	char text[TEXT_BYTES];
	int len;
};

static void __attribute__((format(printf, 2, 3))) out(struct out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	o->len += vsnprintf(o->text + o->len, sizeof(o->text) - (size_t)o->len, fmt, ap);
	va_end(ap);
	assert_true(o->len < TEXT_BYTES);
}

/* Some text in quotes, of characters that mean something somewhere. */
static void out_quoted(struct out *o)
{
	static const char letters[] = "ab,()=:@#/ \"\\.0\x80\xc3";

	out(o, "\"");
	for (unsigned i = 0, n = 1 + pick(10); i < n; i++) {
		char c = letters[pick(sizeof(letters) - 1)];

		out(o, c == '"' || c == '\\' ? "\\%c" : "%c", c);
	}
	out(o, "\"");
}

static void out_device(struct out *o, unsigned depth);

static void out_node(struct out *o, unsigned depth)
{
	switch (pick(depth ? 9 : 4)) {
	case 0:
		out(o, "memory:bytes=%u%s", pick(5000), pick(2) ? "K" : "s");
		break;
	case 1:
		out(o, "file:path=");
		out_quoted(o);
		out(o, "%s%s", pick(2) ? ",ro=yes" : "", pick(2) ? ",max_grow=77M" : "");
		break;
	case 2:
		out(o, "dev:");
		out_quoted(o);
		break;
	case 3:
		out(o, "stack:path=");
		out_quoted(o);
		if (pick(2)) {
			out(o, ",section=");
			out_quoted(o);
		}
		break;
	case 4:
		out(o, "origin:%sbase=", pick(2) ? "ro=yes," : "");
		out_device(o, depth - 1);
		break;
	case 5:
		out(o, "delay:read=%uus,flush=%ums,dev=", pick(3000), pick(3000));
		out_device(o, depth - 1);
		break;
	case 6:
		out(o, "error:errno=%s,nth=%u,dev=", pick(2) ? "EIO" : "ENOSPC", 1 + pick(9));
		out_device(o, depth - 1);
		break;
	case 7:
		out(o, "snapshot:chunk=%uk,origin=", pick(100));
		out_device(o, depth - 1);
		out(o, ",store=");
		out_device(o, depth - 1);
		break;
	default:
		out(o, "linear:dev=");
		out_device(o, depth - 1);
		for (unsigned i = pick(3); i; i--) {
			out(o, ",offset=%u,dev=", pick(9999));
			out_device(o, depth - 1);
		}
	}
}

static void out_device(struct out *o, unsigned depth)
{
	switch (pick(4)) {
	case 0:
		out_quoted(o);
		break;
	case 1:
		out(o, "file%u", pick(100));
		break;
	default:
		out(o, "(");
		out_node(o, depth);
		out(o, ")");
	}
}

static void random_trees_survive_printing_and_parsing(void **state)
{
	static struct out o;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		seed = i;
		o.len = 0;
		out_node(&o, pick(5));
		check(o.text, NULL);
	}
	assert_int_equal(env_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_can_be_short_is_short),
		cmocka_unit_test(what_would_be_misread_is_not_short),
		cmocka_unit_test(everything_is_written_out),
		cmocka_unit_test(no_room_is_an_error_with_a_terminated_text),
		cmocka_unit_test(random_trees_survive_printing_and_parsing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
