/* SPDX-License-Identifier: BSD-3-Clause */
/* The caller's devices: what reaches the caller, in which pieces, in whose words; opening. */
#include "user-rig.h"

#include <errno.h>

/* ---- pieces ---------------------------------------------------------------------------------------------------- */

static void data_goes_there_and_back_in_pieces_within_all_limits(void **state)
{
	static const struct blkremap_backend_info infos[] = {
		{ .caps = RW },
		{ .caps = RW, .max_transfer = 4096 },
		{ .caps = RW, .optimal_io = 8192 },
		{ .caps = RW, .optimal_io = 12288, .max_transfer = 5000, .max_inflight = 1 },
		{ .caps = RW, .max_iov = 1, .max_inflight = 3, .flags = BLKREMAP_BACKEND_SERIAL },
		{ .caps = RW, .logical_block = 4096, .buffer_align = 4096, .optimal_io = 65536 },
	};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		open_push(infos[i]);
		assert_int_equal(rig_write(&s, 4096, 128 * 1024, i), 0);
		assert_int_equal(rig_write(&s, 512 * 1024, 4096, i), 0);
		rig_assert_zero(&s, 0, 4096);
		rig_assert_data(&s, 4096, 128 * 1024, 4096, i);
		rig_assert_zero(&s, 132 * 1024, 380 * 1024);
		rig_assert_data(&s, 512 * 1024, 4096, 512 * 1024, i);
		close_push();
	}
}

/* One byte, three bytes, five ... a vector. */
static uint32_t scatter(struct iovec *v, uint8_t *buf, size_t bytes)
{
	uint32_t n = 0;

	for (size_t at = 0; at < bytes; n++) {
		size_t len = 2 * (n % 40) + 1;

		v[n] = (struct iovec){ buf + at, len < bytes - at ? len : bytes - at };
		at += v[n].iov_len;
	}
	return n;
}

static void scattered_and_misaligned_buffers_arrive_whole(void **state)
{
	static const struct blkremap_backend_info infos[] = {
		{ .caps = RW }, { .caps = RW, .max_iov = 3 }, { .caps = RW, .buffer_align = 512 },
	};
	enum { LEN = 16384 };
	static struct iovec v[LEN];
	static uint8_t buf[LEN + 1];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct br_req w = { .op = BR_WRITE, .offset = 1024, .length = LEN, .iov = v };
		struct br_req r = { .op = BR_READ, .offset = 1024, .length = LEN, .iov = v };

		open_push(infos[i]);
		r.iovcnt = w.iovcnt = scatter(v, buf + 1, LEN);
		for (unsigned at = 0; at < LEN; at++)
			buf[1 + at] = rig_byte(at, i);
		assert_int_equal(br_sync_submit(&s, s.chan, &w), 0);
		for (unsigned at = 0; at < LEN; at++)
			assert_int_equal(medium[1024 + at], rig_byte(at, i));
		memset(buf, 0, sizeof(buf));
		assert_int_equal(br_sync_submit(&s, s.chan, &r), 0);
		for (unsigned at = 0; at < LEN; at++)
			assert_int_equal(buf[1 + at], rig_byte(at, i));
		close_push();
	}
}

static void vectors_are_passed_on_slice_by_slice_where_they_fit(void **state)
{
	enum { N = 100 };
	static struct iovec v[N];
	struct br_req w = { .op = BR_WRITE, .offset = 512, .length = N * 512, .iov = v, .iovcnt = N };

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW, .max_iov = 3, .max_transfer = 2048 });
	for (unsigned i = 0; i < N; i++)
		v[i] = (struct iovec){ rig_buf + 512 * (N - i), 512 };
	for (unsigned i = 0; i < (N + 1) * 512; i++)
		rig_buf[i] = rig_byte(i, 3);
	fake_allocs_left = 0;		/* so nothing is bounced */
	assert_int_equal(br_sync_submit(&s, s.chan, &w), 0);
	fake_allocs_left = -1;
	assert_int_equal(nr_seen, (N + 2) / 3);
	for (unsigned i = 0; i < N; i++)
		assert_memory_equal(medium + 512 * (i + 1), rig_buf + 512 * (N - i), 512);
	close_push();
}

static void pieces_may_begin_and_end_inside_a_vector(void **state)
{
	enum { N = 20, LEN = 1536 };
	struct iovec v[N];
	struct br_req w = { .op = BR_WRITE, .offset = 512, .length = N * LEN, .iov = v, .iovcnt = N };

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW, .max_transfer = 1024 });
	for (unsigned i = 0; i < N * LEN; i++)
		rig_buf[i] = rig_byte(i, 4);
	for (unsigned i = 0; i < N; i++)
		v[i] = (struct iovec){ rig_buf + i * LEN, LEN };
	assert_int_equal(br_sync_submit(&s, s.chan, &w), 0);
	assert_memory_equal(medium + 512, rig_buf, N * LEN);
	close_push();
}

