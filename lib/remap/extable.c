/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an exception becomes: a bit in a slot of its block, a slot of its own, or a place in a leaf.
 *
 *	DRAINING			a slot of its own, flagged, until set_done
 *	DONE, in order with others	a bit in their slot
 *	DONE, the fifth of its block	a leaf for all of them: 96 bytes for up to 16 chunks, so that a block has few
 *	that is in no order with	slots, which must lie in lines near its home, and takes less memory
 *	others
 *	DONE, otherwise			a slot of its own
 *
 * Each change is made so that a look-up finds the chunk before and after it, and in between: first the new place, then
 * the old one goes.  While both are there they say the same.
 *
 * Promises.  A reserve sees to it that all memory is there that the promised inserts may need: cells, so that no group
 * has to split that cannot, and pages, for each group that may grow.  How many will grow is not known before the
 * chunks are, but hashes are spread: see pages_for().
 */
#include "remap/extable.h"

#include "base/compiler.h"
#include "base/env.h"
#include "base/error.h"
#include "remap/extable-dir.h"

#include <errno.h>
#include <stdbool.h>

enum {
	LEAF_AT = 5,			/* slots of a block that make it a leaf */
	FEW = 1024,			/* promises: as many as requests in flight, not a store that is loaded */
	SMALL = 512			/* slots that one page takes without fail */
};

#define MAX_PROMISE (UINT64_C(1) << 40)

struct br_extable {
	struct br_extree trees[2];	/* near, far */
	struct br_expool pool;
	uint64_t count, promised;
};

/* A chunk, and where it belongs. */
struct place {
	struct br_extree *tree;
	struct br_exhash hash;
	unsigned chunk;			/* within its block */
};

static struct place place_of(struct br_extable *t, uint64_t old_chunk)
{
	struct br_extree *tree = &t->trees[old_chunk >= BR_EX_NEAR_END];

	return (struct place){
		.tree = tree,
		.hash = br_extree_hash(tree, tree->hash_bits, old_chunk / BR_EX_BLOCK),
		.chunk = old_chunk % BR_EX_BLOCK,
	};
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int br_extable_new(const struct blkremap_env *env, uint64_t max_bytes, struct br_extable **ret)
{
	struct br_expool pool = { .env = env, .max_bytes = max_bytes };
	struct br_extable *t = br_expool_alloc(&pool, sizeof(*t), BR_CACHE_LINE);
	uint64_t seed;

	if (!t)
		return br_error(-ENOMEM, "no memory for an exception table");
	seed = env->ops->random(env);
	t->pool = pool;
	br_extree_init(&t->trees[0], false, seed);
	br_extree_init(&t->trees[1], true, seed);
	*ret = t;
	return 0;
}

void br_extable_clear(struct br_extable *t)
{
	br_extree_done(&t->trees[0], &t->pool);
	br_extree_done(&t->trees[1], &t->pool);
	br_expool_done(&t->pool);
	t->count = t->promised = 0;
}

void br_extable_free(struct br_extable *t)
{
	if (!t)
		return;
	br_extable_clear(t);
	br_free(t->pool.env, t, sizeof(*t));
}

uint64_t br_extable_count(const struct br_extable *t)
{
	return t->count;
}

uint64_t br_extable_bytes(const struct br_extable *t)
{
	return t->pool.bytes;
}

/* ---- looking up -------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) int look_properly(const struct br_extable *t, uint64_t old_chunk, uint64_t *ret_new)
{
	const struct br_extree *tree = &t->trees[old_chunk >= BR_EX_NEAR_END];
	struct br_exhash h = br_extree_hash(tree, tree->hash_bits, old_chunk / BR_EX_BLOCK);
	uint64_t new_chunk = 0;
	int state;

	if (old_chunk >= BR_EX_CHUNK_END)
		return BR_EX_NONE;
	do
		state = br_extree_look(tree, h, old_chunk % BR_EX_BLOCK, br_expage_find, &new_chunk);
	while (state == BR_EX_AGAIN);
	if (state != BR_EX_NONE)
		*ret_new = new_chunk;
	return state;
}

int br_extable_lookup(const struct br_extable *t, uint64_t old_chunk, uint64_t *ret_new)
{
	const struct br_extree *tree = &t->trees[0];
	struct br_exhash h = br_extree_hash(tree, BR_EXHASH_NEAR_BITS, old_chunk / BR_EX_BLOCK);
	uint64_t new_chunk = 0;
	int state;

	if (br_unlikely(old_chunk >= BR_EX_NEAR_END))
		return look_properly(t, old_chunk, ret_new);
	state = br_extree_look(tree, h, old_chunk % BR_EX_BLOCK, br_expage_glance, &new_chunk);
	if (br_unlikely(state == BR_EX_AGAIN))
		return look_properly(t, old_chunk, ret_new);
	if (state != BR_EX_NONE)
		*ret_new = new_chunk;
	return state;
}

void br_extable_prefetch(const struct br_extable *t, uint64_t old_chunk)
{
	const struct br_extree *tree = &t->trees[0];
	struct br_exhash h = br_extree_hash(tree, BR_EXHASH_NEAR_BITS, old_chunk / BR_EX_BLOCK);
	const struct br_exdir *dir = atomic_load_explicit(&tree->dir, memory_order_acquire);
	const struct br_expage *page;

	if (!dir || old_chunk >= BR_EX_NEAR_END)	/* those far away are rare: they wait */
		return;
	page = br_excell_page(atomic_load_explicit(&dir->cells[h.position >> dir->shift], memory_order_relaxed));
	if (page) {
		__builtin_prefetch(&page->lines[h.key.line]);
		__builtin_prefetch(&page->lines[h.key.line ^ 1]);	/* where those go that find no room there */
	}
}

