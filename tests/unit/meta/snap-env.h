/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for the tests of the snapshot store: counted, and refused when the test says so.  There is no other world. */
#ifndef SNAP_ENV_H
#define SNAP_ENV_H

#include <stdlib.h>

#include "base/env.h"

static size_t env_bytes;	/* given out and not yet taken back */
static int env_fail_in = -1;	/* allocations until one fails; -1: none does */

static void *env_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	(void)env;
	(void)align;
	if (env_fail_in >= 0 && env_fail_in-- == 0)
		return NULL;
	env_bytes += size;
	return calloc(1, size);
}

static void env_free(const struct blkremap_env *env, void *p, size_t size)
{
	(void)env;
	env_bytes -= size;
	free(p);
}

static const struct br_env_ops env_ops = { .alloc = env_alloc, .free = env_free };
static const struct blkremap_env env = { .ops = &env_ops };

#endif /* SNAP_ENV_H */
