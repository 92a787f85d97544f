/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/queue.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

enum { DEFAULT_DEPTH = 128, MAX_DEPTH = 65536 };

_Static_assert((int)BR_READ == BLKREMAP_READ && (int)BR_WRITE == BLKREMAP_WRITE && (int)BR_FLUSH == BLKREMAP_FLUSH &&
	       (int)BR_DISCARD == BLKREMAP_DISCARD && (int)BR_WRITE_ZEROES == BLKREMAP_WRITE_ZEROES &&
	       (int)BR_EXTENTS == BLKREMAP_EXTENTS, "requests inside have the numbers of those outside");
_Static_assert((int)BR_FUA == BLKREMAP_FUA && (int)BR_MAY_UNMAP == BLKREMAP_MAY_UNMAP &&
	       (int)BR_FAST_ONLY == BLKREMAP_FAST_ONLY && (int)BR_UNSTABLE == BLKREMAP_UNSTABLE &&
	       (int)BR_BACKGROUND == BLKREMAP_BACKGROUND, "and flags likewise");

/* ---- open and close ---------------------------------------------------------------------------------------------- */

static int take_memory(struct blkremap_queue *q, const struct blkremap_env *env)
{
	int r = br_pool_init(&q->roots, env, sizeof(struct br_root), BR_CACHE_LINE, q->depth);

	if (r < 0)
		return r;
	q->done = br_alloc(env, q->depth * sizeof(*q->done));
	return q->done ? 0 : -ENOMEM;
}

static void give_memory(struct blkremap_queue *q, const struct blkremap_env *env)
{
	br_free(env, q->done, q->depth * sizeof(*q->done));
	if (q->roots.env)
		br_pool_done(&q->roots);
	br_free(env, q, sizeof(*q));
}

/* Channels are opened one queue at a time in a context, so that none misses a change of what is below. */
static int open_chan(struct blkremap_queue *q, struct br_dev *dev)
{
	int r;

	br_queue_enter(&q->q);
	br_sync_control(&q->q);
	r = br_chan_get(&q->q, dev, &q->chan);
	br_control_unlock(dev->ctx);
	br_queue_leave(&q->q);
	return r;
}

static int build(struct blkremap_queue *q, struct blkremap_dev *dev)
{
	struct br_ctx *core = &dev->ctx->core;
	int r = take_memory(q, core->env);

	if (r < 0)
		return br_error(r, "no memory for a queue of %u requests", q->depth);
	r = br_queue_init(&q->q, core, false);
	if (r < 0)
		return br_error(r, "cannot make an event descriptor for a queue");
	q->q.depth = q->depth;
	r = open_chan(q, dev->dev);
	if (r < 0)
		br_queue_done(&q->q);
	return r;
}

int blkremap_queue_open(struct blkremap_dev *dev, const struct blkremap_queue_opts *opts, struct blkremap_queue **ret_q)
{
	struct blkremap_queue_opts o;
	struct blkremap_queue *q;
	int r = br_opts_read(&o, sizeof(o), opts);

	if (r < 0)
		return r;
	if (!dev || !ret_q || o.flags || o.depth > MAX_DEPTH)
		return br_error(-EINVAL, "queue: no device, unknown flags, or depth %u above %d", o.depth, MAX_DEPTH);
	q = br_alloc_aligned(dev->ctx->core.env, sizeof(*q), BR_CACHE_LINE);
	if (!q)
		return br_error(-ENOMEM, "no memory for a queue");
	q->handle = dev;
	q->depth = o.depth ? o.depth : DEFAULT_DEPTH;
	r = build(q, dev);
	if (r < 0) {
		give_memory(q, dev->ctx->core.env);
		return r;
	}
	atomic_fetch_add(&dev->users, 1);
	*ret_q = q;
	return 0;
}

