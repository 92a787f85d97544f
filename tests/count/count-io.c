/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Do N requests of one kind over memory devices, for a counter of instructions to watch.
 *
 *	count-io memory|unmapped|mapped|rewrite|origin0|origin1|origin4 N
 */
#include <blkremap/blkremap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512, CHUNK = 65536, BYTES = 4 << 20, BATCH = 32, MAX_SNAPS = 4 };

static struct blkremap_ctx *ctx;
static char buf[CHUNK];

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "count-io: %s: %d: %s\n", what, r, blkremap_last_error());
	exit(1);
}

static struct blkremap_dev *memory(uint64_t bytes)
{
	struct blkremap_dev *dev;

	must(blkremap_mem_open(ctx, bytes, NULL, &dev), "memory");
	return dev;
}

static void write_all(struct blkremap_dev *dev)
{
	for (uint64_t at = 0; at < BYTES; at += CHUNK)
		must(blkremap_pwrite(dev, buf, CHUNK, at, 0), "write");
}

static struct blkremap_dev *make_snapshot(struct blkremap_dev *over)
{
	struct blkremap_snapshot_opts so = { .size = sizeof(so), .chunk_bytes = CHUNK };
	struct blkremap_dev *snap, *store = memory(2 * BYTES);

	must(blkremap_snapshot_create(ctx, store, &so), "create");
	must(blkremap_snapshot_open(ctx, over, store, &so, &snap), "snapshot");
	return snap;
}

/* An origin with snapshots that have everything already. */
static struct blkremap_dev *make_origin(struct blkremap_dev *base, int snaps)
{
	struct blkremap_dev *origin;

	must(blkremap_origin_open(ctx, base, NULL, &origin), "origin");
	while (snaps-- > 0)
		make_snapshot(origin);
	write_all(origin);
	return origin;
}

static struct blkremap_dev *make(const char *what)
{
	struct blkremap_dev *base = memory(BYTES), *snap;

	write_all(base);
	if (strcmp(what, "memory") == 0)
		return base;
	if (strncmp(what, "origin", 6) == 0)
		return make_origin(base, atoi(what + 6));
	snap = make_snapshot(base);
	if (strcmp(what, "unmapped") != 0)
		write_all(snap);
	return snap;
}

static void work(struct blkremap_dev *dev, uint32_t op, int n)
{
	struct iovec iov = { buf, BLOCK };
	struct blkremap_completion done[BATCH];
	struct blkremap_io io[BATCH];
	struct blkremap_queue *q;
	uint64_t at = 1;

	must(blkremap_queue_open(dev, NULL, &q), "queue");
	for (; n > 0; n -= BATCH) {
		for (int i = 0; i < BATCH; i++) {
			at = at * 6364136223846793005u + 1442695040888963407u;
			io[i] = (struct blkremap_io){ .op = op, .offset = (at >> 33) % (BYTES / BLOCK) * BLOCK,
						      .length = BLOCK, .iov = &iov, .iovcnt = 1 };
		}
		must(blkremap_submit_io(q, io, BATCH), "submit");
		for (int got = 0, r; got < BATCH; got += r) {
			r = blkremap_reap(q, done, 1, BATCH, -1);
			must(r, "reap");
		}
	}
	must(blkremap_queue_close(q), "queue");
}

int main(int argc, char **argv)
{
	struct blkremap_ctx_opts co = { .size = sizeof(co), .flags = BLKREMAP_CTX_NO_THREADS };

	if (argc != 3)
		return 2;
	must(blkremap_ctx_new(&co, &ctx), "context");
	work(make(argv[1]), strcmp(argv[1], "rewrite") == 0 || strncmp(argv[1], "origin", 6) == 0 ? BLKREMAP_WRITE :
	     BLKREMAP_READ, atoi(argv[2]));
	return 0;
}
