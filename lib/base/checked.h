/* SPDX-License-Identifier: BSD-3-Clause */
/* Arithmetic that tells when it does not fit: true = overflow, result not written to be used. */
#ifndef BR_BASE_CHECKED_H
#define BR_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool br_add_overflows(uint64_t a, uint64_t b, uint64_t *ret)
{
	return __builtin_add_overflow(a, b, ret);
}

static inline bool br_mul_overflows(uint64_t a, uint64_t b, uint64_t *ret)
{
	return __builtin_mul_overflow(a, b, ret);
}

static inline bool br_is_pow2(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* log2 of a power of two */
static inline unsigned br_log2(uint64_t n)
{
	return (unsigned)__builtin_ctzll(n);
}

static inline uint64_t br_div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

#endif /* BR_BASE_CHECKED_H */
