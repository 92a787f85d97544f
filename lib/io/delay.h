/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices that are slow: each request waits for a time that depends on its kind, then goes to the device below. */
#ifndef BR_IO_DELAY_H
#define BR_IO_DELAY_H

#include <stdint.h>

struct br_ctx;
struct br_dev;

struct br_delay_opts {
	const char *name;		/* NULL: made up */
	uint64_t read_ns, write_ns, flush_ns;	/* write: also discards and zeroes */
};

/* Takes a reference to @lower and claims it.  -EBUSY, -ENOMEM, -EEXIST (name). */
int br_delay_open(struct br_ctx *ctx, struct br_dev *lower, const struct br_delay_opts *opts, struct br_dev **ret_dev);
/* Other times for the requests that come from now on.  Any thread. */
void br_delay_set(struct br_dev *dev, const struct br_delay_opts *opts);

#endif /* BR_IO_DELAY_H */
