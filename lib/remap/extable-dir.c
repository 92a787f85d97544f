/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The writer's side of the directory.  What readers may meet while a group grows: its old pages, complete and
 * unchanged, until a cell names the new one, which is complete by then.  A page that is given back changes only after
 * every cell that named it has, so whoever has read anything new of it finds another word in the cell.
 */
#include "remap/extable-dir.h"

#include "base/compiler.h"
#include "base/env.h"

#include <errno.h>
#include <string.h>

enum {
	/* Used slots at which a page is full, 76 %: beyond that too many lie far from home */
	FULL = BR_EXPAGE_LINES * BR_EXLINE_SLOTS * 76 / 100,
	/* Slots for each 32 cells: seven pages take 4,700 at least, so none of these groups splits unforeseen */
	SLOTS_PER_GROUP = 3600,
	NEAR_SPLIT = 5			/* pages */
};

void br_extree_init(struct br_extree *tree, bool far, uint64_t seed)
{
	uint32_t bits = far ? BR_EXHASH_FAR_BITS : BR_EXHASH_NEAR_BITS;
	uint64_t mask = (UINT64_C(1) << bits) - 1;

	*tree = (struct br_extree){ .hash_bits = bits, .prefix_bits = bits - BR_EXHASH_NEAR_BITS };
	tree->seeds[0] = seed & mask;
	tree->seeds[1] = (seed * BR_EXHASH_C2 >> 20) & mask;
}

static struct br_exdir *dir_of(const struct br_extree *tree)
{
	return atomic_load_explicit(&tree->dir, memory_order_relaxed);
}

/* ---- the directory itself ---------------------------------------------------------------------------------------- */

static size_t dir_bytes(uint32_t bits)
{
	size_t groups = (size_t)1 << (bits - BR_EXDIR_MIN_SPAN);

	return sizeof(struct br_exdir) + (sizeof(uint64_t) << bits) + groups * sizeof(struct br_exgroup);
}

static struct br_exdir *dir_new(const struct br_extree *tree, struct br_expool *pool, uint32_t bits)
{
	struct br_exdir *dir = br_expool_alloc(pool, dir_bytes(bits), BR_CACHE_LINE);

	if (!dir)
		return NULL;
	dir->bits = bits;
	dir->shift = BR_EXTAG_BITS + tree->prefix_bits - bits;
	dir->groups = (struct br_exgroup *)(void *)&dir->cells[(size_t)1 << bits];
	return dir;
}

static int make_dir(struct br_extree *tree, struct br_expool *pool)
{
	uint32_t bits = BR_EXDIR_MIN_SPAN + tree->prefix_bits;
	struct br_exdir *dir = dir_new(tree, pool, bits);

	if (!dir)
		return -ENOMEM;
	tree->nr_groups = tree->nr_empty = UINT64_C(1) << tree->prefix_bits;
	for (uint64_t i = 0; i < tree->nr_groups; i++)
		dir->groups[i].span = dir->groups[i].grain = BR_EXDIR_MIN_SPAN;
	atomic_store(&tree->dir, dir);
	return 0;
}

/* Each cell becomes two with the same page, each group twice as wide. */
static int double_dir(struct br_extree *tree, struct br_expool *pool)
{
	struct br_exdir *old = dir_of(tree), *dir;

	dir = old->bits < BR_EXDIR_MAX_BITS ? dir_new(tree, pool, old->bits + 1) : NULL;
	if (!dir)
		return -ENOMEM;
	for (uint64_t i = 0; i >> dir->bits == 0; i++) {
		uint64_t word = atomic_load_explicit(&old->cells[i >> 1], memory_order_relaxed);

		atomic_store_explicit(&dir->cells[i], word, memory_order_relaxed);
	}
	for (uint64_t i = 0; i >> (dir->bits - BR_EXDIR_MIN_SPAN) == 0; i++) {
		dir->groups[i] = old->groups[i >> 1];
		dir->groups[i].span++;
	}
	dir->retired = old;
	atomic_store(&tree->dir, dir);
	for (uint64_t i = 0; i >> old->bits == 0; i++)
		atomic_store(&old->cells[i], 0);
	tree->wants_cells = false;
	return 0;
}

