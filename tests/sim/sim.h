/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief libblkremap-sim: run your own code and the library's under every order of events and every crash.
 *
 * A scenario is plain blocking code against the public API.  It runs in a simulated world: disks that forget what they
 * may forget, a clock of its own, and tasks that change over wherever the library would wait.  The explorer runs it
 * under many schedules, and whenever the disks' unstable content changes it runs @c verify in a fresh world for each
 * image that a power cut could leave.
 * @code
 *	struct blkremap_sim_report report = { .size = sizeof(report) };
 *	blkremap_sim_new(NULL, &sim);
 *	if (blkremap_sim_explore(sim, scenario, verify, NULL, &report) > 0)
 *		printf("%s\nreplay: %s\n", report.text, report.replay);
 *	blkremap_sim_free(sim);
 * @endcode
 * Rules of the public face apply: struct sizes, results, ret_x last.  One thread; nothing here is called from
 * elsewhere.
 */
#ifndef BLKREMAP_SIM_H
#define BLKREMAP_SIM_H

#include <blkremap/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct blkremap_dev;
/** An explorer; in callbacks: the world that the callback runs in. */
struct blkremap_sim;

/** Values of blkremap_sim_opts.strategy: which schedules are run. */
enum {
	BLKREMAP_SIM_EXHAUSTIVE, /**< all, one after another, until max_schedules */
	BLKREMAP_SIM_PCT, /**< by random priorities that change a few times: finds bugs of small depth */
	BLKREMAP_SIM_RANDOM /**< by chance */
};

/** Options of blkremap_sim_new(). */
struct blkremap_sim_opts {
	uint32_t size; /**< sizeof this struct */
	uint32_t flags; /**< 0 */
	uint64_t seed; /**< of PCT and RANDOM; the n-th schedule uses seed + n */
	uint64_t max_schedules; /**< 0: 1000 */
	uint64_t max_crash_states; /**< images verified, in all; 0: no limit */
	uint32_t strategy; /**< BLKREMAP_SIM_EXHAUSTIVE and those below it */
	uint32_t depth; /**< how often verification itself may crash; 0: 2 */
	const char *replay; /**< a report's line: run that alone; borrowed until blkremap_sim_free() */
};

/** A mark that a scenario has put into the history. */
struct blkremap_sim_note {
	uint64_t tag; /**< the scenario's */
	uint64_t value; /**< the scenario's */
};

/** What an exploration has found. */
struct blkremap_sim_report {
	uint32_t size; /**< sizeof this struct, set by the caller */
	uint32_t failures; /**< 0 or 1: exploring ends with the first */
	uint64_t schedules; /**< run */
	uint64_t crash_points; /**< moments at which images were made */
	uint64_t crash_states; /**< images that were verified */
	uint64_t trace_hash; /**< of all events of all schedules: equal options, equal hash */
	char text[256]; /**< the failure */
	char replay[256]; /**< what to pass as blkremap_sim_opts.replay */
};

/** Make an explorer.  @return 0, -EINVAL, -E2BIG. */
BLKREMAP_API int blkremap_sim_new(const struct blkremap_sim_opts *opts, struct blkremap_sim **ret_sim);
/** Give an explorer up.  NULL is fine. */
BLKREMAP_API void blkremap_sim_free(struct blkremap_sim *sim);

/** Called often, each time in a fresh world.  Not 0 is a failure. */
typedef int (*blkremap_sim_fn)(struct blkremap_sim *sim, void *opaque);

/**
 * Run @p scenario under schedules, and @p verify (or NULL) on each crash image.
 * @return failures found, or a negative errno.
 */
BLKREMAP_API int blkremap_sim_explore(struct blkremap_sim *sim, blkremap_sim_fn scenario, blkremap_sim_fn verify,
				      void *opaque, struct blkremap_sim_report *report);

/* ---- from scenario and verify only ------------------------------------------------------------------------------- */

/** This world's context; borrowed.  Close what you open of it: what is left open is a failure. */
BLKREMAP_API struct blkremap_ctx *blkremap_sim_ctx(struct blkremap_sim *sim);
/*
 * Open a disk by name: in the scenario it is made, of zeroes, at first use; in verify it is as the crash has left it.
 */
BLKREMAP_API int blkremap_sim_disk(struct blkremap_sim *sim, const char *name, uint64_t bytes, uint32_t logical_block,
				   struct blkremap_dev **ret_dev);
/** One more cooperative thread of this world.  -EAGAIN: there are 16 already. */
BLKREMAP_API int blkremap_sim_spawn(struct blkremap_sim *sim, blkremap_sim_fn task, void *opaque);
/** Wait until all others of this world's threads have returned. */
BLKREMAP_API void blkremap_sim_join(struct blkremap_sim *sim);
/** A moment at which anything else may happen first; waiting calls of the library are such moments by themselves. */
BLKREMAP_API void blkremap_sim_yield(struct blkremap_sim *sim);
/** "disk=log op=FLUSH nth=3 once EIO": from now on, in this world.  -EINVAL, -ENOSPC. */
BLKREMAP_API int blkremap_sim_rule(struct blkremap_sim *sim, const char *rule);
/** Put a mark into the history: "the user has been told X".  In verify: the marks made before this crash, in order. */
BLKREMAP_API int blkremap_sim_note(struct blkremap_sim *sim, uint64_t tag, uint64_t value);
/** Copy the marks made so far: at most @p max, and how many there are. */
BLKREMAP_API int blkremap_sim_notes(struct blkremap_sim *sim, struct blkremap_sim_note *out, uint32_t max,
				    uint32_t *ret_n);
/** Record a failure; the first one counts.  @return -EPROTO. */
BLKREMAP_API int blkremap_sim_fail(struct blkremap_sim *sim, const char *text);

#ifdef __cplusplus
}
#endif

#endif /* BLKREMAP_SIM_H */
