/* SPDX-License-Identifier: BSD-3-Clause */
/* Block devices: a loop device over a file.  Skipped where none can be had (no privileges, no loop driver). */
#include "file-world.h"

#include <linux/loop.h>
#include <sys/ioctl.h>

enum { LOOP_BYTES = 8 << 20, TRIES = 20 };

static char loop_path[32];
static char backing[] = "./blkremap-test-loop-XXXXXX";
static int loop_fd = -1;

/* Another one may take the free device between the two calls. */
static int set_up_loop(void **state)
{
	int file = mkstemp(backing), control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), n;

	(void)state;
	if (file < 0 || ftruncate(file, LOOP_BYTES) < 0)
		return -1;
	for (int i = 0; control >= 0 && loop_fd < 0 && i < TRIES; i++) {
		struct loop_config config = { .fd = (uint32_t)file, .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };

		n = ioctl(control, LOOP_CTL_GET_FREE);
		if (n < 0)
			break;
		snprintf(loop_path, sizeof(loop_path), "/dev/loop%d", n);
		loop_fd = open(loop_path, O_RDWR | O_CLOEXEC);
		if (loop_fd >= 0 && ioctl(loop_fd, LOOP_CONFIGURE, &config) < 0) {
			close(loop_fd);
			loop_fd = -1;
		}
	}
	close(control);
	close(file);
	unlink(backing);
	return 0;
}

static int tear_down_loop(void **state)
{
	(void)state;
	if (loop_fd >= 0)
		close(loop_fd);		/* the device goes by itself */
	return 0;
}

static const struct way block_ways[] = {
	{ "buffered", NULL, NULL, "threads", false, false, false },
	{ "direct", NULL, NULL, "aio", true, false, false },
	{ "sync", NULL, "sync", "sync", true, true, false },
	{ "without threads", NULL, NULL, "aio", true, true, false },
};

static void open_block(const struct way *way)
{
	struct br_file_opts o = { .path = loop_path, .fd = -1, .engine = way->engine, .direct = way->direct };

	memset(&w, 0, sizeof(w));
	w.way = way;
	assert_int_equal(br_ctx_init(&w.ctx, &br_env_posix, way->no_threads), 0);
	assert_int_equal(br_file_open(&w.ctx, &o, &w.dev), 0);
	w.file = br_to_file(w.dev);
	assert_int_equal(br_queue_init(&w.queue, &w.ctx, false), 0);
	assert_int_equal(br_queue_enter(&w.queue), 0);
	assert_int_equal(br_chan_get(&w.queue, w.dev, &w.chan), 0);
}

#define for_each_block_way()                                                             \
	for (unsigned way_ = 0; way_ < BR_ARRAY_SIZE(block_ways); way_++)                 \
		for (bool on_ = (open_block(&block_ways[way_]), true); on_; on_ = false, close_world())

#define need_loop()           \
	do {                  \
		if (loop_fd < 0) \
			skip(); \
	} while (0)

static unsigned char data[65536 + 8], got[65536];

static void a_block_device_tells_its_geometry_and_its_engine(void **state)
{
	(void)state;
	need_loop();
	for_each_block_way() {
		uint32_t caps = atomic_load(&w.dev->caps);

		assert_string_equal(w.dev->engine, w.way->expect);
		assert_int_equal(atomic_load(&w.dev->bytes), LOOP_BYTES);
		assert_int_equal(w.dev->logical_block, 512);
		assert_true(w.dev->physical_block >= 512);
		assert_true(caps & BR_CAP_WRITE && caps & BR_CAP_VOLATILE_CACHE && caps & BR_CAP_WRITE_ZEROES);
		assert_false(caps & (BR_CAP_EXTENTS | BR_CAP_GROW | BR_CAP_DISCARD_ZEROES));
	}
}

static void a_block_device_keeps_what_is_written_and_zeroes_what_is_to_be_zero(void **state)
{
	(void)state;
	need_loop();
	fill(data, sizeof(data), 3);
	for_each_block_way() {
		assert_int_equal(one(BR_WRITE, BR_FUA, 8192, 65536, data + 1), 0);
		assert_int_equal(one(BR_FLUSH, 0, 0, 0, NULL), 0);
		assert_int_equal(one(BR_WRITE_ZEROES, 0, 12288, 4096, NULL), 0);
		assert_int_equal(one(BR_WRITE_ZEROES, BR_MAY_UNMAP | BR_FUA, 16384, 4096, NULL), 0);
		if (atomic_load(&w.dev->caps) & BR_CAP_DISCARD)
			assert_int_equal(one(BR_DISCARD, BR_FUA, 8192, 4096, NULL), 0);
		assert_int_equal(one(BR_WRITE_ZEROES, BR_FAST_ONLY, 20480, 4096, NULL), -EOPNOTSUPP);
		assert_int_equal(one(BR_READ, 0, 8192, 65536, got), 0);
		for (unsigned i = 4096; i < 12288; i++)
			assert_int_equal(got[i], 0);
		assert_memory_equal(got + 12288, data + 1 + 12288, 65536 - 12288);
	}
}

static void a_block_device_does_not_grow(void **state)
{
	uint64_t now = 0;

	(void)state;
	need_loop();
	open_block(&block_ways[0]);
	assert_int_equal(w.dev->ops->resize(w.dev, 2 * LOOP_BYTES, &now), -EOPNOTSUPP);
	assert_int_equal(w.dev->ops->resize(w.dev, 0, &now), 0);
	assert_int_equal(now, LOOP_BYTES);
	close_world();
}

static void a_second_writer_of_a_block_device_is_refused_and_told_who_has_it(void **state)
{
	struct br_file_opts o = { .path = loop_path, .fd = -1 };
	struct br_dev *dev;

	(void)state;
	need_loop();
	open_block(&block_ways[0]);
	for (int rdonly = 0; rdonly < 2; rdonly++) {
		o.rdonly = rdonly;
		assert_int_equal(br_file_open(&w.ctx, &o, &dev), -EBUSY);
		assert_non_null(strstr(br_error_text(), w.dev->name));
	}
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_device_tells_its_geometry_and_its_engine),
		cmocka_unit_test(a_block_device_keeps_what_is_written_and_zeroes_what_is_to_be_zero),
		cmocka_unit_test(a_block_device_does_not_grow),
		cmocka_unit_test(a_second_writer_of_a_block_device_is_refused_and_told_who_has_it),
	};

	return cmocka_run_group_tests(tests, set_up_loop, tear_down_loop);
}
