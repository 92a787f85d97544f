/* SPDX-License-Identifier: BSD-3-Clause */
/* What small devices over one lower device have in common: attach and detach, geometry, channels, sizes. */
#ifndef BR_IO_LOWER_H
#define BR_IO_LOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct br_chan;
struct br_ctx;
struct br_dev;
struct br_legs;
struct br_req;

/* Take a reference to @lower, claim it if it can be written, and look like it.  Before br_dev_add(@dev). */
int br_lower_attach(struct br_dev *dev, struct br_ctx *ctx, struct br_dev *lower);
/* Give both back; what closing the last reference says. */
int br_lower_detach(struct br_dev *dev, struct br_dev *lower);
/* The channel below and the legs to it, both or none. */
int br_lower_chan_open(struct br_chan *chan, struct br_dev *lower, struct br_chan **ret_lower, struct br_legs *legs,
		       size_t leg_bytes, bool (*route)(struct br_req *req));
void br_lower_chan_close(struct br_chan *lower, struct br_legs *legs);
/* br_dev_ops.resize of a device that is as large as @lower (NULL: -EOPNOTSUPP for a new size). */
int br_lower_resize(struct br_dev *dev, struct br_dev *lower, uint64_t bytes, uint64_t *ret_bytes);

#endif /* BR_IO_LOWER_H */
