/* SPDX-License-Identifier: BSD-3-Clause */
#include "store-rig.h"

/* ---- order ---- */

static void exceptions_become_durable_in_the_order_of_their_allocation(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 24; n++) {
		unsigned left[4] = { 0, 1, 2, 3 }, code = n, ready = 0;

		open_store(CHUNK, 300);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(alloc(i), 0);
		for (unsigned k = 4; k > 0; code /= k, k--) {
			unsigned at = code % k, i = left[at], prefix = 0;

			memmove(left + at, left + at + 1, (3 - at) * sizeof(left[0]));
			commit(i);
			ready |= 1U << i;
			while (ready >> prefix & 1)
				prefix++;
			for (unsigned j = 0; j < 4; j++)
				assert_int_equal(ex[j].done, j < prefix);
			assert_int_equal(br_snap_store_usage(&store).exceptions, prefix);
		}
		assert_loads(4);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(loaded[i].new_chunk, 2 + i);
		close_leaf();
	}
}

static void what_becomes_ready_during_a_commit_shares_the_next_page_write(void **state)
{
	(void)state;
	open_store(CHUNK, 300);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(alloc(i), 0);
	leaf.hold = true;
	commit(0);
	for (unsigned i = 1; i < 12; i++)
		commit(i);
	let_go();
	for (unsigned i = 0; i < 12; i++)
		assert_true(ex[i].done);
	assert_int_equal(count_events(BR_WRITE, CHUNK, CHUNK), 2);
	assert_int_equal(count_events(BR_FLUSH, 0, 0), 2);
	assert_loads(12);
	close_leaf();
}

static void a_page_goes_out_after_a_flush_that_followed_its_freeze_and_is_forced(void **state)
{
	(void)state;
	open_store(CHUNK, 300);
	leaf.hold = true;
	assert_int_equal(alloc(0), 0);
	commit(0);
	assert_int_equal(leaf.nr_held, 1);
	assert_int_equal(leaf.held[0]->op, BR_FLUSH);
	release(0);
	assert_int_equal(leaf.nr_held, 1);
	assert_int_equal(leaf.held[0]->op, BR_WRITE);
	assert_true(leaf.held[0]->flags & BR_FUA);
	assert_false(ex[0].done);
	release(0);
	assert_true(ex[0].done);
	close_leaf();
}

static void a_place_that_was_given_up_holds_back_nobody(void **state)
{
	(void)state;
	open_store(CHUNK, 300);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(alloc(i), 0);
	commit(1);
	commit(2);
	assert_false(ex[1].done);
	br_snap_store_abort(&store, s.chan, &ex[0].c);
	finish(&ex[0]);
	assert_true(ex[1].done && ex[2].done);
	assert_int_equal(load(), 0);
	assert_int_equal(nr_loaded, 2);
	assert_int_equal(loaded[0].new_chunk, 3);
	assert_int_equal(store.next_free, 5);
	close_leaf();
}

/* ---- borders ---- */

static void pages_and_areas_are_crossed_and_load_alike(void **state)
{
	static const struct {
		uint64_t chunk;
		unsigned n;
	} cases[] = { { CHUNK, E - 1 }, { CHUNK, E }, { CHUNK, E + 1 }, { 2 * CHUNK, E - 1 }, { 2 * CHUNK, E },
		      { 2 * CHUNK, E + 1 }, { 2 * CHUNK, 2 * E }, { 2 * CHUNK, 2 * E + 1 }, { 512, 31 }, { 512, 32 },
		      { 512, 33 }, { 512, 97 } };

	(void)state;
	for (size_t k = 0; k < BR_ARRAY_SIZE(cases); k++) {
		open_store(cases[k].chunk, 600);
		add(0, cases[k].n);
		assert_loads(cases[k].n);
		for (unsigned i = 0; i < cases[k].n; i++)
			assert_false(br_snap_is_meta(&store.layout, loaded[i].new_chunk));
		add(cases[k].n, cases[k].n + 2);	/* the loaded page goes on where it was */
		assert_loads(cases[k].n + 2);
		close_leaf();
	}
}

