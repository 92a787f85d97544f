/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mutants: deliberate bugs for testing the tests.  BR_MUTANT("snap-no-drain") is true when a build with -Dmutants=true
 * has that one switched on; in any other build it is the constant false and the name is not in the binary.
 */
#ifndef BR_BASE_MUTANT_H
#define BR_BASE_MUTANT_H

#include <stdbool.h>
#include <string.h>

#ifdef BR_MUTANTS
extern const char *br_mutant;	/* the one that is on, or NULL; set by tests before they begin */

static inline bool br_mutant_is(const char *name)
{
	return br_mutant && strcmp(br_mutant, name) == 0;
}
#define BR_MUTANT(name) br_mutant_is(name)
#else
#define BR_MUTANT(name) false
#endif

#endif /* BR_BASE_MUTANT_H */
