/* SPDX-License-Identifier: BSD-3-Clause */
#include "meta/snap-check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "snap-env.h"
#include "snap-disk.h"

enum { CHUNKS = 200, MOST = 180 };	/* MOST exceptions fit */

/* What a check said. */
struct told {
	uint64_t nr, of_entries, entries, begun;
	struct br_snap_finding worst;	/* the first of the worst; its text is a copy */
	char text[400];
	int finding_result, entry_result;
};

static int tell(void *arg, const struct br_snap_finding *f)
{
	struct told *t = arg;

	t->nr++;
	t->of_entries += f->of_entry;
	if (f->severity > t->worst.severity) {
		t->worst = *f;
		snprintf(t->text, sizeof(t->text), "%s", f->text);
	}
	return t->finding_result;
}

static int begin(void *arg, const struct br_snap_verdict *v)
{
	struct told *t = arg;

	assert_int_equal(t->entries, 0);
	assert_true(v->layout.chunk_bytes == CHUNK || v->layout.chunk_bytes == BIG);
	t->begun++;
	return 0;
}

static int entry(void *arg, struct br_snap_entry e, uint64_t index, enum br_snap_fault fault)
{
	struct told *t = arg;

	(void)e;
	(void)index;
	(void)fault;
	t->entries++;
	return t->entry_result;
}

/* Check @d; the device must be as it was afterwards. */
static int check(struct disk *d, const struct br_snap_check_opts *opts, struct told *t, struct br_snap_verdict *v)
{
	const struct br_snap_visitor visitor = { tell, begin, entry, t };
	uint8_t *before = malloc(d->size);
	int r;

	assert_non_null(before);
	memcpy(before, d->bytes, d->size);
	r = br_snap_check(&env, &d->io, opts, &visitor, v);
	assert_memory_equal(before, d->bytes, d->size);
	assert_int_equal(d->writes, 0);
	assert_int_equal(env_bytes, 0);
	assert_int_equal(t->nr, v->nr_findings[1] + v->nr_findings[2] + v->nr_findings[3]);
	free(before);
	return r;
}

static void a_store_that_was_left_whole_is_clean_at_every_fill_level(void **state)
{
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	for (uint64_t n = 0; n <= MOST; n++) {
		struct br_snap_verdict v;
		struct told t = { .nr = 0 };

		disk_make_store(&d, n);
		assert_int_equal(check(&d, NULL, &t, &v), 0);
		assert_int_equal(v.worst, 0);
		assert_int_equal(v.good, n);
		assert_int_equal(t.entries, n);
		assert_int_equal(v.areas, n / E + 1);
		assert_true(v.header_good && v.valid);
		assert_int_equal(v.next_free, 2 + n + n / E);
	}
	disk_done(&d);
}

/* One way to damage a store of 70 exceptions (areas at chunks 1, 34, 67), and what must be said about it. */
struct damage {
	void (*make)(struct disk *d);
	int result, severity;
	uint64_t offset, good;
	const char *text;
};

static void invalid(struct disk *d)
{
	br_snap_header_format(d->bytes, CHUNK / 512, false);
}

static void blank(struct disk *d)
{
	memset(d->bytes, 0, d->size);
}

static void foreign(struct disk *d)
{
	memset(d->bytes, 0xd1, d->size);
}

static void newer(struct disk *d)
{
	d->bytes[8] = 2;
}

static void header_gone(struct disk *d)
{
	memset(d->bytes, 0xff, CHUNK);
}

static void header_zeroed(struct disk *d)
{
	memset(d->bytes, 0, CHUNK);
}

static void header_unreadable(struct disk *d)
{
	d->bad_to = 512;
}

static void new_beyond(struct disk *d)
{
	disk_put(d, 40, disk_old(40), CHUNKS);
}

static void new_is_area(struct disk *d)
{
	disk_put(d, 40, disk_old(40), 67);
}

static void new_twice(struct disk *d)
{
	disk_put(d, 40, disk_old(40), 7);
}

static void old_twice(struct disk *d)
{
	disk_put(d, 40, disk_old(3), 43);
}

static void old_beyond(struct disk *d)
{
	disk_put(d, 40, UINT64_C(1) << 50, 43);
}

/* The table ends after 40; the sectors behind it were written, those at it were not. */
static void torn(struct disk *d)
{
	disk_put(d, 40, 0, 0);
}

