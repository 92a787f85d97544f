/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside the exception table: a page, a hash table of fixed size that one writer changes while others look things up.
 *
 * A page has 256 lines of 64 bytes, a line has a head and five slots of 12 bytes.  A slot speaks for an aligned block
 * of 16 chunks:
 *
 *	tag	27 bits of the block's hash | LEAF | probe, the number of lines tried before this one
 *	value	base << 16 | mask: chunk i of the block, if bit i is set, lies at base + i (mod 2^48)
 *		or, with LEAF, address >> 5 << 16 | mask: its place is in the leaf at that address
 *
 * so chunks that lie in one order in both numbers share a slot, whatever their number.  The block's home is the line
 * that 8 more bits of its hash name; a slot found elsewhere is known by its probe.  Home and tag together are the hash,
 * and the hash is a bijection: nothing is compared but the tag, and nothing else is needed to move a slot.
 *
 *	head	used (5 bits, one a slot) | draining (5) | reach (4) | sequence (18)
 *
 * reach is the greatest probe of all that have their home here, and at least 1 if there is a leaf among them.
 *
 * The rules that make looking up safe without locks, and without ever waiting for the writer:
 * 1. A slot is written while its used bit is clear; setting the bit publishes it.  The one thing that changes in a used
 *    slot is its mask, part of one word.
 * 2. Each store to a head has the next sequence.  A reader believes a slot only if the head of its line was the same
 *    before and after, and a miss only if the home's was.
 * 3. Whatever is changed about a block, its home's head is stored last, seq_cst.
 * Data words are stored with release and loaded with acquire, so no fence is needed, and a thread checker can follow.
 * The sequence comes round after 2^18 changes of one line, all within one look-up: taken for impossible.
 */
#ifndef BR_REMAP_EXTABLE_PAGE_H
#define BR_REMAP_EXTABLE_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "remap/extable.h"

enum {
	BR_EXPAGE_LINES = 256, BR_EXLINE_SLOTS = 5, BR_EXPAGE_PROBES = 16,
	BR_EXPAGE_BYTES = BR_EXPAGE_LINES * BR_CACHE_LINE,
	BR_EX_BLOCK = 16,			/* chunks */
	BR_EXTAG_PROBE = 15, BR_EXTAG_LEAF = 16, BR_EXTAG_SHIFT = 5, BR_EXTAG_BITS = 27,
	BR_EXHEAD_USED = 31, BR_EXHEAD_DRAIN_SHIFT = 5, BR_EXHEAD_DRAIN = 31 << BR_EXHEAD_DRAIN_SHIFT,
	BR_EXHEAD_REACH_SHIFT = 10, BR_EXHEAD_SEQ_SHIFT = 14,
	BR_EX_AGAIN = -1			/* beside BR_EX_NONE and the others: changed meanwhile, begin again */
};

struct br_exline {
	_Atomic uint32_t head;
	_Atomic uint32_t tags[BR_EXLINE_SLOTS];
	_Atomic uint64_t values[BR_EXLINE_SLOTS];
};

struct br_expage {
	_Alignas(BR_CACHE_LINE) struct br_exline lines[BR_EXPAGE_LINES];
};

/* The places of a block's chunks, one by one: for blocks whose chunks lie in no order.  48 bits each, in two words. */
struct br_exleaf {
	_Alignas(32) _Atomic uint32_t low[BR_EX_BLOCK];
	_Atomic uint16_t high[BR_EX_BLOCK];
};

/* Where a block belongs within its page. */
struct br_exkey {
	uint32_t tag;		/* LEAF and probe are 0 */
	uint32_t line;
};

/*
 * The line to try as number @probe for those at home in @line: the home, its neighbour in the same 128 bytes, then
 * other such pairs, at distances of which no two have the same difference: two homes share at most one pair.
 */
static inline uint32_t br_expage_probe(uint32_t line, uint32_t probe)
{
	static const uint8_t distance[BR_EXPAGE_PROBES / 2] = { 0, 1, 3, 7, 12, 20, 30, 44 };

	return ((line & ~1u) + 2u * distance[probe >> 1] + ((line ^ probe) & 1)) % BR_EXPAGE_LINES;
}

static inline uint32_t br_exhead_reach(uint32_t head)
{
	return head >> BR_EXHEAD_REACH_SHIFT & BR_EXTAG_PROBE;
}

static inline bool br_exhead_draining(uint32_t head, unsigned slot)
{
	return head >> (BR_EXHEAD_DRAIN_SHIFT + slot) & 1;
}

