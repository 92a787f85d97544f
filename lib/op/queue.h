/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues: where work runs.
 *
 * A queue is a list of ready tasks, an inbox that any thread may post to, and the sources (engines) that feed it
 * completions.  Whoever owns the queue runs it; nobody else touches anything of it but the inbox.  Ops stay on the
 * queue that started them, so what belongs to one queue needs no lock.
 *
 * Owner word: IDLE; BUSY, the application is inside a call; WAITING, it sleeps inside a call; HELPED, the library runs
 * the queue for an application that neglects it while somebody waits for it (br_help() in ctx.h).
 *
 *	br_queue_enter(q)            -EBUSY if another application thread is inside; waits out a helper
 *	  br_queue_run(q)            until it returns false: nothing more to do now
 *	br_queue_leave(q)            rings the bell if something came in meanwhile
 *
 * Posting: br_queue_post() pushes, and rings the bell only if the inbox was empty and either the owner sleeps inside a
 * call or nobody is inside and somebody watches the bell (notify: the application asked for the descriptor, or it is a
 * service queue).  Service queues share their context's bell.
 */
#ifndef BR_OP_QUEUE_H
#define BR_OP_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "op/task.h"

struct br_ctx;
struct br_queue;
struct br_source;

enum { BR_QUEUE_IDLE, BR_QUEUE_BUSY, BR_QUEUE_WAITING, BR_QUEUE_HELPED };

struct br_source_ops {
	const char *name;
	/* Send what has been gathered since the last kick to the device.  Owner only. */
	void (*kick)(struct br_source *s);
	/* Make completed requests ready (br_req_complete()); never blocks.  Returns how many. */
	int (*poll)(struct br_source *s);
	/*
	 * Optional: sleep until a completion, or @wake_fd is readable, or @timeout_ns has passed (-1: no limit).
	 * At most one source of a queue may have it.  Completions found are made ready.
	 */
	void (*wait)(struct br_source *s, int wake_fd, int64_t timeout_ns);
	/* From now on (or not any more) completions ring the queue's bell by themselves. */
	void (*notify)(struct br_source *s, bool on);
	void (*close)(struct br_source *s);	/* nothing is in flight; frees @s */
};

/* One engine's part of one queue.  Embed it. */
struct br_source {
	const struct br_source_ops *ops;
	const void *engine;	/* identity of what it serves, for br_queue_source() */
	struct br_queue *queue;
	struct br_source *next;
	uint32_t in_flight;	/* owner only: sent and not yet completed */
};

struct br_queue {
	struct br_ctx *ctx;
	_Atomic uint32_t owner;
	_Atomic uint32_t epoch;		/* grows each time the application enters: lets helpers tell neglect */
	uint32_t seen_epoch;		/* helper only, under ctx->lock */
	_Atomic(struct br_task *) inbox;	/* last in first out; reversed when popped */
	int bell;
	_Atomic bool notify;		/* somebody watches the bell while nobody is inside; set by the owner */
	_Atomic uint32_t posters;	/* threads inside br_queue_post(): the queue must outlive their last touch */
	/* requests that are expected at a time: how much to keep ready; set before channels are opened */
	uint32_t depth;
	bool service;			/* run by the library's worker or blkremap_process(), not by the application */
	/* owner only */
	struct br_task_list ready;
	struct br_source *sources;
	uint32_t ops;			/* ops that began here and have not ended */
	uint32_t unreaped;		/* completions that the application has not fetched yet */
	struct br_list chans;		/* struct br_chan.queue_link */
	/* under ctx->lock */
	struct br_list ctx_link;
	uint32_t pins;			/* helpers that look at it */
};

/* Zeroes *q first.  @ctx is ready (br_ctx_init(), which expects a zeroed context).  -EMFILE and the like: no bell. */
int br_queue_init(struct br_queue *q, struct br_ctx *ctx, bool service);
void br_queue_done(struct br_queue *q);		/* nothing in flight; closes sources and bell */

int br_queue_enter(struct br_queue *q);		/* application: 0 or -EBUSY */
bool br_queue_try_help(struct br_queue *q);	/* library: true when taken */
void br_queue_leave(struct br_queue *q);

/* Owner only. */
void br_queue_ready(struct br_queue *q, struct br_task *task);
bool br_queue_run(struct br_queue *q);		/* kick, poll, inbox, ready tasks; false if nothing was there */
void br_queue_kick(struct br_queue *q);		/* send what the sources have gathered */
struct br_source *br_queue_source(struct br_queue *q, const void *engine);
void br_queue_add_source(struct br_queue *q, struct br_source *s);
void br_queue_set_notify(struct br_queue *q, bool on);
uint32_t br_queue_in_flight(const struct br_queue *q);	/* of all sources */
bool br_queue_has_work(const struct br_queue *q);	/* ready tasks or a filled inbox */
/* Nothing is left to do here: no op, no task, no request.  @queue is the queue; fits br_block(). */
bool br_queue_is_quiet(void *queue);

/* Any thread. */
void br_queue_post(struct br_queue *q, struct br_task *task);

#endif /* BR_OP_QUEUE_H */
