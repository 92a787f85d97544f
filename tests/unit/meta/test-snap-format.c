/* SPDX-License-Identifier: BSD-3-Clause */
#include "meta/snap-format.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "snap-env.h"

enum { SMALLEST = 3, LARGEST = 1100, ORIGIN = 5000 };

/*
 * The layout as the format's text says it, written without any arithmetic of the library: walk the chunks from the
 * first and count.  True: metadata.
 */
static void walk_layout(bool *meta, uint64_t chunks, uint64_t entries)
{
	uint64_t until_area = 0;

	for (uint64_t c = 0; c < chunks; c++) {
		meta[c] = c == 0 || until_area == 0;
		if (c)
			until_area = until_area == 0 ? entries : until_area - 1;
	}
}

static struct br_snap_layout layout_of(uint64_t chunk_bytes, uint64_t chunks)
{
	struct br_snap_layout l;

	assert_int_equal(br_snap_layout_init(&l, chunk_bytes, chunks * chunk_bytes), 0);
	return l;
}

static void assert_sentence(const char *part)
{
	if (!strstr(br_error_text(), part))
		fail_msg("'%s' is not in '%s'", part, br_error_text());
}

/* ---- layout ---- */

static void chunk_sizes_that_no_store_has_are_refused(void **state)
{
	static const uint64_t bad[] = { 0, 1, 16, 256, 513, 768, 3 * 4096, UINT64_C(1) << 31, UINT64_C(1) << 63,
					UINT64_MAX };
	struct br_snap_layout l = { .entries = 77 };

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(bad); i++)
		assert_int_equal(br_snap_layout_init(&l, bad[i], UINT64_C(1) << 40), -EINVAL);
	assert_sentence("chunk size 18446744073709551615");
	assert_int_equal(l.entries, 77);
	for (uint64_t good = 512; good <= UINT64_C(1) << 30; good *= 2)
		assert_int_equal(br_snap_layout_init(&l, good, UINT64_C(1) << 40), 0);
}

static void what_we_create_has_chunks_from_4_kib_and_room_for_one(void **state)
{
	struct br_snap_layout l;

	(void)state;
	assert_int_equal(br_snap_layout_init_create(&l, 2048, 1 << 20), -EINVAL);
	assert_int_equal(br_snap_layout_init_create(&l, 4096, 3 * 4096 - 1), -EINVAL);
	assert_sentence("fewer than 3 chunks");
	assert_int_equal(br_snap_layout_init_create(&l, 4096, 3 * 4096), 0);
	assert_int_equal(br_snap_layout_init_create(&l, 1 << 30, UINT64_C(3) << 30), 0);
}

static void device_sizes_are_bounded_on_both_sides(void **state)
{
	struct br_snap_layout l;

	(void)state;
	assert_int_equal(br_snap_layout_init(&l, 4096, 0), -EINVAL);
	assert_int_equal(br_snap_layout_init(&l, 4096, 8191), -EINVAL);
	assert_int_equal(br_snap_layout_init(&l, 4096, 8192), 0);
	assert_int_equal(l.chunks, 2);
	assert_int_equal(br_snap_layout_init(&l, 512, UINT64_C(1) << 57), 0);
	assert_int_equal(l.chunks, UINT64_C(1) << 48);
	assert_int_equal(br_snap_layout_init(&l, 512, (UINT64_C(1) << 57) + 1), -EINVAL);
	assert_int_equal(br_snap_layout_init(&l, 512, UINT64_MAX), -EINVAL);
}

static void metadata_chunks_are_those_of_the_walk_for_every_chunk_size(void **state)
{
	static bool meta[70000];

	(void)state;
	for (uint64_t sectors = 1; sectors <= 1024; sectors *= 2) {
		struct br_snap_layout l = layout_of(sectors * 512, BR_ARRAY_SIZE(meta));
		uint64_t area = 0;

		assert_int_equal(l.entries, sectors * 32);
		walk_layout(meta, l.chunks, l.entries);
		for (uint64_t c = 0; c < l.chunks; c++) {
			assert_int_equal(br_snap_is_meta(&l, c), meta[c]);
			if (c && meta[c])
				assert_int_equal(br_snap_area_chunk(&l, area++), c);
		}
	}
}

