/* SPDX-License-Identifier: BSD-3-Clause */
/* What check and repair find: counted by severity, and printed as lines or as objects of an open JSON array. */
#ifndef CTL_FINDING_H
#define CTL_FINDING_H

#include <stdbool.h>
#include <stdint.h>
#include <blkremap/blkremap.h>
#include "json.h"

enum { CTL_REMARK = 1, CTL_UNCLEAN, CTL_CORRUPTION, CTL_NR_SEVERITIES }; /* blkremap_finding.severity */

struct ctl_findings {
	const char *operand;
	bool print_json;
	struct ctl_json json; /* open at the array of findings */
	uint64_t count[CTL_NR_SEVERITIES];
};

/* A blkremap_finding_fn; @opaque is the struct ctl_findings. */
int ctl_finding_take(void *opaque, const struct blkremap_finding *finding);

#endif /* CTL_FINDING_H */
