/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference model: what each sector of each volume may hold, told by the user's own calls alone.  It shares no code
 * with the library and knows nothing of chunks, stores or exceptions.
 *
 * A volume is an array of registers.  While nothing crashes a register is linearizable: a read returns the last
 * acknowledged write, or one that is still in flight, and what was read is not un-read.  After a crash it may hold w
 * unless a durable write came after w; durable: acknowledged with FUA, or before the submission of a flush that was
 * acknowledged.
 *
 * Views.  A snapshot's registers begin as what its origin's could hold at the point in time, and only writes through
 * the snapshot change them.  Merging keeps the snapshot's view as it is; when it is done the origin's is that view.
 *
 *	op = sim_model_write(m, vol, lba, n, buf);	buf is filled with stamps to be written
 *	r = blkremap_pwrite(...);
 *	sim_model_ack(m, op, r, fua);
 *	t = sim_model_now(m);
 *	r = blkremap_pread(...);
 *	verdict = sim_model_read(m, vol, lba, n, buf, t, &where);
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum { SIM_MAX_VOLS = 6, SIM_MODEL_WRITES = 6, SIM_MODEL_BASE = 6, SIM_MODEL_OPS = 64 };

enum sim_verdict {
	SIM_RIGHT, SIM_GARBAGE,	/* neither zeroes nor a whole stamp */
	SIM_FOREIGN,		/* belongs to another sector or volume */
	SIM_STALE,		/* older than what an acknowledged write or an earlier read has made certain */
	SIM_STALE_DURABLE,	/* after a crash: older than a durable write */
	SIM_FUTURE,		/* written by nobody yet */
	SIM_NOT_FROZEN		/* a snapshot shows what its origin was given after the point in time */
};

enum sim_vol_state { SIM_VOL_NONE, SIM_VOL_TAKING, SIM_VOL_LIVE, SIM_VOL_MERGING, SIM_VOL_MERGED, SIM_VOL_GONE };

struct sim_model;

struct sim_model *sim_model_new(void);
struct sim_model *sim_model_fork(const struct sim_model *m);
void sim_model_free(struct sim_model *m);
/* Everybody has forgotten everything but what is durable. */
void sim_model_crash(struct sim_model *m);

void sim_model_add(struct sim_model *m, uint32_t vol, uint64_t sectors);	/* zeroes */
enum sim_vol_state sim_model_state(const struct sim_model *m, uint32_t vol);
uint64_t sim_model_sectors(const struct sim_model *m, uint32_t vol);

/* Time: grows with each call that changes anything. */
uint32_t sim_model_now(struct sim_model *m);
uint32_t sim_model_write(struct sim_model *m, uint32_t vol, uint64_t lba, uint32_t n, void *buf);
void sim_model_ack(struct sim_model *m, uint32_t op, int result, bool fua);
uint32_t sim_model_flush(struct sim_model *m, uint32_t vol);
void sim_model_flush_ack(struct sim_model *m, uint32_t vol, uint32_t flush, int result);
/* @since: sim_model_now() before the read was submitted.  *ret_lba: the first sector that is wrong. */
enum sim_verdict sim_model_read(struct sim_model *m, uint32_t vol, uint64_t lba, uint32_t n, const void *buf,
				uint32_t since, uint64_t *ret_lba);
const char *sim_verdict_name(enum sim_verdict v);

/* A snapshot @vol of @origin: between the two calls its content is that of some moment between them. */
void sim_model_take(struct sim_model *m, uint32_t vol, uint32_t origin);
void sim_model_taken(struct sim_model *m, uint32_t vol, bool success);
/* After a crash in the middle of it: is it there? */
void sim_model_settle(struct sim_model *m, uint32_t vol, bool exists);
/* From here on only the snapshot's view counts; when merged, it is the origin's. */
void sim_model_merge(struct sim_model *m, uint32_t vol);
void sim_model_merged(struct sim_model *m, uint32_t vol);
void sim_model_gone(struct sim_model *m, uint32_t vol);
/* Reads may fail from now on, and the snapshot may be found invalid; what is read must be right all the same. */
void sim_model_may_fail(struct sim_model *m, uint32_t vol);
bool sim_model_can_fail(const struct sim_model *m, uint32_t vol);

#endif /* SIM_MODEL_H */
