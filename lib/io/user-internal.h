/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The insides of the caller's devices, in four files.
 *
 *	user.c		life: what the caller says about itself, open, close, size
 *	user-req.c	queue side: requests are cut into calls, calls come back and complete their request
 *	user-flow.c	between: calls wait, get an id, go to the caller, are completed by id; any thread
 *	user-threads.c	threads that may block in the caller's submit
 *
 * A call is one request as the caller sees it.  It belongs to the channel that made it; while it waits or is with the
 * caller it is under the device's lock; completed, it is posted to its channel's queue.
 */
#ifndef BR_IO_USER_INTERNAL_H
#define BR_IO_USER_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "base/mutex.h"
#include "base/pool.h"
#include "blkremap/backend.h"
#include "io/dev.h"
#include "io/user.h"

enum { BR_USER_CALL_IOV = 16, BR_USER_BATCH = 16 };

struct br_user_pool;

struct br_user_call {
	struct br_task task;		/* posted to the channel's queue when completed */
	struct br_list link;		/* of br_user_chan.gathered, then of br_user.waiting */
	struct br_user_chan *chan;
	struct br_req *parent;
	struct br_req leg;		/* the slice of the parent that this call is for */
	uint32_t op, flags;		/* as the caller sees them */
	bool is_flush;			/* the flush that stands in for FUA */
	void *bounce;			/* of leg.length bytes, or NULL */
	const struct iovec *iov;	/* own_iov, or the parent's */
	uint32_t iovcnt;
	struct iovec own_iov[BR_USER_CALL_IOV];
};

/* A call with the caller.  An id is the generation << 32 | the slot's number + 1. */
struct br_user_slot {
	struct br_user_call *call;	/* NULL: free, or it is CLOSE */
	uint32_t generation;
	bool used;
};

struct br_user {
	struct br_dev dev;
	const struct blkremap_env *env;	/* a pulling backend may outlive its context */
	struct blkremap_dev_ops ops;	/* submit NULL: the caller pulls */
	void *opaque;
	struct blkremap_backend_info info;	/* without zeroes that mean a default */
	char *zeroes;			/* shared source of zeroes, where they are written */
	int bell;			/* pulling only */
	struct br_user_pool *pool;	/* BLOCKING only */
	bool disowned;			/* nobody is told of the end; set before anything else could happen */
	struct br_timer retry;		/* on the service queue; see user-flow.c */
	_Atomic uint32_t inside;	/* threads in br_user_complete(), which the end of the backend waits for */
	struct br_mutex lock;		/* takes nothing inside; protects what follows */
	struct br_list waiting;		/* struct br_user_call.link: first come first sent */
	struct br_user_slot *slots;
	uint32_t nr_slots, nr_used;
	uint32_t next_slot;		/* where to look for a free one */
	uint32_t nr_chans;
	uint32_t completions;		/* counted, to tell whether one came while the caller was asked to take more */
	bool submitting;		/* SERIAL: somebody is in ops.submit */
	bool stalled;			/* it took less than it was offered: wait for a completion */
	bool retry_armed;
	bool closing;			/* pulling: CLOSE is to be fetched, or was */
	uint64_t close_id;
};

/* Gathers calls until the queue's kick, so that a batch of requests is one call of ops.submit. */
struct br_user_source {
	struct br_source source;
	struct br_user_chan *chan;	/* NULL: closed; the source lives as long as its queue */
};

struct br_user_chan {
	struct br_chan chan;
	struct br_user_source *source;
	struct br_pool calls;
	struct br_list gathered;	/* struct br_user_call.link */
	bool look;			/* a call has come back: perhaps the caller takes more now */
	struct br_task_list parked;	/* requests, by wait, that need one more call */
	struct br_task nudge;		/* runs br_user_send() on this queue */
	bool nudged;			/* under the device's lock: nudge is posted, and the context knows of a wait */
};

static inline struct br_user *br_user_of(struct br_dev *dev)
{
	return br_container_of(dev, struct br_user, dev);
}

static inline bool br_user_pulls(const struct br_user *u)
{
	return !u->ops.submit;
}

static inline void br_user_lock(struct br_user *u)
{
	br_mutex_lock(&u->lock, u->env);
}

static inline void br_user_unlock(struct br_user *u)
{
	br_mutex_unlock(&u->lock, u->env);
}

/* user-req.c: owner of the channel's queue. */
void br_user_submit(struct br_chan *chan, struct br_req *req);
int br_user_chan_open(struct br_chan *chan);
void br_user_chan_close(struct br_chan *chan);
void br_user_call_came_back(struct br_task *task);

/* user-flow.c: any thread, no lock held. */
void br_user_enqueue(struct br_user *u, struct br_list *calls);
void br_user_send(struct br_user *u);		/* offer what waits to the caller, as far as it takes it */
bool br_user_send_batch(struct br_user *u);	/* true: something was taken or failed, so look again */
void br_user_nudged(struct br_task *task);
void br_user_retry(struct br_task *task);
void br_user_push_close(struct br_user *u);

/* user.c: the backend has ended, nobody is inside. */
void br_user_free(struct br_user *u);

/* user-threads.c: -EAGAIN.  Stop joins. */
int br_user_pool_start(struct br_user *u, unsigned threads);
void br_user_pool_wake(struct br_user_pool *p);
void br_user_pool_stop(struct br_user_pool *p);

#endif /* BR_IO_USER_INTERNAL_H */
