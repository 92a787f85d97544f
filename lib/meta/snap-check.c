/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How it works: header -> layout -> the areas in pieces -> sums.  One struct goes through it.  A step that finds
 * something says so by finding() and goes on if there is anything to go on with; only a visitor's wish or missing
 * memory ends it early, and then the result is passed up unchanged.
 *
 * A piece that cannot be read hides whether the table ended there.  What follows is taken for its continuation only if
 * it begins with an entry that is good by itself and names a higher chunk than any before: chunks are handed out
 * upwards, and what an earlier life of the device left where no area was yet hardly ever looks like that.
 */
#include "meta/snap-check.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/env.h"
#include "base/error.h"
#include "meta/chunk-set.h"

struct check {
	const struct blkremap_env *env;
	const struct br_snap_io *io;
	struct br_snap_check_opts opts;
	const struct br_snap_visitor *visitor;
	struct br_snap_verdict *v;
	struct br_chunk_set new_chunks, old_chunks;	/* of entries that are good but for their data */
	uint64_t origin_chunks;
	uint64_t highest;		/* new chunk among them */
	uint64_t index;			/* of the next entry */
	uint64_t in_doubt;		/* entries right before it that could not be read */
	bool ended;			/* the terminator was seen */
	uint8_t *piece, *data;		/* data: of a deep check */
};

size_t br_snap_piece_bytes(const struct br_snap_layout *l)
{
	return (size_t)BR_MIN(l->chunk_bytes, BR_SNAP_PIECE_MAX);
}

/* Tell that what br_error_text() says is so.  0 or the visitor's result. */
static int tell(struct check *c, const struct br_snap_finding *f)
{
	c->v->nr_findings[f->severity]++;
	c->v->worst = BR_MAX(c->v->worst, (int)f->severity);
	return c->visitor->finding ? c->visitor->finding(c->visitor->arg, f) : 0;
}

static int finding(struct check *c, enum br_snap_severity severity, uint64_t offset, uint64_t length)
{
	return tell(c, &(struct br_snap_finding){ severity, offset, length, br_error_text(), false });
}

static int bad_entry(struct check *c, struct br_snap_entry e, enum br_snap_fault fault)
{
	br_snap_fault_error(&c->v->layout, c->index, e, fault);
	return tell(c, &(struct br_snap_finding){ BR_SNAP_CORRUPT, br_snap_entry_offset(&c->v->layout, c->index),
						  BR_SNAP_ENTRY_BYTES, br_error_text(), true });
}

/* The same, for what ends the check with @error. */
static int hopeless(struct check *c, int error, uint64_t length)
{
	int r = finding(c, BR_SNAP_CORRUPT, 0, length);

	return r ? r : error;
}

static int read_store(struct check *c, uint64_t offset, void *buf, size_t len)
{
	return c->io->read(c->io->arg, offset, buf, len);
}

/* ---- header ---- */

/* The chunk size that the first entry's place gives away, or 0. */
static uint64_t guess_chunk_bytes(struct check *c)
{
	uint8_t sector[BR_SNAP_SECTOR];

	for (uint64_t bytes = BR_SNAP_CHUNK_MIN_READ; bytes <= BR_SNAP_CHUNK_MAX; bytes *= 2) {
		struct br_snap_entry e;

		if (bytes + sizeof(sector) > c->io->bytes || read_store(c, bytes, sector, sizeof(sector)) < 0)
			return 0;
		e = br_snap_entry_get(sector, 0);
		if (e.new_chunk == 2 && e.old_chunk < BR_SNAP_CHUNK_LIMIT)
			return bytes;
	}
	return 0;
}

/* The header gave -errno @why.  Find the chunk size elsewhere, or end. */
static int without_header(struct check *c, int why, uint64_t *ret_chunk_bytes)
{
	uint64_t bytes = c->opts.chunk_bytes;
	int r;

	if (!bytes && why != -EOVERFLOW)
		bytes = guess_chunk_bytes(c);
	if (!bytes)
		return hopeless(c, why, BR_SNAP_HEADER_BYTES);
	r = finding(c, BR_SNAP_CORRUPT, 0, BR_SNAP_HEADER_BYTES);
	if (r)
		return r;
	if (!c->opts.chunk_bytes) {
		br_error(0, "what lies behind the header looks like chunks of %" PRIu64 " bytes", bytes);
		r = finding(c, BR_SNAP_NOTE, bytes, BR_SNAP_SECTOR);
	}
	*ret_chunk_bytes = bytes;
	return r;
}