static void vectors_that_fit_are_passed_on_untouched(void **state)
{
	struct iovec v[4];
	struct br_req w = { .op = BR_WRITE, .length = 2048, .iov = v, .iovcnt = 4 };

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW, .max_iov = 4, .max_transfer = 2048 });
	for (unsigned i = 0; i < 4; i++)
		v[i] = (struct iovec){ rig_buf + i * 1024, 512 };
	assert_int_equal(br_sync_submit(&s, s.chan, &w), 0);
	assert_int_equal(nr_seen, 1);
	assert_ptr_equal(seen[0].iov, v);
	v[3].iov_len = 4096;		/* more than the request is long */
	assert_int_equal(br_sync_submit(&s, s.chan, &w), 0);
	assert_ptr_not_equal(seen[1].iov, v);
	close_push();
}

static void a_request_of_no_length_never_reaches_the_caller(void **state)
{
	struct br_req r = { .op = BR_READ, .offset = 512 };

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW });
	assert_int_equal(br_sync_submit(&s, s.chan, &r), 0);
	assert_int_equal(nr_seen, 0);
	close_push();
}

static void a_channel_may_close_and_open_again_while_its_queue_lives(void **state)
{
	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW });
	assert_int_equal(rig_write(&s, 0, 512, 1), 0);
	br_queue_enter(&s.queue);
	br_chan_put(s.chan);
	br_queue_run(&s.queue);
	assert_null(br_queue_source(&s.queue, user));
	assert_int_equal(br_chan_get(&s.queue, dev, &s.chan), 0);
	br_queue_leave(&s.queue);
	rig_assert_data(&s, 0, 512, 0, 1);
	close_push();
}

static void no_memory_to_bounce_fails_the_request_only(void **state)
{
	struct iovec v = { rig_buf + 1, 4096 };
	struct br_req w = { .op = BR_WRITE, .length = 4096, .iov = &v, .iovcnt = 1 };

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW, .buffer_align = 512 });
	fake_allocs_left = 0;
	assert_int_equal(br_sync_submit(&s, s.chan, &w), -ENOMEM);
	fake_allocs_left = -1;
	assert_int_equal(br_sync_submit(&s, s.chan, &w), 0);
	close_push();
}

/* ---- emulation ------------------------------------------------------------------------------------------------- */

static void count_ops(unsigned count[8])
{
	memset(count, 0, 8 * sizeof(count[0]));
	for (unsigned i = 0; i < nr_seen && i < KEPT; i++)
		count[seen[i].op]++;
}

static void fua_and_flush_become_what_the_caller_has(void **state)
{
	static const struct {
		uint32_t caps;
		unsigned flushes_of_fua, flushes_of_flush;
		uint32_t flags;
	} cases[] = {
		{ RW, 0, 0, 0 },
		{ RW | BLKREMAP_CAP_VOLATILE_CACHE, 1, 1, 0 },
		{ RW | BLKREMAP_CAP_VOLATILE_CACHE | BLKREMAP_CAP_FUA, 0, 1, BLKREMAP_FUA },
		{ RW | BLKREMAP_CAP_FUA, 0, 0, BLKREMAP_FUA },
	};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		unsigned n[8];

		open_push((struct blkremap_backend_info){ .caps = cases[i].caps, .max_transfer = 4096 });
		assert_int_equal(br_sync_write(&s, rig_buf, 16384, 0, BR_FUA), 0);
		count_ops(n);
		assert_int_equal(n[BLKREMAP_WRITE], 4);
		assert_int_equal(n[BLKREMAP_FLUSH], cases[i].flushes_of_fua);
		assert_int_equal(seen[3].flags, cases[i].flags);
		if (n[BLKREMAP_FLUSH]) {
			assert_int_equal(seen[4].op, BLKREMAP_FLUSH);
			assert_int_equal(seen[4].offset | seen[4].length, 0);
		}
		nr_seen = 0;
		assert_int_equal(br_sync_simple(&s, BR_FLUSH, 0, 0, 0), 0);
		assert_int_equal(nr_seen, cases[i].flushes_of_flush);
		close_push();
	}
}

static void the_flush_for_fua_comes_after_the_last_piece_has_completed(void **state)
{
	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW | BLKREMAP_CAP_VOLATILE_CACHE, .max_transfer = 512 });
	holds = true;
	submit_to(&s, 0, BR_WRITE, 0, 100 * 512);	/* more pieces than there are calls at a time */
	reqs[0].flags = BR_FUA;
	run(&s);
	while (nr_seen < 100 || nr_held > 1) {
		assert_int_equal(nr_seen ? seen[nr_seen - 1].op : BLKREMAP_WRITE, BLKREMAP_WRITE);
		finish_held(nr_held - 1, 0);
		run(&s);
	}
	finish_held(0, 0);
	run(&s);
	assert_int_equal(nr_seen, 101);
	assert_int_equal(seen[100].op, BLKREMAP_FLUSH);
	assert_false(done[0]);
	finish_held(0, -EIO);
	run(&s);
	assert_true(done[0]);
	assert_int_equal(reqs[0].result, -EIO);
	close_push();
}

