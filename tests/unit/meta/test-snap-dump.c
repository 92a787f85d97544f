/* SPDX-License-Identifier: BSD-3-Clause */
#include "meta/snap-dump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "meta/snap-restore.h"
#include "snap-env.h"
#include "snap-disk.h"

enum { CHUNKS = 200, MOST = 180, TEXT = 512 * 1024 };

struct text {
	char bytes[TEXT];
	size_t len;
	int lines, stop_at;		/* the stop_at-th line is refused, from 1 on; 0: none */
};

static int append(void *arg, const char *line, size_t len)
{
	struct text *t = arg;

	assert_int_equal(line[len - 1], '\n');
	assert_true(t->len + len < sizeof(t->bytes));
	memcpy(t->bytes + t->len, line, len);
	t->len += len;
	t->bytes[t->len] = 0;
	return ++t->lines == t->stop_at ? 9 : 0;
}

static int dump(struct disk *d, struct text *t)
{
	struct br_snap_verdict v;

	t->len = 0;
	t->lines = 0;
	t->bytes[0] = 0;
	return br_snap_dump(&env, &d->io, NULL, append, t, &v);
}

/* Feed @text line by line.  The first error, or the result of the end. */
static int restore(struct disk *d, const char *text, uint64_t *ret_count)
{
	struct br_snap_restore *rs;
	int r;

	assert_int_equal(br_snap_restore_new(&env, &d->io, &rs), 0);
	do {
		const char *end = strchr(text, '\n');
		size_t len = end ? (size_t)(end + 1 - text) : strlen(text);
		char *line = malloc(len + 1);

		/* By itself, and with a digit behind it that is not part of it. */
		assert_non_null(line);
		memcpy(line, text, len);
		line[len] = '7';
		r = br_snap_restore_line(rs, line, len);
		free(line);
		text += len;
	} while (r == 0 && *text);
	if (r == 0)
		r = br_snap_restore_end(rs, ret_count);
	br_snap_restore_free(rs);
	assert_int_equal(env_bytes, 0);
	return r;
}

static void a_dump_is_the_text_that_the_header_file_shows(void **state)
{
	static struct text t;
	struct disk d;

	(void)state;
	disk_setup(&d, 100 * CHUNK);
	disk_make_store(&d, 34);
	assert_int_equal(dump(&d, &t), 0);
	assert_non_null(strstr(t.bytes, "snapshot-store 1\nchunk-bytes 512\nvalid yes\nchunks 100\nmap 0 2 3\n"
					"map 15 5 3\n"));
	/* A run ends at the area. */
	assert_non_null(strstr(t.bytes, "map 150 32 2\nmap 152 35 1\nmap 165 36 1\nend 34\n"));
	disk_done(&d);
}

static void restoring_a_dump_gives_the_same_metadata_at_every_fill_level(void **state)
{
	static struct text t;
	struct disk d, copy;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_setup(&copy, CHUNKS * CHUNK);
	for (uint64_t n = 0; n <= MOST; n++) {
		uint64_t count = 0;

		disk_make_store(&d, n);
		assert_int_equal(dump(&d, &t), 0);
		/* The data lies there, the metadata is lost. */
		memcpy(copy.bytes, d.bytes, d.size);
		for (uint64_t c = 0; c < CHUNKS; c++) {
			struct br_snap_layout l = disk_layout(&d);

			if (br_snap_is_meta(&l, c) && c < 2 + n + n / E)
				memset(copy.bytes + c * CHUNK, 0xee, CHUNK);
		}
		assert_int_equal(restore(&copy, t.bytes, &count), 0);
		assert_int_equal(count, n);
		assert_memory_equal(copy.bytes, d.bytes, d.size);
	}
	disk_done(&copy);
	disk_done(&d);
}

static void a_large_area_is_restored_in_pieces_and_zero_to_its_end(void **state)
{
	static struct text t;
	static const uint64_t counts[] = { 0, 1, BIG_PIECE_E - 1, BIG_PIECE_E, BIG_PIECE_E + 1, 40000, BIG_E - 1 };
	struct disk d, copy;

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(counts); i++) {
		uint64_t count = 0;

		disk_setup_big(&d, 2 * BIG_E, counts[i]);
		disk_setup_big(&copy, 2 * BIG_E, 0);
		memset(copy.bytes, 0xee, 2 * BIG);
		assert_int_equal(dump(&d, &t), 0);
		assert_int_equal(restore(&copy, t.bytes, &count), 0);
		assert_int_equal(count, counts[i]);
		assert_memory_equal(copy.bytes, d.bytes, BR_SNAP_PIECE_MAX);
		assert_memory_equal(copy.bytes + BIG, d.bytes + BIG, BIG);
		disk_done(&copy);
		disk_done(&d);
	}
}

