/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much of the raw file is left through a snapshot?
 *
 *	bench-snapshot [--direct] [--rounds N] [--mib N] [--json] DIR
 *
 * Both sides run in this one process, on files of DIR, in turns (raw, ours, raw, ours ...); printed is the median of
 * the ratios of neighbouring turns.  The raw side is a bare libaio loop with the same depth, batches and addresses.
 *
 *	read-unmapped	4 KiB random reads that go to the base
 *	read-mapped	... of chunks that lie in the store; raw: of the store's file
 *	write-mapped	4 KiB random rewrites of such chunks
 *	copy-out	the first 4 KiB write to a 64 KiB chunk of the origin; raw: 1 read and 2 writes of those sizes
 *	fan-out		the same with 4 snapshots of equal chunk size, against 1 (both ours)
 */
#include <blkremap/blkremap.h>
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, CHUNK = 65536, MAX_DEPTH = 32, MAX_ROUNDS = 99, MAX_SNAPS = 4 };

static struct {
	const char *dir;
	bool direct, json;
	int rounds;
	uint64_t bytes;
	char base[512], store[MAX_SNAPS][512];
} cfg = { .rounds = 7, .bytes = UINT64_C(512) << 20 };

static char *buffers;
static uint64_t seed = 88172645463325252u;

static void die(const char *what)
{
	fprintf(stderr, "bench-snapshot: %s: %s; %s\n", what, strerror(errno), blkremap_last_error());
	exit(1);
}

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	errno = -r;
	die(what);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t chance(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t some_block(void)
{
	return chance() % (cfg.bytes / BLOCK) * BLOCK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Written all through, so that no side pays for blocks that are not there yet. */
static void make_file(const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t piece = 1 << 20;
	char *data = malloc(piece);

	if (fd < 0 || !data)
		die(path);
	memset(data, 0x5a, piece);
	for (uint64_t at = 0; at < bytes; at += piece)
		if (pwrite(fd, data, piece, (off_t)at) != (ssize_t)piece)
			die(path);
	if (fsync(fd) < 0)
		die(path);
	close(fd);
	free(data);
}

static int open_raw(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | (cfg.direct ? O_DIRECT : 0));

	if (fd < 0)
		die(path);
	return fd;
}

/* ---- the raw side ------------------------------------------------------------------------------------------------ */

static double raw_ops(int fd, bool write, int depth, int total)
{
	struct iocb cbs[MAX_DEPTH], *p[MAX_DEPTH];
	struct io_event ev[MAX_DEPTH];
	io_context_t ctx = 0;
	int sent = 0, done = 0, n = depth;
	double t;

	must(io_setup(MAX_DEPTH, &ctx), "io_setup");
	for (int i = 0; i < depth; i++)
		p[i] = &cbs[i];
	t = now();
	while (done < total) {
		for (int i = 0; i < n; i++) {
			char *buf = buffers + (p[i] - cbs) * BLOCK;

			if (write)
				io_prep_pwrite(p[i], fd, buf, BLOCK, (long long)some_block());
			else
				io_prep_pread(p[i], fd, buf, BLOCK, (long long)some_block());
		}
		if (sent < total) {
			if (io_submit(ctx, n, p) != n)
				die("io_submit");
			sent += n;
		}
		n = io_getevents(ctx, 1, depth, ev, NULL);
		must(n, "io_getevents");
		for (int i = 0; i < n; i++)
			p[i] = ev[i].obj;
		done += n;
	}
	while (sent > done && (n = io_getevents(ctx, 1, depth, ev, NULL)) > 0)
		done += n;
	t = now() - t;
	io_destroy(ctx);
	return total / t;
}

static void aio_one(io_context_t ctx, struct iocb *cb)
{
	struct io_event ev;

	if (io_submit(ctx, 1, &cb) != 1 || io_getevents(ctx, 1, 1, &ev, NULL) != 1 || (long)ev.res <= 0)
		die("raw copy");
}

/* What cannot be avoided: read the old chunk, write it elsewhere, write the new block. */
static double raw_copy_out(int base, int store, int total)
{
	char *chunk = aligned_alloc(BLOCK, CHUNK);
	io_context_t ctx = 0;
	struct iocb cb;
	double t;

	must(io_setup(4, &ctx), "io_setup");
	t = now();
	for (int i = 0; i < total; i++) {
		io_prep_pread(&cb, base, chunk, CHUNK, (long long)i * CHUNK);
		aio_one(ctx, &cb);
		io_prep_pwrite(&cb, store, chunk, CHUNK, (long long)(i + 2) * CHUNK);
		aio_one(ctx, &cb);
		io_prep_pwrite(&cb, base, buffers, BLOCK, (long long)i * CHUNK);
		aio_one(ctx, &cb);
	}
	t = now() - t;
	io_destroy(ctx);
	free(chunk);
	return total / t;
}

/* ---- our side ---------------------------------------------------------------------------------------------------- */

static struct blkremap_ctx *ctx;

static struct blkremap_dev *open_file(const char *path)
{
	struct blkremap_open_opts o = { .size = sizeof(o), .engine = "aio" };
	struct blkremap_dev *dev;

	if (cfg.direct)
		o.flags |= BLKREMAP_DIRECT;
	must(blkremap_file_open(ctx, path, &o, &dev), path);
	return dev;
}

static double our_ops(struct blkremap_dev *dev, bool write, int depth, int total)
{
	struct blkremap_queue_opts qo = { .size = sizeof(qo), .depth = (uint32_t)depth };
	struct blkremap_completion done[MAX_DEPTH];
	struct blkremap_io io[MAX_DEPTH];
	struct iovec iov[MAX_DEPTH];
	struct blkremap_queue *q;
	int sent = 0, got = 0, n = depth, slots[MAX_DEPTH];
	double t;

	must(blkremap_queue_open(dev, &qo, &q), "queue");
	for (int i = 0; i < depth; i++) {
		iov[i] = (struct iovec){ buffers + i * BLOCK, BLOCK };
		slots[i] = i;
	}
	t = now();
	while (got < total) {
		for (int i = 0; i < n; i++)
			io[i] = (struct blkremap_io){ .op = write ? BLKREMAP_WRITE : BLKREMAP_READ,
						      .offset = some_block(),
						      .length = BLOCK, .iov = &iov[slots[i]], .iovcnt = 1,
						      .user_data = (uint64_t)slots[i] };
		if (sent < total) {
			if (blkremap_submit_io(q, io, (uint32_t)n) != n)
				die("submit");
			sent += n;
		}
		n = blkremap_reap(q, done, 1, (uint32_t)depth, -1);
		must(n, "reap");
		for (int i = 0; i < n; i++) {
			must(done[i].result, "request");
			slots[i] = (int)done[i].user_data;
		}
		got += n;
	}
	while (sent > got && (n = blkremap_reap(q, done, 1, (uint32_t)depth, -1)) > 0)
		got += n;
	t = now() - t;
	must(blkremap_queue_close(q), "queue");
	return total / t;
}

/* ---- medians ----------------------------------------------------------------------------------------------------- */

struct result {
	double raw[MAX_ROUNDS], ours[MAX_ROUNDS], ratio[MAX_ROUNDS];
	int n;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare);
	return v[n / 2];
}

