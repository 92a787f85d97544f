/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer's side of a page, and the longer way of look-ups; the rules are in the header. */
#include "remap/extable-page.h"

#include <errno.h>

/* ---- looking up ------------------------------------------------------------------------------------------------- */

/* What a slot with the right tag says of a chunk of its block.  Through a leaf we go only when sure of the slot. */
static int take(const struct br_exline *l, uint32_t head, unsigned slot, unsigned chunk,
				 uint64_t *ret_new)
{
	uint64_t value = atomic_load_explicit(&l->values[slot], memory_order_acquire);
	bool leaf = atomic_load_explicit(&l->tags[slot], memory_order_acquire) & BR_EXTAG_LEAF;
	uint64_t where;

	if (!(value >> chunk & 1))
		return BR_EX_NONE;
	if (br_exline_changed(l, head))
		return BR_EX_AGAIN;
	where = leaf ? br_exleaf_get(br_exvalue_leaf(value), chunk) : br_exvalue_new(value, chunk);
	if (leaf && br_exline_changed(l, head))
		return BR_EX_AGAIN;
	*ret_new = where;
	return br_exhead_draining(head, slot) ? BR_EX_DRAINING : BR_EX_DONE;
}

int br_expage_find(const struct br_expage *p, struct br_exkey key, unsigned chunk, uint64_t *ret_new)
{
	const struct br_exline *home = &p->lines[key.line], *l = home;
	uint32_t first = atomic_load(&home->head), head = first;

	for (uint32_t probe = 0;;) {
		for (uint32_t m = br_exline_match(l, head, key.tag | probe); m; m &= m - 1) {
			int state = take(l, head, (unsigned)__builtin_ctz(m), chunk, ret_new);

			if (state != BR_EX_NONE)
				return state;
		}
		if (probe++ == br_exhead_reach(first))
			break;
		l = &p->lines[br_expage_probe(key.line, probe)];
		head = atomic_load_explicit(&l->head, memory_order_acquire);
	}
	return br_exline_changed(home, first) ? BR_EX_AGAIN : BR_EX_NONE;
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

static uint32_t head_of(struct br_exline *l)
{
	return atomic_load_explicit(&l->head, memory_order_relaxed);
}

/* The head with these flags and the next sequence. */
static uint32_t next_head(struct br_exline *l, uint32_t flags)
{
	return ((head_of(l) >> BR_EXHEAD_SEQ_SHIFT) + 1) << BR_EXHEAD_SEQ_SHIFT | flags;
}

static uint32_t flags_of(uint32_t head)
{
	return head & ((1u << BR_EXHEAD_SEQ_SHIFT) - 1);
}

static void store_head(struct br_exline *l, uint32_t flags, bool live)
{
	uint32_t head = next_head(l, flags);

	if (live)
		atomic_store(&l->head, head);
	else
		atomic_store_explicit(&l->head, head, memory_order_release);
}

static uint32_t with_reach(uint32_t flags, uint32_t reach)
{
	flags &= ~((uint32_t)BR_EXTAG_PROBE << BR_EXHEAD_REACH_SHIFT);
	return flags | reach << BR_EXHEAD_REACH_SHIFT;
}

static uint32_t slot_bits(unsigned slot, bool draining)
{
	return 1u << slot | (uint32_t)draining << (BR_EXHEAD_DRAIN_SHIFT + slot);
}

static uint32_t tag_at(struct br_exline *l, unsigned slot)
{
	return atomic_load_explicit(&l->tags[slot], memory_order_relaxed);
}

/* ---- walking and adding ------------------------------------------------------------------------------------------ */

static bool next_line(struct br_exwalk *w)
{
	struct br_exline *home = &w->page->lines[w->key.line];

	if (!w->line)
		w->line = home;
	else if (w->probe >= br_exhead_reach(head_of(home)))
		return false;
	else
		w->line = &w->page->lines[br_expage_probe(w->key.line, ++w->probe)];
	w->left = br_exline_match(w->line, head_of(w->line), w->key.tag | w->probe);
	return true;
}

bool br_exwalk_next(struct br_exwalk *w)
{
	while (!w->left) {
		if (!next_line(w))
			return false;
	}
	w->slot = (unsigned)__builtin_ctz(w->left);
	w->left &= w->left - 1;
	w->value = atomic_load_explicit(&w->line->values[w->slot], memory_order_relaxed);
	w->leaf = tag_at(w->line, w->slot) & BR_EXTAG_LEAF;
	w->draining = br_exhead_draining(head_of(w->line), w->slot);
	return true;
}

static void fill(struct br_exline *l, unsigned slot, const struct br_exslot *s, uint32_t probe)
{
	atomic_store_explicit(&l->tags[slot], s->key.tag | s->tag_flags | probe, memory_order_release);
	atomic_store_explicit(&l->values[slot], s->value, memory_order_release);
}

/* The flags of a head, with a reach that takes in such a slot.  A glance cannot see leaves: it is told to look on. */
static uint32_t reaching(uint32_t flags, uint32_t probe, uint32_t tag_flags)
{
	uint32_t least = tag_flags && !probe ? 1 : probe;

	return least > br_exhead_reach(flags) ? with_reach(flags, least) : flags;
}

int br_expage_put(struct br_expage *p, const struct br_exslot *s, bool live)
{
	struct br_exline *home = &p->lines[s->key.line], *l = home;
	uint32_t probe = 0, flags, free;

	while (!(free = ~head_of(l) & BR_EXHEAD_USED)) {
		if (++probe == BR_EXPAGE_PROBES)
			return -ENOSPC;
		l = &p->lines[br_expage_probe(s->key.line, probe)];
	}
	fill(l, (unsigned)__builtin_ctz(free), s, probe);
	flags = flags_of(head_of(l)) | slot_bits((unsigned)__builtin_ctz(free), s->draining);
	if (l == home) {
		store_head(home, reaching(flags, probe, s->tag_flags), live);
		return 0;
	}
	store_head(l, flags, false);
	store_head(home, reaching(flags_of(head_of(home)), probe, s->tag_flags), live);
	return 0;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* What a change ends with: new heads for the line with @flags and, last, for the home of the block. */
static void store_heads(struct br_exwalk *w, uint32_t flags)
{
	struct br_exline *home = &w->page->lines[w->key.line];

	store_head(w->line, flags, w->line == home);
	if (w->line != home)
		store_head(home, flags_of(head_of(home)), true);
}

void br_exwalk_set_done(struct br_exwalk *w)
{
	store_heads(w, flags_of(head_of(w->line)) & ~(1u << (BR_EXHEAD_DRAIN_SHIFT + w->slot)));
}

/* The line's own head too: who is on his way through the leaf looks at no other. */
void br_exwalk_set_value(struct br_exwalk *w, uint64_t value)
{
	atomic_store_explicit(&w->line->values[w->slot], value, memory_order_release);
	store_heads(w, flags_of(head_of(w->line)));
}

/* Does any slot lie at that probe of this home, with @tag_flags?  Line and probe name the home, so that is all. */
static bool any_at(struct br_expage *p, uint32_t home, uint32_t probe, uint32_t tag_flags)
{
	struct br_exline *l = &p->lines[br_expage_probe(home, probe)];

	for (unsigned i = 0; i < BR_EXLINE_SLOTS; i++) {
		uint32_t tag = tag_at(l, i);

		if (head_of(l) >> i & 1 && (tag & BR_EXTAG_PROBE) == probe && (tag & tag_flags) == tag_flags)
			return true;
	}
	return false;
}

/* The least reach that takes in all slots of this home. */
static uint32_t least_reach(struct br_expage *p, uint32_t home, uint32_t reach)
{
	while (reach > 1 && !any_at(p, home, reach, 0))
		reach--;
	return reach == 1 && !any_at(p, home, 1, 0) && !any_at(p, home, 0, BR_EXTAG_LEAF) ? 0 : reach;
}

void br_exwalk_drop(struct br_exwalk *w)
{
	struct br_exline *home = &w->page->lines[w->key.line];
	uint32_t reach;

	store_head(w->line, flags_of(head_of(w->line)) & ~slot_bits(w->slot, true), false);
	/* A glance would take the old tag for the block's slot and not look at the one that it has kept. */
	atomic_store_explicit(&w->line->tags[w->slot], ~tag_at(w->line, w->slot), memory_order_release);
	reach = least_reach(w->page, w->key.line, br_exhead_reach(head_of(home)));
	store_head(home, with_reach(flags_of(head_of(home)), reach), true);
}

/* ---- the page as a whole ----------------------------------------------------------------------------------------- */

static uint32_t home_of(uint32_t line, uint32_t probe)
{
	uint32_t back = br_expage_probe(0, probe & ~1u);

	return ((line & ~1u) - back + ((line ^ probe) & 1)) % BR_EXPAGE_LINES;
}

bool br_expage_get(struct br_expage *p, uint32_t line, unsigned slot, struct br_exslot *ret)
{
	struct br_exline *l = &p->lines[line];
	uint32_t tag = tag_at(l, slot);

	if (!(head_of(l) >> slot & 1))
		return false;
	ret->key.line = home_of(line, tag & BR_EXTAG_PROBE);
	ret->key.tag = tag >> BR_EXTAG_SHIFT << BR_EXTAG_SHIFT;
	ret->tag_flags = tag & BR_EXTAG_LEAF;
	ret->value = atomic_load_explicit(&l->values[slot], memory_order_relaxed);
	ret->draining = br_exhead_draining(head_of(l), slot);
	return true;
}

void br_expage_clear(struct br_expage *p)
{
	for (unsigned i = 0; i < BR_EXPAGE_LINES; i++)
		store_head(&p->lines[i], 0, false);
}

/* Of a chunk that no mask has which a reader could come by. */
void br_exleaf_put(struct br_exleaf *leaf, unsigned chunk, uint64_t new_chunk)
{
	atomic_store_explicit(&leaf->low[chunk], (uint32_t)new_chunk, memory_order_release);
	atomic_store_explicit(&leaf->high[chunk], (uint16_t)(new_chunk >> 32), memory_order_release);
}
