/* SPDX-License-Identifier: BSD-3-Clause */
#include "meta/snap-rewrite.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/error.h"

static size_t piece_bytes(const struct br_snap_rewrite *w)
{
	return br_snap_piece_bytes(&w->layout);
}

static int flush(struct br_snap_rewrite *w)
{
	return w->io->flush ? w->io->flush(w->io->arg) : 0;
}

/* The first piece of chunk 0, from w->piece, durably. */
static int write_header(struct br_snap_rewrite *w)
{
	int r = w->io->write(w->io->arg, 0, w->piece, piece_bytes(w));

	return r < 0 ? r : flush(w);
}

int br_snap_rewrite_begin(struct br_snap_rewrite *w, const struct blkremap_env *env, const struct br_snap_io *io,
			  const struct br_snap_layout *layout)
{
	*w = (struct br_snap_rewrite){ .env = env, .io = io, .layout = *layout };
	w->piece = br_alloc_aligned(env, piece_bytes(w), 4096);
	if (!w->piece)
		return br_error(-ENOMEM, "no memory for a piece of %zu bytes", piece_bytes(w));
	return write_header(w);
}

/* Write the piece that entry @first begins, and empty it. */
static int write_piece(struct br_snap_rewrite *w, uint64_t first)
{
	int r = w->io->write(w->io->arg, br_snap_entry_offset(&w->layout, first), w->piece, piece_bytes(w));

	memset(w->piece, 0, piece_bytes(w));
	return r;
}

int br_snap_rewrite_put(struct br_snap_rewrite *w, struct br_snap_entry e)
{
	uint64_t n = piece_bytes(w) / BR_SNAP_ENTRY_BYTES;

	br_snap_entry_put(w->piece, w->count % n, e);
	w->count++;
	return w->count % n ? 0 : write_piece(w, w->count - n);
}

/* The piece at hand, and zeros to the end of its area: an area whose last slot is taken is followed by an empty one. */
static int write_end(struct br_snap_rewrite *w)
{
	uint64_t n = piece_bytes(w) / BR_SNAP_ENTRY_BYTES;
	uint64_t at = w->count - w->count % n;
	int r;

	do {
		r = write_piece(w, at);
		at += n;
	} while (r >= 0 && at % w->layout.entries);
	return r;
}

int br_snap_rewrite_end(struct br_snap_rewrite *w, bool valid)
{
	int r = write_end(w);

	if (r >= 0)
		r = flush(w);
	if (r < 0)
		return r;
	br_snap_header_format(w->piece, (uint32_t)(w->layout.chunk_bytes / BR_SNAP_SECTOR), valid);
	return write_header(w);
}

void br_snap_rewrite_done(struct br_snap_rewrite *w)
{
	if (w->piece)
		br_free(w->env, w->piece, piece_bytes(w));
	w->piece = NULL;
}
