/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Devices: open, close, look at them, suspend and resume them.
 *
 * A device is opened by a spec (blkremap_open()) or by a call of its own kind, such as blkremap_file_open() or
 * blkremap_snapshot_open().  Bytes go in and out of it by the calls of blkremap/io.h.
 */
#ifndef BLKREMAP_DEV_H
#define BLKREMAP_DEV_H

#include <blkremap/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- open and close ---------------------------------------------------------------------------------------------- */

/** Flags of all open functions, in the low half of every @c flags of an options struct. */
enum {
	BLKREMAP_RDONLY = 1, /**< write nothing at all, not even a recovery; shares the file with other readers */
	BLKREMAP_DIRECT = 2, /**< O_DIRECT: past the page cache; what is not aligned is bounced */
	BLKREMAP_CREATE = 4, /**< create a file of open_opts.bytes, exclusively, mode 0600 */
	BLKREMAP_NOLOCK = 8, /**< take no lock: for those who know that nobody else has the file open */
	BLKREMAP_SUSPENDED = 32, /**< requests wait until blkremap_resume(): attach an origin's snapshots first */
	BLKREMAP_FORCE = 64 /**< create functions: overwrite what is there; they heed no other flag */
};

/** Options of the calls that open a device. */
struct blkremap_open_opts {
	uint32_t size; /**< sizeof this struct */
	uint32_t flags; /**< bits of BLKREMAP_RDONLY and those below it */
	const char *name; /**< for "dev:NAME" in specs and for messages; unique in the context; NULL: made up */
	const char *engine; /**< "aio" or "threads"; NULL: the best that works, see blkremap_dev_info.engine */
	uint64_t bytes; /**< with BLKREMAP_CREATE: the size of the new file */
	uint64_t timeout_ns; /**< 0: there are no remote devices in this version, so nothing else is taken */
	uint64_t max_grow; /**< a file may be grown up to this size by its target; 0: never */
};

/**
 * Open a device by its spec.
 *
 * Reads metadata; a target that was not closed cleanly recovers, which may write to its metadata, unless
 * BLKREMAP_RDONLY is set.  Never formats anything and never guesses a format: the type is always written down.  Blocks.
 *
 * @param[in] ctx       The context.
 * @param[in] spec      As blkremap-spec(7) has it: a path, "type:key=value,..." with ( ) for nesting, "@FILE" for a
 *                      stack file (relative paths in it start at its folder), or a device-mapper table line.
 * @param[in] opts      Options of the topmost device, or NULL.
 * @param[out] ret_dev  The handle; give it up by blkremap_dev_close().
 * @return 0, or a negative errno.
 * @retval -EINVAL          The spec is malformed, or a key has a value that makes no sense.
 * @retval -ENOENT          A file does not exist.
 * @retval -EACCES          A file may not be opened.
 * @retval -EBUSY           A file is open elsewhere (BLKREMAP_CODE_LOCKED) or claimed by another target.
 * @retval -EEXIST          opts.name is in use, or BLKREMAP_CREATE was set and the file exists.
 * @retval -ENODATA         Metadata was expected and the device is blank.
 * @retval -EBADMSG         Metadata is damaged, or is not what the spec says.
 * @retval -ENOTRECOVERABLE A snapshot's store is marked invalid.
 * @retval -EOVERFLOW       Metadata is of a version that this library does not know.
 * @par Thread safety
 * Any thread, but no callback.
 * @par Source
 * Table lines are those of dmsetup(8).
 * @since 0.1
 */
BLKREMAP_API int blkremap_open(struct blkremap_ctx *ctx, const char *spec, const struct blkremap_open_opts *opts,
			       struct blkremap_dev **ret_dev);

