/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looking at a snapshot store that nobody has open: every finding, and every entry with what is wrong with it.  Made
 * for damaged stores, goes on after the first finding, writes nothing.  snap-dump and snap-repair are visitors of it.
 *
 *	struct br_snap_io io = { .read = my_read, .arg = me, .bytes = size };
 *	struct br_snap_visitor v = { .finding = print, .arg = me };
 *	r = br_snap_check(env, &io, NULL, &v, &verdict);
 *	verdict.worst: 0 clean, 1 note, 2 unclean, 3 corrupt
 *
 * Without a header, or with a damaged one, the chunk size is guessed: the first entry of a store names chunk 2, so the
 * smallest power of two where that stands is it.
 */
#ifndef BR_META_SNAP_CHECK_H
#define BR_META_SNAP_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "meta/snap-format.h"

/* The largest piece that is read or written at once. */
enum { BR_SNAP_PIECE_MAX = 256 * 1024 };

/*
 * A store to look at or to write, in the caller's thread; the calls block.  Offsets and lengths are multiples of 512,
 * and of the chunk size where that is less than BR_SNAP_PIECE_MAX, except for the first sector and the guesses.
 */
struct br_snap_io {
	int (*read)(void *arg, uint64_t offset, void *buf, size_t len);	/* all of it, or -errno */
	int (*write)(void *arg, uint64_t offset, const void *buf, size_t len);
	int (*flush)(void *arg);
	void *arg;
	uint64_t bytes;
};

struct br_snap_check_opts {
	uint64_t origin_bytes;	/* 0: unknown, so that no old chunk is out of range */
	uint64_t chunk_bytes;	/* what a damaged header should say; 0: guess */
	bool deep;		/* read the data, too */
};

enum br_snap_severity {
	BR_SNAP_NOTE = 1,	/* worth knowing */
	BR_SNAP_UNCLEAN = 2,	/* consistent, with traces of a crash or lost space */
	BR_SNAP_CORRUPT = 3,	/* something is lost or cannot be trusted */
};

struct br_snap_finding {
	enum br_snap_severity severity;
	uint64_t offset, length;	/* bytes of the store */
	const char *text;		/* until the next br_error() of this thread */
	bool of_entry;			/* about one bad entry, which the visitor is shown next */
};

/* What is known so far; complete when br_snap_check() has returned 0. */
struct br_snap_verdict {
	int worst;			/* of the findings; 0: none */
	uint64_t nr_findings[4];	/* by severity */
	bool header_good;		/* the header could be read and made sense */
	bool valid;			/* as the header says; true if nobody knows */
	struct br_snap_layout layout;
	uint64_t areas;			/* read, at least in part */
	uint64_t good, bad;		/* entries */
	uint64_t unknown;		/* entries that could not be read */
	uint64_t leaked;		/* data chunks below the highest used that no good entry names */
	uint64_t next_free;
};

/* What to call; NULL: nothing.  A result that is not 0 ends the check and is returned. */
struct br_snap_visitor {
	int (*finding)(void *arg, const struct br_snap_finding *f);
	/* The layout is known; entries follow.  @v stays until the check returns and grows meanwhile. */
	int (*begin)(void *arg, const struct br_snap_verdict *v);
	/* Every entry in the table's order, the bad ones too.  A repeated chunk is the fault of the later. */
	int (*entry)(void *arg, struct br_snap_entry e, uint64_t index, enum br_snap_fault fault);
	void *arg;
};

/*
 * 0: looked at everything, see @ret; -ENODATA: blank; -EBADMSG: damaged so that no entry can be found; -EOVERFLOW: too
 * new; -ENOMEM; a visitor's result.  What was wrong has been told as a finding in each case but the last two.  @ret is
 * filled in every case with what was known by then.
 */
int br_snap_check(const struct blkremap_env *env, const struct br_snap_io *io, const struct br_snap_check_opts *opts,
		  const struct br_snap_visitor *visitor, struct br_snap_verdict *ret);

/* Bytes of one piece of a chunk. */
size_t br_snap_piece_bytes(const struct br_snap_layout *l);

#endif /* BR_META_SNAP_CHECK_H */
