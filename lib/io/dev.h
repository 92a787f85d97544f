/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices and channels: what requests are submitted to.
 *
 * A device is a leaf (file, memory, the caller's) or a target built of other devices.  A channel is one queue's way
 * into one device: there is exactly one per (queue, device), opened with the queue, shared by all who lead there (a
 * diamond counts once).  Leaves keep their engine's part in it, targets keep the channels of what lies below, their
 * pools and their lanes.  Channels are private to the queue's owner.
 *
 * Gates.  br_dev_drain() closes the gate of each of the device's channels (new requests are held there in order), and
 * is done when no request is inside; br_dev_resume() opens them again.  Both go to each queue as a message, so the I/O
 * path pays a plain counter and a plain flag.
 */
#ifndef BR_IO_DEV_H
#define BR_IO_DEV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "io/req.h"
#include "op/ctx.h"
#include "op/op.h"
#include "op/queue.h"

struct br_chan;
struct br_dev;

/* Numbers equal to the public BLKREMAP_CAP_*. */
enum { BR_CAP_WRITE = 1, BR_CAP_VOLATILE_CACHE = 2, BR_CAP_FUA = 4, BR_CAP_DISCARD = 8, BR_CAP_DISCARD_ZEROES = 16,
       BR_CAP_WRITE_ZEROES = 32, BR_CAP_FAST_ZEROES = 64, BR_CAP_EXTENTS = 128, BR_CAP_GROW = 512,
       BR_CAP_SHRINK = 1024 };

enum { BR_COUNT_READS, BR_COUNT_READ_BYTES, BR_COUNT_WRITES, BR_COUNT_WRITE_BYTES, BR_COUNT_FLUSHES, BR_COUNT_DISCARDS,
       BR_COUNT_ERRORS, BR_COUNTS };

/* What br_dev_broadcast() sends to one channel. */
struct br_message {
	struct br_task task;
	bool busy;			/* under ctx->lock */
	int (*fn)(struct br_chan *chan, void *arg);
	void *arg;
	bool drain;			/* answer only when nothing is inside */
};

struct br_dev_ops {
	const char *type;		/* "file", "memory", "snapshot" */
	size_t chan_bytes;		/* of the channel structure, whose first member is struct br_chan */
	/* Make the channel's private part; lower channels by br_chan_get(chan->queue, lower).  Owner of the queue. */
	int (*chan_open)(struct br_chan *chan);
	void (*chan_close)(struct br_chan *chan);	/* idle; puts the lower channels */
	/*
	 * Take a request that lies inside the device, is aligned, and whose op the device's caps name (br_submit() has
	 * checked).  Completes it exactly once by br_req_complete(), now or later.
	 */
	void (*submit)(struct br_chan *chan, struct br_req *req);
	/* Look at the size below again, or set it (@bytes != 0).  May block shortly.  Optional. */
	int (*resize)(struct br_dev *dev, uint64_t bytes, uint64_t *ret_bytes);
	/*
	 * Forget the device.  Called once, with no channel left.  Targets first make durable what was acknowledged
	 * through them, and tell if they cannot; leaves flush nothing: whoever wants that asks by FLUSH or FUA before.
	 */
	int (*close)(struct br_dev *dev);
};

/* Embed it as the first member.  Filled by the maker before br_dev_add(); constant afterwards unless noted. */
struct br_dev {
	struct br_ctx *ctx;
	const struct br_dev_ops *ops;
	_Atomic(const char *) engine;	/* of leaves: "aio", "threads"; may change when a channel opens */
	uint64_t id;
	char name[64];
	_Atomic uint64_t bytes;
	_Atomic uint32_t caps;
	_Atomic uint32_t state, code;	/* BLKREMAP_ST_*, BLKREMAP_CODE_* */
	uint32_t logical_block, physical_block, optimal_io, discard_granularity, buffer_align;
	uint32_t block_bytes;
	bool hidden;
	_Atomic uint64_t generation;
	/* nonzero once it has taken a write since it was opened (-ESTALE rule) */
	_Atomic uint64_t writes_accepted;
	/* under ctx->lock */
	uint32_t refs;			/* handles and devices above */
	_Atomic(struct br_dev *) claimed_by;	/* a target that alone may write to it; read without the lock */
	struct br_list ctx_link;
	struct br_list chans;		/* struct br_chan.dev_link */
	uint32_t suspends;		/* drains without a resume */
	struct {
		struct br_op *op;	/* of the broadcast under way */
		uint32_t left;		/* channels that have not answered */
		int error;
		bool drain;		/* one that may be given up */
	} talk;
	struct br_dev *lower[2];	/* for listing; referenced */
	uint32_t nr_lower;
	_Atomic uint64_t counters[BR_COUNTS];	/* of channels that are gone; the living have their own */
};

struct br_chan {
	struct br_dev *dev;
	struct br_queue *queue;
	struct br_list queue_link;	/* of queue->chans; owner only */
	struct br_list dev_link;	/* of dev->chans; under ctx->lock */
	uint32_t refs;
	bool open;			/* chan_open() has succeeded */
	/* owner only */
	uint32_t in_flight;		/* requests inside the device through this channel */
	bool gated;
	struct br_task_list held;	/* requests (by .task) that wait for the gate */
	bool draining;			/* msg is answered when in_flight reaches 0 */
	struct br_message msg;		/* posted under ctx->lock, see br_dev_broadcast() */
	struct br_message cancel;	/* likewise, see br_dev_drain_cancel() */
	_Atomic uint64_t counts[BR_COUNTS];	/* written by the owner alone, read by anybody */
};

/* Give the device its id, name and place in the context; the caller gets the first reference. */
int br_dev_add(struct br_dev *dev, struct br_ctx *ctx, const struct br_dev_ops *ops, const char *name);
/* Take size, blocks and alignment over from the device below. */
void br_dev_like(struct br_dev *dev, const struct br_dev *lower);
void br_dev_get(struct br_dev *dev);
/* Give a reference back; the last one closes the device.  Returns what ops->close() says.  May block. */
int br_dev_put(struct br_dev *dev);
/* Families are devices that nobody sees: they have no size and no name of their own. */
static inline bool br_dev_is_hidden(const struct br_dev *dev)
{
	return dev->hidden;
}
/* Take or give back the only right to write.  -EBUSY if another device has it. */
int br_dev_claim(struct br_dev *dev, struct br_dev *by);
void br_dev_unclaim(struct br_dev *dev, struct br_dev *by);

/*
 * The channel of (queue, device), opened if need be, with one more reference.  Owner of the queue.  -errno on failure.
 */
int br_chan_get(struct br_queue *q, struct br_dev *dev, struct br_chan **ret_chan);
void br_chan_put(struct br_chan *chan);

/* Submit; see req.h.  Owner of chan->queue. */
void br_submit(struct br_chan *chan, struct br_req *req);
void br_submit_inside(struct br_chan *chan, struct br_req *req);	/* past the gate */
void br_chan_answer(struct br_chan *chan);	/* for br_chan_left() only */

/* A request is no longer inside. */
static inline void br_chan_left(struct br_chan *chan)
{
	if (br_unlikely(--chan->in_flight == 0 && chan->draining))
		br_chan_answer(chan);
}

/*
 * Run @fn(chan, arg) on each queue that has a channel to @dev, by its owner (or a helper).  Launches on @op; it is
 * granted when all have answered, with the first error.  One broadcast of a device at a time: callers hold the
 * context's control lock (ctx.h).
 */
void br_dev_broadcast(struct br_dev *dev, struct br_op *op, int (*fn)(struct br_chan *chan, void *arg), void *arg);
/*
 * Close the gates; the op awaits that nothing is inside.  Counted: the last resume opens them.  As br_dev_broadcast().
 */
void br_dev_drain(struct br_dev *dev, struct br_op *op);
void br_dev_resume(struct br_dev *dev, struct br_op *op);
bool br_dev_is_suspended(struct br_dev *dev);
/*
 * Give a drain up that @op still waits for: the gates open again, and the op goes on with -ETIMEDOUT.  Does nothing if
 * it has been granted already.  Any thread.
 */
void br_dev_drain_cancel(struct br_dev *dev, struct br_op *op);

#endif /* BR_IO_DEV_H */
