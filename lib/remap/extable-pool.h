/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of an exception table: pages and leaves, taken from the environment in slabs, given back and taken again.
 *
 * What has been a page stays a page until the table is gone or nobody looks up (trim), and a leaf a leaf: a look-up
 * that is late reads numbers that mean nothing, notices, and begins again, but it never reads through a wrong address.
 * So what is retired can be used again at once, without waiting for readers.
 */
#ifndef BR_REMAP_EXTABLE_POOL_H
#define BR_REMAP_EXTABLE_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "remap/extable-page.h"

struct blkremap_env;
struct br_exslab;

/* The writer's. */
struct br_expool {
	const struct blkremap_env *env;
	uint64_t max_bytes, bytes;	/* 0: no bound; all that is allocated, the table itself included */
	struct br_exslab *page_slabs, *leaf_slabs;
	struct br_expage *free_pages;
	uint64_t nr_pages, nr_free;	/* pages */
	struct br_exleaf *free_leaves;
	uint64_t nr_leaves, nr_free_leaves;
	bool wants_leaves;		/* one was needed and not there: the next reserve sees to it */
};

/* Memory that counts, zeroed, or NULL: there is none, or none within the bound. */
void *br_expool_alloc(struct br_expool *pool, size_t bytes, size_t align);
void br_expool_free(struct br_expool *pool, void *p, size_t bytes);

/* See to it that @n pages, or leaves, are free: -ENOMEM.  Nothing else here allocates. */
int br_expool_want_pages(struct br_expool *pool, uint64_t n);
int br_expool_want_leaves(struct br_expool *pool, uint64_t n);

/* An empty page; there must be one. */
struct br_expage *br_expool_take_page(struct br_expool *pool);
void br_expool_give_page(struct br_expool *pool, struct br_expage *p);
/* A leaf with anything in it, or NULL: none is free, which is noted. */
struct br_exleaf *br_expool_take_leaf(struct br_expool *pool);
void br_expool_give_leaf(struct br_expool *pool, struct br_exleaf *leaf);

/*
 * Nobody looks up.  Trim: give back the slabs none of whose pages is in use, as long as @keep pages stay free; done:
 * give back everything.
 */
void br_expool_trim(struct br_expool *pool, uint64_t keep);
void br_expool_done(struct br_expool *pool);

#endif /* BR_REMAP_EXTABLE_POOL_H */