int br_extree_want(struct br_extree *tree, struct br_expool *pool, uint64_t slots)
{
	int r = dir_of(tree) ? 0 : make_dir(tree, pool);

	while (r == 0 && (tree->wants_cells || slots >> (dir_of(tree)->bits - BR_EXDIR_MIN_SPAN) > SLOTS_PER_GROUP))
		r = double_dir(tree, pool);
	return r;
}

static void free_dirs(struct br_expool *pool, struct br_exdir *dir)
{
	while (dir) {
		struct br_exdir *next = dir->retired;

		br_expool_free(pool, dir, dir_bytes(dir->bits));
		dir = next;
	}
}

void br_extree_reclaim(struct br_extree *tree, struct br_expool *pool)
{
	struct br_exdir *dir = dir_of(tree);

	if (!dir)
		return;
	free_dirs(pool, dir->retired);
	dir->retired = NULL;
}

void br_extree_done(struct br_extree *tree, struct br_expool *pool)
{
	free_dirs(pool, dir_of(tree));
	atomic_store(&tree->dir, NULL);
	tree->nr_slots = tree->nr_groups = tree->nr_empty = 0;
	tree->wants_cells = false;
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

/* A group, as found by one of its cells. */
struct group {
	struct br_exdir *dir;
	struct br_exgroup *its;
	uint64_t start;			/* its first cell */
	uint32_t span;
};

static struct group group_of(const struct br_extree *tree, uint64_t cell)
{
	struct br_exdir *dir = dir_of(tree);
	uint32_t span = dir->groups[cell >> BR_EXDIR_MIN_SPAN].span;
	uint64_t start = cell >> span << span;

	return (struct group){ dir, &dir->groups[start >> BR_EXDIR_MIN_SPAN], start, span };
}

/*
 * The pages of a group share its cells as evenly as can be: which page has a cell, and which cell a page has first.
 * When the directory doubles the pages stay as they are, so that it is the cells of the last copy that count.
 */
static unsigned page_of_cell(const struct group *g, uint64_t cell, unsigned nr_pages, unsigned grain)
{
	return (unsigned)(((cell - g->start) >> (g->span - grain)) * nr_pages >> grain);
}

static unsigned page_now(const struct group *g, uint64_t cell)
{
	return page_of_cell(g, cell, g->its->pages, g->its->grain);
}

static struct br_expage *nth_page(const struct group *g, unsigned n)
{
	uint64_t first = (((uint64_t)n << g->its->grain) + g->its->pages - 1) / g->its->pages;
	uint64_t cell = g->start + (first << (g->span - g->its->grain));

	return br_excell_page(atomic_load_explicit(&g->dir->cells[cell], memory_order_relaxed));
}

static void set_cell(const struct group *g, uint64_t cell, struct br_expage *page)
{
	uint64_t count = atomic_load_explicit(&g->dir->cells[cell], memory_order_relaxed) + 1;

	atomic_store(&g->dir->cells[cell], (uintptr_t)page | count % BR_EXPAGE_BYTES);
}

/* ---- growing ----------------------------------------------------------------------------------------------------- */

struct copy {
	struct br_expage *pages[2 * BR_EXGROUP_PAGES];
	uint16_t fill[2 * BR_EXGROUP_PAGES];
	unsigned nr;
};

/* The bits of its position that a slot's tag does not tell. */
static uint64_t prefix_of(const struct br_extree *tree, const struct br_exdir *dir, uint64_t cell)
{
	return cell >> (dir->bits - tree->prefix_bits) << BR_EXTAG_BITS;
}

static int copy_page(struct copy *c, const struct group *g, uint64_t prefix, struct br_expage *from)
{
	struct br_exslot s;
	unsigned to;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < BR_EXPAGE_LINES * BR_EXLINE_SLOTS; i++) {
		if (!br_expage_get(from, i / BR_EXLINE_SLOTS, i % BR_EXLINE_SLOTS, &s))
			continue;
		to = page_of_cell(g, (prefix | s.key.tag >> BR_EXTAG_SHIFT) >> g->dir->shift, c->nr, g->span);
		c->fill[to]++;
		r = br_expage_put(c->pages[to], &s, false);
	}
	return r;
}