static void areas_of_4_kib_chunks_lie_where_the_kernel_puts_them(void **state)
{
	struct br_snap_layout l = layout_of(4096, 1000);

	(void)state;
	assert_int_equal(br_snap_area_chunk(&l, 0), 1);
	assert_int_equal(br_snap_area_chunk(&l, 1), 258);
	assert_int_equal(br_snap_area_chunk(&l, 2), 515);
	assert_int_equal(br_snap_area_chunk(&l, 3), 772);
	assert_int_equal(br_snap_area_chunk(&l, UINT64_MAX / 2), UINT64_MAX);
	assert_int_equal(br_snap_area_chunk(&l, UINT64_MAX), UINT64_MAX);
}

static void a_data_chunk_is_the_first_that_is_not_metadata(void **state)
{
	static bool meta[70000];

	(void)state;
	for (uint64_t sectors = 1; sectors <= 1024; sectors *= 2) {
		struct br_snap_layout l = layout_of(sectors * 512, BR_ARRAY_SIZE(meta));

		walk_layout(meta, l.chunks, l.entries);
		for (uint64_t c = 0; c + 2 < l.chunks; c++) {
			uint64_t expect = c;

			while (meta[expect])
				expect++;
			assert_int_equal(br_snap_data_chunk(&l, c), expect);
		}
	}
}

static void entries_lie_in_their_area_and_nowhere_else(void **state)
{
	struct br_snap_layout l = layout_of(4096, 1000);

	(void)state;
	assert_int_equal(br_snap_entry_offset(&l, 0), 4096);
	assert_int_equal(br_snap_entry_offset(&l, 255), 4096 + 255 * 16);
	assert_int_equal(br_snap_entry_offset(&l, 256), 258 * 4096);
	assert_int_equal(br_snap_entry_offset(&l, 513), 515 * 4096 + 16);
}

/* ---- header ---- */

static void a_header_reads_back_as_it_was_written(void **state)
{
	uint8_t sector[BR_SNAP_HEADER_BYTES];
	struct br_snap_header h;

	(void)state;
	for (uint32_t c = 1; c <= 1 << 21; c *= 2) {
		memset(sector, 0xee, sizeof(sector));
		br_snap_header_format(sector, c, c & 0x55);
		assert_int_equal(br_snap_header_parse(sector, &h), 0);
		assert_int_equal(h.chunk_sectors, c);
		assert_int_equal(h.valid, (c & 0x55) != 0);
		for (size_t i = 16; i < sizeof(sector); i++)
			assert_int_equal(sector[i], 0);
	}
}

static void a_header_has_the_kernels_bytes(void **state)
{
	static const uint8_t expect[16] = { 0x53, 0x6e, 0x41, 0x70, 1, 0, 0, 0, 1, 0, 0, 0, 0x80, 0, 0, 0 };
	uint8_t sector[BR_SNAP_HEADER_BYTES];

	(void)state;
	br_snap_header_format(sector, 128, true);
	assert_memory_equal(sector, expect, sizeof(expect));
}

static int parse_with(uint32_t word, uint32_t value)
{
	uint8_t sector[BR_SNAP_HEADER_BYTES];
	struct br_snap_header h = { .chunk_sectors = 99 };
	int r;

	br_snap_header_format(sector, 16, true);
	for (int i = 0; i < 4; i++)
		sector[4 * word + (uint32_t)i] = (uint8_t)(value >> 8 * i);
	r = br_snap_header_parse(sector, &h);
	if (r < 0)
		assert_int_equal(h.chunk_sectors, 99);
	return r;
}

static void blank_foreign_and_newer_headers_are_different_errors(void **state)
{
	(void)state;
	assert_int_equal(parse_with(0, 0), -ENODATA);
	assert_int_equal(parse_with(0, 0x5346584b), -EBADMSG);
	assert_sentence("0x5346584b");
	assert_int_equal(parse_with(2, 0), -EBADMSG);
	assert_int_equal(parse_with(2, 2), -EOVERFLOW);
	assert_sentence("version 2");
	assert_int_equal(parse_with(2, UINT32_MAX), -EOVERFLOW);
	assert_int_equal(parse_with(1, 0), 0);
	assert_int_equal(parse_with(1, 0x80000000), 0);
}

