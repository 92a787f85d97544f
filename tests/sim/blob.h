/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blobs: the contents of one block of a simulated disk, immutable once made, so that a thousand images can share them.
 *
 * They live on a stack: worlds are nested strictly (a recovery runs inside the crash that it recovers from), so
 * whatever the inner world made is given back at once.
 *
 *	mark = sim_blobs_mark(bs);
 *	b = sim_blob_make(bs, data, 512);
 *	sim_blobs_release(bs, mark);		b is gone
 */
#ifndef SIM_BLOB_H
#define SIM_BLOB_H

#include <stddef.h>
#include <stdint.h>

struct sim_blob {
	uint64_t hash;		/* equal hashes are taken for equal contents */
	uint8_t data[];
};

struct sim_blobs {
	uint8_t **slabs;
	uint32_t nr_slabs, slab;	/* made; in use: the last one of these */
	size_t used;			/* bytes of slabs[slab] */
	const struct sim_blob *zero512, *zero4096;
};

struct sim_blobs_mark {
	uint32_t slab;
	size_t used;
};

/* Splitmix64's finaliser: what every hash of the simulator is made of. */
static inline uint64_t sim_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void sim_blobs_init(struct sim_blobs *bs);
void sim_blobs_done(struct sim_blobs *bs);
struct sim_blobs_mark sim_blobs_mark(const struct sim_blobs *bs);
void sim_blobs_release(struct sim_blobs *bs, struct sim_blobs_mark mark);

const struct sim_blob *sim_blob_make(struct sim_blobs *bs, const void *data, uint32_t bytes);
const struct sim_blob *sim_blob_zero(const struct sim_blobs *bs, uint32_t bytes);	/* 512 or 4096 */

uint64_t sim_hash(const void *data, size_t bytes);	/* bytes: a multiple of 8 */
/* Memory for the simulator itself: does not fail. */
void *sim_alloc(size_t bytes);
void *sim_realloc(void *p, size_t bytes);

#endif /* SIM_BLOB_H */
