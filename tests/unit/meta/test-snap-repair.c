/* SPDX-License-Identifier: BSD-3-Clause */
#include "meta/snap-repair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "snap-env.h"
#include "snap-disk.h"

enum { CHUNKS = 200, MOST = 180, ROUNDS = 4000, MAX_OLD = 16000 };

/* What a repair said it lost. */
struct losses {
	uint64_t nr;
	uint64_t old_chunk[8];	/* the first */
	char text[200];
	uint64_t findings, begun;
	int result;		/* of each call */
};

static int lost(void *arg, uint64_t old_chunk, uint64_t index, const char *text)
{
	struct losses *l = arg;

	(void)index;
	if (l->nr < BR_ARRAY_SIZE(l->old_chunk))
		l->old_chunk[l->nr] = old_chunk;
	l->nr++;
	snprintf(l->text, sizeof(l->text), "%s", text);
	return l->result;
}

static int finding(void *arg, const struct br_snap_finding *f)
{
	struct losses *l = arg;

	assert_false(f->of_entry);
	l->findings++;
	return l->result;
}

static int begin(void *arg, const struct br_snap_verdict *v)
{
	struct losses *l = arg;

	assert_true(v->layout.chunks > 0);
	l->begun++;
	return l->result;
}

static int repair(struct disk *from, struct disk *to, struct losses *l, struct br_snap_repaired *ret)
{
	const struct br_snap_repair_visitor v = { .finding = finding, .begin = begin, .lost = lost, .arg = l };
	const struct br_snap_check_opts opts = { .origin_bytes = MAX_OLD * CHUNK };
	uint8_t *before = malloc(from->size);
	int r;

	assert_non_null(before);
	memcpy(before, from->bytes, from->size);
	*l = (struct losses){ .result = l->result };
	r = br_snap_repair(&env, &from->io, &opts, to ? &to->io : NULL, &v, ret);
	/* Whatever lies there and whatever comes of it: the source is as it was. */
	assert_memory_equal(before, from->bytes, from->size);
	assert_int_equal(from->writes, 0);
	assert_int_equal(env_bytes, 0);
	if (r == 0) {
		assert_int_equal(l->begun, 1);
		assert_int_equal(ret->lost, l->nr);
	}
	free(before);
	return r;
}

static uint64_t stamped(const struct disk *d, uint64_t new_chunk)
{
	uint64_t old_chunk;

	memcpy(&old_chunk, d->bytes + new_chunk * CHUNK, sizeof(old_chunk));
	return old_chunk;
}

static int see_stamp(void *arg, struct br_snap_entry e, uint64_t index)
{
	struct disk *d = arg;

	(void)index;
	assert_int_equal(stamped(d, e.new_chunk), e.old_chunk);
	return 0;
}

/* Load @d as a target would; each exception's data must be its own.  The number of exceptions. */
static uint64_t load(struct disk *d)
{
	struct br_snap_layout l = disk_layout(d);
	struct br_snap_loader *loader;
	struct br_snap_loaded end;
	struct br_snap_header h;
	int r;

	assert_int_equal(br_snap_header_parse(d->bytes, &h), 0);
	assert_true(h.valid);
	assert_int_equal(h.chunk_sectors * 512, CHUNK);
	assert_int_equal(br_snap_loader_new(&env, &l, MAX_OLD, &loader), 0);
	do {
		r = br_snap_loader_area(loader, d->bytes + br_snap_loader_chunk(loader) * CHUNK, see_stamp, d);
	} while (r == 1);
	assert_int_equal(r, 0);
	br_snap_loader_result(loader, &end);
	br_snap_loader_free(loader);
	return end.count;
}

static void a_whole_store_is_repaired_to_an_equal_one(void **state)
{
	struct disk d, new;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_setup(&new, CHUNKS * CHUNK);
	for (uint64_t n = 0; n <= MOST; n++) {
		struct br_snap_repaired done;
		struct losses l = { .result = 0 };

		disk_make_store(&d, n);
		assert_int_equal(repair(&d, &new, &l, &done), 0);
		assert_int_equal(done.kept, n);
		assert_int_equal(done.lost + l.nr, 0);
		assert_int_equal(load(&new), n);
		assert_memory_equal(d.bytes, new.bytes, (2 + n + n / E) * CHUNK);
		assert_true(done.bytes_needed <= CHUNKS * CHUNK);
	}
	disk_done(&new);
	disk_done(&d);
}

