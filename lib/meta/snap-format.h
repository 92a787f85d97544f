/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's persistent snapshot store, version 1, byte for byte: pure functions over buffers, no I/O.
 *
 * A store is a device cut into chunks.  Chunk 0 holds the header; of E + 1 chunks that follow, the first is an area, a
 * table of E entries of 16 bytes (E = chunk bytes / 16), and the others hold data; then comes the next area, and so on.
 * Entry i of the store is slot i % E of area i / E.  The first entry whose new chunk is 0 ends the table; an area
 * without one is full, and the next area must exist.
 *
 *	br_snap_header_parse(sector, &h);			what the header says, checked
 *	br_snap_layout_init(&l, (uint64_t)h.chunk_sectors * 512, device_bytes);
 *	br_snap_loader_new(env, &l, origin_chunks, &loader);
 *	do {
 *		read chunk br_snap_loader_chunk(loader) of the store into area;
 *		r = br_snap_loader_area(loader, area, found, arg);
 *	} while (r == 1);
 *	br_snap_loader_result(loader, &state);			where to go on allocating and appending
 *	br_snap_area_trim(&l, area, state.used);		what follows the terminator is garbage
 *	br_snap_loader_free(loader);
 *
 * The format has no checksum and no generation: every field is distrusted, and each finding is named by the entry's
 * number and its byte offset in the store, so that a person can look at it.
 */
#ifndef BR_META_SNAP_FORMAT_H
#define BR_META_SNAP_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct blkremap_env;
struct br_snap_loader;

enum {
	BR_SNAP_HEADER_BYTES = 512,	/* of chunk 0 that have a meaning; the rest is zeros */
	BR_SNAP_ENTRY_BYTES = 16,
	BR_SNAP_SECTOR = 512,
	BR_SNAP_CHUNK_MIN_READ = 512,	/* the kernel makes stores with chunks of one sector and more */
	BR_SNAP_CHUNK_MIN_CREATE = 4096,	/* ours begin here: smaller ones copy more entries than data */
	BR_SNAP_CHUNK_MAX = 1 << 30,
	BR_SNAP_MIN_CHUNKS_READ = 2,	/* header and area 0: a store with room for nothing */
	BR_SNAP_MIN_CHUNKS_CREATE = 3,
};

#define BR_SNAP_CHUNK_LIMIT (UINT64_C(1) << 48)	/* all chunk numbers are below it */
#define BR_SNAP_DEVICE_MAX (UINT64_C(1) << 57)	/* 2^48 sectors */

/* Chunk arithmetic of one store.  Constant after br_snap_layout_init(). */
struct br_snap_layout {
	uint64_t chunk_bytes;
	uint64_t entries;	/* E, entries of an area */
	uint64_t chunks;	/* whole chunks of the device */
};

struct br_snap_header {
	bool valid;
	uint32_t chunk_sectors;
};

/* Chunk @old_chunk of the origin lies in chunk @new_chunk of the store.  New 0: the table ends here. */
struct br_snap_entry {
	uint64_t old_chunk, new_chunk;
};

/* What can be wrong with an entry. */
enum br_snap_fault {
	BR_SNAP_GOOD,
	BR_SNAP_NEW_BEYOND,		/* the new chunk lies behind the end of the store */
	BR_SNAP_NEW_META,		/* ... is the header or an area */
	BR_SNAP_NEW_TWICE,		/* ... holds the data of an earlier entry */
	BR_SNAP_OLD_BEYOND,		/* the old chunk lies behind the end of the origin */
	BR_SNAP_OLD_TWICE,		/* ... was mapped by an earlier entry */
	BR_SNAP_DATA_LOST,		/* ... but its data cannot be read */
	BR_SNAP_NO_NEXT_AREA,		/* fills the last area, and there is no room for the next */
};

/*
 * -EINVAL for a chunk size that no store has (not a power of two, below 512 B, above 1 GiB), a device that has no room
 * for header and area 0, or one of more than 2^48 sectors.
 */
int br_snap_layout_init(struct br_snap_layout *l, uint64_t chunk_bytes, uint64_t device_bytes);
/* The same with the stricter rules for a store that we make: chunks from 4 KiB, room for one exception. */
int br_snap_layout_init_create(struct br_snap_layout *l, uint64_t chunk_bytes, uint64_t device_bytes);