static int check_header(struct check *c, uint64_t *ret_chunk_bytes)
{
	uint8_t sector[BR_SNAP_HEADER_BYTES];
	struct br_snap_header h;
	int r;

	c->v->valid = true;
	if (c->io->bytes < sizeof(sector)) {
		br_error(0, "store of %" PRIu64 " bytes has no room for a header", c->io->bytes);
		return hopeless(c, -EBADMSG, c->io->bytes);
	}
	r = read_store(c, 0, sector, sizeof(sector));
	if (r < 0)
		br_error(0, "the header cannot be read (error %d)", -r);
	else
		r = br_snap_header_parse(sector, &h);
	if (r < 0)
		return without_header(c, r, ret_chunk_bytes);
	c->v->header_good = true;
	c->v->valid = h.valid;
	*ret_chunk_bytes = (uint64_t)h.chunk_sectors * BR_SNAP_SECTOR;
	if (h.valid)
		return 0;
	br_error(0, "the store is marked invalid: it was full, or a device failed, and the origin went on without it");
	return finding(c, BR_SNAP_CORRUPT, 4, 4);
}

static int check_layout(struct check *c, uint64_t chunk_bytes)
{
	size_t piece;
	int r = br_snap_layout_init(&c->v->layout, chunk_bytes, c->io->bytes);

	if (r < 0)
		return hopeless(c, -EBADMSG, c->io->bytes);
	c->origin_chunks = BR_SNAP_CHUNK_LIMIT;
	if (c->opts.origin_bytes)
		c->origin_chunks = br_div_up(c->opts.origin_bytes, chunk_bytes);
	piece = br_snap_piece_bytes(&c->v->layout);
	c->piece = br_alloc_aligned(c->env, piece, 4096);
	c->data = br_alloc_aligned(c->env, piece, 4096);
	if (!c->piece || !c->data)
		return br_error(-ENOMEM, "no memory for a piece of %zu bytes", piece);
	return c->visitor->begin ? c->visitor->begin(c->visitor->arg, c->v) : 0;
}

/* ---- entries ---- */

/* A fault, or 0, or -ENOMEM.  A good entry is remembered. */
static int judge(struct check *c, struct br_snap_entry e)
{
	int r = (int)br_snap_entry_fault(&c->v->layout, c->origin_chunks, e);

	if (r)
		return r;
	if (br_chunk_set_has(&c->new_chunks, e.new_chunk))
		return BR_SNAP_NEW_TWICE;
	r = br_chunk_set_add(&c->old_chunks, e.old_chunk);
	if (r <= 0)
		return r < 0 ? r : BR_SNAP_OLD_TWICE;
	r = br_chunk_set_add(&c->new_chunks, e.new_chunk);
	return r < 0 ? r : 0;
}

static int read_data(struct check *c, struct br_snap_entry e)
{
	uint64_t chunk_bytes = c->v->layout.chunk_bytes, from = e.new_chunk * chunk_bytes;
	size_t piece = br_snap_piece_bytes(&c->v->layout);

	int r = 0;

	for (uint64_t at = 0; at < chunk_bytes && r >= 0; at += piece)
		r = read_store(c, from + at, c->data, piece);
	return r;
}

static int check_entry(struct check *c, struct br_snap_entry e)
{
	int r = 0, fault = judge(c, e);

	if (fault < 0)
		return fault;
	if (!fault)
		c->highest = BR_MAX(c->highest, e.new_chunk);
	if (!fault && c->opts.deep && read_data(c, e) < 0)
		fault = BR_SNAP_DATA_LOST;
	if (fault) {
		c->v->bad++;
		r = bad_entry(c, e, (enum br_snap_fault)fault);
	} else {
		c->v->good++;
	}
	if (!r && c->visitor->entry)
		r = c->visitor->entry(c->visitor->arg, e, c->index, (enum br_snap_fault)fault);
	c->index++;
	return r;
}

/* After something unreadable: does @e look like one of this table's? */
static bool continues(const struct check *c, struct br_snap_entry e)
{
	return e.new_chunk > c->highest && !br_snap_entry_fault(&c->v->layout, c->origin_chunks, e);
}

/* ---- areas ---- */

/* Read the piece at byte @at of an area into c->piece; zeros and a finding if that does not work. */
static int read_tail(struct check *c, uint64_t offset)
{
	size_t piece = br_snap_piece_bytes(&c->v->layout);
	int r = read_store(c, offset, c->piece, piece);

	if (r >= 0)
		return 0;
	memset(c->piece, 0, piece);
	br_error(0, "the unused end of an area cannot be read (error %d)", -r);
	return finding(c, BR_SNAP_CORRUPT, offset, piece);
}

/* Count what lies behind the table's end: in the piece at hand from entry @i on, and in the rest of the area. */
static int check_tail(struct check *c, uint64_t area_offset, uint64_t at, uint64_t i)
{
	size_t piece = br_snap_piece_bytes(&c->v->layout);
	uint64_t stale = 0, first = area_offset + at + i * BR_SNAP_ENTRY_BYTES;

	c->ended = true;
	while (at < c->v->layout.chunk_bytes) {
		for (; i < piece / BR_SNAP_ENTRY_BYTES; i++)
			stale += br_snap_entry_get(c->piece, i).new_chunk != 0;
		i = 0;
		at += piece;
		if (at < c->v->layout.chunk_bytes) {
			int r = read_tail(c, area_offset + at);

			if (r)
				return r;
		}
	}
	if (!stale)
		return 0;
	br_error(0, "%" PRIu64 " entries lie behind the end of the table (exception %" PRIu64
		 "): left by a write that was cut off", stale, c->index);
	return finding(c, BR_SNAP_UNCLEAN, first, area_offset + c->v->layout.chunk_bytes - first);
}

