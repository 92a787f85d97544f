/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls of the file engines, each made to fail or to do less at its first, second, third ... call, until a
 * run needs fewer calls than that.  The linker sends them here (--wrap).
 */
#include "file-world.h"

#include <sys/uio.h>

enum what {
	NOTHING,
	SUBMIT_PART, SUBMIT_NONE, SUBMIT_ERROR,	/* io_submit: takes half; takes none (0); returns error */
	SUBMIT_PART_ONLY,			/* takes half, and is full the next time */
	GETEVENTS_ERROR,
	EVENT_ERROR, EVENT_SHORT,		/* one completion says error, or half and a bit */
	CALL_ERROR, CALL_SHORT,			/* a blocking call */
	SETUP_ERROR
};

static struct {
	enum what what;
	int error;
	int at;			/* the call that it happens to, 0: the first; -1: every one */
	_Atomic int calls;	/* of this kind so far; pool threads count too */
	bool part_taken;	/* SUBMIT_PART_ONLY: the next one takes nothing */
	int max_sent;		/* biggest batch the kernel was given */
	int submits;
	_Atomic int flushes, dsyncs;	/* fdatasync() and FDSYNC; writes with RWF_DSYNC */
} fault;

static bool is_now(enum what what)
{
	int before;

	if (fault.what != what)
		return false;
	before = atomic_fetch_add(&fault.calls, 1);
	return before == fault.at || fault.at < 0;
}

int __real_io_submit(io_context_t ctx, long nr, struct iocb *ios[]);
int __wrap_io_submit(io_context_t ctx, long nr, struct iocb *ios[]);
int __real_io_getevents(io_context_t ctx, long min, long nr, struct io_event *e, struct timespec *timeout);
int __wrap_io_getevents(io_context_t ctx, long min, long nr, struct io_event *e, struct timespec *timeout);
int __real_io_setup(int n, io_context_t *ctx);
int __wrap_io_setup(int n, io_context_t *ctx);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_preadv64v2(int fd, const struct iovec *iov, int n, off_t at, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int n, off_t at, int flags);
ssize_t __real_pwritev64v2(int fd, const struct iovec *iov, int n, off_t at, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int n, off_t at, int flags);
int __real_fallocate64(int fd, int mode, off_t at, off_t n);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t n);

int __wrap_io_submit(io_context_t ctx, long nr, struct iocb *ios[])
{
	if (ios[0]->data) {	/* not one of the engine's own polls */
		fault.submits++;
		if (is_now(SUBMIT_ERROR))
			return fault.error;
		if (is_now(SUBMIT_NONE))
			return 0;
		if (fault.part_taken) {
			fault.part_taken = false;
			return -EAGAIN;
		}
		fault.part_taken = nr > 1 && is_now(SUBMIT_PART_ONLY);
		if (fault.part_taken || is_now(SUBMIT_PART))
			nr = (nr + 1) / 2;
		fault.max_sent = BR_MAX(fault.max_sent, (int)nr);
		for (long i = 0; i < nr; i++) {
			fault.flushes += ios[i]->aio_lio_opcode == IO_CMD_FDSYNC;
			fault.dsyncs += ios[i]->aio_rw_flags == RWF_DSYNC;
		}
	}
	return __real_io_submit(ctx, nr, ios);
}

int __wrap_io_getevents(io_context_t ctx, long min, long nr, struct io_event *e, struct timespec *timeout)
{
	int r;

	if (is_now(GETEVENTS_ERROR))
		return fault.error;
	r = __real_io_getevents(ctx, min, nr, e, timeout);
	for (int i = 0; i < r; i++) {
		const struct iocb *iocb = e[i].obj;

		if (!e[i].data)
			continue;
		if (is_now(EVENT_ERROR))
			e[i].res = (unsigned long)fault.error;
		if (iocb->aio_lio_opcode != IO_CMD_FDSYNC && (long)e[i].res > 512 && is_now(EVENT_SHORT))
			e[i].res = e[i].res / 2 + 100;	/* inside a block */
	}
	return r;
}

