/* SPDX-License-Identifier: BSD-3-Clause */
/* Each leg has a timer, whose task runs on the request's own queue and submits the leg there. */
#include "io/delay.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/error.h"
#include "io/dev.h"
#include "io/legs.h"
#include "io/lower.h"

enum { READS, WRITES, FLUSHES, KINDS };

struct delay {
	struct br_dev dev;
	struct br_dev *lower;
	_Atomic uint64_t ns[KINDS];
};

struct delay_chan {
	struct br_chan chan;
	struct br_chan *lower;
	struct br_legs legs;
};

struct delay_leg {
	struct br_leg leg;		/* first: the pool's */
	struct br_timer timer;
};

static struct delay *to_delay(struct br_dev *dev)
{
	return br_container_of(dev, struct delay, dev);
}

static struct delay_chan *to_chan(struct br_chan *chan)
{
	return br_container_of(chan, struct delay_chan, chan);
}

static uint64_t delay_of(struct delay *d, const struct br_req *req)
{
	if (req->op == BR_FLUSH)
		return atomic_load(&d->ns[FLUSHES]);
	return atomic_load(&d->ns[req->op == BR_READ || req->op == BR_EXTENTS ? READS : WRITES]);
}

static void timer_fired(struct br_task *task)
{
	struct delay_leg *l = br_container_of(task, struct delay_leg, timer.task);

	br_submit(to_chan(l->leg.parent->chan)->lower, &l->leg.req);
}

static bool route(struct br_req *req)
{
	struct delay_chan *c = to_chan(req->chan);
	struct br_ctx *ctx = req->chan->dev->ctx;
	uint64_t ns = delay_of(to_delay(req->chan->dev), req);
	struct br_leg *leg = br_legs_take(&c->legs, req, 0, req->length);
	struct delay_leg *l;

	if (!leg)
		return false;
	l = br_container_of(leg, struct delay_leg, leg);
	l->timer = (struct br_timer){ .task.run = timer_fired };
	if (ns)
		br_timer_arm(ctx, &l->timer, req->chan->queue, br_now(ctx->env) + ns);
	else
		br_submit(c->lower, &leg->req);
	return true;
}

static void delay_submit(struct br_chan *chan, struct br_req *req)
{
	br_legs_begin(&to_chan(chan)->legs, req);
}

static int delay_chan_open(struct br_chan *chan)
{
	struct delay_chan *c = to_chan(chan);

	return br_lower_chan_open(chan, to_delay(chan->dev)->lower, &c->lower, &c->legs, sizeof(struct delay_leg),
				  route);
}

static void delay_chan_close(struct br_chan *chan)
{
	br_lower_chan_close(to_chan(chan)->lower, &to_chan(chan)->legs);
}

static int delay_resize(struct br_dev *dev, uint64_t bytes, uint64_t *ret_bytes)
{
	return br_lower_resize(dev, to_delay(dev)->lower, bytes, ret_bytes);
}

static int delay_close(struct br_dev *dev)
{
	struct delay *d = to_delay(dev);
	const struct blkremap_env *env = dev->ctx->env;
	int r = br_lower_detach(dev, d->lower);

	br_free(env, d, sizeof(*d));
	return r;
}

static const struct br_dev_ops delay_ops = {
	.type = "delay",
	.chan_bytes = sizeof(struct delay_chan),
	.chan_open = delay_chan_open,
	.chan_close = delay_chan_close,
	.submit = delay_submit,
	.resize = delay_resize,
	.close = delay_close,
};

void br_delay_set(struct br_dev *dev, const struct br_delay_opts *opts)
{
	struct delay *d = to_delay(dev);

	atomic_store(&d->ns[READS], opts->read_ns);
	atomic_store(&d->ns[WRITES], opts->write_ns);
	atomic_store(&d->ns[FLUSHES], opts->flush_ns);
}

int br_delay_open(struct br_ctx *ctx, struct br_dev *lower, const struct br_delay_opts *opts, struct br_dev **ret_dev)
{
	struct delay *d = br_alloc(ctx->env, sizeof(*d));
	int r;

	if (!d)
		return br_error(-ENOMEM, "no memory for a device");
	d->lower = lower;
	br_delay_set(&d->dev, opts);
	r = br_lower_attach(&d->dev, ctx, lower);
	if (r == 0) {
		r = br_dev_add(&d->dev, ctx, &delay_ops, opts->name);
		if (r < 0)
			br_lower_detach(&d->dev, lower);
	}
	if (r < 0) {
		br_free(ctx->env, d, sizeof(*d));
		return r;
	}
	*ret_dev = &d->dev;
	return 0;
}
