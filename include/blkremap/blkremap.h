/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief libblkremap: the whole public face, as designed .
 *
 * Rules that hold for every call; a call's own text names only exceptions.
 * - Results: 0 or a count, else a negative errno.  ret_x comes last, is written only on success.  blkremap_last_error() has a sentence.
 * - Structs: @c size = sizeof the struct; an all-zero rest means "defaults"; a NULL options pointer too.  Non-zero bytes that this
 *   library does not know: -E2BIG.  Unknown flags or non-zero reserved fields: -EINVAL.  Strings and structs are copied.  In result
 *   structs the caller sets @c size, the library fills at most that much.  Bytes and nanoseconds everywhere, never sectors.
 * - Threads: callable from any thread, except [Q]: only by the one thread that uses this queue at the moment.
 * - [B] may block.  With BLKREMAP_CTX_NO_THREADS such a call drives the context itself.  In both modes it also advances the idle queues of
 *   the devices it waits for (their completions stay there until reaped), so a queue's owner may call it.  -EDEADLK from a callback.
 *   The same work without blocking: open with BLKREMAP_DEFER, then blkremap_job_start().
 * - Callbacks run with no lock of the library held, and may call nothing but what their text names.
 * - References: a target holds the devices it is built of, and claims them: a claimed device refuses writes through other handles with
 *   -EBUSY, as does a second writable open of the same file or block device, in this process or another (OFD locks).
 */
