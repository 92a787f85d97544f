/* SPDX-License-Identifier: BSD-3-Clause */
/* Orders in which copies, commits, reads and writes may complete, chosen by hand. */
#include "rig.h"

enum { KIB = 1024, CHUNK = 4 * KIB, BASE = 256 * KIB };

/* S1. */
static void a_base_chunk_that_a_snapshot_reads_is_not_overwritten(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	rig_take(&r, 0, CHUNK);
	rig_queue(&r, 0);
	disk_hold(&r.base, ON_READ, 0, CHUNK);
	rig_read(&r, r.sq[0], 1, 0, CHUNK);
	rig_pump(&r);
	assert_int_equal(r.base.nr_held, 1);
	r.base.hold.ops = 0;			/* the copy-out's own read passes */
	rig_write(&r, r.oq, 2, 0, CHUNK, 'n');
	rig_write(&r, r.oq, 3, CHUNK, CHUNK, 'm');
	rig_pump(&r);
	assert_true(r.done[3]);			/* a slow reader delays its chunk only (H5) */
	assert_false(r.done[1] || r.done[2]);
	assert_int_equal(r.base.data[0], old_byte(0));
	disk_release(&r.base, 0, 0);
	rig_pump(&r);
	assert_true(r.done[1] && r.done[2]);
	for (int i = 0; i < CHUNK; i++)
		assert_int_equal(((uint8_t *)r.buf[1])[i], old_byte((uint64_t)i));
	assert_int_equal(r.base.data[0], 'n');
	expect_old(r.snap[0], 0, BASE);
	rig_close(&r);
}

/* S2: who comes after the commit reads the store, so the readers of the base can only become fewer. */
static void late_readers_do_not_starve_the_origin_s_writer(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	rig_take(&r, 0, CHUNK);
	rig_queue(&r, 0);
	disk_hold(&r.base, ON_READ, 0, CHUNK);
	rig_read(&r, r.sq[0], 1, 0, CHUNK);
	rig_pump(&r);
	r.base.hold.ops = 0;
	rig_write(&r, r.oq, 2, 0, CHUNK, 'n');
	rig_pump(&r);
	disk_hold(&r.base, ON_READ, 0, CHUNK);
	for (uint32_t tag = 3; tag < 20; tag++) {
		rig_read(&r, r.sq[0], tag, 0, CHUNK);
		rig_pump(&r);
		assert_true(r.done[tag]);
		assert_int_equal(((uint8_t *)r.buf[tag])[0], old_byte(0));
	}
	assert_false(r.done[2]);
	rig_write(&r, r.oq, 20, 512, 512, 'p');	/* parks behind the same chunk */
	rig_pump(&r);
	assert_false(r.done[20]);
	disk_release_all(&r.base);
	rig_pump(&r);
	assert_true(r.done[1] && r.done[2] && r.done[20]);
	expect_old(r.snap[0], 0, BASE);
	rig_close(&r);
}

static void release_newest_first(struct rig *r, struct disk *d)
{
	rig_pump(r);
	while (d->nr_held) {
		disk_release(d, d->nr_held - 1, 0);
		rig_pump(r);
	}
}

/* S4, S21: one write over three snapshots of several chunk sizes; the copies come home in each of the six orders. */
static void copies_of_three_chunk_sizes_may_complete_in_any_order(void **state)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct rig r;

	(void)state;
	for (int k = 0; k < 6; k++) {
		rig_open(&r, BASE, 3);
		rig_take(&r, 0, 64 * KIB);
		rig_take(&r, 1, 16 * KIB);
		rig_take(&r, 2, 4 * KIB);
		for (int i = 0; i < 3; i++)
			disk_hold(&r.store[i], ON_WRITE, 0, UINT64_MAX);
		rig_write(&r, r.oq, 1, 0, 64 * KIB, 'n');
		for (int round = 0; round < 40 && !r.done[1]; round++) {
			for (int i = 0; i < 3; i++)
				release_newest_first(&r, &r.store[orders[k][i]]);
		}
		assert_true(r.done[1]);
		assert_int_equal(r.result[1], 0);
		for (int i = 0; i < 3; i++) {
			r.store[i].hold.ops = 0;
			expect_old(r.snap[i], 0, BASE);
		}
		expect_fill(r.origin, 0, 64 * KIB, 'n');
		rig_close(&r);
	}
}