static void left_out(struct disk *d)
{
	disk_put(d, 69, disk_old(69), 90);
}

static void truncated(struct disk *d)
{
	d->size = d->io.bytes = 60 * CHUNK;
}

static void truncated_to_a_sector(struct disk *d)
{
	d->size = d->io.bytes = 512;
}

static void truncated_to_nothing(struct disk *d)
{
	d->size = d->io.bytes = 100;
}

static void area_unreadable(struct disk *d)
{
	d->bad_from = 34 * CHUNK;
	d->bad_to = 35 * CHUNK;
}

static void last_area_unreadable(struct disk *d)
{
	d->bad_from = 67 * CHUNK;
	d->bad_to = 68 * CHUNK;
}

static const struct damage damages[] = {
	{ invalid, 0, 3, 4, 70, "marked invalid" },
	{ blank, -ENODATA, 3, 0, 0, "magic number is 0" },
	{ foreign, -EBADMSG, 3, 0, 0, "0xd1d1d1d1" },
	{ newer, -EOVERFLOW, 3, 0, 0, "version 2" },
	{ header_gone, 0, 3, 0, 70, "0xffffffff" },
	{ header_zeroed, 0, 3, 0, 70, "magic number is 0" },
	{ header_unreadable, 0, 3, 0, 70, "cannot be read" },
	{ new_beyond, 0, 3, 34 * CHUNK + 8 * 16, 69, "exception 40 at byte 17536 maps chunk" },
	{ new_is_area, 0, 3, 34 * CHUNK + 8 * 16, 69, "where metadata is" },
	{ new_twice, 0, 3, 34 * CHUNK + 8 * 16, 69, "where an earlier exception has its own" },
	{ old_twice, 0, 3, 34 * CHUNK + 8 * 16, 69, "already mapped by an earlier" },
	{ old_beyond, 0, 3, 34 * CHUNK + 8 * 16, 69, "beyond the end of the origin" },
	{ torn, 0, 2, 34 * CHUNK + 8 * 16, 40, "23 entries lie behind the end of the table (exception 40)" },
	{ left_out, 0, 2, 0, 70, "17 of the chunks up to 90 hold no exception's data" },
	{ truncated, 0, 3, 34 * CHUNK + 25 * 16, 57, "exception 57 at byte 17808 maps chunk" },
	{ truncated_to_a_sector, -EBADMSG, 3, 0, 0, "fewer than 2 chunks" },
	{ truncated_to_nothing, -EBADMSG, 3, 0, 0, "no room for a header" },
	{ area_unreadable, 0, 3, 34 * CHUNK, 38, "place of exceptions 32 to 63 cannot be read" },
	{ last_area_unreadable, 0, 3, 67 * CHUNK, 64, "place of exceptions 64 to 95 cannot be read" },
};

static void each_damage_is_named_with_its_place_and_the_rest_is_still_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(damages); i++) {
		const struct damage *how = &damages[i];
		struct told t = { .nr = 0 };
		struct br_snap_verdict v;
		struct disk d;

		disk_setup(&d, CHUNKS * CHUNK);
		disk_make_store(&d, 70);
		how->make(&d);
		assert_int_equal(check(&d, NULL, &t, &v), how->result);
		if (!strstr(t.text, how->text))
			fail_msg("damage %zu: '%s' is not in '%s'", i, how->text, t.text);
		assert_int_equal(v.worst, how->severity);
		assert_int_equal(t.worst.severity, how->severity);
		assert_int_equal(t.worst.offset, how->offset);
		assert_int_equal(v.good, how->good);
		assert_int_equal(t.begun, v.layout.chunks ? 1 : 0);
		assert_int_equal(t.of_entries, v.bad);
		disk_done(&d);
	}
}

static void what_is_behind_an_unreadable_place_counts_as_unknown(void **state)
{
	struct told t = { .nr = 0 };
	struct br_snap_verdict v;
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 70);
	area_unreadable(&d);
	assert_int_equal(check(&d, NULL, &t, &v), 0);
	assert_int_equal(v.unknown, 32);
	assert_int_equal(v.good, 70 - 32);
	/* Garbage in the next place is not taken for entries. */
	memset(d.bytes + 67 * CHUNK, 0xd1, CHUNK);
	t = (struct told){ .nr = 0 };
	assert_int_equal(check(&d, NULL, &t, &v), 0);
	assert_int_equal(v.good, 32);
	assert_int_equal(v.bad, 0);
	assert_int_equal(v.unknown, 32);
	disk_done(&d);
}

