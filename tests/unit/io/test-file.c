/* SPDX-License-Identifier: BSD-3-Clause */
#include "file-world.h"

#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>

static unsigned char model[BYTES], seen[BYTES];

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 8;
}

static void assert_file_is_model(void)
{
	uint64_t n = sizeof(seen);

	memset(seen, 0xee, n);
	assert_int_equal(one(BR_READ, 0, 0, n, seen), 0);
	assert_memory_equal(seen, model, n);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void the_engine_is_the_one_that_is_named(void **state)
{
	(void)state;
	for_each_way(BYTES, 0)
		assert_string_equal(w.dev->engine, w.way->expect);
}

static void a_file_that_exists_is_not_created_again(void **state)
{
	struct br_file_opts o = { .path = w.path, .fd = -1, .create = true, .bytes = 4096 };
	struct stat st;

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	assert_int_equal(try_open(&o), -EEXIST);
	assert_non_null(strstr(br_error_text(), w.path));
	assert_int_equal(stat(w.path, &st), 0);
	assert_int_equal(st.st_size, BYTES);
	assert_int_equal(st.st_mode & 0777, 0600);
	close_world();
}

static void a_file_whose_opening_fails_after_its_creation_is_removed(void **state)
{
	struct br_file_opts o = { .fd = -1, .create = true, .bytes = 4096, .engine = "none" };
	char path[220];

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	snprintf(path, sizeof(path), "%s-2", w.path);
	o.path = path;
	assert_int_equal(try_open(&o), -EINVAL);
	assert_int_equal(access(path, F_OK), -1);
	close_world();
}

static void what_is_no_file_is_refused(void **state)
{
	struct br_file_opts none = { .fd = -1 }, missing = { .path = "/nonexistent", .fd = -1 };
	struct br_file_opts folder = { .path = "/", .fd = -1, .rdonly = true };
	struct br_file_opts null = { .path = "/dev/null", .fd = -1 };

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	assert_int_equal(try_open(&none), -EINVAL);
	assert_int_equal(try_open(&missing), -ENOENT);
	assert_int_equal(try_open(&folder), -EINVAL);
	assert_int_equal(try_open(&null), -EINVAL);
	assert_non_null(strstr(br_error_text(), "/dev/null"));
	close_world();
}

static int open_fd(int flags, bool rdonly)
{
	struct br_file_opts o = { .fd = open(w.path, flags), .rdonly = rdonly, .nolock = true };
	int r;

	assert_true(o.fd >= 0);
	r = try_open(&o);
	close(o.fd);
	return r;
}

static void a_descriptor_must_be_open_for_what_is_asked_of_it(void **state)
{
	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	assert_int_equal(open_fd(O_RDWR, false), 0);
	assert_int_equal(open_fd(O_RDONLY, true), 0);
	assert_int_equal(open_fd(O_RDONLY, false), -EACCES);
	assert_int_equal(open_fd(O_WRONLY, false), -EACCES);
	assert_int_equal(open_fd(O_RDWR | O_APPEND, false), -EINVAL);
	assert_int_equal(open_fd(O_PATH, true), -EBADF);
	close_world();
}

static void a_file_is_as_long_as_its_whole_blocks(void **state)
{
	(void)state;
	for_each_way(BYTES + 300, 0)
		assert_int_equal(atomic_load(&w.dev->bytes), BYTES);
}

static void a_read_only_file_refuses_writes_and_has_no_caps_for_them(void **state)
{
	struct br_file_opts o = { .path = w.path, .fd = -1, .rdonly = true, .nolock = true };
	struct br_dev *dev;

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	assert_int_equal(br_file_open(&w.ctx, &o, &dev), 0);
	assert_int_equal(atomic_load(&dev->caps), BR_CAP_VOLATILE_CACHE | BR_CAP_EXTENTS);
	assert_true(br_file_same(dev, w.dev));
	assert_int_equal(br_dev_put(dev), 0);
	close_world();
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

/* Vectors of any length, at any address, a multiple of the block in sum. */
static uint32_t cut(struct iovec *iov, uint32_t max, unsigned char *buf, uint64_t n, unsigned *seed)
{
	uint32_t i = 0;
	uint64_t k;

	for (; n && i + 1 < max; i++, n -= k) {
		k = 1 + next_random(seed) % 9000;
		k = BR_MIN(k, n);
		iov[i] = (struct iovec){ buf, k };
		buf += k + next_random(seed) % 3;	/* gaps, so that vectors cannot be joined */
	}
	if (n)
		iov[i++] = (struct iovec){ buf, n };
	return i;
}

static void gather(unsigned char *to, const struct iovec *iov, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
}

static _Alignas(4096) unsigned char buffer[300 * 1024];

static void transfer_at_random(unsigned seed)
{
	uint64_t block = w.dev->logical_block, n = (1 + next_random(&seed) % (200 * 1024 / block)) * block;
	uint64_t at = next_random(&seed) % ((BYTES - n) / block) * block;
	struct iovec iov[64];
	uint32_t cnt = cut(iov, seed % 3 ? 64 : 2, buffer + next_random(&seed) % 700, n, &seed);
	uint32_t flags = seed % 5 ? 0 : BR_FUA;

	if (seed % 2) {
		fill(buffer, sizeof(buffer), seed);
		gather(model + at, iov, cnt);
		assert_int_equal(one_vec(BR_WRITE, flags, at, n, (struct vecs){ iov, cnt, 0 }), 0);
	} else {
		memset(buffer, 0xaa, sizeof(buffer));
		assert_int_equal(one_vec(BR_READ, 0, at, n, (struct vecs){ iov, cnt, 0 }), 0);
		gather(seen, iov, cnt);
		assert_memory_equal(seen, model + at, n);
	}
}

static void what_was_written_is_read_whatever_the_buffers_alignment_and_vectors(void **state)
{
	(void)state;
	for_each_way(BYTES, 0) {
		memset(model, 0, sizeof(model));
		for (unsigned seed = 1; seed <= 60; seed++)
			transfer_at_random(seed * 7919);
		assert_file_is_model();
	}
}

/*
 * 200 vectors of 512 bytes, the slice begins and ends inside one: neither fits into a place nor can be passed as it is.
 */
static void a_slice_of_many_vectors_moves_the_bytes_of_the_slice_alone(void **state)
{
	enum { N = 200, SKIP = 300, LENGTH = 90 * 1024 };
	struct iovec iov[N];

	(void)state;
	for (unsigned i = 0; i < N; i++)
		iov[i] = (struct iovec){ buffer + i * 600, 512 };
	for_each_way(BYTES, 0) {
		memset(model, 0, sizeof(model));
		fill(buffer, sizeof(buffer), 5);
		gather(seen, iov, N);
		memcpy(model + 8192, seen + SKIP, LENGTH);
		assert_int_equal(one_vec(BR_WRITE, 0, 8192, LENGTH, (struct vecs){ iov, N, SKIP }), 0);
		assert_file_is_model();
		memset(buffer, 0, sizeof(buffer));
		assert_int_equal(one_vec(BR_READ, 0, 8192, LENGTH, (struct vecs){ iov, N, SKIP }), 0);
		memset(seen, 0, N * 512);
		gather(seen, iov, N);
		assert_memory_equal(seen + SKIP, model + 8192, LENGTH);
		for (unsigned i = 0; i < SKIP; i++)
			assert_int_equal(seen[i], 0);
		for (unsigned i = SKIP + LENGTH; i < N * 512; i++)
			assert_int_equal(seen[i], 0);
	}
}

static void vectors_of_odd_lengths_at_even_addresses_move_as_they_should(void **state)
{
	unsigned char *p = (unsigned char *)(((uintptr_t)buffer + 4095) & ~(uintptr_t)4095);
	struct iovec iov[3] = { { p, 100 }, { p + 4096, 8000 }, { p + 16384, 92 } };

	(void)state;
	for_each_way(BYTES, 0) {
		memset(model, 0, sizeof(model));
		fill(buffer, sizeof(buffer), 11);
		gather(model + 4096, iov, 3);
		assert_int_equal(one_vec(BR_WRITE, 0, 4096, 8192, (struct vecs){ iov, 3, 0 }), 0);
		assert_file_is_model();
	}
}

static unsigned order[MAX_REQS];

static void note_order(struct br_req *req)
{
	order[w.done++] = (unsigned)(req - w.reqs);
}

/* The engine that does one thing after another shows the order in which requests get their places. */
static void requests_that_wait_for_a_place_are_served_in_order(void **state)
{
	static struct iovec iov[300];

	(void)state;
	assert_true(open_world(&ways[8], BYTES, 0));
	assert_string_equal(w.dev->engine, "sync");
	for (unsigned i = 0; i < 300; i++) {
		iov[i] = (struct iovec){ buffer + i % 2, 4096 };	/* each other one needs a bounce buffer too */
		w.reqs[i] = (struct br_req){ .op = BR_READ, .length = 4096, .iov = &iov[i], .iovcnt = 1,
					     .done = note_order };
		br_submit(w.chan, &w.reqs[i]);
	}
	wait_for(300);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(order[i], i);
	close_world();
}

/* ---- several queues ---------------------------------------------------------------------------------------------- */

enum { QUEUES = 3, ROUNDS = 40, BATCH = 16, EACH_BYTES = 4096 };

struct worker {
	pthread_t thread;
	unsigned nr, done;
	struct br_req reqs[BATCH];
	unsigned char data[BATCH][EACH_BYTES], got[BATCH][EACH_BYTES];
	struct iovec iov[BATCH];
	bool right;
};

static void count_for_worker(struct br_req *req)
{
	struct worker *k = req->priv;

	k->right &= req->result == 0;
	k->done++;
}

static bool batch_done(void *arg)
{
	return ((struct worker *)arg)->done == BATCH;
}

/* Each worker has every third block to itself. */
static void run_batch(struct worker *k, struct br_queue *q, struct br_chan *chan, uint32_t op)
{
	k->done = 0;
	for (unsigned i = 0; i < BATCH; i++) {
		k->iov[i] = (struct iovec){ op == BR_READ ? k->got[i] : k->data[i], EACH_BYTES };
		k->reqs[i] = (struct br_req){ .op = op, .offset = (uint64_t)(i * QUEUES + k->nr) * EACH_BYTES,
					      .length = EACH_BYTES, .iov = &k->iov[i], .iovcnt = 1, .priv = k,
					      .done = count_for_worker };
		br_submit(chan, &k->reqs[i]);
	}
	k->right &= br_block(&w.ctx, q, batch_done, k, br_now(&br_env_posix) + 20000000000u);
}

static void *work_on_own_queue(void *arg)
{
	struct worker *k = arg;
	struct br_queue q = { .ctx = NULL };
	struct br_chan *chan;

	k->right = br_queue_init(&q, &w.ctx, false) == 0 && br_queue_enter(&q) == 0 &&
		   br_chan_get(&q, w.dev, &chan) == 0;
	for (unsigned round = 0; k->right && round < ROUNDS; round++) {
		fill(k->data[0], sizeof(k->data), round * QUEUES + k->nr);
		run_batch(k, &q, chan, BR_WRITE);
		run_batch(k, &q, chan, BR_READ);
		k->right &= memcmp(k->data, k->got, sizeof(k->data)) == 0;
	}
	br_chan_put(chan);
	br_queue_leave(&q);
	br_queue_done(&q);
	return NULL;
}

static void queues_of_several_threads_do_not_disturb_each_other(void **state)
{
	static struct worker workers[QUEUES];

	(void)state;
	for_each_way(BYTES, 0) {
		for (unsigned i = 0; i < QUEUES; i++) {
			workers[i].nr = i;
			assert_int_equal(pthread_create(&workers[i].thread, NULL, work_on_own_queue, &workers[i]), 0);
		}
		for (unsigned i = 0; i < QUEUES; i++)
			pthread_join(workers[i].thread, NULL);
		for (unsigned i = 0; i < QUEUES; i++)
			assert_true(workers[i].right);
	}
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

/* Four times the places of a source, and half of them bounced through sixteen buffers. */
static void more_requests_than_places_all_complete(void **state)
{
	static struct iovec iov[MAX_REQS];
	enum { EACH = 1024 };
	uint64_t each;

	(void)state;
	for_each_way((uint64_t)MAX_REQS * 4096, 0) {
		each = BR_MAX((uint64_t)EACH, (uint64_t)w.dev->logical_block);
		unsigned char *p = aligned_alloc(4096, MAX_REQS * each + 4096);

		assert_non_null(p);
		fill(p, MAX_REQS * each + 4096, 9);
		for (unsigned i = 0; i < MAX_REQS; i++) {
			iov[i] = (struct iovec){ p + i * each + i % 2, each };
			submit(i, BR_WRITE, i * each, each, &iov[i], 1);
		}
		wait_for(MAX_REQS);
		for (unsigned i = 0; i < MAX_REQS; i++) {
			assert_int_equal(w.reqs[i].result, 0);
			assert_int_equal(one(BR_READ, 0, i * each, each, seen), 0);
			assert_memory_equal(seen, p + i * each + i % 2, each);
		}
		assert_int_equal(br_queue_in_flight(&w.queue), 0);
		free(p);
	}
}

static void a_flush_completes_in_every_way(void **state)
{
	(void)state;
	for_each_way(BYTES, 0) {
		assert_int_equal(one(BR_FLUSH, 0, 0, 0, NULL), 0);
		atomic_store(&w.file->no_aio_fdsync, true);
		assert_int_equal(one(BR_FLUSH, 0, 0, 0, NULL), 0);
	}
}

static void fua_works_where_neither_dsync_nor_fdsync_does(void **state)
{
	(void)state;
	for_each_way(BYTES, 0) {
		memset(model, 0, sizeof(model));
		fill(model + 4096, 8192, 3);
		memcpy(buffer, model + 4096, 8192);
		atomic_store(&w.file->no_dsync, true);
		assert_int_equal(one(BR_WRITE, BR_FUA, 4096, 4096, buffer), 0);
		atomic_store(&w.file->no_aio_fdsync, true);
		assert_int_equal(one(BR_WRITE, BR_FUA, 8192, 4096, buffer + 4096), 0);
		assert_file_is_model();
		assert_int_equal(br_queue_in_flight(&w.queue), 0);
	}
}

static void a_request_for_nothing_succeeds(void **state)
{
	(void)state;
	for_each_way(BYTES, 0) {
		assert_int_equal(one(BR_READ, 0, 4096, 0, buffer), 0);
		assert_int_equal(one(BR_WRITE, BR_FUA, 4096, 0, buffer), 0);
	}
}

static void a_read_beyond_the_end_of_a_file_that_has_shrunk_fails_and_names_the_place(void **state)
{
	(void)state;
	for_each_way(BYTES, 0) {
		assert_int_equal(truncate(w.path, BYTES / 2 + 100), 0);
		assert_int_equal(one(BR_READ, 0, 0, BYTES / 2, seen), 0);
		assert_int_equal(one(BR_READ, 0, BYTES / 2 - 8192, 16384, seen), -EIO);
		assert_int_equal(w.reqs[0].code, BLKREMAP_CODE_BEYOND_END);
		assert_int_equal(w.reqs[0].fail_dev, w.dev->id);
		assert_in_range(w.reqs[0].fail_offset, BYTES / 2, BYTES / 2 + 100);
		assert_int_equal(one(BR_READ, 0, BYTES - 4096, 4096, seen), -EIO);
		assert_int_equal(w.reqs[0].fail_offset, BYTES - 4096);
	}
}

/* ---- discards, zeroes, extents ----------------------------------------------------------------------------------- */

static void start_full(void)
{
	fill(model, sizeof(model), 77);
	memcpy(seen, model, sizeof(model));
	assert_int_equal(one(BR_WRITE, 0, 0, sizeof(model), seen), 0);
}

static void a_discard_leaves_zeroes_exactly_there(void **state)
{
	(void)state;
	for_each_way(BYTES, 0) {
		uint32_t block = w.dev->logical_block;

		if (!(atomic_load(&w.dev->caps) & BR_CAP_DISCARD))
			continue;
		assert_true(atomic_load(&w.dev->caps) & BR_CAP_DISCARD_ZEROES);
		start_full();
		assert_int_equal(one(BR_DISCARD, BR_FUA, 3 * block, 40960, NULL), 0);
		memset(model + 3 * block, 0, 40960);
		assert_file_is_model();
	}
}

static void zero_and_compare(uint32_t flags, uint64_t offset, uint64_t length)
{
	assert_int_equal(one(BR_WRITE_ZEROES, flags, offset, length, NULL), 0);
	memset(model + offset, 0, length);
	assert_file_is_model();
}

static void zeroes_are_written_exactly_there_by_every_means(void **state)
{
	(void)state;
	for_each_way(BYTES, 0) {
		uint32_t block = w.dev->logical_block;

		start_full();
		zero_and_compare(BR_MAY_UNMAP, block, 40960);
		zero_and_compare(0, 65536 + block, 40960);
		atomic_store(&w.file->no_punch, true);
		zero_and_compare(BR_MAY_UNMAP | BR_FUA, 131072 + block, 40960);
		atomic_store(&w.file->no_zero_range, true);
		zero_and_compare(BR_MAY_UNMAP | BR_FUA, 262144 + block, 81920 + block);
		start_full();
		assert_int_equal(one(BR_WRITE_ZEROES, BR_FAST_ONLY | BR_MAY_UNMAP, 0, 4096, NULL), -EOPNOTSUPP);
		assert_int_equal(w.reqs[0].code, BLKREMAP_CODE_UNSUPPORTED);
		assert_file_is_model();
	}
}

static void extents_tell_data_from_holes(void **state)
{
	enum { MAX = 8 };
	struct blkremap_extent e[MAX];
	struct iovec halves[2] = { { e, 100 }, { (char *)e + 100, sizeof(e) - 100 } };
	uint64_t at, data;
	int n;

	(void)state;
	for_each_way(BYTES, 0) {
		fill(buffer, 65536, 1);
		assert_int_equal(one(BR_WRITE, 0, 262144, 65536, buffer), 0);
		assert_int_equal(one(BR_FLUSH, 0, 0, 0, NULL), 0);
		memset(e, 0xff, sizeof(e));
		n = one_vec(BR_EXTENTS, 0, 0, BYTES, (struct vecs){ halves, 2, 0 });
		assert_int_equal(n, 3);
		for (int i = 0, end = 0; i < n; i++, end = (int)(e[i - 1].offset + e[i - 1].length))
			assert_int_equal(e[i].offset, end);
		assert_int_equal(e[1].offset, 262144);
		assert_int_equal(e[1].length, 65536);
		assert_int_equal(e[1].at, 262144);
		assert_int_equal(e[1].dev_id, w.dev->id);
		assert_int_equal(e[1].kind, BLKREMAP_EXT_DATA);
		assert_int_equal(e[2].offset + e[2].length, BYTES);
		assert_int_equal(e[0].kind, BLKREMAP_EXT_HOLE | BLKREMAP_EXT_ZERO);
		assert_int_equal(e[0].dev_id, 0);
		/* Clipped to the range, and to the room there is. */
		n = one_vec(BR_EXTENTS, 0, 262144 + 4096, 8192, (struct vecs){ halves, 2, 0 });
		assert_int_equal(n, 1);
		at = e[0].offset, data = e[0].length;
		assert_true(at == 262144 + 4096 && data == 8192 && e[0].kind == BLKREMAP_EXT_DATA);
		halves[1].iov_len = 0;
		n = one_vec(BR_EXTENTS, 0, 0, BYTES, (struct vecs){ halves, 2, 0 });
		assert_int_equal(n, 100 / (int)sizeof(e[0]));
		halves[1].iov_len = sizeof(e) - 100;
	}
}

/* ---- growing ----------------------------------------------------------------------------------------------------- */

static void a_file_grows_up_to_its_bound_and_never_shrinks(void **state)
{
	uint64_t now = 0;

	(void)state;
	for_each_way(BYTES, 2 * BYTES) {
		const struct br_dev_ops *ops = w.dev->ops;

		assert_true(atomic_load(&w.dev->caps) & BR_CAP_GROW);
		assert_int_equal(ops->resize(w.dev, BYTES + 65536, &now), 0);
		assert_int_equal(now, BYTES + 65536);
		assert_int_equal(atomic_load(&w.dev->bytes), now);
		memset(seen, 1, 65536);
		assert_int_equal(one(BR_READ, 0, BYTES, 65536, seen), 0);
		for (int i = 0; i < 65536; i++)
			assert_int_equal(seen[i], 0);
		assert_int_equal(ops->resize(w.dev, 3 * BYTES, &now), -ENOSPC);
		assert_int_equal(ops->resize(w.dev, BYTES, &now), -EINVAL);
		assert_int_equal(ops->resize(w.dev, BYTES + 65536 + 77, &now), -EINVAL);
		assert_int_equal(now, BYTES + 65536);
		assert_int_equal(truncate(w.path, BYTES + 131072 + 5), 0);
		assert_int_equal(ops->resize(w.dev, 0, &now), 0);
		assert_int_equal(now, BYTES + 131072);
	}
}

static void a_file_opened_without_a_bound_does_not_grow(void **state)
{
	uint64_t now = 5;

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	assert_int_equal(w.dev->ops->resize(w.dev, 2 * BYTES, &now), -EOPNOTSUPP);
	assert_int_equal(w.dev->ops->resize(w.dev, 0, &now), 0);
	assert_int_equal(now, BYTES);
	close_world();
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* The real world, but for memory: the allocation of that number fails. */
struct poor_env {
	struct blkremap_env env;
	struct br_env_ops ops;
	int left;		/* allocations until one fails */
	int64_t bytes;		/* allocated and not freed */
};

static void *poor_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	struct poor_env *p = (struct poor_env *)(void *)env;

	if (p->left-- == 0)
		return NULL;
	p->bytes += (int64_t)size;
	return br_env_posix.ops->alloc(env, size, align);
}

static void poor_free(const struct blkremap_env *env, void *m, size_t size)
{
	((struct poor_env *)(void *)env)->bytes -= (int64_t)size;
	br_env_posix.ops->free(env, m, size);
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Open a file and a channel to it, close both.  Returns the first error. */
static int open_and_close(struct poor_env *p, bool no_threads)
{
	struct br_file_opts o = { .path = w.path, .fd = -1, .nolock = true };
	struct br_queue q = { .ctx = NULL };
	struct br_ctx ctx = { .env = NULL };
	struct br_dev *dev = NULL;
	struct br_chan *chan;
	int r;

	assert_int_equal(br_ctx_init(&ctx, &p->env, no_threads), 0);
	assert_int_equal(br_queue_init(&q, &ctx, false), 0);
	assert_int_equal(br_queue_enter(&q), 0);
	r = br_file_open(&ctx, &o, &dev);
	if (r == 0) {
		r = br_chan_get(&q, dev, &chan);
		if (r == 0)
			br_chan_put(chan);
	}
	br_queue_leave(&q);
	br_queue_done(&q);
	if (dev)
		assert_int_equal(br_dev_put(dev), 0);
	br_ctx_done(&ctx);
	return r;
}

static void whichever_allocation_fails_the_error_is_told_and_nothing_is_kept(void **state)
{
	struct poor_env p = { .ops = *br_env_posix.ops };
	int r, fds, n;

	(void)state;
	p.env.ops = &p.ops;
	p.ops.alloc = poor_alloc;
	p.ops.free = poor_free;
	for_each_way(BYTES, 0) {
		fds = count_fds();
		n = 0;
		do {
			p.left = n++;
			r = open_and_close(&p, w.way->no_threads);
			assert_true(r == 0 || r == -ENOMEM);
			assert_int_equal(p.bytes, 0);
			assert_int_equal(count_fds(), fds);
		} while (p.left < 0);
		assert_int_equal(r, 0);
		assert_in_range(n, 5, 20);
	}
}

/* ---- processes --------------------------------------------------------------------------------------------------- */

/* The parent's parked aio contexts are not the child's, although the list of them is. */
static void a_child_of_fork_opens_files_of_its_own(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	assert_true(open_world(&ways[0], BYTES, 0));
	close_world();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (!open_world(&ways[0], BYTES, 0) || one(BR_READ, 0, 0, 4096, seen) != 0)
			_exit(1);
		close_world();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- sleeping ---------------------------------------------------------------------------------------------------- */

static void *ring_soon(void *arg)
{
	struct timespec ts = { 0, 20000000 };

	nanosleep(&ts, NULL);
	br_env_posix.ops->bell_ring(&br_env_posix, *(int *)arg);
	return NULL;
}

/* Sleeps without limit until @bell is rung; a hang is the failure. */
static void sleep_until_rung(int *bell)
{
	uint64_t before = br_now(&br_env_posix);
	struct pollfd p = { .fd = *bell, .events = POLLIN };
	pthread_t t;

	br_env_posix.ops->bell_clear(&br_env_posix, *bell);
	assert_int_equal(pthread_create(&t, NULL, ring_soon, bell), 0);
	while (poll(&p, 1, 0) == 0)
		br_env_posix.ops->idle(&br_env_posix, &w.ctx, &w.queue, BR_NEVER);
	assert_true(br_now(&br_env_posix) - before >= 15000000);
	pthread_join(t, NULL);
	br_env_posix.ops->bell_clear(&br_env_posix, *bell);
}

static void sleep_in_every_way(void)
{
	uint64_t before;

	sleep_until_rung(&w.queue.bell);
	sleep_until_rung(&w.queue.bell);
	if (w.ctx.no_threads)
		sleep_until_rung(&w.ctx.bell);
	/* A watch that fired before the bell was cleared may end one sleep early, not two. */
	br_env_posix.ops->idle(&br_env_posix, &w.ctx, &w.queue, br_now(&br_env_posix) + 1000000);
	br_env_posix.ops->idle(&br_env_posix, &w.ctx, &w.queue, br_now(&br_env_posix) + 1000000);
	before = br_now(&br_env_posix);
	br_env_posix.ops->idle(&br_env_posix, &w.ctx, &w.queue, before + 5000000);
	assert_true(br_now(&br_env_posix) - before >= 4000000);
}

static void a_sleeper_hears_its_bells_and_its_deadline_with_and_without_requests_in_flight(void **state)
{
	(void)state;
	for_each_way(BYTES, 0) {
		struct br_source *s = w.queue.sources;

		sleep_in_every_way();
		while (s && !s->ops->wait)
			s = s->next;
		if (!s)
			continue;
		s->in_flight++;		/* one that does not end */
		sleep_in_every_way();
		s->in_flight--;
	}
}

static void after_notify_a_completion_rings_the_bell(void **state)
{
	struct pollfd p = { .events = POLLIN };
	struct iovec v = { buffer, 4096 };

	(void)state;
	for_each_way(BYTES, 0) {
		br_queue_set_notify(&w.queue, true);
		w.done = 0;
		submit(0, BR_FLUSH, 0, 0, NULL, 0);
		submit(1, BR_WRITE, 0, 4096, &v, 1);
		br_queue_kick(&w.queue);
		br_queue_leave(&w.queue);
		p.fd = w.queue.bell;
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(br_queue_enter(&w.queue), 0);
		wait_for(2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_engine_is_the_one_that_is_named),
		cmocka_unit_test(a_file_that_exists_is_not_created_again),
		cmocka_unit_test(a_file_whose_opening_fails_after_its_creation_is_removed),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(a_descriptor_must_be_open_for_what_is_asked_of_it),
		cmocka_unit_test(a_file_is_as_long_as_its_whole_blocks),
		cmocka_unit_test(a_read_only_file_refuses_writes_and_has_no_caps_for_them),
		cmocka_unit_test(what_was_written_is_read_whatever_the_buffers_alignment_and_vectors),
		cmocka_unit_test(a_slice_of_many_vectors_moves_the_bytes_of_the_slice_alone),
		cmocka_unit_test(vectors_of_odd_lengths_at_even_addresses_move_as_they_should),
		cmocka_unit_test(requests_that_wait_for_a_place_are_served_in_order),
		cmocka_unit_test(queues_of_several_threads_do_not_disturb_each_other),
		cmocka_unit_test(more_requests_than_places_all_complete),
		cmocka_unit_test(a_flush_completes_in_every_way),
		cmocka_unit_test(fua_works_where_neither_dsync_nor_fdsync_does),
		cmocka_unit_test(a_request_for_nothing_succeeds),
		cmocka_unit_test(a_read_beyond_the_end_of_a_file_that_has_shrunk_fails_and_names_the_place),
		cmocka_unit_test(a_discard_leaves_zeroes_exactly_there),
		cmocka_unit_test(zeroes_are_written_exactly_there_by_every_means),
		cmocka_unit_test(extents_tell_data_from_holes),
		cmocka_unit_test(a_file_grows_up_to_its_bound_and_never_shrinks),
		cmocka_unit_test(a_file_opened_without_a_bound_does_not_grow),
		cmocka_unit_test(whichever_allocation_fails_the_error_is_told_and_nothing_is_kept),
		cmocka_unit_test(a_child_of_fork_opens_files_of_its_own),
		cmocka_unit_test(a_sleeper_hears_its_bells_and_its_deadline_with_and_without_requests_in_flight),
		cmocka_unit_test(after_notify_a_completion_rings_the_bell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
