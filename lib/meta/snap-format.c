/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How it works: all rules about which chunk is what are in the four functions after br_snap_layout_init_create(), each
 * a line of arithmetic over a period of E + 1 chunks; all rules about what an entry may say are br_snap_entry_fault().
 * The loader adds what needs memory (each new chunk once) and the walk from area to area, which ends because each full
 * area claims E chunks of a device that has only so many.
 */
#include "meta/snap-format.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/env.h"
#include "base/error.h"
#include "base/le.h"
#include "meta/chunk-set.h"

enum { MAGIC = 0x70416e53, VERSION = 1 };	/* the magic reads "SnAp" */

/* On disk. */
struct header_disk {
	struct br_le32 magic, valid, version, chunk_sectors;
};

struct entry_disk {
	struct br_le64 old_chunk, new_chunk;
};

_Static_assert(sizeof(struct header_disk) == 16, "the header has four words");
_Static_assert(sizeof(struct entry_disk) == BR_SNAP_ENTRY_BYTES, "an entry has two");

/* ---- layout ---- */

static int layout_init(struct br_snap_layout *l, uint64_t chunk_bytes, uint64_t device_bytes, uint64_t min_chunk,
		       uint64_t min_chunks)
{
	if (!br_is_pow2(chunk_bytes) || chunk_bytes < min_chunk || chunk_bytes > BR_SNAP_CHUNK_MAX)
		return br_error(-EINVAL, "chunk size %" PRIu64 " is not a power of two from %" PRIu64 " B to 1 GiB",
				chunk_bytes, min_chunk);
	if (device_bytes > BR_SNAP_DEVICE_MAX)
		return br_error(-EINVAL, "store of %" PRIu64 " bytes is larger than 2^48 sectors", device_bytes);
	if (device_bytes / chunk_bytes < min_chunks)
		return br_error(-EINVAL, "store of %" PRIu64 " bytes has fewer than %" PRIu64 " chunks of %" PRIu64
				" bytes", device_bytes, min_chunks, chunk_bytes);
	*l = (struct br_snap_layout){
		.chunk_bytes = chunk_bytes,
		.entries = chunk_bytes / BR_SNAP_ENTRY_BYTES,
		.chunks = device_bytes / chunk_bytes,
	};
	return 0;
}

int br_snap_layout_init(struct br_snap_layout *l, uint64_t chunk_bytes, uint64_t device_bytes)
{
	return layout_init(l, chunk_bytes, device_bytes, BR_SNAP_CHUNK_MIN_READ, BR_SNAP_MIN_CHUNKS_READ);
}

int br_snap_layout_init_create(struct br_snap_layout *l, uint64_t chunk_bytes, uint64_t device_bytes)
{
	return layout_init(l, chunk_bytes, device_bytes, BR_SNAP_CHUNK_MIN_CREATE, BR_SNAP_MIN_CHUNKS_CREATE);
}

/* Chunks from one area to the next, the area's own included. */
static uint64_t period(const struct br_snap_layout *l)
{
	return l->entries + 1;
}

bool br_snap_is_meta(const struct br_snap_layout *l, uint64_t chunk)
{
	return chunk == 0 || chunk % period(l) == 1;
}

uint64_t br_snap_area_chunk(const struct br_snap_layout *l, uint64_t area)
{
	uint64_t chunk;

	if (br_mul_overflows(area, period(l), &chunk) || br_add_overflows(chunk, 1, &chunk))
		return UINT64_MAX;
	return chunk;
}

uint64_t br_snap_data_chunk(const struct br_snap_layout *l, uint64_t chunk)
{
	if (chunk == 0)
		chunk = 1;
	/* A period has at least 33 chunks, so the one after an area is never an area. */
	return br_snap_is_meta(l, chunk) ? chunk + 1 : chunk;
}

uint64_t br_snap_entry_offset(const struct br_snap_layout *l, uint64_t index)
{
	return br_snap_area_chunk(l, index / l->entries) * l->chunk_bytes + index % l->entries * BR_SNAP_ENTRY_BYTES;
}

int br_snap_may_allocate(const struct br_snap_layout *l, uint64_t nr_exceptions, uint64_t next_free)
{
	/* The area that holds the terminator once this one is in: the same, or the next if this takes the last slot. */
	uint64_t end_area = br_snap_area_chunk(l, (nr_exceptions + 1) / l->entries);

	if (next_free >= l->chunks)
		return br_error(-ENOSPC, "store is full: no chunk is left of %" PRIu64, l->chunks);
	if (end_area >= l->chunks)
		return br_error(-ENOSPC, "store is full: its last chunks of %" PRIu64 " have no room for another area",
				l->chunks);
	return 0;
}

