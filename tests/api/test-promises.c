/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the public headers promise beside data: each errno with its cause, what NULL does, what is stable.
 *
 * Every failure must leave a sentence, and must leave result parameters alone: fails() looks at both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <blkremap/blkremap.h>

enum { MIB = 1 << 20 };

static struct blkremap_ctx *ctx;

static int set_up(void **state)
{
	(void)state;
	return blkremap_ctx_new(NULL, &ctx);
}

/* Fails if a test has left a device open. */
static int tear_down(void **state)
{
	(void)state;
	return blkremap_ctx_free(ctx);
}

static struct blkremap_dev *memory(uint64_t bytes)
{
	struct blkremap_dev *dev = NULL;

	assert_int_equal(blkremap_mem_open(ctx, bytes, NULL, &dev), 0);
	return dev;
}

static void close_dev(struct blkremap_dev *dev)
{
	assert_int_equal(blkremap_dev_close(dev), 0);
}

static void fails(int result, int expected)
{
	if (result != expected)
		print_message("# %d, expected %d: %s\n", result, expected, blkremap_last_error());
	assert_int_equal(result, expected);
	assert_true(blkremap_last_error()[0] != '\0');
}

/* A store that was made by blkremap_snapshot_create(). */
static struct blkremap_dev *formatted_store(uint64_t chunk_bytes)
{
	struct blkremap_snapshot_opts opts = { .size = sizeof(opts), .chunk_bytes = chunk_bytes };
	struct blkremap_dev *store = memory(2 * MIB);

	assert_int_equal(blkremap_snapshot_create(ctx, store, &opts), 0);
	return store;
}

/* ---- base.h ------------------------------------------------------------------------------------------------------ */

static void a_context_refuses_what_it_does_not_know(void **state)
{
	struct blkremap_ctx_opts flags = { .size = sizeof(flags), .flags = 1u << 30 };
	struct blkremap_ctx_opts many = { .size = sizeof(many), .workers = 65 };
	struct blkremap_ctx *other = NULL;

	(void)state;
	fails(blkremap_ctx_new(&flags, &other), -EINVAL);
	fails(blkremap_ctx_new(&many, &other), -EINVAL);
	assert_null(other);
}

/* As if a program were built with a later version, whose options have eight more bytes. */
struct later_opts {
	struct blkremap_ctx_opts known;
	uint64_t unknown;
};

static void a_later_option_is_refused_only_if_it_is_set(void **state)
{
	struct later_opts later = { .known = { .size = sizeof(later) } };
	struct blkremap_ctx *other = NULL;

	(void)state;
	assert_int_equal(blkremap_ctx_new(&later.known, &other), 0);
	assert_int_equal(blkremap_ctx_free(other), 0);
	other = NULL;
	later.unknown = 1;
	fails(blkremap_ctx_new(&later.known, &other), -E2BIG);
	assert_null(other);
}

static void a_context_with_open_devices_stays(void **state)
{
	struct blkremap_dev *dev = memory(MIB);

	(void)state;
	fails(blkremap_ctx_free(ctx), -EBUSY);
	close_dev(dev);
}

static void null_handles_may_be_given_up(void **state)
{
	(void)state;
	assert_int_equal(blkremap_ctx_free(NULL), 0);
	assert_int_equal(blkremap_dev_close(NULL), 0);
	assert_int_equal(blkremap_queue_close(NULL), 0);
	blkremap_job_free(NULL);
}

static void codes_have_stable_names(void **state)
{
	(void)state;
	assert_string_equal(blkremap_code_name(BLKREMAP_CODE_STORE_FULL), "store-full");
	assert_string_equal(blkremap_code_name(99999), "unknown");
	for (uint32_t code = 0; code <= BLKREMAP_CODE_UNSUPPORTED; code++) {
		assert_string_not_equal(blkremap_code_name(code), "unknown");
		assert_true(blkremap_code_text(code)[0] != '\0');
	}
	assert_non_null(blkremap_code_text(99999));
}

static void the_version_is_that_of_the_headers(void **state)
{
	(void)state;
	assert_int_equal(blkremap_version(),
			 BLKREMAP_VERSION_MAJOR << 16 | BLKREMAP_VERSION_MINOR << 8 | BLKREMAP_VERSION_MICRO);
}

