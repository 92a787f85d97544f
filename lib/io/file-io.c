/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pieces.  Most requests are one piece: their own vectors, passed as they are.  A request becomes several when it is
 * bounced, when the kernel transfers less than it was asked for, or when it is a slice that begins or ends inside a
 * vector and has more vectors than fit here.  Such a cut is made at a block boundary where there is one.
 */
#include "io/file-internal.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/error.h"
#include "blkremap/blkremap.h"

/* ---- lanes ------------------------------------------------------------------------------------------------------- */

int br_lane_init(struct br_lane *lane, const struct blkremap_env *env, uint32_t n)
{
	int r;

	br_task_list_init(&lane->waiting);
	r = br_pool_init(&lane->ios, env, sizeof(struct br_file_io), BR_CACHE_LINE, n);
	if (r < 0)
		return r;
	r = br_bounce_init(&lane->bounce, env);
	if (r < 0)
		br_pool_done(&lane->ios);
	return r;
}

void br_lane_done(struct br_lane *lane)
{
	br_bounce_done(&lane->bounce);
	br_pool_done(&lane->ios);
}

static bool is_bounced(const struct br_file *f, const struct br_req *req, enum br_file_stage stage)
{
	return f->direct && req->op <= BR_WRITE && stage == BR_STAGE_WHOLE &&
	       br_bounce_needed(req, f->dev.buffer_align, f->dev.logical_block);
}

/* A place and, if need be, a buffer: both or neither, so that nobody holds one while he waits for the other. */
static struct br_file_io *try_take(struct br_lane *lane, struct br_source *s, struct br_req *req,
				   enum br_file_stage stage)
{
	struct br_file *f = br_to_file(req->chan->dev);
	struct br_file_io *io;
	void *bounce = NULL;

	if (br_unlikely(!lane->ios.nr_free))
		return NULL;
	if (br_unlikely(is_bounced(f, req, stage))) {
		bounce = br_bounce_take(&lane->bounce);
		if (!bounce)
			return NULL;
	}
	io = br_pool_take(&lane->ios);
	io->source = s;
	io->file = f;
	io->req = req;
	io->stage = stage;
	io->plain = false;
	io->flush_after = false;
	io->interrupted = 0;
	io->code = 0;
	io->done = 0;
	io->bounce = bounce;
	return io;
}

struct br_file_io *br_lane_take(struct br_lane *lane, struct br_source *s, struct br_req *req, enum br_file_stage stage)
{
	struct br_file_io *io = NULL;

	s->in_flight++;
	if (br_likely(!lane->waiting.head))	/* nobody overtakes those who wait */
		io = try_take(lane, s, req, stage);
	if (br_unlikely(!io)) {
		req->engine_priv = (void *)(uintptr_t)stage;
		br_task_list_add(&lane->waiting, &req->task);
	}
	return io;
}

struct br_file_io *br_lane_next_waiting(struct br_lane *lane, struct br_source *s)
{
	struct br_req *req = br_container_of(lane->waiting.head, struct br_req, task);
	struct br_file_io *io;

	io = try_take(lane, s, req, (enum br_file_stage)(uintptr_t)req->engine_priv);
	if (io)
		br_task_list_pop(&lane->waiting);
	return io;
}

/* Why a request failed, where nobody has said so yet. */
static uint32_t reason(const struct br_file_io *io)
{
	if (io->code)
		return io->code;
	if (io->result == -EOPNOTSUPP)
		return BLKREMAP_CODE_UNSUPPORTED;
	if (io->req->op == BR_FLUSH || io->stage == BR_STAGE_FLUSH)
		return BLKREMAP_CODE_FLUSH_FAILED;
	return io->result == -EIO ? BLKREMAP_CODE_MEDIUM : BLKREMAP_CODE_NONE;
}

void br_lane_forget(struct br_lane *lane, struct br_file_io *io)
{
	if (br_unlikely(io->bounce))
		br_bounce_give(&lane->bounce, io->bounce);
	io->source->in_flight--;
	br_pool_give(&lane->ios, io);
}

