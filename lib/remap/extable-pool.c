/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A slab is an array of pages or leaves with its own description behind them, so that pages lie on their own size.
 * What is free is linked through its first words; these are atomic like all others, for a late look-up may read them.
 * A free page is marked in its first head, with flags that no page in use has, so that trim can tell.
 */
#include "remap/extable-pool.h"

#include "base/compiler.h"
#include "base/env.h"

#include <errno.h>

struct br_exslab {
	struct br_exslab *next;
	void *items;
	size_t bytes;			/* of the whole allocation */
	uint64_t nr;
};

enum {
	MAX_SLAB_PAGES = 128,		/* 2 MiB: beyond that, fewer calls would gain nothing */
	MIN_SLAB_LEAVES = 32, MAX_SLAB_LEAVES = 32768,
	FREE_MARK = 31 << BR_EXHEAD_DRAIN_SHIFT		/* all draining, none used */
};

void *br_expool_alloc(struct br_expool *pool, size_t bytes, size_t align)
{
	void *p;

	if (pool->max_bytes && (bytes > pool->max_bytes || pool->bytes > pool->max_bytes - bytes))
		return NULL;
	p = br_alloc_aligned(pool->env, bytes, align);
	if (p)
		pool->bytes += bytes;
	return p;
}

void br_expool_free(struct br_expool *pool, void *p, size_t bytes)
{
	if (p)
		pool->bytes -= bytes;
	br_free(pool->env, p, bytes);
}

static struct br_exslab *add_slab(struct br_expool *pool, struct br_exslab **list, size_t item_bytes, uint64_t nr)
{
	size_t align = item_bytes == BR_EXPAGE_BYTES ? BR_EXPAGE_BYTES : _Alignof(struct br_exleaf);
	size_t bytes = item_bytes * nr + sizeof(struct br_exslab);
	char *items = nr < SIZE_MAX / 2 / item_bytes ? br_expool_alloc(pool, bytes, align) : NULL;
	struct br_exslab *slab;

	if (!items)
		return NULL;
	slab = (struct br_exslab *)(void *)(items + item_bytes * nr);
	*slab = (struct br_exslab){ .next = *list, .items = items, .bytes = bytes, .nr = nr };
	*list = slab;
	return slab;
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static void link_page(struct br_expool *pool, struct br_expage *p)
{
	struct br_exline *l = &p->lines[0];

	atomic_store_explicit(&l->values[0], (uintptr_t)pool->free_pages, memory_order_release);
	pool->free_pages = p;
	pool->nr_free++;
}

static struct br_expage *next_free(struct br_expage *p)
{
	return (struct br_expage *)(uintptr_t)atomic_load_explicit(&p->lines[0].values[0], memory_order_relaxed);
}

static void mark_free(struct br_expage *p)
{
	uint32_t head = atomic_load_explicit(&p->lines[0].head, memory_order_relaxed);

	head = ((head >> BR_EXHEAD_SEQ_SHIFT) + 1) << BR_EXHEAD_SEQ_SHIFT | FREE_MARK;
	atomic_store_explicit(&p->lines[0].head, head, memory_order_release);
}

static bool is_free(struct br_expage *p)
{
	uint32_t head = atomic_load_explicit(&p->lines[0].head, memory_order_relaxed);

	return (head & ((1u << BR_EXHEAD_SEQ_SHIFT) - 1)) == FREE_MARK;
}

int br_expool_want_pages(struct br_expool *pool, uint64_t n)
{
	uint64_t more = n > pool->nr_free ? n - pool->nr_free : 0, usual = BR_MIN(pool->nr_pages / 16, MAX_SLAB_PAGES);
	struct br_exslab *slab;

	if (!more)
		return 0;
	slab = add_slab(pool, &pool->page_slabs, BR_EXPAGE_BYTES, BR_MAX(more, usual));
	if (!slab)
		slab = add_slab(pool, &pool->page_slabs, BR_EXPAGE_BYTES, more);
	if (!slab)
		return -ENOMEM;
	for (uint64_t i = 0; i < slab->nr; i++) {
		struct br_expage *p = (struct br_expage *)slab->items + i;

		mark_free(p);
		link_page(pool, p);
	}
	pool->nr_pages += slab->nr;
	return 0;
}

struct br_expage *br_expool_take_page(struct br_expool *pool)
{
	struct br_expage *p = pool->free_pages;