int __wrap_io_setup(int n, io_context_t *ctx)
{
	return is_now(SETUP_ERROR) ? fault.error : __real_io_setup(n, ctx);
}

static bool fails(void)
{
	if (!is_now(CALL_ERROR))
		return false;
	errno = -fault.error;
	return true;
}

int __wrap_fdatasync(int fd)
{
	fault.flushes++;
	return fails() ? -1 : __real_fdatasync(fd);
}

int __wrap_fallocate64(int fd, int mode, off_t at, off_t n)
{
	return fails() ? -1 : __real_fallocate64(fd, mode, at, n);
}

/* Half of the first vector, if that is a whole number of blocks. */
static bool halve(const struct iovec *iov, struct iovec *ret)
{
	*ret = *iov;
	ret->iov_len = iov->iov_len / 2;
	return ret->iov_len >= 512 && is_now(CALL_SHORT);
}

ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	struct iovec half;

	if (fails())
		return -1;
	if (halve(iov, &half))
		return __real_preadv64v2(fd, &half, 1, at, flags);
	return __real_preadv64v2(fd, iov, n, at, flags);
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	struct iovec half;

	if (fails())
		return -1;
	fault.dsyncs += flags == RWF_DSYNC;
	if (halve(iov, &half))
		return __real_pwritev64v2(fd, &half, 1, at, flags);
	return __real_pwritev64v2(fd, iov, n, at, flags);
}

/* ---- the work ---------------------------------------------------------------------------------------------------- */

enum { EACH = 8192, WRITES = 6, FUAS = 2 };

static _Alignas(4096) unsigned char data[WRITES * EACH + 4096], got[WRITES * EACH];
static struct iovec vecs[2 * WRITES];

/* Straight, in two vectors, bounced (if direct), with FUA. */
static void submit_writes(void)
{
	for (unsigned i = 0; i < WRITES; i++) {
		unsigned char *p = data + i * EACH + (i == 2);	/* overlaps its neighbour's buffer: only read */

		vecs[2 * i] = (struct iovec){ p, i == 1 ? 4096 : EACH };
		vecs[2 * i + 1] = (struct iovec){ p + 4096, 4096 };
		memset(&w.reqs[i], 0, sizeof(w.reqs[i]));
		w.reqs[i].flags = i >= WRITES - FUAS ? BR_FUA : 0;
		submit(i, BR_WRITE, i * EACH, EACH, &vecs[2 * i], i == 1 ? 2 : 1);
	}
}

static void submit_reads(void)
{
	memset(got, 0, sizeof(got));
	for (unsigned i = 0; i < WRITES; i++) {
		vecs[2 * i] = (struct iovec){ got + i * EACH, i == 1 ? 4096 : EACH };
		vecs[2 * i + 1] = (struct iovec){ got + i * EACH + 4096, 4096 };
		memset(&w.reqs[WRITES + i], 0, sizeof(w.reqs[0]));
		submit(WRITES + i, BR_READ, i * EACH, EACH, &vecs[2 * i], i == 1 ? 2 : 1);
	}
}

enum { REQS = 2 * WRITES + 3 };

static void work(void)
{
	w.done = 0;
	fill(data, sizeof(data), 4);
	submit_writes();
	wait_for(WRITES);
	memset(&w.reqs[2 * WRITES], 0, 3 * sizeof(w.reqs[0]));
	submit(2 * WRITES, BR_FLUSH, 0, 0, NULL, 0);
	wait_for(WRITES + 1);
	submit_reads();
	wait_for(2 * WRITES + 1);
	submit(2 * WRITES + 1, BR_WRITE_ZEROES, 1 << 19, 8192, NULL, 0);
	submit(2 * WRITES + 2, BR_DISCARD, 1 << 18, 8192, NULL, 0);
	wait_for(REQS);
	assert_int_equal(br_queue_in_flight(&w.queue), 0);
}

