/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How it works.  A piece owns a buffer, one request to read into it and WRITES requests to write from it: with more
 * destinations than that, each request goes on to the next destination when it is done with one.
 *
 *	copy is in a line -> piece: read -> writes ... -> buffer back -> next piece of whoever is first
 *
 * Requests complete from the queue's ready list, never inside br_submit(), so nothing here is entered twice.
 */
#include "remap/copier.h"

#include "base/checked.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/mutant.h"
#include "io/dev.h"
#include "op/op.h"

#include <errno.h>
#include <string.h>

enum { BUFFER_ALIGN = 4096, WRITES = 4, MAX_BUFFERS = 1024, FOREGROUND_IN_A_ROW = 8 };

struct piece;

struct piece_write {
	struct br_req req;
	struct piece *piece;
	struct br_copy_dest *dest;
	struct iovec iov;
};

struct piece {
	struct br_list link;		/* of the free ones */
	struct br_copier *copier;
	struct br_copy *copy;
	uint64_t at, bytes;		/* of the source */
	char *buffer;
	struct iovec iov;
	struct br_req read;
	uint32_t next_dest, writes_out;
	struct piece_write writes[WRITES];
};

struct br_copier {
	struct br_queue *queue;
	uint32_t nr_pieces, buffer_bytes;
	char *buffers;
	struct br_list free;
	struct br_list foreground, background;	/* struct br_copy.link */
	uint32_t background_out;		/* pieces */
	uint32_t in_a_row;			/* foreground pieces started while background waited */
	struct piece pieces[];
};

static bool is_background(const struct br_copy *copy)
{
	return copy->flags & BR_BACKGROUND;
}

/* ---- whose turn it is ------------------------------------------------------------------------------------------ */

static struct br_copy *first_of(struct br_list *line)
{
	return br_list_empty(line) ? NULL : br_container_of(line->next, struct br_copy, link);
}

static bool background_may_go(const struct br_copier *c)
{
	return c->background_out < BR_MAX(c->nr_pieces / 2, 1U);
}

/* Foreground first, but not for ever. */
static struct br_copy *next_copy(struct br_copier *c)
{
	struct br_copy *fore = first_of(&c->foreground);
	struct br_copy *back = background_may_go(c) ? first_of(&c->background) : NULL;

	if (fore && back && c->in_a_row < FOREGROUND_IN_A_ROW) {
		c->in_a_row++;
		return fore;
	}
	if (back)
		c->in_a_row = 0;
	return back ? back : fore;
}

/* No more pieces than those under way. */
static void stop(struct br_copy *copy)
{
	copy->end = copy->at;
	br_list_del(&copy->link);
}

/* ---- a piece --------------------------------------------------------------------------------------------------- */

/* Returns the copy if this was the end of it. */
static struct br_copy *free_piece(struct piece *p)
{
	struct br_copy *copy = p->copy;

	br_list_add_tail(&p->copier->free, &p->link);
	p->copier->background_out -= is_background(copy);
	copy->pieces--;
	return copy->pieces || copy->at < copy->end ? NULL : copy;
}

/* Destinations have larger blocks than the source, perhaps: what exceeds its end is zeroes. */
static uint64_t write_length(const struct piece *p, const struct br_dev *dest)
{
	uint64_t length = br_div_up(p->bytes, dest->logical_block) * dest->logical_block;

	length = BR_MIN(length, (uint64_t)p->copier->buffer_bytes);
	if (length > p->bytes)
		memset(p->buffer + p->bytes, 0, length - p->bytes);
	return length;
}

static bool start_write(struct piece *p, struct piece_write *w)
{
	struct br_copy *copy = p->copy;

	while (p->next_dest < copy->nr_dests && copy->dests[p->next_dest].result < 0)
		p->next_dest++;
	if (p->next_dest == copy->nr_dests)
		return false;
	w->dest = &copy->dests[p->next_dest++];
	w->iov = (struct iovec){ p->buffer, write_length(p, w->dest->chan->dev) };
	w->req = (struct br_req){
		.op = BR_WRITE, .flags = copy->flags & (BR_FUA | BR_BACKGROUND), .length = w->iov.iov_len,
		.offset = w->dest->offset + (p->at - copy->offset), .iov = &w->iov, .iovcnt = 1, .done = w->req.done,
	};
	p->writes_out++;
	br_submit(w->dest->chan, &w->req);
	return true;
}

static bool any_dest_left(const struct br_copy *copy)
{
	for (uint32_t i = 0; i < copy->nr_dests; i++)
		if (copy->dests[i].result >= 0)
			return true;
	return false;
}

static void fail_dest(struct br_copy *copy, struct br_copy_dest *d, const struct br_req *req)
{
	if (d->result < 0)
		return;
	d->result = req->result;
	d->code = req->code;
	if (!any_dest_left(copy))
		stop(copy);
}

static void fail_source(struct br_copy *copy, const struct br_req *req)
{
	if (copy->error)
		return;
	copy->error = req->result;
	copy->code = req->code;
	for (uint32_t i = 0; i < copy->nr_dests && !BR_MUTANT("copier-forgets-dests"); i++) {
		if (copy->dests[i].result < 0)
			continue;
		copy->dests[i].result = req->result;
		copy->dests[i].code = req->code;
	}
	stop(copy);
}

/* ---- from piece to piece --------------------------------------------------------------------------------------- */

