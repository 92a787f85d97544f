/* SPDX-License-Identifier: BSD-3-Clause */
/* The caller's devices under real threads: several queues, completions from elsewhere, callers that block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/env-posix.h"
#include "blkremap/blkremap.h"
#include "io/sync.h"
#include "io/user.h"

enum { THREADS = 3, REGION = 64 * 1024, ROUNDS = 150, LINE = 4096 };

static struct br_ctx ctx;
static struct br_user *user;
static struct br_dev *dev;
static uint8_t medium[THREADS * REGION];
static _Atomic int in_submit, overlaps, closes;
static _Atomic unsigned wrong;
static _Thread_local bool does_io;
static bool must_not_block;	/* threads that do I/O must not be in submit */

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

/* ---- callers --------------------------------------------------------------------------------------------------- */

static int32_t enter_submit(void)
{
	if (does_io && must_not_block)
		atomic_fetch_add(&wrong, 1);
	if (atomic_fetch_add(&in_submit, 1))
		atomic_fetch_add(&overlaps, 1);
	return 0;
}

static int32_t submit_inline(void *opaque, const struct blkremap_backend_req *reqs, uint32_t n)
{
	(void)opaque;
	enter_submit();
	for (uint32_t i = 0; i < n; i++) {
		perform(&reqs[i]);
		if (br_user_complete(user, reqs[i].id, 0) < 0)
			atomic_fetch_add(&wrong, 1);
	}
	atomic_fetch_sub(&in_submit, 1);
	return (int32_t)n;
}

/* Takes what fits and completes it from a thread of its own, the last one first. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct blkremap_backend_req reqs[LINE];
	unsigned n;
	bool stop;
} line = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

static int32_t submit_to_thread(void *opaque, const struct blkremap_backend_req *reqs, uint32_t n)
{
	(void)opaque;
	pthread_mutex_lock(&line.lock);
	if (n > 2)
		n = 2;		/* never as many as it might */
	if (line.n > 4)
		n = 0;
	memcpy(&line.reqs[line.n], reqs, n * sizeof(*reqs));
	line.n += n;
	pthread_cond_signal(&line.more);
	pthread_mutex_unlock(&line.lock);
	return (int32_t)n;
}

static void *completer(void *arg)
{
	struct blkremap_backend_req r;

	pthread_mutex_lock(&line.lock);
	while (!line.stop || line.n) {
		if (!line.n) {
			pthread_cond_wait(&line.more, &line.lock);
			continue;
		}
		r = line.reqs[--line.n];
		pthread_mutex_unlock(&line.lock);
		perform(&r);
		if (br_user_complete(user, r.id, 0) < 0)
			atomic_fetch_add(&wrong, 1);
		pthread_mutex_lock(&line.lock);
	}
	pthread_mutex_unlock(&line.lock);
	return arg;
}

static void *puller(void *arg)
{
	struct blkremap_backend_req r[5];
	struct pollfd p = { .fd = br_user_bell(user), .events = POLLIN };

	for (;;) {
		int n;

		poll(&p, 1, -1);
		n = br_user_fetch(user, r, 5);
		for (int i = 0; i < n; i++) {
			bool last = r[i].op == BLKREMAP_CLOSE;

			if (!last)
				perform(&r[i]);
			if (br_user_complete(user, r[i].id, 0) < 0)
				atomic_fetch_add(&wrong, 1);
			if (last)
				return arg;
		}
	}
}

static void be_close(void *opaque)
{
	(void)opaque;
	atomic_fetch_add(&closes, 1);
}

/* ---- users ----------------------------------------------------------------------------------------------------- */