static void whoever_fills_an_area_empties_the_next_one_before_the_flush(void **state)
{
	unsigned n;

	(void)state;
	open_store(CHUNK, 300);
	add(0, E - 1);
	forget_log();
	add(E - 1, E);
	n = leaf.nr_log;
	assert_int_equal(n, 3);
	assert_int_equal(leaf.log[0].op, BR_WRITE_ZEROES);
	assert_int_equal(leaf.log[0].offset, (E + 2) * CHUNK);
	assert_int_equal(leaf.log[0].length, CHUNK);
	assert_int_equal(leaf.log[1].op, BR_FLUSH);
	assert_int_equal(leaf.log[2].op, BR_WRITE);
	close_leaf();
}

static void a_batch_ends_with_its_page(void **state)
{
	(void)state;
	open_store(CHUNK, 600);
	for (unsigned i = 0; i < E + 10; i++)
		assert_int_equal(alloc(i), 0);
	for (unsigned i = E + 10; i-- > 0;)
		commit(i);
	for (unsigned i = 0; i < E + 10; i++)
		assert_true(ex[i].done);
	assert_int_equal(count_events(BR_WRITE, CHUNK, CHUNK), 1);
	assert_int_equal(count_events(BR_WRITE, (E + 2) * CHUNK, CHUNK), 1);
	assert_loads(E + 10);
	close_leaf();
}

static void the_last_slot_of_an_area_needs_room_for_the_next_area(void **state)
{
	(void)state;
	open_store(CHUNK, E + 2);		/* header, area, E chunks of data, and that is all */
	add(0, E - 1);
	assert_int_equal(alloc(E - 1), -ENOSPC);
	assert_int_equal(br_snap_store_state(&store), BR_SNAP_VALID);
	assert_loads(E - 1);
	close_leaf();
	open_store(CHUNK, E + 3);
	add(0, E);
	assert_int_equal(alloc(E), -ENOSPC);
	assert_loads(E);
	close_leaf();
}

static void a_store_that_grows_has_room_again_and_cannot_shrink_below_what_it_uses(void **state)
{
	(void)state;
	open_store(CHUNK, 8);
	add(0, 2);
	atomic_store(&leaf.dev.bytes, 4 * CHUNK);
	assert_int_equal(br_snap_store_resized(&store), 0);
	assert_int_equal(alloc(2), -ENOSPC);
	atomic_store(&leaf.dev.bytes, 3 * CHUNK);
	assert_int_equal(br_snap_store_resized(&store), -EINVAL);
	atomic_store(&leaf.dev.bytes, 8 * CHUNK);
	assert_int_equal(br_snap_store_resized(&store), 0);
	add(2, 3);
	close_leaf();
}

/* ---- what a crash leaves ---- */

/* Entries as a torn commit leaves them: behind an empty one, in the same page and in the rest of the area. */
static void put_stale(uint64_t chunk_bytes, unsigned slot)
{
	br_snap_entry_put(leaf.image + chunk_bytes, slot, (struct br_snap_entry){ 4000 + slot, 40 + slot });
}

static void assert_wiped_before_page(unsigned page_at, uint64_t from, uint64_t to)
{
	unsigned flush = page_at;

	assert_true(page_at > 1);
	assert_int_equal(leaf.log[--flush].op, BR_FLUSH);
	for (uint64_t at = from; at < to; at += SECTOR) {
		bool wiped = false;

		for (unsigned i = 0; i < flush; i++)
			wiped |= leaf.log[i].op == BR_WRITE_ZEROES && leaf.log[i].offset <= at &&
				 at + SECTOR <= leaf.log[i].offset + leaf.log[i].length;
		if (!wiped)
			fail_msg("sector at %ju was not wiped", (uintmax_t)at);
	}
}

