/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Run the stories of the snapshot family under the simulator.
 *
 *	sim-snapshot [--story NAME] [--seed N] [--schedules N] [--budget SECONDS] [--strategy dfs|pct|random]
 *		     [--all N] [--states N] [--every] [--mutant NAME] [--replay TEXT] [--calm] [--verbose]
 *
 * One line a story: what was done, and the hash of all traces.  Exit status 1 and a line to replay when a promise is
 * broken.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mutant.h"
#include "sim/crash.h"
#include "sim/story.h"

struct options {
	const char *story, *replay;
	uint64_t seed, schedules, all;	/* all: at most so many when all are wanted; 0: no limit */
	double budget;			/* seconds a story */
	bool every;			/* crash at every point of the schedules, not at a share of them */
	uint32_t states;		/* of one crash point */
	int strategy;			/* -1: the story's own */
	bool verbose, calm;		/* calm: no crashes */
};

struct figures {
	uint64_t schedules, steps, hash;
	bool exhausted;
};

enum {
	SCHEDULE_STATES = 2000,		/* images of one schedule, about */
	CRASHES_IN = 15,		/* odd, so that both strategies get their share */
	SCHEDULE_SECONDS = 300,		/* without an end by then it is a failure */
};

static void *fork_model(void *m)
{
	return sim_model_fork(m);
}

static void free_model(void *m)
{
	sim_model_free(m);
}

/* ---- one schedule ------------------------------------------------------------------------------------------------ */

/* What is being run: a story, the explorer, the scheduler. */
struct run {
	const struct story_plan *plan;
	const struct options *options;
	struct sim_crash crash;
	struct sim_sched sched;
	uint64_t seed;
	bool eager;
	void (*explore)(struct sim_world *w);
	struct figures f;
};

static struct sim_world *new_world(struct run *run)
{
	struct sim_world *w = sim_world_new(&run->crash.hub, NULL);

	w->rng = run->seed;
	w->sched = &run->sched;
	w->eager = run->eager;
	w->user = sim_model_new();
	return w;
}

static void keep_text(struct run *run, int r, const struct sim_world *w)
{
	if (r < 0 && !run->crash.text[0])
		snprintf(run->crash.text, sizeof(run->crash.text), "%s", w->text);
}

/* One run of the schedule from its beginning.  Returns its trace. */
static uint64_t play(struct run *run, void (*crash)(struct sim_world *w), uint32_t *ret_points)
{
	struct sim_crash *c = &run->crash;
	struct sim_blobs_mark mark = sim_blobs_mark(&c->hub.blobs);
	struct sim_world *w;
	uint64_t trace;
	int r;

	alarm(SCHEDULE_SECONDS);
	sim_sched_start(&run->sched, run->seed, 40);
	c->hub.crash = crash;
	w = new_world(run);
	r = sim_world_run(w, story_tell, (void *)(uintptr_t)run->plan);
	trace = w->trace;
	keep_text(run, r, w);
	run->f.steps += w->steps;
	*ret_points = w->crashes;
	sim_model_free(w->user);
	sim_world_free(w);
	sim_blobs_release(&c->hub.blobs, mark);
	return trace;
}

/* Busy for ever inside the library: no step bound of the scheduler sees that. */
static void on_alarm(int signal)
{
	static const char text[] = "FAILED: a schedule does not come to an end\n";

	(void)signal;
	_exit(write(STDOUT_FILENO, text, sizeof(text) - 1) > 0 ? 1 : 3);
}

static void count_point(struct sim_world *w)
{
	w->crashes++;
}

/*
 * A schedule is rehearsed without crashes: does it go wrong by itself, how many crash points has it?  Then it is run
 * again with them; the visits to other worlds must not change it.
 */
static void one_schedule(struct run *run, bool crashes)
{
	struct sim_crash *c = &run->crash;
	uint32_t points, again;
	uint64_t trace = play(run, count_point, &points);

	run->f.schedules++;
	run->f.hash = sim_mix(run->f.hash ^ trace);
	if (c->text[0] || !crashes)
		return;
	c->salt++;
	c->seed = run->seed;
	c->one_in = run->options->every ? 1 : 1 + points * run->options->states / SCHEDULE_STATES;
	if (play(run, run->explore, &again) != trace && !c->text[0] && !c->hub.stop)
		snprintf(c->text, sizeof(c->text), "the same schedule left another trace");
}

