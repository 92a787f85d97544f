/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/error.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/error.h"
#include "blkremap/blkremap.h"
#include "io/dev.h"
#include "io/legs.h"
#include "io/lower.h"

struct error_dev {
	struct br_dev dev;
	struct br_dev *lower;		/* NULL: everything fails */
	uint32_t ops;
	bool once;
	uint64_t nth;
	int error;
	_Atomic bool armed;
	_Atomic uint64_t seen;		/* requests of the kind */
};

struct error_chan {
	struct br_chan chan;
	struct br_chan *lower;
	struct br_legs legs;
};

static struct error_dev *to_error(struct br_dev *dev)
{
	return br_container_of(dev, struct error_dev, dev);
}

static struct error_chan *to_chan(struct br_chan *chan)
{
	return br_container_of(chan, struct error_chan, chan);
}

static bool is_to_fail(struct error_dev *e, const struct br_req *req)
{
	uint64_t n;

	if (!e->lower)
		return true;
	if (!(e->ops >> req->op & 1) || !atomic_load(&e->armed))
		return false;
	n = atomic_fetch_add(&e->seen, 1) + 1;
	return e->once ? n == e->nth : n >= e->nth;
}

static bool route(struct br_req *req)
{
	struct error_chan *c = to_chan(req->chan);
	struct br_leg *leg = br_legs_take(&c->legs, req, 0, req->length);

	if (leg)
		br_submit(c->lower, &leg->req);
	return leg;
}

static void error_submit(struct br_chan *chan, struct br_req *req)
{
	struct error_dev *e = to_error(chan->dev);

	if (is_to_fail(e, req))
		br_req_fail(req, e->error, BLKREMAP_CODE_MEDIUM);
	else
		br_legs_begin(&to_chan(chan)->legs, req);
}

static int error_chan_open(struct br_chan *chan)
{
	struct error_dev *e = to_error(chan->dev);
	struct error_chan *c = to_chan(chan);

	return e->lower ? br_lower_chan_open(chan, e->lower, &c->lower, &c->legs, sizeof(struct br_leg), route) : 0;
}

static void error_chan_close(struct br_chan *chan)
{
	struct error_chan *c = to_chan(chan);

	if (to_error(chan->dev)->lower)
		br_lower_chan_close(c->lower, &c->legs);
}

static int error_resize(struct br_dev *dev, uint64_t bytes, uint64_t *ret_bytes)
{
	return br_lower_resize(dev, to_error(dev)->lower, bytes, ret_bytes);
}

static int error_close(struct br_dev *dev)
{
	struct error_dev *e = to_error(dev);
	int r = e->lower ? br_lower_detach(dev, e->lower) : 0;

	br_free(dev->ctx->env, e, sizeof(*e));
	return r;
}

static const struct br_dev_ops error_ops = {
	.type = "error",
	.chan_bytes = sizeof(struct error_chan),
	.chan_open = error_chan_open,
	.chan_close = error_chan_close,
	.submit = error_submit,
	.resize = error_resize,
	.close = error_close,
};

static void fill_alone(struct br_dev *dev, uint64_t bytes)
{
	dev->bytes = bytes;
	dev->caps = BR_CAP_WRITE | BR_CAP_FUA | BR_CAP_DISCARD | BR_CAP_WRITE_ZEROES;
	dev->logical_block = dev->physical_block = 512;
	dev->buffer_align = 1;
}

static int add(struct br_ctx *ctx, struct error_dev *e, const char *name)
{
	int r = e->lower ? br_lower_attach(&e->dev, ctx, e->lower) : 0;

	if (r < 0)
		return r;
	r = br_dev_add(&e->dev, ctx, &error_ops, name);
	if (r < 0 && e->lower)
		br_lower_detach(&e->dev, e->lower);
	return r;
}

int br_error_open(struct br_ctx *ctx, struct br_dev *lower, const struct br_error_opts *opts, struct br_dev **ret_dev)
{
	struct error_dev *e;
	int r;

	if (!lower && (!opts->bytes || opts->bytes % 512))
		return br_error(-EINVAL, "an error device of %" PRIu64 " bytes: no multiple of 512", opts->bytes);
	e = br_alloc(ctx->env, sizeof(*e));
	if (!e)
		return br_error(-ENOMEM, "no memory for a device");
	e->lower = lower;
	e->ops = opts->ops ? opts->ops : UINT32_MAX;
	e->once = opts->once;
	e->nth = opts->nth ? opts->nth : 1;
	e->error = opts->error ? opts->error : -EIO;
	e->armed = true;
	if (!lower)
		fill_alone(&e->dev, opts->bytes);
	r = add(ctx, e, opts->name);
	if (r < 0) {
		br_free(ctx->env, e, sizeof(*e));
		return r;
	}
	*ret_dev = &e->dev;
	return 0;
}

void br_error_arm(struct br_dev *dev, bool on)
{
	struct error_dev *e = to_error(dev);

	atomic_store(&e->seen, 0);
	atomic_store(&e->armed, on);
}