static void what_a_torn_commit_left_is_durably_wiped_before_the_first_one_after_load(void **state)
{
	(void)state;
	open_store(2 * CHUNK, 300);
	add(0, 10);
	put_stale(2 * CHUNK, 33);		/* in the page that the next entry goes to */
	put_stale(2 * CHUNK, E + 5);		/* in the other page of the area */
	assert_loads(10);
	assert_int_equal(store.next_free, 12);
	forget_log();
	add(10, 11);
	assert_int_equal(leaf.log[leaf.nr_log - 1].op, BR_WRITE);
	assert_wiped_before_page(leaf.nr_log - 1, 2 * CHUNK + SECTOR, 4 * CHUNK);
	assert_loads(11);
	forget_log();
	add(11, 12);				/* once is enough */
	assert_int_equal(leaf.nr_log, 2);
	close_leaf();
}

/* The second crash of the story: the page that closes the gap is torn, and its later sectors keep the old bytes. */
static void a_torn_page_after_a_torn_page_revives_nothing(void **state)
{
	struct event *page;

	(void)state;
	open_store(CHUNK, 300);
	add(0, 10);
	put_stale(CHUNK, 33);
	put_stale(CHUNK, 32);
	assert_loads(10);
	for (unsigned i = 10; i < 40; i++)
		assert_int_equal(alloc(i), 0);
	forget_log();
	for (unsigned i = 40; i-- > 10;)
		commit(i);
	page = &leaf.log[leaf.nr_log - 1];
	assert_int_equal(page->op, BR_WRITE);
	memset(leaf.image + CHUNK, 0, CHUNK);	/* replay: what was there, what was wiped, one sector of the page */
	for (unsigned i = 0; i < 10; i++)
		br_snap_entry_put(leaf.image + CHUNK, i, (struct br_snap_entry){ old_of(i), 2 + i });
	put_stale(CHUNK, 33);
	put_stale(CHUNK, 32);
	for (unsigned i = 0; i + 1 < leaf.nr_log; i++)
		if (leaf.log[i].data)
			memcpy(leaf.image + leaf.log[i].offset, leaf.log[i].data, leaf.log[i].length);
	memcpy(leaf.image + CHUNK, page->data, SECTOR);
	assert_loads(32);
	close_leaf();
}

static void a_store_is_blank_or_empty_at_each_step_of_format(void **state)
{
	struct br_snap_header h;
	uint64_t header = 0;

	(void)state;
	open_leaf(300 * CHUNK);
	format(CHUNK, false);
	assert_true(leaf.nr_log >= 3);
	for (unsigned i = 0; i + 1 < leaf.nr_log; i++)
		assert_int_not_equal(leaf.log[i].op, BR_WRITE);
	assert_int_equal(leaf.log[leaf.nr_log - 2].op, BR_FLUSH);
	assert_int_equal(leaf.log[leaf.nr_log - 1].op, BR_WRITE);
	assert_int_equal(leaf.log[leaf.nr_log - 1].offset, header);
	assert_true(leaf.log[leaf.nr_log - 1].flags & BR_FUA);
	br_queue_leave(&s.queue);
	assert_int_equal(br_snap_store_probe(&s, &leaf.dev, &h), 0);
	br_queue_enter(&s.queue);
	assert_true(h.valid);
	assert_int_equal(h.chunk_sectors, 8);
	for (unsigned i = 0; i < 2 * CHUNK; i++)
		assert_true(i < SECTOR || !leaf.image[i]);
	assert_loads(0);
	close_leaf();
}

