/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Engine "aio": libaio, one kernel context a queue.
 *
 *	submit()  fills an iocb and puts it into the batch
 *	kick()    one io_submit() for the whole batch
 *	poll()    completions, read from the ring that the kernel shares with us: no system call
 *	wait()    io_getevents(), with the bells watched by one-shot polls in the same context
 *
 * What the kernel refuses.  io_submit() may take a part of the batch: the rest follows at once.  -EAGAIN: the rest
 * stays here and follows the next completion; with nothing in flight none would come, so then the first request fails
 * with it.  Any other error belongs to the first iocb alone: that request fails, or is tried in the way that such files
 * know (FDSYNC becomes fdatasync() in the jobs source, RWF_DSYNC a flush after the write).
 *
 * The ring.  Its layout is kernel ABI (fio and qemu read it too), told by a magic number and "incompatible features";
 * where these are not as expected, io_getevents() is used.  head is ours, tail the kernel's.
 *
 * The short way.  Most requests are a read or write of one buffer that the kernel takes as it is: is_plain().  They
 * have a path of their own through submission and completion, which is the long one without its questions.
 *
 * All of it is private to the owner of the queue.
 */
#include "io/file-internal.h"

#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <time.h>

#include "base/compiler.h"
#include "base/error.h"
#include "op/ctx.h"

enum { EVENTS = 32, WATCHES = 2, MAX_INTERRUPTED = 16 };
#define RING_MAGIC 0xa10a10a1u
enum { BLIND_NS = 1000000 };	/* how long to sleep at most when a bell cannot be watched */

struct ring {
	uint32_t id, nr;
	_Atomic uint32_t head, tail;
	uint32_t magic, compat, incompat, header_bytes;
	struct io_event events[];
};

/* A one-shot poll.  It stays armed until it fires, over any number of sleeps. */
struct watch {
	struct iocb iocb;
	int fd;
	bool armed;
};

struct aio {
	struct br_source source;
	struct br_lane lane;
	io_context_t ctx;
	struct ring *ring;		/* NULL: not as expected */
	uint32_t sent;			/* requests that the kernel has */
	uint32_t nr_batch;
	bool stalled;			/* -EAGAIN: nothing goes out before the next completion */
	bool notify;
	struct watch watches[WATCHES];
	struct iocb *batch[BR_AIO_DEPTH];	/* each br_file_io is in it at most once */
};

bool br_aio_without_ring;

static struct aio *to_aio(struct br_source *s)
{
	return br_container_of(s, struct aio, source);
}

/* ---- towards the kernel ------------------------------------------------------------------------------------------ */

/* Costs some 15 % a request, so only for queues whose descriptor somebody watches. */
static void ring_bell_when_done(struct aio *a, struct iocb *iocb)
{
	io_set_eventfd(iocb, a->source.queue->bell);
}

static void prepare_vectors(struct br_file_io *io, int fd, long long at)
{
	bool write = io->req->op == BR_WRITE;

	if (io->iovcnt > 1 && write)
		io_prep_pwritev(&io->iocb, fd, io->iov, (int)io->iovcnt, at);
	else if (io->iovcnt > 1)
		io_prep_preadv(&io->iocb, fd, io->iov, (int)io->iovcnt, at);
	else if (write)
		io_prep_pwrite(&io->iocb, fd, io->iov->iov_base, io->iov->iov_len, at);
	else
		io_prep_pread(&io->iocb, fd, io->iov->iov_base, io->iov->iov_len, at);
}

/* The next piece of a read or write.  Where RWF_DSYNC is known not to work, FUA is a flush after the last piece. */
static void prepare_transfer(struct br_file_io *io)
{
	const struct br_req *req = io->req;

	br_file_io_piece(io);
	prepare_vectors(io, io->file->fd, (long long)(req->offset + io->done));
	if (req->op != BR_WRITE || !(req->flags & BR_FUA))
		return;
	if (atomic_load_explicit(&io->file->no_dsync, memory_order_relaxed))
		io->flush_after = true;
	if (!io->flush_after)
		io->iocb.aio_rw_flags = RWF_DSYNC;
}

static void add_to_batch(struct aio *a, struct br_file_io *io)
{
	io->iocb.data = io;
	if (a->notify)
		ring_bell_when_done(a, &io->iocb);
	a->batch[a->nr_batch++] = &io->iocb;
}