static void whoever_takes_the_text_can_stop_at_every_line(void **state)
{
	static struct text t;
	struct disk d;
	int r;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 50);
	disk_put(&d, 10, disk_old(10), 7);
	for (t.stop_at = 1; (r = dump(&d, &t)) == 9; t.stop_at++)
		assert_int_equal(t.lines, t.stop_at);
	assert_int_equal(r, 0);
	assert_int_equal(t.lines, t.stop_at - 1);
	assert_true(t.lines > 20);
	t.stop_at = 0;
	disk_done(&d);
}

static void a_dump_of_an_invalid_store_restores_to_an_invalid_one(void **state)
{
	static struct text t;
	uint64_t count;
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 5);
	br_snap_header_format(d.bytes, 1, false);
	assert_int_equal(dump(&d, &t), 0);
	assert_non_null(strstr(t.bytes, "# lost: the store is marked invalid"));
	assert_non_null(strstr(t.bytes, "\nvalid no\n"));
	assert_int_equal(restore(&d, t.bytes, &count), 0);
	assert_int_equal(d.bytes[4], 0);
	disk_done(&d);
}

static void what_a_damaged_store_lost_stands_in_comments_and_the_rest_restores(void **state)
{
	static struct text t;
	uint64_t count = 0;
	struct disk d;

	(void)state;
	disk_setup(&d, CHUNKS * CHUNK);
	disk_make_store(&d, 50);
	disk_put(&d, 10, disk_old(10), 7);
	assert_int_equal(dump(&d, &t), 0);
	assert_non_null(strstr(t.bytes, "map 45 11 1\n# lost: exception 10 at byte 672 maps chunk 46 to 7: "));
	assert_non_null(strstr(t.bytes, "\nmap 47 13 1\n"));
	assert_int_equal(restore(&d, t.bytes, &count), 0);
	assert_int_equal(count, 49);
	assert_int_equal(dump(&d, &t), 0);
	assert_null(strstr(t.bytes, "# lost"));
	disk_done(&d);
}

#define HEAD "snapshot-store 1\nchunk-bytes 512\nvalid yes\n"