/* ---- one story --------------------------------------------------------------------------------------------------- */

static void print_path(const struct sim_crash_path *path)
{
	printf(" crash=");
	for (uint32_t i = 0; i < path->n; i++)
		printf("%s%u/%u", i ? "," : "", path->step[i].point, path->step[i].state);
}

static void tell_failure(const struct run *run)
{
	char list[2048];

	printf("FAILED %s: %s\nreplay: %s seed=%llu mode=%s states=%u choices=%s", run->plan->name, run->crash.text,
	       run->plan->name, (unsigned long long)run->seed, run->eager ? "eager" : "full", run->options->states,
	       sim_sched_print(&run->sched, list, sizeof(list)) ? list : "?");
	if (run->crash.failure.n)
		print_path(&run->crash.failure);
	printf("\n");
}

static void tell_figures(const struct run *run, double seconds)
{
	const struct figures *f = &run->f;
	const struct sim_crash *c = &run->crash;

	printf("%-14s seed=%llu states=%llu schedules=%llu%s hash=%016llx "
	       "points=%llu deeper=%llu steps=%llu rate=%.0f/s\n",
	       run->plan->name, (unsigned long long)run->options->seed, (unsigned long long)c->states,
	       (unsigned long long)f->schedules, f->exhausted ? " (all)" : "", (unsigned long long)f->hash,
	       (unsigned long long)c->points, (unsigned long long)c->deeper, (unsigned long long)f->steps,
	       seconds > 0 ? (double)c->states / seconds : 0.0);
	fflush(stdout);
}

static void set_up(struct run *run, const struct story_plan *p, const struct options *o)
{
	struct sim_crash *c = &run->crash;

	memset(run, 0, sizeof(*run));
	run->plan = p;
	run->options = o;
	run->seed = o->seed;
	sim_crash_init(c);
	run->explore = c->hub.crash;
	c->hub.verbose = o->verbose;
	c->verify = story_verify;
	c->arg = (void *)(uintptr_t)p;
	c->fork = fork_model;
	c->release = free_model;
	c->max_depth = 2;
	c->sample = 16;
	c->point_states = o->states;
}

static void tear_down(struct run *run)
{
	sim_sched_done(&run->sched);
	sim_crash_done(&run->crash);
}

static bool time_is_up(const struct run *run)
{
	return run->crash.deadline_ns && sim_real_ns() > run->crash.deadline_ns;
}

/* All schedules, tasks going on as soon as they can, no crashes: for stories that are small enough. */
static void run_all(struct run *run)
{
	const struct options *o = run->options;
	bool more;

	run->eager = true;
	sim_sched_init(&run->sched, SIM_EXHAUSTIVE);
	do {
		one_schedule(run, false);
		more = !run->crash.text[0] && sim_sched_next(&run->sched);
	} while (more && !time_is_up(run) && (!o->all || run->f.schedules < o->all));
	run->f.exhausted = !more;
}

/* Schedules by chance, the two strategies in turn; one of so many with crashes, which cost a thousand times as much. */
static void run_some(struct run *run)
{
	const struct options *o = run->options;
	uint64_t n = 0;

	run->eager = false;
	for (;;) {
		uint32_t strategy = o->strategy >= 0 ? (uint32_t)o->strategy : n & 1 ? SIM_PCT : SIM_RANDOM;

		sim_sched_done(&run->sched);
		sim_sched_init(&run->sched, strategy);
		run->seed = o->seed + n;
		one_schedule(run, n++ % CRASHES_IN == 0 && !run->plan->no_crashes && !o->calm);
		if (run->crash.text[0] || time_is_up(run) || (o->schedules && n >= o->schedules))
			return;
	}
}

static int run_story(const struct story_plan *p, const struct options *o)
{
	uint64_t begun = sim_real_ns();
	struct run run;
	int r;

	set_up(&run, p, o);
	if (p->exhaustive) {
		if (o->budget > 0)
			run.crash.deadline_ns = begun + (uint64_t)(o->budget * 5e8);
		run_all(&run);
	}
	if (o->budget > 0)
		run.crash.deadline_ns = begun + (uint64_t)(o->budget * 1e9);
	if (!run.crash.text[0])
		run_some(&run);
	tell_figures(&run, (double)(sim_real_ns() - begun) / 1e9);
	r = run.crash.text[0] ? 1 : 0;
	if (r)
		tell_failure(&run);
	tear_down(&run);
	return r;
}

