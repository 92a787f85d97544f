/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fault rules: which request fails, and how.  One line of words, any order, all but the action optional:
 *
 *	disk=cow op=WRITE nth=3 once EIO	the third write to "cow" from now on fails, later ones do not
 *	disk=log op=FLUSH forever EIO		every flush fails
 *	op=READ block=8-15 ENOSPC		reads that touch these blocks, on any disk; "once" is the default
 *	disk=cow op=FLUSH stuck			it never completes
 *	disk=cow op=FLUSH elide			it completes and does nothing: a lie, for testing the tests
 */
#ifndef SIM_RULE_H
#define SIM_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/disk.h"

enum { SIM_RULE_STUCK = 1, SIM_RULE_ELIDE = 2 };	/* actions above 0; errors are negative */

struct sim_rule {
	char disk[SIM_DISK_NAME];	/* empty: any */
	int op;				/* enum br_req_op, -1: any */
	uint64_t first, last;		/* blocks */
	uint32_t nth, seen;
	bool forever, spent;
	int action;
};

int sim_rule_parse(const char *text, struct sim_rule *ret_rule);	/* -EINVAL */
/* What is to happen to this request: 0 nothing, SIM_RULE_*, or -errno.  Counts it. */
int sim_rule_match(struct sim_rule *rule, const char *disk, int op, uint64_t first, uint64_t n);

#endif /* SIM_RULE_H */
