/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Bytes in and out: asynchronous queues, calls that block, maps.
 *
 * What a program may count on, for every device that names BLKREMAP_CAP_WRITE:
 * - a read that begins after a write has completed sees it;
 * - a write is durable when it was submitted with BLKREMAP_FUA and has completed, or when it had completed before a
 *   flush was submitted and that flush has completed;
 * - requests in flight at the same time that overlap have no order;
 * - a write that fails has written any part of its range, or none.
 *
 * An asynchronous round trip:
 * @code
 *	struct iovec iov = { buf, 4096 };
 *	struct blkremap_io io = { .op = BLKREMAP_READ, .length = 4096, .iov = &iov, .iovcnt = 1, .user_data = 7 };
 *	struct blkremap_completion c;
 *
 *	blkremap_submit_io(q, &io, 1);
 *	blkremap_reap(q, &c, 1, 1, -1);
 *	if (c.result < 0)
 *		fprintf(stderr, "request %llu: %s\n", (unsigned long long)c.user_data, blkremap_code_text(c.code));
 * @endcode
 */
#ifndef BLKREMAP_IO_H
#define BLKREMAP_IO_H

#include <blkremap/base.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- requests and completions ------------------------------------------------------------------------------------ */

/** Values of blkremap_io.op. */
enum {
	BLKREMAP_READ, /**< bytes from the device into iov */
	BLKREMAP_WRITE, /**< bytes from iov to the device */
	BLKREMAP_FLUSH, /**< make durable what has completed; offset and length are 0 */
	BLKREMAP_DISCARD, /**< the range's contents are not needed any more; what it reads then: see the caps */
	BLKREMAP_WRITE_ZEROES, /**< make the range read as zeroes */
	BLKREMAP_EXTENTS, /**< iov: array of struct blkremap_extent to fill; result: how many */
	BLKREMAP_CLOSE = 7 /**< only to backends that pull: the last request, see blkremap_user_fetch() */
};

/** Bits of blkremap_io.flags, and of the @c flags of the calls that block; with another op than named: -EINVAL. */
enum {
	BLKREMAP_FUA = 1, /**< WRITE, WRITE_ZEROES, DISCARD: durable, mapping included, when it completes */
	BLKREMAP_MAY_UNMAP = 2, /**< WRITE_ZEROES: the range may become a hole */
	BLKREMAP_FAST_ONLY = 4, /**< WRITE_ZEROES: -EOPNOTSUPP rather than write zeroes out */
	BLKREMAP_UNSTABLE = 8, /**< WRITE: the buffer may change meanwhile (guest memory): copy where needed twice */
	BLKREMAP_BACKGROUND = 16 /**< any: gives way to requests without this flag */
};

/** A request; an element of an array, of fixed size for ever. */
struct blkremap_io {
	uint32_t op; /**< BLKREMAP_READ and those below it */
	uint32_t flags; /**< bits BLKREMAP_FUA and those below it */
	uint64_t offset; /**< bytes from the beginning; a multiple of the logical block */
	uint64_t length; /**< bytes; a multiple of the logical block */
	uint64_t user_data; /**< comes back in the completion */
	const struct iovec *iov; /**< array and buffers are the library's until completion */
	uint32_t iovcnt; /**< elements of iov; 0 for ops without data */
	uint32_t reserved32; /**< 0 */
	uint64_t reserved[2]; /**< 0 */
};

/** How a request ended; an element of an array, of fixed size for ever. */
struct blkremap_completion {
	uint64_t user_data; /**< the request's */
	int32_t result; /**< 0, a count (EXTENTS) or a negative errno; the buffers are the caller's again either way */
	uint32_t code; /**< BLKREMAP_CODE_* */
	uint64_t dev_id; /**< where it failed, which may be a lower device; 0 on success */
	uint64_t offset; /**< where in that device */
	uint64_t reserved[4]; /**< 0 */
};

/* ---- queues ------------------------------------------------------------------------------------------------------ */

/** Options of blkremap_queue_open(). */
struct blkremap_queue_opts {
	uint32_t size; /**< sizeof this struct */
	uint32_t flags; /**< 0 */
	uint32_t depth; /**< requests in flight at most; 0: 128 */
	uint32_t max_iov; /**< vectors of one request, as a hint for preallocation; longer ones work; 0: no hint */
};