static void publish(struct br_extree *tree, struct br_expool *pool, const struct group *g, const struct copy *c)
{
	struct br_expage *old[BR_EXGROUP_PAGES];
	unsigned nr_old = g->its->pages;

	for (unsigned i = 0; i < nr_old; i++)
		old[i] = nth_page(g, i);
	for (uint64_t cell = g->start; cell < g->start + (UINT64_C(1) << g->span); cell++)
		set_cell(g, cell, c->pages[page_of_cell(g, cell, c->nr, g->span)]);
	for (unsigned i = 0; i < nr_old; i++)
		br_expool_give_page(pool, old[i]);
	tree->nr_empty -= nr_old == 0;
}

static void describe(const struct group *g, const uint16_t *fill, unsigned nr)
{
	uint64_t from = g->start >> BR_EXDIR_MIN_SPAN, n = UINT64_C(1) << (g->span - BR_EXDIR_MIN_SPAN);

	for (uint64_t i = from; i < from + n; i++)
		g->dir->groups[i].span = (uint8_t)g->span;
	g->its->grain = (uint8_t)g->span;
	g->its->pages = (uint8_t)nr;
	memcpy(g->its->fill, fill, nr * sizeof(*fill));
}

/* The first half of the pages has the first half of the cells. */
static void describe_halves(struct br_extree *tree, const struct group *g, const struct copy *c)
{
	struct group half = *g;

	half.span--;
	describe(&half, c->fill, c->nr / 2);
	half.start += UINT64_C(1) << half.span;
	half.its = &g->dir->groups[half.start >> BR_EXDIR_MIN_SPAN];
	describe(&half, c->fill + c->nr / 2, c->nr / 2);
	tree->nr_groups++;
}

/* Copy a group to @nr pages.  -ENOSPC: that was too few, nothing has changed. */
static int copy_group(struct br_extree *tree, struct br_expool *pool, const struct group *g, unsigned nr)
{
	struct copy c = { .nr = nr };
	int r = 0;

	for (unsigned i = 0; i < nr; i++)
		c.pages[i] = br_expool_take_page(pool);
	for (unsigned i = 0; r == 0 && i < g->its->pages; i++)
		r = copy_page(&c, g, prefix_of(tree, g->dir, g->start), nth_page(g, i));
	if (r < 0) {
		for (unsigned i = 0; i < nr; i++)
			br_expool_give_page(pool, c.pages[i]);
		return r;
	}
	publish(tree, pool, g, &c);
	tree->wants_cells |= g->span == BR_EXDIR_MIN_SPAN && nr >= NEAR_SPLIT;
	if (nr > BR_EXGROUP_PAGES)
		describe_halves(tree, g, &c);
	else
		describe(g, c.fill, nr);
	return 0;
}

/*
 * To one page more, or as many more as it takes; beyond seven they are two groups.  What was wanted before suffices for
 * one page more; that it takes others, and more memory, is a chance that hardly anybody meets.
 */
static int grow(struct br_extree *tree, struct br_expool *pool, uint64_t position)
{
	struct group g = group_of(tree, position >> dir_of(tree)->shift);
	unsigned nr = g.its->pages + 1u;
	int r = -ENOMEM;

	for (; r < 0 && nr <= 2 * BR_EXGROUP_PAGES; nr += nr > BR_EXGROUP_PAGES ? 2 : 1) {
		if (nr > BR_EXGROUP_PAGES && g.span == BR_EXDIR_MIN_SPAN) {
			if (double_dir(tree, pool) < 0)
				return -ENOMEM;
			g = group_of(tree, position >> dir_of(tree)->shift);
		}
		if (br_expool_want_pages(pool, nr) < 0)
			return -ENOMEM;
		r = copy_group(tree, pool, &g, nr);
	}
	return r < 0 ? -ENOMEM : 0;
}

