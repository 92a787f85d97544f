/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of the snapshot store: a leaf that writes down what it was asked, in order, and can hold requests back
 * or fail one; a store on it; exceptions as ops.  The test owns the queue and is the only one who runs it, so it
 * decides what happens between any two steps.
 */
#ifndef TEST_META_STORE_RIG_H
#define TEST_META_STORE_RIG_H

#include "../io/rig.h"

#include <errno.h>

#include "base/error.h"
#include "meta/snap-store.h"

enum { CHUNK = 4096, E = CHUNK / 16, SECTOR = 512, MAX_LOG = 2048, MAX_EX = 600, ORIGIN = 100000 };

/* ---- the leaf ---- */

struct event {
	uint32_t op, flags;
	uint64_t offset, length;
	uint8_t *data;
};

static struct leaf {
	struct br_dev dev;
	uint8_t *image;
	uint64_t bytes;
	struct event log[MAX_LOG];
	unsigned nr_log;
	int fail_at;			/* this event fails, and so does each after it if fail_all; -1: none */
	bool fail_all, hold;
	struct br_req *held[16];
	unsigned nr_held;
} leaf;

static void put_event(struct br_req *req)
{
	struct event *e = &leaf.log[leaf.nr_log++];

	assert_true(leaf.nr_log < MAX_LOG);
	*e = (struct event){ .op = req->op, .flags = req->flags, .offset = req->offset, .length = req->length };
	if (req->op != BR_WRITE && req->op != BR_WRITE_ZEROES)
		return;
	e->data = calloc(1, req->length);
	if (req->op == BR_WRITE)
		br_req_copy_out(req, 0, e->data, req->length);
}

static void perform(struct br_req *req)
{
	int at = (int)leaf.nr_log;

	put_event(req);
	if (leaf.fail_at >= 0 && (at == leaf.fail_at || (leaf.fail_all && at > leaf.fail_at))) {
		br_req_complete(req, -EIO);
		return;
	}
	if (req->op == BR_READ)
		br_req_copy_in(req, 0, leaf.image + req->offset, req->length);
	else if (leaf.log[at].data)
		memcpy(leaf.image + req->offset, leaf.log[at].data, req->length);
	br_req_complete(req, 0);
}

static void leaf_submit(struct br_chan *chan, struct br_req *req)
{
	(void)chan;
	if (!leaf.hold) {
		perform(req);
		return;
	}
	assert_true(leaf.nr_held < BR_ARRAY_SIZE(leaf.held));
	leaf.held[leaf.nr_held++] = req;
}

static int leaf_close(struct br_dev *dev)
{
	(void)dev;
	return 0;
}

static const struct br_dev_ops leaf_ops = {
	.type = "leaf", .chan_bytes = sizeof(struct br_chan), .submit = leaf_submit, .close = leaf_close,
};

static void forget_log(void)
{
	for (unsigned i = 0; i < leaf.nr_log; i++)
		free(leaf.log[i].data);
	leaf.nr_log = 0;
	leaf.fail_at = -1;
	leaf.fail_all = false;
}

static unsigned count_events(uint32_t op, uint64_t offset, uint64_t length)
{
	unsigned n = 0;

	for (unsigned i = 0; i < leaf.nr_log; i++)
		n += leaf.log[i].op == op && leaf.log[i].offset == offset && leaf.log[i].length == length;
	return n;
}

/* ---- a store on it ---- */

static struct br_sync s;
static struct br_snap_store store;

static void pump(void)
{
	while (br_queue_run(&s.queue))
		;
}

static void release(unsigned i)
{
	struct br_req *req = leaf.held[i];

	leaf.held[i] = leaf.held[--leaf.nr_held];
	perform(req);
	pump();
}

static void let_go(void)
{
	leaf.hold = false;
	while (leaf.nr_held)
		release(0);
	pump();
}

/* An op that goes on when the test and the store have both let it. */
struct ex {
	struct br_op op;
	struct br_snap_commit c;
	struct br_snap_invalidate w;
	bool done;
};

static struct ex ex[MAX_EX];

static int step_wait(struct br_op *op)
{
	br_op_launch(op);
	return br_op_await(op, 1);
}

static int step_over(struct br_op *op)
{
	(void)op;
	return BR_OP_END;
}