/* The used slots that have @tag, leaves or not, as bits. */
static inline uint32_t br_exline_match(const struct br_exline *l, uint32_t head, uint32_t tag)
{
	const uint32_t leaf = BR_EXTAG_LEAF;
	uint32_t match = 0;

#pragma GCC unroll 5
	for (unsigned i = 0; i < BR_EXLINE_SLOTS; i++)
		match |= (uint32_t)((atomic_load_explicit(&l->tags[i], memory_order_acquire) & ~leaf) == tag) << i;
	return match & head & BR_EXHEAD_USED;
}

static inline struct br_exleaf *br_exvalue_leaf(uint64_t value)
{
	return (struct br_exleaf *)(uintptr_t)(value >> 16 << 5);
}

static inline uint64_t br_exleaf_get(const struct br_exleaf *leaf, unsigned chunk)
{
	uint64_t high = atomic_load_explicit(&leaf->high[chunk], memory_order_acquire);

	return high << 32 | atomic_load_explicit(&leaf->low[chunk], memory_order_acquire);
}

static inline uint64_t br_exvalue_new(uint64_t value, unsigned chunk)
{
	return ((value >> 16) + chunk) % BR_EX_CHUNK_END;
}

static inline bool br_exline_changed(const struct br_exline *l, uint32_t head)
{
	return atomic_load_explicit(&l->head, memory_order_relaxed) != head;
}

/*
 * Look for a chunk, in any thread, whatever happens to the page meanwhile, even if it has come to serve others.
 * BR_EX_x, or AGAIN.
 */
int br_expage_find(const struct br_expage *p, struct br_exkey key, unsigned chunk, uint64_t *ret_new);

/*
 * The same with one look at the home, which is enough for most: one plain slot there has the chunk, and none drains; or
 * nothing has the tag, and nothing lies elsewhere.  AGAIN: look properly.  Few instructions, and no branch that depends
 * on the slot, so that the processor has the next look-ups under way while it waits for this line.
 */
static inline int br_expage_glance(const struct br_expage *p, struct br_exkey key, unsigned chunk, uint64_t *ret_new)
{
	const struct br_exline *home = &p->lines[key.line];
	uint32_t head = atomic_load(&home->head);
	unsigned slot = BR_EXLINE_SLOTS;
	uint64_t value = 0;

#pragma GCC unroll 5
	for (unsigned i = 0; i < BR_EXLINE_SLOTS; i++) {
		bool same = atomic_load_explicit(&home->tags[i], memory_order_acquire) == key.tag;
		uint64_t its = atomic_load_explicit(&home->values[i], memory_order_acquire);
		bool hit = same & its >> chunk;

		slot = hit ? i : slot;
		value = hit ? its : value;
	}
	if (br_unlikely(br_exline_changed(home, head)))
		return BR_EX_AGAIN;
	if (slot < BR_EXLINE_SLOTS && head >> slot & !(head & BR_EXHEAD_DRAIN)) {
		*ret_new = br_exvalue_new(value, chunk);
		return BR_EX_DONE;
	}
	return slot < BR_EXLINE_SLOTS || br_exhead_reach(head) ? BR_EX_AGAIN : BR_EX_NONE;
}

/* ---- the writer's ------------------------------------------------------------------------------------------------ */

/* All slots of a block, one after the other.  Set page and key, the rest is 0. */
struct br_exwalk {
	struct br_expage *page;
	struct br_exkey key;
	struct br_exline *line;		/* what it has come to */
	unsigned slot;
	uint64_t value;
	bool leaf, draining;
	uint32_t probe, left;		/* its own */
};

bool br_exwalk_next(struct br_exwalk *w);

/*
 * Add a slot to the block.  @tag_flags is 0 or LEAF.  -ENOSPC: no line that it may lie in has room.  @live: others may
 * look; else it is a page that nobody has been shown yet.
 */
struct br_exslot {
	struct br_exkey key;
	uint64_t value;
	uint32_t tag_flags;
	bool draining;
};
int br_expage_put(struct br_expage *p, const struct br_exslot *s, bool live);

/* What the walk has come to: clear its draining flag, take it out (its leaf is the caller's then), change its mask. */
void br_exwalk_set_done(struct br_exwalk *w);
void br_exwalk_drop(struct br_exwalk *w);
void br_exwalk_set_value(struct br_exwalk *w, uint64_t value);

/* Slot @slot of line @line, as br_expage_put() would take it.  False: not used. */
bool br_expage_get(struct br_expage *p, uint32_t line, unsigned slot, struct br_exslot *ret);
/* Make a page empty that may have been something before: those who still look into it must notice. */
void br_expage_clear(struct br_expage *p);
void br_exleaf_put(struct br_exleaf *leaf, unsigned chunk, uint64_t new_chunk);

#endif /* BR_REMAP_EXTABLE_PAGE_H */
