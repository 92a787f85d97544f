/* SPDX-License-Identifier: BSD-3-Clause */
#include "meta/chunk-set.h"

#include <errno.h>

#include "base/env.h"
#include "base/error.h"

enum { GROUP_BITS = 6, FIRST_GROUPS = 64 };

/* 64 neighbours.  No bits: the place is free, for a group comes with its first member and none ever leaves. */
struct br_chunk_group {
	uint64_t number;
	uint64_t bits;
};

void br_chunk_set_init(struct br_chunk_set *set, const struct blkremap_env *env)
{
	*set = (struct br_chunk_set){ .env = env };
}

void br_chunk_set_done(struct br_chunk_set *set)
{
	br_free(set->env, set->groups, set->nr_groups * sizeof(*set->groups));
	br_chunk_set_init(set, set->env);
}

/* The place of group @number, or the free one where it belongs.  Ends because a quarter is free. */
static struct br_chunk_group *find(struct br_chunk_group *groups, uint64_t nr_groups, uint64_t number)
{
	uint64_t at = number * UINT64_C(0x9e3779b97f4a7c15) >> 20;

	for (;; at++) {
		struct br_chunk_group *g = &groups[at & (nr_groups - 1)];

		if (!g->bits || g->number == number)
			return g;
	}
}

static int grow(struct br_chunk_set *set)
{
	uint64_t nr = set->nr_groups ? set->nr_groups * 2 : FIRST_GROUPS;
	struct br_chunk_group *groups = br_alloc(set->env, nr * sizeof(*groups));

	if (!groups)
		return br_error(-ENOMEM, "no memory for a set of chunks (%" PRIu64 " so far)", set->count);
	for (uint64_t i = 0; i < set->nr_groups; i++) {
		if (set->groups[i].bits)
			*find(groups, nr, set->groups[i].number) = set->groups[i];
	}
	br_free(set->env, set->groups, set->nr_groups * sizeof(*groups));
	set->groups = groups;
	set->nr_groups = nr;
	return 0;
}

int br_chunk_set_add(struct br_chunk_set *set, uint64_t chunk)
{
	uint64_t bit = UINT64_C(1) << (chunk & ((1 << GROUP_BITS) - 1));
	struct br_chunk_group *g;
	int r;

	if (set->used >= set->nr_groups / 4 * 3) {
		r = grow(set);
		if (r < 0)
			return r;
	}
	g = find(set->groups, set->nr_groups, chunk >> GROUP_BITS);
	if (g->bits & bit)
		return 0;
	if (!g->bits)
		set->used++;
	g->number = chunk >> GROUP_BITS;
	g->bits |= bit;
	set->count++;
	return 1;
}

bool br_chunk_set_has(const struct br_chunk_set *set, uint64_t chunk)
{
	if (!set->groups)
		return false;
	return find(set->groups, set->nr_groups, chunk >> GROUP_BITS)->bits >> (chunk & ((1 << GROUP_BITS) - 1)) & 1;
}