/* There is room: the batch has as many places as the lane, and a request is in it once. */
static void put_into_batch(struct aio *a, struct br_file_io *io)
{
	if (io->stage == BR_STAGE_FLUSH || io->req->op == BR_FLUSH)
		io_prep_fdsync(&io->iocb, io->file->fd);
	else
		prepare_transfer(io);
	add_to_batch(a, io);
}

/* The first @n of the batch are gone. */
static void drop_from_batch(struct aio *a, uint32_t n)
{
	a->nr_batch -= n;
	for (uint32_t i = 0; br_unlikely(i < a->nr_batch); i++)
		a->batch[i] = a->batch[i + n];
}

/* ---- completion -------------------------------------------------------------------------------------------------- */

/* The place that becomes free is given on at once, in order, before anybody new can ask for it. */
static void finish(struct aio *a, struct br_file_io *io, int result)
{
	io->result = result;
	br_lane_finish(&a->lane, io);
	while ((io = br_lane_next(&a->lane, &a->source)))
		put_into_batch(a, io);
}

/* The rest of this request is for the jobs source: its place here is given up without completing it. */
static void hand_over_flush(struct aio *a, struct br_file_io *io)
{
	struct br_req *req = io->req;
	struct br_source *jobs = br_container_of(req->chan, struct br_file_chan, chan)->jobs;

	br_lane_forget(&a->lane, io);
	br_jobs_submit(jobs, req, BR_STAGE_FLUSH);
	while ((io = br_lane_next(&a->lane, &a->source)))
		put_into_batch(a, io);
}

/* The data of an FUA write is where a flush that begins now reaches it (its writes have completed). */
static void flush_now(struct aio *a, struct br_file_io *io)
{
	io->stage = BR_STAGE_FLUSH;
	if (atomic_load_explicit(&io->file->no_aio_fdsync, memory_order_relaxed))
		hand_over_flush(a, io);
	else
		put_into_batch(a, io);
}

/* A refused FDSYNC has flushed nothing; any other error means that what was written before may be lost. */
static void flush_ended(struct aio *a, struct br_file_io *io, int64_t result)
{
	if (result == -EINVAL || result == -EOPNOTSUPP || result == -ENOSYS) {
		atomic_store_explicit(&io->file->no_aio_fdsync, true, memory_order_relaxed);
		hand_over_flush(a, io);
		return;
	}
	finish(a, io, result < 0 ? (int)result : 0);
}

/* One call of a read or write has ended: the request goes on, is flushed, or is over. */
static void transfer_ended(struct aio *a, struct br_file_io *io, int64_t result)
{
	int r;

	if (result < 0 && br_file_io_lost_dsync(io, (int)result)) {
		put_into_batch(a, io);
		return;
	}
	r = br_file_io_moved(io, result);
	if (r == 0)
		put_into_batch(a, io);
	else if (r > 0 && io->flush_after)
		flush_now(a, io);
	else
		finish(a, io, r < 0 ? r : 0);
}

/* One iocb has come to its end, or was refused. */
static void ended(struct aio *a, struct br_file_io *io, int64_t result)
{
	if (br_unlikely(result == -EINTR && io->interrupted++ < MAX_INTERRUPTED))
		put_into_batch(a, io);
	else if (io->stage == BR_STAGE_FLUSH || io->req->op == BR_FLUSH)
		flush_ended(a, io, result);
	else
		transfer_ended(a, io, result);
}

