/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/req.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "io/dev.h"
#include "op/op.h"

/* ---- completion -------------------------------------------------------------------------------------------------- */

static void count(struct br_chan *chan, unsigned what, uint64_t n)
{
	uint64_t before = atomic_load_explicit(&chan->counts[what], memory_order_relaxed);

	atomic_store_explicit(&chan->counts[what], before + n, memory_order_relaxed);
}

static void count_req(struct br_chan *chan, const struct br_req *req)
{
	if (br_unlikely(req->result < 0)) {
		count(chan, BR_COUNT_ERRORS, 1);
	} else if (req->op == BR_READ) {
		count(chan, BR_COUNT_READS, 1);
		count(chan, BR_COUNT_READ_BYTES, req->length);
	} else if (req->op == BR_WRITE) {
		count(chan, BR_COUNT_WRITES, 1);
		count(chan, BR_COUNT_WRITE_BYTES, req->length);
	} else if (req->op == BR_FLUSH) {
		count(chan, BR_COUNT_FLUSHES, 1);
	} else if (req->op == BR_DISCARD || req->op == BR_WRITE_ZEROES) {
		count(chan, BR_COUNT_DISCARDS, 1);
	}
}

void br_req_complete(struct br_req *req, int32_t result)
{
	struct br_chan *chan = req->chan;

	req->result = result;
	if (br_unlikely(result < 0 && !req->fail_dev)) {
		req->fail_dev = chan->dev->id;
		req->fail_offset = req->offset;
	}
	count_req(chan, req);
	br_chan_left(chan);
	br_queue_ready(chan->queue, &req->task);
}

void br_req_fail(struct br_req *req, int32_t result, uint32_t code)
{
	req->code = code;
	br_req_complete(req, result);
}

/* ---- legs -------------------------------------------------------------------------------------------------------- */

void br_req_legs_begin(struct br_req *parent)
{
	parent->legs = 1;
	parent->result = 0;
}

void br_req_leg_add(struct br_req *parent)
{
	parent->legs++;
}

void br_req_legs_end(struct br_req *parent)
{
	if (--parent->legs == 0)
		br_req_complete(parent, parent->result);
}

void br_req_leg_done(struct br_req *parent, const struct br_req *leg)
{
	if (br_unlikely(leg->result < 0 && parent->result >= 0)) {
		parent->result = leg->result;
		parent->code = leg->code;
		parent->fail_dev = leg->fail_dev;
		parent->fail_offset = leg->fail_offset;
	}
	br_req_legs_end(parent);
}

void br_req_slice(struct br_req *leg, const struct br_req *parent, uint64_t at, uint64_t length)
{
	leg->op = parent->op;
	leg->flags = parent->flags;
	leg->offset = parent->offset + at;
	leg->length = length;
	leg->iov = parent->iov;
	leg->iovcnt = parent->iovcnt;
	leg->iov_skip = parent->iov_skip + at;
	leg->code = 0;
	leg->result = 0;
	leg->fail_dev = 0;
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

/* A place in the request's vectors, @left bytes of which are still to come. */
struct cursor {
	const struct iovec *iov, *end;
	uint64_t skip, left;
};

static struct cursor cursor_at(const struct br_req *req, uint64_t at, uint64_t n)
{
	struct cursor c = { req->iov, req->iov + req->iovcnt, req->iov_skip + at, n };

	while (c.iov < c.end && c.skip >= c.iov->iov_len) {
		c.skip -= c.iov->iov_len;
		c.iov++;
	}
	return c;
}

static bool cursor_next(struct cursor *c, struct iovec *ret)
{
	uint64_t n;

	while (c->iov < c->end && c->skip >= c->iov->iov_len) {
		c->iov++;
		c->skip = 0;
	}
	if (!c->left || c->iov == c->end)
		return false;
	n = BR_MIN(c->left, c->iov->iov_len - c->skip);
	ret->iov_base = (char *)c->iov->iov_base + c->skip;
	ret->iov_len = n;
	c->left -= n;
	c->skip += n;
	return true;
}

int br_req_iov(const struct br_req *req, struct iovec *out, int max)
{
	struct cursor c = cursor_at(req, 0, req->length);
	struct iovec v;
	int n = 0;

	while (cursor_next(&c, &v)) {
		if (n == max)
			return -E2BIG;
		out[n++] = v;
	}
	return n;
}

void br_req_copy_out(const struct br_req *req, uint64_t at, void *to, uint64_t n)
{
	struct cursor c = cursor_at(req, at, n);
	struct iovec v;
	char *p = to;

	while (cursor_next(&c, &v)) {
		memcpy(p, v.iov_base, v.iov_len);
		p += v.iov_len;
	}
}

void br_req_copy_in(const struct br_req *req, uint64_t at, const void *from, uint64_t n)
{
	struct cursor c = cursor_at(req, at, n);
	const char *p = from;
	struct iovec v;

	while (cursor_next(&c, &v)) {
		if (!p) {
			memset(v.iov_base, 0, v.iov_len);
			continue;
		}
		memcpy(v.iov_base, p, v.iov_len);
		p += v.iov_len;
	}
}

/* ---- requests of ops --------------------------------------------------------------------------------------------- */

static void op_req_done(struct br_req *req)
{
	br_op_done(req->priv, req->result < 0 ? req->result : 0);
}

void br_op_submit_inside(struct br_op *op, struct br_chan *chan, struct br_req *req)
{
	req->priv = op;
	req->done = op_req_done;
	br_op_launch(op);
	br_submit_inside(chan, req);
}

void br_op_submit(struct br_op *op, struct br_chan *chan, struct br_req *req)
{
	req->priv = op;
	req->done = op_req_done;
	br_op_launch(op);
	br_submit(chan, req);
}