	pool->free_pages = next_free(p);
	pool->nr_free--;
	br_expage_clear(p);
	return p;
}

void br_expool_give_page(struct br_expool *pool, struct br_expage *p)
{
	mark_free(p);
	link_page(pool, p);
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

void br_expool_give_leaf(struct br_expool *pool, struct br_exleaf *leaf)
{
	uint64_t next = (uintptr_t)pool->free_leaves;

	atomic_store_explicit(&leaf->low[0], (uint32_t)next, memory_order_release);
	atomic_store_explicit(&leaf->low[1], (uint32_t)(next >> 32), memory_order_release);
	pool->free_leaves = leaf;
	pool->nr_free_leaves++;
}

int br_expool_want_leaves(struct br_expool *pool, uint64_t n)
{
	uint64_t usual = BR_MIN(BR_MAX(pool->nr_leaves / 16, MIN_SLAB_LEAVES), MAX_SLAB_LEAVES);
	struct br_exslab *slab;

	if (pool->nr_free_leaves >= n)
		return 0;
	slab = add_slab(pool, &pool->leaf_slabs, sizeof(struct br_exleaf), BR_MAX(usual, n - pool->nr_free_leaves));
	if (!slab)
		return -ENOMEM;
	for (uint64_t i = slab->nr; i-- > 0;)
		br_expool_give_leaf(pool, (struct br_exleaf *)slab->items + i);
	pool->nr_leaves += slab->nr;
	return 0;
}

struct br_exleaf *br_expool_take_leaf(struct br_expool *pool)
{
	struct br_exleaf *leaf = pool->free_leaves;
	uint64_t low, high;

	pool->wants_leaves = true;
	if (!leaf)
		return NULL;
	low = atomic_load_explicit(&leaf->low[0], memory_order_relaxed);
	high = atomic_load_explicit(&leaf->low[1], memory_order_relaxed);
	pool->free_leaves = (struct br_exleaf *)(uintptr_t)(high << 32 | low);
	pool->nr_free_leaves--;
	return leaf;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void free_slabs(struct br_expool *pool, struct br_exslab **list)
{
	while (*list) {
		struct br_exslab *slab = *list;

		*list = slab->next;
		br_expool_free(pool, slab->items, slab->bytes);
	}
}

static uint64_t free_in(struct br_exslab *slab)
{
	struct br_expage *pages = slab->items;
	uint64_t n = 0;

	for (uint64_t i = 0; i < slab->nr; i++)
		n += is_free(&pages[i]);
	return n;
}

static void link_free_pages(struct br_expool *pool, struct br_exslab *slab)
{
	struct br_expage *pages = slab->items;

	for (uint64_t i = 0; i < slab->nr; i++) {
		if (is_free(&pages[i]))
			link_page(pool, &pages[i]);
	}
}

static void trim_pages(struct br_expool *pool, uint64_t keep)
{
	uint64_t spare = pool->nr_free > keep ? pool->nr_free - keep : 0;
	struct br_exslab **at = &pool->page_slabs;

	pool->free_pages = NULL;		/* linked anew: the list goes through what is given back */
	pool->nr_free = 0;
	while (*at) {
		struct br_exslab *slab = *at;

		if (slab->nr > spare || free_in(slab) < slab->nr) {
			link_free_pages(pool, slab);
			at = &slab->next;
			continue;
		}
		*at = slab->next;
		spare -= slab->nr;
		pool->nr_pages -= slab->nr;
		br_expool_free(pool, slab->items, slab->bytes);
	}
}

static void free_leaves(struct br_expool *pool)
{
	free_slabs(pool, &pool->leaf_slabs);
	pool->free_leaves = NULL;
	pool->nr_leaves = pool->nr_free_leaves = 0;
	pool->wants_leaves = false;
}

void br_expool_trim(struct br_expool *pool, uint64_t keep)
{
	trim_pages(pool, keep);
	if (pool->nr_free_leaves == pool->nr_leaves)
		free_leaves(pool);
}

void br_expool_done(struct br_expool *pool)
{
	free_slabs(pool, &pool->page_slabs);
	pool->free_pages = NULL;
	pool->nr_pages = pool->nr_free = 0;
	free_leaves(pool);
}
