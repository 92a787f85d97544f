/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Little-endian numbers as they lie on disk: distinct types, so that one cannot be used as a number by accident.
 */
#ifndef BR_BASE_LE_H
#define BR_BASE_LE_H

#include <stdint.h>

struct br_le32 {
	uint8_t b[4];
};

struct br_le64 {
	uint8_t b[8];
};

static inline uint32_t br_le32_get(struct br_le32 v)
{
	return (uint32_t)v.b[0] | (uint32_t)v.b[1] << 8 |
	       (uint32_t)v.b[2] << 16 | (uint32_t)v.b[3] << 24;
}

static inline struct br_le32 br_le32_make(uint32_t n)
{
	return (struct br_le32){ { (uint8_t)n, (uint8_t)(n >> 8),
				   (uint8_t)(n >> 16), (uint8_t)(n >> 24) } };
}

static inline uint64_t br_le64_get(struct br_le64 v)
{
	uint64_t n = 0;

	for (int i = 7; i >= 0; i--)
		n = n << 8 | v.b[i];
	return n;
}

static inline struct br_le64 br_le64_make(uint64_t n)
{
	struct br_le64 v;

	for (int i = 0; i < 8; i++, n >>= 8)
		v.b[i] = (uint8_t)n;
	return v;
}

#endif /* BR_BASE_LE_H */
