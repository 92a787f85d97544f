/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Contexts, errors, events: what every program needs first.
 *
 * A typical program makes one context, opens devices in it, does I/O, closes them and gives the context up:
 * @code
 *	struct blkremap_ctx *ctx;
 *	struct blkremap_dev *dev;
 *
 *	if (blkremap_ctx_new(NULL, &ctx) < 0 || blkremap_open(ctx, "@vol.blkr", NULL, &dev) < 0)
 *		die(blkremap_last_error());
 *	blkremap_pwrite(dev, data, sizeof(data), 0, BLKREMAP_FUA);
 *	blkremap_dev_close(dev);
 *	blkremap_ctx_free(ctx);
 * @endcode
 *
 * Rules that hold for every call of every header; a call's own text names what it adds and the exceptions.
 * - **Results** are 0 or a count, else a negative errno.  A result parameter is called ret_x, comes last, and is
 *   written only on success.  After a failure blkremap_last_error() has a sentence.  -EINVAL is the answer to a NULL
 *   where none is allowed, to an unknown flag and to a reserved field that is not zero; -ENOMEM to a lack of memory.
 * - **Structs** that begin with @c size: the caller sets it to sizeof the struct.  The rest all zero means defaults,
 *   and so does a NULL options pointer.  Bytes beyond those that this library knows must be zero, else -E2BIG.  In a
 *   struct that the library fills, it writes at most @c size bytes.  Structs and strings given to a call are copied.
 * - **Units** are bytes and nanoseconds, never sectors.  A time-out below zero means none.
 * - **Threads**: a call may be made from any thread at any time, unless its text says that it belongs to the queue's
 *   owner: the one thread that uses this queue at the moment.  A second thread inside the same queue gets -EBUSY.
 * - **Blocking** calls say so.  In a context without threads such a call drives the context itself.  In both kinds it
 *   also advances the idle queues of the devices it waits for (their completions stay there until they are reaped), so
 *   that a queue's owner may call it.  From inside a callback it fails with -EDEADLK.
 * - **Callbacks** run with no lock of the library held, and may call nothing but what their text names.
 * - **References**: a target holds the devices that it is built of and claims them: a claimed device refuses writes
 *   through other handles with -EBUSY, and so does a second writable open of the same file or block device, in this
 *   process or in another one (OFD locks).  Open for reading only, a file may be shared by any number of contexts.
 * - **fork**: open after it.  A context made before fork() belongs to the parent alone.
 */
#ifndef BLKREMAP_BASE_H
#define BLKREMAP_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifndef BLKREMAP_API
/** Marks what the shared library exports.  Define it empty to read these headers with a tool, such as cffi. */
#define BLKREMAP_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Devices, workers and events that belong together. */
struct blkremap_ctx;
/** A handle on a device: a leaf (file, memory, the caller's own) or a target built of other devices. */
struct blkremap_dev;
/** Where asynchronous requests to one device are submitted and reaped, by one thread at a time. */
struct blkremap_queue;
/** Long work that goes on in the background, such as a merge. */
struct blkremap_job;
/** The caller's side of a device that the caller implements. */
struct blkremap_backend;
/** The world outside: memory, clock, chance.  Only the real one can be had in this version. */
struct blkremap_env;

/* ---- context ----------------------------------------------------------------------------------------------------- */

/** Bits of blkremap_ctx_opts.flags. */
enum {
	BLKREMAP_CTX_NO_THREADS = 1 /**< never make a thread; the application calls blkremap_process() */
};

/** Levels of blkremap_ctx_opts.log and log_level. */
enum {
	BLKREMAP_LOG_ERROR = 1, /**< something has failed and stays failed */
	BLKREMAP_LOG_WARNING, /**< something is worth a look */
	BLKREMAP_LOG_INFO, /**< what was opened, closed, recovered */
	BLKREMAP_LOG_DEBUG /**< for those who look for a fault in the library */
};

/** Options of blkremap_ctx_new(). */
struct blkremap_ctx_opts {
	uint32_t size; /**< sizeof this struct */
	uint32_t flags; /**< bits BLKREMAP_CTX_* */
	uint32_t workers; /**< threads for background work, at most 64; 0: one; not heeded with NO_THREADS */
	uint32_t log_level; /**< BLKREMAP_LOG_*, the most talkative level wanted; 0: errors and warnings */
	uint64_t max_memory; /**< bound on tables and bounce buffers together, in bytes; 0: none */
	/** Called with one line of text, from any thread.  May call nothing.  NULL: silence. */
	void (*log)(void *opaque, uint32_t level, const char *text);
	void *opaque; /**< handed to log; borrowed until the context is freed */
	const struct blkremap_env *env; /**< NULL: the real world */
};

