/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pool of equal objects, all allocated when it is made: taking one never allocates and may fail.
 * Private to one owner; no lock.
 */
#ifndef BR_BASE_POOL_H
#define BR_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

struct blkremap_env;

struct br_pool {
	const struct blkremap_env *env;
	void *memory;
	size_t bytes;
	void *free;			/* first; each free object begins with a pointer to the next */
	uint32_t nr_free;
};

/* @size: of one object, at least a pointer; @align: a power of two.  0 or -ENOMEM. */
int br_pool_init(struct br_pool *p, const struct blkremap_env *env, size_t size, size_t align, uint32_t n);
void br_pool_done(struct br_pool *p);		/* all given back, or abandoned */
void *br_pool_take(struct br_pool *p);		/* not cleared; NULL: none left */
void br_pool_give(struct br_pool *p, void *object);

#endif /* BR_BASE_POOL_H */
