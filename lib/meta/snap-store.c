/* SPDX-License-Identifier: BSD-3-Clause */
#include "meta/snap-store.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/mutant.h"
#include "meta/snap-internal.h"

/* ---- memory ------------------------------------------------------------------------------------------------------ */

int br_snap_store_init(struct br_snap_store *s, struct br_dev *dev, uint64_t chunk_bytes, bool transient)
{
	const struct blkremap_env *env = dev->ctx->env;
	int r;

	memset(s, 0, sizeof(*s));
	s->ctx = dev->ctx;
	s->dev = dev;
	s->transient = transient;
	s->page_bytes = (uint32_t)BR_MIN(chunk_bytes, (uint64_t)BR_SNAP_PAGE_BYTES);
	s->header_bytes = BR_MAX(dev->logical_block, (uint32_t)BR_SNAP_HEADER_BYTES);
	br_list_init(&s->order);
	br_list_init(&s->batch);
	br_list_init(&s->waiters);
	r = br_snap_layout_init(&s->layout, chunk_bytes, atomic_load(&dev->bytes));
	if (r < 0)
		return r;
	s->next_free = transient ? 0 : br_snap_data_chunk(&s->layout, 0);
	s->page = br_alloc_aligned(env, s->page_bytes, BR_SNAP_PAGE_BYTES);
	s->header = br_alloc_aligned(env, s->header_bytes, BR_SNAP_PAGE_BYTES);
	if (s->page && s->header)
		return 0;
	br_snap_store_done(s);
	return br_error(-ENOMEM, "no memory for the pages of a snapshot store");
}

void br_snap_store_done(struct br_snap_store *s)
{
	br_free(s->ctx->env, s->page, s->page_bytes);
	br_free(s->ctx->env, s->header, s->header_bytes);
	s->page = s->header = NULL;
}

static void lock(struct br_snap_store *s)
{
	br_mutex_lock(&s->lock, s->ctx->env);
}

static void unlock(struct br_snap_store *s)
{
	br_mutex_unlock(&s->lock, s->ctx->env);
}

enum br_snap_state br_snap_store_state(struct br_snap_store *s)
{
	enum br_snap_state state;

	lock(s);
	state = s->state;
	unlock(s);
	return state;
}

/* ---- where entries lie ------------------------------------------------------------------------------------------- */

uint64_t br_snap_entries_per_page(const struct br_snap_store *s)
{
	return s->page_bytes / BR_SNAP_ENTRY_BYTES;
}

/* Byte address of the page that holds the n-th entry of the sequence. */
uint64_t br_snap_page_offset(const struct br_snap_store *s, uint64_t n)
{
	uint64_t area = n / s->layout.entries, slot = n % s->layout.entries;
	uint64_t page = slot / br_snap_entries_per_page(s);

	return br_snap_area_chunk(&s->layout, area) * s->layout.chunk_bytes + page * s->page_bytes;
}

void br_snap_work_start(struct br_snap_work *io, const struct br_op_class *cls, struct br_chan *chan,
			struct br_op *parent)
{
	io->chan = chan;
	io->parent = parent;
	if (parent)
		br_op_launch(parent);
	br_op_start(&io->op, cls, chan->queue);
}

/* Write (or read) one buffer of the store's own. */
void br_snap_work_page(struct br_snap_work *io, struct br_req template, void *buf)
{
	io->req = template;
	io->iov = (struct iovec){ buf, template.length };
	io->req.iov = &io->iov;
	io->req.iovcnt = 1;
	br_op_submit(&io->op, io->chan, &io->req);
}

void br_snap_work_simple(struct br_snap_work *io, uint32_t op, uint64_t offset, uint64_t length)
{
	io->req = (struct br_req){ .op = op, .offset = offset, .length = length };
	br_op_submit(&io->op, io->chan, &io->req);
}

/* ---- allocation -------------------------------------------------------------------------------------------------- */

