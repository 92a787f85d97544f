/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The public face of the simulator.  One struct serves as explorer and as world: callbacks get one of their own, whose
 * root is the explorer's, because a verification runs while the scenario's call that led to it has not returned.
 */
#include "sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "sim/crash.h"
#include "sim/face.h"

enum { DEFAULT_SCHEDULES = 1000, DEFAULT_DEPTH = 2, DEFAULT_SAMPLE = 16, STEPS_GUESS = 40 };

struct blkremap_sim {
	/* of the explorer */
	struct blkremap_sim_opts opts;
	struct sim_crash crash;
	struct sim_sched sched;
	void (*hook)(struct sim_world *w);
	blkremap_sim_fn scenario, verify;
	void *opaque;
	/* of a world */
	struct blkremap_sim *root;
	struct sim_world *w;
	struct blkremap_ctx *ctx;
};

/* ---- one world --------------------------------------------------------------------------------------------------- */

static int run_in_world(struct sim_world *w, struct blkremap_sim *root, blkremap_sim_fn fn)
{
	struct blkremap_ctx_opts opts = { .size = sizeof(opts), .flags = BLKREMAP_CTX_NO_THREADS, .env = &w->env };
	struct blkremap_sim sim = { .root = root, .w = w };
	int r;

	w->api = &sim;
	r = blkremap_ctx_new(&opts, &sim.ctx);
	if (r < 0)
		return sim_fail(w, "no context: %s", blkremap_last_error());
	r = fn(&sim, root->opaque);
	sim_join(w);
	if (r)
		return sim_fail(w, "returned %d: %s", r, blkremap_last_error());
	r = blkremap_ctx_free(sim.ctx);
	return r < 0 ? sim_fail(w, "something was left open: %s", blkremap_last_error()) : 0;
}

static int run_scenario(struct sim_world *w, void *arg)
{
	struct blkremap_sim *root = arg;

	return run_in_world(w, root, root->scenario);
}

static int run_verify(struct sim_world *w, void *arg)
{
	struct blkremap_sim *root = arg;

	return run_in_world(w, root, root->verify);
}

/* ---- replay lines: "seed=N choices=LIST crash=P/S[,P/S...]" ------------------------------------------------------ */

static void print_replay(const struct blkremap_sim *sim, uint64_t seed, char *buf, size_t bytes)
{
	const struct sim_crash_path *path = &sim->crash.failure;
	char list[160];
	int n;

	if (!sim_sched_print(&sim->sched, list, sizeof(list)))
		snprintf(list, sizeof(list), "?");
	n = snprintf(buf, bytes, "strategy=%u seed=%llu choices=%s", sim->sched.strategy, (unsigned long long)seed,
		     list);
	for (uint32_t i = 0; i < path->n && n > 0 && (size_t)n < bytes; i++)
		n += snprintf(buf + n, bytes - (size_t)n, "%s%u/%u", i ? "," : " crash=", path->step[i].point,
			      path->step[i].state);
}

static void parse_path(const char *at, struct sim_crash_path *path)
{
	unsigned point, state;
	int n;

	for (; at && path->n < 4 && sscanf(at, "%u/%u%n", &point, &state, &n) == 2; at += n + (at[n] == ',')) {
		path->step[path->n].point = point;
		path->step[path->n++].state = state;
	}
}

static int parse_replay(struct blkremap_sim *sim, const char *text)
{
	const char *choices = strstr(text, "choices="), *crash = strstr(text, "crash=");
	unsigned long long seed;
	unsigned strategy;
	char list[160] = "";

	if (sscanf(text, "strategy=%u seed=%llu", &strategy, &seed) != 2 || !choices)
		return -EINVAL;
	sscanf(choices, "choices=%159[0-9.?]", list);
	sim->opts.seed = seed;
	sim->opts.max_schedules = 1;
	sim->crash.replaying = crash != NULL;
	parse_path(crash ? crash + 6 : NULL, &sim->crash.target);
	/* Chance repeats itself from its seed alone. */
	sim->sched.strategy = strategy;
	return strategy == SIM_EXHAUSTIVE ? sim_sched_parse(&sim->sched, list) : 0;
}

/* ---- explorers --------------------------------------------------------------------------------------------------- */

int blkremap_sim_new(const struct blkremap_sim_opts *opts, struct blkremap_sim **ret_sim)
{
	struct blkremap_sim_opts ours = { .size = sizeof(ours) };
	struct blkremap_sim *sim;
	int r = br_opts_read(&ours, sizeof(ours), opts);

	if (r < 0)
		return r;
	if (ours.flags || ours.strategy > BLKREMAP_SIM_RANDOM)
		return -EINVAL;
	sim = sim_alloc(sizeof(*sim));
	sim->opts = ours;
	sim->opts.max_schedules = ours.max_schedules ? ours.max_schedules : DEFAULT_SCHEDULES;
	sim_crash_init(&sim->crash);
	sim->hook = sim->crash.hub.crash;
	sim->crash.max_depth = ours.depth ? ours.depth : DEFAULT_DEPTH;
	sim->crash.sample = DEFAULT_SAMPLE;
	sim->crash.max_states = ours.max_crash_states;
	sim_sched_init(&sim->sched, ours.strategy);
	r = ours.replay ? parse_replay(sim, ours.replay) : 0;
	if (r < 0) {
		blkremap_sim_free(sim);
		return r;
	}
	*ret_sim = sim;
	return 0;
}

