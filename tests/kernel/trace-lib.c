/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replay a trace with the library: trace-lib TRACE ORIGIN STORE:CHUNK...  Device 0 is the origin, others are snapshots
 * that are taken of it at the beginning, all at once.  The stores are blank files.  Prints what replay does.
 */
#include "trace.h"

#include <blkremap/blkremap.h>
#include <stdlib.h>

enum { MAX_SNAPSHOTS = 4 };

struct devices {
	struct blkremap_ctx *ctx;
	struct blkremap_dev *base, *stores[MAX_SNAPSHOTS], *dev[1 + MAX_SNAPSHOTS];
	unsigned nr_snapshots;
};

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s (%d)\n", what, blkremap_last_error(), r);
	exit(1);
}

static void take_snapshots(struct devices *d, char **stores)
{
	struct blkremap_snapshot_opts opts[MAX_SNAPSHOTS];
	struct blkremap_take items[MAX_SNAPSHOTS];

	memset(opts, 0, sizeof(opts));
	memset(items, 0, sizeof(items));
	for (unsigned i = 0; i < d->nr_snapshots; i++) {
		char *colon = strrchr(stores[i], ':');

		if (!colon)
			must(-1, "STORE:CHUNK");
		*colon = 0;
		must(blkremap_file_open(d->ctx, stores[i], NULL, &d->stores[i]), stores[i]);
		opts[i].size = sizeof(opts[i]);
		opts[i].chunk_bytes = strtoull(colon + 1, NULL, 10);
		items[i].origin = d->dev[0];
		items[i].store = d->stores[i];
		items[i].opts = &opts[i];
	}
	must(blkremap_snapshot_take(items, d->nr_snapshots, -1, NULL), "take");
	for (unsigned i = 0; i < d->nr_snapshots; i++)
		d->dev[1 + i] = items[i].snap;
}

static void close_all(struct devices *d)
{
	for (unsigned i = 0; i < d->nr_snapshots; i++)
		must(blkremap_dev_close(d->dev[1 + i]), "close a snapshot");
	must(blkremap_dev_close(d->dev[0]), "close the origin");
	for (unsigned i = 0; i < d->nr_snapshots; i++)
		must(blkremap_dev_close(d->stores[i]), "close a store");
	must(blkremap_dev_close(d->base), "close the base");
	must(blkremap_ctx_free(d->ctx), "free the context");
}

static void run_op(const struct trace_op *op, struct blkremap_dev *dev, uint8_t *buf, uint64_t *hash)
{
	switch (op->what) {
	case 'w':
		trace_fill(op, buf);
		must(blkremap_pwrite(dev, buf, op->length, op->offset, 0), "write");
		break;
	case 'r':
		must(blkremap_pread(dev, buf, op->length, op->offset, 0), "read");
		*hash = trace_hash(*hash, buf, op->length);
		break;
	default:
		must(blkremap_flush(dev), "flush");
		break;
	}
}

int main(int argc, char **argv)
{
	struct devices d = { .nr_snapshots = (unsigned)argc - 3 };
	uint64_t hash = TRACE_HASH_START;
	struct trace_op op;
	unsigned ops = 0;
	void *buf;
	FILE *f;
	int r;

	if (argc < 4 || d.nr_snapshots > MAX_SNAPSHOTS || posix_memalign(&buf, 4096, TRACE_MAX) != 0)
		return 2;
	f = fopen(argv[1], "r");
	if (!f)
		return 2;
	must(blkremap_ctx_new(NULL, &d.ctx), "context");
	must(blkremap_file_open(d.ctx, argv[2], NULL, &d.base), argv[2]);
	must(blkremap_origin_open(d.ctx, d.base, NULL, &d.dev[0]), "origin");
	take_snapshots(&d, argv + 3);
	while ((r = trace_next(f, &op)) > 0 && op.dev <= d.nr_snapshots) {
		run_op(&op, d.dev[op.dev], buf, &hash);
		ops++;
	}
	close_all(&d);
	fclose(f);
	free(buf);
	printf("%u operations, 0 failed, hash %016llx\n", ops, (unsigned long long)hash);
	return r != 0;
}
