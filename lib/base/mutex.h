/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mutex of four bytes that sleeps through the environment.  Never held over I/O, allocation or a callback.
 * Word: 0 free, 1 held, 2 held and somebody sleeps.
 */
#ifndef BR_BASE_MUTEX_H
#define BR_BASE_MUTEX_H

#include "base/compiler.h"
#include "base/env.h"

struct br_mutex {
	_Atomic uint32_t word;
};

void br_mutex_lock_slow(struct br_mutex *m, const struct blkremap_env *env);

static inline void br_mutex_lock(struct br_mutex *m, const struct blkremap_env *env)
{
	uint32_t free = 0;

	if (br_likely(atomic_compare_exchange_strong_explicit(&m->word, &free, 1, memory_order_acquire,
							      memory_order_relaxed)))
		return;
	br_mutex_lock_slow(m, env);
}

static inline void br_mutex_unlock(struct br_mutex *m, const struct blkremap_env *env)
{
	if (br_unlikely(atomic_exchange_explicit(&m->word, 0, memory_order_release) == 2))
		env->ops->word_wake(env, &m->word);
}

#endif /* BR_BASE_MUTEX_H */
