/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A set of chunk numbers that grows with what is in it, not with the device; sees that each chunk is used once.
 *
 *	br_chunk_set_init(&set, env);
 *	r = br_chunk_set_add(&set, chunk);	1: it is new; 0: it was there; -ENOMEM
 *	br_chunk_set_done(&set);
 *
 * Memory is 21 to 43 bytes for each group of 64 chunks that has a member: half a byte a chunk where they lie together,
 * at most 43 bytes where they are scattered.  A device that claims to be huge costs nothing.
 */
#ifndef BR_META_CHUNK_SET_H
#define BR_META_CHUNK_SET_H

#include <stdbool.h>
#include <stdint.h>

struct blkremap_env;

/* One thread's. */
struct br_chunk_set {
	const struct blkremap_env *env;
	struct br_chunk_group *groups;	/* hash by open addressing; NULL while nothing is in it */
	uint64_t nr_groups;		/* places, a power of two */
	uint64_t used;			/* places taken, at most 3/4 */
	uint64_t count;			/* chunks in the set */
};

void br_chunk_set_init(struct br_chunk_set *set, const struct blkremap_env *env);
void br_chunk_set_done(struct br_chunk_set *set);
int br_chunk_set_add(struct br_chunk_set *set, uint64_t chunk);
bool br_chunk_set_has(const struct br_chunk_set *set, uint64_t chunk);

#endif /* BR_META_CHUNK_SET_H */
