/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Legs for small devices that pass requests on: a pool a channel, and the requests that wait for a leg.
 *
 *	br_legs_begin(&chan->legs, req)                 in submit
 *	  -> route(req)                                 the device's: br_legs_take() + br_submit() for each part, says
 *	                                                whether all parts have their leg; else it is asked again later
 *	leg->req.done = br_leg_done                     completes the parent with the last leg
 *
 * req->split_at is the route's to say how far it has got.  Owner of the channel's queue only.
 */
#ifndef BR_IO_LEGS_H
#define BR_IO_LEGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "io/req.h"
#include "op/task.h"

struct br_chan;
struct br_legs;

/* Embed it first where more belongs to a leg. */
struct br_leg {
	struct br_req req;
	struct br_req *parent;
	struct br_legs *legs;
};

struct br_legs {
	struct br_pool pool;
	struct br_task_list parked;	/* requests, by wait, whose route needs one more leg */
	bool (*route)(struct br_req *req);
};

/* @leg_bytes: of the device's leg structure.  -ENOMEM. */
int br_legs_open(struct br_legs *l, struct br_chan *chan, size_t leg_bytes, bool (*route)(struct br_req *req));
void br_legs_close(struct br_legs *l);

void br_legs_begin(struct br_legs *l, struct br_req *req);
/* A leg of @req: its slice [at, at + length), to be submitted.  NULL: none left now. */
struct br_leg *br_legs_take(struct br_legs *l, struct br_req *req, uint64_t at, uint64_t length);
/* done() of a leg. */
void br_leg_done(struct br_req *req);

#endif /* BR_IO_LEGS_H */