/* ---- replay: "NAME seed=N mode=MODE states=N choices=LIST [crash=P/S[,P/S...]]" ---------------------------------- */

static void parse_path(const char *text, struct sim_crash_path *path)
{
	unsigned point, state;
	int n;

	while (path->n < 4 && sscanf(text, "%u/%u%n", &point, &state, &n) == 2) {
		path->step[path->n].point = point;
		path->step[path->n++].state = state;
		text += n + (text[n] == ',');
	}
}

static const struct story_plan *find_plan(const char *name)
{
	for (uint32_t i = 0; i < nr_story_plans; i++)
		if (strcmp(story_plans[i].name, name) == 0)
			return &story_plans[i];
	fprintf(stderr, "no story is named '%s'\n", name);
	exit(2);
}

/* Copy the word that follows @key, up to a blank. */
static const char *value_of(const char *text, const char *key, char *buf, size_t bytes)
{
	const char *at = strstr(text, key);
	size_t n = at ? strcspn(at + strlen(key), " \n") : 0;

	n = n < bytes ? n : bytes - 1;
	if (at)
		memcpy(buf, at + strlen(key), n);
	buf[n] = '\0';
	return buf;
}

static int replay(struct options *o)
{
	char name[32] = "", word[2048];
	struct run run;
	uint32_t points;
	int r;

	sscanf(o->replay, "%31s", name);
	o->seed = strtoull(value_of(o->replay, "seed=", word, sizeof(word)), NULL, 0);
	o->states = (uint32_t)strtoul(value_of(o->replay, "states=", word, sizeof(word)), NULL, 0);
	set_up(&run, find_plan(name), o);
	run.eager = strstr(o->replay, "mode=eager") != NULL;
	run.crash.replaying = true;
	run.crash.seed = o->seed;
	parse_path(value_of(o->replay, "crash=", word, sizeof(word)), &run.crash.target);
	sim_sched_init(&run.sched, SIM_EXHAUSTIVE);
	sim_sched_parse(&run.sched, value_of(o->replay, "choices=", word, sizeof(word)));
	play(&run, run.crash.target.n ? run.explore : count_point, &points);
	printf("%s\n", run.crash.text[0] ? run.crash.text : "nothing is wrong");
	r = run.crash.text[0] ? 1 : 0;
	tear_down(&run);
	return r;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static int parse_strategy(const char *text)
{
	return strcmp(text, "dfs") == 0 ? SIM_EXHAUSTIVE : strcmp(text, "pct") == 0 ? SIM_PCT : SIM_RANDOM;
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "story", 1, NULL, 't' }, { "seed", 1, NULL, 's' }, { "schedules", 1, NULL, 'n' },
		{ "budget", 1, NULL, 'b' },
		{ "all", 1, NULL, 'a' }, { "strategy", 1, NULL, 'y' }, { "states", 1, NULL, 'c' },
		{ "mutant", 1, NULL, 'm' }, { "replay", 1, NULL, 'r' },
		{ "calm", 0, NULL, 'q' }, { "every", 0, NULL, 'e' }, { "verbose", 0, NULL, 'v' }, { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 't': o->story = optarg; break;
		case 's': o->seed = strtoull(optarg, NULL, 0); break;
		case 'n': o->schedules = strtoull(optarg, NULL, 0); break;
		case 'b': o->budget = strtod(optarg, NULL); break;
		case 'y': o->strategy = parse_strategy(optarg); break;
		case 'a': o->all = strtoull(optarg, NULL, 0); break;
		case 'c': o->states = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 'm': br_mutant = optarg; break;
		case 'r': o->replay = optarg; break;
		case 'q': o->calm = true; break;
		case 'e': o->every = true; break;
		case 'v': o->verbose = true; break;
		default: exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct options o = { .seed = 1, .schedules = 20, .states = 256, .strategy = -1 };
	int r = 0;

	parse(argc, argv, &o);
	signal(SIGALRM, on_alarm);
	if (o.replay)
		return replay(&o);
	for (uint32_t i = 0; i < nr_story_plans; i++)
		if (o.story ? strcmp(o.story, story_plans[i].name) == 0 : !story_plans[i].must_fail)
			r |= run_story(&story_plans[i], &o);
	return r;
}