void blkremap_sim_free(struct blkremap_sim *sim)
{
	if (!sim)
		return;
	sim_sched_done(&sim->sched);
	sim_crash_done(&sim->crash);
	free(sim);
}

/* One schedule.  Returns its trace; a failure's text is in crash.text. */
static uint64_t play(struct blkremap_sim *sim, uint64_t seed, bool crashes)
{
	struct sim_crash *c = &sim->crash;
	struct sim_blobs_mark mark = sim_blobs_mark(&c->hub.blobs);
	struct sim_world *w = sim_world_new(&c->hub, NULL);
	uint64_t trace;

	c->hub.crash = crashes ? sim->hook : NULL;
	c->seed = seed;
	c->salt++;
	sim_sched_start(&sim->sched, seed, STEPS_GUESS);
	w->rng = seed;
	w->sched = &sim->sched;
	w->eager = sim->sched.strategy == SIM_EXHAUSTIVE;
	w->watch = true;
	if (sim_world_run(w, run_scenario, sim) < 0 && !c->text[0])
		snprintf(c->text, sizeof(c->text), "%s", w->text);
	trace = w->trace;
	sim_world_free(w);
	sim_blobs_release(&c->hub.blobs, mark);
	return trace;
}

static void one_schedule(struct blkremap_sim *sim, uint64_t seed, struct blkremap_sim_report *report)
{
	struct sim_crash *c = &sim->crash;
	uint64_t trace = play(sim, seed, false);

	report->schedules++;
	report->trace_hash = sim_mix(report->trace_hash ^ trace);
	if (c->text[0] || !sim->verify)
		return;
	if (play(sim, seed, true) != trace && !c->text[0])
		snprintf(c->text, sizeof(c->text),
			 "the same schedule left another trace: the scenario is not deterministic");
}

int blkremap_sim_explore(struct blkremap_sim *sim, blkremap_sim_fn scenario, blkremap_sim_fn verify, void *opaque,
			 struct blkremap_sim_report *report)
{
	struct blkremap_sim_report ours = { .size = sizeof(ours) };
	struct sim_crash *c = &sim->crash;
	uint64_t seed = sim->opts.seed;

	sim->scenario = scenario;
	sim->verify = verify;
	sim->opaque = opaque;
	c->verify = run_verify;
	c->arg = sim;
	for (;; seed++) {
		one_schedule(sim, seed, &ours);
		if (c->text[0] || ours.schedules >= sim->opts.max_schedules)
			break;
		if (sim->sched.strategy == SIM_EXHAUSTIVE && !sim_sched_next(&sim->sched))
			break;
	}
	ours.crash_points = c->points;
	ours.crash_states = c->states;
	ours.failures = c->text[0] != '\0';
	snprintf(ours.text, sizeof(ours.text), "%.255s", c->text);
	if (ours.failures)
		print_replay(sim, seed, ours.replay, sizeof(ours.replay));
	if (report)
		br_result_write(report, &ours, sizeof(ours));
	return (int)ours.failures;
}

/* ---- from callbacks ---------------------------------------------------------------------------------------------- */

struct blkremap_ctx *blkremap_sim_ctx(struct blkremap_sim *sim)
{
	return sim->ctx;
}

int blkremap_sim_disk(struct blkremap_sim *sim, const char *name, uint64_t bytes, uint32_t logical_block,
		      struct blkremap_dev **ret_dev)
{
	if ((logical_block != 512 && logical_block != 4096) || bytes % logical_block || strlen(name) >= SIM_DISK_NAME)
		return -EINVAL;
	return sim_face_disk(sim->w, sim->ctx, name, bytes, logical_block, ret_dev);
}

struct thread {
	blkremap_sim_fn fn;
	void *opaque;
};

static int run_thread(struct sim_world *w, void *arg)
{
	struct thread t = *(struct thread *)arg;

	free(arg);
	return t.fn(w->api, t.opaque);
}

int blkremap_sim_spawn(struct blkremap_sim *sim, blkremap_sim_fn task, void *opaque)
{
	struct thread *t = sim_alloc(sizeof(*t));
	int r;

	*t = (struct thread){ task, opaque };
	r = sim_spawn(sim->w, run_thread, t);
	if (r < 0)
		free(t);
	return r;
}

void blkremap_sim_join(struct blkremap_sim *sim)
{
	sim_join(sim->w);
}

void blkremap_sim_yield(struct blkremap_sim *sim)
{
	sim_yield(sim->w);
}

int blkremap_sim_rule(struct blkremap_sim *sim, const char *rule)
{
	return sim_rule_add(sim->w, rule);
}

int blkremap_sim_note(struct blkremap_sim *sim, uint64_t tag, uint64_t value)
{
	return sim_note(sim->w, tag, value);
}

int blkremap_sim_notes(struct blkremap_sim *sim, struct blkremap_sim_note *out, uint32_t max, uint32_t *ret_n)
{
	for (uint32_t i = 0; i < max && i < sim->w->nr_notes; i++)
		out[i] = (struct blkremap_sim_note){ sim->w->notes[i].tag, sim->w->notes[i].value };
	*ret_n = sim->w->nr_notes;
	return 0;
}

int blkremap_sim_fail(struct blkremap_sim *sim, const char *text)
{
	return sim_fail(sim->w, "%s", text);
}