static void features_can_be_asked_for(void **state)
{
	(void)state;
	assert_int_equal(blkremap_has("target:snapshot"), 1);
	assert_int_equal(blkremap_has("target:cache"), 0);
	assert_int_equal(blkremap_has("nonsense"), 0);
	assert_non_null(strstr(blkremap_describe("snapshot"), "\"when_full\""));
	assert_null(blkremap_describe("nonsense"));
}

static void only_a_context_without_threads_is_driven(void **state)
{
	int64_t next = 7;

	(void)state;
	fails(blkremap_process(ctx, 0, &next), -EINVAL);
	assert_true(blkremap_ctx_fd(ctx) >= 0);
}

static void no_event_is_0(void **state)
{
	struct blkremap_event e = { .size = sizeof(e) };

	(void)state;
	assert_int_equal(blkremap_event_next(ctx, &e), 0);
}

/* ---- dev.h ------------------------------------------------------------------------------------------------------- */

static void memory_is_of_whole_sectors(void **state)
{
	struct blkremap_dev *dev = NULL;

	(void)state;
	fails(blkremap_mem_open(ctx, 0, NULL, &dev), -EINVAL);
	fails(blkremap_mem_open(ctx, 1000, NULL, &dev), -EINVAL);
	assert_null(dev);
}

static void specs_and_files_fail_with_their_own_errors(void **state)
{
	struct blkremap_dev *dev = NULL;

	(void)state;
	fails(blkremap_open(ctx, "snapshot:nonsense=1", NULL, &dev), -EINVAL);
	fails(blkremap_open(ctx, "/nonexistent/file", NULL, &dev), -ENOENT);
	fails(blkremap_file_open(ctx, "/nonexistent/file", NULL, &dev), -ENOENT);
	fails(blkremap_fd_open(ctx, 9999, NULL, &dev), -EBADF);
	fails(blkremap_dev_get(ctx, 9999, &dev), -ENODEV);
	assert_null(dev);
}

static void a_name_is_unique_in_its_context(void **state)
{
	struct blkremap_open_opts opts = { .size = sizeof(opts), .name = "one" };
	struct blkremap_dev *dev = NULL, *again = NULL;

	(void)state;
	assert_int_equal(blkremap_mem_open(ctx, MIB, &opts, &dev), 0);
	fails(blkremap_mem_open(ctx, MIB, &opts, &again), -EEXIST);
	assert_null(again);
	close_dev(dev);
}

static void a_linear_checks_its_segments(void **state)
{
	struct blkremap_segment s[3] = { { .offset = MIB, .bytes = 0 },
					 { .offset = 100, .bytes = 512 },
					 { .offset = MIB, .bytes = 512 } };
	struct blkremap_dev *dev = memory(MIB), *linear = NULL;

	(void)state;
	for (int i = 0; i < 3; i++) {
		s[i].dev = dev;
		fails(blkremap_linear_open(ctx, &s[i], 1, NULL, &linear), -EINVAL);
	}
	assert_null(linear);
	close_dev(dev);
}

static void a_claimed_device_refuses_writes(void **state)
{
	char sector[512] = { 0 };
	struct blkremap_dev *base = memory(MIB), *origin = NULL, *other = NULL;

	(void)state;
	assert_int_equal(blkremap_origin_open(ctx, base, NULL, &origin), 0);
	fails(blkremap_pwrite(base, sector, 512, 0, 0), -EBUSY);
	assert_int_equal(blkremap_pread(base, sector, 512, 0, 0), 0);
	assert_int_equal(blkremap_pwrite(origin, sector, 512, 0, 0), 0);
	fails(blkremap_origin_open(ctx, base, NULL, &other), -EBUSY);
	assert_null(other);
	close_dev(origin);
	assert_int_equal(blkremap_pwrite(base, sector, 512, 0, 0), 0);
	close_dev(base);
}

