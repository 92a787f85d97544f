/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/world.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simdev.h"

/* ---- life -------------------------------------------------------------------------------------------------------- */

void sim_hub_init(struct sim_hub *hub)
{
	/*
	 * Worlds come and go by the thousand: keep the heap, but give pools of buffers fresh pages, most of which stay
	 * untouched.
	 */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	memset(hub, 0, sizeof(*hub));
	sim_blobs_init(&hub->blobs);
}

void sim_hub_done(struct sim_hub *hub)
{
	sim_stacks_free(&hub->stacks);
	sim_blobs_done(&hub->blobs);
}

struct sim_world *sim_world_new(struct sim_hub *hub, struct sim_world *parent)
{
	struct sim_world *w = sim_alloc(sizeof(*w));

	w->env.ops = &sim_env_ops;
	w->hub = hub;
	w->parent = parent;
	w->depth = parent ? parent->depth + 1 : 0;
	w->rng = 1;
	w->now_ns = SIM_STEP_NS;
	br_list_init(&w->memory);
	br_list_init(&w->ops);
	br_list_init(&w->all_ops);
	if (parent) {
		memcpy(w->notes, parent->notes, parent->nr_notes * sizeof(w->notes[0]));
		w->nr_notes = parent->nr_notes;
	}
	return w;
}

void sim_world_free(struct sim_world *w)
{
	while (!br_list_empty(&w->all_ops))
		sim_op_free(br_container_of(w->all_ops.next, struct sim_op, all_link));
	for (uint32_t i = 0; i < w->nr_tasks; i++)
		sim_fiber_free(&w->tasks[i].fiber, &w->hub->stacks);
	for (uint32_t i = 0; i < w->nr_disks; i++)
		sim_disk_free(w->disks[i]);
	sim_env_done(w);
	free(w);
}

struct sim_disk *sim_world_disk(struct sim_world *w, const char *name)
{
	for (uint32_t i = 0; i < w->nr_disks; i++)
		if (strcmp(w->disks[i]->name, name) == 0)
			return w->disks[i];
	return NULL;
}

/* ---- trace and failure ------------------------------------------------------------------------------------------- */

void sim_trace(struct sim_world *w, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
	w->trace = sim_mix(w->trace ^ sim_mix(a) ^ sim_mix(b + 1) * 3 ^ sim_mix(c + 2) * 5);
	if (w->hub->verbose && what)
		fprintf(stderr, "%*s%6llu %-8s %llx %llu+%llu\n", (int)w->depth * 4, "", (unsigned long long)w->steps,
			what, (unsigned long long)a, (unsigned long long)b, (unsigned long long)c);
}

__attribute__((format(printf, 2, 0))) static void record_failure(struct sim_world *w, const char *fmt, va_list ap)
{
	if (w->failed)
		return;
	w->failed = true;
	vsnprintf(w->text, sizeof(w->text), fmt, ap);
}

int sim_fail(struct sim_world *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	record_failure(w, fmt, ap);
	va_end(ap);
	return -EPROTO;
}

void sim_abandon(struct sim_world *w, const char *fmt, ...)
{
	struct sim_task *me = w->current;
	va_list ap;

	va_start(ap, fmt);
	record_failure(w, fmt, ap);
	va_end(ap);
	if (!me) {	/* nobody to abandon: the simulator's own doing */
		fprintf(stderr, "simulator: %s\n", w->text);
		abort();
	}
	w->current = NULL;
	sim_fiber_switch(&me->fiber, &w->caller);
	abort();
}

void sim_changed(struct sim_world *w)
{
	w->changes++;
	w->ticks = 0;
}

/* ---- what may happen next ---------------------------------------------------------------------------------------- */

struct choices {
	uint32_t n;
	struct {
		struct sim_op *op;	/* or */
		struct sim_task *task;
	} what[SIM_MAX_TASKS + 512];
	uint64_t *prio[SIM_MAX_TASKS + 512];
};