/* Each prefix of the writes, the last one torn in each way that keeps some of its sectors: what loads is a prefix. */
static void after_each_prefix_of_the_writes_the_store_loads_what_was_acknowledged(void **state)
{
	static unsigned acked[MAX_LOG];
	enum { CH = 1024, N = CH / 16 * 2 + 3 };
	uint8_t *last, *before;
	unsigned n;

	(void)state;
	open_store(CH, 600);
	last = malloc(leaf.bytes);
	before = malloc(leaf.bytes);
	memcpy(before, leaf.image, leaf.bytes);
	for (unsigned i = 0, from; i < N; from = i) {
		unsigned to = i + 1 + i % 7 < N ? i + 1 + i % 7 : N;

		for (from = i; i < to; i++)
			assert_int_equal(alloc(i), 0);
		for (i = to; i-- > from;)
			commit(i);
		i = to;
		acked[leaf.nr_log] = to;
	}
	n = leaf.nr_log;
	memcpy(last, leaf.image, leaf.bytes);
	for (unsigned k = 0, sure = 0; k < n; k++) {
		struct event *e = &leaf.log[k];

		sure = acked[k] ? acked[k] : sure;
		for (unsigned keep = 0; e->data && keep < 3; keep++) {
			memcpy(leaf.image, before, leaf.bytes);
			if (keep < 2)		/* the first sector alone, or the last one alone */
				memcpy(leaf.image + e->offset + (keep ? e->length - SECTOR : 0),
				       e->data + (keep ? e->length - SECTOR : 0), SECTOR);
			assert_int_equal(load(), 0);
			assert_in_range(nr_loaded, sure, N);
			for (unsigned i = 0; i < nr_loaded; i++)
				assert_int_equal(loaded[i].old_chunk, old_of(i));
			leaf.nr_log = n;	/* loading only reads */
		}
		if (e->data)
			memcpy(before + e->offset, e->data, e->length);
	}
	assert_memory_equal(before, last, leaf.bytes);
	memcpy(leaf.image, last, leaf.bytes);
	assert_loads(N);
	free(before);
	free(last);
	close_leaf();
}

/* ---- errors ---- */

static void after_a_commit_that_failed_nothing_is_acknowledged_any_more(void **state)
{
	(void)state;
	for (int at = 0; at < 4; at++) {	/* wipe, next area, flush, page */
		open_store(2 * CHUNK, 700);
		add(0, E);
		put_stale(2 * CHUNK, 2 * E - 1);
		assert_loads(E);
		for (unsigned i = E; i < 2 * E; i++)
			assert_int_equal(alloc(i), 0);
		forget_log();
		leaf.fail_at = at;
		for (unsigned i = 2 * E; i-- > E;)
			commit(i);
		assert_int_equal(leaf.nr_log, at + 1);
		for (unsigned i = E; i < 2 * E; i++) {
			assert_true(ex[i].done);
			assert_int_equal(ex[i].c.error, -EIO);
		}
		assert_int_equal(br_snap_store_usage(&store).exceptions, E);
		assert_int_not_equal(br_snap_store_state(&store), BR_SNAP_VALID);
		assert_int_equal(alloc(2 * E), -EIO);
		close_leaf();
	}
}

static void who_was_copying_when_a_commit_failed_fails_too(void **state)
{
	(void)state;
	open_store(CHUNK, 300);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(alloc(i), 0);
	leaf.fail_at = 0;
	commit(0);
	commit(1);
	br_snap_store_abort(&store, s.chan, &ex[2].c);
	finish(&ex[2]);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(ex[i].c.error, -EIO);
	assert_int_equal(count_events(BR_WRITE, CHUNK, CHUNK), 0);
	close_leaf();
}

static void the_invalid_mark_has_its_own_buffer_and_is_durable_before_anyone_goes_on(void **state)
{
	struct br_snap_header h;
	uint8_t page[CHUNK];

	(void)state;
	for (unsigned first = 0; first < 2; first++) {
		open_store(CHUNK, 300);
		add(0, 3);
		memcpy(page, leaf.image + CHUNK, CHUNK);
		br_snap_entry_put(page, 3, (struct br_snap_entry){ old_of(3), 5 });
		assert_int_equal(alloc(3), 0);
		leaf.hold = true;
		commit(3);
		release(0);			/* the flush; the page is held */
		for (unsigned i = 10; i < 12; i++) {
			br_snap_store_invalidate(&store, s.chan, &begin(&ex[i])->w, &ex[i].op);
			finish(&ex[i]);
		}
		assert_int_equal(leaf.nr_held, 2);
		assert_true(leaf.held[1]->flags & BR_FUA);
		assert_int_equal(br_snap_store_state(&store), BR_SNAP_INVALIDATING);
		assert_int_equal(alloc(4), -EIO);
		release(first);
		assert_int_equal(ex[10].done, first == 1);
		assert_int_equal(ex[11].done, first == 1);
		release(0);
		assert_true(ex[3].done && ex[10].done && ex[11].done);
		assert_int_equal(br_snap_store_state(&store), BR_SNAP_INVALID);
		assert_memory_equal(leaf.image + CHUNK, page, CHUNK);
		assert_int_equal(br_snap_header_parse(leaf.image, &h), 0);
		assert_false(h.valid);
		br_snap_store_invalidate(&store, s.chan, &begin(&ex[12])->w, &ex[12].op);
		finish(&ex[12]);
		assert_true(ex[12].done && !leaf.nr_held);	/* it is invalid already: nothing to wait for */
		close_leaf();
	}
}