int blkremap_queue_close(struct blkremap_queue *q)
{
	const struct blkremap_env *env;
	struct br_ctx *ctx;

	if (!q)
		return 0;
	if (br_queue_enter(&q->q) < 0)
		return br_error(-EBUSY, "queue: another thread is inside it");
	if (q->in_flight || q->q.unreaped) {
		br_queue_leave(&q->q);
		return br_error(-EBUSY, "queue: %u requests are in flight, %u not reaped", q->in_flight, q->q.unreaped);
	}
	ctx = q->q.ctx;
	env = ctx->env;
	br_block(ctx, &q->q, br_queue_is_quiet, &q->q, BR_NEVER);
	br_sync_control(&q->q);
	br_chan_put(q->chan);
	br_control_unlock(ctx);
	br_queue_leave(&q->q);
	br_queue_done(&q->q);
	atomic_fetch_sub(&q->handle->users, 1);
	give_memory(q, env);
	return 0;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

static int set_notify(struct blkremap_queue *q, bool on)
{
	if (br_queue_enter(&q->q) < 0)
		return br_error(-EBUSY, "queue: another thread is inside it");
	q->silent = !on;
	br_queue_set_notify(&q->q, on);
	br_queue_leave(&q->q);
	return 0;
}

int blkremap_queue_fd(struct blkremap_queue *q)
{
	int r;

	if (!q)
		return br_error(-EINVAL, "no queue");
	if (!atomic_load(&q->q.notify) && !q->silent) {
		r = q->in_flight ? br_error(-EBUSY, "queue: ask for the descriptor before the first request") :
				   set_notify(q, true);
		if (r < 0)
			return r;
	}
	return q->q.bell;
}

int blkremap_queue_arm(struct blkremap_queue *q, int on)
{
	return q ? set_notify(q, on != 0) : br_error(-EINVAL, "no queue");
}

/* Also from signal handlers: one store and one write(). */
int blkremap_queue_wake(struct blkremap_queue *q)
{
	if (!q)
		return -EINVAL;
	atomic_store(&q->woken, true);
	q->q.ctx->env->ops->bell_ring(q->q.ctx->env, q->q.bell);
	return 0;
}

/* ---- submission -------------------------------------------------------------------------------------------------- */

static const uint32_t known_flags[] = {
	[BLKREMAP_READ] = BLKREMAP_BACKGROUND,
	[BLKREMAP_WRITE] = BLKREMAP_FUA | BLKREMAP_UNSTABLE | BLKREMAP_BACKGROUND,
	[BLKREMAP_FLUSH] = 0,
	[BLKREMAP_DISCARD] = BLKREMAP_FUA | BLKREMAP_BACKGROUND,
	[BLKREMAP_WRITE_ZEROES] = BLKREMAP_FUA | BLKREMAP_MAY_UNMAP | BLKREMAP_FAST_ONLY | BLKREMAP_BACKGROUND,
	[BLKREMAP_EXTENTS] = BLKREMAP_BACKGROUND,
};

static bool iov_is_long_enough(const struct blkremap_io *io)
{
	uint64_t need = io->op == BLKREMAP_EXTENTS ? sizeof(struct blkremap_extent) : io->length, have = 0;

	if (io->op != BLKREMAP_READ && io->op != BLKREMAP_WRITE && io->op != BLKREMAP_EXTENTS)
		return true;
	if (io->iovcnt && !io->iov)
		return false;
	for (uint32_t i = 0; i < io->iovcnt && have < need; i++)
		have += io->iov[i].iov_len;
	return have >= need;
}

static int check(const struct blkremap_io *io)
{
	if (io->op >= BR_ARRAY_SIZE(known_flags))
		return br_error(-EINVAL, "request: unknown operation %u", io->op);
	if (io->flags & ~known_flags[io->op])
		return br_error(-EINVAL, "request: flags 0x%x mean nothing with operation %u", io->flags, io->op);
	if (io->reserved32 || io->reserved[0] || io->reserved[1])
		return br_error(-EINVAL, "request: reserved fields are not zero");
	if (!iov_is_long_enough(io))
		return br_error(-EINVAL, "request: the buffers are shorter than %" PRIu64 " bytes", io->length);
	return 0;
}

static void put_completion(struct br_root *root)
{
	struct blkremap_queue *q = root->queue;
	uint32_t i = q->first_done + q->q.unreaped++;
	struct br_req *req = &root->req;

	q->done[i < q->depth ? i : i - q->depth] = (struct blkremap_completion){
		.user_data = root->user_data, .result = req->result, .code = req->result < 0 ? req->code : 0,
		.dev_id = req->result < 0 ? req->fail_dev : 0, .offset = req->result < 0 ? req->fail_offset : 0 };
	q->in_flight--;
	br_pool_give(&q->roots, root);
}

static void root_done(struct br_req *req)
{
	put_completion(br_container_of(req, struct br_root, req));
}

/* What a request may not do through this handle is a completion, too. */
static int32_t forbidden(struct blkremap_queue *q, struct br_req *req)
{
	struct br_dev *dev = q->chan->dev;

	if (req->op == BR_READ || req->op == BR_EXTENTS || req->op == BR_FLUSH)
		return 0;
	if (q->handle->rdonly) {
		req->code = BLKREMAP_CODE_READ_ONLY;
		return -EROFS;
	}
	if (atomic_load_explicit(&dev->claimed_by, memory_order_relaxed)) {
		req->code = BLKREMAP_CODE_CLAIMED;
		return -EBUSY;
	}
	return 0;
}

static void start(struct blkremap_queue *q, const struct blkremap_io *io)
{
	struct br_root *root = br_pool_take(&q->roots);
	int32_t r;

	root->queue = q;
	root->user_data = io->user_data;
	root->req = (struct br_req){ .op = io->op, .flags = io->flags, .offset = io->offset, .length = io->length,
				     .iov = io->iov, .iovcnt = io->iovcnt, .done = root_done };
	if (io->op == BLKREMAP_FLUSH)
		root->req.offset = root->req.length = 0;
	q->in_flight++;
	r = forbidden(q, &root->req);
	if (br_likely(r == 0)) {
		br_submit(q->chan, &root->req);
		return;
	}
	root->req.result = r;
	root->req.fail_dev = q->chan->dev->id;
	put_completion(root);
}

int blkremap_submit_io(struct blkremap_queue *q, const struct blkremap_io *ios, uint32_t n)
{
	uint32_t i;
	int r = 0;

	if (!q || !ios || !n)
		return br_error(-EINVAL, "submit: no queue or no requests");
	if (br_unlikely(br_queue_enter(&q->q) < 0))
		return br_error(-EBUSY, "queue: another thread is inside it");
	for (i = 0; i < n && q->in_flight + q->q.unreaped < q->depth; i++) {
		r = check(&ios[i]);
		if (br_unlikely(r < 0))
			break;
		start(q, &ios[i]);
	}
	br_queue_kick(&q->q);
	br_queue_leave(&q->q);
	if (i)
		return (int)i;
	return r < 0 ? r : br_error(-EAGAIN, "queue: %u requests are in flight or not reaped", q->depth);
}

/* Those that wait at a gate have reached nothing.  What a target has taken is its own until it completes. */
static bool is_meant(const struct br_req *req, uint32_t flags, uint64_t user_data)
{
	return flags & BLKREMAP_CANCEL_ALL || br_container_of(req, struct br_root, req)->user_data == user_data;
}

static int cancel_held(struct blkremap_queue *q, uint32_t flags, uint64_t user_data)
{
	struct br_task_list held = q->chan->held;
	struct br_task *t;
	int n = 0;

	br_task_list_init(&q->chan->held);
	while ((t = held.head)) {
		struct br_req *req = br_container_of(t, struct br_req, task);

		held.head = t->next;
		if (!is_meant(req, flags, user_data)) {
			br_task_list_add(&q->chan->held, t);
			continue;
		}
		req->result = -ECANCELED;
		req->code = BLKREMAP_CODE_CANCELED;
		put_completion(br_container_of(req, struct br_root, req));
		n++;
	}
	return n;
}

int blkremap_queue_cancel(struct blkremap_queue *q, uint32_t flags, uint64_t user_data)
{
	int n;

	if (!q || flags & ~(uint32_t)BLKREMAP_CANCEL_ALL)
		return br_error(-EINVAL, "cancel: no queue, or unknown flags");
	if (br_queue_enter(&q->q) < 0)
		return br_error(-EBUSY, "queue: another thread is inside it");
	n = cancel_held(q, flags, user_data);
	br_queue_leave(&q->q);
	return n;
}

/* ---- completions ------------------------------------------------------------------------------------------------- */

static uint32_t collect(struct blkremap_queue *q, struct blkremap_completion *out, uint32_t max)
{
	uint32_t n = BR_MIN(max, q->q.unreaped);

	for (uint32_t i = 0; i < n; i++) {
		out[i] = q->done[q->first_done];
		q->first_done = q->first_done + 1 == q->depth ? 0 : q->first_done + 1;
	}
	q->q.unreaped -= n;
	return n;
}

struct want {
	struct blkremap_queue *q;
	uint32_t min;
};

static bool has_enough(void *arg)
{
	struct want *w = arg;

	return w->q->q.unreaped >= w->min || atomic_exchange(&w->q->woken, false);
}

/* For those who poll the descriptor: look, silence it, look again, so that what came in between is not missed. */
static void look(struct blkremap_queue *q)
{
	const struct blkremap_env *env = q->q.ctx->env;

	br_queue_run(&q->q);
	if (q->q.unreaped || !atomic_load_explicit(&q->q.notify, memory_order_relaxed))
		return;
	env->ops->bell_clear(env, q->q.bell);
	br_queue_run(&q->q);
}

static uint64_t deadline(struct blkremap_queue *q, int64_t timeout_ns)
{
	return timeout_ns < 0 ? BR_NEVER : br_now(q->q.ctx->env) + (uint64_t)timeout_ns;
}

int blkremap_reap(struct blkremap_queue *q, struct blkremap_completion *out, uint32_t min, uint32_t max,
		  int64_t timeout_ns)
{
	struct want want = { q, min };
	int n;

	if (!q || (max && !out) || min > max)
		return br_error(-EINVAL, "reap: no queue, no room, or min %u above max %u", min, max);
	if (br_unlikely(br_queue_enter(&q->q) < 0))
		return br_error(-EBUSY, "queue: another thread is inside it");
	if (min > q->in_flight + q->q.unreaped) {
		br_queue_leave(&q->q);
		return br_error(-EDEADLK, "reap: %u wanted, %u in flight or done", min, q->in_flight + q->q.unreaped);
	}
	look(q);
	if (q->q.unreaped < min)
		br_block(q->q.ctx, &q->q, has_enough, &want, deadline(q, timeout_ns));
	n = (int)collect(q, out, max);
	br_queue_leave(&q->q);
	return n;
}