static void add(struct result *r, double raw, double ours)
{
	r->raw[r->n] = raw;
	r->ours[r->n] = ours;
	r->ratio[r->n++] = ours / raw;
}

static void print(const char *name, int depth, struct result *r, double goal)
{
	double raw = median(r->raw, r->n), ours = median(r->ours, r->n), ratio = median(r->ratio, r->n);

	if (cfg.json)
		printf("{\"what\":\"%s\",\"depth\":%d,\"raw_iops\":%.0f,\"iops\":%.0f,\"ratio\":%.3f,\"goal\":%.2f}\n",
		       name, depth, raw, ours, ratio, goal);
	else
		printf("%-14s depth %2d   raw %8.0f/s   ours %8.0f/s   ratio %.3f  [%.3f %.3f]   goal %.2f %s\n", name,
		       depth,
		       raw, ours, ratio, r->ratio[0], r->ratio[r->n - 1], goal, ratio >= goal ? "reached" : "missed");
	fflush(stdout);
}

/* ---- what is measured -------------------------------------------------------------------------------------------- */

static struct blkremap_dev *make_snapshot(struct blkremap_dev *over, struct blkremap_dev *store)
{
	struct blkremap_snapshot_opts so = { .size = sizeof(so), .flags = BLKREMAP_FORCE, .chunk_bytes = CHUNK };
	struct blkremap_dev *snap;

	must(blkremap_snapshot_create(ctx, store, &so), "create");
	so.flags = 0;
	must(blkremap_snapshot_open(ctx, over, store, &so, &snap), "snapshot");
	return snap;
}

static int ops_for(int depth)
{
	return cfg.direct && strncmp(cfg.dir, "/dev/shm", 8) != 0 ? depth * 400 + 4000 : 200000;
}

static void steady(const char *name, struct blkremap_dev *dev, const char *raw_path, bool write, double goal)
{
	static const int depths[] = { 1, 32 };
	int fd = open_raw(raw_path);

	for (size_t d = 0; d < 2; d++) {
		struct result r = { .n = 0 };

		for (int i = 0; i < cfg.rounds; i++) {
			double raw = raw_ops(fd, write, depths[d], ops_for(depths[d]));

			add(&r, raw, our_ops(dev, write, depths[d], ops_for(depths[d])));
		}
		print(name, depths[d], &r, goal);
	}
	close(fd);
}