static void a_full_last_area_is_a_table_without_an_end(void **state)
{
	struct told t = { .nr = 0 };
	struct br_snap_verdict v;
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 32);
	d.size = d.io.bytes = 34 * CHUNK;
	assert_int_equal(check(&d, NULL, &t, &v), 0);
	assert_int_equal(v.worst, 3);
	assert_int_equal(v.good, 32);
	assert_non_null(strstr(t.text, "area 1 should be chunk 34, and the store has 34 chunks"));
	disk_done(&d);
}

static void a_large_area_is_read_in_pieces(void **state)
{
	struct told t = { .nr = 0 };
	struct br_snap_verdict v;
	struct disk d;

	(void)state;
	disk_setup_big(&d, 50000, 40000);
	assert_int_equal(check(&d, NULL, &t, &v), 0);
	assert_int_equal(v.worst, 0);
	assert_int_equal(v.good, 40000);
	assert_int_equal(v.areas, 1);
	assert_int_equal(v.next_free, 40002);
	/* The second of four pieces cannot be read: the third goes on. */
	d.bad_from = BIG + BIG / 4;
	d.bad_to = BIG + BIG / 2;
	t = (struct told){ .nr = 0 };
	assert_int_equal(check(&d, NULL, &t, &v), 0);
	assert_int_equal(v.unknown, BIG_PIECE_E);
	assert_int_equal(v.good, 40000 - BIG_PIECE_E);
	assert_int_equal(t.worst.offset, BIG + BIG / 4);
	assert_int_equal(t.worst.length, BIG / 4);
	disk_done(&d);
}

static void the_unused_end_of_a_large_area_is_looked_at_to_its_last_entry(void **state)
{
	struct told t = { .nr = 0 };
	struct br_snap_verdict v;
	struct disk d;

	(void)state;
	disk_setup_big(&d, 50000, 100);
	br_snap_entry_put(d.bytes + BIG, BIG_PIECE_E, (struct br_snap_entry){ 1, 2 });
	br_snap_entry_put(d.bytes + BIG, BIG_E - 1, (struct br_snap_entry){ 1, 2 });
	assert_int_equal(check(&d, NULL, &t, &v), 0);
	assert_int_equal(v.worst, 2);
	assert_int_equal(v.good, 100);
	assert_int_equal(t.worst.offset, BIG + 100 * 16);
	assert_int_equal(t.worst.length, BIG - 100 * 16);
	assert_non_null(strstr(t.text, "2 entries lie behind the end of the table (exception 100)"));
	/* The third piece, where the first of them does not lie. */
	d.bad_from = BIG + BIG / 2;
	d.bad_to = BIG + BIG / 2 + 512;
	t = (struct told){ .nr = 0 };
	assert_int_equal(check(&d, NULL, &t, &v), 0);
	assert_int_equal(v.worst, 3);
	assert_int_equal(v.nr_findings[BR_SNAP_UNCLEAN], 1);
	assert_int_equal(t.worst.offset, BIG + BIG / 2);
	assert_int_equal(v.unknown, 0);
	assert_non_null(strstr(br_error_text(), "2 entries lie behind"));
	/* The end itself in another piece than the first. */
	disk_done(&d);
	disk_setup_big(&d, 50000, BIG_PIECE_E + 100);
	br_snap_entry_put(d.bytes + BIG, BIG_E - 1, (struct br_snap_entry){ 1, 2 });
	t = (struct told){ .nr = 0 };
	assert_int_equal(check(&d, NULL, &t, &v), 0);
	assert_int_equal(t.worst.offset, BIG + (BIG_PIECE_E + 100) * 16);
	disk_done(&d);
}

static void the_origins_size_bounds_old_chunks(void **state)
{
	struct br_snap_check_opts opts = { .origin_bytes = 3 * CHUNK - 1 };
	struct told t = { .nr = 0 };
	struct br_snap_verdict v;
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 4);
	assert_int_equal(check(&d, &opts, &t, &v), 0);
	assert_int_equal(v.good, 3);
	assert_int_equal(v.bad, 1);
	disk_done(&d);
}