static int take_transient(struct br_snap_store *s, uint64_t *ret)
{
	if (s->next_free >= s->layout.chunks)
		return -ENOSPC;
	*ret = s->next_free++;
	return 0;
}

static int take_persistent(struct br_snap_store *s, uint64_t *ret)
{
	uint64_t chunk = br_snap_data_chunk(&s->layout, s->next_free);
	int r = br_snap_may_allocate(&s->layout, s->nr_allocated, chunk);

	if (r < 0)
		return r;
	*ret = chunk;
	s->next_free = br_snap_data_chunk(&s->layout, chunk + 1);
	s->nr_allocated++;
	return 0;
}

/* Under lock.  While all that is under way belongs to one queue, nobody has to help it along. */
static void note_queue(struct br_snap_store *s, struct br_queue *q)
{
	if (br_list_empty(&s->order) && !s->committing) {
		s->only_queue = q;
		s->mixed = false;
	}
	s->mixed |= s->only_queue != q;
}

int br_snap_store_alloc(struct br_snap_store *s, uint64_t old_chunk, struct br_snap_commit *c, struct br_op *op)
{
	int r;

	*c = (struct br_snap_commit){ .old_chunk = old_chunk, .op = op };
	br_list_init(&c->link);
	lock(s);
	note_queue(s, op->queue);
	if (s->state != BR_SNAP_VALID)
		r = -EIO;
	else
		r = s->transient ? take_transient(s, &c->new_chunk) : take_persistent(s, &c->new_chunk);
	if (r == 0)
		br_list_add_tail(&s->order, &c->link);
	unlock(s);
	return r;
}

/* ---- commit ------------------------------------------------------------------------------------------------------ */

/*
 * One group commit after another, while anything is ready:
 *
 *	freeze()		# the ready ones at the head of the order, up to the end of the page
 *	wipe_tail()		# once after an open: what a torn or foreign commit left behind the last entry
 *	zero_next_area()	# if this batch fills the area: its successor must end the list
 *	token = flush(store)	# submitted after the freeze: data, tail and next area are durable
 *	write(page, FUA, token)
 *	publish()		# grant who waits
 *
 * Crash: before the page, nothing of the batch is on disk; torn page, a part of it is, whose data is durable.
 */
enum { C_FREEZE, C_TAIL, C_NEXT_AREA, C_FLUSH, C_WRITE, C_PUBLISH, C_FAILED, C_END };

/* Proof that a flush was submitted after the freeze of the batch with this number, and has completed (decision D3). */
struct flushed {
	uint64_t batch;
};

static struct br_snap_store *of_commit(struct br_op *op)
{
	return br_container_of(op, struct br_snap_store, commit.op);
}

static struct br_snap_commit *to_commit(struct br_list *l)
{
	return br_container_of(l, struct br_snap_commit, link);
}

/* Under lock: may the first in order go, now? */
static struct br_snap_commit *next_ready(struct br_snap_store *s)
{
	struct br_list *l;

	br_list_for_each(l, &s->order) {
		if (to_commit(l)->ready)
			return to_commit(l);
		if (!BR_MUTANT("snap-commit-out-of-order"))
			return NULL;	/* an older one is still being copied */
	}
	return NULL;
}

/* Under lock.  A place whose copy failed is in no order any more: one chunk of the store is left behind, no entry. */
static void freeze(struct br_snap_store *s)
{
	uint64_t room = br_snap_entries_per_page(s) - s->nr % br_snap_entries_per_page(s);
	struct br_snap_commit *c;

	s->batch_n = 0;
	while (s->batch_n < room && (c = next_ready(s))) {
		br_list_del(&c->link);
		br_list_add_tail(&s->batch, &c->link);
		s->batch_n++;
	}
	s->commits++;
}

static void fill_page(struct br_snap_store *s)
{
	uint64_t per_page = br_snap_entries_per_page(s), page_no = s->nr / per_page, i = s->nr % per_page;
	struct br_list *l;

	if (page_no != s->page_no) {
		memset(s->page, 0, s->page_bytes);
		s->page_no = page_no;
	}
	br_list_for_each(l, &s->batch)
		br_snap_entry_put(s->page, i++, (struct br_snap_entry){ to_commit(l)->old_chunk,
									to_commit(l)->new_chunk });
}

