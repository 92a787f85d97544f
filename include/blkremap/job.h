/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Jobs: long work in the background; and checking, repairing, dumping metadata.
 *
 * A merge, with its progress:
 * @code
 *	struct blkremap_job_status st = { .size = sizeof(st) };
 *	struct blkremap_job *job;
 *
 *	if (blkremap_job_start(snapshot, BLKREMAP_JOB_MERGE, NULL, &job) < 0)
 *		die(blkremap_last_error());
 *	while (blkremap_job_wait(job, 1000000000) == 0 && blkremap_job_status(job, &st) == 0)
 *		printf("%llu of %llu\n", (unsigned long long)st.done, (unsigned long long)st.total);
 *	blkremap_job_free(job);
 * @endcode
 */
#ifndef BLKREMAP_JOB_H
#define BLKREMAP_JOB_H

#include <blkremap/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/** Kinds of jobs.  Numbers that are missing belong to kinds of later versions. */
enum {
	BLKREMAP_JOB_COMMIT = 3, /**< as blkremap_commit() */
	BLKREMAP_JOB_SUSPEND = 4, /**< as blkremap_suspend() */
	BLKREMAP_JOB_RESUME = 5, /**< as blkremap_resume() */
	BLKREMAP_JOB_RESIZE = 6, /**< grow or shrink the device to new_bytes */
	BLKREMAP_JOB_TAKE = 7, /**< made by blkremap_snapshot_take(); cannot be started */
	BLKREMAP_JOB_MERGE = 8, /**< fold a snapshot back into its origin, while both are in use */
	BLKREMAP_JOB_DROP = 13 /**< as blkremap_snapshot_drop() */
};

/** Bits of blkremap_job_opts.flags. */
enum {
	BLKREMAP_JOB_SHRINK = 1, /**< RESIZE: may make the device smaller; what lay beyond is lost */
	BLKREMAP_JOB_PAUSED = 2 /**< start paused */
};

/** Options of blkremap_job_start() and blkremap_job_set(). */
struct blkremap_job_opts {
	uint32_t size; /**< sizeof this struct */
	uint32_t flags; /**< bits BLKREMAP_JOB_SHRINK, BLKREMAP_JOB_PAUSED */
	uint64_t bytes_per_s; /**< copy at most so fast; 0: no limit */
	uint64_t iops; /**< at most so many requests a second; 0: no limit */
	uint64_t offset; /**< 0 in this version */
	uint64_t length; /**< 0 in this version */
	uint64_t new_bytes; /**< RESIZE: the new size */
	uint64_t error_budget; /**< 0 in this version: the first failure fails the job */
	int64_t timeout_ns; /**< SUSPEND, DROP: wait at most so long for requests in flight; 0: no limit */
	uint32_t suspend_flags; /**< 0 in this version */
	uint32_t reserved32; /**< 0 */
};

/** Values of blkremap_job_status.state. */
enum {
	BLKREMAP_JOB_RUNNING = 1, /**< at work */
	BLKREMAP_JOB_IS_PAUSED, /**< waits for blkremap_job_resume() */
	BLKREMAP_JOB_STOPPING, /**< was asked to stop and is bringing things to a safe end */
	BLKREMAP_JOB_DONE, /**< ended, and did it all */
	BLKREMAP_JOB_FAILED, /**< ended by an error, see result */
	BLKREMAP_JOB_CANCELED /**< ended by blkremap_job_cancel() or by a close of its device */
};

/** How far a job has come; filled by blkremap_job_status(). */
struct blkremap_job_status {
	uint32_t size; /**< sizeof this struct, set by the caller */
	uint32_t state; /**< BLKREMAP_JOB_RUNNING and those below it */
	uint64_t job_id; /**< the number by which events name it */
	uint64_t dev_id; /**< its device */
	int32_t result; /**< when it has ended: 0 or a negative errno; -ECANCELED when it was stopped */
	uint32_t code; /**< BLKREMAP_CODE_* of a failure */
	uint32_t kind; /**< BLKREMAP_JOB_COMMIT and those below it */
	uint32_t reserved32; /**< 0 */
	uint64_t done; /**< bytes of the device that are done */
	uint64_t total; /**< bytes that there are to do; may grow */
	uint64_t bytes_per_s; /**< how fast it has been lately */
	uint64_t errors; /**< failures borne so far */
	int64_t eta_ns; /**< until it ends, if it goes on like this; -1: not known */
	char text[160]; /**< a sentence for people */
};

