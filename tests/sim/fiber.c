/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sim/blob.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifndef WITH_ASAN
#define WITH_ASAN 0
#endif

#if WITH_ASAN
#include <sanitizer/common_interface_defs.h>

static _Thread_local struct sim_fiber *came_from;	/* its stack becomes known on arrival */

static void leave(struct sim_fiber *from, const struct sim_fiber *to)
{
	came_from = from;
	__sanitizer_start_switch_fiber(&from->fake, to->bottom, to->bytes);
}

static void arrive(struct sim_fiber *at)
{
	__sanitizer_finish_switch_fiber(at ? at->fake : NULL, &came_from->bottom, &came_from->bytes);
}
#else
static void leave(struct sim_fiber *from, const struct sim_fiber *to)
{
	(void)from;
	(void)to;
}

static void arrive(struct sim_fiber *at)
{
	(void)at;
}
#endif

enum { STACK_BYTES = 512 << 10, GUARD_BYTES = 4096 };

struct start {
	void (*entry)(void *arg);
	void *arg;
};

static struct sim_stack *take_stack(struct sim_stack **stacks)
{
	struct sim_stack *s = *stacks;

	if (s) {
		*stacks = s->next;
		return s;
	}
	s = sim_alloc(sizeof(*s));
	s->bytes = STACK_BYTES;
	s->base = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->base == MAP_FAILED)
		exit(99);
	mprotect(s->base, GUARD_BYTES, PROT_NONE);
	return s;
}

/* makecontext() passes ints: the start record lies at the top of the stack, its address comes in two halves. */
static void trampoline(unsigned high, unsigned low)
{
	struct start *start = (struct start *)((uintptr_t)high << 32 | low);

	arrive(NULL);
	start->entry(start->arg);
	abort();	/* the entry must switch away for good */
}

void sim_fiber_make(struct sim_fiber *f, struct sim_stack **stacks, void (*entry)(void *arg), void *arg)
{
	struct sim_stack *s = take_stack(stacks);
	struct start *start = (void *)((char *)s->base + s->bytes - sizeof(*start));

	start->entry = entry;
	start->arg = arg;
	f->stack = s;
	f->fake = NULL;
	f->bottom = s->base;
	f->bytes = s->bytes;
	getcontext(&f->context);
	f->context.uc_stack.ss_sp = s->base;
	f->context.uc_stack.ss_size = s->bytes - 64;
	f->context.uc_link = NULL;
	makecontext(&f->context, (void (*)(void))(uintptr_t)trampoline, 2, (unsigned)((uintptr_t)start >> 32),
		    (unsigned)(uintptr_t)start);
}

void sim_fiber_free(struct sim_fiber *f, struct sim_stack **stacks)
{
	if (!f->stack)
		return;
	f->stack->next = *stacks;
	*stacks = f->stack;
	f->stack = NULL;
}

void sim_fiber_switch(struct sim_fiber *from, struct sim_fiber *to)
{
	leave(from, to);
	swapcontext(&from->context, &to->context);
	arrive(from);
}

void sim_stacks_free(struct sim_stack **stacks)
{
	struct sim_stack *s;

	while ((s = *stacks)) {
		*stacks = s->next;
		munmap(s->base, s->bytes);
		free(s);
	}
}
