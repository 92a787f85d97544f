/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests of specs: memory that is counted and can run out, and what they all do with specs. */
#ifndef SPEC_ENV_H
#define SPEC_ENV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/spec.h"
#include "base/env.h"
#include "base/error.h"
#include "spec-same.h"

static size_t env_bytes;	/* given out and not yet taken back */
static int env_fail_in = -1;	/* allocations that still succeed; -1: all */

static inline void *env_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	(void)env;
	(void)align;
	if (env_fail_in == 0)
		return NULL;
	if (env_fail_in > 0)
		env_fail_in--;
	env_bytes += size;
	return calloc(1, size);
}

static inline void env_free(const struct blkremap_env *env, void *p, size_t size)
{
	(void)env;
	env_bytes -= size;
	free(p);
}

static const struct br_env_ops env_ops = { .alloc = env_alloc, .free = env_free };
static const struct blkremap_env env = { .ops = &env_ops };

/* A copy that ends exactly with its NUL on the heap, so that sanitizers see any step beyond it. */
static inline struct br_spec *parse(const char *text)
{
	struct br_spec *spec = NULL;
	char *copy = strdup(text);
	int r = br_spec_parse(&env, copy, &spec);

	free(copy);
	if (r < 0)
		fail_msg("'%s': %s", text, br_error_text());
	return spec;
}

#endif /* SPEC_ENV_H */