unsigned br_extree_step(const struct br_extree *tree)
{
	struct br_exdir *dir = dir_of(tree);

	if (tree->nr_groups == 1)
		return dir->groups[0].pages + 1u;
	return dir ? BR_EXGROUP_PAGES + 1u : 0;
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

struct br_expage *br_extree_page(struct br_extree *tree, uint64_t position)
{
	struct br_exdir *dir = dir_of(tree);

	if (!dir)
		return NULL;
	return br_excell_page(atomic_load_explicit(&dir->cells[position >> dir->shift], memory_order_relaxed));
}

static uint16_t *fill_of(const struct br_extree *tree, uint64_t position)
{
	uint64_t cell = position >> dir_of(tree)->shift;
	struct group g = group_of(tree, cell);

	return &g.its->fill[page_now(&g, cell)];
}

static int put_here(struct br_extree *tree, const struct br_exslot *s, uint64_t position)
{
	struct br_expage *page = br_extree_page(tree, position);
	int r = page ? br_expage_put(page, s, true) : -ENOSPC;

	if (r == 0) {
		++*fill_of(tree, position);
		tree->nr_slots++;
	}
	return r;
}

/* A page that is full but cannot grow takes more as long as there is any room in it. */
int br_extree_put(struct br_extree *tree, struct br_expool *pool, const struct br_exslot *s, uint64_t position)
{
	bool full = br_extree_page(tree, position) && *fill_of(tree, position) >= FULL;
	int r = 0;

	if (full)
		r = grow(tree, pool, position);
	while (put_here(tree, s, position) < 0) {
		if (r == 0)
			r = grow(tree, pool, position);
		if (r < 0)
			return r;
	}
	return 0;
}

static void empty_group(struct br_extree *tree, struct br_expool *pool, const struct group *g)
{
	struct copy none = { .nr = 1 };

	publish(tree, pool, g, &none);
	describe(g, none.fill, 0);
	tree->nr_empty++;
}

void br_extree_dropped(struct br_extree *tree, struct br_expool *pool, uint64_t position)
{
	struct group g = group_of(tree, position >> dir_of(tree)->shift);
	unsigned left = 0;

	--*fill_of(tree, position);
	tree->nr_slots--;
	for (unsigned i = 0; i < g.its->pages; i++)
		left += g.its->fill[i];
	if (!left)
		empty_group(tree, pool, &g);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* Of an odd number, mod 2^64: each round doubles the bits that are right, three are to begin with. */
static uint64_t inverse(uint64_t c)
{
	uint64_t x = c;

	for (int i = 0; i < 5; i++)
		x *= 2 - c * x;
	return x;
}

static uint64_t block_of(const struct br_extree *tree, uint64_t prefix, const struct br_exslot *s)
{
	uint64_t mask = (UINT64_C(1) << tree->hash_bits) - 1;
	uint32_t half = (tree->hash_bits + 1) / 2;
	uint64_t line = s->key.line, x;

	x = prefix << BR_EXHASH_LINE_BITS | line << BR_EXTAG_BITS | s->key.tag >> BR_EXTAG_SHIFT;
	x = (x * inverse(BR_EXHASH_C2) & mask) ^ tree->seeds[1];
	x ^= x >> half;
	return (x * inverse(BR_EXHASH_C1) & mask) ^ tree->seeds[0];
}

static void lowest_in(const struct br_extree *tree, uint64_t prefix, struct br_expage *page, uint64_t from,
		      uint64_t *best)
{
	struct br_exslot s;

	for (unsigned i = 0; i < BR_EXPAGE_LINES * BR_EXLINE_SLOTS; i++) {
		if (br_expage_get(page, i / BR_EXLINE_SLOTS, i % BR_EXLINE_SLOTS, &s)) {
			uint64_t block = block_of(tree, prefix, &s);

			if (block >= from && block < *best)
				*best = block;
		}
	}
}

bool br_extree_lowest(const struct br_extree *tree, uint64_t from, uint64_t *ret_block)
{
	struct br_exdir *dir = dir_of(tree);
	uint64_t best = UINT64_MAX;

	for (uint64_t cell = 0; dir && cell >> dir->bits == 0;) {
		struct group g = group_of(tree, cell);

		for (unsigned i = 0; i < g.its->pages; i++)
			lowest_in(tree, prefix_of(tree, dir, g.start), nth_page(&g, i), from, &best);
		cell = g.start + (UINT64_C(1) << g.span);
	}
	if (best != UINT64_MAX)
		*ret_block = best;
	return best != UINT64_MAX;
}
