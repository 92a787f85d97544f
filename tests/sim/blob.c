/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/blob.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLAB_BYTES = 1 << 20 };

/* A test that cannot get memory for itself has nothing to say about the library. */
static void *must_have(void *p)
{
	if (!p) {
		fputs("simulator: out of memory\n", stderr);
		exit(99);
	}
	return p;
}

void *sim_alloc(size_t bytes)
{
	return must_have(calloc(1, bytes ? bytes : 1));
}

void *sim_realloc(void *p, size_t bytes)
{
	return must_have(realloc(p, bytes ? bytes : 1));
}

uint64_t sim_hash(const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint64_t a = 0x243f6a8885a308d3u, b = 0x13198a2e03707344u, x, y;

	for (; bytes >= 16; bytes -= 16, p += 16) {
		memcpy(&x, p, 8);
		memcpy(&y, p + 8, 8);
		a = (a ^ x) * 0x9e3779b97f4a7c15u;
		b = (b ^ y) * 0xc2b2ae3d27d4eb4fu;
		a ^= b >> 29;
		b ^= a >> 32;
	}
	if (bytes) {
		memcpy(&x, p, 8);
		a = (a ^ x) * 0x9e3779b97f4a7c15u;
	}
	return sim_mix(a ^ sim_mix(b));
}

void sim_blobs_init(struct sim_blobs *bs)
{
	static const uint8_t zeroes[4096];

	memset(bs, 0, sizeof(*bs));
	bs->slabs = sim_alloc(sizeof(*bs->slabs));
	bs->slabs[0] = sim_alloc(SLAB_BYTES);
	bs->nr_slabs = 1;
	bs->zero512 = sim_blob_make(bs, zeroes, 512);
	bs->zero4096 = sim_blob_make(bs, zeroes, 4096);
}

void sim_blobs_done(struct sim_blobs *bs)
{
	for (uint32_t i = 0; i < bs->nr_slabs; i++)
		free(bs->slabs[i]);
	free(bs->slabs);
}

struct sim_blobs_mark sim_blobs_mark(const struct sim_blobs *bs)
{
	return (struct sim_blobs_mark){ bs->slab, bs->used };
}

void sim_blobs_release(struct sim_blobs *bs, struct sim_blobs_mark mark)
{
	bs->slab = mark.slab;
	bs->used = mark.used;
}

static void next_slab(struct sim_blobs *bs)
{
	if (++bs->slab == bs->nr_slabs) {
		bs->slabs = sim_realloc(bs->slabs, (bs->nr_slabs + 1) * sizeof(*bs->slabs));
		bs->slabs[bs->nr_slabs++] = sim_alloc(SLAB_BYTES);
	}
	bs->used = 0;
}

const struct sim_blob *sim_blob_make(struct sim_blobs *bs, const void *data, uint32_t bytes)
{
	size_t need = sizeof(struct sim_blob) + bytes;
	struct sim_blob *b;

	if (bs->used + need > SLAB_BYTES)
		next_slab(bs);
	b = (void *)(bs->slabs[bs->slab] + bs->used);
	bs->used += need;
	memcpy(b->data, data, bytes);
	b->hash = sim_hash(data, bytes);
	return b;
}

const struct sim_blob *sim_blob_zero(const struct sim_blobs *bs, uint32_t bytes)
{
	return bytes == 512 ? bs->zero512 : bs->zero4096;
}