static void what_is_lost_is_named_by_its_chunk_and_the_rest_moves_up(void **state)
{
	struct br_snap_repaired done;
	struct disk d, new;
	struct losses l = { .result = 0 };

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_setup(&new, CHUNKS * CHUNK);
	disk_make_store(&d, 70);
	disk_put(&d, 40, disk_old(40), 67);
	assert_int_equal(repair(&d, NULL, &l, &done), 0);
	assert_int_equal(done.kept, 69);
	assert_int_equal(l.nr, 1);
	assert_int_equal(l.old_chunk[0], disk_old(40));
	assert_string_equal(l.text, "its data lies where metadata is");
	assert_int_equal(repair(&d, &new, &l, &done), 0);
	assert_int_equal(done.kept, 69);
	assert_int_equal(load(&new), 69);
	disk_done(&new);
	disk_done(&d);
}

static void damage_beside_the_entries_is_told_and_any_call_can_end_it(void **state)
{
	struct br_snap_repaired done;
	struct losses l = { .result = 0 };
	struct disk d, new;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 40);
	br_snap_header_format(d.bytes, CHUNK / 512, false);
	disk_put(&d, 3, 1, 1);
	assert_int_equal(repair(&d, NULL, &l, &done), 0);
	assert_int_equal(l.findings, 2);	/* invalid, and the chunk that is lost space now */
	assert_int_equal(l.nr, 1);
	l.result = 5;
	assert_int_equal(repair(&d, NULL, &l, &done), 5);
	assert_int_equal(l.findings + l.begun + l.nr, 1);
	br_snap_header_format(d.bytes, CHUNK / 512, true);
	disk_setup(&new, CHUNKS * CHUNK);
	assert_int_equal(repair(&d, &new, &l, &done), 5);
	assert_int_equal(l.begun, 1);
	assert_int_equal(new.writes, 0);
	disk_done(&new);
	disk_done(&d);
}

static void nobody_needs_to_be_told_anything(void **state)
{
	const struct br_snap_repair_visitor nobody = { .arg = NULL };
	struct br_snap_repaired done;
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 40);
	disk_put(&d, 3, 1, 1);
	d.bad_from = 10 * CHUNK;
	d.bad_to = 11 * CHUNK;
	assert_int_equal(br_snap_repair(&env, &d.io, NULL, NULL, &nobody, &done), 0);
	assert_int_equal(done.kept, 39);
	assert_int_equal(done.lost, 1);
	disk_done(&d);
}

static void large_chunks_are_copied_whole_and_read_once(void **state)
{
	const struct br_snap_check_opts opts = { .deep = true };
	const struct br_snap_repair_visitor nobody = { .arg = NULL };
	struct br_snap_repaired done;
	struct disk d, new;

	(void)state;
	disk_setup(&d, 8 * (uint64_t)BIG);
	disk_setup(&new, 8 * (uint64_t)BIG);
	memset(d.bytes, 0, 2 * BIG);
	br_snap_header_format(d.bytes, BIG / 512, true);
	for (uint64_t i = 0; i < 3; i++) {
		br_snap_entry_put(d.bytes + BIG, i, (struct br_snap_entry){ 9 * i, 7 - i });
		for (uint64_t at = 0; at < BIG; at += 512)
			memset(d.bytes + (7 - i) * BIG + at, (int)(at / 512 * 7 + i), 512);
	}
	assert_int_equal(br_snap_repair(&env, &d.io, &opts, &new.io, &nobody, &done), 0);
	assert_int_equal(done.kept, 3);
	for (uint64_t i = 0; i < 3; i++)
		assert_memory_equal(new.bytes + (2 + i) * BIG, d.bytes + (7 - i) * BIG, BIG);
	/* The header's sector, the area's four pieces, the data's twelve. */
	assert_int_equal(d.reads, 1 + 4 + 12);
	/* A deep look finds a bad sector in a chunk's last piece, too. */
	d.bad_from = 7 * (uint64_t)BIG - 512;
	d.bad_to = 7 * (uint64_t)BIG;
	assert_int_equal(br_snap_repair(&env, &d.io, &opts, NULL, &nobody, &done), 0);
	assert_int_equal(done.kept, 2);
	disk_done(&new);
	disk_done(&d);
}

