/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/lower.h"

#include <errno.h>

#include "base/error.h"
#include "io/dev.h"
#include "io/legs.h"

static void look_like(struct br_dev *dev, struct br_dev *lower)
{
	dev->engine = lower->engine;
	dev->bytes = atomic_load(&lower->bytes);
	dev->caps = atomic_load(&lower->caps);
	dev->logical_block = lower->logical_block;
	dev->physical_block = lower->physical_block;
	dev->optimal_io = lower->optimal_io;
	dev->discard_granularity = lower->discard_granularity;
	dev->buffer_align = lower->buffer_align;
}

int br_lower_attach(struct br_dev *dev, struct br_ctx *ctx, struct br_dev *lower)
{
	int r = 0;

	if (lower->ctx != ctx)
		return br_error(-EINVAL, "%s belongs to another context", lower->name);
	if (atomic_load(&lower->caps) & BR_CAP_WRITE)
		r = br_dev_claim(lower, dev);
	if (r < 0)
		return r;
	br_dev_get(lower);
	look_like(dev, lower);
	dev->lower[0] = lower;
	dev->nr_lower = 1;
	return 0;
}

int br_lower_detach(struct br_dev *dev, struct br_dev *lower)
{
	br_dev_unclaim(lower, dev);
	return br_dev_put(lower);
}

int br_lower_chan_open(struct br_chan *chan, struct br_dev *lower, struct br_chan **ret_lower, struct br_legs *legs,
		       size_t leg_bytes, bool (*route)(struct br_req *req))
{
	int r = br_legs_open(legs, chan, leg_bytes, route);

	if (r < 0)
		return r;
	r = br_chan_get(chan->queue, lower, ret_lower);
	if (r < 0)
		br_legs_close(legs);
	return r;
}

void br_lower_chan_close(struct br_chan *lower, struct br_legs *legs)
{
	br_chan_put(lower);
	br_legs_close(legs);
}

int br_lower_resize(struct br_dev *dev, struct br_dev *lower, uint64_t bytes, uint64_t *ret_bytes)
{
	uint64_t now = atomic_load(&dev->bytes);
	int r = 0;

	if (lower && lower->ops->resize)
		r = lower->ops->resize(lower, bytes, &now);
	else if (bytes && bytes != now)
		r = br_error(-EOPNOTSUPP, "%s cannot be resized", dev->name);
	if (r < 0)
		return r;
	atomic_store(&dev->bytes, now);
	*ret_bytes = now;
	return 0;
}
