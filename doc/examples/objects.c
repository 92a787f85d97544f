/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device of the caller's own: a disk whose contents are objects in an object store, with an asynchronous client.
 *
 * The store is played by memory and a thread (objects-store.h); what is shown is how such a client becomes a device:
 * once called by the library (push), once fetching the requests itself (pull).
 */
#include <blkremap/blkremap.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "objects-store.h"

enum { NR_OBJECTS = 16, MORE_OBJECTS = 24, SLOTS = 8, PULLED = 16 };

/* A request on its way.  Its slot is free again before the library hears of it: completing may bring the next one. */
struct call {
	struct disk *disk;
	uint64_t id;			/* 0: free; under disk->lock */
};

struct disk {
	struct store *store;
	struct blkremap_backend *backend;
	pthread_mutex_t lock;
	struct call calls[SLOTS];
	int closed;
};

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "objects: %s: %s\n", what, blkremap_last_error());
	exit(1);
}

/* ---- requests to calls, completions back ------------------------------------------------------------------------- */

static struct call *call_begin(struct disk *d, uint64_t id)
{
	struct call *found = NULL;

	pthread_mutex_lock(&d->lock);
	for (int i = 0; i < SLOTS && !found; i++)
		if (!d->calls[i].id)
			found = &d->calls[i];
	if (found)
		*found = (struct call){ d, id };
	pthread_mutex_unlock(&d->lock);
	return found;
}

static uint64_t call_end(struct call *c)
{
	uint64_t id;

	pthread_mutex_lock(&c->disk->lock);
	id = c->id;
	c->id = 0;
	pthread_mutex_unlock(&c->disk->lock);
	return id;
}

/* In the client's own thread.  blkremap_user_complete() may be called from any. */
static void call_done(void *opaque, int error)
{
	struct call *c = opaque;
	struct blkremap_backend *backend = c->disk->backend;

	blkremap_user_complete(backend, call_end(c), error);
}

/* -EAGAIN: no slot is free.  One request never touches two objects: optimal_io and max_transfer see to it. */
static int start(struct disk *d, const struct blkremap_backend_req *req)
{
	struct call *c;

	if (req->op != BLKREMAP_READ && req->op != BLKREMAP_WRITE)
		return -EOPNOTSUPP;
	c = call_begin(d, req->id);
	if (!c)
		return -EAGAIN;
	store_start(d->store, (struct store_call){
		.write = req->op == BLKREMAP_WRITE, .offset = req->offset, .iov = req->iov, .iovcnt = req->iovcnt,
		.done = call_done, .opaque = c,
	});
	return 0;
}

/* ---- push: the library calls ------------------------------------------------------------------------------------- */

/* Takes what it has slots for; the library brings the rest again after a completion. */
static int32_t submit(void *opaque, const struct blkremap_backend_req *reqs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		int r = start(opaque, &reqs[i]);

		if (r < 0)
			return i ? (int32_t)i : r == -EAGAIN ? 0 : r;
	}
	return (int32_t)n;
}

static void closed(void *opaque)
{
	struct disk *d = opaque;

	d->closed = 1;
}

/* No VOLATILE_CACHE: an object that was put is durable, so no flush ever comes. */
static struct blkremap_backend_info describe(void)
{
	return (struct blkremap_backend_info){
		.size = sizeof(struct blkremap_backend_info), .caps = BLKREMAP_CAP_WRITE, .logical_block = 512,
		.optimal_io = OBJECT_BYTES, .max_transfer = OBJECT_BYTES, .max_inflight = SLOTS,
		.bytes = NR_OBJECTS * (uint64_t)OBJECT_BYTES, .name = "objects",
	};
}

static void fill(char *buf, size_t n, int seed)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (char)(i / 512 * 7 + (size_t)seed);
}

/* Across the border between two objects, so the library must split it. */
static const uint64_t place = OBJECT_BYTES - 4096;
enum { LENGTH = 3 * 4096 };

