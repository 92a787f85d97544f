/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of blocks of 256 KiB, each NULL (reads as zeroes) or memory.  The block's lock is held while its bytes are
 * copied, so that a discard on another queue does not free them meanwhile; memory is taken and given back outside of
 * it.
 */
#include "io/memory.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/mutex.h"
#include "blkremap/blkremap.h"
#include "io/dev.h"

#define BLOCK UINT64_C(262144)

struct block {
	struct br_mutex lock;
	char *data;			/* under the lock */
};

struct memory {
	struct br_dev dev;
	uint64_t max_bytes;
	size_t nr_blocks;
	struct block *blocks;
};

/* The part of a request that lies in one block. */
struct part {
	struct block *block;
	uint64_t at;			/* of the request */
	uint64_t begin, length;		/* of the block */
};

static struct memory *to_memory(struct br_dev *dev)
{
	return br_container_of(dev, struct memory, dev);
}

static bool next_part(struct memory *m, uint64_t offset, uint64_t length, struct part *p)
{
	uint64_t pos;

	p->at += p->length;
	if (p->at == length)
		return false;
	pos = offset + p->at;
	p->block = &m->blocks[pos / BLOCK];
	p->begin = pos % BLOCK;
	p->length = BR_MIN(BLOCK - p->begin, length - p->at);
	return true;
}

static void lock(struct memory *m, struct block *b)
{
	br_mutex_lock(&b->lock, m->dev.ctx->env);
}

static void unlock(struct memory *m, struct block *b)
{
	br_mutex_unlock(&b->lock, m->dev.ctx->env);
}

/* ---- data ------------------------------------------------------------------------------------------------------ */

static void read_blocks(struct memory *m, struct br_req *req)
{
	struct part p = { .at = 0 };

	while (next_part(m, req->offset, req->length, &p)) {
		lock(m, p.block);
		br_req_copy_in(req, p.at, p.block->data ? p.block->data + p.begin : NULL, p.length);
		unlock(m, p.block);
	}
}

/* Locks the block, which has memory then; or fails. */
static int lock_with_memory(struct memory *m, struct block *b)
{
	char *fresh = NULL;

	lock(m, b);
	if (b->data)
		return 0;
	unlock(m, b);
	fresh = br_alloc_aligned(m->dev.ctx->env, BLOCK, 4096);
	if (!fresh)
		return -ENOMEM;
	lock(m, b);
	if (!b->data) {
		b->data = fresh;
		return 0;
	}
	unlock(m, b);	/* another queue was faster */
	br_free(m->dev.ctx->env, fresh, BLOCK);
	return lock_with_memory(m, b);
}

static int write_blocks(struct memory *m, struct br_req *req)
{
	struct part p = { .at = 0 };
	int r;

	while (next_part(m, req->offset, req->length, &p)) {
		r = lock_with_memory(m, p.block);
		if (r < 0)
			return r;
		br_req_copy_out(req, p.at, p.block->data + p.begin, p.length);
		unlock(m, p.block);
	}
	return 0;
}

/* Whole blocks are given back; @keep: zeroed in place. */
static void clear(struct memory *m, uint64_t offset, uint64_t length, bool keep)
{
	struct part p = { .at = 0 };

	while (next_part(m, offset, length, &p)) {
		char *unused = NULL;

		lock(m, p.block);
		if (p.length == BLOCK && !keep) {
			unused = p.block->data;
			p.block->data = NULL;
		} else if (p.block->data) {
			memset(p.block->data + p.begin, 0, p.length);
		}
		unlock(m, p.block);
		br_free(m->dev.ctx->env, unused, BLOCK);
	}
}

/* ---- extents --------------------------------------------------------------------------------------------------- */

static uint64_t iov_bytes(const struct br_req *req)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < req->iovcnt; i++)
		n += req->iov[i].iov_len;
	return n - req->iov_skip;
}

static bool has_data(struct memory *m, struct block *b)
{
	bool yes;

	lock(m, b);
	yes = b->data;
	unlock(m, b);
	return yes;
}

static int32_t list_extents(struct memory *m, const struct br_req *req)
{
	uint64_t max = iov_bytes(req) / sizeof(struct blkremap_extent);
	struct blkremap_extent e = { .kind = 0 };
	struct part p = { .at = 0 };
	int32_t n = 0;

	while (next_part(m, req->offset, req->length, &p)) {
		uint32_t kind = has_data(m, p.block) ? BLKREMAP_EXT_DATA : BLKREMAP_EXT_HOLE | BLKREMAP_EXT_ZERO;
		uint64_t pos = req->offset + p.at;

		if (n && kind == e.kind)
			e.length += p.length;
		else if ((uint64_t)n < max)
			e = (struct blkremap_extent){ .offset = pos, .length = p.length, .kind = kind, .at = pos,
						      .dev_id = m->dev.id }, n++;
		else
			break;
		br_req_copy_in(req, (uint64_t)(n - 1) * sizeof(e), &e, sizeof(e));
	}
	return n;
}

/* ---- the device ------------------------------------------------------------------------------------------------ */