/**
 * Open a regular file or a block device.
 *
 * Changes no data, unless BLKREMAP_CREATE makes a new file, which is then durable only after a flush.  Takes an OFD
 * lock: shared with BLKREMAP_RDONLY, else exclusive.  Blocks.
 *
 * @param[in] ctx       The context.
 * @param[in] path      The file; symbolic links are followed.
 * @param[in] opts      Options, or NULL.
 * @param[out] ret_dev  The handle; give it up by blkremap_dev_close().
 * @return 0, or a negative errno, those of open(2) included.
 * @retval -EBUSY   Open elsewhere; the sentence names the process that holds the lock where it can be told.
 * @retval -EEXIST  BLKREMAP_CREATE was set and the file exists, or the name is in use.
 * @retval -EINVAL  Not a regular file or block device, or an engine was asked for that cannot serve it.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_file_open(struct blkremap_ctx *ctx, const char *path, const struct blkremap_open_opts *opts,
				    struct blkremap_dev **ret_dev);

/**
 * Open a file or block device that the process was given as a descriptor.
 *
 * As blkremap_file_open(), for a process that may not open paths.  Whether it can be written follows the descriptor's
 * own mode and BLKREMAP_RDONLY.  Blocks.
 *
 * @param[in] ctx       The context.
 * @param fd            An open descriptor.  It is duplicated; the caller keeps this one and may close it at once.
 * @param[in] opts      Options, or NULL.  BLKREMAP_CREATE is refused.
 * @param[out] ret_dev  The handle; give it up by blkremap_dev_close().
 * @return 0, or a negative errno.
 * @retval -EBADF   @p fd is not open.
 * @retval -EBUSY   Open elsewhere.
 * @retval -EINVAL  Not a regular file or block device.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_fd_open(struct blkremap_ctx *ctx, int fd, const struct blkremap_open_opts *opts,
				  struct blkremap_dev **ret_dev);

/**
 * Open a new device in memory, full of zeroes.
 *
 * Its contents are gone when it is closed; a flush of it does nothing.  Does not block.
 *
 * @param[in] ctx       The context.
 * @param bytes         Its size, a multiple of 512, not 0.  Memory is taken as it is written to.
 * @param[in] opts      Options, or NULL.
 * @param[out] ret_dev  The handle; give it up by blkremap_dev_close().
 * @return 0, or a negative errno.
 * @retval -EINVAL  A size that is not a multiple of 512, or 0.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_mem_open(struct blkremap_ctx *ctx, uint64_t bytes, const struct blkremap_open_opts *opts,
				   struct blkremap_dev **ret_dev);

/** A piece of a device, for blkremap_linear_open(). */
struct blkremap_segment {
	struct blkremap_dev *dev; /**< borrowed for the call; the linear device takes its own reference */
	uint64_t offset; /**< where the piece begins */
	uint64_t bytes; /**< how long it is; 0: to the end of its device */
};

/**
 * Open a device that is put together of pieces of others, one after another.
 *
 * Changes no data; what is durable in the pieces is durable in it.  A flush goes to every device below.  Does not
 * block.
 *
 * @param[in] ctx       The context.
 * @param[in] segments  The pieces in order.  Copied.
 * @param n             How many, at least 1.
 * @param[in] opts      Options, or NULL.
 * @param[out] ret_dev  The handle; give it up by blkremap_dev_close().
 * @return 0, or a negative errno.
 * @retval -EINVAL  A piece is empty, not aligned to its device's logical block, or ends beyond it; too many pieces.
 * @retval -EBUSY   Another target has claimed one of the devices.
 * @par Thread safety
 * Any thread, but no callback.
 * @par Source
 * Linux device-mapper target "linear".
 * @since 0.1
 */
BLKREMAP_API int blkremap_linear_open(struct blkremap_ctx *ctx, const struct blkremap_segment *segments, uint32_t n,
				      const struct blkremap_open_opts *opts, struct blkremap_dev **ret_dev);