/**
 * Start a job.
 *
 * What it does to data depends on its kind; whatever a job has reported as done stays done after a crash, and the same
 * call afterwards goes on where it was.  A merge is started on the snapshot, whose handle goes on working, shows the
 * same data throughout, and afterwards reads and writes the origin; every step of it is durable before the next one
 * relies on it, and other snapshots of the origin are protected.  Does not block.
 *
 * @param[in] dev       The device; its handle cannot be closed while the job's handle is there.
 * @param kind          BLKREMAP_JOB_COMMIT and those below it.
 * @param[in] opts      Options, or NULL.
 * @param[out] ret_job  The job's handle; give it up by blkremap_job_free().
 * @return 0, or a negative errno.
 * @retval -EALREADY         The snapshot is being merged already.
 * @retval -EOPNOTSUPP       There is no such kind, or the device cannot do it; a merge: the snapshot is transient, or
 *                           longer than its base.
 * @retval -EIO              An earlier merge could not write its metadata: close all and open again, then go on.
 * @retval -EROFS            The device, or the origin of a merge, is open for reading only.
 * @retval -ENOTRECOVERABLE  The snapshot is invalid.
 * @par Thread safety
 * Any thread, but no callback.
 * @par Source
 * A merge: Linux device-mapper target "snapshot-merge"; unlike it, the merging snapshot can be read.
 * @since 0.1
 */
BLKREMAP_API int blkremap_job_start(struct blkremap_dev *dev, uint32_t kind, const struct blkremap_job_opts *opts,
				    struct blkremap_job **ret_job);

/**
 * Wait for a job to end.
 *
 * How it ended is in blkremap_job_status.result.  Changes no data by itself.  Blocks.
 *
 * @param[in] job     The job.
 * @param timeout_ns  At most so long; below 0: no limit.
 * @return 1 it has ended, 0 time is up, or a negative errno.
 * @retval -EDEADLK  Called from a callback.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_job_wait(struct blkremap_job *job, int64_t timeout_ns);

/**
 * Tell how far a job has come.
 *
 * Touches no data and does not block.
 *
 * @param[in] job         The job.
 * @param[in,out] status  Its @c size is set by the caller; the rest is filled.
 * @return 0, or a negative errno.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_job_status(struct blkremap_job *job, struct blkremap_job_status *status);

/**
 * Change the speed and the patience of a running job.
 *
 * Heeds bytes_per_s and iops, nothing else.  Touches no data and does not block.
 *
 * @param[in] job   The job.
 * @param[in] opts  The new limits.
 * @return 0, or a negative errno.
 * @retval -EOPNOTSUPP  Only a merge has limits.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_job_set(struct blkremap_job *job, const struct blkremap_job_opts *opts);

/**
 * Ask a job to pause.
 *
 * It begins nothing new; what it has begun it ends.  Without effect on one that has ended.  Returns at once.
 *
 * @param[in] job  The job.
 * @return 0, or a negative errno.
 * @retval -EOPNOTSUPP  Only a merge can pause.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_job_pause(struct blkremap_job *job);

/**
 * Let a paused job go on.
 *
 * Without effect on one that is not paused, or has ended.  Returns at once.
 *
 * @param[in] job  The job.
 * @return 0, or a negative errno.
 * @retval -EOPNOTSUPP  Only a merge can pause.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_job_resume(struct blkremap_job *job);

/**
 * Ask a job to stop.
 *
 * What is done stays done and is committed; then the job ends as canceled and BLKREMAP_EV_JOB_DONE tells so.  A later
 * job of the same kind goes on from there.  Returns at once.
 *
 * @param[in] job  The job.
 * @return 0, also when it has ended already; or a negative errno.
 * @par Thread safety
 * Any thread.
 * @since 0.1
 */
BLKREMAP_API int blkremap_job_cancel(struct blkremap_job *job);

/**
 * Give a job's handle up.
 *
 * A running job goes on until it ends or its device closes, which stops it as blkremap_job_cancel() does.  Touches no
 * data and does not block.
 *
 * @param[in] job  The handle, or NULL, which does nothing.
 * @par Thread safety
 * Any thread; no other call may be using this handle.
 * @since 0.1
 */
BLKREMAP_API void blkremap_job_free(struct blkremap_job *job);

/* ---- check, repair, dump, restore: need no open device; callbacks run in the calling thread ---------------------- */