uint64_t br_snap_store_bytes(uint64_t origin_bytes, uint64_t chunk_bytes)
{
	uint64_t entries = chunk_bytes / BR_SNAP_ENTRY_BYTES;
	uint64_t data, chunks, bytes;

	if (!entries)
		return UINT64_MAX;
	data = br_div_up(origin_bytes, chunk_bytes);
	/* Not rounded up: when the last area is exactly full one more holds the terminator. */
	if (br_add_overflows(data, data / entries + 1, &chunks) || br_mul_overflows(chunks + 1, chunk_bytes, &bytes))
		return UINT64_MAX;
	return bytes;
}

/* ---- header ---- */

int br_snap_header_parse(const void *sector, struct br_snap_header *ret)
{
	struct header_disk d;
	uint32_t magic, version, chunk;

	memcpy(&d, sector, sizeof(d));
	magic = br_le32_get(d.magic);
	version = br_le32_get(d.version);
	chunk = br_le32_get(d.chunk_sectors);
	if (magic == 0)
		return br_error(-ENODATA, "there is no snapshot store: the magic number is 0");
	if (magic != MAGIC)
		return br_error(-EBADMSG, "not a snapshot store: magic number %#010" PRIx32 " instead of %#010x", magic,
				MAGIC);
	if (version > VERSION)
		return br_error(-EOVERFLOW, "snapshot store of version %" PRIu32 ", only %d is known", version,
				VERSION);
	if (version != VERSION)
		return br_error(-EBADMSG, "snapshot store of version %" PRIu32 ", which never was", version);
	if (!br_is_pow2(chunk) || chunk > BR_SNAP_CHUNK_MAX / BR_SNAP_SECTOR)
		return br_error(-EBADMSG, "snapshot store with chunks of %" PRIu32
				" sectors, not a power of two up to %d", chunk, BR_SNAP_CHUNK_MAX / BR_SNAP_SECTOR);
	*ret = (struct br_snap_header){ .valid = br_le32_get(d.valid) != 0, .chunk_sectors = chunk };
	return 0;
}

void br_snap_header_format(void *sector, uint32_t chunk_sectors, bool valid)
{
	struct header_disk d = {
		.magic = br_le32_make(MAGIC),
		.valid = br_le32_make(valid),
		.version = br_le32_make(VERSION),
		.chunk_sectors = br_le32_make(chunk_sectors),
	};

	memset(sector, 0, BR_SNAP_HEADER_BYTES);
	memcpy(sector, &d, sizeof(d));
}

/* ---- areas ---- */

struct br_snap_entry br_snap_entry_get(const void *area, uint64_t i)
{
	struct entry_disk d;

	memcpy(&d, (const char *)area + i * sizeof(d), sizeof(d));
	return (struct br_snap_entry){ br_le64_get(d.old_chunk), br_le64_get(d.new_chunk) };
}

void br_snap_entry_put(void *area, uint64_t i, struct br_snap_entry e)
{
	struct entry_disk d = { br_le64_make(e.old_chunk), br_le64_make(e.new_chunk) };

	memcpy((char *)area + i * sizeof(d), &d, sizeof(d));
}

uint64_t br_snap_area_used(const struct br_snap_layout *l, const void *area)
{
	uint64_t i = 0;

	while (i < l->entries && br_snap_entry_get(area, i).new_chunk)
		i++;
	return i;
}

bool br_snap_area_trim(const struct br_snap_layout *l, void *area, uint64_t used)
{
	bool stale = false;

	for (uint64_t i = used; i < l->entries && !stale; i++) {
		struct br_snap_entry e = br_snap_entry_get(area, i);

		stale = e.old_chunk || e.new_chunk;
	}
	memset((char *)area + used * BR_SNAP_ENTRY_BYTES, 0, (l->entries - used) * BR_SNAP_ENTRY_BYTES);
	return stale;
}

/* ---- faults ---- */

enum br_snap_fault br_snap_entry_fault(const struct br_snap_layout *l, uint64_t origin_chunks, struct br_snap_entry e)
{
	if (e.new_chunk >= l->chunks)
		return BR_SNAP_NEW_BEYOND;
	if (br_snap_is_meta(l, e.new_chunk))
		return BR_SNAP_NEW_META;
	if (e.old_chunk >= origin_chunks)
		return BR_SNAP_OLD_BEYOND;
	return BR_SNAP_GOOD;
}

