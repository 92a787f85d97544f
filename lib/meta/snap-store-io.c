/* SPDX-License-Identifier: BSD-3-Clause */
/* The rarer work of a snapshot store: load, format, the invalid mark, and taking entries off the end for merge. */
#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/mutant.h"
#include "meta/snap-internal.h"

static void lock(struct br_snap_store *s)
{
	br_mutex_lock(&s->lock, s->ctx->env);
}

static void unlock(struct br_snap_store *s)
{
	br_mutex_unlock(&s->lock, s->ctx->env);
}

static void finish_for_parent(struct br_op *op, int error)
{
	struct br_snap_work *io = br_container_of(op, struct br_snap_work, op);

	br_op_done(io->parent, error);
}

static int step_end(struct br_op *op)
{
	(void)op;
	return BR_OP_END;
}

/* ---- load -------------------------------------------------------------------------------------------------------- */

int br_snap_store_probe(struct br_sync *io, struct br_dev *dev, struct br_snap_header *ret)
{
	const struct blkremap_env *env = dev->ctx->env;
	uint32_t bytes = BR_MAX(dev->logical_block, (uint32_t)BR_SNAP_HEADER_BYTES);
	void *sector;
	int r;

	if (atomic_load(&dev->bytes) < bytes)
		return br_error(-ENODATA, "%s: too small to hold a snapshot store", dev->name);
	sector = br_alloc_aligned(env, bytes, BR_SNAP_PAGE_BYTES);
	if (!sector)
		return -ENOMEM;
	r = br_sync_read(io, sector, bytes, 0);
	if (r == 0)
		r = br_snap_header_parse(sector, ret);
	else
		br_error(r, "%s: cannot read the header", dev->name);
	br_free(env, sector, bytes);
	return r;
}

enum { AHEAD = 32 };

/* Entries are announced some time before they are handed over, so that the memory they will need is on its way. */
struct load {
	struct br_snap_loader *loader;
	const struct br_snap_reader *reader;
	struct br_snap_entry ring[AHEAD];
	uint64_t in, out;		/* numbers of entries announced and handed over */
};

static int hand_over(struct load *l)
{
	struct br_snap_entry e = l->ring[l->out % AHEAD];
	int r = l->reader->take(l->reader->arg, e);

	if (r == -EEXIST)
		r = br_snap_loader_old_twice(l->loader, e, l->out);
	l->out++;
	return r;
}

static int loaded_entry(void *arg, struct br_snap_entry e, uint64_t index)
{
	struct load *l = arg;
	int r = 0;

	(void)index;
	if (l->in - l->out == AHEAD)
		r = hand_over(l);
	l->reader->announce(l->reader->arg, e);
	l->ring[l->in++ % AHEAD] = e;
	return r;
}

/* The page that the next entry goes to, without what lies behind the last one. */
static void keep_tail(struct br_snap_store *s, uint8_t *area, const struct br_snap_loaded *end)
{
	uint64_t per_page = br_snap_entries_per_page(s);

	s->tail_dirty = br_snap_area_trim(&s->layout, area, end->used);
	s->nr = s->nr_allocated = end->count;
	s->next_free = end->next_free;
	s->page_no = end->count / per_page;
	memcpy(s->page, area + end->used / per_page * s->page_bytes, s->page_bytes);
}

static int load_areas(struct br_snap_store *s, struct br_sync *io, uint8_t *area, struct load *l)
{
	uint64_t chunk = s->layout.chunk_bytes, at;
	struct br_snap_loaded end;
	int r;

	do {
		at = br_snap_loader_chunk(l->loader) * chunk;
		r = br_sync_read(io, area, chunk, at);
		if (r < 0)
			return br_error(r, "%s: cannot read the area at offset %" PRIu64, s->dev->name, at);
		r = br_snap_loader_area(l->loader, area, loaded_entry, l);
	} while (r == 1);
	while (r == 0 && l->out < l->in)
		r = hand_over(l);
	if (r < 0)
		return r;
	br_snap_loader_result(l->loader, &end);
	keep_tail(s, area, &end);
	return 0;
}

int br_snap_store_load(struct br_snap_store *s, struct br_sync *io, uint64_t origin_chunks,
		       const struct br_snap_reader *reader)
{
	const struct blkremap_env *env = s->ctx->env;
	struct load l = { .reader = reader };
	uint8_t *area;
	int r;

	r = br_snap_loader_new(env, &s->layout, origin_chunks, &l.loader);
	if (r < 0)
		return r;
	area = br_alloc_aligned(env, s->layout.chunk_bytes, BR_SNAP_PAGE_BYTES);
	r = area ? load_areas(s, io, area, &l) : br_error(-ENOMEM, "no memory for an area of %" PRIu64 " bytes",
							  s->layout.chunk_bytes);
	br_free(env, area, s->layout.chunk_bytes);
	br_snap_loader_free(l.loader);
	return r;
}

/* ---- format ------------------------------------------------------------------------------------------------------ */

