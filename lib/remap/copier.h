/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The copier: read once, write to n places.
 *
 *	w->copy = (struct br_copy){ .source = ch->origin, .offset = at, .length = chunk,
 *				    .dests = w->dests, .nr_dests = n };
 *	br_copier_start(ch->copier, &w->copy, op);
 *	return br_op_await(op, S_CHECK);                 goes to .on_error if the source could not be read
 *	... w->dests[i].result says how it went there
 *
 * A copy is cut into pieces of at most one buffer, several of which are under way at a time; pieces wait for buffers
 * in order, foreground copies first.  What lies beyond the end of the source does not exist and is not copied; a
 * piece that ends there is filled up with zeroes to the destination's block.
 *
 * Errors.  A destination that fails gets no more writes and has its first error as its result; the others go on.  A
 * source that fails is everybody's error, and the op's.  There are no partial promises: a result below 0 says that
 * any part of the range may or may not have been written there.
 *
 * One copier belongs to one queue (as a rule: one per device and queue), whose owner alone may use it.  All memory
 * is taken by br_copier_open().
 */
#ifndef BR_REMAP_COPIER_H
#define BR_REMAP_COPIER_H

#include <stdint.h>

#include "base/list.h"

struct br_chan;
struct br_copier;
struct br_op;
struct br_queue;

enum { BR_COPIER_MAX_BYTES = 512 * 1024 };

struct br_copy_dest {
	struct br_chan *chan;
	uint64_t offset;
	int32_t result;			/* out: 0 or -errno */
	uint32_t code;			/* out: BLKREMAP_CODE_* */
};

/* One job.  Embed it beside the op; it and @dests must stay where they are until the op goes on. */
struct br_copy {
	struct br_chan *source;
	uint64_t offset, length;	/* of the source; multiples of all block sizes, but for its end */
	struct br_copy_dest *dests;
	uint32_t nr_dests;
	uint32_t flags;			/* BR_BACKGROUND; BR_FUA: for the writes */
	uint32_t code;			/* out: reason beside the op's error */
	/* private */
	struct br_list link;		/* while pieces are left to be started */
	struct br_op *op;
	uint64_t at, end;		/* of what has no piece yet */
	uint32_t pieces;		/* under way */
	int32_t error;			/* of the source */
};

/*
 * @buffers of @buffer_bytes each, a multiple of 4096 and at most BR_COPIER_MAX_BYTES.  Owner of @queue.  -ENOMEM,
 * -EINVAL. Background copies use at most half of the buffers (but at least one).
 */
int br_copier_open(struct br_queue *queue, uint32_t buffers, uint32_t buffer_bytes, struct br_copier **ret_copier);
void br_copier_close(struct br_copier *c);	/* nothing is under way; NULL is fine */

/* Launches one piece of @op, unless there is nothing to copy.  Owner of the queue. */
void br_copier_start(struct br_copier *c, struct br_copy *copy, struct br_op *op);

#endif /* BR_REMAP_COPIER_H */
