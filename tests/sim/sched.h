/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Schedulers: which of n things that could happen next does happen.
 *
 * Every choice is written down, so any run can be repeated from its list.  FIFO always takes the first.  EXHAUSTIVE is
 * a depth-first walk: each run follows the list as far as it goes and then takes the first; sim_sched_next() counts the
 * last choice that has an untried alternative up.  PCT gives everything that can happen a random priority and changes d
 * of them at random moments: a bug that needs d+1 ordering constraints is found with a probability that does not shrink
 * with the number of schedules, only with the length of one.
 */
#ifndef SIM_SCHED_H
#define SIM_SCHED_H

#include <stdbool.h>
#include <stdint.h>

enum { SIM_EXHAUSTIVE, SIM_PCT, SIM_RANDOM, SIM_FIFO };
enum { SIM_PCT_DEPTH = 3 };

struct sim_sched {
	uint32_t strategy;
	uint64_t rng;
	uint16_t *choice, *width;	/* of each moment so far, or (EXHAUSTIVE, replay) yet to come */
	uint32_t at, len, cap;
	uint32_t change_at[SIM_PCT_DEPTH];
};

void sim_sched_init(struct sim_sched *s, uint32_t strategy);
void sim_sched_done(struct sim_sched *s);
/* A new run.  @seed for PCT and RANDOM; @steps: about how long a run is. */
void sim_sched_start(struct sim_sched *s, uint64_t seed, uint32_t steps);
/* The next run of the walk; false: there is none. */
bool sim_sched_next(struct sim_sched *s);
/* The index of what happens.  @prio[i]: where the priority of the i-th is kept, 0 when it is new. */
uint32_t sim_sched_pick(struct sim_sched *s, uint32_t n, uint64_t *const *prio);
/* "0.2.1" without trailing zeroes; returns false if it does not fit.  And back: -EINVAL. */
bool sim_sched_print(const struct sim_sched *s, char *buf, uint32_t bytes);
int sim_sched_parse(struct sim_sched *s, const char *text);

uint64_t sim_random(uint64_t *state);

#endif /* SIM_SCHED_H */
