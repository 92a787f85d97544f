/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Print what a snapshot holds, by the library's own parser and nothing else of it: read-store ORIGIN STORE >IMAGE.
 * Checks the store before, by the library's check.  Exit status 1: unclean; 3: invalid; 4: corrupt.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/error.h"
#include "meta/snap-check.h"

struct file {
	uint8_t *bytes;
	uint64_t size;
};

static void *plain_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	(void)env;
	(void)align;
	return calloc(1, size);
}

static void plain_free(const struct blkremap_env *env, void *p, size_t size)
{
	(void)env;
	(void)size;
	free(p);
}

static const struct br_env_ops plain_ops = { .alloc = plain_alloc, .free = plain_free };
static const struct blkremap_env plain_env = { .ops = &plain_ops };

static struct file read_file(const char *path)
{
	struct file f = { NULL, 0 };
	FILE *in = fopen(path, "rb");
	long size;

	if (!in || fseek(in, 0, SEEK_END) || (size = ftell(in)) < 0 || fseek(in, 0, SEEK_SET)) {
		perror(path);
		exit(2);
	}
	f.size = (uint64_t)size;
	f.bytes = malloc(f.size + 1);
	if (!f.bytes || fread(f.bytes, 1, f.size, in) != f.size)
		exit(2);
	fclose(in);
	return f;
}

struct snapshot {
	struct file origin, store;	/* the origin becomes the snapshot's image */
	struct br_snap_layout layout;
};

static int take_exception(void *arg, struct br_snap_entry e, uint64_t index)
{
	struct snapshot *s = arg;
	uint64_t bytes = s->layout.chunk_bytes, at = e.old_chunk * bytes;

	(void)index;
	memcpy(s->origin.bytes + at, s->store.bytes + e.new_chunk * bytes, BR_MIN(bytes, s->origin.size - at));
	return 0;
}

static int compose(struct snapshot *s)
{
	uint64_t chunk_bytes = s->layout.chunk_bytes;
	struct br_snap_loader *loader;
	int r = br_snap_loader_new(&plain_env, &s->layout, (s->origin.size + chunk_bytes - 1) / chunk_bytes, &loader);

	if (r < 0)
		return r;
	do {
		r = br_snap_loader_area(loader, s->store.bytes + br_snap_loader_chunk(loader) * chunk_bytes,
					take_exception, s);
	} while (r == 1);
	br_snap_loader_free(loader);
	return r;
}

static int read_bytes(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct file *f = arg;

	if (offset > f->size || len > f->size - offset)
		return br_error(-EIO, "read beyond the end");
	memcpy(buf, f->bytes + offset, len);
	return 0;
}

static int tell(void *arg, const struct br_snap_finding *f)
{
	(void)arg;
	fprintf(stderr, "%d at %" PRIu64 ": %s\n", (int)f->severity, f->offset, f->text);
	return 0;
}

static int check(struct snapshot *s)
{
	struct br_snap_io io = { .read = read_bytes, .arg = &s->store, .bytes = s->store.size };
	struct br_snap_check_opts opts = { .origin_bytes = s->origin.size, .deep = true };
	struct br_snap_visitor v = { .finding = tell };
	struct br_snap_verdict verdict;

	if (br_snap_check(&plain_env, &io, &opts, &v, &verdict) < 0)
		return 4;
	if (!verdict.valid)
		return 3;
	return verdict.worst == BR_SNAP_CORRUPT ? 4 : verdict.worst > 0;
}

int main(int argc, char **argv)
{
	static struct snapshot s;	/* given back by the end of the program */
	struct br_snap_header h;
	int r;

	if (argc != 3)
		return 2;
	s.origin = read_file(argv[1]);
	s.store = read_file(argv[2]);
	r = check(&s);
	if (r > 1)
		return r;
	if (br_snap_header_parse(s.store.bytes, &h) < 0 ||
	    br_snap_layout_init(&s.layout, (uint64_t)h.chunk_sectors * BR_SNAP_SECTOR, s.store.size) < 0 ||
	    compose(&s) < 0) {
		fprintf(stderr, "%s\n", br_error_text());
		return 4;
	}
	fwrite(s.origin.bytes, 1, s.origin.size, stdout);
	return fflush(stdout) ? 2 : r;
}
