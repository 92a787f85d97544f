/* SPDX-License-Identifier: BSD-3-Clause */
/* Stores that fill up: the three policies, growing, and exact fits. */
#include "rig.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 4096, BASE = 64 * CHUNK, ROOM = 4, STORE = (2 + ROOM) * CHUNK };

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void small_rig(struct rig *r, uint32_t when_full, uint64_t hold_ns)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK, .when_full = when_full,
					    .hold_ns = hold_ns };

	rig_make(r, BASE, 1, STORE);
	rig_origin(r, 0);
	assert_int_equal(rig_try_take(r, 0, &o), 0);
}

static int try_put(struct blkremap_dev *dev, uint64_t off, int fill)
{
	char buf[512];

	memset(buf, fill, sizeof(buf));
	return blkremap_pwrite(dev, buf, sizeof(buf), off, 0);
}

static void a_full_store_invalidates_by_default_and_the_origin_goes_on(void **state)
{
	struct blkremap_dev_info info = { .size = sizeof(info) };
	char words[32];
	struct rig r;

	(void)state;
	small_rig(&r, BLKREMAP_FULL_INVALIDATE, 0);
	for (uint64_t i = 0; i < ROOM; i++)
		put(r.origin, i * CHUNK, 512, 'n');
	expect_old(r.snap[0], 0, BASE);
	put(r.origin, ROOM * CHUNK, 512, 'n');
	assert_int_equal(try_put(r.snap[0], 0, 'x'), -EIO);
	assert_int_equal(blkremap_pread(r.snap[0], words, 0, 0, 0), -EIO);
	assert_int_equal(blkremap_dm_status(r.snap[0], words, sizeof(words)), 7);
	assert_string_equal(words, "Invalid");
	assert_int_equal(blkremap_dev_info(r.snap[0], &info), 0);
	assert_true(info.state & BLKREMAP_ST_INVALID);
	assert_int_equal(info.code, BLKREMAP_CODE_STORE_FULL);
	assert_int_equal(event_count(r.ctx, BLKREMAP_EV_INVALIDATED), 1);
	rig_shut(&r);
	disk_crash(&r.store[0]);
	disk_crash(&r.base);
	rig_again(&r);
	rig_origin(&r, BLKREMAP_SUSPENDED);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, NULL, &r.snap[0]), -ENOTRECOVERABLE);
	rig_close(&r);
}

/* H1: the mark is durable before the origin's write is let out. */
static void the_mark_is_on_the_disk_before_the_write_that_made_it_needed(void **state)
{
	struct rig r;

	(void)state;
	small_rig(&r, BLKREMAP_FULL_INVALIDATE, 0);
	for (uint64_t i = 0; i < ROOM; i++)
		put(r.origin, i * CHUNK, 512, 'n');
	disk_hold(&r.store[0], ON_WRITE, 0, 512);
	rig_write(&r, r.oq, 1, ROOM * CHUNK, 512, 'n');
	rig_write(&r, r.oq, 2, (ROOM + 1) * CHUNK, 512, 'n');
	rig_pump(&r);
	assert_int_equal(r.store[0].nr_held, 1);
	assert_false(r.done[1] || r.done[2]);
	assert_int_equal(r.base.data[ROOM * CHUNK], old_byte(ROOM * CHUNK));
	assert_int_equal(r.base.data[(ROOM + 1) * CHUNK], old_byte((ROOM + 1) * CHUNK));
	disk_release_all(&r.store[0]);
	rig_pump(&r);
	assert_true(r.done[1] && r.done[2]);
	assert_int_equal(r.result[1] | r.result[2], 0);
	assert_int_equal(r.base.data[ROOM * CHUNK], 'n');
	rig_close(&r);
}

static void refusing_keeps_the_reads_and_the_writes_that_have_a_place(void **state)
{
	struct blkremap_dev_info info = { .size = sizeof(info) };
	char words[32];
	struct rig r;

	(void)state;
	small_rig(&r, BLKREMAP_FULL_REFUSE, 0);
	for (uint64_t i = 0; i < ROOM; i++)
		put(r.snap[0], i * CHUNK, 512, 's');
	assert_int_equal(try_put(r.snap[0], ROOM * CHUNK, 's'), -ENOSPC);
	put(r.snap[0], 0, 512, 't');
	expect_fill(r.snap[0], 0, 512, 't');
	expect_old(r.snap[0], ROOM * CHUNK, BASE - ROOM * CHUNK);
	assert_int_equal(blkremap_dev_info(r.snap[0], &info), 0);
	assert_true(info.state & BLKREMAP_ST_FULL);
	assert_true(blkremap_dm_status(r.snap[0], words, sizeof(words)) > 0);
	assert_string_equal(words, "Overflow");
	put(r.origin, 0, 512, 'n');
	expect_fill(r.snap[0], 0, 512, 't');
	put(r.origin, ROOM * CHUNK, 512, 'n');
	assert_int_equal(try_put(r.snap[0], 0, 'u'), -EIO);
	rig_close(&r);
}

