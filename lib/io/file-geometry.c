/* SPDX-License-Identifier: BSD-3-Clause */
/* What a file or block device is like: size, blocks, alignment, what it can do. */
#include "io/file-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/compiler.h"
#include "base/error.h"

enum { SECTOR = 512, BIG_SECTOR = 4096, TEXT = 128 };

/* ---- size -------------------------------------------------------------------------------------------------------- */

int br_file_bytes(const struct br_file *f, uint64_t *ret_bytes)
{
	uint64_t bytes;
	struct stat st;

	if (f->block) {
		if (ioctl(f->fd, BLKGETSIZE64, &bytes) < 0)
			return br_error(-errno, "the size of %s cannot be read (errno %d)", f->dev.name, errno);
	} else {
		if (fstat(f->fd, &st) < 0)
			return br_error(-errno, "the size of %s cannot be read (errno %d)", f->dev.name, errno);
		bytes = (uint64_t)st.st_size;
	}
	*ret_bytes = bytes - bytes % f->dev.logical_block;
	return 0;
}

/* ---- alignment --------------------------------------------------------------------------------------------------- */

/* What O_DIRECT asks for, from the file system itself.  False: it does not tell. */
static bool ask_alignment(struct br_file *f)
{
	struct statx sx;

	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) < 0 || !(sx.stx_mask & STATX_DIOALIGN))
		return false;
	if (!br_is_pow2(sx.stx_dio_offset_align) || !br_is_pow2(sx.stx_dio_mem_align))
		return false;	/* zero: not for direct I/O, the reads below will tell */
	f->dev.logical_block = BR_MAX(sx.stx_dio_offset_align, (uint32_t)SECTOR);
	f->dev.buffer_align = sx.stx_dio_mem_align;
	return true;
}

/*
 * Read one block of that size at an odd multiple of it.  At the end of the file that yields 0, which is good news too.
 */
static bool can_read(const struct br_file *f, uint32_t block)
{
	char *p = NULL;
	bool good;

	if (posix_memalign((void **)&p, BIG_SECTOR, BIG_SECTOR) != 0)
		return false;
	good = pread(f->fd, p, block, block) >= 0 || errno != EINVAL;
	free(p);
	return good;
}

/*
 * Buffered: any address, blocks of a sector.  Direct: ask, else try; and try what was told, before a user meets the
 * truth.
 */
static int find_alignment(struct br_file *f)
{
	struct br_dev *d = &f->dev;

	d->logical_block = SECTOR;
	d->buffer_align = 1;
	if (!f->direct)
		return 0;
	if (!ask_alignment(f)) {
		if (!can_read(f, SECTOR))
			d->logical_block = BIG_SECTOR;
		d->buffer_align = d->logical_block;
	}
	if (!can_read(f, d->logical_block))
		return br_error(-EOPNOTSUPP, "O_DIRECT does not work here: no read of %u bytes is accepted",
				d->logical_block);
	return 0;
}

/* ---- block devices ----------------------------------------------------------------------------------------------- */

/* A number from the device's folder in sysfs, or from that of the disk that a partition is part of; 0: not there. */
static uint64_t queue_limit(const struct br_file *f, const char *name)
{
	static const char *const folders[] = { "queue", "../queue" };
	unsigned long long n = 0;
	char path[TEXT];

	for (unsigned i = 0; i < BR_ARRAY_SIZE(folders); i++) {
		FILE *file;
		int got;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", major(f->id_dev), minor(f->id_dev),
			 folders[i], name);
		file = fopen(path, "re");
		if (!file)
			continue;
		got = fscanf(file, "%llu", &n);
		fclose(file);
		return got == 1 ? n : 0;
	}
	return 0;
}