static void map_everything(struct blkremap_dev *snap)
{
	char *chunk = aligned_alloc(BLOCK, CHUNK);

	memset(chunk, 1, CHUNK);
	for (uint64_t at = 0; at < cfg.bytes; at += CHUNK)
		must(blkremap_pwrite(snap, chunk, CHUNK, at, 0), "map");
	free(chunk);
}

static void bench_steady(double goal)
{
	struct blkremap_dev *base = open_file(cfg.base), *store = open_file(cfg.store[0]), *snap;

	snap = make_snapshot(base, store);
	steady("read-unmapped", snap, cfg.base, false, goal);
	map_everything(snap);
	steady("read-mapped", snap, cfg.store[0], false, goal);
	steady("write-mapped", snap, cfg.store[0], true, goal);
	must(blkremap_dev_close(snap), "close");
	must(blkremap_dev_close(store), "close");
	must(blkremap_dev_close(base), "close");
}

static double copy_outs(int nr_snaps, int total)
{
	struct blkremap_dev *base = open_file(cfg.base), *origin, *store[MAX_SNAPS], *snap[MAX_SNAPS];
	double t;

	must(blkremap_origin_open(ctx, base, NULL, &origin), "origin");
	for (int i = 0; i < nr_snaps; i++) {
		store[i] = open_file(cfg.store[i]);
		snap[i] = make_snapshot(origin, store[i]);
	}
	t = now();
	for (int i = 0; i < total; i++)
		must(blkremap_pwrite(origin, buffers, BLOCK, (uint64_t)i * CHUNK, 0), "write");
	t = now() - t;
	for (int i = 0; i < nr_snaps; i++) {
		must(blkremap_dev_close(snap[i]), "close");
		must(blkremap_dev_close(store[i]), "close");
	}
	must(blkremap_dev_close(origin), "close");
	must(blkremap_dev_close(base), "close");
	return total / t;
}

static void bench_copy_out(void)
{
	int total = (int)(cfg.bytes / CHUNK / 2);
	struct result one = { .n = 0 }, four = { .n = 0 };
	int base = open_raw(cfg.base), store = open_raw(cfg.store[0]);

	for (int i = 0; i < cfg.rounds; i++) {
		double raw = raw_copy_out(base, store, total), with_1 = copy_outs(1, total);

		add(&one, raw, with_1);
		add(&four, with_1, copy_outs(MAX_SNAPS, total));
	}
	close(base);
	close(store);
	print("copy-out", 1, &one, 0.7);
	print("fan-out", 1, &four, 0.45);
}

/* ---- main -------------------------------------------------------------------------------------------------------- */

static void usage(void)
{
	fprintf(stderr, "usage: bench-snapshot [--direct] [--rounds N] [--mib N] [--json] DIR\n");
	exit(2);
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--direct") == 0)
			cfg.direct = true;
		else if (strcmp(argv[i], "--json") == 0)
			cfg.json = true;
		else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			cfg.rounds = atoi(argv[++i]);
		else if (strcmp(argv[i], "--mib") == 0 && i + 1 < argc)
			cfg.bytes = strtoull(argv[++i], NULL, 10) << 20;
		else if (argv[i][0] != '-' && !cfg.dir)
			cfg.dir = argv[i];
		else
			usage();
	}
	if (!cfg.dir || cfg.rounds < 1 || cfg.rounds > MAX_ROUNDS || cfg.bytes < (16 << 20))
		usage();
}

static void make_files(void)
{
	uint64_t store_bytes;

	must(blkremap_meta_size("snapshot", cfg.bytes, CHUNK, &store_bytes), "size");
	store_bytes = (store_bytes + (1 << 20)) >> 20 << 20;
	snprintf(cfg.base, sizeof(cfg.base), "%s/bench-base.img", cfg.dir);
	make_file(cfg.base, cfg.bytes);
	for (int i = 0; i < MAX_SNAPS; i++) {
		snprintf(cfg.store[i], sizeof(cfg.store[i]), "%s/bench-store%d.cow", cfg.dir, i);
		make_file(cfg.store[i], store_bytes);
	}
}

int main(int argc, char **argv)
{
	bool memory;

	parse(argc, argv);
	buffers = aligned_alloc(BLOCK, MAX_DEPTH * BLOCK);
	if (!buffers)
		die("memory");
	memset(buffers, 2, MAX_DEPTH * BLOCK);
	make_files();
	must(blkremap_ctx_new(NULL, &ctx), "context");
	memory = strncmp(cfg.dir, "/dev/shm", 8) == 0;
	bench_steady(memory ? 0.88 : 0.95);
	bench_copy_out();
	must(blkremap_ctx_free(ctx), "context");
	unlink(cfg.base);
	for (int i = 0; i < MAX_SNAPS; i++)
		unlink(cfg.store[i]);
	return 0;
}
