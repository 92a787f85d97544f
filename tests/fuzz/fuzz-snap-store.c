/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A snapshot store from anywhere, small: the loader, the check, repair, dump and restore must survive it and agree.
 *
 * The input is not the store itself, which would be mostly holes: 2 bytes size in sectors, 2 bytes origin in chunks, 16
 * bytes of header, then the areas one after the other, which are laid where the header's chunk size puts them.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/env.h"
#include "meta/chunk-set.h"
#include "meta/snap-dump.h"
#include "meta/snap-repair.h"
#include "meta/snap-restore.h"

enum { PREFIX = 4, HEADER = 16, SECTORS_MAX = 4096, TEXT_MAX = 1 << 17 };

struct store {
	uint8_t *bytes;
	struct br_snap_io io;
};

/* ---- the world ---- */

static size_t env_bytes;

static void *fuzz_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	(void)env;
	(void)align;
	FUZZ_MUST(size < 8 << 20);	/* whatever the input says, memory is by what the store holds */
	env_bytes += size;
	return calloc(1, size);
}

static void fuzz_free(const struct blkremap_env *env, void *p, size_t size)
{
	(void)env;
	env_bytes -= size;
	free(p);
}

static const struct br_env_ops env_ops = { .alloc = fuzz_alloc, .free = fuzz_free };
static const struct blkremap_env env = { .ops = &env_ops };

static int store_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct store *s = arg;

	FUZZ_MUST(offset <= s->io.bytes && len <= s->io.bytes - offset);
	memcpy(buf, s->bytes + offset, len);
	return 0;
}

static int store_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct store *s = arg;

	FUZZ_MUST(offset <= s->io.bytes && len <= s->io.bytes - offset);
	memcpy(s->bytes + offset, buf, len);
	return 0;
}

static void store_init(struct store *s, uint64_t size)
{
	s->bytes = calloc(1, size + 1);
	FUZZ_MUST(s->bytes);
	s->io = (struct br_snap_io){ .read = store_read, .write = store_write, .arg = s, .bytes = size };
}

/* The header to its place, the areas to theirs. */
static void store_fill(struct store *s, const uint8_t *data, size_t size)
{
	uint8_t sector[BR_SNAP_HEADER_BYTES] = { 0 };
	struct br_snap_header h;
	struct br_snap_layout l;

	memcpy(sector, data, HEADER);
	memcpy(s->bytes, sector, s->io.bytes < sizeof(sector) ? s->io.bytes : sizeof(sector));
	if (br_snap_header_parse(sector, &h) < 0)
		h.chunk_sectors = 1;
	if (br_snap_layout_init(&l, (uint64_t)h.chunk_sectors * BR_SNAP_SECTOR, s->io.bytes) < 0)
		return;
	data += HEADER;
	size -= HEADER;
	for (uint64_t area = 0; size && br_snap_area_chunk(&l, area) < l.chunks; area++) {
		size_t n = size < l.chunk_bytes ? size : (size_t)l.chunk_bytes;

		memcpy(s->bytes + br_snap_area_chunk(&l, area) * l.chunk_bytes, data, n);
		data += n;
		size -= n;
	}
}

/* ---- loading, as a target does ---- */

struct load {
	struct br_snap_loader *loader;
	struct br_chunk_set old_chunks;
};

static int found(void *arg, struct br_snap_entry e, uint64_t index)
{
	struct load *ld = arg;

	return br_chunk_set_add(&ld->old_chunks, e.old_chunk) ? 0 : br_snap_loader_old_twice(ld->loader, e, index);
}

