/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests: one read, write, flush ... on its way to a device, on one queue from beginning to end.
 *
 * A request is owned by whoever submitted it and belongs to the device from br_submit() until its done() runs.  done()
 * is set before submission and is never replaced (seed 002): a target that needs to see a completion submits a request
 * of its own (a leg), whose done() counts it in the parent by br_req_leg_done().  done() is always called from the
 * queue's ready list, never from inside br_submit(), so stacks of any depth do not recurse on the way up.
 *
 * Everything here is done by the owner of the request's queue.
 */
#ifndef BR_IO_REQ_H
#define BR_IO_REQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "op/task.h"

struct br_chan;
struct br_op;

/* Numbers equal to the public BLKREMAP_READ ... BLKREMAP_EXTENTS; api/ asserts it. */
enum br_req_op { BR_READ, BR_WRITE, BR_FLUSH, BR_DISCARD, BR_WRITE_ZEROES, BR_EXTENTS };

/* Likewise. */
enum { BR_FUA = 1, BR_MAY_UNMAP = 2, BR_FAST_ONLY = 4, BR_UNSTABLE = 8, BR_BACKGROUND = 16 };

struct br_req {
	struct br_task task;		/* of the ready list, when complete */
	struct br_chan *chan;		/* where it was submitted */
	uint32_t op, flags;
	uint64_t offset, length;	/* bytes of chan->dev; multiples of its logical block */
	const struct iovec *iov;	/* borrowed until done() */
	uint32_t iovcnt;
	uint32_t code;			/* BLKREMAP_CODE_*, beside a negative result */
	uint64_t iov_skip;		/* bytes of iov that come before this request's first */
	void (*done)(struct br_req *req);
	int32_t result;			/* 0, a count (EXTENTS), -errno */
	uint32_t legs;			/* of the device's own: legs out, + 1 while it is still making them */
	uint64_t fail_dev, fail_offset;	/* where it failed; fail_dev 0: here */
	uint64_t split_at;		/* the device's: how much of the data has legs already */
	struct br_task wait;		/* the device's: in its lists, while it has the request */
	void *priv;			/* the submitter's */
	void *engine_priv;		/* the device's, while it has the request */
};

/* Complete: queue done().  Call exactly once per submitted request. */
void br_req_complete(struct br_req *req, int32_t result);
/* The same with a reason, and the place where it went wrong. */
void br_req_fail(struct br_req *req, int32_t result, uint32_t code);

/*
 * Splitting.  br_req_legs_begin(), then for each leg br_req_leg_init() + br_submit(), each leg's done() ends with
 * br_req_leg_done(), and br_req_legs_end() when no more are made.  The parent completes when the last is done; the
 * first error (result, code, place) is the parent's.
 */
void br_req_legs_begin(struct br_req *parent);
void br_req_leg_add(struct br_req *parent);
void br_req_leg_done(struct br_req *parent, const struct br_req *leg);
void br_req_legs_end(struct br_req *parent);
/* Copy op, flags and the slice [at, at + length) of the parent's data into @leg. */
void br_req_slice(struct br_req *leg, const struct br_req *parent, uint64_t at, uint64_t length);

/*
 * The data of [req->iov_skip, + length) as at most @max vectors; returns how many, or -E2BIG if it takes more.
 */
int br_req_iov(const struct br_req *req, struct iovec *out, int max);
/* Copy between the request's data, from @at on, and memory. */
void br_req_copy_out(const struct br_req *req, uint64_t at, void *to, uint64_t n);	/* from the request's buffers */
/* into them; NULL: zeroes */
void br_req_copy_in(const struct br_req *req, uint64_t at, const void *from, uint64_t n);

/* A request launched by an op: its done() is br_op_done(op, result). */
void br_op_submit(struct br_op *op, struct br_chan *chan, struct br_req *req);
/* The same through a closed gate: for whoever closed it. */
void br_op_submit_inside(struct br_op *op, struct br_chan *chan, struct br_req *req);

#endif /* BR_IO_REQ_H */