static bool others_are_done(const struct sim_world *w, const struct sim_task *me)
{
	for (uint32_t i = 0; i < w->nr_tasks; i++)
		if (&w->tasks[i] != me && w->tasks[i].state != SIM_TASK_DONE)
			return false;
	return true;
}

static bool can_run(const struct sim_world *w, const struct sim_task *t)
{
	switch (t->state) {
	case SIM_TASK_READY:
		return true;
	case SIM_TASK_WAITS:
		return t->seen != w->changes || t->deadline_ns <= w->now_ns;
	case SIM_TASK_JOINS:
		return others_are_done(w, t);
	default:
		return false;
	}
}

/* The task that has been waiting for its turn longest, among those in @state (0: any). */
static struct sim_task *oldest_task(struct sim_world *w, int state)
{
	struct sim_task *best = NULL;

	for (uint32_t i = 0; i < w->nr_tasks; i++) {
		struct sim_task *t = &w->tasks[i];

		if (can_run(w, t) && (!state || t->state == state) && (!best || t->last_run < best->last_run))
			best = t;
	}
	return best;
}

static void add_tasks(struct sim_world *w, struct choices *c)
{
	for (uint32_t i = 0; i < w->nr_tasks; i++) {
		if (!can_run(w, &w->tasks[i]))
			continue;
		c->what[c->n].op = NULL;
		c->what[c->n].task = &w->tasks[i];
		c->prio[c->n++] = &w->tasks[i].prio;
	}
}

static void add_ops(struct sim_world *w, struct choices *c)
{
	struct br_list *l;

	br_list_for_each(l, &w->ops) {
		struct sim_op *op = br_container_of(l, struct sim_op, link);

		if (sim_op_is_stuck(op) || c->n == sizeof(c->prio) / sizeof(c->prio[0]))
			continue;
		c->what[c->n].op = op;
		c->what[c->n].task = NULL;
		c->prio[c->n++] = &op->prio;
	}
}

static uint64_t next_deadline(const struct sim_world *w)
{
	uint64_t when = BR_NEVER;

	for (uint32_t i = 0; i < w->nr_tasks; i++)
		if (w->tasks[i].state == SIM_TASK_WAITS && w->tasks[i].deadline_ns < when)
			when = w->tasks[i].deadline_ns;
	return when;
}

/* Nothing else can happen, so time passes.  false: not even that. */
static bool pass_time(struct sim_world *w)
{
	uint64_t when = next_deadline(w);

	if (when == BR_NEVER) {
		sim_fail(w, "deadlock: somebody waits, nothing is in flight, no timer runs");
		return false;
	}
	if (++w->ticks > SIM_MAX_TICKS) {
		sim_fail(w, "no progress: only timers go off, %u times in a row", SIM_MAX_TICKS);
		return false;
	}
	if (when > w->now_ns)
		w->now_ns = when;
	sim_trace(w, NULL, 7, w->now_ns, 0);
	return true;
}

/* One event.  Returns the task to run, if it was one. */
static struct sim_task *happen(struct sim_world *w)
{
	static _Thread_local struct choices c;	/* big; a nested world may use it, too, while the event happens */
	struct sim_task *task;
	struct sim_op *op;
	uint32_t i = 0;

	c.n = 0;
	add_tasks(w, &c);
	add_ops(w, &c);
	if (!c.n) {
		pass_time(w);
		return NULL;
	}
	if (w->sched)
		i = sim_sched_pick(w->sched, c.n, c.prio);
	op = c.what[i].op;
	task = c.what[i].task;
	if (op)
		sim_op_finish(op);
	return task;
}

static bool all_done(const struct sim_world *w)
{
	return others_are_done(w, NULL);
}

/* Let things happen until a task is to go on; NULL: the world has ended. */
static struct sim_task *next_task(struct sim_world *w)
{
	struct sim_task *t = NULL;

