/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief The caller's own devices: an object store, a network protocol, anything that can read and write ranges.
 *
 * Two ways.  Push: the library calls blkremap_dev_ops.submit with requests.  Pull: the caller waits for a descriptor
 * and fetches them, which suits event loops and languages that dislike being called.  Either way each request is
 * completed once by blkremap_user_complete(), from any thread, now or later.
 */
#ifndef BLKREMAP_BACKEND_H
#define BLKREMAP_BACKEND_H

#include <blkremap/base.h>
#include <blkremap/dev.h>
#include <blkremap/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A request to the caller's device; an element of an array, of fixed size for ever. */
struct blkremap_backend_req {
	uint64_t id; /**< for blkremap_user_complete(); never 0, unique among those in flight */
	uint32_t op; /**< BLKREMAP_READ ...; never one that the caps do not name: those are emulated or refused above */
	uint32_t flags; /**< bits BLKREMAP_FUA ...; never one that the caps do not name */
	uint64_t offset; /**< a multiple of logical_block */
	uint64_t length; /**< a multiple of logical_block, at most max_transfer, never beyond the end */
	const struct iovec *iov; /**< vectors and buffers, valid until completed; only READ and EXTENTS change them */
	uint32_t iovcnt; /**< elements of iov, at most max_iov */
	uint32_t reserved32; /**< 0 */
	uint64_t reserved[2]; /**< 0 */
};

/** Bits of blkremap_backend_info.flags. */
enum {
	BLKREMAP_BACKEND_BLOCKING = 1, /**< submit may block: called from a pool; not with BLKREMAP_CTX_NO_THREADS */
	BLKREMAP_BACKEND_SERIAL = 2 /**< submit is never entered twice at a time */
};

/** What the caller's device is, for blkremap_user_open(). */
struct blkremap_backend_info {
	uint32_t size; /**< sizeof this struct */
	uint32_t flags; /**< bits BLKREMAP_BACKEND_* */
	uint32_t caps; /**< BLKREMAP_CAP_*; WRITE without VOLATILE_CACHE promises: a completed write is durable */
	uint32_t logical_block; /**< unit of requests: 512 or 4096; 0: 512 */
	uint32_t optimal_io; /**< good size of a request; none crosses a multiple of it; 0: no preference */
	uint32_t buffer_align; /**< buffers are aligned to this, a power of two; 0: any */
	uint32_t max_inflight; /**< requests at a time; 0: no limit */
	uint32_t max_iov; /**< vectors a request; 0: no limit */
	uint64_t bytes; /**< the size, a multiple of logical_block */
	uint64_t max_transfer; /**< bytes a request; 0: no limit */
	const char *name; /**< as blkremap_open_opts.name */
};

/** The caller's functions, for blkremap_user_open(). */
struct blkremap_dev_ops {
	uint32_t size; /**< sizeof this struct */
	uint32_t flags; /**< 0 */
	/**
	 * Take requests: returns how many were taken (the rest comes again after a completion), or -errno for the first
	 * one.  Called from a worker or any thread that does I/O.  May call blkremap_user_complete() and
	 * blkremap_user_set_bytes(), also for these very requests.
	 */
	int32_t (*submit)(void *opaque, const struct blkremap_backend_req *reqs, uint32_t n);
	/** Please finish soon; it must still be completed exactly once.  May call the same as submit.  May be NULL. */
	void (*cancel)(void *opaque, uint64_t id);
	/** Called once, after the last completion, before the last dev_close() returns; ends the backend handle. */
	void (*close)(void *opaque);
};

/**
 * Make a device of the caller's own functions.
 *
 * Its durability is what its caps say: with BLKREMAP_CAP_VOLATILE_CACHE flushes come and must be obeyed; without it
 * none come, since a completed write promises to be durable.  No request comes before this call has returned.  Does not
 * block.
 *
 * @param[in] ctx           The context.
 * @param[in] ops           The functions, copied; NULL: the caller pulls.
 * @param[in] opaque        Handed to the functions; borrowed until close was called.
 * @param[in] info          What the device is.  Copied.
 * @param[out] ret_backend  The caller's side, for the calls below; there until close was called or
 *                          BLKREMAP_CLOSE completed.
 * @param[out] ret_dev      The device; give it up by blkremap_dev_close().
 * @return 0, or a negative errno; then nothing was kept and close is not called.
 * @retval -EINVAL  A size or limit that makes no sense, or BLKREMAP_BACKEND_BLOCKING in a context without threads.
 * @retval -EEXIST  info.name is in use.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_user_open(struct blkremap_ctx *ctx, const struct blkremap_dev_ops *ops, void *opaque,
				    const struct blkremap_backend_info *info, struct blkremap_backend **ret_backend,
				    struct blkremap_dev **ret_dev);

/**
 * Get the descriptor that tells a pulling backend about requests.
 *
 * It is level-triggered: readable while requests wait.  Touches no data and does not block.
 *
 * @param[in] backend  A backend without ops.
 * @return The descriptor, valid until BLKREMAP_CLOSE completes; poll it for input only.  Or a negative errno.
 * @retval -EINVAL  The backend has ops.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_user_fd(struct blkremap_backend *backend);

/**
 * Fetch requests.
 *
 * The last one ever is BLKREMAP_CLOSE; completing it ends the backend.  Touches no data and does not block.
 *
 * @param[in] backend  A backend without ops.
 * @param[out] out     Filled with requests.
 * @param max          Room in @p out.
 * @return How many, 0 none now, or a negative errno.
 * @retval -EINVAL  The backend has ops.
 * @par Thread safety
 * Any thread; each request goes to one caller.
 * @since 0.1
 */
BLKREMAP_API int blkremap_user_fetch(struct blkremap_backend *backend, struct blkremap_backend_req *out, uint32_t max);

/**
 * Complete a request.
 *
 * Once for each.  A write that is completed with 0 by a device without BLKREMAP_CAP_VOLATILE_CACHE is durable, or the
 * caller has broken its promise.  Never blocks, and never runs the library's work in the caller.
 *
 * @param[in] backend  The backend.
 * @param id           The request's.
 * @param result       0, a count (EXTENTS) or a negative errno.
 * @return 0, or a negative errno.
 * @retval -ENOENT  No such request is in flight.
 * @par Thread safety
 * Any thread, callbacks of this backend included.
 * @since 0.1
 */
BLKREMAP_API int blkremap_user_complete(struct blkremap_backend *backend, uint64_t id, int32_t result);

/**
 * Tell the library that the device's size has changed.
 *
 * Shrinking fails requests beyond the end from then on.  Raises BLKREMAP_EV_RESIZED here and above.  Does not block.
 *
 * @param[in] backend  The backend.
 * @param bytes        The new size, a multiple of the logical block.
 * @return 0, or a negative errno.
 * @retval -EINVAL  Not a multiple of the logical block, or 0.
 * @par Thread safety
 * Any thread, callbacks of this backend included.
 * @since 0.1
 */
BLKREMAP_API int blkremap_user_set_bytes(struct blkremap_backend *backend, uint64_t bytes);

#ifdef __cplusplus
}
#endif

#endif /* BLKREMAP_BACKEND_H */
