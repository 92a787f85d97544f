/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leaf devices over a regular file or a block device.
 *
 *	struct br_file_opts opts = { .path = "/dev/vg/data", .fd = -1, .direct = true };
 *	r = br_file_open(ctx, &opts, &dev);
 *	...
 *	br_dev_put(dev);
 *
 * Engines.  "aio": libaio, for O_DIRECT and tmpfs, where io_submit() does not block, and in contexts without threads
 * (where buffered I/O blocks whoever submits, with any engine).  "threads": a few threads a context with preadv() and
 * its kin; everything else that is buffered.  "sync": the same calls in the thread that runs the queue, for contexts
 * without threads where aio is refused.  What one engine cannot do (a discard, a flush that aio refuses) it hands to
 * the next, so no request fails because of the choice.  dev->engine tells which one it is.
 *
 * Locks.  Unless nolock: an OFD lock on the whole file (shared if rdonly), O_EXCL on a block device opened for writing,
 * and a list of what this process has open, because descriptors that were duplicated share their lock.  -EBUSY names
 * the holder where it can be found.
 *
 * Durability is a flush's or FUA's business: closing flushes nothing.  A file made by .create is durable, name
 * included, with .bytes of zeroes.  Growth is durable after the next flush.
 *
 * Of a descriptor given by .fd the file position means nothing afterwards (EXTENTS moves it).
 */
#ifndef BR_IO_FILE_H
#define BR_IO_FILE_H

#include <stdbool.h>
#include <stdint.h>

struct br_ctx;
struct br_dev;

struct br_file_opts {
	const char *path;
	int fd;			/* -1: open path; else duplicated, the caller keeps his */
	const char *name;	/* of the device; NULL: made up */
	const char *engine;	/* "aio", "threads", "sync"; NULL: the best that works */
	bool rdonly, direct, create, nolock;
	uint64_t bytes;		/* with create */
	uint64_t max_grow;	/* resize() of a regular file works up to here; 0: not at all */
};

/*
 * Open.  Blocks.  -EBUSY: somebody else has it.  -EEXIST: create, and it exists.  -EINVAL: neither a file nor a block
 * device, an engine that does not exist or needs threads, or a descriptor in append mode.
 * The size is rounded down to whole logical blocks.
 */
int br_file_open(struct br_ctx *ctx, const struct br_file_opts *opts, struct br_dev **ret_dev);

/* Do two devices write to the same bytes: both files, the same inode or the same block device? */
bool br_file_same(const struct br_dev *a, const struct br_dev *b);

#endif /* BR_IO_FILE_H */