static void only_a_deep_check_reads_the_data(void **state)
{
	struct br_snap_check_opts opts = { .deep = true };
	struct told t = { .nr = 0 };
	struct br_snap_verdict v;
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 20);
	d.bad_from = 5 * CHUNK;
	d.bad_to = 6 * CHUNK;
	assert_int_equal(check(&d, NULL, &t, &v), 0);
	assert_int_equal(v.worst, 0);
	t = (struct told){ .nr = 0 };
	assert_int_equal(check(&d, &opts, &t, &v), 0);
	assert_int_equal(v.worst, 3);
	assert_int_equal(v.good, 19);
	assert_non_null(strstr(t.text, "exception 3 at byte 560 maps chunk 15 to 5: its data cannot be read"));
	disk_done(&d);
}

static void a_given_chunk_size_replaces_the_guess_and_nothing_else(void **state)
{
	struct br_snap_check_opts opts = { .chunk_bytes = CHUNK };
	struct told t = { .nr = 0 };
	struct br_snap_verdict v;
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 33);
	disk_put(&d, 0, disk_old(0), 90);	/* the guess would not find it */
	memset(d.bytes, 0xff, 16);
	assert_int_equal(check(&d, NULL, &t, &v), -EBADMSG);
	t = (struct told){ .nr = 0 };
	assert_int_equal(check(&d, &opts, &t, &v), 0);
	assert_int_equal(v.good, 33);
	assert_int_equal(v.nr_findings[BR_SNAP_NOTE], 0);
	assert_false(v.header_good);
	br_snap_header_format(d.bytes, CHUNK / 512, true);
	opts.chunk_bytes = 2048;
	t = (struct told){ .nr = 0 };
	assert_int_equal(check(&d, &opts, &t, &v), 0);
	assert_int_equal(v.layout.chunk_bytes, CHUNK);
	disk_done(&d);
}

static void a_guess_is_noted_once(void **state)
{
	struct told t = { .nr = 0 };
	struct br_snap_verdict v;
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 3);
	header_gone(&d);
	assert_int_equal(check(&d, NULL, &t, &v), 0);
	assert_int_equal(t.nr, 2);
	assert_true(v.valid);
	assert_int_equal(v.nr_findings[BR_SNAP_NOTE], 1);
	assert_non_null(strstr(br_error_text(), "looks like chunks of 512 bytes"));
	t = (struct told){ .finding_result = 5 };
	assert_int_equal(check(&d, NULL, &t, &v), 5);
	assert_int_equal(t.nr, 1);
	assert_int_equal(t.begun, 0);
	disk_done(&d);
}

static void whatever_a_visitor_returns_ends_the_check(void **state)
{
	struct told t = { .finding_result = 1 };
	struct br_snap_verdict v;
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 70);
	new_twice(&d);
	assert_int_equal(check(&d, NULL, &t, &v), 1);
	assert_int_equal(t.nr, 1);
	assert_int_equal(t.entries, 40);
	t = (struct told){ .entry_result = -77 };
	assert_int_equal(check(&d, NULL, &t, &v), -77);
	assert_int_equal(t.entries, 1);
	disk_done(&d);
}

static void no_memory_ends_the_check_and_leaks_nothing(void **state)
{
	struct disk d;
	int r, n = 0;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 70);
	do {
		struct told t = { .nr = 0 };
		struct br_snap_verdict v;

		env_fail_in = n++;
		r = check(&d, NULL, &t, &v);
		env_fail_in = -1;
		assert_true(r == 0 || r == -ENOMEM);
	} while (r < 0);
	assert_int_equal(n, 5);
	disk_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_that_was_left_whole_is_clean_at_every_fill_level),
		cmocka_unit_test(each_damage_is_named_with_its_place_and_the_rest_is_still_found),
		cmocka_unit_test(what_is_behind_an_unreadable_place_counts_as_unknown),
		cmocka_unit_test(a_full_last_area_is_a_table_without_an_end),
		cmocka_unit_test(a_large_area_is_read_in_pieces),
		cmocka_unit_test(the_unused_end_of_a_large_area_is_looked_at_to_its_last_entry),
		cmocka_unit_test(the_origins_size_bounds_old_chunks),
		cmocka_unit_test(only_a_deep_check_reads_the_data),
		cmocka_unit_test(a_given_chunk_size_replaces_the_guess_and_nothing_else),
		cmocka_unit_test(a_guess_is_noted_once),
		cmocka_unit_test(whatever_a_visitor_returns_ends_the_check),
		cmocka_unit_test(no_memory_ends_the_check_and_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
