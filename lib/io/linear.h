/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linear devices: segments of other devices, one behind the other.
 *
 *	struct br_linear_segment s[] = { { a, 0, a_bytes }, { b, 1 << 20, b_bytes } };
 *	r = br_linear_open(ctx, s, 2, NULL, false, &dev);
 *
 * A request that crosses a border is split; a flush goes to all.  It can do what all of them can.
 */
#ifndef BR_IO_LINEAR_H
#define BR_IO_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

struct br_ctx;
struct br_dev;

struct br_linear_segment {
	struct br_dev *dev;
	uint64_t offset, bytes;		/* bytes 0: to the end of @dev */
};

/*
 * Takes references; claims the devices unless @read_only.  -EINVAL: a segment is empty, lies beyond its device's
 * end, or is not aligned to the largest logical block; -EBUSY, -ENOMEM, -EEXIST (name).
 */
int br_linear_open(struct br_ctx *ctx, const struct br_linear_segment *segments, uint32_t n, const char *name,
		   bool read_only, struct br_dev **ret_dev);

#endif /* BR_IO_LINEAR_H */
