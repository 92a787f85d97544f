/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stores in memory for the tests of check, dump, restore and repair: 512-byte chunks, so that areas are many and small,
 * or chunks of four pieces; sectors that cannot be read; a write or a flush that fails.
 */
#ifndef SNAP_DISK_H
#define SNAP_DISK_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "meta/snap-check.h"

enum { CHUNK = 512, E = CHUNK / BR_SNAP_ENTRY_BYTES };

struct disk {
	uint8_t *bytes;
	uint64_t size;
	uint64_t bad_from, bad_to;	/* bytes that cannot be read */
	int reads;
	int writes, fail_write;		/* the fail_write-th fails, from 1 on; 0: none */
	int flushes, fail_flush;	/* likewise */
	int written[8];			/* writes that came before each flush */
	struct br_snap_io io;
};

static int disk_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct disk *d = arg;

	assert_int_equal(offset % 512, 0);
	assert_int_equal(len % 512, 0);
	assert_true(offset + len <= d->size);
	d->reads++;
	if (offset < d->bad_to && offset + len > d->bad_from)
		return br_error(-EIO, "bad sector");
	memcpy(buf, d->bytes + offset, len);
	return 0;
}

static int disk_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct disk *d = arg;

	assert_true(offset + len <= d->size);
	if (++d->writes == d->fail_write)
		return br_error(-EIO, "write %d fails", d->writes);
	memcpy(d->bytes + offset, buf, len);
	return 0;
}

static int disk_flush(void *arg)
{
	struct disk *d = arg;

	if (++d->flushes == d->fail_flush)
		return br_error(-EIO, "flush %d fails", d->flushes);
	if (d->flushes <= 8)
		d->written[d->flushes - 1] = d->writes;
	return 0;
}

/* Filled with bytes that look like nothing. */
static void disk_setup(struct disk *d, uint64_t size)
{
	*d = (struct disk){ .bytes = malloc(size), .size = size };
	assert_non_null(d->bytes);
	memset(d->bytes, 0xd1, size);
	d->io = (struct br_snap_io){ disk_read, disk_write, disk_flush, d, size };
}

static void disk_done(struct disk *d)
{
	free(d->bytes);
}

static struct br_snap_layout disk_layout(const struct disk *d)
{
	struct br_snap_layout l;

	assert_int_equal(br_snap_layout_init(&l, CHUNK, d->size), 0);
	return l;
}

static void disk_put(struct disk *d, uint64_t index, uint64_t old_chunk, uint64_t new_chunk)
{
	struct br_snap_layout l = disk_layout(d);

	br_snap_entry_put(d->bytes + br_snap_entry_offset(&l, index), 0,
			  (struct br_snap_entry){ old_chunk, new_chunk });
}

/* The old chunk of entry @i of a store made here: scattered, with runs of three; no two are alike. */
static uint64_t disk_old(uint64_t i)
{
	return i / 3 * 5 % 5003 * 3 + i % 3;
}

/* Each data chunk begins with the number of its old chunk. */
static void disk_stamp(struct disk *d, uint64_t old_chunk, uint64_t new_chunk)
{
	memset(d->bytes + new_chunk * CHUNK, (int)(old_chunk * 7 & 0xff), CHUNK);
	memcpy(d->bytes + new_chunk * CHUNK, &old_chunk, sizeof(old_chunk));
}

/* A clean store with @n exceptions, as its maker would have left it. */
static void disk_make_store(struct disk *d, uint64_t n)
{
	struct br_snap_layout l = disk_layout(d);
	uint64_t next = 2;

	memset(d->bytes, 0, CHUNK);
	br_snap_header_format(d->bytes, CHUNK / 512, true);
	for (uint64_t area = 0; area <= n / E; area++)
		memset(d->bytes + br_snap_area_chunk(&l, area) * CHUNK, 0, CHUNK);
	for (uint64_t i = 0; i < n; i++) {
		disk_put(d, i, disk_old(i), next);
		disk_stamp(d, disk_old(i), next);
		next = br_snap_data_chunk(&l, next + 1);
	}
}

/* ---- chunks of four pieces ---- */

enum { BIG = 4 * BR_SNAP_PIECE_MAX, BIG_E = BIG / BR_SNAP_ENTRY_BYTES, BIG_PIECE_E = BIG_E / 4 };

/*
 * The header and area 0 of a store of @chunks big chunks; its data is not there, and must not be looked at.  All @n
 * exceptions lie in area 0, in runs of three.
 */
static inline void disk_setup_big(struct disk *d, uint64_t chunks, uint64_t n)
{
	disk_setup(d, 2 * BIG);
	d->io.bytes = chunks * BIG;
	memset(d->bytes, 0, 2 * BIG);
	br_snap_header_format(d->bytes, BIG / 512, true);
	for (uint64_t i = 0; i < n; i++)
		br_snap_entry_put(d->bytes + BIG, i, (struct br_snap_entry){ i / 3 * 5 + i % 3, i + 2 });
}

#endif /* SNAP_DISK_H */
