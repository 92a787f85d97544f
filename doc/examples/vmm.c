/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtual machine's disk: a snapshot over a base image that many machines share, behind four virtio queues, each with
 * a thread and an epoll loop of its own.
 *
 *	vmm BASE STORE
 *
 * The guest is played by threads that fill rings (vmm-guest.h) and check what comes back.  The program goes through
 * what happens in a disk's life: first boot formats the store; requests, flushes, discards on four queues; a guest that
 * resets a queue; handing the disk over to another process and taking it back; the end.
 */
#include <blkremap/blkremap.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm-guest.h"

enum { NR_QUEUES = 4, DEPTH = 32 };

struct vqueue {
	struct blkremap_queue *q;
	struct guest guest;
	struct request *pending;	/* did not fit; tried again after the next reap */
	uint32_t in_flight;
	int epoll;
	atomic_int reset;		/* the guest wants the queue back as it was */
	pthread_t thread;
};

static struct vqueue vqueues[NR_QUEUES];
static atomic_int quit;

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "vmm: %s: %s\n", what, blkremap_last_error());
	exit(1);
}

/* ---- one queue --------------------------------------------------------------------------------------------------- */

/* Guest memory may change under a write: UNSTABLE makes the library copy what it needs twice. */
static struct blkremap_io to_io(struct request *r)
{
	static const uint32_t ops[] = { [GUEST_IN] = BLKREMAP_READ, [GUEST_OUT] = BLKREMAP_WRITE,
					[GUEST_FLUSH] = BLKREMAP_FLUSH, [GUEST_ZEROES] = BLKREMAP_WRITE_ZEROES };

	return (struct blkremap_io){
		.op = ops[r->type], .flags = r->type == GUEST_OUT ? BLKREMAP_UNSTABLE : 0,
		.offset = r->sector * 512, .length = r->length, .user_data = (uintptr_t)r,
		.iov = &r->iov, .iovcnt = r->type == GUEST_IN || r->type == GUEST_OUT,
	};
}

static void take_from_ring(struct vqueue *v)
{
	struct request *r;

	while ((r = v->pending ? v->pending : guest_next(&v->guest))) {
		struct blkremap_io io = to_io(r);
		int n = blkremap_submit_io(v->q, &io, 1);

		v->pending = n == -EAGAIN ? r : NULL;
		if (n == -EAGAIN)
			return;
		if (n == 1)
			v->in_flight++;
		else
			guest_done(&v->guest, r, n);
	}
}

static int reap(struct vqueue *v, uint32_t min)
{
	struct blkremap_completion done[DEPTH];
	int n = blkremap_reap(v->q, done, min, DEPTH, -1);

	for (int i = 0; i < n; i++) {
		v->in_flight--;
		guest_done(&v->guest, (struct request *)(uintptr_t)done[i].user_data, done[i].result);
	}
	return n;
}

static void drain(struct vqueue *v)
{
	while (v->in_flight)
		if (reap(v, 1) < 0)
			die("reap");
}

/* After this nothing touches the guest's memory any more. */
static void reset(struct vqueue *v)
{
	blkremap_queue_cancel(v->q, BLKREMAP_CANCEL_ALL, 0);
	drain(v);
	if (v->pending)
		guest_done(&v->guest, v->pending, -ECANCELED);
	v->pending = NULL;
	atomic_store(&v->reset, 0);
}

static void *queue_thread(void *opaque)
{
	struct vqueue *v = opaque;
	struct epoll_event events[2];

	while (!atomic_load(&quit)) {
		if (epoll_wait(v->epoll, events, 2, -1) < 0 && errno != EINTR)
			break;
		guest_kick_seen(&v->guest);
		if (atomic_load(&v->reset))
			reset(v);
		do
			take_from_ring(v);
		while (reap(v, 0) > 0);
	}
	drain(v);
	return NULL;
}

static void watch(int epoll, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll");
}

static void queue_start(struct vqueue *v, struct blkremap_dev *disk, int number)
{
	struct blkremap_queue_opts opts = { .size = sizeof(opts), .depth = DEPTH };

	if (blkremap_queue_open(disk, &opts, &v->q) < 0)
		die("queue");
	v->epoll = epoll_create1(EPOLL_CLOEXEC);
	guest_start(&v->guest, (uint64_t)number * GUEST_SECTORS);
	watch(v->epoll, blkremap_queue_fd(v->q));
	watch(v->epoll, guest_kick_fd(&v->guest));
	pthread_create(&v->thread, NULL, queue_thread, v);
}