static void a_failed_piece_is_the_requests_error_and_nothing_is_flushed(void **state)
{
	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW | BLKREMAP_CAP_VOLATILE_CACHE, .max_transfer = 4096 });
	holds = true;
	submit_to(&s, 0, BR_WRITE, 0, 12288);
	reqs[0].flags = BR_FUA;
	run(&s);
	assert_int_equal(nr_held, 3);
	finish_held(1, -ENOSPC);
	finish_held(0, 0);
	finish_held(0, -EIO);
	run(&s);
	assert_true(done[0]);
	assert_int_equal(reqs[0].result, -ENOSPC);
	assert_int_equal(reqs[0].fail_dev, dev->id);
	assert_int_equal(reqs[0].fail_offset, 4096);
	assert_int_equal(nr_seen, 3);
	close_push();
}

static void zeroes_are_written_where_they_cannot_be_asked_for(void **state)
{
	unsigned n[8];

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW, .buffer_align = 4096, .max_iov = 2 });
	assert_int_equal(rig_write(&s, 0, 600 * 1024, 1), 0);
	nr_seen = 0;
	assert_int_equal(br_sync_simple(&s, BR_WRITE_ZEROES, 512, 500 * 1024, BR_MAY_UNMAP), 0);
	count_ops(n);
	assert_int_equal(n[BLKREMAP_WRITE], nr_seen);
	rig_assert_data(&s, 0, 512, 0, 1);
	rig_assert_zero(&s, 512, 500 * 1024);
	rig_assert_data(&s, 500 * 1024 + 512, 512, 500 * 1024 + 512, 1);
	assert_int_equal(br_sync_simple(&s, BR_WRITE_ZEROES, 0, 512, BR_FAST_ONLY), -EOPNOTSUPP);
	assert_int_equal(br_sync_simple(&s, BR_DISCARD, 0, 512, 0), -EOPNOTSUPP);
	close_push();
	open_push((struct blkremap_backend_info){ .caps = RW | BLKREMAP_CAP_WRITE_ZEROES | BLKREMAP_CAP_DISCARD });
	assert_int_equal(br_sync_simple(&s, BR_WRITE_ZEROES, 512, 500 * 1024, BR_MAY_UNMAP), 0);
	assert_int_equal(br_sync_simple(&s, BR_DISCARD, 512, 500 * 1024, 0), 0);
	assert_int_equal(nr_seen, 2);
	assert_int_equal(seen[0].flags, BLKREMAP_MAY_UNMAP);
	assert_int_equal(br_sync_simple(&s, BR_WRITE_ZEROES, 0, 512, BR_FAST_ONLY), -EOPNOTSUPP);
	close_push();
}

static void extents_into_more_vectors_than_permitted_are_refused(void **state)
{
	struct blkremap_extent e[2];
	struct iovec v[2] = { { &e[0], sizeof(e[0]) }, { &e[1], sizeof(e[1]) } };
	struct br_req r = { .op = BR_EXTENTS, .length = BYTES, .iov = v, .iovcnt = 2 };

	(void)state;
	open_push((struct blkremap_backend_info){ .caps = RW | BLKREMAP_CAP_EXTENTS, .max_iov = 1 });
	assert_int_equal(br_sync_submit(&s, s.chan, &r), -EOPNOTSUPP);
	close_push();
}