static void chunk_sizes_that_cannot_be_are_refused_in_a_header(void **state)
{
	static const uint32_t bad[] = { 0, 3, 24, 1 << 22, UINT32_C(1) << 31, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_with(3, bad[i]), -EBADMSG);
	assert_sentence("4294967295 sectors");
}

/* The first sector is written whole or not at all; a disk that tears it must not make us see a store in the rest. */
static void a_header_torn_at_any_byte_is_never_taken_for_another(void **state)
{
	uint8_t sector[BR_SNAP_HEADER_BYTES], torn[BR_SNAP_HEADER_BYTES];
	struct br_snap_header h;

	(void)state;
	br_snap_header_format(sector, 2048, true);
	for (size_t n = 0; n <= 16; n++) {
		int r;

		memset(torn, 0, sizeof(torn));
		memcpy(torn, sector, n);
		r = br_snap_header_parse(torn, &h);
		/* chunk size 2048 has its only nonzero byte at 13 */
		assert_int_equal(r, n == 0 ? -ENODATA : n < 14 ? -EBADMSG : 0);
		if (r == 0)
			assert_int_equal(h.chunk_sectors, 2048);
	}
}

/* ---- allocation ---- */

/*
 * The model: hand out data chunks in order, and stop as soon as the table, terminator included, would not fit.
 * Returns the number of exceptions that the store can hold.
 */
static uint64_t model_capacity(const bool *meta, uint64_t chunks, uint64_t entries)
{
	uint64_t areas = 0, data = 0;

	for (uint64_t c = 1; c < chunks; c++) {
		if (meta[c])
			areas++;
		else
			data++;
	}
	/* One slot less than all areas have: the terminator. */
	return BR_MIN(data, areas * entries - 1);
}

static uint64_t fill(const struct br_snap_layout *l, const bool *meta)
{
	uint64_t next = br_snap_data_chunk(l, 0), n = 0;

	while (br_snap_may_allocate(l, n, next) == 0) {
		assert_true(next < l->chunks);
		assert_false(meta[next]);
		next = br_snap_data_chunk(l, next + 1);
		n++;
	}
	return n;
}

static void a_store_of_any_small_size_takes_what_the_model_takes(void **state)
{
	static bool meta[LARGEST];

	(void)state;
	for (uint64_t sectors = 1; sectors <= 1024; sectors *= 2) {
		for (uint64_t chunks = SMALLEST; chunks <= LARGEST; chunks++) {
			struct br_snap_layout l = layout_of(sectors * 512, chunks);

			walk_layout(meta, chunks, l.entries);
			assert_int_equal(fill(&l, meta), model_capacity(meta, chunks, l.entries));
		}
	}
}

static void the_256th_exception_in_258_chunks_is_refused_as_full(void **state)
{
	struct br_snap_layout l = layout_of(4096, 258);

	(void)state;
	assert_int_equal(br_snap_may_allocate(&l, 254, 256), 0);
	assert_int_equal(br_snap_may_allocate(&l, 255, 257), -ENOSPC);
	assert_sentence("no room for another area");
	l = layout_of(4096, 259);
	assert_int_equal(br_snap_may_allocate(&l, 255, 257), 0);
	assert_int_equal(br_snap_may_allocate(&l, 256, 259), -ENOSPC);
	assert_sentence("no chunk is left of 259");
}

static void a_store_of_the_computed_size_holds_every_chunk_of_the_origin(void **state)
{
	static bool meta[LARGEST];

	(void)state;
	for (uint64_t sectors = 1; sectors <= 8; sectors *= 2) {
		uint64_t cb = sectors * 512;

		for (uint64_t origin = 1; origin < LARGEST - 40; origin++) {
			uint64_t bytes = br_snap_store_bytes(origin * cb - 1, cb);
			struct br_snap_layout l = layout_of(cb, bytes / cb);

			assert_int_equal(bytes % cb, 0);
			assert_true(l.chunks <= LARGEST);
			walk_layout(meta, l.chunks, l.entries);
			assert_true(fill(&l, meta) >= origin);
		}
	}
}

