/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk as pessimistic as the crash model permits (D1 to D6); it knows nothing of the library and of time.
 *
 * Unit: the logical block, 512 or 4096 bytes, which is also what a power cut does not tear.  Three things are kept: the
 * stable image, the visible image (what reads return), and the list of unstable writes: in flight, or completed and not
 * covered by a flush.
 *
 *	w = sim_disk_write(d, 8, 2, data, flags);	in flight: may or may not survive a crash, each block for itself
 *	sim_write_end(d, w, 0);				visible; still unstable
 *	at = sim_disk_flush(d);				a flush begins
 *	sim_flush_end(d, at, 0);			stable: what had completed before the flush began, nothing else
 *
 * A crash leaves in each block its stable content or that of any unstable write that covers it; sim_crash.h enumerates.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "sim/blob.h"

enum { SIM_MAX_DISKS = 8, SIM_DISK_NAME = 24 };
enum { SIM_WRITE_FUA = 1, SIM_WRITE_DISCARD = 2 };

/* How a disk behaves.  Zero: a volatile cache with FUA and write-zeroes, no discard. */
struct sim_disk_kind {
	bool no_cache;		/* completed means stable */
	bool no_fua;
	bool no_write_zeroes;
	bool discard;		/* offered; afterwards a block reads its old content or zeroes ... */
	bool discard_zeroes;	/* ... or zeroes for sure */
	uint64_t max_bytes;	/* grows up to here; 0: never */
};

struct sim_write {
	struct br_list link;			/* of sim_disk.unstable, by submission */
	uint64_t first;				/* block */
	uint32_t n, flags;
	uint64_t submit_seq, done_seq;		/* done_seq 0: in flight */
	bool lost;				/* it or a flush failed: no later flush covers it (D6) */
	uint32_t id;				/* of this disk's writes, from 1, for traces */
	const struct sim_blob *data[];		/* NULL: superseded, cannot come back in a crash */
};

struct sim_disk {
	char name[SIM_DISK_NAME];
	uint32_t index, block_bytes;
	uint64_t nr_blocks;
	struct sim_disk_kind kind;
	const struct sim_blob **stable, **visible;
	uint64_t *stable_seq;			/* done_seq of what is stable */
	struct br_list unstable;
	uint32_t nr_unstable, writes;
	uint64_t seq;				/* counts submissions and completions of this disk */
	uint64_t stable_hash;			/* of all stable blocks and their places */
	struct sim_blobs *blobs;
};

struct sim_disk *sim_disk_new(struct sim_blobs *blobs, const char *name, uint32_t index, uint64_t bytes,
			      uint32_t block_bytes, const struct sim_disk_kind *kind);
/* What is stable there is stable and visible here. */
struct sim_disk *sim_disk_fork(const struct sim_disk *from);
void sim_disk_free(struct sim_disk *d);

/* @data NULL: zeroes.  With DISCARD and neither zero flag: undefined content. */
struct sim_write *sim_disk_write(struct sim_disk *d, uint64_t first, uint32_t n, const void *data, uint32_t flags);
/* @keep: on error, which of its blocks (bit i % 64) are visible nevertheless.  The write may be gone afterwards. */
void sim_write_end(struct sim_disk *d, struct sim_write *w, int error, uint64_t keep);
uint64_t sim_disk_flush(struct sim_disk *d);
void sim_flush_end(struct sim_disk *d, uint64_t at, int error);
void sim_disk_read(const struct sim_disk *d, uint64_t first, uint32_t n, void *data);
void sim_disk_grow(struct sim_disk *d, uint64_t bytes);

/* For images: put @b into stable and visible. */
void sim_disk_poke(struct sim_disk *d, uint64_t block, const struct sim_blob *b);
/* Contribution of one block to the hash of an image. */
uint64_t sim_block_hash(const struct sim_disk *d, uint64_t block, const struct sim_blob *b);

#endif /* SIM_DISK_H */
