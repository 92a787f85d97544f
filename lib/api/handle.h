/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the opaque handles are, and the small things that all calls need.
 *
 * blkremap_ctx: a context, its worker threads and its event queue.  blkremap_dev: one handle on a device; the device
 * itself (struct br_dev) is counted by handles and by devices above it.  blkremap_queue: a queue with its completions.
 */
#ifndef BR_API_HANDLE_H
#define BR_API_HANDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/limit.h"
#include "base/pool.h"
#include "blkremap/blkremap.h"
#include "io/dev.h"
#include "io/sync.h"
#include "op/ctx.h"

struct br_workers;

enum { EVENTS_MAX = 512 };

struct blkremap_ctx {
	struct br_ctx core;
	struct br_workers *workers;	/* NULL: without threads */
	const struct blkremap_env *own;	/* where the context's own memory is from */
	struct br_limit limit;		/* with max_memory */
	uint32_t flags, log_level;
	void (*log)(void *opaque, uint32_t level, const char *text);
	void *opaque;
	_Atomic uint32_t handles;	/* devices and jobs that are open */
	struct br_mutex events_lock;	/* protects what follows; takes nothing inside */
	struct blkremap_event events[EVENTS_MAX];
	uint32_t first_event, nr_events;
	int fd, event_fd, timer_fd;	/* of blkremap_ctx_fd(); -1 until it is asked for */
};

struct blkremap_dev {
	struct blkremap_ctx *ctx;
	struct br_dev *dev;
	_Atomic uint32_t users;		/* queues and jobs made from this handle */
	bool rdonly;
	struct blkremap_dev *keeps;	/* closed after this one, and so on: see close_sections() of open.c */
	/* under core.lock */
	struct blkremap_job *jobs;	/* those that run */
	struct br_idle_sync *idle;	/* queues of blocking calls that are not in use, last in first out */
};

struct br_idle_sync {
	struct br_idle_sync *next;
	struct br_sync sync;
};

static inline struct br_ctx *br_core(struct blkremap_ctx *ctx)
{
	return &ctx->core;
}

/*
 * Read an options struct of the caller's version: copies what both know, refuses what only he knows.  @opts NULL:
 * zeroes.
 * -EINVAL: impossible size; -E2BIG: non-zero bytes that this library does not know.
 */
int br_opts_read(void *ours, size_t our_size, const void *opts);
/* Write a result struct of the caller's version: as much as his size says; his size stays. */
int br_result_write(void *theirs, const void *ours, size_t our_size);

/* Take over the reference to @dev into a new handle.  On failure the reference is given back. */
int br_handle_new(struct blkremap_ctx *ctx, struct br_dev *dev, bool rdonly, struct blkremap_dev **ret_dev);
/* Apply BLKREMAP_SUSPENDED to a device that was just made. */
int br_handle_suspend(struct blkremap_dev *dev);

/* A queue for a blocking call on the device. */
int br_sync_borrow(struct blkremap_dev *dev, struct br_idle_sync **ret);
void br_sync_return(struct blkremap_dev *dev, struct br_idle_sync *s);

/* Suspend (close) or resume a device: an op of br_gate_class. */
struct br_gate {
	struct br_op op;
	struct br_control control;
	struct br_dev *dev;
	struct br_chan *chan;
	struct br_req req;
	bool close;
	_Atomic bool expired;		/* time was up before the drain had begun */
	void (*on_end)(struct br_gate *g, int error);	/* NULL: somebody waits for op.ended */
	void *priv;
};

extern const struct br_op_class br_gate_class;

int br_dev_resize(struct br_dev *d, uint64_t bytes);	/* 0: look again; raises RESIZED */

/*
 * open.c: only the device that holds the metadata of what @spec names, and the size of what the metadata is about (0:
 * not known).  A spec that is no snapshot is taken for the store itself.
 */
int br_open_store(struct blkremap_ctx *ctx, const char *spec, uint32_t flags, struct blkremap_dev **ret,
		  uint64_t *ret_origin_bytes);

void br_jobs_stop(struct blkremap_dev *dev);	/* cancel those whose handles are freed, and wait until they are over */

/* snapshot.c */
bool br_snapshot_is_of(struct br_dev *d, const struct br_dev *above);	/* is @d a snapshot of that origin or base? */
void br_snapshot_status(struct br_dev *d, struct blkremap_status *st);
int br_dev_set(struct br_dev *d, const char *key, const char *value);

/* May this handle write?  0, -EROFS, or -EBUSY with the claimer's name. */
int br_may_write(struct blkremap_dev *dev);

void br_event_raise(struct br_ctx *core, const struct br_event *event);	/* struct br_ctx.on_event */
void br_events_notify(struct blkremap_ctx *ctx);

#endif /* BR_API_HANDLE_H */
