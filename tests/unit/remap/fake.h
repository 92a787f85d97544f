/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests of the primitives: ops that only count, so that a test decides when an op that was granted goes on. */
#ifndef TEST_REMAP_FAKE_H
#define TEST_REMAP_FAKE_H

#include "../fake-env.h"

#include "op/ctx.h"
#include "op/op.h"

static struct br_ctx fake_ctx = { .env = &fake_env };

/* The counters are atomic, so that a thread can wait for its grant. */
struct fake_op {
	struct br_op op;
	_Atomic int launched, granted, error;
};

static struct fake_op *to_fake(struct br_op *op)
{
	return (struct fake_op *)(void *)op;
}

/* What another thread might do just then; each runs once. */
static void (*fake_on_wait)(void), (*fake_on_grant)(void);

static void fake_run_hook(void (**hook)(void))
{
	void (*run)(void) = *hook;

	if (!run)
		return;
	*hook = NULL;
	run();
}

void br_op_launch(struct br_op *op)
{
	atomic_fetch_add(&to_fake(op)->launched, 1);
}

void br_op_grant(struct br_op *op, int error)
{
	atomic_store(&to_fake(op)->error, error);
	atomic_fetch_add(&to_fake(op)->granted, 1);
	fake_run_hook(&fake_on_grant);
}

void br_wait_begin(struct br_ctx *ctx)
{
	atomic_fetch_add(&ctx->waits, 1);
	fake_run_hook(&fake_on_wait);
}

void br_wait_end(struct br_ctx *ctx)
{
	atomic_fetch_sub(&ctx->waits, 1);
}

#endif /* TEST_REMAP_FAKE_H */
