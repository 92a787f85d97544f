/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queue's side.  A request becomes calls: pieces that the caller's limits permit, in the caller's words.
 *
 *	asked for		the caller can		what it gets
 *	FUA			FUA			FUA
 *	FUA			VOLATILE_CACHE		the write; a flush when all its pieces are done
 *	FUA, FLUSH		neither			the write; nothing: a completed write is durable
 *	WRITE_ZEROES		WRITE_ZEROES		that
 *	WRITE_ZEROES		not			writes of zeroes, or -EOPNOTSUPP if it was to be fast
 *
 * Buffers that are not aligned as the caller wants them, or too scattered for one block, are bounced.
 */
#include <errno.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/mutant.h"
#include "io/user-internal.h"

enum { CALLS = 64, BOUNCE_BYTES = 1 << 20, ZEROES_BYTES = 65536 };

static struct br_user_chan *to_chan(struct br_chan *chan)
{
	return br_container_of(chan, struct br_user_chan, chan);
}

static bool can(const struct br_user *u, uint32_t cap)
{
	return u->info.caps & cap;
}

/* ---- pieces ---------------------------------------------------------------------------------------------------- */

/* How long the piece at @offset may be by the caller's limits. */
static uint64_t piece_limit(const struct br_user *u, uint64_t offset)
{
	uint64_t n = u->info.max_transfer;

	if (u->info.optimal_io)
		n = BR_MIN(n, u->info.optimal_io - offset % u->info.optimal_io);
	return n;
}

static bool is_aligned(const struct br_user *u, const struct iovec *v)
{
	return !(((uintptr_t)v->iov_base | v->iov_len) & (u->info.buffer_align - 1));
}

/* The parent's own vectors will do if they are all of the piece and nothing but it. */
static bool fits_as_it_is(const struct br_user *u, const struct br_req *req, uint64_t length)
{
	uint64_t sum = 0;

	if (req->iov_skip || length != req->length || req->iovcnt > u->info.max_iov)
		return false;
	for (uint32_t i = 0; i < req->iovcnt; i++) {
		if (!is_aligned(u, &req->iov[i]))
			return false;
		sum += req->iov[i].iov_len;
	}
	return sum == length;
}

/* Vectors for the beginning of the leg, as many as a call holds.  Returns the bytes, 0 if one is not aligned. */
static uint64_t gather(const struct br_user *u, struct br_user_call *call)
{
	const struct br_req *leg = &call->leg;
	uint32_t max = BR_MIN(u->info.max_iov, (uint32_t)BR_USER_CALL_IOV);
	uint64_t skip = leg->iov_skip, bytes = 0;

	call->iovcnt = 0;
	for (uint32_t i = 0; i < leg->iovcnt && call->iovcnt < max && bytes < leg->length; i++) {
		struct iovec v = leg->iov[i];

		if (skip >= v.iov_len) {
			skip -= v.iov_len;
			continue;
		}
		v.iov_base = (char *)v.iov_base + skip;
		v.iov_len = BR_MIN(v.iov_len - skip, leg->length - bytes);
		skip = 0;
		if (!is_aligned(u, &v))
			return 0;
		bytes += v.iov_len;
		call->own_iov[call->iovcnt++] = v;
	}
	return bytes;
}

/* Cut what was gathered back to @bytes. */
static void trim(struct br_user_call *call, uint64_t bytes)
{
	uint32_t n = 0;

	for (uint64_t sum = 0; sum < bytes; n++) {
		call->own_iov[n].iov_len = BR_MIN(call->own_iov[n].iov_len, bytes - sum);
		sum += call->own_iov[n].iov_len;
	}
	call->iovcnt = n;
}

static int bounce(struct br_user *u, struct br_user_call *call)
{
	call->leg.length = BR_MIN(call->leg.length, (uint64_t)BOUNCE_BYTES);
	call->bounce = br_alloc_aligned(u->env, call->leg.length, BR_MAX(u->info.buffer_align, 16U));
	if (!call->bounce)
		return br_error(-ENOMEM, "no memory to bounce %" PRIu64 " bytes", call->leg.length);
	if (call->op == BR_WRITE)
		br_req_copy_out(&call->leg, 0, call->bounce, call->leg.length);
	call->own_iov[0] = (struct iovec){ call->bounce, call->leg.length };
	call->iovcnt = 1;
	return 0;
}

/* Give the call its data; may shorten its leg. */
static int fill_data(struct br_user *u, struct br_user_call *call)
{
	uint64_t bytes;

	call->iov = call->own_iov;
	if (fits_as_it_is(u, call->parent, call->leg.length)) {
		call->iov = call->parent->iov;
		call->iovcnt = call->parent->iovcnt;
		return 0;
	}
	bytes = gather(u, call);
	bytes -= bytes % u->info.logical_block;
	if (!bytes)
		return bounce(u, call);
	call->leg.length = bytes;
	trim(call, bytes);
	return 0;
}