static void data_that_cannot_be_read_is_lost_and_leaves_no_gap(void **state)
{
	struct br_snap_repaired done;
	struct br_snap_verdict v;
	struct disk d, new;
	struct losses l = { .result = 0 };

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_setup(&new, CHUNKS * CHUNK);
	disk_make_store(&d, 70);
	d.bad_from = 5 * CHUNK;
	d.bad_to = 7 * CHUNK;
	assert_int_equal(repair(&d, &new, &l, &done), 0);
	assert_int_equal(done.kept, 68);
	assert_int_equal(l.nr, 2);
	assert_int_equal(l.old_chunk[0], disk_old(3));
	assert_int_equal(load(&new), 68);
	assert_int_equal(br_snap_check(&env, &new.io, NULL, &(struct br_snap_visitor){ .arg = NULL }, &v), 0);
	assert_int_equal(v.worst, 0);
	disk_done(&new);
	disk_done(&d);
}

static void an_invalid_store_gives_what_it_still_has(void **state)
{
	struct br_snap_repaired done;
	struct disk d, new;
	struct losses l = { .result = 0 };

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_setup(&new, CHUNKS * CHUNK);
	disk_make_store(&d, 70);
	br_snap_header_format(d.bytes, CHUNK / 512, false);
	assert_int_equal(repair(&d, &new, &l, &done), 0);
	assert_false(done.was.valid);
	assert_int_equal(load(&new), 70);
	disk_done(&new);
	disk_done(&d);
}

static void a_new_store_that_is_too_small_is_left_blank(void **state)
{
	struct br_snap_repaired done;
	struct br_snap_header h;
	struct disk d, new;
	struct losses l = { .result = 0 };

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 70);
	assert_int_equal(repair(&d, NULL, &l, &done), 0);
	disk_setup(&new, 73 * CHUNK);
	assert_int_equal(repair(&d, &new, &l, &done), -ENOSPC);
	assert_int_equal(br_snap_header_parse(new.bytes, &h), -ENODATA);
	disk_done(&new);
	disk_setup(&new, CHUNK);
	assert_int_equal(repair(&d, &new, &l, &done), -ENOSPC);
	assert_non_null(strstr(br_error_text(), "a store of 512 bytes"));
	assert_int_equal(new.writes, 0);
	disk_done(&new);
	assert_int_equal(repair(&d, NULL, &l, &done), 0);
	disk_setup(&new, done.bytes_needed);
	assert_int_equal(repair(&d, &new, &l, &done), 0);
	disk_done(&new);
	disk_done(&d);
}

static void a_failing_write_leaves_no_store_that_looks_whole(void **state)
{
	struct disk d;
	int r, n = 0;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 40);
	do {
		struct br_snap_repaired done;
		struct br_snap_header h;
		struct losses l = { .result = 0 };
		struct disk new;

		disk_setup(&new, CHUNKS * CHUNK);
		new.fail_write = ++n;
		r = repair(&d, &new, &l, &done);
		assert_true(r == 0 || r == -EIO);
		if (r < 0)
			assert_true(br_snap_header_parse(new.bytes, &h) < 0);
		disk_done(&new);
	} while (r < 0);
	assert_int_equal(n, 45);	/* blank header, 40 chunks, two areas, header: all but the last run failed */
	disk_done(&d);
}

static void no_memory_fails_the_repair_and_leaks_nothing(void **state)
{
	struct disk d;
	int r, n = 0;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 40);
	do {
		struct br_snap_repaired done;
		struct losses l = { .result = 0 };
		struct disk new;

		disk_setup(&new, CHUNKS * CHUNK);
		env_fail_in = n++;
		r = repair(&d, &new, &l, &done);
		env_fail_in = -1;
		assert_true(r == 0 || r == -ENOMEM);
		disk_done(&new);
	} while (r < 0);
	assert_true(n > 4);
	disk_done(&d);
}