static void ex_finish(struct br_op *op, int error)
{
	struct ex *e = br_container_of(op, struct ex, op);

	(void)error;
	assert_false(e->done);
	e->done = true;
}

static const struct br_op_step ex_steps[] = { { "wait", step_wait, BR_OP_END }, { "over", step_over, BR_OP_END } };
static const struct br_op_class ex_class = { "test", ex_finish, ex_steps };

static struct ex *begin(struct ex *e)
{
	*e = (struct ex){ .done = false };
	br_op_start(&e->op, &ex_class, &s.queue);
	return e;
}

static int finish(struct ex *e)
{
	br_op_done(&e->op, 0);
	pump();
	return e->op.error;
}

static uint64_t old_of(unsigned i)
{
	return i / 4 * 100 + i % 4 + 7;
}

static int alloc(unsigned i)
{
	int r = br_snap_store_alloc(&store, old_of(i), &begin(&ex[i])->c, &ex[i].op);

	if (r < 0)
		finish(&ex[i]);
	return r;
}

static void commit(unsigned i)
{
	br_snap_store_commit(&store, s.chan, &ex[i].c);
	finish(&ex[i]);
}

static void add(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		assert_int_equal(alloc(i), 0);
		commit(i);
		assert_true(ex[i].done);
		assert_int_equal(ex[i].c.error, 0);
	}
}

static void open_leaf(uint64_t bytes)
{
	static const struct leaf fresh = { .fail_at = -1 };

	leaf = fresh;
	leaf.bytes = bytes;
	leaf.image = malloc(bytes);
	memset(leaf.image, 0xd1, bytes);
	leaf.dev.logical_block = 512;
	atomic_store(&leaf.dev.bytes, bytes);
	atomic_store(&leaf.dev.caps, BR_CAP_WRITE | BR_CAP_FUA | BR_CAP_WRITE_ZEROES);
	assert_int_equal(br_dev_add(&leaf.dev, &rig, &leaf_ops, NULL), 0);
	rig_open(&s, &leaf.dev);
	br_queue_enter(&s.queue);
}

static void close_leaf(void)
{
	br_snap_store_done(&store);
	br_queue_leave(&s.queue);
	br_sync_close(&s);
	assert_int_equal(atomic_load(&rig.waits), 0);
	assert_int_equal(br_dev_put(&leaf.dev), 0);
	forget_log();
	free(leaf.image);
}

static void format(uint64_t chunk_bytes, bool transient)
{
	assert_int_equal(br_snap_store_init(&store, &leaf.dev, chunk_bytes, transient), 0);
	br_snap_store_format(&store, s.chan, &begin(&ex[0])->op);
	assert_int_equal(finish(&ex[0]), 0);
	assert_true(ex[0].done);
}

static void open_store(uint64_t chunk_bytes, uint64_t chunks)
{
	open_leaf(chunk_bytes * chunks);
	format(chunk_bytes, false);
	forget_log();
}

static struct br_snap_entry loaded[MAX_EX];
static unsigned nr_loaded;

static int take_entry(void *arg, struct br_snap_entry e)
{
	(void)arg;
	assert_true(nr_loaded < MAX_EX);
	loaded[nr_loaded++] = e;
	return 0;
}

static unsigned nr_announced;

static void announce_entry(void *arg, struct br_snap_entry e)
{
	(void)arg;
	(void)e;
	nr_announced++;
}

static const struct br_snap_reader reader = { announce_entry, take_entry, NULL };

/* As the next process would find it. */
static int load(void)
{
	uint64_t chunk = store.layout.chunk_bytes;
	int r;

	br_snap_store_done(&store);
	assert_int_equal(br_snap_store_init(&store, &leaf.dev, chunk, false), 0);
	nr_loaded = nr_announced = 0;
	br_queue_leave(&s.queue);
	r = br_snap_store_load(&store, &s, ORIGIN, &reader);
	br_queue_enter(&s.queue);
	assert_true(r < 0 || nr_announced == nr_loaded);
	return r;
}

static void assert_loads(unsigned n)
{
	assert_int_equal(load(), 0);
	assert_int_equal(nr_loaded, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(loaded[i].old_chunk, old_of(i));
}

#endif /* TEST_META_STORE_RIG_H */