static void lists_tell_all_and_fill_what_fits(void **state)
{
	struct blkremap_dev *a = memory(MIB), *b = memory(MIB);
	uint64_t ids[2] = { 0, 77 };
	uint32_t n = 0;

	(void)state;
	assert_int_equal(blkremap_dev_list(ctx, BLKREMAP_LIST_ALL, NULL, ids, 1, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(ids[1], 77);
	fails(blkremap_dev_list(ctx, 99, NULL, ids, 2, &n), -EINVAL);
	close_dev(a);
	close_dev(b);
}

static void counters_end(void **state)
{
	struct blkremap_dev *dev = memory(MIB);
	const char *name = NULL;
	uint64_t value;
	uint32_t n = 0;

	(void)state;
	while (blkremap_counter(dev, n, &name, &value) == 1)
		n++;
	assert_true(n > 5);
	assert_int_equal(blkremap_counter(dev, n, &name, &value), 0);
	close_dev(dev);
}

static void live_keys_are_checked(void **state)
{
	struct blkremap_dev *dev = memory(MIB);

	(void)state;
	fails(blkremap_dev_set(dev, "nonsense", "1"), -ENOENT);
	close_dev(dev);
}

static void what_is_not_suspended_cannot_be_resumed(void **state)
{
	struct blkremap_dev *dev = memory(MIB);

	(void)state;
	fails(blkremap_resume(dev), -EINVAL);
	assert_int_equal(blkremap_suspend(dev, 0, -1), 0);
	assert_int_equal(blkremap_suspend(dev, 0, -1), 0);
	assert_int_equal(blkremap_resume(dev), 0);
	assert_int_equal(blkremap_resume(dev), 0);
	fails(blkremap_resume(dev), -EINVAL);
	close_dev(dev);
}

/* ---- io.h -------------------------------------------------------------------------------------------------------- */

static void blocking_calls_check_their_range(void **state)
{
	char sector[1024];
	struct blkremap_dev *dev = memory(MIB);

	(void)state;
	fails(blkremap_pread(dev, sector, 512, 100, 0), -EINVAL);
	fails(blkremap_pread(dev, sector, 100, 0, 0), -EINVAL);
	fails(blkremap_pread(dev, sector, 1024, MIB - 512, 0), -EIO);
	fails(blkremap_pwrite(dev, sector, 512, MIB, 0), -ENOSPC);
	fails(blkremap_pwrite(dev, sector, 512, 0, 1u << 30), -EINVAL);
	close_dev(dev);
}

static void malformed_requests_are_refused_and_others_complete(void **state)
{
	char sector[512];
	struct iovec iov = { sector, sizeof(sector) };
	struct blkremap_io bad = { .op = 99 };
	struct blkremap_io beyond = { .op = BLKREMAP_READ, .offset = 2 * MIB, .length = 512, .iov = &iov, .iovcnt = 1,
				      .user_data = 5 };
	struct blkremap_io longer = { .op = BLKREMAP_READ, .length = 1024, .iov = &iov, .iovcnt = 1 };
	struct blkremap_completion done;
	struct blkremap_dev *dev = memory(MIB);
	struct blkremap_queue *q = NULL;

	(void)state;
	assert_int_equal(blkremap_queue_open(dev, NULL, &q), 0);
	fails(blkremap_submit_io(q, &bad, 1), -EINVAL);
	fails(blkremap_submit_io(q, &longer, 1), -EINVAL);
	fails(blkremap_reap(q, &done, 1, 1, -1), -EDEADLK);
	assert_int_equal(blkremap_submit_io(q, &beyond, 1), 1);
	fails(blkremap_queue_close(q), -EBUSY);
	fails(blkremap_dev_close(dev), -EBUSY);
	assert_int_equal(blkremap_reap(q, &done, 1, 1, -1), 1);
	assert_int_equal(done.user_data, 5);
	assert_true(done.result < 0);
	assert_int_equal(done.code, BLKREMAP_CODE_BEYOND_END);
	assert_int_equal(blkremap_queue_close(q), 0);
	close_dev(dev);
}

static void a_full_queue_says_so(void **state)
{
	struct blkremap_queue_opts opts = { .size = sizeof(opts), .depth = 2 };
	struct blkremap_io flush[3] = { { .op = BLKREMAP_FLUSH }, { .op = BLKREMAP_FLUSH }, { .op = BLKREMAP_FLUSH } };
	struct blkremap_completion done[2];
	struct blkremap_dev *dev = memory(MIB);
	struct blkremap_queue *q = NULL;

	(void)state;
	assert_int_equal(blkremap_queue_open(dev, &opts, &q), 0);
	assert_int_equal(blkremap_submit_io(q, flush, 3), 2);
	fails(blkremap_submit_io(q, flush, 1), -EAGAIN);
	assert_int_equal(blkremap_reap(q, done, 2, 2, -1), 2);
	assert_int_equal(blkremap_queue_close(q), 0);
	close_dev(dev);
}

static void a_woken_reap_returns_early(void **state)
{
	struct blkremap_completion done;
	struct blkremap_io flush = { .op = BLKREMAP_FLUSH };
	struct blkremap_dev *dev = memory(MIB);
	struct blkremap_queue *q = NULL;

	(void)state;
	assert_int_equal(blkremap_queue_open(dev, NULL, &q), 0);
	assert_int_equal(blkremap_suspend(dev, 0, -1), 0);
	assert_int_equal(blkremap_submit_io(q, &flush, 1), 1);
	assert_int_equal(blkremap_queue_wake(q), 0);
	assert_int_equal(blkremap_reap(q, &done, 1, 1, -1), 0);
	assert_int_equal(blkremap_reap(q, &done, 1, 1, 1000000), 0);
	assert_int_equal(blkremap_queue_cancel(q, BLKREMAP_CANCEL_ALL, 0), 1);
	assert_int_equal(blkremap_reap(q, &done, 1, 1, -1), 1);
	assert_int_equal(done.result, -ECANCELED);
	assert_int_equal(blkremap_resume(dev), 0);
	assert_int_equal(blkremap_queue_close(q), 0);
	close_dev(dev);
}

static void maps_end_at_the_end(void **state)
{
	struct blkremap_extent x;
	uint32_t n = 7;
	struct blkremap_dev *dev = memory(MIB);

	(void)state;
	assert_int_equal(blkremap_map(dev, 0, MIB, 0, &x, 1, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(blkremap_map(dev, MIB, 0, 0, &x, 1, &n), 0);
	assert_int_equal(n, 0);
	fails(blkremap_map(dev, 512, MIB, 0, &x, 1, &n), -EINVAL);
	fails(blkremap_map(dev, 0, MIB, 0, &x, 0, &n), -EINVAL);
	fails(blkremap_delta(dev, dev, 0, MIB, &x, 1, &n), -EINVAL);
	close_dev(dev);
}

/* ---- target.h ---------------------------------------------------------------------------------------------------- */

static void formatting_never_overwrites_unasked(void **state)
{
	struct blkremap_snapshot_opts force = { .size = sizeof(force), .flags = BLKREMAP_FORCE };
	struct blkremap_snapshot_opts odd = { .size = sizeof(odd), .chunk_bytes = 5000 };
	struct blkremap_dev *store = formatted_store(4096), *small = memory(4096);

	(void)state;
	fails(blkremap_snapshot_create(ctx, store, NULL), -EEXIST);
	assert_int_equal(blkremap_snapshot_create(ctx, store, &force), 0);
	fails(blkremap_snapshot_create(ctx, small, NULL), -EINVAL);
	fails(blkremap_snapshot_create(ctx, small, &odd), -EINVAL);
	close_dev(store);
	close_dev(small);
}

static void blank_damaged_and_foreign_stores_differ(void **state)
{
	char sector[512];
	struct blkremap_snapshot_opts other = { .size = sizeof(other), .chunk_bytes = 8192 };
	struct blkremap_dev *base = memory(MIB), *store = memory(2 * MIB), *good = formatted_store(4096), *snap = NULL;

	(void)state;
	fails(blkremap_snapshot_open(ctx, base, store, NULL, &snap), -ENODATA);
	memset(sector, 'x', sizeof(sector));
	assert_int_equal(blkremap_pwrite(store, sector, 512, 0, 0), 0);
	fails(blkremap_snapshot_open(ctx, base, store, NULL, &snap), -EBADMSG);
	fails(blkremap_snapshot_open(ctx, base, good, &other, &snap), -EINVAL);
	assert_null(snap);
	close_dev(store);
	close_dev(good);
	close_dev(base);
}

/* An origin of its own base; the caller closes it. */
static struct blkremap_dev *open_origin(void)
{
	struct blkremap_dev *base = memory(MIB), *origin = NULL;

	assert_int_equal(blkremap_origin_open(ctx, base, NULL, &origin), 0);
	close_dev(base);
	return origin;
}

static void an_origin_that_was_written_takes_no_old_store(void **state)
{
	char sector[512] = { 0 };
	struct blkremap_dev *origin = open_origin(), *store = formatted_store(4096), *snap = NULL;

	(void)state;
	assert_int_equal(blkremap_pwrite(origin, sector, 512, 0, 0), 0);
	fails(blkremap_snapshot_open(ctx, origin, store, NULL, &snap), -ESTALE);
	assert_null(snap);
	close_dev(store);
	close_dev(origin);
}

static void taking_checks_everything_first(void **state)
{
	struct blkremap_dev *origin = open_origin(), *store = formatted_store(4096), *plain = memory(MIB);
	struct blkremap_take used = { .origin = origin, .store = store }, none = { .origin = plain };

	(void)state;
	fails(blkremap_snapshot_take(&used, 1, -1, NULL), -EEXIST);
	fails(blkremap_snapshot_take(&none, 1, -1, NULL), -EINVAL);
	assert_null(used.snap);
	close_dev(plain);
	close_dev(store);
	close_dev(origin);
}

static void a_dropped_snapshot_answers_no_more(void **state)
{
	char sector[512];
	struct blkremap_dev *origin = open_origin(), *store = memory(2 * MIB), *again = NULL;
	struct blkremap_take item = { .origin = origin, .store = store };

	(void)state;
	assert_int_equal(blkremap_snapshot_take(&item, 1, -1, NULL), 0);
	fails(blkremap_snapshot_reset(item.snap), -EINVAL);
	assert_int_equal(blkremap_snapshot_drop(item.snap), 0);
	fails(blkremap_pread(item.snap, sector, 512, 0, 0), -EIO);
	close_dev(item.snap);
	close_dev(origin);
	origin = open_origin();
	fails(blkremap_snapshot_open(ctx, origin, store, NULL, &again), -ENOTRECOVERABLE);
	close_dev(store);
	close_dev(origin);
}

static void the_size_of_stores_is_computed(void **state)
{
	uint64_t bytes = 0;

	(void)state;
	assert_int_equal(blkremap_meta_size("snapshot", MIB, 4096, &bytes), 0);
	assert_true(bytes > MIB);
	fails(blkremap_meta_size("nonsense", MIB, 4096, &bytes), -EINVAL);
	fails(blkremap_meta_size("snapshot", MIB, 5000, &bytes), -EINVAL);
}

/* ---- job.h ------------------------------------------------------------------------------------------------------- */

static void jobs_fit_their_device(void **state)
{
	struct blkremap_job *job = NULL;
	struct blkremap_dev *dev = memory(MIB);

	(void)state;
	fails(blkremap_job_start(dev, 99, NULL, &job), -EOPNOTSUPP);
	fails(blkremap_job_start(dev, BLKREMAP_JOB_MERGE, NULL, &job), -EOPNOTSUPP);
	assert_null(job);
	close_dev(dev);
}

static void only_a_merge_can_pause(void **state)
{
	struct blkremap_job_status st = { .size = sizeof(st) };
	struct blkremap_job *job = NULL;
	struct blkremap_dev *dev = memory(MIB);

	(void)state;
	assert_int_equal(blkremap_job_start(dev, BLKREMAP_JOB_COMMIT, NULL, &job), 0);
	assert_int_equal(blkremap_job_wait(job, -1), 1);
	assert_int_equal(blkremap_job_status(job, &st), 0);
	assert_int_equal(st.state, BLKREMAP_JOB_DONE);
	assert_int_equal(st.result, 0);
	fails(blkremap_job_pause(job), -EOPNOTSUPP);
	fails(blkremap_job_resume(job), -EOPNOTSUPP);
	assert_int_equal(blkremap_job_cancel(job), 0);
	blkremap_job_free(job);
	close_dev(dev);
}

static void a_merge_is_under_way_once(void **state)
{
	char sector[512] = { 1 };
	struct blkremap_job_opts paused = { .size = sizeof(paused), .flags = BLKREMAP_JOB_PAUSED };
	struct blkremap_dev *origin = open_origin(), *store = memory(2 * MIB);
	struct blkremap_take item = { .origin = origin, .store = store };
	struct blkremap_job *job = NULL, *second = NULL;

	(void)state;
	assert_int_equal(blkremap_snapshot_take(&item, 1, -1, NULL), 0);
	assert_int_equal(blkremap_pwrite(item.snap, sector, 512, 0, BLKREMAP_FUA), 0);
	assert_int_equal(blkremap_job_start(item.snap, BLKREMAP_JOB_MERGE, &paused, &job), 0);
	fails(blkremap_job_start(item.snap, BLKREMAP_JOB_MERGE, NULL, &second), -EALREADY);
	assert_null(second);
	assert_int_equal(blkremap_job_wait(job, 1000000), 0);
	assert_int_equal(blkremap_job_resume(job), 0);
	assert_int_equal(blkremap_job_wait(job, -1), 1);
	blkremap_job_free(job);
	close_dev(item.snap);
	close_dev(store);
	close_dev(origin);
}

static void checking_a_blank_store_says_so(void **state)
{
	char path[] = "/tmp/blkremap-promises-XXXXXX", spec[80];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MIB), 0);
	snprintf(spec, sizeof(spec), "%s", path);
	fails(blkremap_check(ctx, spec, 0, NULL, NULL), -ENODATA);
	close(fd);
	unlink(path);
}

/* ---- backend.h --------------------------------------------------------------------------------------------------- */

static void a_backend_must_make_sense(void **state)
{
	struct blkremap_backend_info info = { .size = sizeof(info), .caps = BLKREMAP_CAP_WRITE, .bytes = 1000 };
	struct blkremap_backend *backend = NULL;
	struct blkremap_dev *dev = NULL;

	(void)state;
	fails(blkremap_user_open(ctx, NULL, NULL, &info, &backend, &dev), -EINVAL);
	assert_null(backend);
	assert_null(dev);
}

static void unknown_requests_cannot_be_completed(void **state)
{
	struct blkremap_backend_info info = { .size = sizeof(info), .caps = BLKREMAP_CAP_WRITE, .bytes = MIB };
	struct blkremap_backend_req req;
	struct blkremap_backend *backend = NULL;
	struct blkremap_dev *dev = NULL;

	(void)state;
	assert_int_equal(blkremap_user_open(ctx, NULL, NULL, &info, &backend, &dev), 0);
	fails(blkremap_user_complete(backend, 12345, 0), -ENOENT);
	fails(blkremap_user_set_bytes(backend, 1000), -EINVAL);
	assert_int_equal(blkremap_user_fetch(backend, &req, 1), 0);
	assert_true(blkremap_user_fd(backend) >= 0);
	assert_int_equal(blkremap_user_set_bytes(backend, 2 * MIB), 0);
	assert_int_equal(blkremap_dev_size(dev), 2 * MIB);
	close_dev(dev);
	assert_int_equal(blkremap_user_fetch(backend, &req, 1), 1);
	assert_int_equal(req.op, BLKREMAP_CLOSE);
	assert_int_equal(blkremap_user_complete(backend, req.id, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_context_refuses_what_it_does_not_know),
		TEST(a_later_option_is_refused_only_if_it_is_set),
		TEST(a_context_with_open_devices_stays),
		TEST(null_handles_may_be_given_up),
		TEST(codes_have_stable_names),
		TEST(the_version_is_that_of_the_headers),
		TEST(features_can_be_asked_for),
		TEST(only_a_context_without_threads_is_driven),
		TEST(no_event_is_0),
		TEST(memory_is_of_whole_sectors),
		TEST(specs_and_files_fail_with_their_own_errors),
		TEST(a_name_is_unique_in_its_context),
		TEST(a_linear_checks_its_segments),
		TEST(a_claimed_device_refuses_writes),
		TEST(lists_tell_all_and_fill_what_fits),
		TEST(counters_end),
		TEST(live_keys_are_checked),
		TEST(what_is_not_suspended_cannot_be_resumed),
		TEST(blocking_calls_check_their_range),
		TEST(malformed_requests_are_refused_and_others_complete),
		TEST(a_full_queue_says_so),
		TEST(a_woken_reap_returns_early),
		TEST(maps_end_at_the_end),
		TEST(formatting_never_overwrites_unasked),
		TEST(blank_damaged_and_foreign_stores_differ),
		TEST(an_origin_that_was_written_takes_no_old_store),
		TEST(taking_checks_everything_first),
		TEST(a_dropped_snapshot_answers_no_more),
		TEST(the_size_of_stores_is_computed),
		TEST(jobs_fit_their_device),
		TEST(only_a_merge_can_pause),
		TEST(a_merge_is_under_way_once),
		TEST(checking_a_blank_store_says_so),
		TEST(a_backend_must_make_sense),
		TEST(unknown_requests_cannot_be_completed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
