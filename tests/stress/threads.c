/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real threads on real queues: several writers on one origin while snapshots are taken, read, written, dropped and
 * merged.
 *
 * Each block says which one it is and in which version; a block is written by one thread only, upwards.  So a snapshot
 * must hold, for each block, a version between what was acknowledged before it was taken and what was submitted when
 * the call had returned, and the same one each time that it is read.
 *
 *	stress-threads [SECONDS] [WRITERS]
 */
#include <blkremap/blkremap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BLOCK = 4096, BLOCKS = 512, CHUNK = 16384, MAX_WRITERS = 8, DEPTH = 8 };

static struct blkremap_ctx *ctx;
static struct blkremap_dev *origin;
static _Atomic uint32_t acked[BLOCKS], submitted[BLOCKS];
static _Atomic bool stop;
static _Atomic uint64_t ios;
static unsigned writers = 4;

struct stamp {
	uint32_t block, version;
};

static void fail(const char *what, int r)
{
	fprintf(stderr, "stress-threads: %s: %d: %s\n", what, r, blkremap_last_error());
	abort();
}

static void must(int r, const char *what)
{
	if (r < 0)
		fail(what, r);
}

static void fill(char *buf, uint32_t block, uint32_t version)
{
	struct stamp *s = (void *)buf;

	for (size_t i = 0; i < BLOCK / sizeof(*s); i++)
		s[i] = (struct stamp){ block, version };
}

static uint32_t check(const char *buf, uint32_t block, const char *what)
{
	const struct stamp *s = (const void *)buf;

	for (size_t i = 0; i < BLOCK / sizeof(*s); i++) {
		if ((s[i].block != block && s[i].version) || s[i].version != s[0].version) {
			fprintf(stderr, "%s: block %u holds block %u version %u beside version %u\n", what, block,
				s[i].block, s[i].version, s[0].version);
			abort();
		}
	}
	return s[0].version;
}

/* ---- writers ----------------------------------------------------------------------------------------------------- */

struct writer {
	pthread_t thread;
	unsigned id, seed;
	char buf[DEPTH][BLOCK] __attribute__((aligned(4096)));
	struct iovec iov[DEPTH];
	uint32_t block[DEPTH], version[DEPTH];
	bool busy[DEPTH], is_read[DEPTH], flying[BLOCKS];
};

static void launch(struct writer *w, struct blkremap_queue *q, unsigned slot)
{
	uint32_t block = ((uint32_t)rand_r(&w->seed) % (BLOCKS / writers)) * writers + w->id;
	struct blkremap_io io = { .offset = (uint64_t)block * BLOCK, .length = BLOCK, .iov = &w->iov[slot], .iovcnt = 1,
				  .user_data = slot };

	if (w->flying[block])
		return;
	w->is_read[slot] = rand_r(&w->seed) % 4 == 0;
	io.op = w->is_read[slot] ? BLKREMAP_READ : BLKREMAP_WRITE;
	w->version[slot] = atomic_load(&submitted[block]);
	if (!w->is_read[slot]) {
		w->version[slot] = atomic_fetch_add(&submitted[block], 1) + 1;
		fill(w->buf[slot], block, w->version[slot]);
	}
	w->block[slot] = block;
	w->busy[slot] = w->flying[block] = true;
	must(blkremap_submit_io(q, &io, 1), "submit");
}

static void land(struct writer *w, const struct blkremap_completion *c)
{
	unsigned slot = (unsigned)c->user_data;
	uint32_t block = w->block[slot];

	must(c->result, "request");
	if (w->is_read[slot] && check(w->buf[slot], block, "origin") != w->version[slot])
		fail("the origin has lost a write", (int)block);
	if (!w->is_read[slot])
		atomic_store(&acked[block], w->version[slot]);
	w->busy[slot] = w->flying[block] = false;
	atomic_fetch_add(&ios, 1);
}

