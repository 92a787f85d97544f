/* SPDX-License-Identifier: BSD-3-Clause */
#include "meta/snap-repair.h"

#include <errno.h>

#include "base/env.h"
#include "base/error.h"
#include "meta/snap-rewrite.h"

struct repair {
	const struct blkremap_env *env;
	const struct br_snap_io *from, *to;
	const struct br_snap_repair_visitor *visitor;
	struct br_snap_repaired *ret;
	struct br_snap_layout layout;	/* of the old store */
	struct br_snap_rewrite w;	/* of the new one, with its own layout */
	uint64_t next;			/* data chunk of the new store */
	uint8_t *data;
};

static int told(void *arg, const struct br_snap_finding *f)
{
	struct repair *rp = arg;

	return rp->visitor->finding && !f->of_entry ? rp->visitor->finding(rp->visitor->arg, f) : 0;
}

static int lose(struct repair *rp, struct br_snap_entry e, uint64_t index, const char *text)
{
	rp->ret->lost++;
	return rp->visitor->lost ? rp->visitor->lost(rp->visitor->arg, e.old_chunk, index, text) : 0;
}

/* The old store's layout is known: make the new one's. */
static int begin(void *arg, const struct br_snap_verdict *v)
{
	struct repair *rp = arg;
	struct br_snap_layout l;
	int r;

	rp->layout = v->layout;
	rp->next = br_snap_data_chunk(&v->layout, 0);
	r = rp->visitor->begin ? rp->visitor->begin(rp->visitor->arg, v) : 0;
	if (r || !rp->to)
		return r;
	r = br_snap_layout_init(&l, v->layout.chunk_bytes, rp->to->bytes);
	if (r < 0)
		return br_error(-ENOSPC, "a store of %" PRIu64 " bytes has no room for a table with chunks of %" PRIu64,
				rp->to->bytes, v->layout.chunk_bytes);
	rp->data = br_alloc_aligned(rp->env, br_snap_piece_bytes(&l), 4096);
	if (!rp->data)
		return br_error(-ENOMEM, "no memory for a piece of %zu bytes", br_snap_piece_bytes(&l));
	return br_snap_rewrite_begin(&rp->w, rp->env, rp->to, &l);
}

/* Copy the data of @e.  0; 1: it cannot be read; -errno: it cannot be written. */
static int copy_chunk(struct repair *rp, struct br_snap_entry e)
{
	uint64_t chunk_bytes = rp->layout.chunk_bytes;
	size_t piece = br_snap_piece_bytes(&rp->layout);

	for (uint64_t at = 0; at < chunk_bytes; at += piece) {
		int r = rp->from->read(rp->from->arg, e.new_chunk * chunk_bytes + at, rp->data, piece);

		if (r < 0)
			return 1;
		r = rp->to->write(rp->to->arg, rp->next * chunk_bytes + at, rp->data, piece);
		if (r < 0)
			return r;
	}
	return 0;
}

static int keep(struct repair *rp, struct br_snap_entry e, uint64_t index)
{
	int r = 0;

	if (rp->to) {
		r = br_snap_may_allocate(&rp->w.layout, rp->w.count, rp->next);
		if (r == 0)
			r = copy_chunk(rp, e);
		if (r > 0)
			return lose(rp, e, index, br_snap_fault_text(BR_SNAP_DATA_LOST));
		if (r == 0)
			r = br_snap_rewrite_put(&rp->w, (struct br_snap_entry){ e.old_chunk, rp->next });
	}
	if (r < 0)
		return r;
	rp->next = br_snap_data_chunk(&rp->layout, rp->next + 1);
	rp->ret->kept++;
	return 0;
}

static int entry(void *arg, struct br_snap_entry e, uint64_t index, enum br_snap_fault fault)
{
	struct repair *rp = arg;

	if (fault)
		return lose(rp, e, index, br_snap_fault_text(fault));
	return keep(rp, e, index);
}

int br_snap_repair(const struct blkremap_env *env, const struct br_snap_io *from, const struct br_snap_check_opts *opts,
		   const struct br_snap_io *to, const struct br_snap_repair_visitor *visitor,
		   struct br_snap_repaired *ret)
{
	struct br_snap_repaired done = { .kept = 0 };
	struct repair rp = { .env = env, .from = from, .to = to, .visitor = visitor, .ret = &done };
	struct br_snap_check_opts o = opts ? *opts : (struct br_snap_check_opts){ .deep = false };
	const struct br_snap_visitor v = { .finding = told, .begin = begin, .entry = entry, .arg = &rp };
	int r;

	if (to)
		o.deep = false;
	r = br_snap_check(env, from, &o, &v, &done.was);
	if (r == 0 && to)
		r = br_snap_rewrite_end(&rp.w, true);
	br_snap_rewrite_done(&rp.w);
	br_free(env, rp.data, rp.layout.chunk_bytes ? br_snap_piece_bytes(&rp.layout) : 0);
	if (r == 0) {
		done.bytes_needed = br_snap_store_bytes(done.kept * rp.layout.chunk_bytes, rp.layout.chunk_bytes);
		*ret = done;
	}
	return r;
}