static void queue_stop(struct vqueue *v)
{
	guest_kick(&v->guest);		/* so that the thread sees that it shall end */
	pthread_join(v->thread, NULL);
	close(v->epoll);
	if (blkremap_queue_close(v->q) < 0)
		die("queue close");
	guest_free(&v->guest);
}

/* ---- the disk ---------------------------------------------------------------------------------------------------- */

static struct blkremap_dev *open_disk(struct blkremap_ctx *ctx, const char *base_path, const char *store_path)
{
	struct blkremap_open_opts ro = { .size = sizeof(ro), .flags = BLKREMAP_RDONLY, .name = "base" };
	struct blkremap_open_opts rw = { .size = sizeof(rw), .name = "store", .max_grow = UINT64_C(1) << 30 };
	struct blkremap_snapshot_opts so = { .size = sizeof(so), .chunk_bytes = 4096, .low_space = 1 << 20,
					     .when_full = BLKREMAP_FULL_REFUSE };
	struct blkremap_dev *base, *store, *disk;
	int r;

	if (blkremap_file_open(ctx, base_path, &ro, &base) < 0 || blkremap_file_open(ctx, store_path, &rw, &store) < 0)
		die("open");
	r = blkremap_snapshot_open(ctx, base, store, &so, &disk);
	if (r == -ENODATA) {		/* the first boot: the store is blank, which is not the same as damaged */
		if (blkremap_snapshot_create(ctx, store, &so) < 0)
			die("format");
		r = blkremap_snapshot_open(ctx, base, store, &so, &disk);
	}
	if (r < 0)
		die("snapshot");
	blkremap_dev_close(base);	/* the snapshot has references of its own */
	blkremap_dev_close(store);
	return disk;
}

static void show_config(struct blkremap_dev *disk)
{
	struct blkremap_dev_info info = { .size = sizeof(info) };

	if (blkremap_dev_info(disk, &info) < 0)
		die("info");
	printf("%s, %llu sectors of %u bytes, chunks of %u\n", info.type,
	       (unsigned long long)(info.bytes / info.logical_block), info.logical_block, info.block_bytes);
}

static void show_events(struct blkremap_ctx *ctx)
{
	struct blkremap_event e = { .size = sizeof(e) };

	while (blkremap_event_next(ctx, &e) == 1)
		printf("event %u: %s\n", e.type, e.text);
}

/* Everything is durable in between, and requests of the guest wait. */
static void stand_still(struct blkremap_dev *disk)
{
	if (blkremap_suspend(disk, 0, INT64_C(5000000000)) < 0)
		die("suspend");
	if (blkremap_resume(disk) < 0)
		die("resume");
	puts("stood still and went on");
}

static void reset_queue(struct vqueue *v)
{
	atomic_store(&v->reset, 1);
	guest_kick(&v->guest);
	while (atomic_load(&v->reset))
		usleep(1000);
	puts("queue 2 was reset");
}

int main(int argc, char **argv)
{
	struct blkremap_ctx_opts opts = { .size = sizeof(opts), .workers = 1 };
	struct blkremap_ctx *ctx;
	struct blkremap_dev *disk;
	unsigned int bad = 0;

	if (argc != 3 || blkremap_ctx_new(&opts, &ctx) < 0)
		return fprintf(stderr, "usage: vmm BASE STORE\n"), 2;
	disk = open_disk(ctx, argv[1], argv[2]);
	show_config(disk);
	for (int i = 0; i < NR_QUEUES; i++)
		queue_start(&vqueues[i], disk, i);
	stand_still(disk);
	reset_queue(&vqueues[2]);
	for (int i = 0; i < NR_QUEUES; i++)
		bad += guest_wait(&vqueues[i].guest);
	show_events(ctx);
	atomic_store(&quit, 1);
	for (int i = 0; i < NR_QUEUES; i++)
		queue_stop(&vqueues[i]);
	if (blkremap_dev_close(disk) < 0 || blkremap_ctx_free(ctx) < 0)
		die("not everything is durable");
	printf("%u guests are done, %u errors\n", NR_QUEUES, bad);
	return bad != 0;
}
