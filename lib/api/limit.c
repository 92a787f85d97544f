/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/limit.h"

#include "base/compiler.h"

static struct br_limit *to_limit(const struct blkremap_env *env)
{
	return br_container_of((void *)(uintptr_t)env, struct br_limit, env);
}

static void *limited_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	struct br_limit *l = to_limit(env);
	uint64_t before = atomic_fetch_add(&l->bytes, size);
	void *p = NULL;

	if (before + size <= l->max)
		p = br_alloc_aligned(l->real, size, align);
	if (!p)
		atomic_fetch_sub(&l->bytes, size);
	return p;
}

static void limited_free(const struct blkremap_env *env, void *p, size_t size)
{
	struct br_limit *l = to_limit(env);

	br_free(l->real, p, size);
	atomic_fetch_sub(&l->bytes, size);
}

/* @real is br_env_posix, whose other functions do not look at the environment that they are called with. */
void br_limit_init(struct br_limit *l, const struct blkremap_env *real, uint64_t max)
{
	l->real = real;
	l->max = max;
	l->ops = *real->ops;
	l->ops.alloc = limited_alloc;
	l->ops.free = limited_free;
	l->env.ops = &l->ops;
}
