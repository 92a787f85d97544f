/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of the primitives: an environment whose memory can run out, and ops that only count, so that a test
 * decides itself when an op that was granted goes on.
 */
#ifndef TEST_REMAP_FAKE_H
#define TEST_REMAP_FAKE_H

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "op/ctx.h"
#include "op/op.h"

static int fake_allocs_left = -1;	/* -1: any number */

static void *fake_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	void *p = NULL;

	(void)env;
	if (fake_allocs_left == 0)
		return NULL;
	if (fake_allocs_left > 0)
		fake_allocs_left--;
	if (posix_memalign(&p, align < 16 ? 16 : align, size))
		return NULL;
	return memset(p, 0, size);
}

static void fake_free(const struct blkremap_env *env, void *p, size_t size)
{
	(void)env;
	(void)size;
	free(p);
}

static void fake_word_wait(const struct blkremap_env *env, _Atomic uint32_t *word, uint32_t seen)
{
	(void)env;
	while (atomic_load(word) == seen)
		sched_yield();
}

static void fake_word_wake(const struct blkremap_env *env, _Atomic uint32_t *word)
{
	(void)env;
	(void)word;
}

static const struct br_env_ops fake_env_ops = {
	.alloc = fake_alloc, .free = fake_free, .word_wait = fake_word_wait, .word_wake = fake_word_wake,
};
static const struct blkremap_env fake_env = { .ops = &fake_env_ops };
static struct br_ctx fake_ctx = { .env = &fake_env };

/* An op's grants are counted in the atomic word, so that a thread can wait for one. */
struct fake_op {
	struct br_op op;
	_Atomic int launched, granted, error;
};

static struct fake_op *to_fake(struct br_op *op)
{
	return (struct fake_op *)(void *)op;
}

void br_op_launch(struct br_op *op)
{
	atomic_fetch_add(&to_fake(op)->launched, 1);
}

void br_op_grant(struct br_op *op, int error)
{
	atomic_store(&to_fake(op)->error, error);
	atomic_fetch_add(&to_fake(op)->granted, 1);
}

void br_wait_begin(struct br_ctx *ctx)
{
	atomic_fetch_add(&ctx->waits, 1);
}

void br_wait_end(struct br_ctx *ctx)
{
	atomic_fetch_sub(&ctx->waits, 1);
}

#endif /* TEST_REMAP_FAKE_H */