static void grow_disk(struct disk *d, uint64_t bytes)
{
	uint8_t *data = calloc(1, bytes), *durable = calloc(1, bytes);

	assert_non_null(data);
	assert_non_null(durable);
	memcpy(data, d->data, d->bytes);
	memcpy(durable, d->durable, d->bytes);
	disk_done(d);
	d->data = data;
	d->durable = durable;
	d->bytes = bytes;
	assert_int_equal(blkremap_user_set_bytes(d->be, bytes), 0);
}

static void held_writers_go_on_when_a_rescan_finds_space(void **state)
{
	struct rig r;

	(void)state;
	small_rig(&r, BLKREMAP_FULL_HOLD, UINT64_C(3600) * 1000000000);
	rig_queue(&r, 0);
	for (uint64_t i = 0; i < ROOM; i++)
		put(r.origin, i * CHUNK, 512, 'n');
	rig_write(&r, r.oq, 1, ROOM * CHUNK, 512, 'n');
	rig_write(&r, r.sq[0], 2, (ROOM + 1) * CHUNK, 512, 's');
	rig_read(&r, r.sq[0], 3, ROOM * CHUNK, 512);
	rig_pump(&r);
	assert_false(r.done[1] || r.done[2]);
	assert_true(r.done[3]);
	assert_int_equal(event_count(r.ctx, BLKREMAP_EV_HELD), 1);
	assert_int_equal(blkremap_rescan(r.snap[0]), 0);
	rig_pump(&r);
	assert_false(r.done[1] || r.done[2]);
	assert_int_equal(event_count(r.ctx, BLKREMAP_EV_HELD), 1);
	grow_disk(&r.store[0], STORE + 8 * CHUNK);
	assert_int_equal(blkremap_rescan(r.snap[0]), 0);
	rig_pump(&r);
	assert_true(r.done[1] && r.done[2]);
	assert_int_equal(r.result[1] | r.result[2], 0);
	expect_old(r.snap[0], 0, (ROOM + 1) * CHUNK);
	expect_fill(r.snap[0], (ROOM + 1) * CHUNK, 512, 's');
	rig_close(&r);
}

static void hold_ends_after_its_time_and_then_invalidates(void **state)
{
	uint64_t begin = now_ns();
	struct rig r;

	(void)state;
	small_rig(&r, BLKREMAP_FULL_HOLD, 50000000);
	for (uint64_t i = 0; i < ROOM; i++)
		put(r.origin, i * CHUNK, 512, 'n');
	put(r.origin, ROOM * CHUNK, 512, 'n');		/* drives the timer itself */
	assert_true(now_ns() - begin >= 50000000);
	assert_true(event_count(r.ctx, BLKREMAP_EV_INVALIDATED) == 1);
	assert_int_equal(try_put(r.snap[0], 0, 'x'), -EIO);
	rig_close(&r);
}

static void a_drop_lets_held_writers_go(void **state)
{
	uint64_t begin = now_ns();
	struct rig r;

	(void)state;
	small_rig(&r, BLKREMAP_FULL_HOLD, 5000000000);
	for (uint64_t i = 0; i < ROOM; i++)
		put(r.origin, i * CHUNK, 512, 'n');
	rig_write(&r, r.oq, 1, ROOM * CHUNK, 512, 'n');
	rig_pump(&r);
	assert_false(r.done[1]);
	assert_int_equal(blkremap_snapshot_drop(r.snap[0]), 0);
	rig_pump(&r);
	assert_true(r.done[1]);
	assert_int_equal(r.result[1], 0);
	assert_true(now_ns() - begin < 4000000000);
	rig_close(&r);
}

static void another_policy_lets_held_writers_go(void **state)
{
	uint64_t begin = now_ns();
	struct rig r;

	(void)state;
	small_rig(&r, BLKREMAP_FULL_HOLD, 5000000000);
	rig_queue(&r, 0);
	for (uint64_t i = 0; i < ROOM; i++)
		put(r.snap[0], i * CHUNK, 512, 's');
	rig_write(&r, r.sq[0], 1, ROOM * CHUNK, 512, 's');
	rig_pump(&r);
	assert_false(r.done[1]);
	assert_int_equal(blkremap_dev_set(r.snap[0], "when_full", "refuse"), 0);
	rig_pump(&r);
	assert_true(r.done[1]);
	assert_int_equal(r.result[1], -ENOSPC);
	assert_true(now_ns() - begin < 4000000000);
	expect_fill(r.snap[0], 0, 512, 's');
	rig_close(&r);
}

