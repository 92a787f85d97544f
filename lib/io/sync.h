/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocking I/O for those who may block: open, close, check, repair, restore, and the public blkremap_pread() family.
 *
 *	struct br_sync s;
 *	r = br_sync_open(&s, dev);
 *	r = br_sync_read(&s, buf, len, off);
 *	br_sync_close(&s);
 *
 * Each has a queue of its own, which is run until the request is done, helping others meanwhile.  One thread at a time.
 */
#ifndef BR_IO_SYNC_H
#define BR_IO_SYNC_H

#include <stdint.h>

#include "io/dev.h"
#include "op/op.h"
#include "op/queue.h"

struct br_sync {
	struct br_queue queue;
	struct br_chan *chan;		/* to the device it was opened on; NULL: none */
};

int br_sync_open(struct br_sync *s, struct br_ctx *ctx, struct br_dev *dev);
void br_sync_close(struct br_sync *s);
/* Any request to @chan (of s->queue): 0, a count, or -errno.  *req is left completed. */
int br_sync_submit(struct br_sync *s, struct br_chan *chan, struct br_req *req);
int br_sync_read(struct br_sync *s, void *buf, uint64_t len, uint64_t off);
int br_sync_write(struct br_sync *s, const void *buf, uint64_t len, uint64_t off, uint32_t flags);
/* flush, discard, zeroes */
int br_sync_simple(struct br_sync *s, uint32_t op, uint64_t off, uint64_t len, uint32_t flags);
/* Start an op on the queue and wait for its end.  Its finish() must leave the op's memory alone.  Returns op->error. */
int br_sync_op(struct br_sync *s, struct br_op *op, const struct br_op_class *cls, uint64_t deadline_ns);

/* Take the context's control lock, blocking, as the owner of @q; give it back by br_control_unlock(). */
void br_sync_control(struct br_queue *q);

#endif /* BR_IO_SYNC_H */
