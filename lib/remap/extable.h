/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The exception table: where the chunks of a snapshot lie that have been copied already, old chunk -> new chunk.
 *
 *	br_extable_new(env, 0, &t);
 *
 *	br_dset_enter(lane, chunk, &entry);                          reader, any number of them, no lock
 *	state = br_extable_lookup(t, chunk, &where);
 *
 *	r = br_extable_reserve(t, 1);                                writer, under the family's lock: may fail, so early
 *	...the chunk is copied, its exception durable...
 *	br_extable_insert(t, chunk, where, BR_EX_DRAINING);          cannot fail any more
 *	br_dset_quiesce(set, chunk, ...);                            those who read the origin for it
 *	br_extable_set_done(t, chunk);
 *
 * Chunk numbers, old and new, are below BR_EX_CHUNK_END.
 *
 * Look-ups write nothing, wait for nobody and may run in any number beside one writer.  Writers are serialised by the
 * caller.  The insert's last store and the look-up's first load of the entry's line are seq_cst: who entered the
 * deferred set before he looked up has either seen the insert or is seen by the quiescer who inserted (protocols P5).
 */
#ifndef BR_REMAP_EXTABLE_H
#define BR_REMAP_EXTABLE_H

#include <stdint.h>

struct blkremap_env;
struct br_extable;

#define BR_EX_CHUNK_END (UINT64_C(1) << 48)

enum {
	BR_EX_NONE = 0,		/* not in the table */
	BR_EX_DRAINING,		/* completed, but readers of the origin may be under way: do not overwrite that yet */
	BR_EX_DONE		/* completed, and nobody reads the origin for it */
};

struct br_exception {
	uint64_t old_chunk, new_chunk;
};

/* @max_bytes bounds the memory, 0: no bound.  Takes next to none before the first insert.  -ENOMEM. */
int br_extable_new(const struct blkremap_env *env, uint64_t max_bytes, struct br_extable **ret);
void br_extable_free(struct br_extable *t);	/* NULL is fine; nobody looks up */

/* A BR_EX_x; *ret_new is written unless that is NONE.  Any thread. */
int br_extable_lookup(const struct br_extable *t, uint64_t old_chunk, uint64_t *ret_new);
/* Begin to fetch what a look-up will need: for all requests of a batch first, then look them up. */
void br_extable_prefetch(const struct br_extable *t, uint64_t old_chunk);

/*
 * Promise room for @n_more inserts, on top of what was promised before and not used.  Each insert uses up one, if there
 * is one.  For requests in flight; who loads a store inserts without a promise, for the memory that a million unknown
 * chunks may need is twice what they will.  -ENOMEM: no memory, or beyond the bound; nothing was promised.
 */
int br_extable_reserve(struct br_extable *t, uint64_t n_more);
/* Give back promises that will not be used: the copy has failed. */
void br_extable_unreserve(struct br_extable *t, uint64_t n);
/* @state is DRAINING or DONE.  -EEXIST: is there already.  -ENOMEM: only without a promise. */
int br_extable_insert(struct br_extable *t, uint64_t old_chunk, uint64_t new_chunk, int state);
void br_extable_set_done(struct br_extable *t, uint64_t old_chunk);
int br_extable_remove(struct br_extable *t, uint64_t old_chunk);	/* -ENOENT */

uint64_t br_extable_count(const struct br_extable *t);
uint64_t br_extable_bytes(const struct br_extable *t);		/* all that is allocated, retired memory included */

/* The first exception with an old chunk in [from, limit), or -ENOENT.  A writer's call, or with no writer about. */
int br_extable_next(const struct br_extable *t, uint64_t from, uint64_t limit, struct br_exception *ret);

/* Nobody looks up during these two. */
void br_extable_clear(struct br_extable *t);
void br_extable_reclaim(struct br_extable *t);	/* give back what look-ups might have been reading still */

#endif /* BR_REMAP_EXTABLE_H */