static int step_freeze(struct br_op *op)
{
	struct br_snap_store *s = of_commit(op);
	bool failed;

	lock(s);
	failed = s->state != BR_SNAP_VALID;
	freeze(s);
	unlock(s);
	if (!s->batch_n)
		return C_END;
	if (failed)
		return br_op_fail(op, -EIO);
	fill_page(s);
	return s->tail_dirty ? C_TAIL : C_NEXT_AREA;
}

/*
 * From the first block behind the last entry's on, in this page too: the page that is written next may be torn, and a
 * later block of it that keeps old entries would bring them to life as soon as the earlier ones are full.
 */
static int step_tail(struct br_op *op)
{
	struct br_snap_store *s = of_commit(op);
	uint64_t at = br_snap_entry_offset(&s->layout, s->nr), chunk = s->layout.chunk_bytes;
	uint64_t block = s->dev->logical_block, end = at - at % chunk + chunk, from = (at + block - 1) / block * block;

	if (from < end && !BR_MUTANT("snap-keep-stale-tail"))
		br_snap_work_simple(&s->commit, BR_WRITE_ZEROES, from, end - from);
	return br_op_await(op, C_NEXT_AREA);
}

static int step_next_area(struct br_op *op)
{
	struct br_snap_store *s = of_commit(op);
	uint64_t after = s->nr + s->batch_n, chunk = s->layout.chunk_bytes;

	s->tail_dirty = false;
	if (after % s->layout.entries == 0 && !BR_MUTANT("snap-off-by-one-area"))
		br_snap_work_simple(&s->commit, BR_WRITE_ZEROES,
				  br_snap_area_chunk(&s->layout, after / s->layout.entries) * chunk, chunk);
	return br_op_await(op, C_FLUSH);
}

static int step_flush(struct br_op *op)
{
	struct br_snap_store *s = of_commit(op);

	if (!BR_MUTANT("snap-no-preflush"))
		br_snap_work_simple(&s->commit, BR_FLUSH, 0, 0);
	return br_op_await(op, C_WRITE);
}

static void write_page(struct br_snap_store *s, struct flushed token)
{
	struct br_req req = { .op = BR_WRITE, .flags = BR_FUA, .length = s->page_bytes };

	/* Cannot be: the token is made where the flush of this batch has completed. */
	if (token.batch != s->commits) {
		br_op_launch(&s->commit.op);
		br_op_done(&s->commit.op, -EIO);
		return;
	}
	if (BR_MUTANT("snap-page-no-fua"))
		req.flags = 0;
	req.offset = br_snap_page_offset(s, s->nr);
	br_snap_work_page(&s->commit, req, s->page);
}

/* We are here because the flush of step_flush() has completed. */
static int step_write(struct br_op *op)
{
	struct br_snap_store *s = of_commit(op);

	write_page(s, (struct flushed){ s->commits });
	return br_op_await(op, C_PUBLISH);
}

static void grant_batch(struct br_snap_store *s, int error)
{
	struct br_list *l;

	while ((l = br_list_pop(&s->batch))) {
		struct br_snap_commit *c = to_commit(l);

		if (c->foreign)
			br_wait_end(s->ctx);
		c->error = error;
		br_op_grant(c->op, 0);
	}
}

static int step_publish(struct br_op *op)
{
	struct br_snap_store *s = of_commit(op);

	lock(s);
	s->nr += s->batch_n;
	unlock(s);
	grant_batch(s, 0);
	return C_FREEZE;
}

/*
 * What is on disk now is not known, so nothing may be acknowledged that depends on it (decision D9): the store is done
 * for. The mark is written by whoever was waiting, through br_snap_store_invalidate().
 */