/* ---- promises ---------------------------------------------------------------------------------------------------- */

/*
 * Pages that must be free so that @n inserts need no memory, each a slot of its own.
 * - A group is copied to one page more, and gives back the old ones: what counts is the largest copy, once, and one
 *   page for each group that grows.
 * - A group without a page takes one with its first slot.
 * - At most each insert makes a group grow; but a group takes a thousand slots from one growth to the next, and even
 *   when most are close to it, all having as many slots but for chance, not one insert in 64 does it.
 * - In the long run no page is less than 58 % full, 740 slots, on average over a group just grown; when most blocks
 *   have a few slots each, which must lie close together, it may be 600.
 * Many promises may also bring so many blocks without order that they need leaves, which would otherwise be got later.
 */
static uint64_t pages_for(struct br_extable *t, uint64_t n)
{
	struct br_extree *near = &t->trees[0], *far = &t->trees[1];
	uint64_t slots = near->nr_slots + far->nr_slots, used = t->pool.nr_pages - t->pool.nr_free;
	uint64_t in_the_end = (slots + n) / 600, growing = in_the_end > used ? in_the_end - used : 0;
	uint64_t step = BR_MAX(br_extree_step(near), br_extree_step(far));

	if (used <= 1 && !far->nr_groups && slots + n <= SMALL)
		return 1 - used;
	growing = 16 + BR_MIN(n / 64, growing);
	return step + BR_MIN(n, growing) + BR_MIN(n, near->nr_empty + far->nr_empty);
}

static int want(struct br_extable *t, uint64_t n)
{
	uint64_t many = n > FEW ? n : 0;	/* a few cannot fill a group that is not near to it */
	int r = br_extree_want(&t->trees[0], &t->pool, many ? t->trees[0].nr_slots + many : 0);

	if (r == 0 && t->trees[1].nr_groups)
		r = br_extree_want(&t->trees[1], &t->pool, many ? t->trees[1].nr_slots + many : 0);
	if (r == 0)
		r = br_expool_want_pages(&t->pool, pages_for(t, n));
	if (r == 0 && n > FEW)
		r = br_expool_want_leaves(&t->pool, n / LEAF_AT);
	else if (r == 0 && t->pool.wants_leaves)
		br_expool_want_leaves(&t->pool, n);	/* if not, slots will do */
	return r;
}

int br_extable_reserve(struct br_extable *t, uint64_t n_more)
{
	int r = n_more < MAX_PROMISE - t->promised ? want(t, t->promised + n_more) : -ENOMEM;

	if (r < 0)
		return br_error(r, "no memory for %" PRIu64 " more exceptions: the table has %" PRIu64 " and takes %"
				PRIu64 " bytes", n_more, t->count, t->pool.bytes);
	t->promised += n_more;
	return 0;
}

void br_extable_reclaim(struct br_extable *t)
{
	br_extree_reclaim(&t->trees[0], &t->pool);
	br_extree_reclaim(&t->trees[1], &t->pool);
	br_expool_trim(&t->pool, t->promised ? pages_for(t, t->promised) : 0);
}