static void a_mark_that_cannot_be_written_lets_the_waiters_go_and_is_remembered(void **state)
{
	(void)state;
	open_store(CHUNK, 300);
	leaf.fail_at = 0;
	br_snap_store_invalidate(&store, s.chan, &begin(&ex[0])->w, &ex[0].op);
	assert_int_equal(finish(&ex[0]), 0);
	assert_true(ex[0].done);
	assert_int_equal(store.invalid_error, -EIO);
	assert_int_equal(br_snap_store_state(&store), BR_SNAP_INVALID);
	close_leaf();
}

/* ---- from the end ---- */

static int last(void)
{
	br_snap_store_last(&store, s.chan, &begin(&ex[MAX_EX - 1])->op);
	return finish(&ex[MAX_EX - 1]);
}

static int remove_last(uint64_t n)
{
	br_snap_store_remove(&store, s.chan, n, &begin(&ex[MAX_EX - 1])->op);
	return finish(&ex[MAX_EX - 1]);
}

static void exceptions_are_taken_off_the_end_across_pages_and_areas(void **state)
{
	static struct br_snap_entry out[E];
	unsigned left = 2 * E + 5, step = 1;

	(void)state;
	open_store(2 * CHUNK, 700);
	add(0, 2 * E + 5);
	assert_loads(2 * E + 5);
	while (left) {
		uint64_t n;

		assert_int_equal(last(), 0);
		n = br_snap_store_tail(&store, step, out);
		assert_in_range(n, 1, step);
		for (uint64_t i = 0; i < n; i++)
			assert_int_equal(out[i].old_chunk, old_of(left - 1 - (unsigned)i));
		assert_int_equal(remove_last(n), 0);
		left -= (unsigned)n;
		step = step * 3 % 101 + 1;
		assert_loads(left);
	}
	assert_int_equal(last(), 0);
	assert_int_equal(br_snap_store_tail(&store, E, out), 0);
	close_leaf();
}

static void a_page_that_could_not_be_read_is_read_again(void **state)
{
	struct br_snap_entry out[2];

	(void)state;
	open_store(CHUNK, 600);
	add(0, E);
	assert_loads(E);
	forget_log();
	leaf.fail_at = 0;
	assert_int_equal(last(), -EIO);
	assert_int_equal(last(), 0);
	assert_int_equal(br_snap_store_tail(&store, 2, out), 2);
	assert_int_equal(out[0].old_chunk, old_of(E - 1));
	assert_int_equal(out[1].old_chunk, old_of(E - 2));
	close_leaf();
}

static void a_removal_that_failed_leaves_the_entries_or_says_that_they_are_lost(void **state)
{
	struct br_snap_entry out[2];

	(void)state;
	open_store(CHUNK, 300);
	add(0, 5);
	assert_int_equal(last(), 0);
	forget_log();
	leaf.fail_at = 0;
	assert_int_equal(remove_last(2), -EIO);
	assert_int_equal(br_snap_store_usage(&store).exceptions, 5);
	assert_int_equal(last(), 0);
	assert_int_equal(br_snap_store_tail(&store, 2, out), 2);
	assert_int_equal(out[0].old_chunk, old_of(4));
	assert_int_equal(out[0].new_chunk, 6);
	forget_log();
	leaf.fail_at = 0;
	assert_int_equal(remove_last(2), -EIO);
	memset(leaf.image + CHUNK + 3 * 16, 0, 2 * 16);		/* it failed, and yet was written */
	assert_int_equal(last(), -EIO);
	close_leaf();
}