static void *write_on(void *arg)
{
	struct writer *w = arg;
	struct blkremap_completion done[DEPTH];
	struct blkremap_queue *q;
	unsigned in_flight = 0;
	int n;

	must(blkremap_queue_open(origin, NULL, &q), "queue");
	for (unsigned i = 0; i < DEPTH; i++)
		w->iov[i] = (struct iovec){ w->buf[i], BLOCK };
	while (!atomic_load(&stop) || in_flight) {
		for (unsigned i = 0; i < DEPTH && !atomic_load(&stop); i++) {
			if (w->busy[i])
				continue;
			launch(w, q, i);
			in_flight += w->busy[i];
		}
		if (rand_r(&w->seed) % 64 == 0)		/* neglect the queue for a while */
			nanosleep(&(struct timespec){ .tv_nsec = 300000 }, NULL);
		n = blkremap_reap(q, done, in_flight ? 1 : 0, DEPTH, -1);
		must(n, "reap");
		for (int i = 0; i < n; i++)
			land(w, &done[i]);
		in_flight -= (unsigned)n;
	}
	must(blkremap_queue_close(q), "queue close");
	return NULL;
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

struct frozen {
	struct blkremap_dev *dev, *store;
	uint32_t low[BLOCKS], high[BLOCKS], seen[BLOCKS];
	bool written[BLOCKS];
};

static void take(struct frozen *f, uint64_t chunk)
{
	struct blkremap_snapshot_opts so = { .size = sizeof(so), .chunk_bytes = chunk };
	struct blkremap_take item = { .origin = origin, .opts = &so };

	memset(f, 0, sizeof(*f));
	must(blkremap_mem_open(ctx, (uint64_t)BLOCKS * BLOCK * 2 + 4 * chunk, NULL, &f->store), "store");
	item.store = f->store;
	for (unsigned i = 0; i < BLOCKS; i++)
		f->low[i] = atomic_load(&acked[i]);
	must(blkremap_snapshot_take(&item, 1, -1, NULL), "take");
	for (unsigned i = 0; i < BLOCKS; i++)
		f->high[i] = atomic_load(&submitted[i]);
	f->dev = item.snap;
}

static void read_block(struct frozen *f, uint32_t block)
{
	static _Thread_local char buf[BLOCK] __attribute__((aligned(4096)));
	uint32_t version;

	must(blkremap_pread(f->dev, buf, BLOCK, (uint64_t)block * BLOCK, 0), "snapshot read");
	version = check(buf, block, "snapshot");
	if (f->written[block] ? version != f->seen[block] :
	    version < f->low[block] || version > f->high[block] || (f->seen[block] && version != f->seen[block])) {
		fprintf(stderr, "snapshot: block %u is in version %u, was %u, must be from %u to %u\n", block, version,
			f->seen[block], f->low[block], f->high[block]);
		abort();
	}
	f->seen[block] = version;
}

static void write_block(struct frozen *f, uint32_t block)
{
	char buf[BLOCK];

	fill(buf, block, 1000000 + block);
	must(blkremap_pwrite(f->dev, buf, BLOCK, (uint64_t)block * BLOCK, 0), "snapshot write");
	f->written[block] = true;
	f->seen[block] = 1000000 + block;
}

static void drop(struct frozen *f)
{
	must(blkremap_snapshot_drop(f->dev), "drop");
	must(blkremap_dev_close(f->dev), "close");
	must(blkremap_dev_close(f->store), "close");
}

static void play(struct frozen *f, unsigned *seed, int times)
{
	while (times-- > 0) {
		uint32_t block = (uint32_t)rand_r(seed) % BLOCKS;

		if (rand_r(seed) % 8 == 0)
			write_block(f, block);
		else
			read_block(f, block);
	}
}

static int round_of_snapshots(unsigned *seed)
{
	static struct frozen a, b;

	take(&a, CHUNK);
	play(&a, seed, 100);
	take(&b, rand_r(seed) % 2 ? CHUNK : 2 * CHUNK);
	play(&a, seed, 200);
	play(&b, seed, 200);
	for (uint32_t i = 0; i < BLOCKS; i++)
		read_block(&a, i);
	drop(&a);
	play(&b, seed, 100);
	drop(&b);
	return 1;
}

/* ---- merge ------------------------------------------------------------------------------------------------------- */

/* With the writers gone: what the snapshot shows is what the origin holds afterwards, and a second snapshot stays. */
static void merge_one(unsigned *seed)
{
	static struct frozen a, b;
	struct blkremap_job_status st = { .size = sizeof(st) };
	struct blkremap_job *job;

	take(&a, CHUNK);
	take(&b, 2 * CHUNK);
	for (unsigned i = 0; i < 200; i++)
		write_block(&a, (uint32_t)rand_r(seed) % BLOCKS);
	must(blkremap_job_start(a.dev, BLKREMAP_JOB_MERGE, NULL, &job), "merge");
	while (blkremap_job_wait(job, 0) == 0)
		read_block(&a, (uint32_t)rand_r(seed) % BLOCKS);
	must(blkremap_job_status(job, &st), "status");
	must(st.result, "merge");
	blkremap_job_free(job);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		read_block(&a, i);
		read_block(&b, i);
	}
	must(blkremap_dev_close(a.dev), "close");
	must(blkremap_dev_close(a.store), "close");
	drop(&b);
}

int main(int argc, char **argv)
{
	static struct writer w[MAX_WRITERS];
	struct blkremap_dev *base;
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
	unsigned seed = 1;
	int rounds = 0;

	writers = argc > 2 ? (unsigned)atoi(argv[2]) : 4;
	if (!writers || writers > MAX_WRITERS)
		return 2;
	must(blkremap_ctx_new(NULL, &ctx), "context");
	must(blkremap_mem_open(ctx, (uint64_t)BLOCKS * BLOCK, NULL, &base), "base");
	must(blkremap_origin_open(ctx, base, NULL, &origin), "origin");
	for (unsigned i = 0; i < writers; i++) {
		w[i].id = w[i].seed = i;
		pthread_create(&w[i].thread, NULL, write_on, &w[i]);
	}
	while (time(NULL) < end)
		rounds += round_of_snapshots(&seed);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < writers; i++)
		pthread_join(w[i].thread, NULL);
	merge_one(&seed);
	must(blkremap_dev_close(origin), "close");
	must(blkremap_dev_close(base), "close");
	must(blkremap_ctx_free(ctx), "context");
	printf("stress-threads: %u writers, %d rounds, %llu requests\n", writers, rounds,
	       (unsigned long long)atomic_load(&ios));
	return 0;
}
