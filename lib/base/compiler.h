/* SPDX-License-Identifier: BSD-3-Clause */
/* Small things that the language lacks. */
#ifndef BR_BASE_COMPILER_H
#define BR_BASE_COMPILER_H

#include <stddef.h>

#define br_container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define BR_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define br_likely(x) __builtin_expect(!!(x), 1)
#define br_unlikely(x) __builtin_expect(!!(x), 0)
#define BR_CACHE_LINE 64
#define BR_MUST_CHECK __attribute__((warn_unused_result))

static inline int br_min_int(int a, int b)
{
	return a < b ? a : b;
}

#define BR_MIN(a, b) ((a) < (b) ? (a) : (b))
#define BR_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif /* BR_BASE_COMPILER_H */