static void a_count_is_believed_only_as_far_as_there_is_room(void **state)
{
	struct blkremap_extent e[2];
	struct iovec v = { e, sizeof(e) };
	struct br_req r = { .op = BR_EXTENTS, .length = BYTES, .iov = &v, .iovcnt = 1 };

	(void)state;
	for (int32_t n = 1; n <= 3; n++) {
		open_push((struct blkremap_backend_info){ .caps = RW | BLKREMAP_CAP_EXTENTS, .optimal_io = 65536 });
		holds = true;
		r.done = rig_mark_done;
		r.priv = &done[0];
		done[0] = false;
		br_queue_enter(&s.queue);
		br_submit(s.chan, &r);
		br_queue_leave(&s.queue);
		run(&s);
		assert_int_equal(held[0].length, 65536);	/* the answer ends there */
		assert_int_equal(br_user_complete(user, held[0].id, n), 0);
		run(&s);
		assert_int_equal(r.result, n < 3 ? n : -EIO);
		close_push();
	}
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static void infos_without_sense_are_refused_and_close_is_not_called(void **state)
{
	static const struct blkremap_backend_info bad[] = {
		{ .caps = RW, .bytes = 0 }, { .caps = RW, .bytes = 1000 },
		{ .caps = RW, .bytes = BYTES, .logical_block = 1024 },
		{ .caps = RW, .bytes = BYTES, .optimal_io = 1000 },
		{ .caps = RW, .bytes = BYTES, .max_transfer = 511 },
		{ .caps = RW, .bytes = BYTES, .buffer_align = 3 },
		{ .caps = RW, .bytes = BYTES, .flags = 4 },
		{ .caps = RW, .bytes = BYTES, .flags = BLKREMAP_BACKEND_BLOCKING },	/* no threads here */
		{ .caps = BLKREMAP_CAP_VOLATILE_CACHE, .bytes = BYTES },
		{ .caps = BLKREMAP_CAP_FUA, .bytes = BYTES },
		{ .caps = RW | BLKREMAP_CAP_FAST_ZEROES, .bytes = BYTES },
		{ .caps = RW | BLKREMAP_CAP_DISCARD_ZEROES, .bytes = BYTES },
		{ .caps = RW | BLKREMAP_CAP_GROW, .bytes = BYTES },
		{ .caps = RW | 1u << 31, .bytes = BYTES },
	};

	(void)state;
	user = NULL;
	dev = NULL;
	nr_closes = 0;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(br_user_open(&rig, &be_ops, medium, &bad[i], &user, &dev), -EINVAL);
	assert_null(user);
	assert_null(dev);
	assert_int_equal(nr_closes, 0);
}

static void out_of_memory_at_each_place_keeps_nothing(void **state)
{
	const struct blkremap_backend_info info = { .caps = RW, .bytes = BYTES, .name = "u" };
	int before = fake_allocs, r;

	(void)state;
	nr_closes = 0;
	for (int nth = 0;; nth++) {
		memset(&s, 0, sizeof(s));
		fake_allocs_left = nth;
		r = br_user_open(&rig, &be_ops, medium, &info, &user, &dev);
		if (r == 0) {
			r = br_sync_open(&s, &rig, dev);
			if (r == 0)
				break;
			assert_int_equal(br_dev_put(dev), 0);
			nr_closes = 0;
		}
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(fake_allocs, before);
		assert_int_equal(nr_closes, 0);
	}
	fake_allocs_left = -1;
	close_push();
}

static void a_disowned_backend_ends_without_a_word(void **state)
{
	(void)state;
	for (int pulls = 0; pulls < 2; pulls++) {
		open_with((struct blkremap_backend_info){ .caps = RW }, pulls ? NULL : &be_ops);
		br_sync_close(&s);
		br_user_disown(user);
		assert_int_equal(br_dev_put(dev), 0);
		assert_int_equal(nr_closes, 0);
	}
}

static void a_read_only_caller_gets_no_writes(void **state)
{
	(void)state;
	open_push((struct blkremap_backend_info){ .caps = 0, .buffer_align = 65536 });
	assert_int_equal(dev->buffer_align, 65536);
	assert_int_equal(rig_write(&s, 0, 512, 1), -EROFS);
	assert_int_equal(br_sync_simple(&s, BR_WRITE_ZEROES, 0, 512, 0), -EROFS);
	assert_int_equal(nr_seen, 0);
	rig_assert_zero(&s, 0, BYTES);
	close_push();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(data_goes_there_and_back_in_pieces_within_all_limits),
		RIG_TEST(scattered_and_misaligned_buffers_arrive_whole),
		RIG_TEST(vectors_are_passed_on_slice_by_slice_where_they_fit),
		RIG_TEST(pieces_may_begin_and_end_inside_a_vector),
		RIG_TEST(vectors_that_fit_are_passed_on_untouched),
		RIG_TEST(a_request_of_no_length_never_reaches_the_caller),
		RIG_TEST(a_channel_may_close_and_open_again_while_its_queue_lives),
		RIG_TEST(no_memory_to_bounce_fails_the_request_only),
		RIG_TEST(fua_and_flush_become_what_the_caller_has),
		RIG_TEST(the_flush_for_fua_comes_after_the_last_piece_has_completed),
		RIG_TEST(a_failed_piece_is_the_requests_error_and_nothing_is_flushed),
		RIG_TEST(zeroes_are_written_where_they_cannot_be_asked_for),
		RIG_TEST(extents_into_more_vectors_than_permitted_are_refused),
		RIG_TEST(a_count_is_believed_only_as_far_as_there_is_room),
		RIG_TEST(infos_without_sense_are_refused_and_close_is_not_called),
		RIG_TEST(out_of_memory_at_each_place_keeps_nothing),
		RIG_TEST(a_disowned_backend_ends_without_a_word),
		RIG_TEST(a_read_only_caller_gets_no_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