/* Zeroes from one shared buffer, again and again. */
static void fill_zeroes(struct br_user *u, struct br_user_call *call)
{
	uint32_t max = BR_MIN(u->info.max_iov, (uint32_t)BR_USER_CALL_IOV);
	uint64_t n = BR_MIN(call->leg.length, (uint64_t)max * ZEROES_BYTES);

	call->op = BR_WRITE;
	call->iov = call->own_iov;
	call->leg.length = n;
	for (call->iovcnt = 0; n; call->iovcnt++) {
		call->own_iov[call->iovcnt] = (struct iovec){ u->zeroes, BR_MIN(n, (uint64_t)ZEROES_BYTES) };
		n -= call->own_iov[call->iovcnt].iov_len;
	}
}

/* ---- calls ----------------------------------------------------------------------------------------------------- */

static bool is_fua(const struct br_user *u, const struct br_req *req, uint32_t cap)
{
	return (req->flags & BR_FUA) && can(u, BR_CAP_WRITE) && (cap == BR_CAP_FUA) == can(u, BR_CAP_FUA) &&
	       can(u, cap);
}

static uint32_t flags_for(const struct br_user *u, const struct br_req *req)
{
	uint32_t flags = is_fua(u, req, BR_CAP_FUA) ? BR_FUA : 0;

	if (req->op == BR_WRITE_ZEROES && can(u, BR_CAP_WRITE_ZEROES))
		flags |= req->flags & (BR_MAY_UNMAP | BR_FAST_ONLY);
	return flags;
}

static void gather_call(struct br_user_chan *c, struct br_user_call *call)
{
	br_list_add_tail(&c->gathered, &call->link);
	c->source->source.in_flight++;
}

static struct br_user_call *take_call(struct br_user_chan *c, struct br_req *req)
{
	struct br_user *u = br_user_of(c->chan.dev);
	struct br_user_call *call = br_pool_take(&c->calls);

	if (!call)
		return NULL;
	*call = (struct br_user_call){ .task.run = br_user_call_came_back, .chan = c, .parent = req, .op = req->op,
				       .flags = flags_for(u, req) };
	br_list_init(&call->link);
	br_req_slice(&call->leg, req, req->split_at, req->length - req->split_at);
	call->leg.chan = &c->chan;
	return call;
}

static int fill(struct br_user *u, struct br_user_call *call)
{
	switch (call->op) {
	case BR_READ:
	case BR_WRITE:
		return fill_data(u, call);
	case BR_WRITE_ZEROES:
		if (!can(u, BR_CAP_WRITE_ZEROES))
			fill_zeroes(u, call);
		return 0;
	case BR_EXTENTS:
		call->iov = call->parent->iov;
		call->iovcnt = call->parent->iovcnt;
		if (call->leg.iov_skip || call->iovcnt > u->info.max_iov)
			return br_error(-EOPNOTSUPP, "extents into %u vectors", call->iovcnt);
		return 0;
	default:
		return 0;
	}
}

/* One more call of @req.  False: none is left now. */
static bool make_call(struct br_user_chan *c, struct br_req *req)
{
	struct br_user *u = br_user_of(c->chan.dev);
	struct br_user_call *call = take_call(c, req);
	int r;

	if (!call)
		return false;
	call->leg.length = BR_MIN(call->leg.length, piece_limit(u, call->leg.offset));
	r = fill(u, call);
	if (r < 0) {	/* no more of this request; what is under way ends first */
		br_pool_give(&c->calls, call);
		req->result = r;
		req->split_at = req->length;
		return true;
	}
	req->split_at += call->leg.length;
	if (req->op == BR_EXTENTS || req->op == BR_FLUSH)
		req->split_at = req->length;	/* whoever asks goes on where the answer ends */
	br_req_leg_add(req);
	gather_call(c, call);
	return true;
}

static void route(struct br_user_chan *c, struct br_req *req)
{
	bool first = req->op == BR_FLUSH && req->legs == 1;

	while (first || (req->op != BR_FLUSH && req->split_at < req->length)) {
		first = false;
		if (make_call(c, req))
			continue;
		br_task_list_add(&c->parked, &req->wait);
		return;
	}
	br_req_legs_end(req);
}

void br_user_submit(struct br_chan *chan, struct br_req *req)
{
	struct br_user *u = br_user_of(chan->dev);

	if (req->op == BR_FLUSH && !can(u, BR_CAP_VOLATILE_CACHE)) {
		br_req_complete(req, 0);
		return;
	}
	if (req->op == BR_WRITE_ZEROES && (req->flags & BR_FAST_ONLY) && !can(u, BR_CAP_FAST_ZEROES)) {
		br_req_fail(req, -EOPNOTSUPP, BLKREMAP_CODE_UNSUPPORTED);
		return;
	}
	br_req_legs_begin(req);
	req->split_at = 0;
	route(to_chan(chan), req);
}

/* ---- coming back ----------------------------------------------------------------------------------------------- */

static uint64_t extents_room(const struct br_req *req)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < req->iovcnt; i++)
		n += req->iov[i].iov_len;
	return n / sizeof(struct blkremap_extent);
}