static void the_computed_size_is_lvms_and_saturates(void **state)
{
	(void)state;
	assert_int_equal(br_snap_store_bytes(256 * 4096, 4096), (1 + 256 + 2) * 4096);
	assert_int_equal(br_snap_store_bytes(255 * 4096, 4096), (1 + 255 + 1) * 4096);
	assert_int_equal(br_snap_store_bytes(0, 4096), 2 * 4096);
	assert_int_equal(br_snap_store_bytes(UINT64_MAX, 4096), UINT64_MAX);
	assert_int_equal(br_snap_store_bytes(1 << 20, 0), UINT64_MAX);
}

/* ---- areas and loading ---- */

static void trimming_zeroes_the_tail_and_says_whether_it_was_stale(void **state)
{
	struct br_snap_layout l = layout_of(512, 100);
	uint8_t area[512] = { 0 };

	(void)state;
	assert_int_equal(br_snap_area_used(&l, area), 0);
	br_snap_entry_put(area, 0, (struct br_snap_entry){ 7, 2 });
	br_snap_entry_put(area, 1, (struct br_snap_entry){ 9, 3 });
	assert_int_equal(br_snap_area_used(&l, area), 2);
	assert_false(br_snap_area_trim(&l, area, 2));
	br_snap_entry_put(area, 31, (struct br_snap_entry){ 0, 4 });
	assert_int_equal(br_snap_area_used(&l, area), 2);
	assert_true(br_snap_area_trim(&l, area, 2));
	assert_false(br_snap_area_trim(&l, area, 2));
	br_snap_entry_put(area, 2, (struct br_snap_entry){ 1, 0 });
	assert_true(br_snap_area_trim(&l, area, 2));
	assert_int_equal(br_snap_entry_get(area, 1).old_chunk, 9);
	assert_int_equal(br_snap_entry_get(area, 2).old_chunk, 0);
	assert_false(br_snap_area_trim(&l, area, 32));
}

static void a_full_area_is_used_to_its_end_and_not_beyond(void **state)
{
	struct br_snap_layout l = layout_of(512, 100);
	uint8_t area[512 + 16];

	(void)state;
	memset(area, 1, sizeof(area));
	assert_int_equal(br_snap_area_used(&l, area), 32);
	assert_false(br_snap_area_trim(&l, area, 32));
	assert_int_equal(area[511], 1);
}

/* A store in memory, 512-byte chunks; only its areas matter here. */
struct store {
	struct br_snap_layout l;
	uint8_t *bytes;
	struct br_snap_entry seen[LARGEST];
	uint64_t nr_seen;
	int fn_result;
};

static void store_setup(struct store *s, uint64_t chunks)
{
	*s = (struct store){ .l = layout_of(512, chunks), .bytes = calloc(chunks, 512) };
	assert_non_null(s->bytes);
}

static void store_put(struct store *s, uint64_t index, uint64_t old_chunk, uint64_t new_chunk)
{
	br_snap_entry_put(s->bytes + br_snap_entry_offset(&s->l, index), 0,
			  (struct br_snap_entry){ old_chunk, new_chunk });
}

/* @n exceptions in order, old chunks 3 * i. */
static void store_fill(struct store *s, uint64_t n)
{
	uint64_t next = 2;

	for (uint64_t i = 0; i < n; i++) {
		store_put(s, i, 3 * i, next);
		next = br_snap_data_chunk(&s->l, next + 1);
	}
}

static int see(void *arg, struct br_snap_entry e, uint64_t index)
{
	struct store *s = arg;

	assert_int_equal(index, s->nr_seen);
	s->seen[s->nr_seen++] = e;
	return s->fn_result;
}

static int store_load(struct store *s, struct br_snap_loaded *ret)
{
	struct br_snap_loader *loader = NULL;
	int r;

	s->nr_seen = 0;
	assert_int_equal(br_snap_loader_new(&env, &s->l, ORIGIN, &loader), 0);
	do {
		uint64_t chunk = br_snap_loader_chunk(loader);

		assert_true(chunk < s->l.chunks);
		r = br_snap_loader_area(loader, s->bytes + chunk * 512, see, s);
	} while (r == 1);
	br_snap_loader_result(loader, ret);
	br_snap_loader_free(loader);
	assert_int_equal(env_bytes, 0);
	return r;
}