static void a_dump_that_cannot_be_is_refused_with_its_line(void **state)
{
	static const struct {
		int result;
		const char *text, *says;
	} bad[] = {
		{ -EBADMSG, "", "breaks off after line 1" },
		{ -EBADMSG, HEAD "map 0 2 1\n", "breaks off after line 4" },
		{ -EBADMSG, HEAD "map 0 2 1\nend 2\n", "line 5 of the dump counts 2 exceptions, there were 1" },
		{ -EBADMSG, HEAD "end 0\nmap 0 2 1\n", "line 5 of the dump: there is something after the end" },
		{ -EBADMSG, "chunk-bytes 512\nvalid yes\nend 0\n", "line 3 of the dump: snapshot-store" },
		{ -EBADMSG, "snapshot-store 1\nvalid yes\nend 0\n", "line 3 of the dump: snapshot-store" },
		{ -EBADMSG, "snapshot-store 1\nchunk-bytes 512\nend 0\n", "line 3 of the dump: snapshot-store" },
		{ -EBADMSG, "snapshot-store 2\n", "another version" },
		{ -EBADMSG, "snapshot-store\n", "not a line" },
		{ -EBADMSG, "chunk-bytes 1000\n", "not a chunk size" },
		{ -EBADMSG, "chunk-bytes 2147483648\n", "not a chunk size" },
		{ -EBADMSG, HEAD "map 0 2 1\nchunk-bytes 1024\n", "comes too late" },
		{ -EBADMSG, "valid perhaps\n", "line 1 of the dump: not a number" },
		{ -EBADMSG, HEAD "map 0 2\n", "not a line" },
		{ -EBADMSG, HEAD "mop 0 2 1\n", "not a line" },
		{ -EBADMSG, HEAD "and 0\n", "not a line" },
		{ -EBADMSG, HEAD "endive 0\n", "not a line" },
		{ -EBADMSG, HEAD "end\n", "not a line" },
		{ -EBADMSG, "valid\n", "not a line" },
		{ -EBADMSG, "valid 1\n", "not a line" },
		{ -EBADMSG, "chunks yes\n", "not a line" },
		{ -EBADMSG, "valid yes no\n", "one too many" },
		{ -EBADMSG, "valid no 1\n", "one too many" },
		{ -EBADMSG, "valid 1 yes\n", "not a number" },
		{ -EBADMSG, "chunks\n", "not a line" },
		{ -EBADMSG, "chunks 7 8\n", "not a line" },
		{ -EBADMSG, "chunk-bytes 256\n", "not a chunk size" },
		{ -EBADMSG, "chunk-bytes 0\n", "not a chunk size" },
		{ -EBADMSG, HEAD "map 0 2 1 1\n", "one too many" },
		{ -EBADMSG, HEAD "map 0 0x2 1\n", "not a number" },
		{ -EBADMSG, HEAD "map -1 2 1\n", "not a number" },
		{ -EBADMSG, HEAD "map 18446744073709551616 2 1\n", "not a number" },
		{ -EBADMSG, HEAD "map 18446744073709551615 2 1\n", "below 2^48" },
		{ -EBADMSG, HEAD "map 281474976710656 2 1\n", "beyond the end of the origin" },
		{ -EBADMSG, HEAD "map 0 0 1\n", "maps chunk 0 to 0: its data lies where metadata is" },
		{ -EBADMSG, HEAD "map 0 33 2\n", "maps chunk 1 to 34: its data lies where metadata is" },
		{ -EBADMSG, HEAD "map 0 2 2\nmap 9 3 1\n", "line 5 of the dump maps chunk 9 to 3: its data lies" },
		{ -EBADMSG, HEAD "map 0 2 2\nmap 1 9 1\n", "line 5 of the dump maps chunk 1 to 9: its chunk" },
		{ -ENOSPC, HEAD "map 0 99 2\n", "needs chunk 100, the store has 100" },
		{ -EBADMSG, HEAD "map 0 2 18446744073709551615\n", "maps chunk 32 to 34" },
	};

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(bad); i++) {
		uint64_t count = 77;
		struct disk d;

		disk_setup(&d, 100 * CHUNK);
		disk_make_store(&d, 3);
		assert_int_equal(restore(&d, bad[i].text, &count), bad[i].result);
		if (!strstr(br_error_text(), bad[i].says))
			fail_msg("case %zu: '%s' is not in '%s'", i, bad[i].says, br_error_text());
		assert_int_equal(count, 77);
		disk_done(&d);
	}
}

static void what_has_no_room_for_its_end_is_refused_with_and_without_writing(void **state)
{
	(void)state;
	for (int dry = 0; dry < 2; dry++) {
		uint64_t count = 77;
		struct disk d;

		disk_setup(&d, 34 * CHUNK);
		if (dry)
			d.io.write = NULL;
		assert_int_equal(restore(&d, HEAD "map 0 2 31\nend 31\n", &count), 0);
		assert_int_equal(restore(&d, HEAD "map 0 2 32\nend 32\n", &count), -ENOSPC);
		assert_non_null(strstr(br_error_text(), "no room for another area"));
		disk_done(&d);
	}
}

static void comments_blanks_and_windows_line_ends_mean_nothing(void **state)
{
	uint64_t count = 0;
	struct disk d;

	(void)state;
	disk_setup(&d, 100 * CHUNK);
	assert_int_equal(restore(&d, "# hello\n\n   \t\n  snapshot-store   1 # yes\r\nchunk-bytes\t512\nvalid no\r\n"
				 "map 4 2 2\nend 2", &count), 0);
	assert_int_equal(count, 2);
	disk_done(&d);
}

static void until_the_end_line_the_store_is_blank(void **state)
{
	uint64_t count;
	struct disk d;

	(void)state;
	disk_setup(&d, 100 * CHUNK);
	disk_make_store(&d, 3);
	assert_int_equal(restore(&d, HEAD "map 0 2 40\n", &count), -EBADMSG);
	for (int i = 0; i < CHUNK; i++)
		assert_int_equal(d.bytes[i], 0);
	assert_true(d.flushes > 0);
	disk_done(&d);
}