/**
 * Open a queue to a device.
 *
 * Touches no data and does not block.  What the I/O path needs is allocated here, not on the way.
 *
 * @param[in] dev     The device.  This handle cannot be closed while the queue is open.
 * @param[in] opts    Options, or NULL.
 * @param[out] ret_q  The queue; give it up by blkremap_queue_close().
 * @return 0, or a negative errno.
 * @retval -EMFILE  No descriptor is left.
 * @retval -EAGAIN  The system has no more room for asynchronous I/O (fs.aio-max-nr), and no other engine was permitted.
 * @par Thread safety
 * Any thread; the queue then belongs to one thread at a time, which may change.
 * @since 0.1
 */
BLKREMAP_API int blkremap_queue_open(struct blkremap_dev *dev, const struct blkremap_queue_opts *opts,
				     struct blkremap_queue **ret_q);

/**
 * Close a queue.
 *
 * Touches no data and does not block.
 *
 * @param[in] q  The queue, or NULL, which does nothing.
 * @return 0, or a negative errno.
 * @retval -EBUSY  Requests are in flight or not reaped; the queue stays open.
 * @par Thread safety
 * The queue's owner only.
 * @since 0.1
 */
BLKREMAP_API int blkremap_queue_close(struct blkremap_queue *q);

/**
 * Get the descriptor to poll for a queue.
 *
 * It is level-triggered: call blkremap_reap() when it is readable.  Reaping nothing then is normal: the library had
 * something of its own to do.  Touches no data and does not block.  Ask before the first request: a queue whose
 * descriptor nobody has asked for is cheaper.
 *
 * @param[in] q  The queue.
 * @return The descriptor, valid until blkremap_queue_close(); poll it for input only, never read, write or close it.
 *         Or a negative errno.
 * @retval -EBUSY  Asked for the first time while requests are in flight.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_queue_fd(struct blkremap_queue *q);

/**
 * Switch a queue's descriptor off while its owner polls blkremap_reap() anyway, and on again.
 *
 * Touches no data and does not block.
 *
 * @param[in] q  The queue.
 * @param on     0: the descriptor stays silent.  1: as at first; readable at once if something waits.
 * @return 0, or a negative errno.
 * @par Thread safety
 * The queue's owner only.
 * @since 0.1
 */
BLKREMAP_API int blkremap_queue_arm(struct blkremap_queue *q, int on);

/**
 * Make a blocked blkremap_reap(), or the next one, return early.
 *
 * Touches no data and does not block.
 *
 * @param[in] q  The queue.
 * @return 0, or a negative errno.
 * @par Thread safety
 * Any thread, and signal handlers.
 * @since 0.1
 */
BLKREMAP_API int blkremap_queue_wake(struct blkremap_queue *q);

/** Flags of blkremap_queue_cancel(). */
enum {
	BLKREMAP_CANCEL_ALL = 1 /**< all requests, whatever their user_data */
};

/**
 * Give requests up that have not reached a device yet.
 *
 * They complete with -ECANCELED and have changed nothing.  The others complete when their device lets go of the
 * buffers: reap until none is left before memory is used for something else.  Does not block.
 *
 * @param[in] q      The queue.
 * @param flags      BLKREMAP_CANCEL_ALL or 0.
 * @param user_data  Without the flag: those requests only.
 * @return How many were given up, or a negative errno.
 * @par Thread safety
 * The queue's owner only.
 * @since 0.1
 */
BLKREMAP_API int blkremap_queue_cancel(struct blkremap_queue *q, uint32_t flags, uint64_t user_data);

/**
 * Submit requests.
 *
 * Takes them in order until the first malformed one, or until the queue is full; those of one call go to the device
 * together.  Nothing is durable by this; see the top of this file.  Whatever depends on the device (beyond the end, not
 * aligned, read-only, failed) comes as a completion.  While the device is suspended requests are taken, and wait.
 * Never blocks, except for the I/O of buffered files in a context without threads, which is done in place.
 *
 * @param[in] q    The queue.
 * @param[in] ios  The requests.  Copied, but not the vectors and buffers, which must live until completion.
 * @param n        How many.
 * @return How many were taken, or a negative errno if none was.
 * @retval -EAGAIN  The queue is full: reap first.
 * @retval -EINVAL  The first one is malformed: unknown op or flag, reserved field not 0, vectors shorter than length.
 * @retval -EBUSY   Another thread is inside the queue.
 * @par Thread safety
 * The queue's owner only.
 * @since 0.1
 */
