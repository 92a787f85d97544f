/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A simulated world: one virtual clock, some disks, some cooperative tasks that use the library, and nothing else.
 *
 * Everything that happens is one event: a request of a disk completes, a task goes on, time passes.  Whichever task
 * waits (the library's env->idle()) runs the scheduler, which picks events until it picks a task.  So a run is a list
 * of small numbers, and the same list gives the same run to the last bit.
 *
 *	w = sim_world_new(hub, NULL);
 *	r = sim_world_run(w, scenario, arg);	0, or w->text says what went wrong
 *	sim_world_free(w);
 *
 * Worlds nest: when an unstable set changes the hub's crash hook may build a child world from a crash image and run a
 * recovery in it before the parent's event is over.  Children use the same hub (memory of blobs, stacks, figures).
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/list.h"
#include "sim/blob.h"
#include "sim/disk.h"
#include "sim/fiber.h"
#include "sim/rule.h"
#include "sim/sched.h"

struct sim_world;

enum { SIM_MAX_TASKS = 16, SIM_MAX_RULES = 8, SIM_MAX_BELLS = 64, SIM_MAX_NOTES = 256 };
enum { SIM_STEP_NS = 1000, SIM_MAX_STEPS = 400000, SIM_MAX_TICKS = 20000 };

typedef int (*sim_task_fn)(struct sim_world *w, void *arg);

/* What all worlds of one exploration share. */
struct sim_hub {
	struct sim_blobs blobs;
	struct sim_stack *stacks;
	bool verbose;			/* print each event */
	bool stop;			/* a failure was found, or time is up: worlds end early */
	void (*crash)(struct sim_world *w);	/* an unstable set of @w has changed; NULL: nobody cares */
	void *opaque;
};

enum { SIM_TASK_READY = 1, SIM_TASK_WAITS, SIM_TASK_JOINS, SIM_TASK_DONE };

struct sim_task {
	struct sim_world *world;
	struct sim_fiber fiber;
	sim_task_fn fn;
	void *arg;
	int state;
	/* world's changes when it began to wait: without more there is no use in looking */
	uint64_t seen;
	uint64_t deadline_ns;
	uint64_t last_run, prio;
};

struct sim_note {
	uint64_t tag, value;
};

struct sim_world {
	struct blkremap_env env;	/* first */
	struct sim_hub *hub;
	struct sim_world *parent;
	uint32_t depth;			/* crashes before this world began */
	/* env */
	uint64_t now_ns, rng;
	struct br_list memory;
	uint64_t allocs, live_allocs, fail_alloc;	/* fail_alloc: the one that fails, 0 none */
	bool fail_all;			/* and all after it */
	bool bells[SIM_MAX_BELLS];
	/* what exists */
	struct sim_disk *disks[SIM_MAX_DISKS];
	uint32_t nr_disks;
	struct sim_rule rules[SIM_MAX_RULES];
	uint32_t nr_rules;
	struct sim_disk_kind kind;	/* of disks made from now on */
	struct br_list ops;		/* struct sim_op.link: in flight, by submission */
	struct br_list all_ops;		/* struct sim_op.all_link: these, and the completed that nobody has polled */
	uint64_t nr_ops;
	/* what happens */
	struct sim_task tasks[SIM_MAX_TASKS];
	uint32_t nr_tasks;
	struct sim_task *current;
	struct sim_fiber caller;
	struct sim_sched *sched;	/* NULL: FIFO */
	bool eager;			/* a task that has something to look at does so at once: no choice */
	uint64_t changes, steps, ticks;
	uint64_t trace;			/* hash of all events so far */
	/* crashes */
	bool watch;			/* crash points count */
	uint32_t crashes;		/* points so far */
	uint64_t epoch;			/* grows when the user is promised more: old verdicts on images are void */
	struct sim_note notes[SIM_MAX_NOTES];
	uint32_t nr_notes;
	void *user;			/* the scenario's: its model of what must be */
	void *api;			/* the public face's */
	/* the end */
	bool failed;
	char text[256];
};

struct sim_world *sim_world_new(struct sim_hub *hub, struct sim_world *parent);
void sim_world_free(struct sim_world *w);
void sim_hub_init(struct sim_hub *hub);
void sim_hub_done(struct sim_hub *hub);

/*
 * Run @fn as the first task until all tasks are done.  0, or -EPROTO: failed, see text; -ECANCELED: the hub said stop.
 */
int sim_world_run(struct sim_world *w, sim_task_fn fn, void *arg);
/* The first failure counts.  Returns -EPROTO. */
int sim_fail(struct sim_world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for places that cannot go on: the running task is abandoned, and this does not return. */
void sim_abandon(struct sim_world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

/* From tasks. */
int sim_spawn(struct sim_world *w, sim_task_fn fn, void *arg);
void sim_yield(struct sim_world *w);	/* a moment at which something else may happen first */
void sim_join(struct sim_world *w);	/* until all other tasks are done */
void sim_wait(struct sim_world *w, uint64_t deadline_ns);	/* until something has changed */
void sim_tighten(struct sim_world *w);	/* the user was promised more just now: a crash point */
int sim_note(struct sim_world *w, uint64_t tag, uint64_t value);
int sim_rule_add(struct sim_world *w, const char *text);

/* Of the simulator itself. */
extern const struct br_env_ops sim_env_ops;
void sim_env_done(struct sim_world *w);
uint32_t sim_env_open_bells(const struct sim_world *w);
void sim_changed(struct sim_world *w);	/* waiting tasks have a reason to look again */
void sim_trace(struct sim_world *w, const char *what, uint64_t a, uint64_t b, uint64_t c);
struct sim_disk *sim_world_disk(struct sim_world *w, const char *name);

#endif /* SIM_WORLD_H */
