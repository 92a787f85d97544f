/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory devices: all zeroes at first, gone when closed; memory is taken for what has been written only.
 *
 *	r = br_memory_open(ctx, &(struct br_memory_opts){ .bytes = 1 << 20 }, &dev);
 *
 * Any number of queues may use one.  Requests of different queues that overlap are not torn within 256 KiB.
 */
#ifndef BR_IO_MEMORY_H
#define BR_IO_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct br_ctx;
struct br_dev;

struct br_memory_opts {
	const char *name;		/* NULL: made up */
	uint64_t bytes;			/* a multiple of the logical block */
	uint64_t max_bytes;		/* it may be resized up to this; 0: up to bytes */
	uint32_t logical_block;		/* a power of two, 512 ... 4096; 0: 512 */
	bool read_only;
};

/* -EINVAL, -ENOMEM, -EEXIST (name). */
int br_memory_open(struct br_ctx *ctx, const struct br_memory_opts *opts, struct br_dev **ret_dev);

#endif /* BR_IO_MEMORY_H */
