/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cooperative threads: a stack and a place in it.  Stacks are reused through a pool, abandoned fibers are simply
 * forgotten.
 */
#ifndef SIM_FIBER_H
#define SIM_FIBER_H

#include <stddef.h>
#include <ucontext.h>

struct sim_stack {
	struct sim_stack *next;		/* of the pool */
	void *base;
	size_t bytes;
};

struct sim_fiber {
	ucontext_t context;
	struct sim_stack *stack;	/* NULL: the caller's own */
	void *fake;			/* AddressSanitizer's */
	const void *bottom;
	size_t bytes;
};

/* @stacks: head of the pool. */
void sim_fiber_make(struct sim_fiber *f, struct sim_stack **stacks, void (*entry)(void *arg), void *arg);
void sim_fiber_free(struct sim_fiber *f, struct sim_stack **stacks);
void sim_fiber_switch(struct sim_fiber *from, struct sim_fiber *to);
void sim_stacks_free(struct sim_stack **stacks);

#endif /* SIM_FIBER_H */
