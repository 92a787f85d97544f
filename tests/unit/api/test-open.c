/* SPDX-License-Identifier: BSD-3-Clause */
/* From a spec to an open device, by the public face alone, on real files. */
#include <blkremap/blkremap.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { BASE_BYTES = 1 << 20 };

static struct blkremap_ctx *ctx;
static char folder[] = "/tmp/br-open-XXXXXX";

static int make_world(void **state)
{
	(void)state;
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return -1;
	return blkremap_ctx_new(NULL, &ctx);
}

static int remove_world(void **state)
{
	static const char *const files[] = { "base.img", "new.img", "v.blkr", "s.cow", "t.cow" };
	int r = blkremap_ctx_free(ctx);

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(files[i]);
	return r < 0 || chdir("/") < 0 ? -1 : rmdir(folder);
}

static int base_anew(void **state)
{
	FILE *f = fopen("base.img", "w");

	(void)state;
	if (!f || ftruncate(fileno(f), BASE_BYTES) < 0)
		return -1;
	return fclose(f);
}

static void stack_file(const char *text)
{
	FILE *f = fopen("v.blkr", "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static struct blkremap_dev *open_ok(const char *spec)
{
	struct blkremap_dev *dev = NULL;

	if (blkremap_open(ctx, spec, NULL, &dev) < 0)
		fail_msg("%s: %s", spec, blkremap_last_error());
	return dev;
}

static int open_error(const char *spec)
{
	struct blkremap_dev *dev = NULL;
	int r = blkremap_open(ctx, spec, NULL, &dev);

	assert_null(dev);
	return r;
}

/* After each test nothing may be left open: a handle that was forgotten shows here. */
static int nothing_is_open(void **state)
{
	uint32_t n = 0;

	(void)state;
	if (blkremap_dev_list(ctx, BLKREMAP_LIST_ALL, NULL, NULL, 0, &n) < 0 || n)
		return -1;
	return 0;
}

static int write_at_0(struct blkremap_dev *dev, char c)
{
	char buf[4096];

	memset(buf, c, sizeof(buf));
	return blkremap_pwrite(dev, buf, sizeof(buf), 0, 0);
}

static char read_at_0(struct blkremap_dev *dev)
{
	char buf[4096];

	assert_int_equal(blkremap_pread(dev, buf, sizeof(buf), 0, 0), 0);
	return buf[0];
}

static void closed(struct blkremap_dev *dev)
{
	assert_int_equal(blkremap_dev_close(dev), 0);
}

/* ---- plain specs ------------------------------------------------------------------------------------------------- */

static void each_type_opens_with_the_size_that_its_spec_says(void **state)
{
	static const struct {
		const char *spec;
		uint64_t bytes;
	} all[] = {
		{ "base.img", BASE_BYTES }, { "file:path=base.img,ro=yes,nolock=yes", BASE_BYTES },
		{ "memory:bytes=64K", 65536 }, { "linear:dev=base.img,offset=4K", BASE_BYTES - 4096 },
		{ "linear:dev=(memory:bytes=1M),bytes=8K,dev=base.img,bytes=16K", 24576 },
		{ "origin:base=base.img", BASE_BYTES }, { "error:bytes=8s", 4096 },
		{ "error:dev=base.img", BASE_BYTES },
		{ "delay:dev=base.img,read=1us", BASE_BYTES },
		{ "snapshot:origin=base.img,transient=yes,chunk=4K", BASE_BYTES },
		{ "snapshot:origin=(origin:base=base.img),transient=yes,chunk=4K", BASE_BYTES },
		{ "0 8 linear base.img 8", 4096 }, { "0 16 snapshot-origin base.img", 8192 }, { "0 8 error", 4096 },
		{ "0 8 delay base.img 0 0", 4096 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct blkremap_dev *dev = open_ok(all[i].spec);

		assert_int_equal(blkremap_dev_size(dev), all[i].bytes);
		closed(dev);
		assert_int_equal(nothing_is_open(state), 0);
	}
}

static void what_is_read_only_refuses_writes(void **state)
{
	static const char *const all[] = {
		"file:path=base.img,ro=yes", "linear:dev=(memory:bytes=1M),ro=yes",
		"origin:base=(memory:bytes=1M),ro=yes",
		"linear:dev=base.img,ro=yes", "origin:base=base.img,ro=yes",
		"snapshot:origin=base.img,transient=yes,chunk=4K,ro=yes",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct blkremap_dev *dev = open_ok(all[i]);

		if (write_at_0(dev, 'x') != -EROFS)
			fail_msg("%s: %s", all[i], blkremap_last_error());
		closed(dev);
	}
}

static void a_file_is_created_once_if_the_spec_says_so(void **state)
{
	struct blkremap_dev *dev;
	struct stat st;

	(void)state;
	assert_int_equal(open_error("new.img"), -ENOENT);
	dev = open_ok("file:path=new.img,create=yes,bytes=128K");
	assert_int_equal(blkremap_dev_size(dev), 131072);
	assert_int_equal(write_at_0(dev, 'n'), 0);
	closed(dev);
	assert_int_equal(stat("new.img", &st), 0);
	assert_int_equal(st.st_size, 131072);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(open_error("file:path=new.img,create=yes,bytes=128K"), -EEXIST);
}

static void a_device_that_is_open_is_found_by_its_name(void **state)
{
	struct blkremap_dev *mem = open_ok("memory:bytes=64K,name=m"), *same, *part;

	(void)state;
	assert_int_equal(write_at_0(mem, 'm'), 0);
	same = open_ok("dev:m");
	assert_int_equal(blkremap_dev_id(same), blkremap_dev_id(mem));
	part = open_ok("linear:dev=dev:m,bytes=4K");
	assert_int_equal(read_at_0(part), 'm');
	closed(part);
	closed(same);
	closed(mem);
	assert_int_equal(open_error("dev:m"), -ENODEV);
}

static void an_error_device_fails_the_requests_it_is_told_to(void **state)
{
	struct blkremap_dev *dev = open_ok("error:dev=base.img,op=write,nth=2,once=yes,errno=ENOSPC");

	(void)state;
	assert_int_equal(write_at_0(dev, 'a'), 0);
	assert_int_equal(read_at_0(dev), 'a');
	assert_int_equal(write_at_0(dev, 'b'), -ENOSPC);
	assert_int_equal(write_at_0(dev, 'c'), 0);
	closed(dev);
}

static void what_cannot_be_opened_leaves_nothing_open(void **state)
{
	static const char *const all[] = {
		"none", "origin:base=none", "linear:dev=base.img,dev=none", "snapshot:origin=base.img,store=none",
		"snapshot:origin=none,transient=yes", "delay:dev=none", "error:dev=none", "origin:base=@v.blkr",
		"linear:dev=base.img,offset=1G", "@none", "snapshot:origin=base.img,store=(memory:bytes=1M)",
		"snapshot:origin=(origin:base=base.img),store=(memory:bytes=1M)",
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (open_error(all[i]) >= 0 || !blkremap_last_error()[0])
			fail_msg("%s opens, or fails without a sentence", all[i]);
		assert_int_equal(nothing_is_open(state), 0);
	}
}

/* ---- stack files ------------------------------------------------------------------------------------------------- */

static const char two_pasts[] = "[disk]\ntype = file\npath = base.img\n"
				"[vol]\ntype = origin\nbase = disk\n"
				"[s]\ntype = snapshot\norigin = vol\nstore = s.cow\n"
				"[t]\ntype = snapshot\norigin = vol\nstore = t.cow\n";

static void store_anew(const char *path)
{
	struct blkremap_snapshot_opts opts = { .size = sizeof(opts), .chunk_bytes = 4096 };
	char spec[80];
	struct blkremap_dev *store;

	unlink(path);
	snprintf(spec, sizeof(spec), "file:path=%s,create=yes,bytes=2M", path);
	store = open_ok(spec);
	assert_int_equal(blkremap_snapshot_create(ctx, store, &opts), 0);
	closed(store);
}

/* Whichever section is opened, a write to the origin is protected in all its snapshots. */
static void opening_an_origin_brings_all_its_snapshots(void **state)
{
	struct blkremap_dev *dev;

	store_anew("s.cow");
	store_anew("t.cow");
	stack_file(two_pasts);
	dev = open_ok("@v.blkr#vol");
	assert_int_equal(write_at_0(dev, '1'), 0);
	closed(dev);
	assert_int_equal(nothing_is_open(state), 0);
	dev = open_ok("@v.blkr#s");
	assert_int_equal(read_at_0(dev), 0);
	closed(dev);
	dev = open_ok("@v.blkr");
	assert_int_equal(read_at_0(dev), 0);
	closed(dev);
	dev = open_ok("base.img");
	assert_int_equal(read_at_0(dev), '1');
	closed(dev);
}

static void a_missing_store_keeps_the_origin_shut(void **state)
{
	store_anew("s.cow");
	unlink("t.cow");
	stack_file(two_pasts);
	assert_int_equal(open_error("@v.blkr#vol"), -ENOENT);
	assert_int_equal(nothing_is_open(state), 0);
	assert_int_equal(open_error("@v.blkr#s"), -ENOENT);
	assert_int_equal(nothing_is_open(state), 0);
	assert_int_equal(open_error("@v.blkr#nobody"), -EINVAL);
}

static void an_origin_in_parentheses_is_closed_with_its_snapshot(void **state)
{
	struct blkremap_dev *dev;

	stack_file("[s]\ntype = snapshot\norigin = (origin:base=base.img)\ntransient = yes\nchunk = 4K\n");
	dev = open_ok("@v.blkr");
	assert_int_equal(write_at_0(dev, 'x'), 0);
	closed(dev);
	assert_int_equal(nothing_is_open(state), 0);
}

static void the_base_of_a_snapshot_is_not_written_past_it(void **state)
{
	struct blkremap_open_opts ro = { .size = sizeof(ro), .flags = BLKREMAP_RDONLY };
	struct blkremap_dev *dev = NULL;

	(void)state;
	stack_file("[base]\ntype = file\npath = base.img\n"
		   "[s]\ntype = snapshot\norigin = base\ntransient = yes\nchunk = 4K\n");
	assert_int_equal(open_error("@v.blkr#base"), -EBUSY);
	assert_non_null(strstr(blkremap_last_error(), "snapshot 's'"));
	assert_int_equal(blkremap_open(ctx, "@v.blkr#base", &ro, &dev), 0);
	closed(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define AND_NOTHING_STAYS_OPEN(f) cmocka_unit_test_setup_teardown(f, base_anew, nothing_is_open)
		AND_NOTHING_STAYS_OPEN(each_type_opens_with_the_size_that_its_spec_says),
		AND_NOTHING_STAYS_OPEN(what_is_read_only_refuses_writes),
		AND_NOTHING_STAYS_OPEN(a_file_is_created_once_if_the_spec_says_so),
		AND_NOTHING_STAYS_OPEN(a_device_that_is_open_is_found_by_its_name),
		AND_NOTHING_STAYS_OPEN(an_error_device_fails_the_requests_it_is_told_to),
		AND_NOTHING_STAYS_OPEN(what_cannot_be_opened_leaves_nothing_open),
		AND_NOTHING_STAYS_OPEN(opening_an_origin_brings_all_its_snapshots),
		AND_NOTHING_STAYS_OPEN(a_missing_store_keeps_the_origin_shut),
		AND_NOTHING_STAYS_OPEN(an_origin_in_parentheses_is_closed_with_its_snapshot),
		AND_NOTHING_STAYS_OPEN(the_base_of_a_snapshot_is_not_written_past_it),
	};

	return cmocka_run_group_tests(tests, make_world, remove_world);
}
