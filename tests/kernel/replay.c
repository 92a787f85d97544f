/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replay a trace on block devices or files: replay [-k] TRACE DEVICE...  Prints "N operations, M failed, hash H".  With
 * -k an operation may fail, and its device goes on.  Static, so that it runs where there is nothing but a kernel.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_DEVICES = 8 };

static int run_op(const struct trace_op *op, int fd, uint8_t *buf, uint64_t *hash)
{
	ssize_t n = 0;

	switch (op->what) {
	case 'w':
		trace_fill(op, buf);
		n = pwrite(fd, buf, op->length, (off_t)op->offset);
		break;
	case 'r':
		n = pread(fd, buf, op->length, (off_t)op->offset);
		*hash = trace_hash(*hash, buf, op->length);
		break;
	default:
		return fsync(fd);
	}
	return n == (ssize_t)op->length ? 0 : -1;
}

static int open_all(int argc, char **argv, int *fds)
{
	for (int i = 0; i < argc; i++) {
		fds[i] = open(argv[i], O_RDWR | O_DIRECT);
		if (fds[i] < 0) {
			perror(argv[i]);
			return -1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	int keep_going = argc > 1 && strcmp(argv[1], "-k") == 0, first = 2 + keep_going, fds[MAX_DEVICES], r;
	uint64_t hash = TRACE_HASH_START;
	unsigned ops = 0, failed = 0;
	struct trace_op op;
	void *buf;
	FILE *f;

	if (argc <= first || argc - first > MAX_DEVICES || posix_memalign(&buf, 4096, TRACE_MAX) != 0)
		return 2;
	f = fopen(argv[first - 1], "r");
	if (!f || open_all(argc - first, argv + first, fds) < 0)
		return 2;
	while ((r = trace_next(f, &op)) > 0) {
		if ((int)op.dev >= argc - first)
			return 2;
		ops++;
		if (run_op(&op, fds[op.dev], buf, &hash) == 0)
			continue;
		failed++;
		if (!keep_going) {
			fprintf(stderr, "operation %u: %s\n", ops, strerror(errno));
			return 1;
		}
	}
	printf("%u operations, %u failed, hash %016llx\n", ops, failed, (unsigned long long)hash);
	return r < 0 ? 2 : 0;
}
