/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A context: the queues that belong together, their timers, and the library's own queues.
 *
 * Who runs what.  The application runs its queues.  The library's service queues (merge, timers, jobs) are run by
 * worker threads, or, in a context without threads, by br_help() inside any blocking call and by blkremap_process().
 *
 * Help (protocols.md P2).  When an op must wait for something that another queue holds (its copy, its commit, its
 * reader) it is bracketed by br_wait_begin()/br_wait_end().  While any such wait exists, whoever blocks, and the worker
 * every BR_HELP_NS, runs each application queue that nobody has entered since the last look: so a queue that its owner
 * neglects cannot stall the others.  That is coarser than a creditor count per queue and costs one counter instead of
 * one per wait target; see ARCHITECTURE.md, "Differences from the plan".
 *
 * ctx->lock protects: the list of queues, timers, devices, claims, events, jobs.  Taken inside nothing, takes nothing.
 */
#ifndef BR_OP_CTX_H
#define BR_OP_CTX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/list.h"
#include "base/mutex.h"
#include "op/queue.h"
#include "op/task.h"

enum { BR_HELP_NS = 200000 };

/* Fires once, by posting @task to @queue.  Embed it. */
struct br_timer {
	struct br_list link;		/* sorted by when_ns; under ctx->lock */
	uint64_t when_ns;
	struct br_queue *queue;
	struct br_task task;
};

/* What the application is told through blkremap_event_next(); numbers are BLKREMAP_EV_* and BLKREMAP_CODE_*. */
struct br_event {
	uint32_t type, code;
	uint64_t dev_id, job_id;
	int32_t result;
	uint64_t value[2];
	const char *text;
};

struct br_ctx {
	const struct blkremap_env *env;
	struct br_mutex lock;
	bool no_threads;
	_Atomic uint32_t waits;		/* br_wait_begin() without br_wait_end() */
	struct br_list queues;		/* struct br_queue.ctx_link */
	struct br_list timers;
	struct br_list devs;		/* struct br_dev.ctx_link */
	uint64_t next_id;		/* of devices and jobs; never reused */
	struct br_queue service;	/* the first service queue: jobs without a queue of their own, timers */
	int bell;			/* wakes the worker, or makes blkremap_ctx_fd() readable */
	/* Tell the application; set by api/, any thread, never NULL there.  @text may be NULL. */
	void (*on_event)(struct br_ctx *ctx, const struct br_event *event);
	struct br_op *control;		/* holder of the control lock, under lock */
	struct br_list control_waiters;	/* struct br_control.link */
};

/*
 * The control lock: suspend, take, attach, drop, reset and the like are done one after another in a context.  FIFO.
 * The op is granted (launched inside) when it has it.
 */
struct br_control {
	struct br_list link;
	struct br_op *op;
};

/* @ctx must be zeroed: only what is not zero at first is filled in.  (br_queue_init() zeroes its queue itself.) */
int br_ctx_init(struct br_ctx *ctx, const struct blkremap_env *env, bool no_threads);
void br_ctx_done(struct br_ctx *ctx);

static inline void br_ctx_lock(struct br_ctx *ctx)
{
	br_mutex_lock(&ctx->lock, ctx->env);
}

static inline void br_ctx_unlock(struct br_ctx *ctx)
{
	br_mutex_unlock(&ctx->lock, ctx->env);
}

static inline void br_ctx_event(struct br_ctx *ctx, const struct br_event *event)
{
	if (ctx->on_event)
		ctx->on_event(ctx, event);
}

void br_timer_arm(struct br_ctx *ctx, struct br_timer *t, struct br_queue *q, uint64_t when_ns);
bool br_timer_cancel(struct br_ctx *ctx, struct br_timer *t);	/* false: it has fired, its task is under way */
uint64_t br_timers_fire(struct br_ctx *ctx);	/* fires what is due; returns when the next one is, or BR_NEVER */

void br_control_lock(struct br_ctx *ctx, struct br_control *c, struct br_op *op);
void br_control_unlock(struct br_ctx *ctx);

void br_wait_begin(struct br_ctx *ctx);
void br_wait_end(struct br_ctx *ctx);

/*
 * Do what others neglect: due timers, service queues (context without threads, or @service), neglected queues.
 * Any thread.  Returns true if anything was done.
 */
bool br_help(struct br_ctx *ctx, bool service);
/* When the caller of br_help() should come back at the latest. */
uint64_t br_help_deadline(struct br_ctx *ctx);

/*
 * Block the calling thread until @done(arg) is true or the deadline has come, running @q (owned by the caller, or NULL)
 * and helping meanwhile.  Returns whether it was true.  -EDEADLK is for the caller to detect.
 */
bool br_block(struct br_ctx *ctx, struct br_queue *q, bool (*done)(void *arg), void *arg, uint64_t deadline_ns);

#endif /* BR_OP_CTX_H */
