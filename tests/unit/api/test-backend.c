/* SPDX-License-Identifier: BSD-3-Clause */
/* The caller's own devices through the public face: one thread, no thread of the library, memory that runs out. */
#include "../fake-env.h"

#include <errno.h>

#include "blkremap/blkremap.h"

enum { BYTES = 65536 };

static struct blkremap_ctx *ctx;
static struct blkremap_backend *be;
static struct blkremap_dev *dev;
static uint8_t medium[BYTES];
static int closes;

static void perform(const struct blkremap_backend_req *r)
{
	uint64_t at = r->offset;

	for (uint32_t i = 0; i < r->iovcnt; i++) {
		if (r->op == BLKREMAP_WRITE)
			memcpy(medium + at, r->iov[i].iov_base, r->iov[i].iov_len);
		else
			memcpy(r->iov[i].iov_base, medium + at, r->iov[i].iov_len);
		at += r->iov[i].iov_len;
	}
}

static int32_t be_submit(void *opaque, const struct blkremap_backend_req *reqs, uint32_t n)
{
	assert_ptr_equal(opaque, medium);
	for (uint32_t i = 0; i < n; i++) {
		perform(&reqs[i]);
		assert_int_equal(blkremap_user_complete(be, reqs[i].id, 0), 0);
	}
	return (int32_t)n;
}

static void be_close(void *opaque)
{
	assert_ptr_equal(opaque, medium);
	closes++;
}

static struct blkremap_dev_ops ops;
static struct blkremap_backend_info info;

static int setup(void **state)
{
	struct blkremap_ctx_opts o = { .size = sizeof(o), .flags = BLKREMAP_CTX_NO_THREADS, .env = &fake_env };

	(void)state;
	ops = (struct blkremap_dev_ops){ .size = sizeof(ops), .submit = be_submit, .close = be_close };
	info = (struct blkremap_backend_info){ .size = sizeof(info), .caps = BLKREMAP_CAP_WRITE, .bytes = BYTES };
	be = NULL;
	dev = NULL;
	closes = 0;
	fake_allocs_left = -1;
	return blkremap_ctx_new(&o, &ctx);
}

static int teardown(void **state)
{
	(void)state;
	return blkremap_ctx_free(ctx) != 0 || fake_allocs != 0;
}

