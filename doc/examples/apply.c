/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * apply SPEC IMAGE: make a device equal to an image file, writing only the blocks that differ.
 *
 * With it, tools that know nothing of this library (debugfs, mke2fs) can edit a copy, and only what they changed goes
 * into a snapshot or an origin.
 */
#include <blkremap/blkremap.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 4096 };

/* Returns 1 if the block had to be written, 0 if it was equal, or -errno. */
static int apply_block(struct blkremap_dev *dev, uint64_t offset, const char *wanted)
{
	char found[BLOCK];
	int r = blkremap_pread(dev, found, BLOCK, offset, 0);

	if (r < 0 || memcmp(found, wanted, BLOCK) == 0)
		return r;
	r = blkremap_pwrite(dev, wanted, BLOCK, offset, 0);
	return r < 0 ? r : 1;
}

static int apply(struct blkremap_dev *dev, FILE *image)
{
	char block[BLOCK];
	uint64_t offset = 0;
	int written = 0, r = 0;

	for (; r >= 0 && offset < blkremap_dev_size(dev) && fread(block, BLOCK, 1, image) == 1; offset += BLOCK) {
		r = apply_block(dev, offset, block);
		written += r > 0;
	}
	if (r >= 0)
		r = blkremap_flush(dev);
	return r < 0 ? r : written;
}

int main(int argc, char **argv)
{
	FILE *image = argc == 3 ? fopen(argv[2], "rb") : NULL;
	struct blkremap_ctx *ctx;
	struct blkremap_dev *dev;
	int written;

	if (!image)
		return fprintf(stderr, "usage: apply SPEC IMAGE\n"), 2;
	if (blkremap_ctx_new(NULL, &ctx) < 0 || blkremap_open(ctx, argv[1], NULL, &dev) < 0)
		return fprintf(stderr, "apply: %s\n", blkremap_last_error()), 1;
	written = apply(dev, image);
	if (written < 0)
		fprintf(stderr, "apply: %s\n", blkremap_last_error());
	else
		printf("%d blocks written\n", written);
	fclose(image);
	if (blkremap_dev_close(dev) < 0 || blkremap_ctx_free(ctx) < 0)
		return fprintf(stderr, "apply: not durable: %s\n", blkremap_last_error()), 1;
	return written < 0;
}