static void *io_thread(void *arg)
{
	uint64_t me = (uint64_t)(uintptr_t)arg;
	static _Thread_local uint8_t out[3 * 4096], in[3 * 4096];
	struct br_sync s = { .chan = NULL };

	does_io = true;
	if (br_sync_open(&s, &ctx, dev) < 0) {
		atomic_fetch_add(&wrong, 1);
		return NULL;
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t off = me * REGION + round % 13 * 4096;

		memset(out, (int)(round + me), sizeof(out));
		if (br_sync_write(&s, out, sizeof(out), off, BR_FUA) || br_sync_read(&s, in, sizeof(in), off) ||
		    memcmp(in, out, sizeof(in)))
			atomic_fetch_add(&wrong, 1);
	}
	br_sync_close(&s);
	return NULL;
}

static void exercise(const struct blkremap_dev_ops *ops, uint32_t flags, uint32_t max_inflight)
{
	struct blkremap_backend_info info = {
		.caps = BLKREMAP_CAP_WRITE, .bytes = sizeof(medium), .max_transfer = 4096, .flags = flags,
		.max_inflight = max_inflight,
	};
	pthread_t threads[THREADS], helper;
	bool helped = !ops || ops->submit == submit_to_thread;

	memset(&ctx, 0, sizeof(ctx));
	atomic_store(&wrong, 0);
	atomic_store(&overlaps, 0);
	atomic_store(&closes, 0);
	line.stop = false;
	must_not_block = flags & BLKREMAP_BACKEND_BLOCKING;
	assert_int_equal(br_ctx_init(&ctx, &br_env_posix, false), 0);
	assert_int_equal(br_user_open(&ctx, ops, NULL, &info, &user, &dev), 0);
	if (helped)
		assert_int_equal(pthread_create(&helper, NULL, ops ? completer : puller, NULL), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, io_thread, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	if (ops && helped) {
		pthread_mutex_lock(&line.lock);
		line.stop = true;
		pthread_cond_signal(&line.more);
		pthread_mutex_unlock(&line.lock);
		pthread_join(helper, NULL);
	}
	assert_int_equal(br_dev_put(dev), 0);
	if (!ops)
		pthread_join(helper, NULL);
	br_ctx_done(&ctx);
	assert_int_equal(wrong, 0);
	assert_int_equal(closes, ops != NULL);
}

static const struct blkremap_dev_ops inline_ops = { sizeof(inline_ops), 0, submit_inline, NULL, be_close };
static const struct blkremap_dev_ops thread_ops = { sizeof(thread_ops), 0, submit_to_thread, NULL, be_close };

static void a_caller_that_completes_inline_serves_several_queues(void **state)
{
	(void)state;
	exercise(&inline_ops, 0, 0);
	exercise(&inline_ops, 0, 1);
}

static void a_serial_caller_is_never_entered_twice(void **state)
{
	(void)state;
	exercise(&inline_ops, BLKREMAP_BACKEND_SERIAL, 0);
	assert_int_equal(overlaps, 0);
}

static void a_caller_that_completes_from_its_own_thread_serves_several_queues(void **state)
{
	(void)state;
	exercise(&thread_ops, 0, 0);
	exercise(&thread_ops, BLKREMAP_BACKEND_SERIAL, 3);
}

static void a_caller_that_blocks_is_called_from_threads_of_the_library(void **state)
{
	(void)state;
	exercise(&inline_ops, BLKREMAP_BACKEND_BLOCKING, 0);
	exercise(&inline_ops, BLKREMAP_BACKEND_BLOCKING | BLKREMAP_BACKEND_SERIAL, 2);
	assert_int_equal(overlaps, 0);
}

static void a_caller_that_pulls_from_a_thread_serves_several_queues(void **state)
{
	(void)state;
	exercise(NULL, 0, 0);
	exercise(NULL, 0, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_caller_that_completes_inline_serves_several_queues),
		cmocka_unit_test(a_serial_caller_is_never_entered_twice),
		cmocka_unit_test(a_caller_that_completes_from_its_own_thread_serves_several_queues),
		cmocka_unit_test(a_caller_that_blocks_is_called_from_threads_of_the_library),
		cmocka_unit_test(a_caller_that_pulls_from_a_thread_serves_several_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
