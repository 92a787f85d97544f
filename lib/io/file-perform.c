/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests done by blocking calls, in a pool thread or in the one that runs the queue. */
#include "io/file-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "blkremap/blkremap.h"

enum { ZERO_BYTES = 64 * 1024 };

/* Never written to: as long as it is only read, it is one page of the kernel's many times. */
static _Alignas(BR_BOUNCE_ALIGN) char zeroes[ZERO_BYTES];

static bool is_unsupported(int error)
{
	return error == -EOPNOTSUPP || error == -ENOSYS || error == -ENOTTY;
}

/* ---- reads and writes -------------------------------------------------------------------------------------------- */

/* One call for the current piece; bytes or -errno. */
static int64_t call_once(struct br_file_io *io, int flags)
{
	const struct br_req *req = io->req;
	off_t at = (off_t)(req->offset + io->done);
	int fd = io->file->fd, n = (int)io->iovcnt;
	ssize_t r;

	do
		r = req->op == BR_READ ? preadv2(fd, io->iov, n, at, flags) : pwritev2(fd, io->iov, n, at, flags);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* FUA: the piece is durable when the call returns, or io->flush_after says that a flush must follow. */
static int64_t move_piece(struct br_file_io *io)
{
	bool fua = io->req->op == BR_WRITE && (io->req->flags & BR_FUA);
	int64_t r;

	if (fua && atomic_load_explicit(&io->file->no_dsync, memory_order_relaxed))
		io->flush_after = true;
	br_file_io_piece(io);
	r = call_once(io, fua && !io->flush_after ? RWF_DSYNC : 0);
	if (r < 0 && br_file_io_lost_dsync(io, (int)r))
		r = call_once(io, 0);
	return r;
}

static int flush(struct br_file_io *io)
{
	int r;

	io->stage = BR_STAGE_FLUSH;	/* a failure from here on is one of the flush */
	do
		r = fdatasync(io->file->fd);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* All pieces, one after another. */
static int transfer(struct br_file_io *io)
{
	int r;

	do
		r = br_file_io_moved(io, move_piece(io));
	while (r == 0);
	if (r < 0)
		return r;
	return io->flush_after ? flush(io) : 0;
}

bool br_file_perform_nowait(struct br_file_io *io)
{
	struct br_file *f = io->file;
	int64_t n;

	if (io->req->op != BR_READ || f->direct || atomic_load_explicit(&f->no_nowait, memory_order_relaxed))
		return false;
	br_file_io_piece(io);
	n = call_once(io, RWF_NOWAIT);
	if (n == -EOPNOTSUPP || n == -EINVAL)
		atomic_store_explicit(&f->no_nowait, true, memory_order_relaxed);
	if (n <= 0)
		return false;	/* a thread tries again, and finds the same error if it is one */
	io->result = br_file_io_moved(io, n) == 1 ? 0 : -EAGAIN;
	return io->result == 0;
}

/* ---- discards and zeroes ----------------------------------------------------------------------------------------- */

/* The size stays: what lies beyond the end of a file that has become shorter is left alone. */
static int change_allocation(struct br_file_io *io, int mode)
{
	const struct br_req *req = io->req;
	int r;

	do
		r = fallocate(io->file->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)req->offset, (off_t)req->length);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int device_range(struct br_file_io *io, unsigned long what)
{
	uint64_t range[2] = { io->req->offset, io->req->length };

	return ioctl(io->file->fd, what, range) < 0 ? -errno : 0;
}

/* Of a device this is the fast kind of zeroes: it fails rather than write them. */
static int punch(struct br_file_io *io)
{
	int r = -EOPNOTSUPP;

	if (!atomic_load_explicit(&io->file->no_punch, memory_order_relaxed))
		r = change_allocation(io, FALLOC_FL_PUNCH_HOLE);
	if (is_unsupported(r))
		atomic_store_explicit(&io->file->no_punch, true, memory_order_relaxed);
	return r;
}

static int discard(struct br_file_io *io)
{
	return io->file->block ? device_range(io, BLKDISCARD) : punch(io);
}

/* Of a device the kernel decides how, and writes zeroes if there is nothing better. */
static int zero_range(struct br_file_io *io)
{
	int r = -EOPNOTSUPP;

	if (io->file->block)
		return io->req->flags & BR_FAST_ONLY ? r : device_range(io, BLKZEROOUT);
	if (!atomic_load_explicit(&io->file->no_zero_range, memory_order_relaxed))
		r = change_allocation(io, FALLOC_FL_ZERO_RANGE);
	if (is_unsupported(r))
		atomic_store_explicit(&io->file->no_zero_range, true, memory_order_relaxed);
	return r;
}

/* The slow way, which always works.  In pieces of sixteen times the zeroes we have. */
static int write_zeroes(struct br_file_io *io)
{
	struct iovec v[BR_FILE_VECS];
	uint64_t left = io->req->length, n;
	ssize_t r;
	int i;

	while (left) {
		for (i = 0, n = 0; i < BR_FILE_VECS && n < left; i++, n += v[i - 1].iov_len)
			v[i] = (struct iovec){ zeroes, BR_MIN(left - n, (uint64_t)ZERO_BYTES) };
		r = pwritev(io->file->fd, v, i, (off_t)(io->req->offset + io->req->length - left));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		n = (uint64_t)r;
		if (io->file->direct)
			n -= n % io->file->dev.logical_block;
		if (!n)
			return -EIO;
		left -= n;
	}
	return 0;
}

/* The cheapest way that the flags allow and the file knows. */
static int make_zeroes(struct br_file_io *io)
{
	int r = -EOPNOTSUPP;

	if (io->req->flags & BR_MAY_UNMAP)
		r = punch(io);
	if (is_unsupported(r))
		r = zero_range(io);
	if (is_unsupported(r))
		r = io->req->flags & BR_FAST_ONLY ? -EOPNOTSUPP : write_zeroes(io);
	return r;
}

/* ---- extents ----------------------------------------------------------------------------------------------------- */

static uint64_t file_end(const struct br_file *f)
{
	struct stat st;

	return fstat(f->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

/*
 * One run from @at on: where it ends, and whether it is a hole.  A file system that cannot tell has data everywhere.
 * What lies beyond the end of a file that has become shorter is no hole: reads of it fail.
 */
static uint64_t run_end(const struct br_file *f, uint64_t at, uint64_t end, bool *ret_hole)
{
	uint64_t block = f->dev.logical_block, to = end;
	off_t data = lseek(f->fd, (off_t)at, SEEK_DATA), hole;
	bool none = data < 0 && errno == ENXIO;

	*ret_hole = false;
	if (data < 0 && !none)
		return end;
	if (none || (uint64_t)data / block * block > at) {
		to = none ? file_end(f) / block * block : (uint64_t)data / block * block;
		*ret_hole = to > at;
		return to > at ? BR_MIN(end, to) : end;
	}
	hole = lseek(f->fd, (off_t)at, SEEK_HOLE);
	if (hole < 0 || (uint64_t)hole <= at)
		return end;
	return BR_MIN(end, ((uint64_t)hole + block - 1) / block * block);
}

static uint64_t room_for_extents(const struct br_req *req)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < req->iovcnt; i++)
		n += req->iov[i].iov_len;
	n -= BR_MIN(n, req->iov_skip);
	return BR_MIN(n / sizeof(struct blkremap_extent), (uint64_t)INT32_MAX);
}

/* As many runs as the caller has room for; the last one tells him where to go on. */
static int32_t find_extents(struct br_file_io *io)
{
	const struct br_req *req = io->req;
	uint64_t at = req->offset, end = at + req->length, to, max = room_for_extents(req);
	struct blkremap_extent e = { .kind = 0 };
	int32_t n = 0;
	bool hole;

	for (; at < end && (uint64_t)n < max; at = to, n++) {
		to = run_end(io->file, at, end, &hole);
		e.offset = at;
		e.length = to - at;
		e.at = hole ? 0 : at;
		e.dev_id = hole ? 0 : io->file->dev.id;
		e.kind = hole ? BLKREMAP_EXT_HOLE | BLKREMAP_EXT_ZERO : BLKREMAP_EXT_DATA;
		br_req_copy_in(req, (uint64_t)n * sizeof(e), &e, sizeof(e));
	}
	return n;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* A discard or zeroes that are FUA are durable with the flush of the file that follows them. */
static int change(struct br_file_io *io)
{
	int r = io->req->op == BR_DISCARD ? discard(io) : make_zeroes(io);

	return r == 0 && (io->req->flags & BR_FUA) ? flush(io) : r;
}

int32_t br_file_perform(struct br_file_io *io)
{
	if (io->stage == BR_STAGE_FLUSH)
		return flush(io);
	switch (io->req->op) {
	case BR_READ:
	case BR_WRITE:
		return transfer(io);
	case BR_FLUSH:
		return flush(io);
	case BR_DISCARD:
	case BR_WRITE_ZEROES:
		return change(io);
	case BR_EXTENTS:
		return find_extents(io);
	default:
		return -EOPNOTSUPP;
	}
}