/**
 * Make a context.
 *
 * Touches no data.  Starts the worker threads, unless BLKREMAP_CTX_NO_THREADS is set.  Does not block.
 *
 * @param[in] opts     Options, or NULL for the defaults.  Copied.
 * @param[out] ret_ctx The new context; give it up by blkremap_ctx_free().
 * @return 0, or a negative errno.
 * @retval -EINVAL  An unknown flag or level, or more than 64 workers.
 * @retval -EMFILE  No descriptor is left in this process (-ENFILE: in the system).
 * @retval -EAGAIN  A worker thread could not be made.
 * @par Thread safety
 * Any thread.  Contexts share nothing.
 * @since 0.1
 */
BLKREMAP_API int blkremap_ctx_new(const struct blkremap_ctx_opts *opts, struct blkremap_ctx **ret_ctx);

/**
 * Give a context up.
 *
 * Every device must have been closed before, so nothing is left that could be lost.  Blocks until the workers have
 * ended.
 *
 * @param[in] ctx  The context, or NULL, which does nothing.  Gone after success; valid as before after a failure.
 * @return 0, or a negative errno.
 * @retval -EBUSY    Devices or jobs are still open; nothing has happened.
 * @retval -EDEADLK  Called from a callback.
 * @par Thread safety
 * Any thread but the context's own; no other call may be using the context.
 * @since 0.1
 */
BLKREMAP_API int blkremap_ctx_free(struct blkremap_ctx *ctx);

/* ---- errors and features ----------------------------------------------------------------------------------------- */

/**
 * Tell why this thread's last failed call failed.
 *
 * Touches no data and does not block.  Completions, events and jobs carry a code and a text of their own, since they
 * fail in no particular thread.
 *
 * @return A sentence in English, without a full stop and without the errno's own text; "" if no call has failed yet.
 *         Valid until this thread's next failing call; never NULL, never to be freed.
 * @par Thread safety
 * Any thread; each has its own sentence.
 * @since 0.1
 */
BLKREMAP_API const char *blkremap_last_error(void);

/**
 * Name a reason code.
 *
 * Touches no data and does not block.
 *
 * @param code  BLKREMAP_CODE_*.
 * @return The stable name, such as "store-full", for scripts; "unknown" for a number that this library does not know.
 *         Static.
 * @par Thread safety
 * Any thread, callbacks included.
 * @since 0.1
 */
BLKREMAP_API const char *blkremap_code_name(uint32_t code);

/**
 * Describe a reason code to a person.
 *
 * Touches no data and does not block.
 *
 * @param code  BLKREMAP_CODE_*.
 * @return A sentence in English, never NULL.  Static.
 * @par Thread safety
 * Any thread, callbacks included.
 * @since 0.1
 */
BLKREMAP_API const char *blkremap_code_text(uint32_t code);

/**
 * Tell the version of the library that is linked at run time.
 *
 * Touches no data and does not block.  The version of the headers is in blkremap/version.h.
 *
 * @return 0x00MMmmpp: major, minor, micro; 0x00000100 is 0.1.0.
 * @par Thread safety
 * Any thread, callbacks included.
 * @since 0.1
 */
BLKREMAP_API uint32_t blkremap_version(void);

/**
 * Ask whether a feature is present.
 *
 * Touches no data and does not block.
 *
 * @param[in] feature  "target:snapshot", "engine:aio", "op:release" and so on.
 * @return 1 present, 0 not present or not known.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_has(const char *feature);

/**
 * Describe the options of a type of device, for programs that build forms or check specs.
 *
 * Touches no data and does not block.
 *
 * @param[in] type  "snapshot", "origin", "file" and so on.
 * @return JSON text: an object with the keys of blkremap-spec(7), their types and ranges, and which of them
 *         blkremap_dev_set() can change; NULL if the type is not known.  Static.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API const char *blkremap_describe(const char *type);

/* ---- driving a context from an event loop ------------------------------------------------------------------------ */

/**
 * Get the descriptor to poll for a context.
 *
 * It is level-triggered: readable while events wait for blkremap_event_next() or, in a context without threads, while
 * blkremap_process() has something to do, due timers included.  Touches no data and does not block.
 *
 * @param[in] ctx  The context.
 * @return The descriptor, one per context, valid until blkremap_ctx_free().  Poll it for input only; never read, write
 *         or close it.  Or a negative errno.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_ctx_fd(struct blkremap_ctx *ctx);

/**
 * Do background work in a context without threads.
 *
 * Merges, timers and what other queues wait for advance here.  What has become durable by this is told by completions,
 * events and jobs.  Does not block, except for the I/O of buffered files, which such a context does in place.
 *
 * @param[in] ctx           A context made with BLKREMAP_CTX_NO_THREADS.
 * @param budget            At most so many steps; 0: 64.
 * @param[out] ret_next_ns  Until the next timer: 0 more work now, -1 no timer.  For loops that cannot poll the
 *                          descriptor.  May be NULL.
 * @return How many steps were done, or a negative errno.
 * @retval -EINVAL   The context has threads.
 * @retval -EBUSY    Another thread is inside this call.
 * @retval -EDEADLK  Called from a callback.
 * @par Thread safety
 * One thread at a time; not from callbacks.
 * @since 0.1
 */
