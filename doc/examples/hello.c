/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hello SPEC: say what a device is, and how the file system on it is called.
 *
 *	cc hello.c -o hello $(pkg-config --cflags --libs blkremap)
 */
#include <blkremap/blkremap.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct blkremap_open_opts ro = { .size = sizeof(ro), .flags = BLKREMAP_RDONLY };
	struct blkremap_dev_info info = { .size = sizeof(info) };
	struct blkremap_ctx *ctx;
	struct blkremap_dev *dev;
	char block[4096];

	if (argc != 2 || blkremap_ctx_new(NULL, &ctx) < 0 || blkremap_open(ctx, argv[1], &ro, &dev) < 0 ||
	    blkremap_dev_info(dev, &info) < 0 || blkremap_pread(dev, block, sizeof(block), 0, 0) < 0) {
		fprintf(stderr, "hello: %s\n", blkremap_last_error());
		return 1;
	}
	printf("%s: %llu bytes, label \"%.16s\"\n", info.type, (unsigned long long)info.bytes, block + 1024 + 120);
	return blkremap_dev_close(dev) < 0 || blkremap_ctx_free(ctx) < 0;
}