void br_extable_unreserve(struct br_extable *t, uint64_t n)
{
	t->promised -= BR_MIN(n, t->promised);
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

static struct br_exwalk walk_block(const struct place *p)
{
	return (struct br_exwalk){ .page = br_extree_page(p->tree, p->hash.position), .key = p->hash.key };
}

static bool next(struct br_exwalk *w)
{
	return w->page && br_exwalk_next(w);
}

static bool locate(const struct place *p, struct br_exwalk *w)
{
	*w = walk_block(p);
	while (next(w)) {
		if (w->value >> p->chunk & 1)
			return true;
	}
	return false;
}

static uint64_t base_of(uint64_t new_chunk, unsigned chunk)
{
	return (new_chunk - chunk) % BR_EX_CHUNK_END;
}

static uint64_t new_of(const struct br_exwalk *w, unsigned chunk)
{
	return w->leaf ? br_exleaf_get(br_exvalue_leaf(w->value), chunk) : br_exvalue_new(w->value, chunk);
}

static int put(struct br_extable *t, const struct place *p, uint64_t value, uint32_t tag_flags, bool draining)
{
	struct br_exslot s = { .key = p->hash.key, .value = value, .tag_flags = tag_flags, .draining = draining };

	return br_extree_put(p->tree, &t->pool, &s, p->hash.position);
}

static void drop(struct br_extable *t, const struct place *p, struct br_exwalk *w)
{
	br_exwalk_drop(w);
	br_extree_dropped(p->tree, &t->pool, p->hash.position);
}

/* What there is of a block, seen by a chunk that is about to join it. */
struct survey {
	struct br_exwalk joinable;	/* a leaf, or a slot that it is in order with; no page: there is none */
	unsigned nr_done;		/* slots of chunks that do not drain */
	bool mapped;			/* the chunk is there already */
};

static struct survey take_survey(const struct place *p, uint64_t new_chunk)
{
	struct br_exwalk w = walk_block(p);
	struct survey s = { .nr_done = 0 };

	while (next(&w)) {
		s.mapped |= w.value >> p->chunk & 1;
		s.nr_done += !w.draining;
		if (!w.draining && (w.leaf || w.value >> 16 == base_of(new_chunk, p->chunk)))
			s.joinable = w;
	}
	return s;
}

/* Add the chunk to a slot that is there already. */
static bool join_slot(const struct place *p, struct survey *s, uint64_t new_chunk)
{
	struct br_exwalk *w = &s->joinable;

	if (!w->page)
		return false;
	if (w->leaf)
		br_exleaf_put(br_exvalue_leaf(w->value), p->chunk, new_chunk);
	br_exwalk_set_value(w, w->value | UINT64_C(1) << p->chunk);
	return true;
}

/* Bring all that is done of the block into the leaf; which chunks is that? */
static uint64_t fill_leaf(const struct place *p, struct br_exleaf *leaf)
{
	struct br_exwalk w = walk_block(p);
	uint64_t mask = 0;

	while (next(&w)) {
		for (unsigned i = 0; !w.draining && i < BR_EX_BLOCK; i++) {
			if (!(w.value >> i & 1))
				continue;
			br_exleaf_put(leaf, i, br_exvalue_new(w.value, i));
			mask |= UINT64_C(1) << i;
		}
	}
	return mask;
}

/* All plain slots are in the leaf now. */
static void drop_plain(struct br_extable *t, const struct place *p)
{
	struct br_exwalk w = walk_block(p);

	while (next(&w)) {
		if (!w.draining && !w.leaf)
			drop(t, p, &w);
	}
}

/* Bring the chunk and all others of its block into a leaf, if there are enough of them, and one is free. */
static bool join_new_leaf(struct br_extable *t, const struct place *p, const struct survey *s, uint64_t new_chunk)
{
	struct br_exleaf *leaf = s->nr_done + 1 < LEAF_AT ? NULL : br_expool_take_leaf(&t->pool);
	uint64_t mask;

	if (!leaf)
		return false;
	mask = fill_leaf(p, leaf) | UINT64_C(1) << p->chunk;
	br_exleaf_put(leaf, p->chunk, new_chunk);
	if (put(t, p, (uint64_t)(uintptr_t)leaf / _Alignof(struct br_exleaf) << 16 | mask, BR_EXTAG_LEAF, false) < 0) {
		br_expool_give_leaf(&t->pool, leaf);
		return false;
	}
	drop_plain(t, p);
	return true;
}

static bool join(struct br_extable *t, const struct place *p, struct survey *s, uint64_t new_chunk)
{
	return join_slot(p, s, new_chunk) || join_new_leaf(t, p, s, new_chunk);
}

/* The first chunk beyond what the near tree can hold brings the far one; memory for that was not promised. */
static int want_far(struct br_extable *t, const struct place *p)
{
	if (p->tree->nr_groups || p->tree == &t->trees[0])
		return 0;
	if (br_extree_want(p->tree, &t->pool, 0) < 0 || want(t, t->promised) < 0)
		return br_error(-ENOMEM, "no memory for exceptions of chunks from %" PRIu64 " on", BR_EX_NEAR_END);
	return 0;
}

int br_extable_insert(struct br_extable *t, uint64_t old_chunk, uint64_t new_chunk, int state)
{
	struct place p = place_of(t, old_chunk);
	struct survey s = take_survey(&p, new_chunk);
	int r = 0;

	if (old_chunk >= BR_EX_CHUNK_END || new_chunk >= BR_EX_CHUNK_END)
		return br_error(-EINVAL, "exception %" PRIu64 " -> %" PRIu64 " is beyond 2^48 chunks", old_chunk,
				new_chunk);
	if (s.mapped)
		return br_error(-EEXIST, "chunk %" PRIu64 " is mapped already", old_chunk);
	if (!t->promised)
		r = br_extable_reserve(t, 1);
	if (r == 0)
		r = want_far(t, &p);
	if (r == 0 && (state == BR_EX_DRAINING || !join(t, &p, &s, new_chunk)))
		r = put(t, &p, base_of(new_chunk, p.chunk) << 16 | UINT64_C(1) << p.chunk, 0, state == BR_EX_DRAINING);
	if (r < 0)
		return r;
	t->promised--;
	t->count++;
	return 0;
}

static bool locate_draining(const struct place *p, struct br_exwalk *w)
{
	*w = walk_block(p);
	while (next(w)) {
		if (w->draining && w->value >> p->chunk & 1)
			return true;
	}
	return false;
}

void br_extable_set_done(struct br_extable *t, uint64_t old_chunk)
{
	struct place p = place_of(t, old_chunk);
	struct br_exwalk w;
	struct survey s;
	uint64_t new_chunk;
	bool joined;

	if (!locate_draining(&p, &w))
		return;
	new_chunk = new_of(&w, p.chunk);
	s = take_survey(&p, new_chunk);
	joined = join(t, &p, &s, new_chunk);
	locate_draining(&p, &w);		/* the page may be another one */
	if (joined)
		drop(t, &p, &w);
	else
		br_exwalk_set_done(&w);
}

int br_extable_remove(struct br_extable *t, uint64_t old_chunk)
{
	struct place p = place_of(t, old_chunk);
	struct br_exwalk w;
	uint64_t value;

	if (!locate(&p, &w))
		return -ENOENT;
	value = w.value & ~(UINT64_C(1) << p.chunk);
	t->count--;
	if (value & 0xffff) {
		br_exwalk_set_value(&w, value);
		return 0;
	}
	drop(t, &p, &w);
	if (w.leaf)
		br_expool_give_leaf(&t->pool, br_exvalue_leaf(w.value));
	return 0;
}

/* ---- in order ---------------------------------------------------------------------------------------------------- */

/* The chunks of the block that are mapped, as bits. */
static uint64_t mapped(struct br_extable *t, uint64_t block)
{
	struct place p = place_of(t, block * BR_EX_BLOCK);
	struct br_exwalk w = walk_block(&p);
	uint64_t mask = 0;

	while (next(&w))
		mask |= w.value & 0xffff;
	return mask;
}

/* The lowest block not below @from with anything in it: 1,024 are tried, then the whole table is searched for it. */
static bool next_block(struct br_extable *t, uint64_t from, uint64_t end, uint64_t *ret_block)
{
	uint64_t tries = 1024 + t->pool.nr_pages * BR_EXPAGE_LINES;

	for (; from < end && tries; from++, tries--) {
		if (mapped(t, from)) {
			*ret_block = from;
			return true;
		}
	}
	if (from >= end)
		return false;
	if (from < BR_EX_NEAR_END / BR_EX_BLOCK && br_extree_lowest(&t->trees[0], from, ret_block))
		return *ret_block < end;
	return br_extree_lowest(&t->trees[1], from, ret_block) && *ret_block < end;
}

int br_extable_next(const struct br_extable *t, uint64_t from, uint64_t limit, struct br_exception *ret)
{
	struct br_extable *m = (struct br_extable *)(uintptr_t)t;	/* the walk is the writer's; changes nothing */
	uint64_t end = BR_MIN(limit, BR_EX_CHUNK_END), block, new_chunk, chunk;

	while (from < end && next_block(m, from / BR_EX_BLOCK, (end - 1) / BR_EX_BLOCK + 1, &block)) {
		for (chunk = BR_MAX(from, block * BR_EX_BLOCK); chunk < (block + 1) * BR_EX_BLOCK; chunk++) {
			if (chunk >= end || br_extable_lookup(t, chunk, &new_chunk) == BR_EX_NONE)
				continue;
			*ret = (struct br_exception){ .old_chunk = chunk, .new_chunk = new_chunk };
			return 0;
		}
		from = (block + 1) * BR_EX_BLOCK;
	}
	return -ENOENT;
}