/* ---- memory, and the transient one ---- */

static void each_allocation_that_fails_is_answered_by_enomem(void **state)
{
	struct br_snap_header h;
	int n;

	(void)state;
	open_store(CHUNK, 300);
	add(0, 3);
	br_snap_store_done(&store);
	for (n = 0; n < 2; n++) {
		fake_allocs_left = n;
		assert_int_equal(br_snap_store_init(&store, &leaf.dev, CHUNK, false), -ENOMEM);
	}
	fake_allocs_left = -1;
	assert_int_equal(br_snap_store_init(&store, &leaf.dev, CHUNK, false), 0);
	br_queue_leave(&s.queue);
	fake_allocs_left = 0;
	assert_int_equal(br_snap_store_probe(&s, &leaf.dev, &h), -ENOMEM);
	for (n = 0, nr_loaded = 0;; n++, nr_loaded = 0) {
		int r;

		fake_allocs_left = n;
		r = br_snap_store_load(&store, &s, ORIGIN, &reader);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
	}
	fake_allocs_left = -1;
	assert_in_range(n, 2, 20);
	assert_int_equal(nr_loaded, 3);
	br_queue_enter(&s.queue);
	close_leaf();
}

static void a_transient_store_writes_nothing_and_uses_every_chunk(void **state)
{
	(void)state;
	open_leaf(4 * CHUNK);
	format(CHUNK, true);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(alloc(i), 0);
		assert_int_equal(ex[i].c.new_chunk, i);
	}
	assert_int_equal(alloc(4), -ENOSPC);
	commit(3);
	assert_true(ex[3].done);		/* order means nothing here */
	br_snap_store_abort(&store, s.chan, &ex[2].c);
	finish(&ex[2]);
	commit(0);
	commit(1);
	br_snap_store_invalidate(&store, s.chan, &begin(&ex[5])->w, &ex[5].op);
	finish(&ex[5]);
	assert_true(ex[5].done);
	assert_int_equal(leaf.nr_log, 0);
	close_leaf();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(exceptions_become_durable_in_the_order_of_their_allocation),
		RIG_TEST(what_becomes_ready_during_a_commit_shares_the_next_page_write),
		RIG_TEST(a_page_goes_out_after_a_flush_that_followed_its_freeze_and_is_forced),
		RIG_TEST(a_place_that_was_given_up_holds_back_nobody),
		RIG_TEST(pages_and_areas_are_crossed_and_load_alike),
		RIG_TEST(whoever_fills_an_area_empties_the_next_one_before_the_flush),
		RIG_TEST(a_batch_ends_with_its_page),
		RIG_TEST(the_last_slot_of_an_area_needs_room_for_the_next_area),
		RIG_TEST(a_store_that_grows_has_room_again_and_cannot_shrink_below_what_it_uses),
		RIG_TEST(what_a_torn_commit_left_is_durably_wiped_before_the_first_one_after_load),
		RIG_TEST(a_torn_page_after_a_torn_page_revives_nothing),
		RIG_TEST(a_store_is_blank_or_empty_at_each_step_of_format),
		RIG_TEST(after_each_prefix_of_the_writes_the_store_loads_what_was_acknowledged),
		RIG_TEST(after_a_commit_that_failed_nothing_is_acknowledged_any_more),
		RIG_TEST(who_was_copying_when_a_commit_failed_fails_too),
		RIG_TEST(the_invalid_mark_has_its_own_buffer_and_is_durable_before_anyone_goes_on),
		RIG_TEST(a_mark_that_cannot_be_written_lets_the_waiters_go_and_is_remembered),
		RIG_TEST(exceptions_are_taken_off_the_end_across_pages_and_areas),
		RIG_TEST(a_page_that_could_not_be_read_is_read_again),
		RIG_TEST(a_removal_that_failed_leaves_the_entries_or_says_that_they_are_lost),
		RIG_TEST(each_allocation_that_fails_is_answered_by_enomem),
		RIG_TEST(a_transient_store_writes_nothing_and_uses_every_chunk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