void br_lane_finish(struct br_lane *lane, struct br_file_io *io)
{
	struct br_req *req = io->req;
	int32_t result = io->result;

	if (br_unlikely(result < 0)) {
		req->code = reason(io);
		req->fail_dev = io->file->dev.id;
		req->fail_offset = req->offset + io->done;
	}
	br_lane_forget(lane, io);
	br_req_complete(req, result);
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* As much as the buffer holds.  Reads are copied out of it when they have arrived, in br_file_io_moved(). */
static void piece_of_bounce(struct br_file_io *io, uint64_t left)
{
	io->piece = BR_MIN(left, (uint64_t)BR_BOUNCE_BYTES);
	io->vec[0] = (struct iovec){ .iov_base = io->bounce, .iov_len = io->piece };
	io->iov = io->vec;
	io->iovcnt = 1;
	if (io->req->op == BR_WRITE)
		br_req_copy_out(io->req, io->done, io->bounce, io->piece);
}

/* The vectors are all of the request and nothing else, and not more than one call takes. */
static bool fits_as_it_is(const struct br_file_io *io)
{
	const struct br_req *req = io->req;
	uint64_t n = 0;

	if (io->done || req->iov_skip || req->iovcnt > BR_FILE_MAX_IOV)
		return false;
	for (uint32_t i = 0; i < req->iovcnt; i++)
		n += req->iov[i].iov_len;
	return n == req->length;
}

/* Give back what is left over after the last whole block, if there is a whole one. */
static void trim_to_block(struct br_file_io *io)
{
	uint64_t block = io->file->dev.logical_block, extra = io->piece % block;

	if (io->piece < block)
		return;
	io->piece -= extra;
	while (extra) {
		struct iovec *last = &io->vec[io->iovcnt - 1];
		uint64_t n = BR_MIN(extra, last->iov_len);

		last->iov_len -= n;
		extra -= n;
		if (!last->iov_len)
			io->iovcnt--;
	}
}

/* Own vectors over the next bytes of the request, as many as there is room for. */
static void piece_of_slices(struct br_file_io *io, uint64_t left)
{
	const struct br_req *req = io->req;
	uint64_t skip = req->iov_skip + io->done, n;
	uint32_t i = 0;

	io->iov = io->vec;
	io->iovcnt = 0;
	io->piece = 0;
	while (skip >= req->iov[i].iov_len)
		skip -= req->iov[i++].iov_len;
	for (; left && io->iovcnt < BR_FILE_VECS; i++, skip = 0) {
		n = BR_MIN(left, req->iov[i].iov_len - skip);
		if (!n)
			continue;
		io->vec[io->iovcnt++] = (struct iovec){ .iov_base = (char *)req->iov[i].iov_base + skip, .iov_len = n };
		io->piece += n;
		left -= n;
	}
	if (left)
		trim_to_block(io);
}

void br_file_io_piece(struct br_file_io *io)
{
	const struct br_req *req = io->req;
	uint64_t left = req->length - io->done;

	if (br_unlikely(io->bounce)) {
		piece_of_bounce(io, left);
	} else if (br_likely(req->iovcnt == 1)) {
		io->vec[0].iov_base = (char *)req->iov->iov_base + req->iov_skip + io->done;
		io->vec[0].iov_len = left;
		io->piece = left;
		io->iov = io->vec;
		io->iovcnt = 1;
	} else if (fits_as_it_is(io)) {
		io->piece = left;
		io->iov = req->iov;
		io->iovcnt = req->iovcnt;
	} else {
		piece_of_slices(io, left);
	}
}

/* The kernel moved nothing although there is something to move: for a read, the file has become shorter. */
static int moved_nothing(struct br_file_io *io)
{
	const struct br_req *req = io->req;
	uint64_t at = req->offset + io->done;

	if (req->op == BR_WRITE)
		return br_error(-EIO, "%s: nothing of %" PRIu64 " bytes could be written at offset %" PRIu64,
				io->file->dev.name, io->piece, at);
	io->code = BLKREMAP_CODE_BEYOND_END;
	return br_error(-EIO, "%s: it ends before offset %" PRIu64 ", although it had %" PRIu64 " bytes before",
			io->file->dev.name, at + io->piece, atomic_load(&io->file->dev.bytes));
}

int br_file_io_moved(struct br_file_io *io, int64_t result)
{
	uint64_t n = (uint64_t)result;

	if (br_unlikely(result < 0))
		return (int)result;
	if (br_unlikely(n < io->piece && io->file->direct))
		n -= n % io->file->dev.logical_block;	/* O_DIRECT cannot go on inside a block */
	if (br_unlikely(n == 0))
		return moved_nothing(io);
	if (br_unlikely(io->bounce && io->req->op == BR_READ))
		br_req_copy_in(io->req, io->done, io->bounce, n);
	io->done += n;
	return io->done >= io->req->length;
}

bool br_file_io_lost_dsync(struct br_file_io *io, int error)
{
	if (error != -EOPNOTSUPP && error != -EINVAL && error != -ENOSYS)
		return false;
	if (io->req->op != BR_WRITE || !(io->req->flags & BR_FUA) || io->flush_after)
		return false;
	atomic_store_explicit(&io->file->no_dsync, true, memory_order_relaxed);
	io->flush_after = true;
	return true;
}