static void start_read(struct br_copier *c, struct br_copy *copy)
{
	struct piece *p = br_container_of(br_list_pop(&c->free), struct piece, link);

	p->copy = copy;
	p->at = copy->at;
	p->bytes = BR_MIN(copy->end - copy->at, (uint64_t)c->buffer_bytes);
	p->next_dest = p->writes_out = 0;
	p->iov = (struct iovec){ p->buffer, p->bytes };
	p->read = (struct br_req){
		.op = BR_READ, .flags = copy->flags & BR_BACKGROUND, .offset = p->at, .length = p->bytes,
		.iov = &p->iov, .iovcnt = 1, .done = p->read.done,
	};
	copy->at += p->bytes;
	copy->pieces++;
	c->background_out += is_background(copy);
	if (copy->at == copy->end)
		br_list_del(&copy->link);
	br_submit(copy->source, &p->read);
}

static void start_pieces(struct br_copier *c)
{
	struct br_copy *copy;

	while (!br_list_empty(&c->free) && (copy = next_copy(c)))
		start_read(c, copy);
}

static void end_piece(struct piece *p)
{
	struct br_copier *c = p->copier;
	struct br_copy *over = free_piece(p);

	if (over)
		br_op_done(over->op, over->error);
	start_pieces(c);
}

static void write_done(struct br_req *req)
{
	struct piece_write *w = br_container_of(req, struct piece_write, req);
	struct piece *p = w->piece;

	p->writes_out--;
	if (req->result < 0)
		fail_dest(p->copy, w->dest, req);
	if (!start_write(p, w) && !p->writes_out)
		end_piece(p);
}

static void read_done(struct br_req *req)
{
	struct piece *p = br_container_of(req, struct piece, read);

	if (req->result < 0)
		fail_source(p->copy, req);
	for (unsigned i = 0; i < WRITES; i++)
		start_write(p, &p->writes[i]);
	if (!p->writes_out)
		end_piece(p);
}

static uint64_t clipped_end(const struct br_copy *copy)
{
	uint64_t bytes = atomic_load_explicit(&copy->source->dev->bytes, memory_order_relaxed);

	if (copy->offset >= bytes)
		return copy->offset;
	return copy->offset + BR_MIN(copy->length, bytes - copy->offset);
}

void br_copier_start(struct br_copier *c, struct br_copy *copy, struct br_op *op)
{
	for (uint32_t i = 0; i < copy->nr_dests; i++) {
		copy->dests[i].result = 0;
		copy->dests[i].code = 0;
	}
	copy->op = op;
	copy->code = 0;
	copy->error = 0;
	copy->pieces = 0;
	copy->at = copy->offset;
	copy->end = copy->nr_dests ? clipped_end(copy) : copy->offset;
	if (copy->at == copy->end)
		return;
	br_op_launch(op);
	br_list_add_tail(is_background(copy) ? &c->background : &c->foreground, &copy->link);
	start_pieces(c);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static size_t copier_size(uint32_t buffers)
{
	return sizeof(struct br_copier) + buffers * sizeof(struct piece);
}

static void init_piece(struct br_copier *c, struct piece *p, char *buffer)
{
	p->copier = c;
	p->buffer = buffer;
	p->read.done = read_done;	/* set once: each reuse keeps it */
	for (unsigned i = 0; i < WRITES; i++) {
		p->writes[i].piece = p;
		p->writes[i].req.done = write_done;
	}
	br_list_add_tail(&c->free, &p->link);
}

static void init_copier(struct br_copier *c)
{
	br_list_init(&c->free);
	br_list_init(&c->foreground);
	br_list_init(&c->background);
	for (uint32_t i = 0; i < c->nr_pieces; i++)
		init_piece(c, &c->pieces[i], c->buffers + (size_t)i * c->buffer_bytes);
}

int br_copier_open(struct br_queue *queue, uint32_t buffers, uint32_t buffer_bytes, struct br_copier **ret_copier)
{
	const struct blkremap_env *env = queue->ctx->env;
	struct br_copier *c;

	if (!buffers || buffers > MAX_BUFFERS || !buffer_bytes || buffer_bytes % BUFFER_ALIGN ||
	    buffer_bytes > BR_COPIER_MAX_BYTES)
		return br_error(-EINVAL, "a copier cannot have %u buffers of %u bytes", buffers, buffer_bytes);
	c = br_alloc(env, copier_size(buffers));
	if (!c)
		return br_error(-ENOMEM, "no memory for a copier with %u buffers", buffers);
	c->queue = queue;
	c->nr_pieces = buffers;
	c->buffer_bytes = buffer_bytes;
	c->buffers = br_alloc_aligned(env, (size_t)buffers * buffer_bytes, BUFFER_ALIGN);
	if (!c->buffers) {
		br_free(env, c, copier_size(buffers));
		return br_error(-ENOMEM, "no memory for %u buffers of %u bytes", buffers, buffer_bytes);
	}
	init_copier(c);
	*ret_copier = c;
	return 0;
}

void br_copier_close(struct br_copier *c)
{
	const struct blkremap_env *env;

	if (!c)
		return;
	env = c->queue->ctx->env;
	br_free(env, c->buffers, (size_t)c->nr_pieces * c->buffer_bytes);
	br_free(env, c, copier_size(c->nr_pieces));
}