/**
 * Get one more handle on an open device.
 *
 * Touches no data and does not block.
 *
 * @param[in] ctx       The context.
 * @param dev_id        The device's id, from blkremap_dev_id(), blkremap_dev_list() or an event.
 * @param[out] ret_dev  The handle; give it up by blkremap_dev_close().
 * @return 0, or a negative errno.
 * @retval -ENODEV  No such device is open any more.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_dev_get(struct blkremap_ctx *ctx, uint64_t dev_id, struct blkremap_dev **ret_dev);

/**
 * Give one handle up.
 *
 * The last reference (a target above counts as one) drains the device, commits, flushes, unlocks and closes it and what
 * only it held.  After 0, everything that was acknowledged is durable.  Closing a snapshot's handle never detaches it
 * from a live origin.  Blocks.
 *
 * @param[in] dev  The handle, or NULL, which does nothing.
 * @return 0 or a negative errno.  After -EBUSY and -EDEADLK nothing has happened.  After any other value the handle is
 *         gone, and an error tells the first thing that could not be made durable, here or below.
 * @retval -EBUSY    Queues or jobs made from this handle are open.
 * @retval -EDEADLK  Called from a callback.
 * @par Thread safety
 * Any thread; no other call may be using this handle.
 * @since 0.1
 */
BLKREMAP_API int blkremap_dev_close(struct blkremap_dev *dev);

/* ---- look -------------------------------------------------------------------------------------------------------- */

/**
 * Tell a device's size.
 *
 * Touches no data and does not block.
 *
 * @param[in] dev  The device.
 * @return Bytes; a live value that a resize may change, see BLKREMAP_EV_RESIZED.  Never fails.
 * @par Thread safety
 * Any thread, completions included.
 * @since 0.1
 */
BLKREMAP_API uint64_t blkremap_dev_size(struct blkremap_dev *dev);

/**
 * Tell a device's id.
 *
 * Touches no data and does not block.
 *
 * @param[in] dev  The device.
 * @return The number by which events and completions name it, never 0, never reused within a context.  Never fails.
 * @par Thread safety
 * Any thread, completions included.
 * @since 0.1
 */
BLKREMAP_API uint64_t blkremap_dev_id(struct blkremap_dev *dev);

/** What blkremap_dev_list() lists. */
enum {
	BLKREMAP_LIST_ALL, /**< all devices of the context; @c above is NULL */
	BLKREMAP_LIST_LOWER, /**< what @c above is built of, top first */
	BLKREMAP_LIST_SNAPSHOTS /**< the snapshots of the origin @c above, oldest first */
};

/**
 * List devices by id.
 *
 * Touches no data and does not block.
 *
 * @param[in] ctx     The context.
 * @param what        BLKREMAP_LIST_*.
 * @param[in] above   The device whose relatives are wanted; NULL with BLKREMAP_LIST_ALL.
 * @param[out] ids    Filled with at most @p max ids; may be NULL if @p max is 0.
 * @param max         Room in @p ids.
 * @param[out] ret_n  How many there are, which may be more than @p max.
 * @return 0, or a negative errno.
 * @retval -EINVAL  Unknown @p what, or @p above does not fit it.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_dev_list(struct blkremap_ctx *ctx, uint32_t what, struct blkremap_dev *above, uint64_t *ids,
				   uint32_t max, uint32_t *ret_n);

/** Bits of blkremap_dev_info.caps: what a device can do; of blkremap_backend_info.caps: what the caller's can. */
enum {
	BLKREMAP_CAP_WRITE = 1, /**< be written to */
	BLKREMAP_CAP_VOLATILE_CACHE = 2, /**< lose completed writes that were not flushed */
	BLKREMAP_CAP_FUA = 4, /**< make one write durable without a flush of everything */
	BLKREMAP_CAP_DISCARD = 8, /**< take discards */
	BLKREMAP_CAP_DISCARD_ZEROES = 16, /**< read zeroes after a discard, always */
	BLKREMAP_CAP_WRITE_ZEROES = 32, /**< write zeroes without being sent them */
	BLKREMAP_CAP_FAST_ZEROES = 64, /**< refuse BLKREMAP_FAST_ONLY where it would be slow, rather than ignore it */
	BLKREMAP_CAP_EXTENTS = 128, /**< tell what is a hole and what reads as zeroes */
	BLKREMAP_CAP_GROW = 512, /**< grow by BLKREMAP_JOB_RESIZE */
	BLKREMAP_CAP_SHRINK = 1024 /**< shrink by BLKREMAP_JOB_RESIZE with BLKREMAP_JOB_SHRINK */
};