static void a_failing_write_fails_the_restore_and_leaves_no_store_that_looks_whole(void **state)
{
	int r, n = 0;

	(void)state;
	do {
		struct br_snap_header h;
		uint64_t count;
		struct disk d;

		disk_setup(&d, 100 * CHUNK);
		memset(d.bytes, 0, CHUNK);
		d.fail_write = ++n;
		r = restore(&d, HEAD "map 0 2 32\nmap 50 35 5\nend 37\n", &count);
		if (r < 0) {
			assert_int_equal(r, -EIO);
			assert_int_equal(br_snap_header_parse(d.bytes, &h), -ENODATA);
		}
		disk_done(&d);
	} while (r < 0);
	assert_int_equal(n, 5);		/* blank header, two areas, header */
}

static void the_areas_are_durable_before_the_header_is_written(void **state)
{
	uint64_t count;
	struct disk d;
	int r, n = 0;

	(void)state;
	disk_setup(&d, 100 * CHUNK);
	assert_int_equal(restore(&d, HEAD "map 0 2 32\nmap 50 35 5\nend 37\n", &count), 0);
	assert_int_equal(d.flushes, 3);
	assert_int_equal(d.written[0], 1);	/* blank */
	assert_int_equal(d.written[1], 3);	/* both areas */
	assert_int_equal(d.written[2], 4);	/* header */
	disk_done(&d);
	do {
		disk_setup(&d, 100 * CHUNK);
		d.fail_flush = ++n;
		r = restore(&d, HEAD "map 0 2 32\nmap 50 35 5\nend 37\n", &count);
		assert_true(r == 0 || r == -EIO);
		if (n < 3)
			assert_int_equal(d.writes, n == 1 ? 1 : 3);
		disk_done(&d);
	} while (r < 0);
	assert_int_equal(n, 4);
}

static void no_memory_fails_the_restore_and_leaks_nothing(void **state)
{
	struct br_snap_restore *rs;
	struct disk d;

	(void)state;
	disk_setup(&d, 100 * CHUNK);
	env_fail_in = 0;
	assert_int_equal(br_snap_restore_new(&env, &d.io, &rs), -ENOMEM);
	for (int n = 1; n < 4; n++) {
		uint64_t count;

		env_fail_in = n;
		assert_int_equal(restore(&d, HEAD "map 0 2 1\nend 1\n", &count), -ENOMEM);
	}
	env_fail_in = -1;
	disk_done(&d);
}

static void without_a_write_function_nothing_is_written(void **state)
{
	uint64_t count = 0;
	struct disk d;

	(void)state;
	disk_setup(&d, 100 * CHUNK);
	disk_make_store(&d, 3);
	d.io.write = NULL;
	assert_int_equal(restore(&d, HEAD "map 0 2 32\nend 32\n", &count), 0);
	assert_int_equal(count, 32);
	d.io.bytes = UINT64_C(4) << 30;
	assert_int_equal(restore(&d, "snapshot-store 1\nchunk-bytes 1073741824\nvalid yes\nend 0\n", &count), 0);
	assert_int_equal(d.writes + d.flushes, 0);
	disk_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dump_is_the_text_that_the_header_file_shows),
		cmocka_unit_test(restoring_a_dump_gives_the_same_metadata_at_every_fill_level),
		cmocka_unit_test(a_large_area_is_restored_in_pieces_and_zero_to_its_end),
		cmocka_unit_test(whoever_takes_the_text_can_stop_at_every_line),
		cmocka_unit_test(a_dump_of_an_invalid_store_restores_to_an_invalid_one),
		cmocka_unit_test(what_a_damaged_store_lost_stands_in_comments_and_the_rest_restores),
		cmocka_unit_test(a_dump_that_cannot_be_is_refused_with_its_line),
		cmocka_unit_test(what_has_no_room_for_its_end_is_refused_with_and_without_writing),
		cmocka_unit_test(comments_blanks_and_windows_line_ends_mean_nothing),
		cmocka_unit_test(until_the_end_line_the_store_is_blank),
		cmocka_unit_test(a_failing_write_fails_the_restore_and_leaves_no_store_that_looks_whole),
		cmocka_unit_test(the_areas_are_durable_before_the_header_is_written),
		cmocka_unit_test(no_memory_fails_the_restore_and_leaks_nothing),
		cmocka_unit_test(without_a_write_function_nothing_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
