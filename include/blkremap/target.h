/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Targets: origins, snapshots, points in time.
 *
 * Two calls that must not be mixed up: blkremap_snapshot_take() makes new snapshots, at one point in time, of origins
 * that are in use; blkremap_snapshot_open() attaches what was made before.  After a restart an origin is opened
 * suspended, its snapshots are attached, and only then is it resumed: a write that comes earlier would be missing from
 * them.  A stack file does all of this by itself.
 */
#ifndef BLKREMAP_TARGET_H
#define BLKREMAP_TARGET_H

#include <blkremap/base.h>
#include <blkremap/dev.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Open a device as an origin: one that can have snapshots.
 *
 * Reads and flushes pass; a write waits until what it overwrites has been copied out, durably, to every snapshot that
 * still needs it.  The base becomes claimed: it is written to only through the origin.  Changes no data.  Blocks.
 *
 * @param[in] ctx       The context.
 * @param[in] base      The device that holds the data.  The origin takes its own reference.
 * @param[in] opts      Options, or NULL.  With persistent snapshots: BLKREMAP_SUSPENDED, attach each,
 *         blkremap_resume().
 * @param[out] ret_dev  The handle; give it up by blkremap_dev_close(), which also closes the attached snapshots.
 * @return 0, or a negative errno.
 * @retval -EBUSY  Another target has claimed the base.
 * @retval -EROFS  The base is open for reading only, and BLKREMAP_RDONLY is not set.
 * @par Thread safety
 * Any thread, but no callback.
 * @par Source
 * Linux device-mapper target "snapshot-origin".
 * @since 0.1
 */
BLKREMAP_API int blkremap_origin_open(struct blkremap_ctx *ctx, struct blkremap_dev *base,
				      const struct blkremap_open_opts *opts, struct blkremap_dev **ret_dev);

/** Values of blkremap_snapshot_opts.when_full: what happens when a store has no room. */
enum {
	BLKREMAP_FULL_INVALIDATE, /**< the snapshot becomes invalid, as the kernel's does; the origin's writes go on */
	BLKREMAP_FULL_REFUSE, /**< writes to the snapshot fail, reads go on; an origin's write still invalidates it */
	BLKREMAP_FULL_HOLD /**< hold writers, the origin's too, for hold_ns at most; then invalidate */
};

/** Flags of blkremap_snapshot_opts, beside those of blkremap_open_opts. */
enum {
	BLKREMAP_SNAP_TRANSIENT = 1 << 16, /**< metadata in memory only: gone with the handle (table word N) */
	BLKREMAP_SNAP_DISCARD_ZEROES_COW = 1 << 17, /**< a discard of whole chunks zeroes them in the store */
	BLKREMAP_SNAP_DISCARD_PASSDOWN = 1 << 18, /**< and is passed on to the origin, as a write for other snapshots */
	BLKREMAP_SNAP_MERGING = 1 << 19 /**< a merge was under way: the store cannot say so, the stack file does */
};

/** Options of the calls that create, open and take snapshots. */
struct blkremap_snapshot_opts {
	uint32_t size; /**< sizeof this struct */
	uint32_t flags; /**< bits BLKREMAP_RDONLY and those below it, and BLKREMAP_SNAP_* */
	const char *name; /**< as blkremap_open_opts.name */
	uint32_t when_full; /**< BLKREMAP_FULL_* */
	uint32_t reserved32; /**< 0 */
	uint64_t chunk_bytes; /**< power of two, 4 KiB to 1 GiB; 0: 64 KiB when created, as found when opened */
	uint64_t bytes; /**< size; 0: as the device below; more: the tail reads zeroes; not recorded in the store */
	uint64_t low_space; /**< BLKREMAP_EV_LOW_SPACE below so many free bytes; 0: no event */
	uint64_t grow_step; /**< bytes by which the file of a store grows at least; 0: the library's choice */
	uint64_t hold_ns; /**< with BLKREMAP_FULL_HOLD: how long at most */
};

/**
 * Format a store.
 *
 * After 0 the store is durably empty and valid.  A crash in the middle leaves it blank, or still what it was.  Blocks.
 *
 * @param[in] ctx    The context.
 * @param[in] store  The device; borrowed for the call.  It must be blank: its first chunk all zero.
 * @param[in] opts   Options, or NULL.  BLKREMAP_FORCE: overwrite whatever is there.
 * @return 0, or a negative errno.
 * @retval -EEXIST  The store is not blank.
 * @retval -EINVAL  A chunk size that is no power of two, or out of range; or the store has fewer than three chunks.
 * @retval -EBUSY   A target has claimed the store.
 * @par Thread safety
 * Any thread, but no callback.
 * @par Source
 * Linux dm-snapshot, persistent store version 1.
 * @since 0.1
 */
BLKREMAP_API int blkremap_snapshot_create(struct blkremap_ctx *ctx, struct blkremap_dev *store,
					  const struct blkremap_snapshot_opts *opts);