/* Wherever a request succeeded its data is right. */
static unsigned check_and_count_failures(int error)
{
	unsigned failures = 0;

	for (unsigned i = 0; i < REQS; i++) {
		if (w.reqs[i].result) {
			assert_int_equal(w.reqs[i].result, error);
			assert_int_equal(w.reqs[i].fail_dev, w.dev->id);
			failures++;
		}
	}
	for (unsigned i = 0; i < WRITES; i++)
		if (!w.reqs[i].result && !w.reqs[WRITES + i].result)
			assert_memory_equal(got + i * EACH, data + i * EACH + (i == 2), EACH);
	return failures;
}

/* One fault in a run, at each call in turn.  Returns how many runs it took until the fault was not reached. */
static unsigned at_each_call(const struct way *way, enum what what, int error, unsigned may_fail)
{
	unsigned runs = 0, failures = 0;
	bool reached = true;

	for (int at = 0; reached; at++, runs++) {
		memset(&fault, 0, sizeof(fault));
		if (!open_world(way, BYTES, 0))
			return 0;
		assert_string_equal(w.dev->engine, way->expect);
		fault.what = what;
		fault.error = error;
		fault.at = at;
		work();
		reached = fault.calls > at;
		failures = check_and_count_failures(error);
		assert_in_range(failures, 0, reached ? may_fail : 0);
		fault.what = NOTHING;
		close_world();
		assert_in_range(at, 0, 1000);
	}
	return runs;
}

static const struct way aio_ways[] = {
	{ "tmpfs", "/dev/shm", "aio", "aio", false, false, true },
	{ "disk direct", ".", "aio", "aio", true, false, true },
	{ "disk direct without threads", ".", "aio", "aio", true, true, true },
};

static const struct way call_ways[] = {
	{ "disk threads", ".", "threads", "threads", false, false, false },
	{ "disk direct threads", ".", "threads", "threads", true, false, false },
	{ "disk sync", ".", "sync", "sync", false, true, false },
};

static void on_each(const struct way *list, enum what what, int error, unsigned may_fail)
{
	unsigned runs = 0;

	for (unsigned i = 0; i < 3; i++)
		runs += at_each_call(&list[i], what, error, may_fail);
	assert_in_range(runs, 6, 1000);		/* the fault was reached more than once */
}

/* ---- what is proved ---------------------------------------------------------------------------------------------- */

static void a_batch_is_one_io_submit(void **state)
{
	static struct iovec iov[200];

	(void)state;
	memset(&fault, 0, sizeof(fault));
	assert_true(open_world(&aio_ways[1], BYTES, 0));
	for (unsigned i = 0; i < 200; i++) {
		iov[i] = (struct iovec){ got, 4096 };
		submit(i, BR_READ, 0, 4096, &iov[i], 1);
	}
	wait_for(200);
	assert_int_equal(fault.submits, 1);
	assert_int_equal(fault.max_sent, 200);
	close_world();
}

static void a_batch_that_is_taken_in_part_loses_nothing(void **state)
{
	(void)state;
	on_each(aio_ways, SUBMIT_PART, 0, 0);
}

static void what_a_full_context_did_not_take_follows_the_next_completion(void **state)
{
	(void)state;
	on_each(aio_ways, SUBMIT_PART_ONLY, 0, 0);
}

static void an_interrupted_io_submit_is_repeated(void **state)
{
	(void)state;
	on_each(aio_ways, SUBMIT_ERROR, -EINTR, 0);
}

/* With nothing in flight no completion would come to retry after: one request fails, the others go on. */
static void a_full_context_delays_or_fails_one_request_and_never_hangs(void **state)
{
	(void)state;
	on_each(aio_ways, SUBMIT_ERROR, -EAGAIN, 1);
	on_each(aio_ways, SUBMIT_NONE, -EAGAIN, 1);
}

