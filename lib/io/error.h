/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices that fail: all requests, or the n-th of a kind, and pass the rest on to a device below.
 *
 *	r = br_error_open(ctx, lower, &(struct br_error_opts){ .ops = BR_ERROR_FLUSHES, .nth = 3, .once = true }, &dev);
 */
#ifndef BR_IO_ERROR_H
#define BR_IO_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "io/req.h"

struct br_ctx;
struct br_dev;

enum {
	BR_ERROR_READS = 1 << BR_READ,
	BR_ERROR_WRITES = 1 << BR_WRITE | 1 << BR_WRITE_ZEROES | 1 << BR_DISCARD,
	BR_ERROR_FLUSHES = 1 << BR_FLUSH,
};

struct br_error_opts {
	const char *name;		/* NULL: made up */
	uint64_t bytes;			/* without a device below: its size */
	uint32_t ops;			/* BR_ERROR_*; 0: any request */
	bool once;			/* only the n-th, not all from the n-th on */
	uint64_t nth;			/* counted from 1 over all queues; 0: 1 */
	int error;			/* 0: -EIO */
};

/*
 * @lower NULL: everything fails.  Else takes a reference to it and claims it.  -EINVAL, -EBUSY, -ENOMEM, -EEXIST
 * (name).
 */
int br_error_open(struct br_ctx *ctx, struct br_dev *lower, const struct br_error_opts *opts, struct br_dev **ret_dev);
/* From now on nothing fails any more, or it does again, counted anew.  Any thread. */
void br_error_arm(struct br_dev *dev, bool on);

#endif /* BR_IO_ERROR_H */
