/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/bounce.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/env.h"

int br_bounce_init(struct br_bounce *b, const struct blkremap_env *env)
{
	b->env = env;
	b->memory = br_alloc_aligned(env, (size_t)BR_BOUNCE_BYTES * BR_BOUNCE_COUNT, BR_BOUNCE_ALIGN);
	if (!b->memory)
		return -ENOMEM;
	for (b->nr_free = 0; b->nr_free < BR_BOUNCE_COUNT; b->nr_free++)
		b->free[b->nr_free] = (uint8_t)b->nr_free;
	return 0;
}

void br_bounce_done(struct br_bounce *b)
{
	br_free(b->env, b->memory, (size_t)BR_BOUNCE_BYTES * BR_BOUNCE_COUNT);
	b->memory = NULL;
}

/* Last in, first out: the buffer that is warm in the cache. */
void *br_bounce_take(struct br_bounce *b)
{
	if (!b->nr_free)
		return NULL;
	return b->memory + (size_t)BR_BOUNCE_BYTES * b->free[--b->nr_free];
}

void br_bounce_give(struct br_bounce *b, void *buffer)
{
	b->free[b->nr_free++] = (uint8_t)(((char *)buffer - b->memory) / BR_BOUNCE_BYTES);
}

/* Only the part of the vectors that belongs to the request counts. */
bool br_bounce_needed(const struct br_req *req, uint32_t align, uint32_t block)
{
	uint64_t skip = req->iov_skip, left = req->length, n;
	uintptr_t at;

	for (uint32_t i = 0; i < req->iovcnt && left; i++) {
		const struct iovec *v = &req->iov[i];

		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		at = (uintptr_t)v->iov_base + skip;
		n = BR_MIN(left, v->iov_len - skip);
		if ((at & (align - 1)) || (n & (block - 1)))
			return true;
		left -= n;
		skip = 0;
	}
	return false;
}