/* ---- random damage ---- */

static uint64_t seed;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* One to four entries, or bytes of them, or a whole sector, of a store with @n exceptions. */
static void damage(struct disk *d, uint64_t n)
{
	struct br_snap_layout l = disk_layout(d);

	for (uint64_t i = rnd(4); i < 4; i++) {
		uint64_t at = br_snap_entry_offset(&l, rnd(n));

		switch (rnd(5)) {
		case 0:
			d->bytes[at + rnd(16)] ^= (uint8_t)(1 + rnd(255));
			break;
		case 1:
			disk_put(d, rnd(n), rnd(MAX_OLD + 10), rnd(CHUNKS + 10));
			break;
		case 2:
			memcpy(d->bytes + at, d->bytes + br_snap_entry_offset(&l, rnd(n)), 16);
			break;
		case 3:
			d->bytes[rnd(16)] ^= (uint8_t)(1u << rnd(8));
			break;
		default:
			memset(d->bytes + at / 512 * 512, (int)rnd(2) * 0xff, 512);
			break;
		}
	}
}

static int count_good(void *arg, struct br_snap_entry e, uint64_t index, enum br_snap_fault fault)
{
	uint64_t *n = arg;

	(void)e;
	(void)index;
	*n += fault == BR_SNAP_GOOD;
	return 0;
}

/*
 * Whatever the damage: nothing crashes, the source is not touched, and what comes out is a store that is clean and
 * holds exactly the good entries.
 */
static void of_any_damage_comes_a_store_that_loads_clean(void **state)
{
	uint64_t repaired = 0, losing = 0;

	(void)state;
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		uint64_t n, good = 0;
		const struct br_snap_check_opts opts = { .origin_bytes = MAX_OLD * CHUNK };
		struct br_snap_visitor v = { .entry = count_good, .arg = &good };
		struct br_snap_repaired done = { .kept = 0 };
		struct br_snap_verdict verdict;
		struct disk d, new;
		struct losses l = { .result = 0 };

		seed = round * UINT64_C(0x9e3779b97f4a7c15);
		n = 1 + rnd(MOST);
		disk_setup(&d, CHUNKS * CHUNK);
		disk_setup(&new, CHUNKS * CHUNK);
		disk_make_store(&d, n);
		damage(&d, n);
		(void)br_snap_check(&env, &d.io, &opts, &v, &verdict);
		if (repair(&d, &new, &l, &done) == 0) {
			v = (struct br_snap_visitor){ .arg = NULL };
			assert_int_equal(done.kept, good);
			assert_int_equal(br_snap_check(&env, &new.io, &opts, &v, &verdict), 0);
			assert_int_equal(verdict.worst, 0);
			assert_int_equal(verdict.good, good);
			repaired++;
			losing += l.nr != 0;
		}
		disk_done(&new);
		disk_done(&d);
	}
	/* The generator is worth something: most stores could be repaired, and many had lost something. */
	assert_true(repaired > ROUNDS / 2);
	assert_true(losing > ROUNDS / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_store_is_repaired_to_an_equal_one),
		cmocka_unit_test(what_is_lost_is_named_by_its_chunk_and_the_rest_moves_up),
		cmocka_unit_test(damage_beside_the_entries_is_told_and_any_call_can_end_it),
		cmocka_unit_test(nobody_needs_to_be_told_anything),
		cmocka_unit_test(large_chunks_are_copied_whole_and_read_once),
		cmocka_unit_test(data_that_cannot_be_read_is_lost_and_leaves_no_gap),
		cmocka_unit_test(an_invalid_store_gives_what_it_still_has),
		cmocka_unit_test(a_new_store_that_is_too_small_is_left_blank),
		cmocka_unit_test(a_failing_write_leaves_no_store_that_looks_whole),
		cmocka_unit_test(no_memory_fails_the_repair_and_leaks_nothing),
		cmocka_unit_test(of_any_damage_comes_a_store_that_loads_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
