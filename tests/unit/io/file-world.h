/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the file device share: a context, a queue, a file, and every way to open it. */
#ifndef BR_TEST_FILE_WORLD_H
#define BR_TEST_FILE_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/env-posix.h"
#include "base/error.h"
#include "blkremap/blkremap.h"
#include "io/file-internal.h"
#include "io/file.h"
#include "op/ctx.h"

enum { BYTES = 1 << 20, MAX_REQS = 1024 };

struct way {
	const char *name, *folder, *engine, *expect;	/* expect: what dev->engine must say */
	bool direct, no_threads, no_ring;
};

static const struct way ways[] = {
	{ "tmpfs", "/dev/shm", NULL, "aio", false, false, false },
	{ "tmpfs direct", "/dev/shm", NULL, "aio", true, false, false },
	{ "tmpfs without ring", "/dev/shm", NULL, "aio", false, false, true },
	{ "disk", ".", NULL, "threads", false, false, false },
	{ "disk direct", ".", NULL, "aio", true, false, false },
	{ "disk direct without ring", ".", NULL, "aio", true, false, true },
	{ "disk direct threads", ".", "threads", "threads", true, false, false },
	{ "disk sync", ".", "sync", "sync", false, false, false },
	{ "disk direct sync", ".", "sync", "sync", true, false, false },
	{ "disk without threads", ".", NULL, "aio", false, true, false },
	{ "disk direct without threads", ".", NULL, "aio", true, true, false },
	{ "disk sync without threads", ".", "sync", "sync", false, true, false },
};

struct world {
	const struct way *way;
	char path[200];
	struct br_ctx ctx;
	struct br_queue queue;
	struct br_dev *dev;
	struct br_file *file;
	struct br_chan *chan;
	struct br_req reqs[MAX_REQS];
	unsigned done;
};

static struct world w;

static inline void name_file(struct world *x)
{
	snprintf(x->path, sizeof(x->path), "%s/blkremap-test-%d", x->way->folder, (int)getpid());
	unlink(x->path);
}

/* Open and close again. */
static inline int try_open(const struct br_file_opts *o)
{
	struct br_dev *dev;
	int r = br_file_open(&w.ctx, o, &dev);

	if (r == 0)
		assert_int_equal(br_dev_put(dev), 0);
	return r;
}

/* False: this file system has no direct I/O; nothing is open then. */
static inline bool open_world(const struct way *way, uint64_t bytes, uint64_t max_grow)
{
	struct br_file_opts o = { .fd = -1, .engine = way->engine, .create = true, .bytes = bytes };
	int r;

	memset(&w, 0, sizeof(w));
	w.way = way;
	name_file(&w);
	o.path = w.path;
	o.direct = way->direct;
	o.max_grow = max_grow;
	br_aio_without_ring = way->no_ring;
	assert_int_equal(br_ctx_init(&w.ctx, &br_env_posix, way->no_threads), 0);
	r = br_file_open(&w.ctx, &o, &w.dev);
	if (r == -EINVAL && way->direct) {
		br_ctx_done(&w.ctx);
		return false;
	}
	assert_int_equal(r, 0);
	w.file = br_to_file(w.dev);
	assert_int_equal(br_queue_init(&w.queue, &w.ctx, false), 0);
	assert_int_equal(br_queue_enter(&w.queue), 0);
	assert_int_equal(br_chan_get(&w.queue, w.dev, &w.chan), 0);
	return true;
}

static inline void close_world(void)
{
	br_chan_put(w.chan);
	br_queue_leave(&w.queue);
	br_queue_done(&w.queue);
	assert_int_equal(br_dev_put(w.dev), 0);
	br_ctx_done(&w.ctx);
	unlink(w.path);
}

#define for_each_way(bytes, max_grow)                                                     \
	for (unsigned way_ = 0; way_ < BR_ARRAY_SIZE(ways); way_++)                       \
		for (bool on_ = open_world(&ways[way_], (bytes), (max_grow)); on_; on_ = false, close_world())

static inline void count_done(struct br_req *req)
{
	(void)req;
	w.done++;
}

static inline bool all_done(void *arg)
{
	return w.done == *(unsigned *)arg;
}

static inline void wait_for(unsigned n)
{
	uint64_t deadline = br_now(&br_env_posix) + 20000000000u;

	assert_true(br_block(&w.ctx, &w.queue, all_done, &n, deadline));
}

static inline struct br_req *submit(unsigned i, uint32_t op, uint64_t offset, uint64_t length, const struct iovec *iov,
				    uint32_t iovcnt)
{
	struct br_req *req = &w.reqs[i];

	req->op = op;
	req->offset = offset;
	req->length = length;
	req->iov = iov;
	req->iovcnt = iovcnt;
	req->done = count_done;
	br_submit(w.chan, req);
	return req;
}

struct vecs {
	const struct iovec *iov;
	uint32_t n;
	uint64_t skip;
};

/* One request, waited for. */
static inline int one_vec(uint32_t op, uint32_t flags, uint64_t offset, uint64_t length, struct vecs v)
{
	memset(&w.reqs[0], 0, sizeof(w.reqs[0]));
	w.reqs[0].flags = flags;
	w.reqs[0].iov_skip = v.skip;
	w.done = 0;
	submit(0, op, offset, length, v.iov, v.n);
	wait_for(1);
	return w.reqs[0].result;
}

static inline int one(uint32_t op, uint32_t flags, uint64_t offset, uint64_t length, void *buf)
{
	struct iovec v = { buf, length };

	return one_vec(op, flags, offset, length, (struct vecs){ &v, buf ? 1 : 0, 0 });
}

static inline void fill(unsigned char *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = (unsigned char)(seed >> 16 | 1);	/* never zero */
	}
}

#endif /* BR_TEST_FILE_WORLD_H */
