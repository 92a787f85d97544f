/* SPDX-License-Identifier: BSD-3-Clause */
/* Run a fuzz program over files, each also cut short at every length: replay FILE... */
#include "fuzz.h"

enum { LARGEST = 1 << 20 };

static size_t read_file(const char *path, uint8_t *buf, size_t size)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		perror(path);
		exit(2);
	}
	n = fread(buf, 1, size, f);
	fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	uint8_t *buf = malloc(LARGEST);

	if (!buf || argc < 2)
		return 2;
	for (int i = 1; i < argc; i++) {
		size_t n = read_file(argv[i], buf, LARGEST);

		for (size_t len = 0; len <= n; len++) {
			/* A copy of exactly that size, so that a sanitizer sees a step beyond it. */
			uint8_t *copy = malloc(len ? len : 1);

			FUZZ_MUST(copy);
			for (size_t at = 0; at < len; at++)
				copy[at] = buf[at];
			LLVMFuzzerTestOneInput(copy, len);
			free(copy);
		}
	}
	free(buf);
	printf("%d inputs\n", argc - 1);
	return 0;
}
