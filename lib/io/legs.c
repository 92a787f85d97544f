/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/legs.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/error.h"
#include "io/dev.h"

enum { LEGS = 128 };

int br_legs_open(struct br_legs *l, struct br_chan *chan, size_t leg_bytes, bool (*route)(struct br_req *req))
{
	br_task_list_init(&l->parked);
	l->route = route;
	if (br_pool_init(&l->pool, chan->dev->ctx->env, leg_bytes, 16, LEGS) < 0)
		return br_error(-ENOMEM, "no memory for %d legs of %s", LEGS, chan->dev->name);
	return 0;
}

void br_legs_close(struct br_legs *l)
{
	br_pool_done(&l->pool);
}

static void go_on(struct br_legs *l, struct br_req *req)
{
	if (l->route(req))
		br_req_legs_end(req);
	else
		br_task_list_add(&l->parked, &req->wait);
}

void br_legs_begin(struct br_legs *l, struct br_req *req)
{
	br_req_legs_begin(req);
	req->split_at = 0;
	go_on(l, req);
}

struct br_leg *br_legs_take(struct br_legs *l, struct br_req *req, uint64_t at, uint64_t length)
{
	struct br_leg *leg = br_pool_take(&l->pool);

	if (!leg)
		return NULL;
	leg->req = (struct br_req){ .done = br_leg_done };
	br_req_slice(&leg->req, req, at, length);
	leg->parent = req;
	leg->legs = l;
	br_req_leg_add(req);
	return leg;
}

/* A count (EXTENTS) comes from a request's only leg. */
void br_leg_done(struct br_req *req)
{
	struct br_leg *leg = br_container_of(req, struct br_leg, req);
	struct br_legs *l = leg->legs;
	struct br_task *t;

	if (req->result > 0)
		leg->parent->result = req->result;
	br_req_leg_done(leg->parent, req);
	br_pool_give(&l->pool, leg);
	t = br_task_list_pop(&l->parked);
	if (t)
		go_on(l, br_container_of(t, struct br_req, wait));
}