/* The number of exceptions, or an error. */
static int64_t load(struct store *s, uint64_t origin_bytes)
{
	struct br_snap_header h;
	struct br_snap_layout l;
	struct br_snap_loaded end;
	struct load ld;
	int r;

	if (s->io.bytes < BR_SNAP_HEADER_BYTES || br_snap_header_parse(s->bytes, &h) < 0 || !h.valid)
		return -ENODATA;
	r = br_snap_layout_init(&l, (uint64_t)h.chunk_sectors * BR_SNAP_SECTOR, s->io.bytes);
	if (r < 0)
		return r;
	br_chunk_set_init(&ld.old_chunks, &env);
	FUZZ_MUST(br_snap_loader_new(&env, &l, (origin_bytes + l.chunk_bytes - 1) / l.chunk_bytes, &ld.loader) == 0);
	do {
		uint64_t chunk = br_snap_loader_chunk(ld.loader);

		FUZZ_MUST(chunk < l.chunks);
		r = br_snap_loader_area(ld.loader, s->bytes + chunk * l.chunk_bytes, found, &ld);
	} while (r == 1);
	br_snap_loader_result(ld.loader, &end);
	if (r == 0) {
		FUZZ_MUST(!br_snap_is_meta(&l, end.next_free));
		FUZZ_MUST(end.area * l.entries + end.used == end.count);
	}
	br_snap_loader_free(ld.loader);
	br_chunk_set_done(&ld.old_chunks);
	return r < 0 ? r : (int64_t)end.count;
}

/* ---- text there and back ---- */

struct text {
	char *bytes;
	size_t len;
};

static int append(void *arg, const char *line, size_t len)
{
	struct text *t = arg;

	FUZZ_MUST(t->len + len < TEXT_MAX);
	memcpy(t->bytes + t->len, line, len);
	t->len += len;
	return 0;
}

static void dump(struct store *s, struct text *t)
{
	struct br_snap_verdict v;

	t->bytes = malloc(TEXT_MAX);
	FUZZ_MUST(t->bytes);
	t->len = 0;
	FUZZ_MUST(br_snap_dump(&env, &s->io, NULL, append, t, &v) == 0);
}

static void restore(struct store *s, const struct text *t)
{
	struct br_snap_restore *rs;
	uint64_t count;

	FUZZ_MUST(br_snap_restore_new(&env, &s->io, &rs) == 0);
	for (size_t at = 0; at < t->len; ) {
		const char *end = memchr(t->bytes + at, '\n', t->len - at);
		size_t len = (size_t)(end - (t->bytes + at)) + 1;

		FUZZ_MUST(br_snap_restore_line(rs, t->bytes + at, len) == 0);
		at += len;
	}
	FUZZ_MUST(br_snap_restore_end(rs, &count) == 0);
	br_snap_restore_free(rs);
}

/* A clean store's dump, restored, dumps the same. */
static void round_trip(struct store *s)
{
	struct text first, second;
	struct store copy;

	dump(s, &first);
	store_init(&copy, s->io.bytes);
	restore(&copy, &first);
	dump(&copy, &second);
	FUZZ_MUST(first.len == second.len && memcmp(first.bytes, second.bytes, first.len) == 0);
	free(copy.bytes);
	free(first.bytes);
	free(second.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct br_snap_check_opts opts = { .origin_bytes = 512 };
	struct br_snap_repair_visitor quiet = { .arg = NULL };
	struct br_snap_repaired done;
	struct store s, fresh;
	int64_t loaded;

	if (size < PREFIX + HEADER)
		return 0;
	store_init(&s, (uint64_t)(data[0] | data[1] << 8) % SECTORS_MAX * BR_SNAP_SECTOR);
	store_fill(&s, data + PREFIX, size - PREFIX);
	opts.origin_bytes += (uint64_t)(data[2] | data[3] << 8) * BR_SNAP_SECTOR;
	loaded = load(&s, opts.origin_bytes);
	store_init(&fresh, s.io.bytes);
	if (br_snap_repair(&env, &s.io, &opts, &fresh.io, &quiet, &done) == 0) {
		/* What one part refuses the other must call corrupt, and the other way about. */
		FUZZ_MUST((loaded >= 0) == (done.was.worst < BR_SNAP_CORRUPT));
		FUZZ_MUST(loaded < 0 || (uint64_t)loaded == done.kept);
		FUZZ_MUST(load(&fresh, opts.origin_bytes) == (int64_t)done.kept);
		round_trip(&fresh);
	} else {
		FUZZ_MUST(loaded < 0);
	}
	free(s.bytes);
	free(fresh.bytes);
	FUZZ_MUST(env_bytes == 0);
	return 0;
}
