/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backing up two disks that are in use, as one: a full backup, then one of what has changed since.
 *
 * The user of the disks is played by a thread that counts: it writes n to the first disk, and when that has completed,
 * n to the second one.  So at any point in time the first is ahead of the second by 0 or 1, and a backup for which that
 * is not so was not made at one point in time.
 */
#include <blkremap/blkremap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NR_DISKS = 2, DISK_BYTES = 4 << 20, BLOCK = 4096, PIECE = 64 * 1024, MAX_EXTENTS = 64 };

/* Where backups go. */
struct backup {
	char image[NR_DISKS][DISK_BYTES];
	uint64_t copied;
};

struct disks {
	struct blkremap_ctx *ctx;
	struct blkremap_dev *origin[NR_DISKS];
	atomic_int stop;
	atomic_ullong counted;
};

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "backup: %s: %s\n", what, blkremap_last_error());
	exit(1);
}

/* ---- the user of the disks --------------------------------------------------------------------------------------- */

static void *count(void *opaque)
{
	struct disks *d = opaque;
	uint64_t block[BLOCK / 8] = { 0 };

	for (uint64_t n = 1; !atomic_load(&d->stop); n++) {
		uint64_t place = BLOCK * (1 + n % (DISK_BYTES / BLOCK / 2 - 1));

		block[0] = n;
		for (int i = 0; i < NR_DISKS; i++)
			if (blkremap_pwrite(d->origin[i], block, BLOCK, 0, 0) < 0 ||
			    blkremap_pwrite(d->origin[i], block, BLOCK, place, 0) < 0)
				die("write");
		atomic_store(&d->counted, n);
	}
	return NULL;
}

static void wait_until(struct disks *d, uint64_t n)
{
	while (atomic_load(&d->counted) < n)
		usleep(1000);
}

/* ---- the backup -------------------------------------------------------------------------------------------------- */

static void copy_extent(struct backup *b, int disk, struct blkremap_dev *snap, const struct blkremap_extent *x)
{
	for (uint64_t at = x->offset, end = x->offset + x->length, n; at < end; at += n) {
		n = end - at < PIECE ? end - at : PIECE;
		if (blkremap_pread(snap, b->image[disk] + at, n, at, BLKREMAP_BACKGROUND) < 0)
			die("read");
		b->copied += n;
	}
}

/* What changed between @since and @snap; without @since, all that is not surely zero. */
static int extents(struct blkremap_dev *since, struct blkremap_dev *snap, uint64_t at, struct blkremap_extent *x)
{
	uint32_t n;
	int r = since ? blkremap_delta(since, snap, at, DISK_BYTES - at, x, MAX_EXTENTS, &n) :
			blkremap_map(snap, at, DISK_BYTES - at, 0, x, MAX_EXTENTS, &n);

	if (r < 0)
		die("extents");
	return (int)n;
}

static int is_wanted(const struct blkremap_extent *x, int since)
{
	return since ? (x->kind & BLKREMAP_EXT_CHANGED) != 0 : !(x->kind & (BLKREMAP_EXT_HOLE | BLKREMAP_EXT_ZERO));
}

/* An extent list can be gone on with at the end of its last one: also after an error, another day. */
static void copy_disk(struct backup *b, int disk, struct blkremap_dev *since, struct blkremap_dev *snap)
{
	struct blkremap_extent x[MAX_EXTENTS];
	uint64_t at = 0;
	int n;

	while (at < DISK_BYTES && (n = extents(since, snap, at, x)) > 0) {
		for (int i = 0; i < n; i++)
			if (is_wanted(&x[i], since != NULL))
				copy_extent(b, disk, snap, &x[i]);
		at = x[n - 1].offset + x[n - 1].length;
	}
}

/* Both disks at one point in time, or none.  Stores in memory: they need not outlive this process. */
static void take(struct disks *d, struct blkremap_dev *snaps[NR_DISKS])
{
	struct blkremap_snapshot_opts opts = { .size = sizeof(opts), .flags = BLKREMAP_SNAP_TRANSIENT,
					       .chunk_bytes = 16 * 1024 };
	struct blkremap_take items[NR_DISKS];

	memset(items, 0, sizeof(items));
	for (int i = 0; i < NR_DISKS; i++) {
		items[i].origin = d->origin[i];
		items[i].opts = &opts;
	}
	if (blkremap_snapshot_take(items, NR_DISKS, INT64_C(5000000000), NULL) < 0)
		die("take");
	for (int i = 0; i < NR_DISKS; i++)
		snaps[i] = items[i].snap;
}

static void drop(struct blkremap_dev *snaps[NR_DISKS])
{
	for (int i = 0; i < NR_DISKS; i++)
		if (blkremap_snapshot_drop(snaps[i]) < 0 || blkremap_dev_close(snaps[i]) < 0)
			die("drop");
}

static uint64_t counter(const struct backup *b, int disk)
{
	uint64_t n;

	memcpy(&n, b->image[disk], sizeof(n));
	return n;
}

/* The image is what the snapshot is, byte for byte, and the two belong to one point in time. */
static void check(const struct backup *b, struct blkremap_dev *snaps[NR_DISKS], const char *name)
{
	char *found = malloc(DISK_BYTES);
	uint64_t ahead = counter(b, 0) - counter(b, 1);

	for (int i = 0; i < NR_DISKS; i++)
		if (blkremap_pread(snaps[i], found, DISK_BYTES, 0, 0) < 0 ||
		    memcmp(found, b->image[i], DISK_BYTES) != 0)
			die("the backup is not what the snapshot is");
	free(found);
	if (ahead > 1)
		die("the backups are not of one point in time");
	printf("%s backup: at one point in time, equal to its snapshots, %s copied\n", name,
	       b->copied < (uint64_t)NR_DISKS * DISK_BYTES ? "not everything was" : "everything was");
}

static void open_disks(struct disks *d)
{
	struct blkremap_dev *base;

	if (blkremap_ctx_new(NULL, &d->ctx) < 0)
		die("context");
	for (int i = 0; i < NR_DISKS; i++) {
		if (blkremap_mem_open(d->ctx, DISK_BYTES, NULL, &base) < 0 ||
		    blkremap_origin_open(d->ctx, base, NULL, &d->origin[i]) < 0)
			die("open");
		blkremap_dev_close(base);	/* the origin has a reference of its own */
	}
}

static void close_disks(struct disks *d)
{
	for (int i = 0; i < NR_DISKS; i++)
		if (blkremap_dev_close(d->origin[i]) < 0)
			die("close");
	if (blkremap_ctx_free(d->ctx) < 0)
		die("free");
}

int main(void)
{
	static struct backup b;
	struct blkremap_dev *full[NR_DISKS], *later[NR_DISKS];
	struct disks d = { .stop = 0 };
	pthread_t user;

	open_disks(&d);
	pthread_create(&user, NULL, count, &d);
	wait_until(&d, 100);
	take(&d, full);
	for (int i = 0; i < NR_DISKS; i++)
		copy_disk(&b, i, NULL, full[i]);
	check(&b, full, "full");
	wait_until(&d, atomic_load(&d.counted) + 20);
	take(&d, later);
	b.copied = 0;
	for (int i = 0; i < NR_DISKS; i++)
		copy_disk(&b, i, full[i], later[i]);
	check(&b, later, "second");
	atomic_store(&d.stop, 1);
	pthread_join(user, NULL);
	drop(full);
	drop(later);
	close_disks(&d);
	return 0;
}