/* What may be made of the caller's word. */
static int32_t checked_result(const struct br_user_call *call)
{
	int32_t result = call->leg.result;

	if (result <= 0)
		return result;
	if (call->op == BR_EXTENTS && (uint64_t)result <= extents_room(call->parent))
		return result;
	return br_error(-EIO, "a backend completed a request with %d", result);
}

/* Is this the moment for the flush that stands in for FUA: all pieces written, this the last to come back? */
static bool flush_is_due(const struct br_user *u, const struct br_user_call *call)
{
	const struct br_req *req = call->parent;

	return is_fua(u, req, BR_CAP_VOLATILE_CACHE) && !call->is_flush && req->legs == 1 && req->result >= 0 &&
	       call->leg.result >= 0 && !BR_MUTANT("user-fua-without-flush");
}

static void turn_into_flush(struct br_user_call *call)
{
	call->op = BR_FLUSH;
	call->flags = 0;
	call->is_flush = true;
	call->iov = NULL;
	call->iovcnt = 0;
	call->leg.offset = call->leg.length = 0;
	gather_call(call->chan, call);
}

static void unbounce(const struct br_user *u, struct br_user_call *call)
{
	if (call->bounce && call->op == BR_READ && call->leg.result == 0)
		br_req_copy_in(&call->leg, 0, call->bounce, call->leg.length);
	br_free(u->env, call->bounce, call->leg.length);
	call->bounce = NULL;
}

static void end_call(struct br_user_call *call)
{
	struct br_user_chan *c = call->chan;
	struct br_req *leg = &call->leg, *req = call->parent;
	struct br_task *t;

	if (leg->result < 0) {
		leg->fail_dev = c->chan.dev->id;
		leg->fail_offset = leg->offset;
	} else if (leg->result > 0 && req->result == 0) {
		req->result = leg->result;
	}
	br_req_leg_done(req, leg);
	br_pool_give(&c->calls, call);
	t = br_task_list_pop(&c->parked);
	if (t)
		route(c, br_container_of(t, struct br_req, wait));
}

void br_user_call_came_back(struct br_task *task)
{
	struct br_user_call *call = br_container_of(task, struct br_user_call, task);
	struct br_user_chan *c = call->chan;
	struct br_user *u = br_user_of(c->chan.dev);

	c->source->source.in_flight--;
	c->look = true;
	call->leg.result = checked_result(call);
	unbounce(u, call);
	if (flush_is_due(u, call))
		turn_into_flush(call);
	else
		end_call(call);
}

/* ---- the channel ----------------------------------------------------------------------------------------------- */

static void kick(struct br_source *source)
{
	struct br_user_chan *c = br_container_of(source, struct br_user_source, source)->chan;
	struct br_user *u;

	if (!c || (br_list_empty(&c->gathered) && !c->look))
		return;
	u = br_user_of(c->chan.dev);
	c->look = false;
	br_user_enqueue(u, &c->gathered);
	br_user_send(u);
}

static int poll_nothing(struct br_source *source)
{
	(void)source;
	return 0;	/* completions are posted */
}

static void close_source(struct br_source *source)
{
	struct br_user_source *s = br_container_of(source, struct br_user_source, source);

	br_free(source->queue->ctx->env, s, sizeof(*s));
}

static const struct br_source_ops source_ops = {
	.name = "user",
	.kick = kick,
	.poll = poll_nothing,
	.close = close_source,
};

static struct br_user_source *add_source(struct br_queue *q, const struct br_user *u)
{
	struct br_user_source *s = br_alloc(q->ctx->env, sizeof(*s));

	if (!s)
		return NULL;
	s->source.ops = &source_ops;
	s->source.engine = u;
	br_queue_add_source(q, &s->source);
	return s;
}

static void count_chan(struct br_user *u, uint32_t n)
{
	br_user_lock(u);
	u->nr_chans += n;
	br_user_unlock(u);
}

int br_user_chan_open(struct br_chan *chan)
{
	struct br_user_chan *c = to_chan(chan);
	struct br_user *u = br_user_of(chan->dev);

	if (br_pool_init(&c->calls, u->env, sizeof(struct br_user_call), 16, CALLS) < 0)
		return br_error(-ENOMEM, "no memory for %d calls", CALLS);
	c->source = add_source(chan->queue, u);
	if (!c->source) {
		br_pool_done(&c->calls);
		return br_error(-ENOMEM, "no memory for a source");
	}
	c->source->chan = c;
	c->nudge.run = br_user_nudged;
	br_list_init(&c->gathered);
	br_task_list_init(&c->parked);
	count_chan(u, 1);
	return 0;
}

/*
 * No nudge is under way: one is posted only while a call of ours waits in line, and so lies in our queue's inbox before
 * that call comes back.
 */
void br_user_chan_close(struct br_chan *chan)
{
	struct br_user_chan *c = to_chan(chan);
	struct br_user *u = br_user_of(chan->dev);

	c->source->chan = NULL;
	c->source->source.engine = NULL;	/* another device may be made where this one was */
	br_pool_done(&c->calls);
	count_chan(u, UINT32_MAX);
}