static void a_context_that_stays_full_fails_every_request_and_never_hangs(void **state)
{
	(void)state;
	memset(&fault, 0, sizeof(fault));
	assert_true(open_world(&aio_ways[1], BYTES, 0));
	fault.what = SUBMIT_ERROR;
	fault.error = -EAGAIN;
	fault.at = -1;
	work();
	assert_int_equal(check_and_count_failures(-EAGAIN), 2 * WRITES + 1);
	fault.what = NOTHING;
	work();
	assert_int_equal(check_and_count_failures(0), 0);
	close_world();
}

static void an_iocb_that_is_refused_fails_its_own_request_alone(void **state)
{
	(void)state;
	on_each(aio_ways, SUBMIT_ERROR, -EBADF, 1);
	on_each(aio_ways, SUBMIT_ERROR, -EINVAL, 1);	/* none, where it is FDSYNC or RWF_DSYNC that is refused */
}

static void a_failed_completion_fails_its_own_request_alone(void **state)
{
	(void)state;
	on_each(aio_ways, EVENT_ERROR, -EIO, 1);
	on_each(aio_ways, EVENT_ERROR, -ENOSPC, 1);
}

static void an_interrupted_completion_is_sent_again(void **state)
{
	(void)state;
	on_each(aio_ways, EVENT_ERROR, -EINTR, 0);
}

static void a_short_completion_is_continued(void **state)
{
	(void)state;
	on_each(aio_ways, EVENT_SHORT, 0, 0);
}

static void an_interrupted_io_getevents_is_repeated(void **state)
{
	(void)state;
	on_each(aio_ways, GETEVENTS_ERROR, -EINTR, 0);
}

static void interruptions_without_end_fail_the_requests(void **state)
{
	(void)state;
	memset(&fault, 0, sizeof(fault));
	assert_true(open_world(&aio_ways[1], BYTES, 0));
	fault.what = EVENT_ERROR;
	fault.error = -EINTR;
	fault.at = -1;
	work();
	assert_int_equal(check_and_count_failures(-EINTR), 2 * WRITES + 1);
	close_world();
}

static void without_room_for_an_aio_context_threads_or_the_caller_do_the_work(void **state)
{
	static const struct way refused[] = {
		{ "tmpfs", "/dev/shm", NULL, "threads", false, false, true },
		{ "tmpfs without threads", "/dev/shm", NULL, "sync", false, true, true },
	};
	io_context_t kept[16];
	unsigned n = 0;

	(void)state;
	memset(&fault, 0, sizeof(fault));
	fault.what = SETUP_ERROR;
	fault.error = -EAGAIN;
	fault.at = -1;
	while (br_aio_context_get(&kept[n]) == 0)	/* those that are parked */
		n++;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(open_world(&refused[i], BYTES, 0));
		assert_string_equal(w.dev->engine, refused[i].expect);
		work();
		assert_int_equal(check_and_count_failures(0), 0);
		close_world();
	}
	fault.what = NOTHING;
	while (n)
		br_aio_context_put(kept[--n]);
}

/* There was room when the file was opened, but not when this queue was. */
static void a_queue_that_gets_no_aio_context_works_without(void **state)
{
	io_context_t kept[16];
	unsigned n = 0;

	(void)state;
	memset(&fault, 0, sizeof(fault));
	assert_true(open_world(&aio_ways[1], BYTES, 0));
	br_chan_put(w.chan);
	br_queue_leave(&w.queue);
	br_queue_done(&w.queue);
	fault.what = SETUP_ERROR;
	fault.error = -EAGAIN;
	fault.at = -1;
	while (br_aio_context_get(&kept[n]) == 0)
		n++;
	memset(&w.queue, 0, sizeof(w.queue));
	assert_int_equal(br_queue_init(&w.queue, &w.ctx, false), 0);
	assert_int_equal(br_queue_enter(&w.queue), 0);
	assert_int_equal(br_chan_get(&w.queue, w.dev, &w.chan), 0);
	assert_string_equal(w.dev->engine, "threads");
	work();
	assert_int_equal(check_and_count_failures(0), 0);
	fault.what = NOTHING;
	while (n)
		br_aio_context_put(kept[--n]);
	close_world();
}