/*
 * Make an empty store:
 *
 *	wipe(header chunk); flush()	# the old store is gone as a whole, before anything of its area is
 *	wipe(area 0); flush()		# so are old bytes in the area
 *	write(header, FUA)
 *
 * Crash before the first flush: still the old store, or a blank one.  Before the header is durable: blank.  After:
 * empty.
 */
enum { F_WIPE, F_WIPED, F_AREA, F_FLUSH, F_HEADER, F_END };

static struct br_snap_store *of_merge(struct br_op *op)
{
	return br_container_of(op, struct br_snap_store, merge.op);
}

static int step_wipe(struct br_op *op)
{
	struct br_snap_store *s = of_merge(op);

	if (s->transient)
		return F_END;
	br_snap_work_simple(&s->merge, BR_WRITE_ZEROES, 0, s->layout.chunk_bytes);
	return br_op_await(op, F_WIPED);
}

static int step_wiped(struct br_op *op)
{
	br_snap_work_simple(&of_merge(op)->merge, BR_FLUSH, 0, 0);
	return br_op_await(op, F_AREA);
}

static int step_area(struct br_op *op)
{
	struct br_snap_store *s = of_merge(op);

	br_snap_work_simple(&s->merge, BR_WRITE_ZEROES, s->layout.chunk_bytes, s->layout.chunk_bytes);
	return br_op_await(op, BR_MUTANT("snap-format-no-flush") ? F_HEADER : F_FLUSH);
}

static int step_area_wiped(struct br_op *op)
{
	br_snap_work_simple(&of_merge(op)->merge, BR_FLUSH, 0, 0);
	return br_op_await(op, F_HEADER);
}

static void write_header(struct br_snap_store *s, struct br_snap_work *io, void *buf, bool valid)
{
	struct br_req req = { .op = BR_WRITE, .flags = BR_FUA, .length = s->header_bytes };

	memset(buf, 0, s->header_bytes);
	br_snap_header_format(buf, (uint32_t)(s->layout.chunk_bytes / 512), valid);
	br_snap_work_page(io, req, buf);
}

static int step_header(struct br_op *op)
{
	struct br_snap_store *s = of_merge(op);

	write_header(s, &s->merge, s->header, true);
	return br_op_await(op, F_END);
}

static const struct br_op_step format_steps[] = {
	[F_WIPE] = { "wipe", step_wipe, BR_OP_END },
	[F_WIPED] = { "wiped", step_wiped, BR_OP_END },
	[F_AREA] = { "area", step_area, BR_OP_END },
	[F_FLUSH] = { "flush", step_area_wiped, BR_OP_END },
	[F_HEADER] = { "header", step_header, BR_OP_END },
	[F_END] = { "end", step_end, BR_OP_END },
};

static const struct br_op_class format_class = { "snap-format", finish_for_parent, format_steps };

void br_snap_store_format(struct br_snap_store *s, struct br_chan *chan, struct br_op *op)
{
	lock(s);
	s->state = BR_SNAP_VALID;
	s->marking = false;
	s->invalid_error = 0;
	s->nr = s->nr_allocated = 0;
	s->next_free = s->transient ? 0 : br_snap_data_chunk(&s->layout, 0);
	s->page_no = 0;
	s->tail_dirty = false;
	unlock(s);
	memset(s->page, 0, s->page_bytes);
	br_snap_work_start(&s->merge, &format_class, chan, op);
}

/* ---- the invalid mark -------------------------------------------------------------------------------------------- */

/*
 *	write(header, valid = 0, FUA)	# from a buffer of its own: an area page may be on its way at the same time
 *	grant(all who wait)		# only now may the origin write go out that the store could not preserve
 *
 * If the mark cannot be written the store device is dead; the waiters go on, and store->invalid_error tells why nobody
 * can promise that the next open will refuse it (protocols.md P8).
 */
enum { I_MARK, I_DONE };

static int step_mark(struct br_op *op)
{
	struct br_snap_store *s = br_container_of(op, struct br_snap_store, mark.op);

	if (s->transient)
		return I_DONE;
	write_header(s, &s->mark, BR_MUTANT("snap-header-shares-buffer") ? s->page : s->header, false);
	return br_op_await(op, I_DONE);
}

static int step_marked(struct br_op *op)
{
	struct br_snap_store *s = br_container_of(op, struct br_snap_store, mark.op);
	struct br_list all, *l;

	br_list_init(&all);
	lock(s);
	s->state = BR_SNAP_INVALID;
	s->invalid_error = op->error;
	br_list_splice(&all, &s->waiters);
	unlock(s);
	while ((l = br_list_pop(&all))) {
		br_wait_end(s->ctx);
		br_op_grant(br_container_of(l, struct br_snap_invalidate, link)->op, 0);
	}
	br_op_clear_error(op);
	return BR_OP_END;
}

static const struct br_op_step mark_steps[] = {
	[I_MARK] = { "mark", step_mark, I_DONE },
	[I_DONE] = { "marked", step_marked, BR_OP_END },
};

static const struct br_op_class mark_class = { "snap-invalidate", NULL, mark_steps };

void br_snap_store_invalidate(struct br_snap_store *s, struct br_chan *chan, struct br_snap_invalidate *w,
			      struct br_op *op)
{
	bool begin, over;