static void whatever_was_stored_is_loaded_and_allocation_goes_on_after_it(void **state)
{
	struct br_snap_loaded end;
	struct store s;

	(void)state;
	store_setup(&s, LARGEST);
	for (uint64_t n = 0; n <= 1065; n++) {
		uint64_t highest;

		store_fill(&s, n);
		assert_int_equal(store_load(&s, &end), 0);
		assert_int_equal(s.nr_seen, n);
		assert_int_equal(end.count, n);
		assert_int_equal(end.area * s.l.entries + end.used, n);
		highest = n ? s.seen[n - 1].new_chunk : 1;
		assert_true(end.next_free > highest);
		assert_false(br_snap_is_meta(&s.l, end.next_free));
		assert_true(end.next_free - highest <= 2);
		if (n)
			assert_int_equal(s.seen[n - 1].old_chunk, 3 * (n - 1));
	}
	free(s.bytes);
}

static void chunks_left_out_by_a_crash_are_not_handed_out_below_the_highest(void **state)
{
	struct br_snap_loaded end;
	struct store s;

	(void)state;
	store_setup(&s, 100);
	store_put(&s, 0, 5, 30);
	store_put(&s, 1, 6, 4);
	assert_int_equal(store_load(&s, &end), 0);
	assert_int_equal(end.next_free, 31);
	store_put(&s, 0, 5, 33);	/* 34 is area 1 */
	assert_int_equal(store_load(&s, &end), 0);
	assert_int_equal(end.next_free, 35);
	free(s.bytes);
}

static void every_illegal_field_is_refused_with_its_place(void **state)
{
	static const struct {
		uint64_t old_chunk, new_chunk;
		const char *text;
	} bad[] = {
		{ 1, 1, "where metadata is" },
		{ 1, 34, "where metadata is" },
		{ 1, 67, "where metadata is" },
		{ 1, 100, "beyond the end of the store" },
		{ 1, UINT64_C(1) << 48, "beyond the end of the store" },
		{ 1, (UINT64_C(1) << 56) + 3, "beyond the end of the store" },
		{ 1, UINT64_MAX, "beyond the end of the store" },
		{ ORIGIN, 20, "beyond the end of the origin" },
		{ UINT64_C(1) << 48, 20, "beyond the end of the origin" },
		{ UINT64_MAX, 20, "beyond the end of the origin" },
		{ 1, 2, "where an earlier exception" },
		{ 1, 8, "where an earlier exception" },
	};
	struct br_snap_loaded end;
	struct store s;

	(void)state;
	store_setup(&s, 100);
	store_fill(&s, 9);
	for (size_t i = 0; i < BR_ARRAY_SIZE(bad); i++) {
		store_put(&s, 7, bad[i].old_chunk, bad[i].new_chunk);
		assert_int_equal(store_load(&s, &end), -EBADMSG);
		assert_sentence(bad[i].text);
		assert_int_equal(s.nr_seen, 7);
		assert_sentence("exception 7 at byte 624 ");
	}
	free(s.bytes);
}

static void a_full_last_area_without_room_for_the_next_is_refused(void **state)
{
	struct br_snap_loaded end;
	struct store s;

	(void)state;
	store_setup(&s, 34);
	store_fill(&s, 31);
	assert_int_equal(store_load(&s, &end), 0);
	assert_int_equal(end.count, 31);
	store_fill(&s, 32);
	assert_int_equal(store_load(&s, &end), -EBADMSG);
	assert_sentence("exception 31 at byte 1008 maps chunk 93 to 33: it fills the last area");
	free(s.bytes);
}

static void what_follows_the_terminator_is_not_loaded(void **state)
{
	struct br_snap_loaded end;
	struct store s;

	(void)state;
	store_setup(&s, 100);
	store_fill(&s, 3);
	store_put(&s, 4, UINT64_MAX, UINT64_MAX);
	assert_int_equal(store_load(&s, &end), 0);
	assert_int_equal(end.count, 3);
	free(s.bytes);
}