const char *br_snap_fault_text(enum br_snap_fault fault)
{
	switch (fault) {
	case BR_SNAP_GOOD:
		return "nothing is wrong";
	case BR_SNAP_NEW_BEYOND:
		return "its data lies beyond the end of the store";
	case BR_SNAP_NEW_META:
		return "its data lies where metadata is";
	case BR_SNAP_NEW_TWICE:
		return "its data lies where an earlier exception has its own";
	case BR_SNAP_OLD_BEYOND:
		return "its chunk is beyond the end of the origin";
	case BR_SNAP_OLD_TWICE:
		return "its chunk is already mapped by an earlier exception";
	case BR_SNAP_DATA_LOST:
		return "its data cannot be read";
	case BR_SNAP_NO_NEXT_AREA:
		return "it fills the last area, and the store has no room for the next";
	}
	return "unknown fault";
}

int br_snap_fault_error(const struct br_snap_layout *l, uint64_t index, struct br_snap_entry e,
			enum br_snap_fault fault)
{
	return br_error(-EBADMSG, "exception %" PRIu64 " at byte %" PRIu64 " maps chunk %" PRIu64 " to %" PRIu64 ": %s",
			index, br_snap_entry_offset(l, index), e.old_chunk, e.new_chunk, br_snap_fault_text(fault));
}

/* ---- loader ---- */

struct br_snap_loader {
	const struct blkremap_env *env;
	struct br_snap_layout layout;
	uint64_t origin_chunks;
	uint64_t count;		/* good entries so far */
	uint64_t highest;	/* new chunk among them */
	struct br_chunk_set claims;	/* new chunks among them */
};

int br_snap_loader_new(const struct blkremap_env *env, const struct br_snap_layout *l, uint64_t origin_chunks,
		       struct br_snap_loader **ret)
{
	struct br_snap_loader *loader = br_alloc(env, sizeof(*loader));

	if (!loader)
		return br_error(-ENOMEM, "no memory for loading a snapshot store");
	*loader = (struct br_snap_loader){ .env = env, .layout = *l, .origin_chunks = origin_chunks };
	br_chunk_set_init(&loader->claims, env);
	*ret = loader;
	return 0;
}

void br_snap_loader_free(struct br_snap_loader *loader)
{
	if (!loader)
		return;
	br_chunk_set_done(&loader->claims);
	br_free(loader->env, loader, sizeof(*loader));
}

uint64_t br_snap_loader_chunk(const struct br_snap_loader *loader)
{
	return br_snap_area_chunk(&loader->layout, loader->count / loader->layout.entries);
}

/* 0, a fault, or -ENOMEM. */
static int take_entry(struct br_snap_loader *loader, struct br_snap_entry e)
{
	const struct br_snap_layout *l = &loader->layout;
	int r = (int)br_snap_entry_fault(l, loader->origin_chunks, e);

	if (r)
		return r;
	r = br_chunk_set_add(&loader->claims, e.new_chunk);
	if (r <= 0)
		return r < 0 ? r : BR_SNAP_NEW_TWICE;
	/* Nobody writes an exact fit that is valid: the area of the terminator has to be zeroed before. */
	if (br_snap_area_chunk(l, (loader->count + 1) / l->entries) >= l->chunks)
		return BR_SNAP_NO_NEXT_AREA;
	return 0;
}

int br_snap_loader_area(struct br_snap_loader *loader, const void *area,
			int (*fn)(void *arg, struct br_snap_entry e, uint64_t index), void *arg)
{
	for (uint64_t i = 0; i < loader->layout.entries; i++) {
		struct br_snap_entry e = br_snap_entry_get(area, i);
		int r;

		if (!e.new_chunk)
			return 0;
		r = take_entry(loader, e);
		if (r > 0)
			return br_snap_fault_error(&loader->layout, loader->count, e, (enum br_snap_fault)r);
		if (r == 0)
			r = fn(arg, e, loader->count);
		if (r < 0)
			return r;
		loader->highest = BR_MAX(loader->highest, e.new_chunk);
		loader->count++;
	}
	return 1;
}

int br_snap_loader_old_twice(const struct br_snap_loader *loader, struct br_snap_entry e, uint64_t index)
{
	return br_snap_fault_error(&loader->layout, index, e, BR_SNAP_OLD_TWICE);
}

void br_snap_loader_result(const struct br_snap_loader *loader, struct br_snap_loaded *ret)
{
	*ret = (struct br_snap_loaded){
		.count = loader->count,
		.area = loader->count / loader->layout.entries,
		.used = loader->count % loader->layout.entries,
		.next_free = br_snap_data_chunk(&loader->layout, loader->highest + 1),
	};
}