/* S11: one copy of three fails; all requests complete, the origin's too, and the snapshot is no more. */
static void a_failed_copy_fails_the_snapshot_and_nobody_else(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 2);
	rig_take(&r, 0, CHUNK);
	rig_take(&r, 1, CHUNK);
	disk_fail(&r.store[0], ON_WRITE, 3 * CHUNK, 4 * CHUNK, -EIO);
	for (uint32_t i = 1; i <= 3; i++)
		rig_write(&r, r.oq, i, i * CHUNK, CHUNK, 'n');
	rig_pump(&r);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_true(r.done[i]);
		assert_int_equal(r.result[i], 0);
	}
	assert_int_equal(blkremap_pread(r.snap[0], r.buf[1], 512, 0, 0), -EIO);
	expect_old(r.snap[1], 0, BASE);
	rig_close(&r);
}

static void a_failed_copy_for_a_snapshot_s_own_write_is_that_write_s_error(void **state)
{
	char buf[512] = "";
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	rig_take(&r, 0, CHUNK);
	disk_fail(&r.base, ON_READ, 0, CHUNK, -EIO);
	assert_int_equal(blkremap_pwrite(r.snap[0], buf, 512, 0, 0), -EIO);
	r.base.fail.ops = 0;
	expect_old(r.snap[0], 0, BASE);
	put(r.snap[0], 0, 512, 's');
	expect_fill(r.snap[0], 0, 512, 's');
	rig_shut(&r);
	disk_crash(&r.store[0]);
	rig_again(&r);
	rig_origin(&r, BLKREMAP_SUSPENDED);
	assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, NULL, &r.snap[0]), 0);
	assert_int_equal(blkremap_resume(r.origin), 0);
	expect_old(r.snap[0], 512, BASE - 512);
	rig_close(&r);
}

/* S12: whatever the order of the copies, what a crash leaves has no hole below its last chunk. */
static void exceptions_are_committed_in_the_order_of_their_places(void **state)
{
	struct blkremap_status st = { .size = sizeof(st) };
	struct rig r;

	(void)state;
	for (uint32_t released = 1; released <= 8; released++) {
		rig_open(&r, BASE, 1);
		rig_take(&r, 0, CHUNK);
		disk_hold(&r.store[0], ON_WRITE, 2 * CHUNK, UINT64_MAX);
		for (uint32_t i = 1; i <= 8; i++)
			rig_write(&r, r.oq, i, i * CHUNK, CHUNK, 'n');
		rig_pump(&r);
		assert_int_equal(r.store[0].nr_held, 8);
		for (uint32_t i = 0; i < released; i++) {
			disk_release(&r.store[0], r.store[0].nr_held - 1, 0);
			rig_pump(&r);
		}
		for (uint32_t i = 1; i <= 8; i++)
			assert_int_equal(r.done[i], released == 8);
		/* What a crash would leave now: nothing of it, or all. */
		memcpy(r.store[0].data, r.store[0].durable, CHUNK * 2);
		disk_release_all(&r.store[0]);
		rig_pump(&r);
		rig_shut(&r);
		disk_crash(&r.store[0]);
		rig_again(&r);
		rig_origin(&r, BLKREMAP_SUSPENDED);
		assert_int_equal(blkremap_snapshot_open(r.ctx, r.origin, r.store[0].dev, NULL, &r.snap[0]), 0);
		assert_int_equal(blkremap_status(r.snap[0], &st), 0);
		assert_int_equal(st.store_used, (2 + 8) * CHUNK);
		assert_int_equal(blkremap_resume(r.origin), 0);
		expect_old(r.snap[0], 0, BASE);
		rig_close(&r);
	}
}

/* S14: header and area have buffers of their own. */
static void an_area_on_its_way_is_not_touched_by_the_invalid_mark(void **state)
{
	struct rig r;

	(void)state;
	for (int order = 0; order < 2; order++) {
		rig_open(&r, BASE, 1);
		rig_take(&r, 0, CHUNK);
		disk_hold(&r.store[0], ON_WRITE, 0, 2 * CHUNK);
		rig_write(&r, r.oq, 1, 5 * CHUNK, CHUNK, 'n');
		rig_pump(&r);
		assert_int_equal(r.store[0].nr_held, 1);	/* the area */
		disk_fail(&r.store[0], ON_WRITE, 2 * CHUNK, UINT64_MAX, -EIO);
		rig_write(&r, r.oq, 2, 6 * CHUNK, CHUNK, 'm');
		rig_pump(&r);
		assert_int_equal(r.store[0].nr_held, 2);	/* and the header */
		disk_release(&r.store[0], (uint32_t)order, 0);
		rig_pump(&r);
		disk_release_all(&r.store[0]);
		rig_pump(&r);
		assert_true(r.done[1] && r.done[2]);
		assert_int_equal(r.result[1] | r.result[2], 0);
		assert_int_equal(r.store[0].durable[CHUNK], 5);
		assert_int_equal(r.store[0].durable[CHUNK + 8], 2);
		for (int i = 16; i < CHUNK; i++)
			assert_int_equal(r.store[0].durable[CHUNK + i], 0);
		assert_memory_equal(r.store[0].durable, "SnAp\0\0\0\0", 8);
		rig_close(&r);
	}
}