static int step_failed(struct br_op *op)
{
	struct br_snap_store *s = of_commit(op);

	lock(s);
	if (s->state == BR_SNAP_VALID)
		s->state = BR_SNAP_INVALIDATING;
	unlock(s);
	grant_batch(s, op->error);
	br_op_clear_error(op);
	return C_FREEZE;
}

static int step_end(struct br_op *op)
{
	(void)op;
	return BR_OP_END;
}

/* Under lock: begin, unless one runs, which will see what became ready. */
static bool should_commit(struct br_snap_store *s)
{
	if (s->committing || !next_ready(s))
		return false;
	s->committing = true;
	return true;
}

/*
 * Only now is the op's memory free for the next one: until committing is false nobody else may begin.  What became
 * ready since the last freeze found it true and began nothing, so that is for us to do.
 */
static void commit_finish(struct br_op *op, int error)
{
	struct br_snap_store *s = of_commit(op);
	bool again;

	(void)error;
	lock(s);
	s->committing = false;
	again = should_commit(s);
	unlock(s);
	if (again)
		br_op_start(op, op->cls, op->queue);
}

static const struct br_op_step commit_steps[] = {
	[C_FREEZE] = { "freeze", step_freeze, C_FAILED },
	[C_TAIL] = { "wipe-tail", step_tail, C_FAILED },
	[C_NEXT_AREA] = { "zero-next-area", step_next_area, C_FAILED },
	[C_FLUSH] = { "flush", step_flush, C_FAILED },
	[C_WRITE] = { "write", step_write, C_FAILED },
	[C_PUBLISH] = { "publish", step_publish, C_FAILED },
	[C_FAILED] = { "failed", step_failed, BR_OP_END },
	[C_END] = { "end", step_end, BR_OP_END },
};

static const struct br_op_class commit_class = { "snap-commit", commit_finish, commit_steps };

static void commit_transient(struct br_snap_store *s, struct br_snap_commit *c)
{
	lock(s);
	br_list_del(&c->link);
	c->error = s->state == BR_SNAP_VALID ? 0 : -EIO;
	s->nr++;
	unlock(s);
}

void br_snap_store_commit(struct br_snap_store *s, struct br_chan *chan, struct br_snap_commit *c)
{
	bool begin;

	if (s->transient) {
		commit_transient(s, c);
		return;
	}
	br_op_launch(c->op);
	lock(s);
	c->ready = true;
	c->foreign = s->mixed;
	if (c->foreign)
		br_wait_begin(s->ctx);
	begin = should_commit(s);
	unlock(s);
	if (begin)
		br_snap_work_start(&s->commit, &commit_class, chan, NULL);
}

void br_snap_store_abort(struct br_snap_store *s, struct br_chan *chan, struct br_snap_commit *c)
{
	bool begin;

	lock(s);
	br_list_del(&c->link);
	if (!s->transient)
		s->nr_allocated--;	/* the chunk is lost, the entry is not */
	begin = !s->transient && should_commit(s);
	unlock(s);
	if (begin)
		br_snap_work_start(&s->commit, &commit_class, chan, NULL);
}

/* ---- usage ------------------------------------------------------------------------------------------------------- */

struct br_snap_usage br_snap_store_usage(struct br_snap_store *s)
{
	struct br_snap_usage u = { 0 };

	lock(s);
	u.allocated = s->next_free;
	u.metadata = s->transient ? 0 : s->nr / s->layout.entries + 2;
	u.total = s->layout.chunks;
	u.exceptions = s->nr;
	unlock(s);
	return u;
}

int br_snap_store_resized(struct br_snap_store *s)
{
	struct br_snap_layout layout;
	int r = br_snap_layout_init(&layout, s->layout.chunk_bytes, atomic_load(&s->dev->bytes));

	if (r < 0)
		return r;
	lock(s);
	if (layout.chunks < s->next_free)
		r = br_error(-EINVAL, "%s: store shrank below what is in use", s->dev->name);
	else
		s->layout.chunks = layout.chunks;
	unlock(s);
	return r;
}