/*
 * Read the first sector of a store.  -ENODATA: blank (magic 0, the kernel would make a new store of it); -EBADMSG:
 * foreign magic, or a chunk size or version that cannot be; -EOVERFLOW: a version newer than 1.
 */
int br_snap_header_parse(const void *sector, struct br_snap_header *ret);
/* Fill the 512 bytes of @sector.  Its own buffer: never one that an area is being written from. */
void br_snap_header_format(void *sector, uint32_t chunk_sectors, bool valid);

bool br_snap_is_meta(const struct br_snap_layout *l, uint64_t chunk);	/* the header or an area */
/* Chunk of area @area; UINT64_MAX if there is no such number. */
uint64_t br_snap_area_chunk(const struct br_snap_layout *l, uint64_t area);
/*
 * The first chunk at or after @chunk that may hold data.  The only such rule in the library: loading and allocating
 * must agree, or an area and somebody's data share a chunk one day (CVE-2013-4299).
 */
uint64_t br_snap_data_chunk(const struct br_snap_layout *l, uint64_t chunk);
/* Where entry @index lies, in bytes of the store. */
uint64_t br_snap_entry_offset(const struct br_snap_layout *l, uint64_t index);

struct br_snap_entry br_snap_entry_get(const void *area, uint64_t i);
void br_snap_entry_put(void *area, uint64_t i, struct br_snap_entry e);
/* Used entries of an area: the terminator's place, or E. */
uint64_t br_snap_area_used(const struct br_snap_layout *l, const void *area);
/*
 * Zero everything behind the first @used entries.  True if something was there: a torn write left entries, which
 * would come alive when the gap before them is filled, so write the area back before the first new commit.
 */
bool br_snap_area_trim(const struct br_snap_layout *l, void *area, uint64_t used);

/*
 * May a store with @nr_exceptions entries take another one, with its data in @next_free (a br_snap_data_chunk())?  0 or
 * -ENOSPC.  An area's last slot also needs the chunk of the next area: without it the table would have no end.
 */
int br_snap_may_allocate(const struct br_snap_layout *l, uint64_t nr_exceptions, uint64_t next_free);
/* Bytes of a store that cannot overflow, whatever is written; UINT64_MAX if there is no such number. */
uint64_t br_snap_store_bytes(uint64_t origin_bytes, uint64_t chunk_bytes);

/* What is wrong with @e by itself; @origin_chunks: at most BR_SNAP_CHUNK_LIMIT.  Others show beside the rest. */
enum br_snap_fault br_snap_entry_fault(const struct br_snap_layout *l, uint64_t origin_chunks, struct br_snap_entry e);
const char *br_snap_fault_text(enum br_snap_fault fault);
/* -EBADMSG, and a sentence with entry number, offset, both chunks and the fault. */
int br_snap_fault_error(const struct br_snap_layout *l, uint64_t index, struct br_snap_entry e,
			enum br_snap_fault fault);

/* Where loading ended. */
struct br_snap_loaded {
	uint64_t count;		/* exceptions */
	uint64_t area;		/* the area that the next one goes to */
	uint64_t used;		/* entries in it */
	uint64_t next_free;	/* the chunk for the next one's data; may lie behind the end */
};

int br_snap_loader_new(const struct blkremap_env *env, const struct br_snap_layout *l, uint64_t origin_chunks,
		       struct br_snap_loader **ret);
void br_snap_loader_free(struct br_snap_loader *loader);
/* The chunk of the store to read next. */
uint64_t br_snap_loader_chunk(const struct br_snap_loader *loader);
/*
 * Take the area read from there: call @fn(arg, entry, index) for each good entry, in order.  1: it was full, read the
 * next; 0: all has been read; -EBADMSG with a sentence: a bad entry.  A negative result of @fn ends it likewise.  That
 * an old chunk comes twice only the caller's table can see: its @fn returns br_snap_loader_old_twice().
 */
int br_snap_loader_area(struct br_snap_loader *loader, const void *area,
			int (*fn)(void *arg, struct br_snap_entry e, uint64_t index), void *arg);
int br_snap_loader_old_twice(const struct br_snap_loader *loader, struct br_snap_entry e, uint64_t index);
void br_snap_loader_result(const struct br_snap_loader *loader, struct br_snap_loaded *ret);

#endif /* BR_META_SNAP_FORMAT_H */