static void a_pushed_backend_reads_writes_and_is_closed_once(void **state)
{
	uint8_t out[4096], in[4096];

	(void)state;
	memset(out, 7, sizeof(out));
	assert_int_equal(blkremap_user_open(ctx, &ops, medium, &info, &be, &dev), 0);
	assert_int_equal(blkremap_pwrite(dev, out, sizeof(out), 8192, 0), 0);
	assert_int_equal(blkremap_pread(dev, in, sizeof(in), 8192, 0), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(blkremap_flush(dev), 0);
	assert_int_equal(blkremap_user_fd(be), -EINVAL);
	assert_int_equal(blkremap_dev_close(dev), 0);
	assert_int_equal(closes, 1);
}

static void one_thread_can_pull_from_itself(void **state)
{
	uint8_t buf[512] = { 9 };
	struct iovec iov = { buf, sizeof(buf) };
	struct blkremap_io io = { .op = BLKREMAP_WRITE, .offset = 512, .length = 512, .user_data = 5, .iov = &iov,
				  .iovcnt = 1 };
	struct blkremap_completion done;
	struct blkremap_backend_req r[2];
	struct blkremap_queue *q;

	(void)state;
	assert_int_equal(blkremap_user_open(ctx, NULL, NULL, &info, &be, &dev), 0);
	assert_int_equal(blkremap_queue_open(dev, NULL, &q), 0);
	assert_int_equal(blkremap_submit_io(q, &io, 1), 1);
	assert_int_equal(blkremap_reap(q, &done, 0, 1, 0), 0);
	assert_int_equal(blkremap_user_fetch(be, r, 2), 1);
	perform(&r[0]);
	assert_int_equal(blkremap_user_complete(be, r[0].id, 0), 0);
	assert_int_equal(blkremap_user_complete(be, r[0].id, 0), -ENOENT);
	assert_int_equal(blkremap_reap(q, &done, 1, 1, -1), 1);
	assert_int_equal(done.user_data, 5);
	assert_int_equal(done.result, 0);
	assert_int_equal(medium[512], 9);
	assert_int_equal(blkremap_queue_close(q), 0);
	assert_int_equal(blkremap_dev_close(dev), 0);	/* does not wait for the one who is to fetch CLOSE: us */
	assert_int_equal(blkremap_user_fetch(be, r, 2), 1);
	assert_int_equal(r[0].op, BLKREMAP_CLOSE);
	assert_int_equal(blkremap_user_complete(be, r[0].id, 0), 0);
}

static void a_new_size_is_an_event_and_the_devices_size(void **state)
{
	struct blkremap_event e = { .size = sizeof(e) };

	(void)state;
	assert_int_equal(blkremap_user_open(ctx, &ops, medium, &info, &be, &dev), 0);
	assert_int_equal(blkremap_user_set_bytes(be, BYTES / 2), 0);
	assert_int_equal(blkremap_dev_size(dev), BYTES / 2);
	assert_int_equal(blkremap_event_next(ctx, &e), 1);
	assert_int_equal(e.type, BLKREMAP_EV_RESIZED);
	assert_int_equal(e.value[0], BYTES / 2);
	assert_int_equal(e.value[1], BYTES);
	assert_int_equal(blkremap_user_set_bytes(be, 100), -EINVAL);
	assert_int_equal(blkremap_dev_close(dev), 0);
}

static void opening_without_memory_keeps_nothing_and_calls_nothing(void **state)
{
	struct blkremap_dev_ops *const ways[] = { &ops, NULL };

	(void)state;
	for (int way = 0; way < 2; way++) {
		int before = fake_allocs, nth = 0, r;

		do {
			be = NULL;
			dev = NULL;
			fake_allocs_left = nth++;
			r = blkremap_user_open(ctx, ways[way], medium, &info, &be, &dev);
			fake_allocs_left = -1;
			if (r < 0) {
				assert_int_equal(r, -ENOMEM);
				assert_null(be);
				assert_null(dev);
				assert_int_equal(fake_allocs, before);
			}
		} while (r < 0);
		assert_true(nth > 2);
		assert_int_equal(closes, 0);
		assert_int_equal(blkremap_dev_close(dev), 0);
		if (!ways[way]) {
			struct blkremap_backend_req last;

			assert_int_equal(blkremap_user_fetch(be, &last, 1), 1);
			assert_int_equal(blkremap_user_complete(be, last.id, 0), 0);
		}
		assert_int_equal(closes, way == 0);
		closes = 0;
	}
}

static void arguments_without_sense_are_refused(void **state)
{
	struct blkremap_backend_info bad = info;

	(void)state;
	assert_int_equal(blkremap_user_open(NULL, &ops, medium, &info, &be, &dev), -EINVAL);
	assert_int_equal(blkremap_user_open(ctx, &ops, medium, NULL, &be, &dev), -EINVAL);
	assert_int_equal(blkremap_user_open(ctx, &ops, medium, &info, NULL, &dev), -EINVAL);
	assert_int_equal(blkremap_user_open(ctx, &ops, medium, &info, &be, NULL), -EINVAL);
	ops.flags = 1;
	assert_int_equal(blkremap_user_open(ctx, &ops, medium, &info, &be, &dev), -EINVAL);
	ops.flags = 0;
	bad.flags = BLKREMAP_BACKEND_BLOCKING;
	assert_int_equal(blkremap_user_open(ctx, &ops, medium, &bad, &be, &dev), -EINVAL);
	assert_non_null(strstr(blkremap_last_error(), "threads"));
	bad = info;
	bad.bytes = 1000;
	assert_int_equal(blkremap_user_open(ctx, &ops, medium, &bad, &be, &dev), -EINVAL);
	assert_non_null(strstr(blkremap_last_error(), "1000"));
	assert_null(be);
	assert_null(dev);
	assert_int_equal(blkremap_user_complete(NULL, 1, 0), -EINVAL);
	assert_int_equal(blkremap_user_fetch(NULL, NULL, 0), -EINVAL);
	assert_int_equal(blkremap_user_fd(NULL), -EINVAL);
	assert_int_equal(blkremap_user_set_bytes(NULL, 512), -EINVAL);
	assert_int_equal(closes, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pushed_backend_reads_writes_and_is_closed_once),
		TEST(one_thread_can_pull_from_itself),
		TEST(a_new_size_is_an_event_and_the_devices_size),
		TEST(opening_without_memory_keeps_nothing_and_calls_nothing),
		TEST(arguments_without_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