static int32_t perform(struct memory *m, struct br_req *req)
{
	switch (req->op) {
	case BR_READ:
		read_blocks(m, req);
		return 0;
	case BR_WRITE:
		return write_blocks(m, req);
	case BR_DISCARD:
		clear(m, req->offset, req->length, false);
		return 0;
	case BR_WRITE_ZEROES:
		clear(m, req->offset, req->length, !(req->flags & BR_MAY_UNMAP));
		return 0;
	case BR_EXTENTS:
		return list_extents(m, req);
	default:
		return 0;	/* FLUSH: there is nothing to wait for */
	}
}

static void memory_submit(struct br_chan *chan, struct br_req *req)
{
	br_req_complete(req, perform(to_memory(chan->dev), req));
}

/* What lies beyond the end is zeroed when it comes into being, so what a late write left there is never seen. */
static int memory_resize(struct br_dev *dev, uint64_t bytes, uint64_t *ret_bytes)
{
	struct memory *m = to_memory(dev);
	uint64_t old = atomic_load(&dev->bytes);

	if (!bytes)
		bytes = old;
	if (bytes > m->max_bytes || bytes % dev->logical_block)
		return br_error(-EINVAL, "%s cannot have %" PRIu64 " bytes, the most is %" PRIu64, dev->name, bytes,
				m->max_bytes);
	if (bytes < old) {
		atomic_store(&dev->bytes, bytes);
		clear(m, bytes, old - bytes, false);
	} else {
		clear(m, old, bytes - old, false);
		atomic_store(&dev->bytes, bytes);
	}
	*ret_bytes = bytes;
	return 0;
}

static void free_memory(struct memory *m, const struct blkremap_env *env)
{
	for (size_t i = 0; i < m->nr_blocks; i++)
		br_free(env, m->blocks[i].data, BLOCK);
	br_free(env, m->blocks, m->nr_blocks * sizeof(*m->blocks));
	br_free(env, m, sizeof(*m));
}

static int memory_close(struct br_dev *dev)
{
	free_memory(to_memory(dev), dev->ctx->env);
	return 0;
}

static const struct br_dev_ops memory_ops = {
	.type = "memory",
	.chan_bytes = sizeof(struct br_chan),
	.submit = memory_submit,
	.resize = memory_resize,
	.close = memory_close,
};

static int check_opts(const struct br_memory_opts *o, uint32_t logical_block, uint64_t max_bytes)
{
	if (!br_is_pow2(logical_block) || logical_block < 512 || logical_block > 4096)
		return br_error(-EINVAL, "a logical block of %u bytes is not 512 ... 4096", logical_block);
	if (!o->bytes || o->bytes % logical_block)
		return br_error(-EINVAL, "%" PRIu64 " bytes are no multiple of %u", o->bytes, logical_block);
	if (max_bytes < o->bytes || max_bytes / BLOCK >= SIZE_MAX / sizeof(struct block))
		return br_error(-EINVAL, "a memory device of %" PRIu64 " bytes cannot grow to %" PRIu64, o->bytes,
				max_bytes);
	return 0;
}

static void fill_dev(struct br_dev *dev, const struct br_memory_opts *o, uint32_t logical_block)
{
	uint32_t caps = BR_CAP_EXTENTS | BR_CAP_GROW | BR_CAP_SHRINK;

	if (!o->read_only)
		caps |= BR_CAP_WRITE | BR_CAP_FUA | BR_CAP_DISCARD | BR_CAP_DISCARD_ZEROES | BR_CAP_WRITE_ZEROES |
			BR_CAP_FAST_ZEROES;
	dev->engine = "memory";
	dev->bytes = o->bytes;
	dev->caps = caps;
	dev->logical_block = dev->physical_block = logical_block;
	dev->discard_granularity = (uint32_t)BLOCK;
	dev->buffer_align = 1;
}

int br_memory_open(struct br_ctx *ctx, const struct br_memory_opts *opts, struct br_dev **ret_dev)
{
	uint32_t logical_block = opts->logical_block ? opts->logical_block : 512;
	uint64_t max_bytes = opts->max_bytes ? opts->max_bytes : opts->bytes;
	struct memory *m;
	int r = check_opts(opts, logical_block, max_bytes);

	if (r < 0)
		return r;
	m = br_alloc(ctx->env, sizeof(*m));
	if (!m)
		return br_error(-ENOMEM, "no memory for a device");
	m->max_bytes = max_bytes;
	m->nr_blocks = (size_t)br_div_up(max_bytes, BLOCK);
	m->blocks = br_alloc(ctx->env, m->nr_blocks * sizeof(*m->blocks));
	if (!m->blocks) {
		br_free(ctx->env, m, sizeof(*m));
		return br_error(-ENOMEM, "no memory for the table of %" PRIu64 " bytes", max_bytes);
	}
	fill_dev(&m->dev, opts, logical_block);
	r = br_dev_add(&m->dev, ctx, &memory_ops, opts->name);
	if (r < 0) {
		free_memory(m, ctx->env);
		return r;
	}
	*ret_dev = &m->dev;
	return 0;
}