/** Bits of blkremap_dev_info.state. */
enum {
	BLKREMAP_ST_SUSPENDED = 2, /**< requests wait for blkremap_resume() */
	BLKREMAP_ST_FAILED = 16, /**< accepts no more writes, since a write of metadata or a flush has failed */
	BLKREMAP_ST_INVALID = 32, /**< a snapshot that has lost what it had to keep */
	BLKREMAP_ST_FULL = 64, /**< a snapshot whose store has no room, and that refuses or holds writes */
	BLKREMAP_ST_MERGING = 128 /**< a snapshot that is being folded back into its origin */
};

/** What a device is; filled by blkremap_dev_info(). */
struct blkremap_dev_info {
	uint32_t size; /**< sizeof this struct, set by the caller */
	uint32_t caps; /**< bits BLKREMAP_CAP_* */
	uint32_t state; /**< bits BLKREMAP_ST_* */
	uint32_t code; /**< BLKREMAP_CODE_*: why it is failed, degraded or invalid */
	uint64_t dev_id; /**< as blkremap_dev_id() */
	uint64_t bytes; /**< as blkremap_dev_size() */
	uint32_t logical_block; /**< unit of offsets and lengths */
	uint32_t physical_block; /**< unit that a power cut does not tear */
	uint32_t optimal_io; /**< good size of a request: the chunk of a snapshot; 0: no preference */
	uint32_t discard_granularity; /**< unit in which discards have an effect; 0: none have */
	uint32_t buffer_align; /**< memory aligned to this is not copied on its way */
	uint32_t block_bytes; /**< chunk size as found in the metadata; 0 where there is none */
	uint64_t generation; /**< grows with each durable commit */
	uint8_t uuid[16]; /**< identity; all zero where the format has none, as the snapshot store of device-mapper */
	char type[16]; /**< "snapshot", "file" and so on */
	char engine[16]; /**< what does a leaf's I/O: "aio", "threads", "memory"; "" for targets */
	char name[64]; /**< the name given or made up at open */
};

/**
 * Tell what a device is.
 *
 * Touches no data and does not block.
 *
 * @param[in] dev       The device.
 * @param[in,out] info  Its @c size is set by the caller; the rest is filled.
 * @return 0, or a negative errno.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_dev_info(struct blkremap_dev *dev, struct blkremap_dev_info *info);

/** Counters of a device since it was opened; filled by blkremap_status().  Each is read by itself. */
struct blkremap_status {
	uint32_t size; /**< sizeof this struct, set by the caller */
	uint32_t in_flight; /**< requests inside the device now */
	uint64_t reads; /**< completed reads */
	uint64_t read_bytes; /**< bytes they brought */
	uint64_t writes; /**< completed writes */
	uint64_t write_bytes; /**< bytes they took */
	uint64_t flushes; /**< completed flushes */
	uint64_t discards; /**< completed discards */
	uint64_t errors; /**< requests that completed with an error */
	uint64_t store_used; /**< bytes in use in a snapshot's store, metadata included */
	uint64_t store_meta; /**< of them, bytes of metadata */
	uint64_t store_total; /**< size of the store, as far as it may grow */
	uint64_t copied_bytes; /**< bytes copied from the origin, or back into it */
	uint64_t hydrated_bytes; /**< 0: there are no clones in this version */
	uint64_t dirty_bytes; /**< 0: there are no caches in this version */
	uint64_t commits; /**< durable commits of metadata */
	uint64_t last_commit_ns; /**< when the last one was, by CLOCK_MONOTONIC; 0: none yet */
};

