/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traces: the same operations for the kernel's devices and for ours.  One operation a line:
 *
 *	w DEVICE OFFSET LENGTH SEED	write the pattern of SEED
 *	r DEVICE OFFSET LENGTH		read, into the hash of all that was read
 *	f DEVICE			make durable
 *
 * DEVICE counts from 0.  The pattern of a write is the 8-byte number SEED << 32 | OFFSET >> 12 of each word's own
 * offset: it tells who wrote it and where, and packs well.
 */
#ifndef TRACE_H
#define TRACE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { TRACE_MAX = 1 << 20 };	/* bytes of one operation */

struct trace_op {
	char what;
	unsigned dev;
	uint64_t offset, length, seed;
};

/* 1: @ret is the next operation; 0: the end; -1: not a trace. */
static inline int trace_next(FILE *f, struct trace_op *ret)
{
	char line[128];
	unsigned long long offset = 0, length = 0, seed = 0;
	int n;

	if (!fgets(line, sizeof(line), f))
		return 0;
	ret->what = 0;
	ret->dev = 0;
	n = sscanf(line, "%c %u %llu %llu %llu", &ret->what, &ret->dev, &offset, &length, &seed);
	*ret = (struct trace_op){ ret->what, ret->dev, offset, length, seed };
	if (length > TRACE_MAX)
		return -1;
	return (ret->what == 'w' && n == 5) || (ret->what == 'r' && n == 4) || (ret->what == 'f' && n == 2) ? 1 : -1;
}

static inline void trace_fill(const struct trace_op *op, uint8_t *buf)
{
	for (uint64_t at = 0; at < op->length; at += sizeof(uint64_t)) {
		uint64_t word = op->seed << 32 | (op->offset + at) >> 12;

		memcpy(buf + at, &word, sizeof(word));
	}
}

/* FNV-1a over words. */
static inline uint64_t trace_hash(uint64_t hash, const uint8_t *buf, uint64_t length)
{
	for (uint64_t at = 0; at < length; at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, buf + at, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x100000001b3);
	}
	return hash;
}

#define TRACE_HASH_START UINT64_C(0xcbf29ce484222325)

#endif /* TRACE_H */
