/* SPDX-License-Identifier: BSD-3-Clause */
/* An environment that gives out no more memory than blkremap_ctx_opts.max_memory. */
#ifndef BR_API_LIMIT_H
#define BR_API_LIMIT_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/env.h"

struct br_limit {
	struct blkremap_env env;	/* what the context uses */
	struct br_env_ops ops;		/* the real ones, but for memory */
	const struct blkremap_env *real;
	_Atomic uint64_t bytes;		/* given out */
	uint64_t max;
};

void br_limit_init(struct br_limit *l, const struct blkremap_env *real, uint64_t max);

#endif /* BR_API_LIMIT_H */