	w->op = op;
	lock(s);
	over = s->state == BR_SNAP_INVALID || BR_MUTANT("snap-invalidate-after-origin-write");
	begin = s->state != BR_SNAP_INVALID && !s->marking;
	s->marking |= begin;
	if (s->state == BR_SNAP_VALID)
		s->state = BR_SNAP_INVALIDATING;
	if (!over) {
		br_op_launch(op);
		br_wait_begin(s->ctx);
		br_list_add_tail(&s->waiters, &w->link);
	}
	unlock(s);
	if (begin)
		br_snap_work_start(&s->mark, &mark_class, chan, NULL);
}

/* ---- from the end ------------------------------------------------------------------------------------------------ */

/*
 * Make the page of the last entry the one in memory.  The store takes no new exceptions any more, so nobody else needs
 * it.
 */
enum { L_READ, L_CHECK, L_FAILED, L_END };

static int step_read(struct br_op *op)
{
	struct br_snap_store *s = of_merge(op);
	uint64_t last = s->nr - 1, page_no = last / br_snap_entries_per_page(s);
	struct br_req req = { .op = BR_READ, .length = s->page_bytes };

	if (!s->nr || page_no == s->page_no)
		return L_END;
	s->page_no = page_no;
	req.offset = br_snap_page_offset(s, last);
	br_snap_work_page(&s->merge, req, s->page);
	return br_op_await(op, L_CHECK);
}

/* A removal that failed may have reached the disk: what it took away must not be believed to be chunk 0. */
static int step_check(struct br_op *op)
{
	struct br_snap_store *s = of_merge(op);
	uint64_t end = (s->nr - 1) % br_snap_entries_per_page(s) + 1;

	for (uint64_t i = 0; i < end; i++)
		if (!br_snap_entry_get(s->page, i).new_chunk)
			return br_op_fail(op, br_error(-EIO, "%s: entries are gone that were there before an error",
						       s->dev->name));
	return L_END;
}

/*
 * Whatever is in the buffer now, it is no page of the store: it must be read again before anything is believed of it.
 */
static int step_no_page(struct br_op *op)
{
	of_merge(op)->page_no = BR_SNAP_NO_PAGE;
	return BR_OP_END;
}

static const struct br_op_step last_steps[] = {
	[L_READ] = { "read", step_read, L_FAILED },
	[L_CHECK] = { "check", step_check, L_FAILED },
	[L_FAILED] = { "failed", step_no_page, BR_OP_END },
	[L_END] = { "end", step_end, BR_OP_END },
};

static const struct br_op_class last_class = { "snap-last", finish_for_parent, last_steps };

void br_snap_store_last(struct br_snap_store *s, struct br_chan *chan, struct br_op *op)
{
	br_snap_work_start(&s->merge, &last_class, chan, op);
}

uint64_t br_snap_store_tail(struct br_snap_store *s, uint64_t max, struct br_snap_entry *out)
{
	uint64_t in_page = s->nr ? (s->nr - 1) % br_snap_entries_per_page(s) + 1 : 0, n = BR_MIN(max, in_page);

	for (uint64_t i = 0; i < n; i++)
		out[i] = br_snap_entry_get(s->page, in_page - 1 - i);
	return n;
}

/* Crash: the page is rewritten with a shorter prefix, and torn only between "still there" and "gone", from the end. */
enum { R_WRITE, R_FAILED, R_DONE };

static int step_remove(struct br_op *op)
{
	struct br_snap_store *s = of_merge(op);
	uint64_t per_page = br_snap_entries_per_page(s), end = (s->nr - 1) % per_page + 1;
	struct br_req req = { .op = BR_WRITE, .flags = BR_FUA, .length = s->page_bytes };

	memset(s->page + (end - s->merge.n) * BR_SNAP_ENTRY_BYTES, 0, s->merge.n * BR_SNAP_ENTRY_BYTES);
	if (BR_MUTANT("merge-remove-no-fua"))
		req.flags = 0;
	req.offset = br_snap_page_offset(s, s->nr - 1);
	br_snap_work_page(&s->merge, req, s->page);
	return br_op_await(op, R_DONE);
}

static int step_removed(struct br_op *op)
{
	struct br_snap_store *s = of_merge(op);

	lock(s);
	s->nr -= s->merge.n;
	s->nr_allocated = s->nr;
	s->next_free = br_snap_data_chunk(&s->layout, br_snap_area_chunk(&s->layout, s->nr / s->layout.entries) +
						      s->nr % s->layout.entries + 1);
	unlock(s);
	return BR_OP_END;
}

static const struct br_op_step remove_steps[] = {
	[R_WRITE] = { "write", step_remove, R_FAILED },
	[R_FAILED] = { "failed", step_no_page, BR_OP_END },
	[R_DONE] = { "removed", step_removed, BR_OP_END },
};

static const struct br_op_class remove_class = { "snap-remove", finish_for_parent, remove_steps };

void br_snap_store_remove(struct br_snap_store *s, struct br_chan *chan, uint64_t n, struct br_op *op)
{
	s->merge.n = n;
	br_snap_work_start(&s->merge, &remove_class, chan, op);
}