BLKREMAP_API int blkremap_submit_io(struct blkremap_queue *q, const struct blkremap_io *ios, uint32_t n);

/**
 * Take completions.
 *
 * Also advances whatever this queue's requests need.  Blocks until there are @p min, but not with a @p min of 0.
 *
 * @param[in] q       The queue.
 * @param[out] out    Filled with the completions.
 * @param min         At least so many, unless time is up, a signal comes or the queue is woken.
 * @param max         Room in @p out, at least @p min.
 * @param timeout_ns  At most so long; below 0: no limit.
 * @return How many, possibly fewer than @p min; or a negative errno.
 * @retval -EDEADLK  @p min is more than is in flight, or the call comes from a callback.
 * @retval -EBUSY    Another thread is inside the queue.
 * @par Thread safety
 * The queue's owner only.
 * @since 0.1
 */
BLKREMAP_API int blkremap_reap(struct blkremap_queue *q, struct blkremap_completion *out, uint32_t min, uint32_t max,
			       int64_t timeout_ns);

/* ---- calls that block -------------------------------------------------------------------------------------------- */

/**
 * Read, and wait for it.
 *
 * Changes no data, though a target may put metadata in order first.  Blocks.
 *
 * @param[in] dev   The device.
 * @param[out] buf  Filled wholly on success; undefined after a failure.
 * @param len       Bytes, a multiple of the logical block.
 * @param off       Where, a multiple of the logical block.
 * @param flags     BLKREMAP_BACKGROUND or 0.
 * @return 0: all of it was read; or a negative errno.
 * @retval -EINVAL   Not aligned to the logical block.
 * @retval -EIO      Beyond the end, a device failed, or a snapshot is invalid.
 * @retval -ENODATA  A part was released.
 * @retval -EDEADLK  Called from a callback.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_pread(struct blkremap_dev *dev, void *buf, size_t len, uint64_t off, uint32_t flags);

/**
 * Write, and wait for it.
 *
 * Durable when it returns 0 only with BLKREMAP_FUA; else after the next flush.  Blocks.
 *
 * @param[in] dev  The device.
 * @param[in] buf  The bytes.
 * @param len      How many, a multiple of the logical block.
 * @param off      Where, a multiple of the logical block.
 * @param flags    Bits BLKREMAP_FUA, BLKREMAP_UNSTABLE, BLKREMAP_BACKGROUND.
 * @return 0: all of it was written; or a negative errno.
 * @retval -EINVAL   Not aligned to the logical block.
 * @retval -EROFS    Open for reading only.
 * @retval -EBUSY    A target has claimed the device: only it may write.
 * @retval -ENOSPC   Beyond the end, or no room is left in a store that refuses writes when full.
 * @retval -EIO      A device failed, a snapshot is invalid, or the device accepts no more writes.
 * @retval -EDEADLK  Called from a callback.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_pwrite(struct blkremap_dev *dev, const void *buf, size_t len, uint64_t off, uint32_t flags);

/**
 * Make everything durable that has completed before this call.
 *
 * Mappings included: it commits metadata first where that is needed.  Blocks.
 *
 * @param[in] dev  The device.
 * @return 0, or a negative errno.
 * @retval -EIO      Something could not be made durable.  It is not tried again: the device accepts no more writes.
 * @retval -EDEADLK  Called from a callback.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_flush(struct blkremap_dev *dev);

/**
 * Tell the device that a range is not needed any more, and wait for it.
 *
 * What the range reads afterwards: zeroes with BLKREMAP_CAP_DISCARD_ZEROES, else the old bytes or zeroes.  Durable as a
 * write.  Blocks.
 *
 * @param[in] dev  The device.
 * @param off      Where, a multiple of the logical block.
 * @param len      Bytes, a multiple of the logical block.
 * @param flags    Bits BLKREMAP_FUA, BLKREMAP_BACKGROUND.
 * @return 0, or a negative errno, as blkremap_pwrite().
 * @retval -EOPNOTSUPP  The device does not name BLKREMAP_CAP_DISCARD.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_discard(struct blkremap_dev *dev, uint64_t off, uint64_t len, uint32_t flags);

/**
 * Make a range read as zeroes, and wait for it.
 *
 * Durable as a write.  Where the device cannot do it by itself, zeroes are written.  Blocks.
 *
 * @param[in] dev  The device.
 * @param off      Where, a multiple of the logical block.
 * @param len      Bytes, a multiple of the logical block.
 * @param flags    Bits BLKREMAP_FUA, BLKREMAP_MAY_UNMAP, BLKREMAP_FAST_ONLY, BLKREMAP_BACKGROUND.
 * @return 0, or a negative errno, as blkremap_pwrite().
 * @retval -EOPNOTSUPP  BLKREMAP_FAST_ONLY, and it would not be fast.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_write_zeroes(struct blkremap_dev *dev, uint64_t off, uint64_t len, uint32_t flags);

/**
 * Make the metadata durable, and with it the data it points to.
 *
 * A flush implies it.  Blocks.
 *
 * @param[in] dev  The device.
 * @return 0, or a negative errno, as blkremap_flush().
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_commit(struct blkremap_dev *dev);

/* ---- maps -------------------------------------------------------------------------------------------------------- */