static void the_callers_no_ends_the_load(void **state)
{
	struct br_snap_loaded end;
	struct store s;

	(void)state;
	store_setup(&s, 100);
	store_fill(&s, 3);
	s.fn_result = -EEXIST;
	assert_int_equal(store_load(&s, &end), -EEXIST);
	assert_int_equal(s.nr_seen, 1);
	assert_int_equal(end.count, 0);
	free(s.bytes);
}

static void a_repeated_old_chunk_is_named_like_any_other_fault(void **state)
{
	struct br_snap_layout l = layout_of(512, 100);
	struct br_snap_loader *loader = NULL;

	(void)state;
	assert_int_equal(br_snap_loader_new(&env, &l, ORIGIN, &loader), 0);
	assert_int_equal(br_snap_loader_old_twice(loader, (struct br_snap_entry){ 4, 9 }, 33), -EBADMSG);
	assert_sentence("exception 33 at byte 17424 maps chunk 4 to 9: its chunk is already mapped");
	br_snap_loader_free(loader);
	br_snap_loader_free(NULL);
}

static void no_memory_for_the_loader_is_an_error_and_leaks_nothing(void **state)
{
	struct br_snap_layout l = layout_of(512, 100);
	struct br_snap_loader *loader = NULL;
	struct store s;

	(void)state;
	env_fail_in = 0;
	assert_int_equal(br_snap_loader_new(&env, &l, ORIGIN, &loader), -ENOMEM);
	assert_null(loader);
	store_setup(&s, 100);
	store_fill(&s, 3);
	env_fail_in = 1;
	assert_int_equal(br_snap_loader_new(&env, &s.l, ORIGIN, &loader), 0);
	assert_int_equal(br_snap_loader_area(loader, s.bytes + 512, see, &s), -ENOMEM);
	env_fail_in = -1;
	br_snap_loader_free(loader);
	assert_int_equal(env_bytes, 0);
	free(s.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunk_sizes_that_no_store_has_are_refused),
		cmocka_unit_test(what_we_create_has_chunks_from_4_kib_and_room_for_one),
		cmocka_unit_test(device_sizes_are_bounded_on_both_sides),
		cmocka_unit_test(metadata_chunks_are_those_of_the_walk_for_every_chunk_size),
		cmocka_unit_test(areas_of_4_kib_chunks_lie_where_the_kernel_puts_them),
		cmocka_unit_test(a_data_chunk_is_the_first_that_is_not_metadata),
		cmocka_unit_test(entries_lie_in_their_area_and_nowhere_else),
		cmocka_unit_test(a_header_reads_back_as_it_was_written),
		cmocka_unit_test(a_header_has_the_kernels_bytes),
		cmocka_unit_test(blank_foreign_and_newer_headers_are_different_errors),
		cmocka_unit_test(chunk_sizes_that_cannot_be_are_refused_in_a_header),
		cmocka_unit_test(a_header_torn_at_any_byte_is_never_taken_for_another),
		cmocka_unit_test(a_store_of_any_small_size_takes_what_the_model_takes),
		cmocka_unit_test(the_256th_exception_in_258_chunks_is_refused_as_full),
		cmocka_unit_test(a_store_of_the_computed_size_holds_every_chunk_of_the_origin),
		cmocka_unit_test(the_computed_size_is_lvms_and_saturates),
		cmocka_unit_test(trimming_zeroes_the_tail_and_says_whether_it_was_stale),
		cmocka_unit_test(a_full_area_is_used_to_its_end_and_not_beyond),
		cmocka_unit_test(whatever_was_stored_is_loaded_and_allocation_goes_on_after_it),
		cmocka_unit_test(chunks_left_out_by_a_crash_are_not_handed_out_below_the_highest),
		cmocka_unit_test(every_illegal_field_is_refused_with_its_place),
		cmocka_unit_test(a_full_last_area_without_room_for_the_next_is_refused),
		cmocka_unit_test(what_follows_the_terminator_is_not_loaded),
		cmocka_unit_test(the_callers_no_ends_the_load),
		cmocka_unit_test(a_repeated_old_chunk_is_named_like_any_other_fault),
		cmocka_unit_test(no_memory_for_the_loader_is_an_error_and_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
