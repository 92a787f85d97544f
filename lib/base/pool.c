/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/pool.h"

#include <errno.h>

#include "base/env.h"

int br_pool_init(struct br_pool *p, const struct blkremap_env *env, size_t size, size_t align, uint32_t n)
{
	size = (size + align - 1) & ~(align - 1);
	p->env = env;
	p->bytes = size * n;
	p->free = NULL;
	p->nr_free = 0;
	p->memory = br_alloc_aligned(env, p->bytes, align);
	if (!p->memory)
		return -ENOMEM;
	for (uint32_t i = n; i-- > 0;)
		br_pool_give(p, (char *)p->memory + i * size);
	return 0;
}

void br_pool_done(struct br_pool *p)
{
	br_free(p->env, p->memory, p->bytes);
	p->memory = NULL;
}

void *br_pool_take(struct br_pool *p)
{
	void *object = p->free;

	if (object) {
		p->free = *(void **)object;
		p->nr_free--;
	}
	return object;
}

void br_pool_give(struct br_pool *p, void *object)
{
	*(void **)object = p->free;
	p->free = object;
	p->nr_free++;
}