/** Something that a check or a repair has found. */
struct blkremap_finding {
	uint32_t size; /**< sizeof this struct, set by the library */
	uint32_t severity; /**< 1 a note, 2 not closed cleanly or space lost, 3 corrupt */
	uint32_t code; /**< BLKREMAP_CODE_* */
	uint32_t reserved32; /**< 0 */
	uint64_t offset; /**< in the checked metadata or, for losses, in the device */
	uint64_t length; /**< bytes concerned; 0: not a range */
	const char *text; /**< a sentence; valid during the callback */
};

/** Told each finding.  May call nothing.  Not 0 stops the work, and is what the call then returns. */
typedef int (*blkremap_finding_fn)(void *opaque, const struct blkremap_finding *finding);
/** Takes @c len bytes of output.  May call nothing.  Not 0 stops the work, and is what the call then returns. */
typedef int (*blkremap_write_fn)(void *opaque, const void *data, size_t len);
/** Fills @c buf with at most @c len bytes of input.  May call nothing.  Bytes, 0 at the end, or a negative errno. */
typedef int64_t (*blkremap_read_fn)(void *opaque, void *buf, size_t len);

/**
 * Check the metadata of a device.
 *
 * Writes nothing.  Blocks.
 *
 * @param[in] ctx     The context.
 * @param[in] spec    As for blkremap_open(); it must not be open for writing elsewhere.
 * @param flags       0.
 * @param[in] fn      Told each finding; NULL: nobody.
 * @param[in] opaque  Handed to @p fn.
 * @return The worst severity found: 0 clean, 1 notes, 2 not closed cleanly, 3 corrupt; or a negative errno.
 * @retval -ENODATA  The device is blank.
 * @retval -EBUSY    It is open for writing elsewhere.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_check(struct blkremap_ctx *ctx, const char *spec, uint32_t flags, blkremap_finding_fn fn,
				void *opaque);

/**
 * Save what can be saved of damaged metadata, or of an invalid snapshot, into a new file.
 *
 * The damaged one is not written to.  Every loss is told as a finding.  After 0 or more the new one is durable.
 * Blocks.
 *
 * @param[in] ctx       The context.
 * @param[in] spec      What is damaged.
 * @param[in] out_spec  A blank device to write to; NULL: only tell what could be saved.
 * @param flags         BLKREMAP_FORCE: @p out_spec need not be blank; else 0.
 * @param[in] fn        Told each finding; NULL: nobody.
 * @param[in] opaque    Handed to @p fn.
 * @return The worst severity found: 3 when something was lost; or a negative errno.
 * @retval -EBADMSG  Nothing could be made of it.
 * @retval -EEXIST   @p out_spec is not blank.
 * @retval -ENOSPC   @p out_spec is too small.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_repair(struct blkremap_ctx *ctx, const char *spec, const char *out_spec, uint32_t flags,
				 blkremap_finding_fn fn, void *opaque);

/**
 * Write metadata out as text.
 *
 * Changes no data.  blkremap_restore() reads the text.  Blocks.
 *
 * @param[in] ctx     The context.
 * @param[in] spec    The device that holds the metadata.
 * @param[in] format  "text", or NULL for it.
 * @param[in] fn      Takes the text piece by piece.
 * @param[in] opaque  Handed to @p fn.
 * @return 0, a negative errno, or what @p fn returned.
 * @retval -EBADMSG     The metadata is damaged.
 * @retval -EOPNOTSUPP  Unknown format.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_dump(struct blkremap_ctx *ctx, const char *spec, const char *format, blkremap_write_fn fn,
			       void *opaque);

/**
 * Make metadata from a text that blkremap_dump() wrote.
 *
 * The text holds no data chunks: those must be in the device already.  After 0 the metadata is durable.  Blocks.
 *
 * @param[in] ctx     The context.
 * @param[in] spec    The device to write to.
 * @param[in] format  "text", or NULL for it.
 * @param flags       BLKREMAP_FORCE: overwrite metadata that is there; else 0.
 * @param[in] fn      Gives the text piece by piece.
 * @param[in] opaque  Handed to @p fn.
 * @return 0, a negative errno, or what @p fn returned.
 * @retval -EEXIST      There is metadata already.
 * @retval -EBADMSG     The text makes no sense; the sentence has the line.
 * @retval -EOPNOTSUPP  Unknown format.
 * @par Thread safety
 * Any thread, but no callback.
 * @since 0.1
 */
BLKREMAP_API int blkremap_restore(struct blkremap_ctx *ctx, const char *spec, const char *format, uint32_t flags,
				  blkremap_read_fn fn, void *opaque);

#ifdef __cplusplus
}
#endif

#endif /* BLKREMAP_JOB_H */
