/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The world outside, as a table of functions: memory, time, chance, sleeping, waking, log.
 *
 * Nothing in base, op, remap, meta or target calls malloc, reads a clock, or sleeps except through here, so the same
 * code runs under threads, without any thread, and in the simulator, where every one of these is an event that can be
 * replayed.  base/env-posix.c is the real world; the simulator brings its own.
 *
 * All functions may be called from any thread unless the comment says otherwise.
 */
#ifndef BR_BASE_ENV_H
#define BR_BASE_ENV_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct blkremap_env;
struct br_ctx;
struct br_queue;

#define BR_NEVER UINT64_MAX	/* a deadline that does not come */

struct br_env_ops {
	/* Zeroed memory aligned to @align (a power of two, at least 16), or NULL.  Freed with the same size. */
	void *(*alloc)(const struct blkremap_env *env, size_t size, size_t align);
	void (*free)(const struct blkremap_env *env, void *p, size_t size);
	uint64_t (*now_ns)(const struct blkremap_env *env);	/* monotonic */
	uint64_t (*random)(const struct blkremap_env *env);
	/* Sleep while *word == seen; may wake for no reason.  Wake all who do. */
	void (*word_wait)(const struct blkremap_env *env, _Atomic uint32_t *word, uint32_t seen);
	void (*word_wake)(const struct blkremap_env *env, _Atomic uint32_t *word);
	/* Bells: something a sleeper can be woken by.  The number is a descriptor in the real world. */
	int (*bell_open)(const struct blkremap_env *env);	/* bell >= 0, or -errno */
	void (*bell_ring)(const struct blkremap_env *env, int bell);
	void (*bell_clear)(const struct blkremap_env *env, int bell);
	void (*bell_close)(const struct blkremap_env *env, int bell);
	/*
	 * Let time pass until something may have happened: the queue's bell rang, one of its sources has a completion,
	 * (context without threads) the context has work, or the deadline has come.  Waking early is always right.
	 * @queue is owned by the caller, or NULL.  Real world: poll, io_getevents.  Simulator: one event.
	 */
	void (*idle)(const struct blkremap_env *env, struct br_ctx *ctx, struct br_queue *queue, uint64_t deadline_ns);
};

struct blkremap_env {
	const struct br_env_ops *ops;
};

extern const struct blkremap_env br_env_posix;

static inline void *br_alloc_aligned(const struct blkremap_env *env, size_t size, size_t align)
{
	return env->ops->alloc(env, size, align);
}

static inline void *br_alloc(const struct blkremap_env *env, size_t size)
{
	return env->ops->alloc(env, size, 16);
}

static inline void br_free(const struct blkremap_env *env, void *p, size_t size)
{
	if (p)
		env->ops->free(env, p, size);
}

static inline uint64_t br_now(const struct blkremap_env *env)
{
	return env->ops->now_ns(env);
}

#endif /* BR_BASE_ENV_H */