/**
 * Attach an existing store to its origin.
 *
 * The store says nothing about which origin it belongs to, nor whether it has missed writes: the caller, or the stack
 * file, must know.  Reads every entry of the metadata and distrusts it.  Closing the handle does not detach the
 * snapshot: the origin keeps it protected until blkremap_snapshot_drop(), or until the origin itself is closed.
 * Blocks.
 *
 * @param[in] ctx       The context.
 * @param[in] origin    An origin device, or a device that nobody writes, which many snapshots may share.  Referenced.
 * @param[in] store     The store.  Referenced and claimed.
 * @param[in] opts      Options, or NULL.
 * @param[out] ret_dev  The handle; give it up by blkremap_dev_close().
 * @return 0, or a negative errno.
 * @retval -EROFS            The store is open for reading only, and the origin is not.
 * @retval -ESTALE           The origin has accepted writes since it was opened: the store may have missed some.
 * @retval -ENODATA          The store is blank.
 * @retval -EBADMSG          The store is damaged, or is none; the sentence has the offset.
 * @retval -ENOTRECOVERABLE  The store is marked invalid; blkremap_repair() may save what it holds.
 * @retval -EOVERFLOW        The store is of a version that this library does not know.
 * @retval -EINVAL           opts.chunk_bytes is not what the store says.
 * @retval -EBUSY            Another target has claimed the store.
 * @par Thread safety
 * Any thread, but no callback.
 * @par Source
 * Linux device-mapper target "snapshot", persistent store version 1.
 * @since 0.1
 */
BLKREMAP_API int blkremap_snapshot_open(struct blkremap_ctx *ctx, struct blkremap_dev *origin,
					struct blkremap_dev *store, const struct blkremap_snapshot_opts *opts,
					struct blkremap_dev **ret_dev);

/** One new snapshot, for blkremap_snapshot_take(); an element of an array, of fixed size for ever. */
struct blkremap_take {
	struct blkremap_dev *origin; /**< an origin device */
	struct blkremap_dev *store; /**< blank; this call formats it.  NULL: transient, in memory */
	const struct blkremap_snapshot_opts *opts; /**< options, or NULL */
	struct blkremap_dev *snap; /**< out: the new handle, on success */
	uint64_t reserved[2]; /**< 0 */
};

/**
 * Snapshot live origins of one context at one point in time, all or none.
 *
 * Writes that completed before the call are in all of them; writes submitted after it has returned (or its job is done)
 * are in none; no write is in without everything that had completed before it was submitted.  The origins are flushed:
 * what the snapshots show is durable.  New writes wait meanwhile.  A failure leaves everything as it was, but for
 * stores that may be formatted.  Blocks, unless @p ret_job is given.
 *
 * @param[in,out] items  What to take; their @c snap is written on success.
 * @param n              How many, at least 1.
 * @param timeout_ns     Writes wait at most so long; below 0: no limit.
 * @param[out] ret_job   NULL, or where to put a job: then the handles are given at once, and can be used when it is
 *         done.
 * @return 0, or a negative errno.
 * @retval -ETIMEDOUT  The origins could not be drained in time; nothing was taken.
 * @retval -EEXIST     A store is not blank.
 * @retval -EINVAL     The origins are of several contexts, or one is not an origin.
 * @retval -EBUSY      A target has claimed a store, or a snapshot is still being merged into one of the origins.
 * @par Thread safety
 * Any thread, but no callback; also the one that owns the origins' queues.
 * @par Source
 * No kernel target does it for several devices; for one: suspend, load "snapshot-origin" and "snapshot", resume.
 * @since 0.1
 */
BLKREMAP_API int blkremap_snapshot_take(struct blkremap_take *items, uint32_t n, int64_t timeout_ns,
					struct blkremap_job **ret_job);

/**
 * Stop protecting a snapshot, for good.
 *
 * First its store is durably marked invalid, then it is detached from its origin, then nothing is copied for it any
 * more. Requests through its handles fail with -EIO (BLKREMAP_CODE_INVALIDATED) from then on.  Blocks.
 *
 * @param[in] snapshot  The snapshot.  The handle stays, and is to be closed.
 * @return 0, or a negative errno.
 * @retval -EBUSY   A merge is under way, or was begun and has not reached its end.
 * @retval -EALREADY  It has been dropped before.
 * @retval -EIO     The mark could not be written: detached all the same.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_snapshot_drop(struct blkremap_dev *snapshot);

/**
 * Forget all that was written to a snapshot of a base that nobody writes.
 *
 * Takes the same time however much was written.  Requests in flight finish before.  After 0 the store is durably empty,
 * and a snapshot that was invalid or full is as good as new.  After a failure in the middle it is invalid; the call may
 * be repeated.  A crash in the middle leaves the store blank, or still what it was.  Blocks.
 *
 * @param[in] snapshot  The snapshot.
 * @return 0, or a negative errno.
 * @retval -EINVAL  Its base is an origin that is written to: the store also holds what the origin has overwritten.
 * @retval -EBUSY   A merge is under way.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_snapshot_reset(struct blkremap_dev *snapshot);

/**
 * Tell how large a store must be that cannot overflow.
 *
 * Touches no data and does not block.
 *
 * @param[in] type       "snapshot".
 * @param bytes          Size of the device that the snapshot is of.
 * @param block_bytes    The chunk size; 0: 64 KiB.
 * @param[out] ret_bytes Size of the store in bytes: header, metadata and one copy of every chunk.
 * @return 0, or a negative errno.
 * @retval -EINVAL     Unknown type, or a chunk size that is no power of two, or out of range.
 * @retval -EOVERFLOW  The result does not fit.
 * @par Thread safety
 * Any thread.
 * @par Source
 * Linux dm-snapshot, persistent store version 1.
 * @since 0.1
 */
BLKREMAP_API int blkremap_meta_size(const char *type, uint64_t bytes, uint64_t block_bytes, uint64_t *ret_bytes);

#ifdef __cplusplus
}
#endif

#endif /* BLKREMAP_TARGET_H */