static void write_and_read(struct blkremap_dev *dev)
{
	char out[LENGTH], in[LENGTH];

	fill(out, LENGTH, 1);
	if (blkremap_pwrite(dev, out, LENGTH, place, BLKREMAP_FUA) < 0)
		die("write");
	if (blkremap_pread(dev, in, LENGTH, place, 0) < 0)
		die("read");
	if (memcmp(in, out, LENGTH) != 0)
		die("what was read is not what was written");
}

/* The store's owner has bought more space: the guest hears of it by an event. */
static void grow(struct disk *d, struct blkremap_ctx *ctx, struct blkremap_dev *dev)
{
	struct blkremap_event e = { .size = sizeof(e) };
	uint64_t bytes = MORE_OBJECTS * (uint64_t)OBJECT_BYTES;
	struct pollfd p = { .events = POLLIN };

	p.fd = blkremap_ctx_fd(ctx);
	if (blkremap_user_set_bytes(d->backend, bytes) < 0)
		die("grow");
	while (blkremap_event_next(ctx, &e) != 1 || e.type != BLKREMAP_EV_RESIZED)
		if (poll(&p, 1, 5000) != 1)
			die("no event tells of the new size");
	if (e.value[0] != bytes || blkremap_dev_size(dev) != bytes)
		die("the new size is not what was said");
}

static void push(struct store *store)
{
	struct disk d = { .store = store, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct blkremap_dev_ops ops = { .size = sizeof(ops), .submit = submit, .close = closed };
	struct blkremap_backend_info info = describe();
	struct blkremap_ctx *ctx;
	struct blkremap_dev *dev;

	if (blkremap_ctx_new(NULL, &ctx) < 0 || blkremap_user_open(ctx, &ops, &d, &info, &d.backend, &dev) < 0)
		die("open");
	write_and_read(dev);
	grow(&d, ctx, dev);
	if (blkremap_dev_close(dev) < 0 || blkremap_ctx_free(ctx) < 0)
		die("close");
	printf("push: written and read over %u objects, closed: %s\n", store_puts(store), d.closed ? "yes" : "no");
}

/* ---- pull: the caller fetches ------------------------------------------------------------------------------------ */

/* Returns 1 after the last request ever, BLKREMAP_CLOSE. */
static int serve(struct disk *d, const struct blkremap_backend_req *req)
{
	int r;

	if (req->op == BLKREMAP_CLOSE) {
		blkremap_user_complete(d->backend, req->id, 0);
		return 1;
	}
	while ((r = start(d, req)) == -EAGAIN)
		store_wait(d->store);
	if (r < 0)
		blkremap_user_complete(d->backend, req->id, r);
	return 0;
}

static void *pull_loop(void *opaque)
{
	struct disk *d = opaque;
	struct blkremap_backend_req reqs[PULLED];
	struct pollfd p = { .fd = blkremap_user_fd(d->backend), .events = POLLIN };
	int n, end = 0;

	while (!end && poll(&p, 1, -1) == 1) {
		n = blkremap_user_fetch(d->backend, reqs, PULLED);
		for (int i = 0; i < n; i++)
			end |= serve(d, &reqs[i]);
	}
	return NULL;
}

static void pull(struct store *store)
{
	struct disk d = { .store = store, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct blkremap_backend_info info = describe();
	char wanted[LENGTH], in[LENGTH];
	struct blkremap_ctx *ctx;
	struct blkremap_dev *dev;
	pthread_t thread;

	if (blkremap_ctx_new(NULL, &ctx) < 0 || blkremap_user_open(ctx, NULL, NULL, &info, &d.backend, &dev) < 0)
		die("open");
	pthread_create(&thread, NULL, pull_loop, &d);
	fill(wanted, LENGTH, 1);
	if (blkremap_pread(dev, in, LENGTH, place, 0) < 0 || memcmp(in, wanted, LENGTH) != 0)
		die("read what was pushed");
	if (blkremap_dev_close(dev) < 0)
		die("close");
	pthread_join(thread, NULL);
	if (blkremap_ctx_free(ctx) < 0)
		die("free");
	puts("pull: the same objects read back");
}

int main(void)
{
	struct store *store = store_new(MORE_OBJECTS);

	push(store);
	pull(store);
	store_free(store);
	return 0;
}
