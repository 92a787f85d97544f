/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The crash explorer: whenever an unstable set changes, or the user is promised more, which images could a crash leave,
 * and does a recovery of each keep all promises?
 *
 * Candidates of a block are its stable content and that of each unstable write that covers it.  If the product over all
 * blocks is small, every combination is an image; else a structured set of them: nothing and everything, a device alone
 * lost or alone kept, one write dropped or alone kept, pairs, torn writes, prefixes in order of completion, and chance.
 * An image that was verified under the same promises is not looked at again.
 *
 * Verification is the scenario's: a task in a fresh world (FIFO schedule) whose disks are the image.  On a sample it is
 * itself explored, so that crashes during recovery, and crash -> commit -> crash, are covered.
 */
#ifndef SIM_CRASH_H
#define SIM_CRASH_H

#include "sim/world.h"

enum { SIM_CRASH_ALL = 4096 };	/* products up to this are enumerated completely */

/* Where a failure lies: crash point and image, for each world of the chain. */
struct sim_crash_path {
	uint32_t n;
	struct {
		uint32_t point, state;
	} step[4];
};

struct sim_crash {
	struct sim_hub hub;		/* first; hub.opaque is this */
	/* what to do */
	sim_task_fn verify;
	void *arg;
	void *(*fork)(void *user);	/* the model, for the world after the crash; NULL: shared */
	void (*release)(void *user);
	uint32_t max_depth;		/* 0: no crashes */
	uint32_t point_states;		/* at most so many images of a point; 0: SIM_CRASH_ALL */
	uint32_t one_in;		/* look at one crash point of so many, chosen by chance; 0: at all */
	uint64_t seed;			/* of that chance, and of the images' */
	uint32_t sample;		/* one image of so many is explored deeper */
	uint64_t max_states;		/* in all; 0: no limit */
	uint64_t deadline_ns;		/* of the real clock; 0: none */
	bool replaying;			/* look at @target alone */
	struct sim_crash_path target;
	/* what was found */
	uint64_t points, states, duplicates, deeper;
	struct sim_crash_path failure;
	char text[320];
	/* verified: hash of image and promises */
	uint64_t *seen;
	uint64_t seen_size, seen_used;
	uint64_t salt;			/* of this schedule: what was seen in others does not count */
};

void sim_crash_init(struct sim_crash *c);
void sim_crash_done(struct sim_crash *c);
bool sim_crash_expired(const struct sim_crash *c);	/* time or states are used up */
uint64_t sim_real_ns(void);

#endif /* SIM_CRASH_H */