static void a_take_that_waits_for_held_writers_times_out_and_changes_nothing(void **state)
{
	struct blkremap_take t = { 0 };
	struct rig r;

	(void)state;
	small_rig(&r, BLKREMAP_FULL_HOLD, UINT64_C(3600) * 1000000000);
	for (uint64_t i = 0; i < ROOM; i++)
		put(r.origin, i * CHUNK, 512, 'n');
	rig_write(&r, r.oq, 1, ROOM * CHUNK, 512, 'n');
	rig_pump(&r);
	t.origin = r.origin;
	assert_int_equal(blkremap_snapshot_take(&t, 1, 10000000, NULL), -ETIMEDOUT);
	assert_null(t.snap);
	put(r.origin, 0, 512, 'm');
	expect_old(r.snap[0], 0, BASE);
	assert_int_equal(blkremap_snapshot_drop(r.snap[0]), 0);
	rig_pump(&r);
	assert_true(r.done[1]);
	rig_close(&r);
}

static void a_store_file_grows_to_the_last_chunk_that_is_permitted(void **state)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK, .low_space = CHUNK + 1,
					    .grow_step = 1000 };
	struct blkremap_open_opts f = { .size = sizeof(f), .max_grow = STORE + 21 * CHUNK };
	char path[] = "/tmp/blkremap-grow-XXXXXX";
	struct blkremap_dev *store;
	struct blkremap_take t;
	struct stat st;
	struct rig r;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, STORE), 0);
	rig_make(&r, BASE, 0, 0);
	rig_origin(&r, 0);
	assert_int_equal(blkremap_file_open(r.ctx, path, &f, &store), 0);
	t = (struct blkremap_take){ .origin = r.origin, .store = store, .opts = &o };
	assert_int_equal(blkremap_snapshot_take(&t, 1, -1, NULL), 0);
	r.snap[0] = t.snap;
	for (uint64_t i = 0; i < ROOM + 21; i++)
		put(r.origin, i * CHUNK, 512, 'n');
	expect_old(r.snap[0], 0, BASE);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, STORE + 21 * CHUNK);
	assert_true(event_count(r.ctx, BLKREMAP_EV_LOW_SPACE) >= 2);	/* armed again by each growth */
	put(r.origin, (ROOM + 21) * CHUNK, 512, 'n');
	assert_int_equal(try_put(r.snap[0], 0, 'x'), -EIO);
	r.store[0].dev = store;
	rig_close(&r);
	close(fd);
	unlink(path);
}

/* S13, S16, S18: as many exceptions as the size admits, not one less or more; each is there after another open. */
static void every_small_store_holds_what_it_must(void **state)
{
	enum { E = CHUNK / 16 };
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = CHUNK,
					    .when_full = BLKREMAP_FULL_REFUSE };
	static const uint64_t sizes[] = { 3, 4, 5, 256, 257, 258, 259, 260, 261, 515, 516, 517 };
	struct rig r;

	(void)state;
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		uint64_t chunks = sizes[k], n = 0;

		rig_make(&r, 600 * CHUNK, 1, chunks * CHUNK);
		rig_origin(&r, 0);
		assert_int_equal(rig_try_take(&r, 0, &o), 0);
		while (try_put(r.snap[0], n * CHUNK, (int)(n % 250)) == 0)
			n++;
		/* Header and areas; an area that is full needs its successor. */
		assert_true(2 + n + n / E <= chunks);
		assert_true(2 + (n + 1) + (n + 1) / E > chunks);
		rig_shut(&r);
		disk_crash(&r.store[0]);
		rig_again(&r);
		rig_origin(&r, BLKREMAP_SUSPENDED);
		o.flags = 0;
		assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, &o, &r.snap[0]), 0);
		assert_int_equal(blkremap_resume(r.origin), 0);
		for (uint64_t i = 0; i < n; i++)
			expect_old(r.snap[0], i * CHUNK + 512, 512);
		assert_int_equal(try_put(r.snap[0], n * CHUNK, 'x'), -ENOSPC);
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_store_invalidates_by_default_and_the_origin_goes_on),
		cmocka_unit_test(the_mark_is_on_the_disk_before_the_write_that_made_it_needed),
		cmocka_unit_test(refusing_keeps_the_reads_and_the_writes_that_have_a_place),
		cmocka_unit_test(held_writers_go_on_when_a_rescan_finds_space),
		cmocka_unit_test(hold_ends_after_its_time_and_then_invalidates),
		cmocka_unit_test(a_drop_lets_held_writers_go),
		cmocka_unit_test(another_policy_lets_held_writers_go),
		cmocka_unit_test(a_take_that_waits_for_held_writers_times_out_and_changes_nothing),
		cmocka_unit_test(a_store_file_grows_to_the_last_chunk_that_is_permitted),
		cmocka_unit_test(every_small_store_holds_what_it_must),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