	while (!t) {
		if (w->failed || w->hub->stop || all_done(w))
			return NULL;
		if (++w->steps > SIM_MAX_STEPS) {
			sim_fail(w, "no end after %u steps", SIM_MAX_STEPS);
			return NULL;
		}
		w->now_ns += SIM_STEP_NS;
		/* FIFO is eager by its nature; the longest waiting comes first. */
		if (!w->sched)
			t = oldest_task(w, 0);
		else if (w->eager)
			t = oldest_task(w, SIM_TASK_WAITS);
		if (!t)
			t = happen(w);
	}
	t->last_run = w->steps;
	sim_trace(w, NULL, 11, (uint64_t)(t - w->tasks), 0);
	return t;
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

/* The running task (NULL: the caller of sim_world_run()) has nothing to do: who goes on? */
static void dispatch(struct sim_world *w)
{
	struct sim_task *me = w->current, *t = next_task(w);

	if (t == me)
		return;
	w->current = t;
	sim_fiber_switch(me ? &me->fiber : &w->caller, t ? &t->fiber : &w->caller);
}

static void task_main(void *arg)
{
	struct sim_task *t = arg;
	struct sim_world *w = t->world;
	int r = t->fn(w, t->arg);

	if (r)
		sim_fail(w, "task %d returned %d", (int)(t - w->tasks), r);
	t->state = SIM_TASK_DONE;
	sim_changed(w);
	dispatch(w);
}

int sim_spawn(struct sim_world *w, sim_task_fn fn, void *arg)
{
	struct sim_task *t = &w->tasks[w->nr_tasks];

	if (w->nr_tasks == SIM_MAX_TASKS)
		return -EAGAIN;
	w->nr_tasks++;
	t->world = w;
	t->fn = fn;
	t->arg = arg;
	t->state = SIM_TASK_READY;
	sim_fiber_make(&t->fiber, &w->hub->stacks, task_main, t);
	return 0;
}

static void give_turn(struct sim_world *w, int state, uint64_t deadline_ns)
{
	struct sim_task *me = w->current;

	me->state = state;
	me->seen = w->changes;
	me->deadline_ns = deadline_ns;
	dispatch(w);
	me->state = SIM_TASK_READY;
}

void sim_yield(struct sim_world *w)
{
	give_turn(w, SIM_TASK_READY, 0);
}

void sim_wait(struct sim_world *w, uint64_t deadline_ns)
{
	give_turn(w, SIM_TASK_WAITS, deadline_ns);
}

void sim_join(struct sim_world *w)
{
	give_turn(w, SIM_TASK_JOINS, 0);
}

static void check_end(struct sim_world *w)
{
	if (w->live_allocs)
		sim_fail(w, "%llu allocations were not freed", (unsigned long long)w->live_allocs);
	if (sim_env_open_bells(w))
		sim_fail(w, "%u bells were not closed", sim_env_open_bells(w));
	if (!br_list_empty(&w->ops))
		sim_fail(w, "all is closed and a request is still in flight");
}

int sim_world_run(struct sim_world *w, sim_task_fn fn, void *arg)
{
	sim_spawn(w, fn, arg);
	dispatch(w);
	if (w->hub->stop && !w->failed)
		return -ECANCELED;
	if (!w->failed)
		check_end(w);
	return w->failed ? -EPROTO : 0;
}

/* ---- for scenarios ----------------------------------------------------------------------------------------------- */

void sim_tighten(struct sim_world *w)
{
	w->epoch++;
	if (w->watch && w->hub->crash && !w->hub->stop)
		w->hub->crash(w);
}

int sim_note(struct sim_world *w, uint64_t tag, uint64_t value)
{
	if (w->nr_notes == SIM_MAX_NOTES)
		return -ENOSPC;
	w->notes[w->nr_notes++] = (struct sim_note){ tag, value };
	sim_tighten(w);
	return 0;
}

int sim_rule_add(struct sim_world *w, const char *text)
{
	if (w->nr_rules == SIM_MAX_RULES)
		return -ENOSPC;
	if (sim_rule_parse(text, &w->rules[w->nr_rules]) < 0)
		return -EINVAL;
	w->nr_rules++;
	return 0;
}