static void assert_made(uint32_t op, uint32_t flags, int dsyncs, int flushes)
{
	memset(&fault, 0, sizeof(fault));
	assert_int_equal(one(op, flags, 0, 4096, op == BR_WRITE ? data : NULL), 0);
	assert_int_equal(fault.dsyncs, dsyncs);
	assert_int_equal(fault.flushes, flushes);
}

static void what_must_be_durable_is_written_so_or_flushed(void **state)
{
	(void)state;
	for_each_way(BYTES, 0) {
		assert_made(BR_WRITE, 0, 0, 0);
		assert_made(BR_WRITE, BR_FUA, 1, 0);
		assert_made(BR_FLUSH, 0, 0, !w.file->tmpfs);	/* nothing becomes more durable there */
		assert_made(BR_DISCARD, 0, 0, 0);
		assert_made(BR_DISCARD, BR_FUA, 0, 1);
		assert_made(BR_WRITE_ZEROES, BR_FUA, 0, 1);
		atomic_store(&w.file->no_dsync, true);
		assert_made(BR_WRITE, BR_FUA, 0, 1);
		atomic_store(&w.file->no_aio_fdsync, true);
		assert_made(BR_WRITE, BR_FUA, 0, 1);
		assert_made(BR_FLUSH, 0, 0, !w.file->tmpfs);
	}
}

static void an_interrupted_call_is_repeated(void **state)
{
	(void)state;
	on_each(call_ways, CALL_ERROR, -EINTR, 0);
}

static void a_short_call_is_continued(void **state)
{
	(void)state;
	on_each(call_ways, CALL_SHORT, 0, 0);
}

/* The attempt that must not block may fail without any request failing. */
static void a_failed_call_fails_its_own_request_alone(void **state)
{
	(void)state;
	on_each(call_ways, CALL_ERROR, -EIO, 1);
	on_each(call_ways, CALL_ERROR, -ENOSPC, 1);
}

static void a_file_system_that_knows_none_of_it_is_served_all_the_same(void **state)
{
	(void)state;
	on_each(call_ways, CALL_ERROR, -EOPNOTSUPP, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_is_one_io_submit),
		cmocka_unit_test(a_batch_that_is_taken_in_part_loses_nothing),
		cmocka_unit_test(what_a_full_context_did_not_take_follows_the_next_completion),
		cmocka_unit_test(an_interrupted_io_submit_is_repeated),
		cmocka_unit_test(a_full_context_delays_or_fails_one_request_and_never_hangs),
		cmocka_unit_test(a_context_that_stays_full_fails_every_request_and_never_hangs),
		cmocka_unit_test(an_iocb_that_is_refused_fails_its_own_request_alone),
		cmocka_unit_test(a_failed_completion_fails_its_own_request_alone),
		cmocka_unit_test(an_interrupted_completion_is_sent_again),
		cmocka_unit_test(a_short_completion_is_continued),
		cmocka_unit_test(an_interrupted_io_getevents_is_repeated),
		cmocka_unit_test(interruptions_without_end_fail_the_requests),
		cmocka_unit_test(without_room_for_an_aio_context_threads_or_the_caller_do_the_work),
		cmocka_unit_test(a_queue_that_gets_no_aio_context_works_without),
		cmocka_unit_test(what_must_be_durable_is_written_so_or_flushed),
		cmocka_unit_test(an_interrupted_call_is_repeated),
		cmocka_unit_test(a_short_call_is_continued),
		cmocka_unit_test(a_failed_call_fails_its_own_request_alone),
		cmocka_unit_test(a_file_system_that_knows_none_of_it_is_served_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
