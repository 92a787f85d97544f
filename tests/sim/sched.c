/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/sched.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/blob.h"

uint64_t sim_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15u;
	return sim_mix(*state);
}

void sim_sched_init(struct sim_sched *s, uint32_t strategy)
{
	memset(s, 0, sizeof(*s));
	s->strategy = strategy;
}

void sim_sched_done(struct sim_sched *s)
{
	free(s->choice);
	free(s->width);
}

void sim_sched_start(struct sim_sched *s, uint64_t seed, uint32_t steps)
{
	s->rng = sim_mix(seed ^ 0x7363686564u);
	s->at = 0;
	if (s->strategy == SIM_PCT || s->strategy == SIM_RANDOM)
		s->len = 0;
	for (uint32_t i = 0; i < SIM_PCT_DEPTH; i++)
		s->change_at[i] = (uint32_t)(sim_random(&s->rng) % (steps ? steps : 64));
}

bool sim_sched_next(struct sim_sched *s)
{
	while (s->len && s->choice[s->len - 1] + 1 >= s->width[s->len - 1])
		s->len--;
	if (!s->len)
		return false;
	s->choice[s->len - 1]++;
	return true;
}

static void note_choice(struct sim_sched *s, uint32_t chosen, uint32_t n)
{
	if (s->at == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 256;
		s->choice = sim_realloc(s->choice, s->cap * sizeof(*s->choice));
		s->width = sim_realloc(s->width, s->cap * sizeof(*s->width));
	}
	s->choice[s->at] = (uint16_t)chosen;
	s->width[s->at++] = (uint16_t)n;
	if (s->at > s->len)
		s->len = s->at;
}

static bool changes_now(const struct sim_sched *s)
{
	for (uint32_t i = 0; i < SIM_PCT_DEPTH; i++)
		if (s->change_at[i] == s->at)
			return true;
	return false;
}

static uint32_t highest(uint32_t n, uint64_t *const *prio)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < n; i++)
		if (*prio[i] > *prio[best])
			best = i;
	return best;
}

/* Priorities of the new lie above 2^32; the demoted get a small one, later ones a smaller. */
static uint32_t pick_pct(struct sim_sched *s, uint32_t n, uint64_t *const *prio)
{
	for (uint32_t i = 0; i < n; i++)
		if (!*prio[i])
			*prio[i] = sim_random(&s->rng) | 1ull << 33;
	if (changes_now(s))
		*prio[highest(n, prio)] = UINT32_MAX - s->at;
	return highest(n, prio);
}

uint32_t sim_sched_pick(struct sim_sched *s, uint32_t n, uint64_t *const *prio)
{
	uint32_t chosen = 0;

	if (n < 2)
		return 0;
	if (s->strategy == SIM_RANDOM)
		chosen = (uint32_t)(sim_random(&s->rng) % n);
	else if (s->strategy == SIM_PCT)
		chosen = pick_pct(s, n, prio);
	else if (s->strategy == SIM_EXHAUSTIVE && s->at < s->len)
		chosen = s->choice[s->at] < n ? s->choice[s->at] : 0;
	note_choice(s, chosen, n);
	return chosen;
}

bool sim_sched_print(const struct sim_sched *s, char *buf, uint32_t bytes)
{
	uint32_t len = s->at, used = 0;

	while (len && !s->choice[len - 1])
		len--;
	buf[0] = '\0';
	for (uint32_t i = 0; i < len; i++) {
		int n = snprintf(buf + used, bytes - used, "%s%u", i ? "." : "", s->choice[i]);

		if (n < 0 || (uint32_t)n >= bytes - used)
			return false;
		used += (uint32_t)n;
	}
	return true;
}

int sim_sched_parse(struct sim_sched *s, const char *text)
{
	char *end;

	s->at = s->len = 0;
	while (*text) {
		unsigned long n = strtoul(text, &end, 10);

		if (end == text || n > UINT16_MAX)
			return -EINVAL;
		note_choice(s, (uint32_t)n, (uint32_t)n + 1);
		text = *end == '.' ? end + 1 : end;
	}
	s->at = 0;
	return 0;
}