/* A piece of an area lies in c->piece. */
static int check_piece(struct check *c, uint64_t area_offset, uint64_t at)
{
	uint64_t n = br_snap_piece_bytes(&c->v->layout) / BR_SNAP_ENTRY_BYTES;
	int r;

	if (c->in_doubt && !continues(c, br_snap_entry_get(c->piece, 0))) {
		c->ended = true;
		return 0;
	}
	c->v->unknown += c->in_doubt;
	c->in_doubt = 0;
	for (uint64_t i = 0; i < n; i++) {
		struct br_snap_entry e = br_snap_entry_get(c->piece, i);

		if (!e.new_chunk)
			return check_tail(c, area_offset, at, i);
		r = check_entry(c, e);
		if (r)
			return r;
	}
	return 0;
}

static int check_area(struct check *c, uint64_t area_offset)
{
	size_t piece = br_snap_piece_bytes(&c->v->layout);
	int r = 0;

	c->v->areas++;
	for (uint64_t at = 0; at < c->v->layout.chunk_bytes && !r && !c->ended; at += piece) {
		uint64_t n = piece / BR_SNAP_ENTRY_BYTES;

		r = read_store(c, area_offset + at, c->piece, piece);
		if (r >= 0) {
			r = check_piece(c, area_offset, at);
			continue;
		}
		br_error(0, "the place of exceptions %" PRIu64 " to %" PRIu64 " cannot be read (error %d)", c->index,
			 c->index + n - 1, -r);
		c->index += n;
		c->in_doubt += n;
		r = finding(c, BR_SNAP_CORRUPT, area_offset + at, piece);
	}
	return r;
}

static int check_areas(struct check *c)
{
	const struct br_snap_layout *l = &c->v->layout;

	for (uint64_t area = 0; ; area++) {
		uint64_t chunk = br_snap_area_chunk(l, area);
		int r;

		if (chunk >= l->chunks) {
			br_error(0, "area %" PRIu64 " should be chunk %" PRIu64 ", and the store has %" PRIu64
				 " chunks: the table has no end", area, chunk, l->chunks);
			return finding(c, BR_SNAP_CORRUPT, l->chunks * l->chunk_bytes, 0);
		}
		r = check_area(c, chunk * l->chunk_bytes);
		if (r || c->ended)
			return r;
	}
}

/* ---- sums ---- */

static int check_sums(struct check *c)
{
	const struct br_snap_layout *l = &c->v->layout;
	uint64_t areas;

	/* If the table was cut off by unreadable pieces, nobody knows how many of them held entries. */
	c->v->unknown += c->in_doubt;
	c->v->next_free = br_snap_data_chunk(l, c->highest + 1);
	if (!c->highest)
		return 0;
	/* Chunks 1 to highest are areas, the data of good entries, or lost. */
	areas = (c->highest - 1) / (l->entries + 1) + 1;
	c->v->leaked = c->highest - areas - c->new_chunks.count;
	if (!c->v->leaked)
		return 0;
	br_error(0, "%" PRIu64 " of the chunks up to %" PRIu64 " hold no exception's data: space that stays lost",
		 c->v->leaked, c->highest);
	return finding(c, BR_SNAP_UNCLEAN, 0, c->highest * l->chunk_bytes);
}

static int check_all(struct check *c)
{
	uint64_t chunk_bytes = 0;
	int r = check_header(c, &chunk_bytes);

	if (!r)
		r = check_layout(c, chunk_bytes);
	if (!r)
		r = check_areas(c);
	return r ? r : check_sums(c);
}

int br_snap_check(const struct blkremap_env *env, const struct br_snap_io *io, const struct br_snap_check_opts *opts,
		  const struct br_snap_visitor *visitor, struct br_snap_verdict *ret)
{
	struct br_snap_verdict v = { .worst = 0 };
	struct check c = { .env = env, .io = io, .visitor = visitor, .v = &v };
	int r;

	if (opts)
		c.opts = *opts;
	br_chunk_set_init(&c.new_chunks, env);
	br_chunk_set_init(&c.old_chunks, env);
	r = check_all(&c);
	br_chunk_set_done(&c.new_chunks);
	br_chunk_set_done(&c.old_chunks);
	br_free(env, c.piece, v.layout.chunk_bytes ? br_snap_piece_bytes(&v.layout) : 0);
	br_free(env, c.data, v.layout.chunk_bytes ? br_snap_piece_bytes(&v.layout) : 0);
	*ret = v;
	return r;
}