/**
 * Read a device's counters.
 *
 * Touches no data and does not block.
 *
 * @param[in] dev         The device.
 * @param[in,out] status  Its @c size is set by the caller; the rest is filled.
 * @return 0, or a negative errno.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_status(struct blkremap_dev *dev, struct blkremap_status *status);

/**
 * Read one counter of a device by its number, to export all of them by name.
 *
 * Touches no data and does not block.
 *
 * @param[in] dev         The device.
 * @param index           0, 1, 2 ... until the result is 0.
 * @param[out] ret_name   Its name, such as "read_bytes".  Static.
 * @param[out] ret_value  Its value.
 * @return 1, 0 past the last one, or a negative errno.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_counter(struct blkremap_dev *dev, uint32_t index, const char **ret_name, uint64_t *ret_value);

/**
 * Print the words that the kernel's target prints in its status line.
 *
 * For a snapshot: "used/total metadata" in sectors, "Invalid", "Overflow" and so on.  Touches no data and does not
 * block.
 *
 * @param[in] dev   A snapshot, merging or not.
 * @param[out] buf  Filled and ended with a NUL, cut at @p len; may be NULL if @p len is 0.
 * @param len       Room in @p buf.
 * @return The length of the whole text without its NUL, as snprintf(); or a negative errno.
 * @retval -EOPNOTSUPP  The kernel has no such target, or it has no status words.
 * @par Thread safety
 * Any thread.
 * @par Source
 * Linux device-mapper targets "snapshot" and "snapshot-merge" (Documentation/admin-guide/device-mapper/snapshot.rst).
 * @since 0.1
 */
BLKREMAP_API int blkremap_dm_status(struct blkremap_dev *dev, char *buf, size_t len);

/**
 * Change an option of an open device.
 *
 * Touches no data; the new value is not durable.  Does not block.
 *
 * @param[in] dev    The device.
 * @param[in] key    A key that blkremap_describe() calls live, such as "low_space".
 * @param[in] value  As in a spec: sizes may have suffixes.
 * @return 0, or a negative errno.
 * @retval -ENOENT  The device has no such live key.
 * @retval -EINVAL  A value that makes no sense.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_dev_set(struct blkremap_dev *dev, const char *key, const char *value);

/* ---- states ------------------------------------------------------------------------------------------------------ */

/**
 * Make new requests wait, let those in flight finish, and make everything durable.
 *
 * After 0, everything that was acknowledged is durable and nothing is written until the resume.  Suspends are counted:
 * as many resumes end them.  Blocks.
 *
 * @param[in] dev     The device.
 * @param flags       0.
 * @param timeout_ns  At most so long; below 0: no limit.
 * @return 0, or a negative errno.
 * @retval -ETIMEDOUT  Time is up: the device goes on as if nothing had been asked.
 * @retval -EIO        Something could not be made durable; the device is suspended all the same.
 * @retval -EDEADLK    Called from a callback.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_suspend(struct blkremap_dev *dev, uint32_t flags, int64_t timeout_ns);

/**
 * Undo one suspend; the last one lets the waiting requests go.
 *
 * Touches no data.  Blocks.
 *
 * @param[in] dev  The device.
 * @return 0, or a negative errno.
 * @retval -EINVAL  The device is not suspended.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_resume(struct blkremap_dev *dev);

/**
 * Look at the sizes of the devices below again.
 *
 * For a logical volume, file or store that has grown under the library.  Changes no data; tells by BLKREMAP_EV_RESIZED.
 * Blocks.
 *
 * @param[in] dev  The device.
 * @return 0, whether anything has changed or not, or a negative errno.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_rescan(struct blkremap_dev *dev);

#ifdef __cplusplus
}
#endif

#endif /* BLKREMAP_DEV_H */
