/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The snapshot store: where exceptions live on disk and how they become durable.
 *
 * Persistent (dm-snapshot store version 1; format in snap-format.h) or transient (nothing on disk but the data).
 *
 *	br_snap_store_alloc(store, old_chunk, &c, op)	a place for the data; remembers the order
 *	... the data is written to c.new_chunk ...
 *	br_snap_store_commit(store, chan, &c)		op is granted when the exception is durable; result in c.error
 *	or br_snap_store_abort(store, &c)		the data could not be written: the place is dead
 *
 * Every alloc is followed by exactly one commit or abort.  Exceptions are committed in the order of their allocation,
 * so that after a crash no chunk below the last one is lost (the loader takes max + 1 as the next free one).
 *
 * Group commit.  One commit runs at a time and takes everything that is ready, up to one page of entries; what becomes
 * ready meanwhile is the next one's, which begins at once.  So a waiter waits for at most the commit under way and its
 * own, whatever the traffic.  A commit: [zero the next area] -> flush (data and zeroed area are durable) -> write the
 * page with FUA -> grant.  The page is written only with the token that the flush gave (decision D3).
 *
 * A crash at any step leaves the entries of earlier commits and a prefix, by 512-byte sector, of this one's; what is
 * behind the first empty entry is garbage that the next open wipes before it commits anything.
 *
 * Locking: store->lock protects what says so; never held over I/O.  Everything is callable by the owner of the queue of
 * the channel or op that is passed.
 */
#ifndef BR_META_SNAP_STORE_H
#define BR_META_SNAP_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mutex.h"
#include "io/dev.h"
#include "io/sync.h"
#include "meta/snap-format.h"
#include "op/op.h"

/* entries are written in pages of this size, or of a chunk if that is smaller */
enum { BR_SNAP_PAGE_BYTES = 4096 };

#define BR_SNAP_NO_PAGE UINT64_MAX	/* as page_no: the buffer holds no page */

enum br_snap_state {
	BR_SNAP_VALID,
	BR_SNAP_INVALIDATING,	/* no more use of it; the mark is on its way to the disk */
	BR_SNAP_INVALID,	/* the mark is durable, or cannot be made so (invalid_error) */
};

struct br_snap_commit {
	struct br_list link;		/* of store->order or store->batch; under store->lock */
	uint64_t old_chunk, new_chunk;
	bool ready;			/* under store->lock */
	bool foreign;			/* other queues have a hand in it: they may need help */
	struct br_op *op;		/* granted when it is decided */
	int error;
};

/* One who waits for the invalid mark to be durable. */
struct br_snap_invalidate {
	struct br_list link;
	struct br_op *op;
};

/* Steps of work on the store's own pages, see snap-store.c. */
struct br_snap_work {
	struct br_op op;
	struct br_req req;
	struct iovec iov;
	struct br_chan *chan;
	struct br_op *parent;
	uint64_t n;
};

struct br_snap_store {
	struct br_ctx *ctx;
	struct br_dev *dev;		/* borrowed */
	struct br_snap_layout layout;
	bool transient;
	uint32_t page_bytes, header_bytes;

	struct br_mutex lock;
	enum br_snap_state state;	/* under lock */
	int invalid_error;		/* under lock: why the mark is not durable, or 0 */
	uint64_t next_free;		/* under lock: lowest chunk that may be free */
	uint64_t nr_allocated;		/* under lock: entries durable or on their way */
	uint64_t nr;			/* under lock: entries durable */
	struct br_list order;		/* under lock: allocated and not yet frozen */
	struct br_list waiters;		/* under lock: br_snap_invalidate */
	struct br_queue *only_queue;	/* under lock: whose all exceptions under way are, unless mixed */
	bool mixed;			/* under lock */
	bool marking;			/* under lock: the mark op runs */
	bool committing;		/* under lock: the fields below belong to the commit op */

	struct br_list batch;		/* frozen */
	uint64_t batch_n;
	bool tail_dirty;		/* what lies behind the last entry is not known to be zero */
	uint8_t *page;			/* image of the page that the next entry goes to */
	uint64_t page_no;		/* which page of the entry sequence it is */
	uint8_t *header;		/* a buffer of its own: the mark may be written while a page is */
	struct br_snap_work commit, mark, merge;
	uint64_t commits;		/* for statistics; racy reads are fine */
};

/* Prepare; @dev is borrowed for the life of the store.  -EINVAL, -ENOMEM. */
int br_snap_store_init(struct br_snap_store *s, struct br_dev *dev, uint64_t chunk_bytes, bool transient);
void br_snap_store_done(struct br_snap_store *s);

/* Read the header: 0, -ENODATA blank, -EBADMSG, -EOVERFLOW, I/O errors.  Blocks. */
int br_snap_store_probe(struct br_sync *io, struct br_dev *dev, struct br_snap_header *ret);
/* Who takes what is loaded: each entry is announced, and some entries later handed over to be kept. */
struct br_snap_reader {
	void (*announce)(void *arg, struct br_snap_entry e);
	int (*take)(void *arg, struct br_snap_entry e);	/* 0, or -errno; -EEXIST: the old chunk came before */
	void *arg;
};

/*
 * Read and validate all exceptions, and hand them to @reader in order.  Blocks.  Writes nothing.
 * -EBADMSG: damaged, with the offset in the sentence.
 */
int br_snap_store_load(struct br_snap_store *s, struct br_sync *io, uint64_t origin_chunks,
		       const struct br_snap_reader *reader);

/*
 * An op that formats: wipe header and first area, flush, header with FUA.  A crash leaves a blank store or an empty
 * one.
 */
void br_snap_store_format(struct br_snap_store *s, struct br_chan *chan, struct br_op *op);

/* -ENOSPC: full; -EIO: invalid. */
int br_snap_store_alloc(struct br_snap_store *s, uint64_t old_chunk, struct br_snap_commit *c, struct br_op *op);
void br_snap_store_abort(struct br_snap_store *s, struct br_chan *chan, struct br_snap_commit *c);
/* launches on op */
void br_snap_store_commit(struct br_snap_store *s, struct br_chan *chan, struct br_snap_commit *c);

/* Make the store invalid for good.  @op is granted when the mark is durable, or cannot be. */
void br_snap_store_invalidate(struct br_snap_store *s, struct br_chan *chan, struct br_snap_invalidate *w,
			      struct br_op *op);
enum br_snap_state br_snap_store_state(struct br_snap_store *s);

/*
 * Merging takes exceptions from the end.  br_snap_store_last() brings the last page in, br_snap_store_tail() tells its
 * entries (none: the store is empty), br_snap_store_remove() durably drops the last @n of the store, at most so many.
 */
void br_snap_store_last(struct br_snap_store *s, struct br_chan *chan, struct br_op *op);
/* After the op was granted: the last entries, newest first, at most @max; returns how many. */
uint64_t br_snap_store_tail(struct br_snap_store *s, uint64_t max, struct br_snap_entry *out);
void br_snap_store_remove(struct br_snap_store *s, struct br_chan *chan, uint64_t n, struct br_op *op);

/* Sizes in chunks, for status: as the kernel counts them. */
struct br_snap_usage {
	uint64_t allocated, metadata, total, exceptions;
};
struct br_snap_usage br_snap_store_usage(struct br_snap_store *s);
int br_snap_store_resized(struct br_snap_store *s);	/* look at the device's size again */

#endif /* BR_META_SNAP_STORE_H */
