/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

/* ---- life -------------------------------------------------------------------------------------------------------- */

uint64_t sim_block_hash(const struct sim_disk *d, uint64_t block, const struct sim_blob *b)
{
	return sim_mix(b->hash + sim_mix((uint64_t)d->index << 48 ^ block));
}

static struct sim_disk *disk_alloc(uint64_t nr_blocks)
{
	struct sim_disk *d = sim_alloc(sizeof(*d));

	d->nr_blocks = nr_blocks;
	d->stable = sim_alloc(nr_blocks * sizeof(*d->stable));
	d->visible = sim_alloc(nr_blocks * sizeof(*d->visible));
	d->stable_seq = sim_alloc(nr_blocks * sizeof(*d->stable_seq));
	br_list_init(&d->unstable);
	return d;
}

struct sim_disk *sim_disk_new(struct sim_blobs *blobs, const char *name, uint32_t index, uint64_t bytes,
			      uint32_t block_bytes, const struct sim_disk_kind *kind)
{
	struct sim_disk *d = disk_alloc(bytes / block_bytes);

	snprintf(d->name, sizeof(d->name), "%s", name);
	d->index = index;
	d->block_bytes = block_bytes;
	d->blobs = blobs;
	if (kind)
		d->kind = *kind;
	for (uint64_t i = 0; i < d->nr_blocks; i++) {
		d->stable[i] = d->visible[i] = sim_blob_zero(blobs, block_bytes);
		d->stable_hash ^= sim_block_hash(d, i, d->stable[i]);
	}
	return d;
}

struct sim_disk *sim_disk_fork(const struct sim_disk *from)
{
	struct sim_disk *d = disk_alloc(from->nr_blocks);

	memcpy(d->name, from->name, sizeof(d->name));
	d->index = from->index;
	d->block_bytes = from->block_bytes;
	d->blobs = from->blobs;
	d->kind = from->kind;
	d->stable_hash = from->stable_hash;
	memcpy(d->stable, from->stable, d->nr_blocks * sizeof(*d->stable));
	memcpy(d->visible, from->stable, d->nr_blocks * sizeof(*d->visible));
	return d;
}

static struct sim_write *to_write(struct br_list *l)
{
	return br_container_of(l, struct sim_write, link);
}

static void write_free(struct sim_disk *d, struct sim_write *w)
{
	br_list_del(&w->link);
	d->nr_unstable--;
	free(w);
}

void sim_disk_free(struct sim_disk *d)
{
	while (!br_list_empty(&d->unstable))
		write_free(d, to_write(d->unstable.next));
	free(d->stable);
	free(d->visible);
	free(d->stable_seq);
	free(d);
}

void sim_disk_poke(struct sim_disk *d, uint64_t block, const struct sim_blob *b)
{
	d->stable_hash ^= sim_block_hash(d, block, d->stable[block]) ^ sim_block_hash(d, block, b);
	d->stable[block] = d->visible[block] = b;
}

void sim_disk_grow(struct sim_disk *d, uint64_t bytes)
{
	uint64_t old = d->nr_blocks, n = bytes / d->block_bytes;

	if (n <= old)
		return;
	d->stable = sim_realloc(d->stable, n * sizeof(*d->stable));
	d->visible = sim_realloc(d->visible, n * sizeof(*d->visible));
	d->stable_seq = sim_realloc(d->stable_seq, n * sizeof(*d->stable_seq));
	for (uint64_t i = old; i < n; i++) {
		d->stable[i] = d->visible[i] = sim_blob_zero(d->blobs, d->block_bytes);
		d->stable_seq[i] = 0;
		d->stable_hash ^= sim_block_hash(d, i, d->stable[i]);
	}
	d->nr_blocks = n;
}

/* ---- becoming stable --------------------------------------------------------------------------------------------- */

static bool covers(const struct sim_write *w, uint64_t block)
{
	return block >= w->first && block - w->first < w->n;
}

static bool is_spent(const struct sim_write *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		if (w->data[i])
			return false;
	return true;
}

