/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Depth-first walk over all decisions of a test that can be run again from its start:
 *
 *	walk_begin();
 *	do {
 *		... walk_choose(n) answers 0 ... n-1; the same answers lead to the same questions
 *	} while (walk_next());
 */
#ifndef TEST_WALK_H
#define TEST_WALK_H

#include <stdbool.h>

enum { WALK_MAX = 256 };

static struct {
	unsigned chosen, among;
} walk_path[WALK_MAX];
static unsigned walk_depth, walk_kept;

static unsigned walk_choose(unsigned among)
{
	assert_true(walk_depth < WALK_MAX);
	if (walk_depth == walk_kept)
		walk_path[walk_kept++].chosen = 0;
	walk_path[walk_depth].among = among;
	return walk_path[walk_depth++].chosen;
}

static void walk_begin(void)
{
	walk_depth = walk_kept = 0;
}

static bool walk_next(void)
{
	while (walk_kept && walk_path[walk_kept - 1].chosen + 1 == walk_path[walk_kept - 1].among)
		walk_kept--;
	walk_depth = 0;
	if (!walk_kept)
		return false;
	walk_path[walk_kept - 1].chosen++;
	return true;
}

#endif /* TEST_WALK_H */