/* What durability costs. */
static void a_first_write_flushes_twice_at_most_and_a_rewrite_never(void **state)
{
	struct rig r;
	uint32_t store, base;

	(void)state;
	rig_open(&r, BASE, 1);
	rig_take(&r, 0, CHUNK);
	store = r.store[0].flushes;
	base = r.base.flushes;
	put(r.origin, 0, CHUNK, 'n');
	assert_true(r.store[0].flushes - store <= 2);
	assert_int_equal(r.base.flushes, base);
	store = r.store[0].flushes;
	put(r.origin, 0, CHUNK, 'm');
	put(r.origin, 512, 512, 'm');
	put(r.snap[0], 0, CHUNK, 's');
	assert_int_equal(r.store[0].flushes, store);
	assert_int_equal(r.base.flushes, base);
	assert_int_equal(blkremap_flush(r.origin), 0);
	assert_int_equal(r.base.flushes, base + 1);
	assert_int_equal(r.store[0].flushes, store);
	assert_int_equal(blkremap_flush(r.snap[0]), 0);
	assert_int_equal(r.store[0].flushes, store + 1);
	assert_int_equal(r.base.flushes, base + 1);
	rig_close(&r);
}

static void fua_goes_through_to_the_device_that_holds_the_bytes(void **state)
{
	char buf[CHUNK];
	struct rig r;

	(void)state;
	memset(buf, 'f', sizeof(buf));
	rig_open(&r, BASE, 1);
	rig_take(&r, 0, CHUNK);
	assert_int_equal(blkremap_pwrite(r.origin, buf, 512, 0, BLKREMAP_FUA), 0);
	assert_int_equal(r.base.durable[0], 'f');
	assert_int_equal(blkremap_pwrite(r.snap[0], buf, 512, 0, BLKREMAP_FUA), 0);
	assert_int_equal(r.store[0].durable[2 * CHUNK], 'f');
	assert_int_equal(blkremap_pwrite(r.snap[0], buf, CHUNK, CHUNK, BLKREMAP_FUA), 0);
	assert_int_equal(r.store[0].durable[3 * CHUNK], 'f');
	assert_int_equal(blkremap_write_zeroes(r.snap[0], 0, 512, BLKREMAP_FUA), 0);
	assert_int_equal(r.store[0].durable[2 * CHUNK], 0);
	assert_int_equal(r.store[0].durable[2 * CHUNK + 512], old_byte(512));
	rig_close(&r);
}

/* S20. */
static void an_origin_without_snapshots_does_not_cut_requests(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, BASE, 1);
	put(r.origin, 0, BASE, 'n');
	assert_int_equal(r.base.writes, 1);
	rig_close(&r);
}

static void many_more_writes_than_places_all_complete(void **state)
{
	struct rig r;

	(void)state;
	rig_make(&r, 8 << 20, 2, 10 << 20);
	rig_origin(&r, 0);
	rig_take(&r, 0, CHUNK);
	rig_take(&r, 1, 2 * CHUNK);
	for (uint32_t i = 1; i <= 4; i++)
		rig_write(&r, r.oq, i, (i - 1) * (2 << 20), 2 << 20, 'n');
	rig_submit(&r, r.oq, 5, BLKREMAP_FLUSH, 0, 0, 0);
	for (int i = 0; i < 1000 && !(r.done[1] && r.done[2] && r.done[3] && r.done[4] && r.done[5]); i++)
		rig_pump(&r);
	for (uint32_t i = 1; i <= 5; i++) {
		assert_true(r.done[i]);
		assert_int_equal(r.result[i], 0);
	}
	expect_old(r.snap[0], 0, 8 << 20);
	expect_old(r.snap[1], 0, 8 << 20);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_base_chunk_that_a_snapshot_reads_is_not_overwritten),
		cmocka_unit_test(late_readers_do_not_starve_the_origin_s_writer),
		cmocka_unit_test(copies_of_three_chunk_sizes_may_complete_in_any_order),
		cmocka_unit_test(a_failed_copy_fails_the_snapshot_and_nobody_else),
		cmocka_unit_test(a_failed_copy_for_a_snapshot_s_own_write_is_that_write_s_error),
		cmocka_unit_test(exceptions_are_committed_in_the_order_of_their_places),
		cmocka_unit_test(an_area_on_its_way_is_not_touched_by_the_invalid_mark),
		cmocka_unit_test(a_first_write_flushes_twice_at_most_and_a_rewrite_never),
		cmocka_unit_test(fua_goes_through_to_the_device_that_holds_the_bytes),
		cmocka_unit_test(an_origin_without_snapshots_does_not_cut_requests),
		cmocka_unit_test(many_more_writes_than_places_all_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
