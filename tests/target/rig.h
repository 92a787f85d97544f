/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A base and stores made of the test's own back end, in a context without threads: one thread, one order of events.
 *
 * A disk has a volatile cache.  It performs requests at once, unless a rule says that they are held (the test lets them
 * go one by one, in any order) or fail.  Typical use:
 *
 *	rig_open(&r, 1 << 20, 1);			# a base of 1 MiB with a pattern, an origin, queues
 *	rig_take(&r, 0, NULL);				# r.snap[0]
 *	disk_hold(&r.store[0], ON_WRITE, 0, UINT64_MAX);
 *	rig_write(&r, r.oq, 1, 0, 4096, 'x');		# request number 1
 *	rig_pump(&r);
 *	assert_false(r.done[1]);
 *	disk_release(&r.store[0], 0, 0);
 *	rig_pump(&r);
 *	assert_int_equal(r.result[1], 0);
 *	rig_close(&r);
 */
#ifndef TARGET_RIG_H
#define TARGET_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "blkremap/blkremap.h"

enum { ON_READ = 1 << BLKREMAP_READ, ON_WRITE = 1 << BLKREMAP_WRITE, ON_FLUSH = 1 << BLKREMAP_FLUSH,
       ON_DISCARD = 1 << BLKREMAP_DISCARD, ON_ZEROES = 1 << BLKREMAP_WRITE_ZEROES };
enum { DISK_HELD = 256, RIG_STORES = 4, RIG_TAGS = 256 };

struct disk {
	struct blkremap_backend *be;
	struct blkremap_dev *dev;
	uint8_t *data, *durable;	/* what is read; what a crash leaves */
	uint64_t bytes;
	uint32_t caps, block;
	struct disk_rule {
		uint32_t ops;		/* bits ON_* */
		uint64_t from, to;	/* only those that touch [from, to); flushes always */
		int result;
		uint32_t skip;		/* let so many pass first */
	} hold, fail;
	struct blkremap_backend_req held[DISK_HELD];
	uint32_t nr_held;
	uint32_t flushes, reads, writes;	/* performed */
	int open;
};

struct rig {
	struct blkremap_ctx *ctx;
	struct disk base, store[RIG_STORES];
	struct blkremap_dev *origin, *snap[RIG_STORES];
	struct blkremap_queue *oq, *sq[RIG_STORES];	/* the snapshots' queues are opened by rig_queue() */
	bool done[RIG_TAGS];
	int result[RIG_TAGS];
	uint32_t code[RIG_TAGS];
	void *buf[RIG_TAGS];
	struct iovec iov[RIG_TAGS];
};

enum { DISK_CAPS = BLKREMAP_CAP_WRITE | BLKREMAP_CAP_VOLATILE_CACHE | BLKREMAP_CAP_FUA };

/* The byte at @at of the pattern that every base begins with. */
static inline uint8_t old_byte(uint64_t at)
{
	return (uint8_t)(1 + (at >> 9) % 251);
}

void disk_make(struct disk *d, uint64_t bytes, uint32_t caps, uint32_t block);
void disk_open(struct disk *d, struct blkremap_ctx *ctx);
void disk_done(struct disk *d);
void disk_hold(struct disk *d, uint32_t ops, uint64_t from, uint64_t to);
void disk_fail(struct disk *d, uint32_t ops, uint64_t from, uint64_t to, int result);
void disk_release(struct disk *d, uint32_t i, int result);	/* the i-th held one; a result below 0 fails it */
void disk_release_all(struct disk *d);				/* and hold no more */
void disk_crash(struct disk *d);				/* while not open: what was not durable is gone */

void rig_ctx(struct rig *r);
void rig_make(struct rig *r, uint64_t base_bytes, uint32_t stores, uint64_t store_bytes);
void rig_origin(struct rig *r, uint32_t flags);
void rig_open(struct rig *r, uint64_t base_bytes, uint32_t stores);
int rig_try_take(struct rig *r, uint32_t i, const struct blkremap_snapshot_opts *opts);
void rig_take(struct rig *r, uint32_t i, uint64_t chunk);
void rig_queue(struct rig *r, uint32_t i);
/* Close all handles and devices; the disks' contents stay.  rig_again() opens the disks in a new context. */
void rig_shut(struct rig *r);
void rig_again(struct rig *r);
void rig_close(struct rig *r);

void rig_pump(struct rig *r);
void rig_submit(struct rig *r, struct blkremap_queue *q, uint32_t tag, uint32_t op, uint64_t off, uint64_t len,
		int fill);
static inline void rig_write(struct rig *r, struct blkremap_queue *q, uint32_t tag, uint64_t off, uint64_t len,
			     int fill)
{
	rig_submit(r, q, tag, BLKREMAP_WRITE, off, len, fill);
}
static inline void rig_read(struct rig *r, struct blkremap_queue *q, uint32_t tag, uint64_t off, uint64_t len)
{
	rig_submit(r, q, tag, BLKREMAP_READ, off, len, 0xee);
}
/* Blocking write and the check that every byte of a range is the pattern, or one value. */
void put(struct blkremap_dev *dev, uint64_t off, uint64_t len, int fill);
void expect_old(struct blkremap_dev *dev, uint64_t off, uint64_t len);
void expect_fill(struct blkremap_dev *dev, uint64_t off, uint64_t len, int fill);
/* Fetch events until one of @type comes: its count, or 0. */
uint64_t event_count(struct blkremap_ctx *ctx, uint32_t type);

#endif /* TARGET_RIG_H */
