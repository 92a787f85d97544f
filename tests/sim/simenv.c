/* SPDX-License-Identifier: BSD-3-Clause */
/* The environment (base/env.h) of a simulated world. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "sim/world.h"

enum { PATTERN = 0xd5, POISONED = 4096 };	/* freed memory begins like this, where no sanitizer looks */

struct memory {
	struct br_list link;		/* of sim_world.memory */
	void *base;
	size_t bytes;
	uint64_t number;
};

/* base/env.h gives the table no way to say "not mine": every env of this table is a world's first member. */
static struct sim_world *world_of(const struct blkremap_env *env)
{
	return (struct sim_world *)(uintptr_t)env;
}

static bool fails_now(struct sim_world *w)
{
	w->allocs++;
	if (!w->fail_alloc)
		return false;
	return w->fail_all ? w->allocs >= w->fail_alloc : w->allocs == w->fail_alloc;
}

static void *env_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	struct sim_world *w = world_of(env);
	struct memory *m;
	uintptr_t p;

	if (fails_now(w))
		return NULL;
	m = sim_alloc(sizeof(*m));
	m->base = sim_alloc(size + align + sizeof(m));
	m->bytes = size;
	m->number = w->allocs;
	p = ((uintptr_t)m->base + sizeof(m) + align - 1) & ~(uintptr_t)(align - 1);
	memcpy((void *)(p - sizeof(m)), &m, sizeof(m));
	br_list_add_tail(&w->memory, &m->link);
	w->live_allocs++;
	return (void *)p;
}

static void env_free(const struct blkremap_env *env, void *p, size_t size)
{
	struct sim_world *w = world_of(env);
	struct memory *m;

	memcpy(&m, (char *)p - sizeof(m), sizeof(m));
	if (m->bytes != size)
		sim_abandon(w, "allocation %llu of %zu bytes is freed as %zu", (unsigned long long)m->number, m->bytes,
			    size);
	br_list_del(&m->link);
	w->live_allocs--;
	memset(p, PATTERN, BR_MIN(size, POISONED));
	free(m->base);
	free(m);
}

static uint64_t env_now(const struct blkremap_env *env)
{
	return world_of(env)->now_ns;
}

static uint64_t env_random(const struct blkremap_env *env)
{
	return sim_random(&world_of(env)->rng);
}

/* Tasks change only in idle(), with no lock held: a lock that is taken means a lock held over a wait. */
static void env_word_wait(const struct blkremap_env *env, _Atomic uint32_t *word, uint32_t seen)
{
	(void)word;
	(void)seen;
	sim_abandon(world_of(env), "a lock is waited for: somebody holds it while waiting");
}

static void env_word_wake(const struct blkremap_env *env, _Atomic uint32_t *word)
{
	(void)env;
	(void)word;
}

static int env_bell_open(const struct blkremap_env *env)
{
	struct sim_world *w = world_of(env);

	for (int i = 0; i < SIM_MAX_BELLS; i++) {
		if (!w->bells[i]) {
			w->bells[i] = true;
			return i;
		}
	}
	return -EMFILE;
}

static void env_bell_ring(const struct blkremap_env *env, int bell)
{
	struct sim_world *w = world_of(env);

	if (bell < 0 || bell >= SIM_MAX_BELLS || !w->bells[bell])
		sim_abandon(w, "bell %d is rung and is not open", bell);
	sim_changed(w);
}

static void env_bell_clear(const struct blkremap_env *env, int bell)
{
	(void)env;
	(void)bell;
}

static void env_bell_close(const struct blkremap_env *env, int bell)
{
	struct sim_world *w = world_of(env);

	if (bell < 0 || bell >= SIM_MAX_BELLS || !w->bells[bell])
		sim_abandon(w, "bell %d is closed and is not open", bell);
	w->bells[bell] = false;
}

static void env_idle(const struct blkremap_env *env, struct br_ctx *ctx, struct br_queue *queue, uint64_t deadline_ns)
{
	(void)ctx;
	(void)queue;
	sim_wait(world_of(env), deadline_ns);
}

const struct br_env_ops sim_env_ops = {
	.alloc = env_alloc,
	.free = env_free,
	.now_ns = env_now,
	.random = env_random,
	.word_wait = env_word_wait,
	.word_wake = env_word_wake,
	.bell_open = env_bell_open,
	.bell_ring = env_bell_ring,
	.bell_clear = env_bell_clear,
	.bell_close = env_bell_close,
	.idle = env_idle,
};

uint32_t sim_env_open_bells(const struct sim_world *w)
{
	uint32_t n = 0;

	for (int i = 0; i < SIM_MAX_BELLS; i++)
		n += w->bells[i];
	return n;
}

/* Whatever an abandoned world has left. */
void sim_env_done(struct sim_world *w)
{
	struct br_list *l;

	while ((l = br_list_pop(&w->memory))) {
		struct memory *m = br_container_of(l, struct memory, link);

		free(m->base);
		free(m);
	}
}