/* Returns 1 for a request, 0 for a watch that fired. */
static int event(struct aio *a, const struct io_event *e)
{
	struct br_file_io *io = e->data;

	for (unsigned i = 0; br_unlikely(!io) && i < WATCHES; i++)
		if (e->obj == &a->watches[i].iocb)
			a->watches[i].armed = false;
	if (br_unlikely(!io))
		return 0;
	a->sent--;
	a->stalled = false;
	if (br_likely(io->plain && e->res == io->piece))
		finish(a, io, 0);
	else
		ended(a, io, (long)e->res);
	return 1;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

/* The kernel did not take the first of the batch.  What becomes of it may put it at the end again. */
static void refused(struct aio *a, int error)
{
	struct br_file_io *io = a->batch[0]->data;

	drop_from_batch(a, 1);
	ended(a, io, error);
}

/* The context is full of what is in flight; what completes makes room. */
static bool must_wait(const struct aio *a, int error)
{
	return (error == -EAGAIN || error == 0) && a->sent;
}

/* Ends: each round sends, drops or gives up something, and interruptions are counted. */
static void aio_kick(struct br_source *s)
{
	struct aio *a = to_aio(s);
	unsigned interrupted = 0;
	int r;

	while (a->nr_batch && !a->stalled) {
		r = io_submit(a->ctx, a->nr_batch, a->batch);
		if (br_likely(r > 0)) {
			a->sent += (uint32_t)r;
			drop_from_batch(a, (uint32_t)r);
		} else if (must_wait(a, r)) {
			a->stalled = true;
		} else if (r != -EINTR || interrupted++ >= MAX_INTERRUPTED) {
			refused(a, r ? r : -EAGAIN);
		}
	}
}

/* ---- reaping ----------------------------------------------------------------------------------------------------- */

/* Bounded by what was there at the beginning: a device that completes at once does not keep us here. */
static int reap_ring(struct aio *a)
{
	struct ring *ring = a->ring;
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	int n = 0;

	while (head != tail) {
		struct io_event e = ring->events[head];

		head = head + 1 == ring->nr ? 0 : head + 1;
		atomic_store_explicit(&ring->head, head, memory_order_release);
		n += event(a, &e);
	}
	return n;
}

/* The same through the kernel; returns how many requests have ended, or -errno. */
static int reap(struct aio *a, long min, struct timespec *timeout)
{
	struct io_event events[EVENTS];
	int n = 0, r = io_getevents(a->ctx, min, EVENTS, events, timeout);

	for (int i = 0; i < r; i++)
		n += event(a, &events[i]);
	return r < 0 ? r : n;
}

/*
 * What a completion has put into the batch (a next piece, a request that waited) goes out with the kick that follows.
 */
static int aio_poll(struct br_source *s)
{
	struct timespec now = { 0, 0 };
	struct aio *a = to_aio(s);
	int n;

	if (!a->sent)
		return 0;
	n = a->ring ? reap_ring(a) : reap(a, 0, &now);
	return n < 0 ? 0 : n;
}

/* ---- sleeping ---------------------------------------------------------------------------------------------------- */

/* False: the bell cannot be watched (an old kernel, or the watch is busy with another one). */
static bool arm(struct aio *a, struct watch *w, int fd)
{
	struct iocb *iocb = &w->iocb;

	if (w->armed)
		return w->fd == fd;
	io_prep_poll(iocb, fd, POLLIN);
	w->fd = fd;
	w->armed = io_submit(a->ctx, 1, &iocb) == 1;
	return w->armed;
}

/* In a context without threads the sleeper also runs the library's own queues: their bell is the second one. */
static bool arm_all(struct aio *a, int wake_fd)
{
	const struct br_ctx *ctx = a->source.queue->ctx;
	bool all = arm(a, &a->watches[0], wake_fd);

	if (ctx->no_threads && ctx->bell != wake_fd)
		all &= arm(a, &a->watches[1], ctx->bell);
	return all;
}

/* Returns early when there is anything to do, late never: both bells and the deadline end the sleep. */
static void aio_wait(struct br_source *s, int wake_fd, int64_t timeout_ns)
{
	struct aio *a = to_aio(s);
	struct timespec ts;
	int r;

	aio_kick(s);
	if (aio_poll(s) || s->queue->ready.head)
		return;		/* the caller runs the queue, which kicks */
	if (!arm_all(a, wake_fd) && (timeout_ns < 0 || timeout_ns > BLIND_NS))
		timeout_ns = BLIND_NS;
	ts.tv_sec = (time_t)(timeout_ns / 1000000000);
	ts.tv_nsec = (long)(timeout_ns % 1000000000);
	r = reap(a, 1, timeout_ns < 0 ? NULL : &ts);
	if (r < 0 && r != -EINTR) {	/* should not be; but whoever calls us in a loop must not spin */
		ts = (struct timespec){ .tv_nsec = BLIND_NS };
		nanosleep(&ts, NULL);
	}
	aio_kick(s);
}

/* What is gathered but not sent yet is told too; what is in flight already rings no bell. */
static void aio_notify(struct br_source *s, bool on)
{
	struct aio *a = to_aio(s);

	a->notify = on;
	for (uint32_t i = 0; on && i < a->nr_batch; i++)
		ring_bell_when_done(a, a->batch[i]);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool is_armed(const struct aio *a)
{
	bool armed = false;

	for (unsigned i = 0; i < WATCHES; i++)
		armed |= a->watches[i].armed;
	return armed;
}

/* The kernel lets go of a watch by completing it.  False: it does not, the context cannot be used again. */
static bool disarm_all(struct aio *a)
{
	struct timespec patience = { .tv_sec = 1 };
	struct io_event e;

	for (unsigned i = 0; i < WATCHES; i++)
		if (a->watches[i].armed && io_cancel(a->ctx, &a->watches[i].iocb, &e) == 0)
			a->watches[i].armed = false;	/* old kernels tell in @e, without an event */
	while (is_armed(a))
		if (io_getevents(a->ctx, 1, 1, &e, &patience) != 1)
			return false;
		else
			event(a, &e);
	return true;
}

static void aio_close(struct br_source *s)
{
	struct aio *a = to_aio(s);

	if (disarm_all(a))
		br_aio_context_put(a->ctx);
	else
		io_destroy(a->ctx);
	br_lane_done(&a->lane);
	br_free(s->queue->ctx->env, a, sizeof(*a));
}

static const struct br_source_ops aio_ops = {
	.name = "aio",
	.kick = aio_kick,
	.poll = aio_poll,
	.wait = aio_wait,
	.notify = aio_notify,
	.close = aio_close,
};

/* The number of a context is the address at which the kernel has mapped its ring. */
static struct ring *ring_of(io_context_t ctx)
{
	struct ring *ring = (struct ring *)(void *)ctx;

	if (br_aio_without_ring || ring->magic != RING_MAGIC || ring->incompat || ring->header_bytes != sizeof(*ring))
		return NULL;
	return ring;
}

static int new_aio(struct br_queue *q, struct br_source **ret)
{
	const struct blkremap_env *env = q->ctx->env;
	struct aio *a = br_alloc_aligned(env, sizeof(*a), BR_CACHE_LINE);
	int r;

	if (!a)
		return -ENOMEM;
	r = br_aio_context_get(&a->ctx);
	if (r < 0)
		goto out_free;
	r = br_lane_init(&a->lane, env, BR_AIO_DEPTH);
	if (r < 0)
		goto out_put;
	a->ring = ring_of(a->ctx);
	a->source.ops = &aio_ops;
	a->source.engine = &aio_ops;
	br_queue_add_source(q, &a->source);
	*ret = &a->source;
	return 0;
out_put:
	br_aio_context_put(a->ctx);
out_free:
	br_free(env, a, sizeof(*a));
	return r;
}

int br_aio_get(struct br_queue *q, struct br_source **ret)
{
	struct br_source *s = br_queue_source(q, &aio_ops);

	if (!s)
		return new_aio(q, ret);
	*ret = s;
	return 0;
}

/* A single vector is a whole number of blocks, because the request is: its address alone decides. */
static bool is_plain(const struct aio *a, const struct br_file *f, const struct br_req *req)
{
	const struct iovec *v = req->iov;

	if (req->op > BR_WRITE || (req->flags & BR_FUA) || req->iovcnt != 1 || a->lane.waiting.head)
		return false;
	return !f->direct || !(((uintptr_t)v->iov_base + req->iov_skip) & (f->dev.buffer_align - 1));
}

/* As br_lane_take(), for one that needs no bounce buffer and overtakes nobody. */
static struct br_file_io *take_plain(struct aio *a, struct br_file *f, struct br_req *req)
{
	struct br_file_io *io = br_pool_take(&a->lane.ios);

	if (br_unlikely(!io))
		return NULL;
	a->source.in_flight++;
	io->source = &a->source;
	io->file = f;
	io->req = req;
	io->stage = BR_STAGE_WHOLE;
	io->plain = true;
	io->flush_after = false;
	io->interrupted = 0;
	io->code = 0;
	io->done = 0;
	io->piece = req->length;
	io->bounce = NULL;
	return io;
}

static void submit_plain(struct aio *a, struct br_file_io *io)
{
	const struct br_req *req = io->req;
	char *buffer = (char *)req->iov->iov_base + req->iov_skip;

	if (req->op == BR_WRITE)
		io_prep_pwrite(&io->iocb, io->file->fd, buffer, req->length, (long long)req->offset);
	else
		io_prep_pread(&io->iocb, io->file->fd, buffer, req->length, (long long)req->offset);
	add_to_batch(a, io);
}

void br_aio_submit(struct br_source *s, struct br_req *req)
{
	struct br_file *f = br_to_file(req->chan->dev);
	struct aio *a = to_aio(s);
	struct br_file_io *io = br_likely(is_plain(a, f, req)) ? take_plain(a, f, req) : NULL;

	if (br_likely(io)) {
		submit_plain(a, io);
		return;
	}
	io = br_lane_take(&a->lane, s, req, BR_STAGE_WHOLE);
	if (io)
		put_into_batch(a, io);
}