/*
 * @w's content of @block is stable now.  Older ones that had completed before @w was even submitted were replaced in
 * the device's cache and cannot come back; those that raced with it can.
 */
static void settle_block(struct sim_disk *d, const struct sim_write *w, uint64_t block)
{
	struct br_list *l;

	if (w->done_seq > d->stable_seq[block]) {
		const struct sim_blob *b = w->data[block - w->first];

		d->stable_hash ^= sim_block_hash(d, block, d->stable[block]) ^ sim_block_hash(d, block, b);
		d->stable[block] = b;
		d->stable_seq[block] = w->done_seq;
	}
	br_list_for_each(l, &d->unstable) {
		struct sim_write *old = to_write(l);

		if (old != w && old->done_seq && old->done_seq < w->submit_seq && covers(old, block))
			old->data[block - old->first] = NULL;
	}
}

/* @w is stable as a whole and leaves the list, and with it those of which nothing is left. */
static void settle(struct sim_disk *d, struct sim_write *w)
{
	struct br_list *l, *next;

	for (uint32_t i = 0; i < w->n; i++)
		if (w->data[i])
			settle_block(d, w, w->first + i);
	write_free(d, w);
	for (l = d->unstable.next; l != &d->unstable; l = next) {
		next = l->next;
		if (to_write(l)->done_seq && is_spent(to_write(l)))
			write_free(d, to_write(l));
	}
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static const struct sim_blob *content(struct sim_disk *d, uint64_t block, uint32_t i, const void *data, uint32_t flags)
{
	if (data)
		return sim_blob_make(d->blobs, (const uint8_t *)data + (size_t)i * d->block_bytes, d->block_bytes);
	/* An undefined discard may leave what was there: nothing changes, so that is what it does half of the time. */
	if (flags & SIM_WRITE_DISCARD && !d->kind.discard_zeroes && (block & 1))
		return d->visible[block];
	return sim_blob_zero(d->blobs, d->block_bytes);
}

struct sim_write *sim_disk_write(struct sim_disk *d, uint64_t first, uint32_t n, const void *data, uint32_t flags)
{
	struct sim_write *w = sim_alloc(sizeof(*w) + n * sizeof(w->data[0]));

	w->first = first;
	w->n = n;
	w->flags = flags;
	w->submit_seq = ++d->seq;
	w->id = ++d->writes;
	for (uint32_t i = 0; i < n; i++)
		w->data[i] = content(d, first + i, i, data, flags);
	br_list_add_tail(&d->unstable, &w->link);
	d->nr_unstable++;
	return w;
}

void sim_write_end(struct sim_disk *d, struct sim_write *w, int error, uint64_t keep)
{
	w->done_seq = ++d->seq;
	for (uint32_t i = 0; i < w->n; i++)
		if (!error || keep >> (i % 64) & 1)
			d->visible[w->first + i] = w->data[i];
	if (error)
		w->lost = true;		/* each block old or new, for ever */
	else if (d->kind.no_cache || w->flags & SIM_WRITE_FUA)
		settle(d, w);
}

uint64_t sim_disk_flush(struct sim_disk *d)
{
	return ++d->seq;
}

static struct sim_write *next_covered(struct sim_disk *d, uint64_t at)
{
	struct sim_write *first = NULL;
	struct br_list *l;

	br_list_for_each(l, &d->unstable) {
		struct sim_write *w = to_write(l);

		if (w->done_seq && w->done_seq < at && !w->lost && (!first || w->done_seq < first->done_seq))
			first = w;
	}
	return first;
}

void sim_flush_end(struct sim_disk *d, uint64_t at, int error)
{
	struct sim_write *w;
	struct br_list *l;

	d->seq++;
	if (!error)
		while ((w = next_covered(d, at)))
			settle(d, w);
	else
		br_list_for_each(l, &d->unstable)
			to_write(l)->lost = true;
}

void sim_disk_read(const struct sim_disk *d, uint64_t first, uint32_t n, void *data)
{
	uint8_t *to = data;

	for (uint32_t i = 0; i < n; i++, to += d->block_bytes)
		memcpy(to, d->visible[first + i]->data, d->block_bytes);
}
