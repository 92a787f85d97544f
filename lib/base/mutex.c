/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/mutex.h"

enum { SPINS = 64 };

static int try_spinning(struct br_mutex *m)
{
	for (int i = 0; i < SPINS; i++) {
		uint32_t free = 0;

		if (atomic_compare_exchange_weak_explicit(&m->word, &free, 1, memory_order_acquire,
							  memory_order_relaxed))
			return 1;
	}
	return 0;
}

void br_mutex_lock_slow(struct br_mutex *m, const struct blkremap_env *env)
{
	if (try_spinning(m))
		return;
	while (atomic_exchange_explicit(&m->word, 2, memory_order_acquire) != 0)
		env->ops->word_wait(env, &m->word, 2);
}
