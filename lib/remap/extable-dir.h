/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The directory of the exception table: which page holds a block, and growing without ever losing one.
 *
 * The hash of a block is cut in two: 8 bits name the line within the page (its home), the others are its position.  The
 * directory has 2^n cells for as many equal parts of all positions; a cell names a page.  Neighbouring cells may name
 * the same one: a group of 32 cells or more has one to seven pages, each for about as many of its cells.  When one of
 * its pages is full the whole group is copied to one page more, and one with seven becomes two with four each.  So
 *  - pages are 58 to 76 % full, whatever the number of slots: no doubling;
 *  - a step copies seven pages at most, some tens of microseconds, however large the table is;
 *  - the pages left behind are used for the next group that grows, so next to nothing is retired.
 * The directory doubles before a group has to split that has 32 cells only.  It costs 0.08 to 0.15 bytes a slot, and
 * the old ones, which are kept until nobody looks up, as much again.
 *
 * A cell is the page's address with, in its low bits, a number that each change counts up.  A look-up reads the cell,
 * the page, and the cell again: the same word says that the page was the right one all the time.  The cells of a
 * directory that has been replaced lose their pages before anything else changes.
 *
 * There are two such trees.  A tag has 27 bits, so the position has as many: enough for chunks below 2^39.  Those above
 * have 9 bits of the hash more, which the place in the directory tells; this one has at least 2^14 cells.
 */
#ifndef BR_REMAP_EXTABLE_DIR_H
#define BR_REMAP_EXTABLE_DIR_H

#include "remap/extable-pool.h"

#define BR_EX_NEAR_END (UINT64_C(1) << 39)	/* chunks below this are in the first tree */

enum {
	BR_EXDIR_MIN_SPAN = 5,		/* log2 of a group's cells */
	BR_EXDIR_MAX_BITS = 27,
	BR_EXGROUP_PAGES = 7,
	BR_EXHASH_LINE_BITS = 8, BR_EXHASH_NEAR_BITS = 35, BR_EXHASH_FAR_BITS = 44
};

/* The writer's. */
struct br_exgroup {
	uint8_t span;			/* log2 of its cells; each 32 cells of a group say it, its first all else */
	uint8_t grain;			/* the span it had when it was copied: by then its pages share its cells */
	uint8_t pages;
	uint16_t fill[BR_EXGROUP_PAGES];	/* used slots of each page */
};

struct br_exdir {
	struct br_exdir *retired;	/* the one before; look-ups may still be in it */
	struct br_exgroup *groups;	/* one for each 32 cells */
	uint32_t bits;			/* log2 of the number of cells */
	uint32_t shift;			/* position >> shift: cell */
	_Atomic uint64_t cells[];
};

struct br_extree {
	struct br_exdir *_Atomic dir;	/* NULL: nothing was ever in it */
	uint64_t seeds[2];
	uint32_t hash_bits;
	uint32_t prefix_bits;		/* of the position; told by the cell, not by the tag */
	uint64_t nr_slots, nr_groups, nr_empty;	/* the writer's: used slots, groups, those without a page */
	bool wants_cells;		/* a group of 32 cells comes near to splitting */
};

struct br_exhash {
	uint64_t position;
	struct br_exkey key;
};

#define BR_EXHASH_C1 UINT64_C(0x9e3779b97f4a7c15)
#define BR_EXHASH_C2 UINT64_C(0xd6e8feb86659fd93)

/*
 * A bijection on @bits bits, which are the tree's; a constant where speed counts.  The upper bits are as good as
 * chance, and home and cells are taken from these.  The seeds keep a guest, who chooses the chunks that are written,
 * from choosing those that collide.
 */
static inline uint64_t br_exhash_mix(const struct br_extree *tree, uint32_t bits, uint64_t block)
{
	uint64_t mask = (UINT64_C(1) << bits) - 1, x;

	x = (block ^ tree->seeds[0]) * BR_EXHASH_C1 & mask;
	x ^= x >> (bits + 1) / 2;
	return (x ^ tree->seeds[1]) * BR_EXHASH_C2 & mask;
}

static inline struct br_exhash br_extree_hash(const struct br_extree *tree, uint32_t bits, uint64_t block)
{
	uint64_t x = br_exhash_mix(tree, bits, block), low = x & ((1u << BR_EXTAG_BITS) - 1);

	return (struct br_exhash){
		.position = x >> (BR_EXTAG_BITS + BR_EXHASH_LINE_BITS) << BR_EXTAG_BITS | low,
		.key = { .tag = (uint32_t)x << BR_EXTAG_SHIFT, .line = x >> BR_EXTAG_BITS & (BR_EXPAGE_LINES - 1) },
	};
}

static inline struct br_expage *br_excell_page(uint64_t cell)
{
	return (struct br_expage *)(uintptr_t)(cell / BR_EXPAGE_BYTES * BR_EXPAGE_BYTES);
}

/* How to look into a page: br_expage_find(), br_expage_glance(). */
typedef int br_expage_look_fn(const struct br_expage *, struct br_exkey, unsigned, uint64_t *);

/*
 * Any thread.  BR_EX_x, or AGAIN.  The cell is loaded seq_cst, before the line: growing may put a new page there.  A
 * cell without a page is one where nothing is, or one of a directory that has been replaced.
 */
static inline __attribute__((always_inline)) int br_extree_look(const struct br_extree *tree, struct br_exhash h,
								unsigned chunk, br_expage_look_fn *look,
								uint64_t *ret_new)
{
	const struct br_exdir *dir = atomic_load(&tree->dir);
	const _Atomic uint64_t *cell;
	const struct br_expage *page;
	uint64_t word;
	int state;

	if (br_unlikely(!dir))
		return BR_EX_NONE;
	cell = &dir->cells[h.position >> dir->shift];
	word = atomic_load(cell);
	page = br_excell_page(word);
	if (br_unlikely(!page))
		return atomic_load(&tree->dir) == dir ? BR_EX_NONE : BR_EX_AGAIN;
	state = look(page, h.key, chunk, ret_new);
	return br_likely(atomic_load_explicit(cell, memory_order_relaxed) == word) ? state : BR_EX_AGAIN;
}

/* ---- the writer's ------------------------------------------------------------------------------------------------ */

void br_extree_init(struct br_extree *tree, bool far, uint64_t seed);
/* Make the directory, or make it large enough for @slots used slots.  -ENOMEM: it is as before. */
int br_extree_want(struct br_extree *tree, struct br_expool *pool, uint64_t slots);
/* Nobody looks up. */
void br_extree_reclaim(struct br_extree *tree, struct br_expool *pool);
void br_extree_done(struct br_extree *tree, struct br_expool *pool);

struct br_expage *br_extree_page(struct br_extree *tree, uint64_t position);	/* NULL: none yet */
/* Add a slot, grow where that is needed.  -ENOMEM: the pool has not enough pages.  Pages may be others afterwards. */
int br_extree_put(struct br_extree *tree, struct br_expool *pool, const struct br_exslot *s, uint64_t position);
/* One slot was, by its walk. */
void br_extree_dropped(struct br_extree *tree, struct br_expool *pool, uint64_t position);
/* How many pages a group may be copied to next, at most. */
unsigned br_extree_step(const struct br_extree *tree);

/* The lowest block not below @from that has a slot, by looking at all of them; false: none. */
bool br_extree_lowest(const struct br_extree *tree, uint64_t from, uint64_t *ret_block);

#endif /* BR_REMAP_EXTABLE_DIR_H */