/** Bits of blkremap_extent.kind. */
enum {
	BLKREMAP_EXT_DATA = 1, /**< is stored somewhere */
	BLKREMAP_EXT_HOLE = 2, /**< is stored nowhere, and surely reads as zeroes */
	BLKREMAP_EXT_ZERO = 4, /**< surely reads as zeroes */
	BLKREMAP_EXT_REMAPPED = 8, /**< lives in the store, not at its old place */
	BLKREMAP_EXT_CHANGED = 128, /**< delta: differs, or may */
	BLKREMAP_EXT_INEXACT = 256 /**< delta: may be unchanged after all */
};

/** A range of a device that is of one kind; an element of an array, of fixed size for ever. */
struct blkremap_extent {
	uint64_t offset; /**< where it begins */
	uint64_t length; /**< bytes */
	uint64_t at; /**< its place in the device @c dev_id that holds it */
	uint64_t dev_id; /**< that device; 0: nowhere */
	uint32_t kind; /**< bits BLKREMAP_EXT_* */
	uint32_t reserved32; /**< 0 */
	uint64_t reserved; /**< 0 */
};

/** Flags of blkremap_map(). */
enum {
	BLKREMAP_MAP_TOP_ONLY = 1 /**< do not ask lower devices for holes */
};

/**
 * Tell what a range is made of.
 *
 * Changes no data.  Extents come in order, joined, clipped to the range; go on at the end of the last one.  With writes
 * in flight the answer is true for some moment during the call, extent by extent.  Blocks.
 *
 * @param[in] dev     The device.
 * @param off         Where the range begins.
 * @param len         Bytes.
 * @param flags       BLKREMAP_MAP_TOP_ONLY or 0.
 * @param[out] out    Filled with the extents.
 * @param max         Room in @p out, at least 1.
 * @param[out] ret_n  How many were filled; 0: the range is empty.
 * @return 0, or a negative errno.
 * @retval -EINVAL  No room, an unknown flag, or the range reaches beyond the end.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_map(struct blkremap_dev *dev, uint64_t off, uint64_t len, uint32_t flags,
			      struct blkremap_extent *out, uint32_t max, uint32_t *ret_n);

/**
 * Tell what differs between a snapshot and a later one, or its origin as it is now.
 *
 * From metadata alone, without reading data: a superset of the difference, never less; extents that may be equal after
 * all carry BLKREMAP_EXT_INEXACT.  Changes no data.  Blocks.
 *
 * @param[in] from    A snapshot.
 * @param[in] to      A later snapshot of the same origin, or the origin.
 * @param off         Where the range begins.
 * @param len         Bytes.
 * @param[out] out    Filled with the extents, in order, joined, clipped to the range: those that differ with
 *                    BLKREMAP_EXT_CHANGED, the others without.
 * @param max         Room in @p out, at least 1.
 * @param[out] ret_n  How many were filled; 0: the range is empty.
 * @return 0, or a negative errno.
 * @retval -EINVAL           The two have no common origin, or the range reaches beyond the end.
 * @retval -ENOTRECOVERABLE  One of them is invalid.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_delta(struct blkremap_dev *from, struct blkremap_dev *to, uint64_t off, uint64_t len,
				struct blkremap_extent *out, uint32_t max, uint32_t *ret_n);

#ifdef __cplusplus
}
#endif

#endif /* BLKREMAP_IO_H */