BLKREMAP_API int blkremap_process(struct blkremap_ctx *ctx, uint32_t budget, int64_t *ret_next_ns);

/* ---- reasons and events ------------------------------------------------------------------------------------------ */

/** Reasons, finer than errno: in completions, events, jobs, findings.  The numbers are stable; the list only grows. */
enum {
	BLKREMAP_CODE_NONE, /**< no particular reason */
	BLKREMAP_CODE_MEDIUM, /**< a device failed a read or a write */
	BLKREMAP_CODE_STORE_FULL, /**< no room is left in a snapshot's store */
	BLKREMAP_CODE_INVALIDATED, /**< the snapshot has lost what it had to keep, and is of no more use */
	BLKREMAP_CODE_META_DAMAGED, /**< metadata was found that cannot be right */
	BLKREMAP_CODE_META_FAILED, /**< a write of metadata has failed: no more writes are accepted */
	BLKREMAP_CODE_FLUSH_FAILED, /**< a flush has failed: no more writes are accepted */
	BLKREMAP_CODE_SOURCE_LOST, /**< the source of a clone does not answer; no target of this version says so */
	BLKREMAP_CODE_RELEASED, /**< the range was released, or the snapshot was dropped */
	BLKREMAP_CODE_READ_ONLY, /**< a write to a device that is open for reading only */
	BLKREMAP_CODE_BEYOND_END, /**< the request ends beyond the end of the device */
	BLKREMAP_CODE_CANCELED, /**< given up by the caller's wish */
	BLKREMAP_CODE_CLAIMED, /**< a target of this context alone may write to the device */
	BLKREMAP_CODE_LOCKED, /**< another open of the file or block device holds its lock */
	BLKREMAP_CODE_BLANK, /**< metadata was expected and the device is blank */
	BLKREMAP_CODE_WRONG_PEER, /**< metadata belongs to other devices than those given */
	BLKREMAP_CODE_TOO_NEW, /**< metadata is of a version that this library does not know */
	BLKREMAP_CODE_STALE, /**< the store may have missed writes of its origin */
	BLKREMAP_CODE_TIMED_OUT, /**< the time given was not enough */
	BLKREMAP_CODE_UNSUPPORTED /**< the device cannot do this operation */
};

/** Values of blkremap_event.type. */
enum {
	BLKREMAP_EV_LOW_SPACE = 1, /**< a store fills up; value: bytes free, total.  Armed again when space has grown */
	BLKREMAP_EV_HELD, /**< writers wait for space; value[0]: bytes needed at least */
	BLKREMAP_EV_INVALIDATED, /**< a snapshot has become invalid; code and text say why */
	BLKREMAP_EV_RESIZED = 7, /**< value: new and old size; blkremap_dev_size() already answers the new one */
	BLKREMAP_EV_SNAPSHOT_ADDED, /**< dev_id: an origin; value[0]: the snapshot's id */
	BLKREMAP_EV_SNAPSHOT_GONE, /**< dev_id: an origin; value[0]: the snapshot's id */
	BLKREMAP_EV_JOB_DONE /**< job_id, result: a job has ended */
};

/** Something that happened; filled by blkremap_event_next(). */
struct blkremap_event {
	uint32_t size; /**< sizeof this struct, set by the caller */
	uint32_t type; /**< BLKREMAP_EV_* */
	uint64_t dev_id; /**< the device; ids are never reused within a context, so an event may outlive its device */
	uint64_t job_id; /**< the job, or 0 */
	int32_t result; /**< 0 or a negative errno */
	uint32_t code; /**< BLKREMAP_CODE_* */
	uint64_t value[2]; /**< numbers; the type says which */
	uint64_t count; /**< how many there were: those of one type and device are merged while nobody fetches them */
	char text[160]; /**< a sentence for people */
};

/**
 * Take the oldest event.
 *
 * Events are never lost and never delivered from inside another call; since those of one type and device are merged,
 * the queue is bounded however long nobody looks.  Touches no data and does not block.
 *
 * @param[in] ctx         The context.
 * @param[in,out] event   Its @c size is set by the caller; the rest is filled when the result is 1.
 * @return 1 taken, 0 there was none, or a negative errno.
 * @par Thread safety
 * Any thread; each event goes to one caller.
 * @since 0.1
 */
BLKREMAP_API int blkremap_event_next(struct blkremap_ctx *ctx, struct blkremap_event *event);

#ifdef __cplusplus
}
#endif

#endif /* BLKREMAP_BASE_H */