/* Buffered access to a device has no alignment of its own, but its blocks are what a power cut leaves whole. */
static int block_geometry(struct br_file *f)
{
	struct br_dev *d = &f->dev;
	unsigned int physical = 0, optimal = 0;
	int logical = 0;

	if (ioctl(f->fd, BLKSSZGET, &logical) < 0 || logical < SECTOR)
		return br_error(-errno, "its block size cannot be read (errno %d)", errno);
	d->logical_block = BR_MAX((uint32_t)logical, d->logical_block);
	if (ioctl(f->fd, BLKPBSZGET, &physical) < 0)
		physical = 0;
	if (ioctl(f->fd, BLKIOOPT, &optimal) < 0)
		optimal = 0;
	d->physical_block = BR_MAX(physical, d->logical_block);
	d->optimal_io = optimal;
	d->discard_granularity = (uint32_t)queue_limit(f, "discard_granularity");
	return 0;
}

/* FUA always works (by a flush if not otherwise), and so do zeroes (by writing them). */
static uint32_t block_caps(struct br_file *f)
{
	uint32_t caps = BR_CAP_VOLATILE_CACHE;

	if (f->rdonly)
		return caps;
	caps |= BR_CAP_WRITE | BR_CAP_FUA | BR_CAP_WRITE_ZEROES;
	if (queue_limit(f, "discard_max_bytes"))
		caps |= BR_CAP_DISCARD;	/* what it reads as afterwards is not promised */
	if (queue_limit(f, "write_zeroes_max_bytes"))
		caps |= BR_CAP_FAST_ZEROES;
	return caps;
}

/* ---- regular files ----------------------------------------------------------------------------------------------- */

static bool is_on_tmpfs(const struct br_file *f)
{
	struct statfs s;

	return !f->block && fstatfs(f->fd, &s) == 0 && s.f_type == TMPFS_MAGIC;
}

static int file_geometry(struct br_file *f)
{
	struct br_dev *d = &f->dev;
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return br_error(-errno, "it cannot be looked at (errno %d)", errno);
	f->tmpfs = is_on_tmpfs(f);
	d->physical_block = d->logical_block;
	d->optimal_io = d->discard_granularity = (uint32_t)st.st_blksize;
	return 0;
}

/* A hole punched beyond the end changes nothing but tells whether holes can be punched. */
static bool can_punch(struct br_file *f)
{
	struct stat st;
	off_t beyond;

	if (fstat(f->fd, &st) < 0)
		return false;
	beyond = (st.st_size / BIG_SECTOR + 1) * BIG_SECTOR;
	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, beyond, BIG_SECTOR) == 0)
		return true;
	atomic_store(&f->no_punch, true);
	return false;
}

/* A file's data sits in the page cache or the disk's, so there is always a volatile cache. */
static uint32_t file_caps(struct br_file *f)
{
	uint32_t caps = BR_CAP_VOLATILE_CACHE | BR_CAP_EXTENTS;

	if (f->rdonly)
		return caps;
	caps |= BR_CAP_WRITE | BR_CAP_FUA | BR_CAP_WRITE_ZEROES;
	if (can_punch(f))
		caps |= BR_CAP_DISCARD | BR_CAP_DISCARD_ZEROES | BR_CAP_FAST_ZEROES;
	if (f->max_grow)
		caps |= BR_CAP_GROW;
	return caps;
}

int br_file_geometry(struct br_file *f)
{
	struct br_dev *d = &f->dev;
	uint64_t bytes;
	int r = find_alignment(f);

	if (r == 0)
		r = f->block ? block_geometry(f) : file_geometry(f);
	if (r < 0)
		return r;
	if (d->logical_block > BR_BOUNCE_BYTES || d->buffer_align > BR_BOUNCE_ALIGN)
		return br_error(-EOPNOTSUPP, "blocks of %u bytes, buffers at multiples of %u: %d and %d are the most",
				d->logical_block, d->buffer_align, BR_BOUNCE_BYTES, BR_BOUNCE_ALIGN);
	r = br_file_bytes(f, &bytes);
	if (r < 0)
		return r;
	atomic_store(&d->bytes, bytes);
	atomic_store(&d->caps, f->block ? block_caps(f) : file_caps(f));
	return 0;
}