#ifndef BLKREMAP_BLKREMAP_H
#define BLKREMAP_BLKREMAP_H
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifndef BLKREMAP_API /* define it empty to read this file with cffi */
#define BLKREMAP_API __attribute__((visibility("default")))
#endif
#ifdef __cplusplus
extern "C" {
#endif
struct blkremap_ctx;
struct blkremap_dev;
struct blkremap_queue;
struct blkremap_job;
struct blkremap_backend;
struct blkremap_env;

/* ---- context, errors, log, events ------------------------------------------------------------------------------------------ */

enum { /* blkremap_ctx_opts.flags */
	BLKREMAP_CTX_NO_THREADS = 1, /**< never make a thread; the application calls blkremap_process() */
	BLKREMAP_CTX_FOREIGN_THREADS = 2 /**< with NO_THREADS: permit modules whose own library makes threads (rbd) */
};
enum { BLKREMAP_LOG_ERROR = 1, BLKREMAP_LOG_WARNING, BLKREMAP_LOG_INFO, BLKREMAP_LOG_DEBUG };

struct blkremap_ctx_opts {
	uint32_t size, flags;
	uint32_t workers; /**< 0: one */
	uint32_t log_level; /**< 0: errors and warnings, if log is set */
	uint64_t max_memory; /**< bound on tables and bounce buffers; 0: none */
	void (*log)(void *opaque, uint32_t level, const char *text); /**< any thread; may call nothing; NULL: silence */
	void *opaque;
	const struct blkremap_env *env; /**< NULL: the real world */
};

BLKREMAP_API int blkremap_ctx_new(const struct blkremap_ctx_opts *opts, struct blkremap_ctx **ret_ctx);
/** [B] Give the context up.  -EBUSY, and it stays valid, while devices or jobs are open.  Joins the workers.  NULL is fine. */
BLKREMAP_API int blkremap_ctx_free(struct blkremap_ctx *ctx);
/** Sentence about this thread's last failed call, until its next failing call; never NULL, never freed. */
BLKREMAP_API const char *blkremap_last_error(void);
/** Stable name ("store-full") and sentence of a BLKREMAP_CODE; static strings. */
BLKREMAP_API const char *blkremap_code_name(uint32_t code);
BLKREMAP_API const char *blkremap_code_text(uint32_t code);
BLKREMAP_API uint32_t blkremap_version(void); /**< 0x00MMmmpp */
/** 1 when present: "target:cache", "engine:uring", "module:nbd", "op:release" ... ; modules are looked for, not loaded. */
BLKREMAP_API int blkremap_has(const char *feature);
/** JSON text of a target's or engine's options, types, ranges, live-settable keys; static. NULL if unknown. */
BLKREMAP_API const char *blkremap_describe(const char *type);

/**
 * Level-triggered descriptor: readable when events wait, or (NO_THREADS) when blkremap_process() has work, timers included.
 * Poll for input only; never read, write or close it.  One per context.
 */
BLKREMAP_API int blkremap_ctx_fd(struct blkremap_ctx *ctx);
/**
 * NO_THREADS only: do at most @p budget steps (0: 64) and return how many.  Not re-entrant, one thread at a time.
 * @param ret_next_ns  until the next timer: 0 more work now, -1 none; may be NULL.  For loops that cannot poll the descriptor.
 */
BLKREMAP_API int blkremap_process(struct blkremap_ctx *ctx, uint32_t budget, int64_t *ret_next_ns);

enum { /* reasons, finer than errno; stable, only appended to */
	BLKREMAP_CODE_NONE, BLKREMAP_CODE_MEDIUM, BLKREMAP_CODE_STORE_FULL, BLKREMAP_CODE_INVALIDATED, BLKREMAP_CODE_META_DAMAGED,
	BLKREMAP_CODE_META_FAILED, BLKREMAP_CODE_FLUSH_FAILED, BLKREMAP_CODE_SOURCE_LOST, BLKREMAP_CODE_RELEASED, BLKREMAP_CODE_READ_ONLY,
	BLKREMAP_CODE_BEYOND_END, BLKREMAP_CODE_CANCELED, BLKREMAP_CODE_CLAIMED, BLKREMAP_CODE_LOCKED, BLKREMAP_CODE_BLANK,
	BLKREMAP_CODE_WRONG_PEER, BLKREMAP_CODE_TOO_NEW, BLKREMAP_CODE_STALE, BLKREMAP_CODE_TIMED_OUT, BLKREMAP_CODE_UNSUPPORTED
};
enum { /* blkremap_event.type */
	BLKREMAP_EV_LOW_SPACE = 1, /**< value: free, total.  Re-armed when space has grown */
	BLKREMAP_EV_HELD, /**< writers wait for space; value: bytes needed at least */
	BLKREMAP_EV_INVALIDATED, BLKREMAP_EV_FAILED, BLKREMAP_EV_DEGRADED, BLKREMAP_EV_RECOVERED,
	BLKREMAP_EV_RESIZED, /**< value: new, old; blkremap_dev_size() already answers the new one */
	BLKREMAP_EV_SNAPSHOT_ADDED, BLKREMAP_EV_SNAPSHOT_GONE, /**< dev: origin; value[0]: snapshot id */
	BLKREMAP_EV_JOB_DONE, BLKREMAP_EV_SOURCE_UNUSED /**< clone wholly hydrated and durable */
};
struct blkremap_event {
	uint32_t size, type;
	uint64_t dev_id, job_id; /**< ids are never reused within a context, so an event may outlive its device */
	int32_t result;
	uint32_t code;
	uint64_t value[2];
	uint64_t count; /**< events of the same type and device are merged while nobody fetches them */
	char text[160];
};
/** Take the oldest event: 1 taken, 0 none.  Never lost, never delivered from inside another call. */
BLKREMAP_API int blkremap_event_next(struct blkremap_ctx *ctx, struct blkremap_event *event);

/* ---- devices: open, close, look ---------------------------------------------------------------------------------------------- */

enum { /* flags of all open functions and open options */
	BLKREMAP_RDONLY = 1, /**< writes nothing at all, not even recovery */
	BLKREMAP_DIRECT = 2, BLKREMAP_CREATE = 4, /**< create a file of opts.bytes, exclusively, mode 0600 */
	BLKREMAP_NOLOCK = 8, BLKREMAP_DEFER = 16, /**< only make the handle; BLKREMAP_JOB_OPEN does the work */
	BLKREMAP_SUSPENDED = 32, /**< requests wait until blkremap_resume(): attach an origin's snapshots first */
	BLKREMAP_FORCE = 64 /**< create functions: overwrite what is there; they heed no other flag */
};
struct blkremap_open_opts {
	uint32_t size, flags;
	const char *name; /**< for specs ("dev:NAME") and messages; unique in the context; NULL: made up */
	const char *engine; /**< "aio", "threads", "uring"; NULL: best that works, see blkremap_dev_info */
	uint64_t bytes; /**< with CREATE */
	uint64_t timeout_ns; /**< remote devices: connect, and per request; 0: the module's default */
	uint64_t max_grow; /**< a file may be grown up to this by its target; 0: never */
};
/** [B] Open a spec (blkremap-spec(7)), a stack file ("@FILE", relative paths start at its folder) or a dm table line. */
BLKREMAP_API int blkremap_open(struct blkremap_ctx *ctx, const char *spec, const struct blkremap_open_opts *opts,
			       struct blkremap_dev **ret_dev);
BLKREMAP_API int blkremap_file_open(struct blkremap_ctx *ctx, const char *path, const struct blkremap_open_opts *opts,
				    struct blkremap_dev **ret_dev);
/** [B] As file_open, for a descriptor that a jailed process was given.  It is duplicated; the caller keeps his. */
BLKREMAP_API int blkremap_fd_open(struct blkremap_ctx *ctx, int fd, const struct blkremap_open_opts *opts, struct blkremap_dev **ret_dev);
BLKREMAP_API int blkremap_mem_open(struct blkremap_ctx *ctx, uint64_t bytes, const struct blkremap_open_opts *opts,
				   struct blkremap_dev **ret_dev);
struct blkremap_segment {
	struct blkremap_dev *dev;
	uint64_t offset, bytes;
};
BLKREMAP_API int blkremap_linear_open(struct blkremap_ctx *ctx, const struct blkremap_segment *segments, uint32_t n,
				      const struct blkremap_open_opts *opts, struct blkremap_dev **ret_dev);
/** One more handle on an open device, by id. */
BLKREMAP_API int blkremap_dev_get(struct blkremap_ctx *ctx, uint64_t dev_id, struct blkremap_dev **ret_dev);
/**
 * [B] Give one handle up.  The last reference (a target above counts) drains, commits, unlocks and closes what only it held.
 * @return -EBUSY while queues or jobs made from this handle are open: nothing happened.  Any other value: the handle is gone,
 * and an error tells the first thing that could not be made durable, here or below.  Bound the wait with BLKREMAP_JOB_CLOSE (free that job first).
 */
BLKREMAP_API int blkremap_dev_close(struct blkremap_dev *dev);
BLKREMAP_API uint64_t blkremap_dev_size(struct blkremap_dev *dev); /**< never fails; a snapshot of a live value */
BLKREMAP_API uint64_t blkremap_dev_id(struct blkremap_dev *dev);
/** Ids of all devices (@p above NULL), of those it is built of, or of an origin's snapshots.  Fills at most max, tells all. */
enum { BLKREMAP_LIST_ALL, BLKREMAP_LIST_LOWER, BLKREMAP_LIST_SNAPSHOTS };
BLKREMAP_API int blkremap_dev_list(struct blkremap_ctx *ctx, uint32_t what, struct blkremap_dev *above, uint64_t *ids, uint32_t max,
				   uint32_t *ret_n);

enum { /* blkremap_dev_info.caps */
	BLKREMAP_CAP_WRITE = 1, BLKREMAP_CAP_VOLATILE_CACHE = 2, BLKREMAP_CAP_FUA = 4, BLKREMAP_CAP_DISCARD = 8,
	BLKREMAP_CAP_DISCARD_ZEROES = 16, BLKREMAP_CAP_WRITE_ZEROES = 32, BLKREMAP_CAP_FAST_ZEROES = 64, BLKREMAP_CAP_EXTENTS = 128,
	BLKREMAP_CAP_RELEASE = 256, BLKREMAP_CAP_GROW = 512, BLKREMAP_CAP_SHRINK = 1024
};
enum { /* blkremap_dev_info.state */
	BLKREMAP_ST_OPENING = 1, BLKREMAP_ST_SUSPENDED = 2, BLKREMAP_ST_RECOVERED = 4, /**< was not closed cleanly */
	BLKREMAP_ST_DEGRADED = 8, BLKREMAP_ST_FAILED = 16, /**< no more writes, D9 */
	BLKREMAP_ST_INVALID = 32, BLKREMAP_ST_FULL = 64, BLKREMAP_ST_MERGING = 128, BLKREMAP_ST_HYDRATING = 256
};
struct blkremap_dev_info {
	uint32_t size, caps, state, code; /**< code: why FAILED, DEGRADED or INVALID */
	uint64_t dev_id, bytes;
	uint32_t logical_block, physical_block; /**< unit of addresses; unit that a power cut does not tear */
	uint32_t optimal_io, discard_granularity; /**< chunk, region or cluster */
	uint32_t buffer_align; /**< iovecs aligned to this are not bounced */
	uint32_t block_bytes; /**< chunk_bytes as found in the metadata */
	uint64_t generation; /**< grows with each durable commit */
	uint8_t uuid[16]; /**< zero where the format has none */
	char type[16], engine[16], name[64];
};
BLKREMAP_API int blkremap_dev_info(struct blkremap_dev *dev, struct blkremap_dev_info *info);
struct blkremap_status {
	uint32_t size, in_flight;
	uint64_t reads, read_bytes, writes, write_bytes, flushes, discards, errors;
	uint64_t store_used, store_meta, store_total; /**< bytes */
	uint64_t copied_bytes, hydrated_bytes, dirty_bytes, commits, last_commit_ns;
};
BLKREMAP_API int blkremap_status(struct blkremap_dev *dev, struct blkremap_status *status);
/** Every counter by name, for exporters: 1 and name (static) and value, 0 past the end. */
BLKREMAP_API int blkremap_counter(struct blkremap_dev *dev, uint32_t index, const char **ret_name, uint64_t *ret_value);
/** The kernel target's status words.  Returns the length without NUL, as snprintf. */
BLKREMAP_API int blkremap_dm_status(struct blkremap_dev *dev, char *buf, size_t len);
/** Change a live-settable option ("rate", "policy", "low_space"; see blkremap_describe). */
BLKREMAP_API int blkremap_dev_set(struct blkremap_dev *dev, const char *key, const char *value);

/* ---- I/O ----------------------------------------------------------------------------------------------------------------------- */

enum { BLKREMAP_READ, BLKREMAP_WRITE, BLKREMAP_FLUSH, BLKREMAP_DISCARD, BLKREMAP_WRITE_ZEROES,
       BLKREMAP_EXTENTS, /**< iov: array of struct blkremap_extent to fill; result: how many */
       BLKREMAP_RELEASE, /**< snapshot: this range is not needed any more; later reads of it fail with -ENODATA */
       BLKREMAP_CLOSE /**< only to pulling backends: the last request, see blkremap_user_fetch() */ };
enum { /* blkremap_io.flags; on an op where a flag means nothing: -EINVAL */
	BLKREMAP_FUA = 1, /**< WRITE, WRITE_ZEROES, DISCARD: durable, mapping included, when it completes */
	BLKREMAP_MAY_UNMAP = 2, BLKREMAP_FAST_ONLY = 4, /**< WRITE_ZEROES; FAST_ONLY: -EOPNOTSUPP rather than write zeroes */
	BLKREMAP_UNSTABLE = 8, /**< WRITE: the buffer may change meanwhile (guest memory): copy it where it is needed twice */
	BLKREMAP_BACKGROUND = 16
};
struct blkremap_io {
	uint32_t op, flags;
	uint64_t offset, length;
	uint64_t user_data;
	const struct iovec *iov; /**< the array and the buffers stay the library's until completion, and are not changed but by READ */
	uint32_t iovcnt, reserved32;
	uint64_t reserved[2];
};
struct blkremap_completion {
	uint64_t user_data;
	int32_t result; /**< 0, a count (EXTENTS) or -errno; the buffers are the caller's again either way */
	uint32_t code;
	uint64_t dev_id, offset; /**< where it failed, which may be a lower device */
	uint64_t reserved[4];
};
struct blkremap_queue_opts {
	uint32_t size, flags;
	uint32_t depth; /**< requests in flight; 0: 128 */
	uint32_t max_iov; /**< hint for preallocation; longer vectors work */
};
BLKREMAP_API int blkremap_queue_open(struct blkremap_dev *dev, const struct blkremap_queue_opts *opts, struct blkremap_queue **ret_q);
/** [Q] -EBUSY, and it stays open, while requests are in flight or not reaped. */
BLKREMAP_API int blkremap_queue_close(struct blkremap_queue *q);
/** Level-triggered, as blkremap_ctx_fd(): call blkremap_reap() when readable; reaping nothing is normal (internal progress). */
BLKREMAP_API int blkremap_queue_fd(struct blkremap_queue *q);
/** [Q] off: the descriptor stays silent while the owner polls.  On again: readable at once if something waits. */
BLKREMAP_API int blkremap_queue_arm(struct blkremap_queue *q, int on);
/** Make a blocked or the next blkremap_reap() return early.  Any thread, signal handlers. */
BLKREMAP_API int blkremap_queue_wake(struct blkremap_queue *q);
/** [Q] Complete with -ECANCELED what has not reached a device yet (all, or those with @p user_data).  Returns how many.
 *  The others complete when their device lets go of the buffers: reap until none is left before reusing memory. */
enum { BLKREMAP_CANCEL_ALL = 1 };
BLKREMAP_API int blkremap_queue_cancel(struct blkremap_queue *q, uint32_t flags, uint64_t user_data);
/**
 * [Q] Take requests, in order, until the first malformed one or a full queue; never blocks.
 * @return how many were taken; none: -EAGAIN full, -EINVAL malformed (op, flags, reserved, iov shorter than length).
 * All else (beyond the end, unaligned, read-only, failed) comes as a completion.  While suspended: taken, and waits.
 */
BLKREMAP_API int blkremap_submit_io(struct blkremap_queue *q, const struct blkremap_io *ios, uint32_t n);
/** [Q] At least @p min (waits; 0 never does) and at most @p max completions.  timeout < 0: none.  Fewer than min: time-out,
 *  wake or signal. -EDEADLK if min is more than is in flight. */
BLKREMAP_API int blkremap_reap(struct blkremap_queue *q, struct blkremap_completion *out, uint32_t min, uint32_t max, int64_t timeout_ns);
/** [B] Whole transfers: 0 or -errno. */
BLKREMAP_API int blkremap_pread(struct blkremap_dev *dev, void *buf, size_t len, uint64_t off, uint32_t flags);
BLKREMAP_API int blkremap_pwrite(struct blkremap_dev *dev, const void *buf, size_t len, uint64_t off, uint32_t flags);
BLKREMAP_API int blkremap_flush(struct blkremap_dev *dev);
BLKREMAP_API int blkremap_discard(struct blkremap_dev *dev, uint64_t off, uint64_t len, uint32_t flags);
BLKREMAP_API int blkremap_write_zeroes(struct blkremap_dev *dev, uint64_t off, uint64_t len, uint32_t flags);
BLKREMAP_API int blkremap_release(struct blkremap_dev *dev, uint64_t off, uint64_t len);
BLKREMAP_API int blkremap_commit(struct blkremap_dev *dev); /**< metadata durable; FLUSH implies it */

enum { /* blkremap_extent.kind, bits */
	BLKREMAP_EXT_DATA = 1, BLKREMAP_EXT_HOLE = 2, BLKREMAP_EXT_ZERO = 4, /**< neither HOLE nor ZERO unless it surely reads as zeroes */
	BLKREMAP_EXT_REMAPPED = 8, BLKREMAP_EXT_DIRTY = 16, BLKREMAP_EXT_HYDRATED = 32, BLKREMAP_EXT_RELEASED = 64,
	BLKREMAP_EXT_CHANGED = 128, BLKREMAP_EXT_INEXACT = 256 /**< delta: may be unchanged */
};
struct blkremap_extent {
	uint64_t offset, length, at; /**< at: place in the device @c dev_id that holds it */
	uint64_t dev_id; /**< 0: nowhere */
	uint32_t kind, reserved32;
	uint64_t reserved;
};
enum { BLKREMAP_MAP_TOP_ONLY = 1 /**< do not ask lower devices for holes */ };
/** [B] Extents in order, joined, clipped to [off, off+len).  Go on at the end of the last one; n = 0: done. */
BLKREMAP_API int blkremap_map(struct blkremap_dev *dev, uint64_t off, uint64_t len, uint32_t flags, struct blkremap_extent *out,
			      uint32_t max, uint32_t *ret_n);
/** [B] What differs between a snapshot and a later one (or its origin, now): a superset, never less. */
BLKREMAP_API int blkremap_delta(struct blkremap_dev *from, struct blkremap_dev *to, uint64_t off, uint64_t len,
				struct blkremap_extent *out, uint32_t max, uint32_t *ret_n);

/* ---- targets --------------------------------------------------------------------------------------------------------------------- */

/** [B] The base becomes claimed.  With persistent snapshots: open SUSPENDED, attach each, blkremap_resume(). */
BLKREMAP_API int blkremap_origin_open(struct blkremap_ctx *ctx, struct blkremap_dev *base, const struct blkremap_open_opts *opts,
				      struct blkremap_dev **ret_dev);

enum { BLKREMAP_FULL_INVALIDATE, BLKREMAP_FULL_REFUSE, BLKREMAP_FULL_HOLD /**< hold writers, origin's too, for hold_ns, then invalidate */ };
enum { BLKREMAP_SNAP_TRANSIENT = 1 << 16, BLKREMAP_SNAP_DISCARD_ZEROES_COW = 1 << 17, BLKREMAP_SNAP_DISCARD_PASSDOWN = 1 << 18,
       BLKREMAP_SNAP_MERGING = 1 << 19 /**< a merge was under way: the store cannot say so, the stack file does */ };
struct blkremap_snapshot_opts {
	uint32_t size, flags; /**< BLKREMAP_RDONLY ... and BLKREMAP_SNAP_* */
	const char *name;
	uint32_t when_full, reserved32;
	uint64_t chunk_bytes; /**< 0: 64 KiB when created, as found when opened; else must be equal */
	uint64_t bytes; /**< 0: as the device below; more: the tail reads zeroes.  The store does not record it */
	uint64_t low_space, grow_step; /**< event below so many free bytes; growing of file stores */
	uint64_t hold_ns;
};
/** [B] Format a store.  -EEXIST if it is not blank (unless FORCE). */
BLKREMAP_API int blkremap_snapshot_create(struct blkremap_ctx *ctx, struct blkremap_dev *store, const struct blkremap_snapshot_opts *opts);
/**
 * [B] Attach an existing store to an origin device (or to a device that nobody writes).  Closing the handle does not detach it: the
 * origin keeps it protected until blkremap_snapshot_drop(), or until the origin itself is closed.
 * @retval -ESTALE  the origin has accepted writes since it was opened: the store may have missed some.
 * @retval -ENODATA the store is blank.   @retval -EBADMSG damaged or no store.   @retval -ENOTRECOVERABLE marked invalid.
 */
BLKREMAP_API int blkremap_snapshot_open(struct blkremap_ctx *ctx, struct blkremap_dev *origin, struct blkremap_dev *store,
					const struct blkremap_snapshot_opts *opts, struct blkremap_dev **ret_dev);
struct blkremap_take {
	struct blkremap_dev *origin, *store; /**< store: blank, formatted by this call; NULL: transient in memory */
	const struct blkremap_snapshot_opts *opts;
	struct blkremap_dev *snap; /**< out: the new handle, on success */
	uint64_t reserved[2];
};
/**
 * [B unless ret_job] Snapshot live origins of one context at one point in time, all or none.  Writes that completed before the call are in all;
 * writes submitted after it returned (or the job is done) in none; no write is in without everything that completed before its submission.
 * New writes wait meanwhile, at most @p timeout_ns.  With @p ret_job the handles are given at once and usable when the job is done.
 */
BLKREMAP_API int blkremap_snapshot_take(struct blkremap_take *items, uint32_t n, int64_t timeout_ns, struct blkremap_job **ret_job);
/** [B] Stop protecting: durably invalid, then detached, then no more copying.  Other handles get -EIO (INVALIDATED).  -EBUSY while merging. */
BLKREMAP_API int blkremap_snapshot_drop(struct blkremap_dev *snapshot);
/** [B] Forget all that was written to the snapshot of a base nobody writes; requests in flight finish before. */
BLKREMAP_API int blkremap_snapshot_reset(struct blkremap_dev *snapshot);

/** Bytes of metadata (cache, clone) or of a store that cannot overflow (snapshot) for a device of @p bytes. */
BLKREMAP_API int blkremap_meta_size(const char *type, uint64_t bytes, uint64_t block_bytes, uint64_t *ret_bytes);

/* ---- states and long work ------------------------------------------------------------------------------------------------------- */

enum { BLKREMAP_SUSPEND_RELEASE = 1 /**< also unlock and forget cached metadata, so that another process may open (migration) */ };
/** [B] New requests wait, those in flight finish, everything is committed.  Counted: as many resumes.  -ETIMEDOUT: nothing changed. */
BLKREMAP_API int blkremap_suspend(struct blkremap_dev *dev, uint32_t flags, int64_t timeout_ns);
/** [B] After RELEASE: locks and reads again; fails if someone else has the device, and stays suspended. */
BLKREMAP_API int blkremap_resume(struct blkremap_dev *dev);
/** [B] Look at the sizes below again (a grown LV, file, store) and raise RESIZED events. */
BLKREMAP_API int blkremap_rescan(struct blkremap_dev *dev);

enum { BLKREMAP_JOB_OPEN = 1, BLKREMAP_JOB_CLOSE, /**< drain, commit, close below; then only dev_close() is allowed */
       BLKREMAP_JOB_COMMIT, BLKREMAP_JOB_SUSPEND, BLKREMAP_JOB_RESUME, BLKREMAP_JOB_RESIZE, BLKREMAP_JOB_TAKE,
       BLKREMAP_JOB_MERGE, BLKREMAP_JOB_HYDRATE, BLKREMAP_JOB_WRITEBACK, BLKREMAP_JOB_SCRUB, BLKREMAP_JOB_COMPACT, BLKREMAP_JOB_DROP };
enum { BLKREMAP_JOB_SHRINK = 1, BLKREMAP_JOB_PAUSED = 2 /**< start paused */ };
struct blkremap_job_opts {
	uint32_t size, flags;
	uint64_t bytes_per_s, iops; /**< 0: no limit */
	uint64_t offset, length; /**< length 0: to the end */
	uint64_t new_bytes; /**< RESIZE */
	uint64_t error_budget; /**< failures borne before the job fails */
	int64_t timeout_ns; /**< 0: none; CLOSE: then requests in flight are given up as far as their devices permit */
	uint32_t suspend_flags, reserved32;
};
enum { BLKREMAP_JOB_RUNNING = 1, BLKREMAP_JOB_IS_PAUSED, BLKREMAP_JOB_STOPPING, BLKREMAP_JOB_DONE, BLKREMAP_JOB_FAILED,
       BLKREMAP_JOB_CANCELED };
struct blkremap_job_status {
	uint32_t size, state;
	uint64_t job_id, dev_id;
	int32_t result;
	uint32_t code, kind, reserved32;
	uint64_t done, total, bytes_per_s, errors; /**< bytes of the device; total may grow */
	int64_t eta_ns; /**< -1: not known */
	char text[160];
};
/** One job of a kind at a time and device: -EALREADY.  After a crash the same call goes on.  MERGE is started on the snapshot, whose handle goes on
 *  working, and afterwards reads and writes the origin.  Kinds whose handle is still DEFERred: OPEN only. */
BLKREMAP_API int blkremap_job_start(struct blkremap_dev *dev, uint32_t kind, const struct blkremap_job_opts *opts,
				    struct blkremap_job **ret_job);
/** [B] 1 finished (see status.result), 0 time is up. */
BLKREMAP_API int blkremap_job_wait(struct blkremap_job *job, int64_t timeout_ns);
BLKREMAP_API int blkremap_job_status(struct blkremap_job *job, struct blkremap_job_status *status);
BLKREMAP_API int blkremap_job_set(struct blkremap_job *job, const struct blkremap_job_opts *opts); /**< rates and budget only */
BLKREMAP_API int blkremap_job_pause(struct blkremap_job *job); /**< returns at once; so does resume */
BLKREMAP_API int blkremap_job_resume(struct blkremap_job *job);
BLKREMAP_API int blkremap_job_cancel(struct blkremap_job *job); /**< asks; what is done stays done and is committed; then DONE event */
/** Drop the handle; a running job goes on until its device closes, which stops it as cancel does.  NULL is fine. */
BLKREMAP_API void blkremap_job_free(struct blkremap_job *job);

/* ---- check, repair, dump, restore: need no opened device, run callbacks in the calling thread [B] ------------------------------- */
struct blkremap_finding {
	uint32_t size, severity; /**< 1 note, 2 unclean or leak, 3 corrupt */
	uint32_t code, reserved32;
	uint64_t offset, length; /**< in the checked metadata or, for losses, in the device */
	const char *text; /**< valid during the callback */
};
typedef int (*blkremap_finding_fn)(void *opaque, const struct blkremap_finding *finding); /**< not 0 stops: that is returned */
typedef int (*blkremap_write_fn)(void *opaque, const void *data, size_t len);
typedef int64_t (*blkremap_read_fn)(void *opaque, void *buf, size_t len); /**< bytes, 0 end, -errno */
/** @return the worst severity found, 0 clean. */
BLKREMAP_API int blkremap_check(struct blkremap_ctx *ctx, const char *spec, uint32_t flags, blkremap_finding_fn fn, void *opaque);
BLKREMAP_API int blkremap_repair(struct blkremap_ctx *ctx, const char *spec, const char *out_spec, uint32_t flags, blkremap_finding_fn fn,
				 void *opaque);
BLKREMAP_API int blkremap_dump(struct blkremap_ctx *ctx, const char *spec, const char *format, blkremap_write_fn fn, void *opaque);
BLKREMAP_API int blkremap_restore(struct blkremap_ctx *ctx, const char *spec, const char *format, uint32_t flags, blkremap_read_fn fn,
				  void *opaque);

/* ---- the caller's own devices ----------------------------------------------------------------------------------------------------- */
struct blkremap_backend_req {
	uint64_t id; /**< for blkremap_user_complete() */
	uint32_t op, flags; /**< never an op or flag that the caps do not name: those are emulated or refused above */
	uint64_t offset, length;
	const struct iovec *iov; /**< valid until completed */
	uint32_t iovcnt, reserved32;
	uint64_t reserved[2];
};
enum { BLKREMAP_BACKEND_BLOCKING = 1, /**< submit may block: called from a pool (-EINVAL with NO_THREADS) */
       BLKREMAP_BACKEND_SERIAL = 2 /**< submit is never entered twice at a time */ };
struct blkremap_backend_info {
	uint32_t size, flags;
	uint32_t caps; /**< BLKREMAP_CAP_*; WRITE without VOLATILE_CACHE promises that a completed write is durable */
	uint32_t logical_block, optimal_io, buffer_align;
	uint32_t max_inflight, max_iov; /**< 0: no limit */
	uint64_t bytes, max_transfer;
	const char *name;
};
struct blkremap_dev_ops {
	uint32_t size, flags;
	/** Take requests: how many were taken (the rest comes again after a completion), or -errno for the first one.  Any thread that does
	 *  I/O or a worker.  May call user_complete and user_set_bytes, also for these very requests. NULL: the owner fetches. */
	int32_t (*submit)(void *opaque, const struct blkremap_backend_req *reqs, uint32_t n);
	/** Please finish soon; it must still be completed exactly once.  May be NULL. */
	void (*cancel)(void *opaque, uint64_t id);
	/** Called once, after the last completion and before the last dev_close() returns; then the backend handle is gone. */
	void (*close)(void *opaque);
};
/** On failure nothing was kept, close is not called.  No request comes before this call has returned.  ops NULL: pull mode (bindings, loops). */
BLKREMAP_API int blkremap_user_open(struct blkremap_ctx *ctx, const struct blkremap_dev_ops *ops, void *opaque,
				    const struct blkremap_backend_info *info, struct blkremap_backend **ret_backend,
				    struct blkremap_dev **ret_dev);
/** Pull mode: descriptor as blkremap_ctx_fd(), and requests (0: none now).  The last is BLKREMAP_CLOSE; completing it ends the backend. */
BLKREMAP_API int blkremap_user_fd(struct blkremap_backend *backend);
BLKREMAP_API int blkremap_user_fetch(struct blkremap_backend *backend, struct blkremap_backend_req *out, uint32_t max);
/** Once a request: 0, a count (EXTENTS), -errno.  Any thread, never blocks, never runs the library's work in the caller. -ENOENT: no such id. */
BLKREMAP_API int blkremap_user_complete(struct blkremap_backend *backend, uint64_t id, int32_t result);
/** The capacity has changed.  Shrinking fails requests beyond the end.  Any thread; raises RESIZED here and above. */
BLKREMAP_API int blkremap_user_set_bytes(struct blkremap_backend *backend, uint64_t bytes);

#ifdef __cplusplus
}
#endif
#endif /* BLKREMAP_BLKREMAP_H */
