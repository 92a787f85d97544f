/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the file device and its engines share.  Nobody else includes this.
 *
 * A request that a file engine works on has a struct br_file_io: how far it is, which vectors the call under way uses,
 * its bounce buffer.  They come from the source's lane, which is as long as the source's memory; requests beyond that
 * wait in order.  All of a lane is private to the owner of the queue, but a br_file_io that was handed to a pool thread
 * is that thread's until it comes home.
 */
#ifndef BR_IO_FILE_INTERNAL_H
#define BR_IO_FILE_INTERNAL_H

#include <libaio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/pool.h"
#include "io/bounce.h"
#include "io/dev.h"
#include "io/req.h"
#include "op/queue.h"
#include "op/task.h"

enum { BR_AIO_DEPTH = 256, BR_FILE_VECS = 16, BR_FILE_MAX_IOV = 1024 /* the kernel's */ };

struct br_file {
	struct br_dev dev;		/* first */
	int fd;
	bool rdonly, direct, nolock;
	bool block;			/* a block device, else a regular file */
	bool tmpfs;			/* nothing is ever more durable than it is when written: flushes do nothing */
	bool aio, sync;			/* engines, see br_file_chan */
	uint64_t id_dev, id_ino;	/* which file: st_dev, st_ino; of a block device: st_rdev, 0 */
	uint64_t max_grow;
	pthread_mutex_t resizing;	/* one at a time: ftruncate() must not shrink what another one has grown */
	struct br_list open_link;	/* file-lock.c */
	/* What this file turned out not to do.  Set by whoever finds out, any thread; never cleared. */
	_Atomic bool no_aio_fdsync, no_dsync, no_nowait, no_punch, no_zero_range;
};

struct br_file_chan {
	struct br_chan chan;		/* first */
	struct br_source *aio;		/* NULL: everything goes to jobs */
	struct br_source *jobs;
};

static inline struct br_file *br_to_file(struct br_dev *dev)
{
	return (struct br_file *)(void *)dev;
}

/* ---- requests under way (file-io.c) ------------------------------------------------------------------------------ */

enum br_file_stage {
	BR_STAGE_WHOLE,			/* all of the request */
	BR_STAGE_FLUSH			/* its data is written, what is left is the flush that FUA asks for */
};

struct br_lane {
	struct br_pool ios;
	struct br_bounce bounce;
	struct br_task_list waiting;	/* requests, by .task; their stage in .engine_priv */
};

/* A plain request (engine-aio.c) touches the first two cache lines only. */
struct br_file_io {
	struct iocb iocb;		/* 64 bytes */
	struct br_task task;		/* of lists of work, and home from a pool thread */
	struct br_source *source;
	struct br_file *file;
	struct br_req *req;
	uint64_t piece;			/* bytes asked for by the call under way */
	enum br_file_stage stage;
	bool plain;			/* one call moves all of it, and nothing is to be done afterwards */
	bool flush_after;		/* FUA, but part of it was written without */
	uint16_t interrupted;		/* how often */
	int32_t result;
	uint32_t code;			/* BLKREMAP_CODE_* that belongs to result, or 0 */
	uint64_t done;			/* bytes */
	void *bounce;			/* or NULL */
	const struct iovec *iov;	/* of the call under way */
	uint32_t iovcnt;
	struct iovec vec[BR_FILE_VECS];
};

int br_lane_init(struct br_lane *lane, const struct blkremap_env *env, uint32_t n);
void br_lane_done(struct br_lane *lane);
/* Begin with @req.  NULL: it waits, br_lane_next() will return it. */
struct br_file_io *br_lane_take(struct br_lane *lane, struct br_source *s, struct br_req *req,
				enum br_file_stage stage);
struct br_file_io *br_lane_next_waiting(struct br_lane *lane, struct br_source *s);

/* Begin with the first of those that wait.  NULL: nobody waits, or not enough is free. */
static inline struct br_file_io *br_lane_next(struct br_lane *lane, struct br_source *s)
{
	return br_likely(!lane->waiting.head) ? NULL : br_lane_next_waiting(lane, s);
}

/* Complete the request with io->result and io->code; its place is free again. */
void br_lane_finish(struct br_lane *lane, struct br_file_io *io);
/* Its place is free again, and the request is somebody else's. */
void br_lane_forget(struct br_lane *lane, struct br_file_io *io);

/* Choose the vectors for what comes next; a bounced write is copied into its buffer. */
void br_file_io_piece(struct br_file_io *io);
/*
 * The call for that piece has returned @result: a byte count or -errno.
 * 1: all is transferred.  0: go on with the next piece.  -errno: failed, io->code says why.
 */
int br_file_io_moved(struct br_file_io *io, int64_t result);
/* Does the errno of a FUA write mean that this file does not know RWF_DSYNC?  Remembers it. */
bool br_file_io_lost_dsync(struct br_file_io *io, int error);

/* ---- doing it in the calling thread (file-perform.c) ------------------------------------------------------------- */

/* Blocks.  Returns the request's result. */
int32_t br_file_perform(struct br_file_io *io);
/* Read what can be read without blocking.  True: finished, io->result says how. */
bool br_file_perform_nowait(struct br_file_io *io);

/* ---- what it is like (file-geometry.c) --------------------------------------------------------------------------- */

/* Fill the device's sizes, blocks and caps from the descriptor. */
int br_file_geometry(struct br_file *f);
/* The size now, in whole blocks. */
int br_file_bytes(const struct br_file *f, uint64_t *ret_bytes);

/* ---- who may open (file-lock.c) ---------------------------------------------------------------------------------- */

/* Enter the list of open files and lock.  -EBUSY names the holder. */
int br_file_lock(struct br_file *f, const char *what);
void br_file_unlock(struct br_file *f);
/* The block device @path is held exclusively: -EBUSY, with a sentence that tells by whom. */
int br_file_busy(const char *path);

/* ---- engines ----------------------------------------------------------------------------------------------------- */

/* The queue's source, made if need be.  Owner of the queue.  -EAGAIN, -ENOSYS, -ENOMEM ... */
int br_aio_get(struct br_queue *q, struct br_source **ret);
void br_aio_submit(struct br_source *s, struct br_req *req);
/*
 * Kernel contexts for BR_AIO_DEPTH requests and two polls each (aio-park.c).  Nothing is in flight when one is given
 * back.
 */
int br_aio_context_get(io_context_t *ret);
void br_aio_context_put(io_context_t ctx);
bool br_aio_works(void);	/* can one be had now? */
/* For tests: reap with io_getevents() although the ring could be read directly.  Heeded when a source is made. */
extern bool br_aio_without_ring;

/* The same for threads (@sync false; must not be asked for in a context without) and for sync. */
int br_jobs_get(struct br_queue *q, bool sync, struct br_source **ret);
void br_jobs_submit(struct br_source *s, struct br_req *req, enum br_file_stage stage);

#endif /* BR_IO_FILE_INTERNAL_H */
