/* SPDX-License-Identifier: BSD-3-Clause */
/* The copier over devices whose requests complete when, in which order and how the test says. */
#include "../fake-env.h"

#include <errno.h>

#include "../walk.h"
#include "base/compiler.h"
#include "io/dev.h"
#include "op/op.h"
#include "remap/copier.h"

enum { BUF = 4096, DEVS = 7, DEV_BYTES = 32 * BUF, PENDING = 64 };

/* ---- devices that do nothing by themselves --------------------------------------------------------------------- */

struct disk {
	struct br_dev dev;
	uint8_t data[DEV_BYTES];
	struct br_chan *chan;
	int writes, first_error;	/* completed by the test; what the first failing one was told */
};

static struct br_ctx ctx;
static struct br_queue queue;
static struct disk disks[DEVS];
static struct br_req *pending[PENDING];
static unsigned nr_pending, most_reads;
static uint32_t failure_code;	/* goes with the next completion */

static void disk_submit(struct br_chan *chan, struct br_req *req)
{
	unsigned reads = 0;

	(void)chan;
	assert_true(nr_pending < PENDING);
	pending[nr_pending++] = req;
	for (unsigned i = 0; i < nr_pending; i++)
		reads += pending[i]->op == BR_READ;
	most_reads = BR_MAX(most_reads, reads);
}

static int disk_close(struct br_dev *dev)
{
	(void)dev;
	return 0;
}

static const struct br_dev_ops disk_ops = {
	.type = "disk", .chan_bytes = sizeof(struct br_chan), .submit = disk_submit, .close = disk_close,
};

static void run_queue(void)
{
	while (br_queue_run(&queue))
		;
}

/* Whoever reads sees what has been completed by now. */
static void complete(unsigned i, int error)
{
	struct br_req *req = pending[i];
	struct disk *d = br_container_of(req->chan->dev, struct disk, dev);

	memmove(&pending[i], &pending[i + 1], (nr_pending - i - 1) * sizeof(pending[0]));
	nr_pending--;
	if (req->op == BR_WRITE)
		d->writes++;
	if (error && !d->first_error)
		d->first_error = error;
	if (!error && req->op == BR_READ)
		br_req_copy_in(req, 0, d->data + req->offset, req->length);
	if (!error && req->op == BR_WRITE)
		br_req_copy_out(req, 0, d->data + req->offset, req->length);
	br_req_fail(req, error, failure_code);
	run_queue();
}

static int setup(void **state)
{
	(void)state;
	memset(&ctx, 0, sizeof(ctx));
	memset(&queue, 0, sizeof(queue));
	memset(disks, 0, sizeof(disks));
	nr_pending = most_reads = 0;
	assert_int_equal(br_ctx_init(&ctx, &fake_env, true), 0);
	assert_int_equal(br_queue_init(&queue, &ctx, false), 0);
	for (int i = 0; i < DEVS; i++) {
		disks[i].dev.bytes = DEV_BYTES;
		disks[i].dev.caps = BR_CAP_WRITE;
		disks[i].dev.logical_block = 512;
		assert_int_equal(br_dev_add(&disks[i].dev, &ctx, &disk_ops, NULL), 0);
		assert_int_equal(br_chan_get(&queue, &disks[i].dev, &disks[i].chan), 0);
	}
	for (unsigned i = 0; i < DEV_BYTES; i++)
		disks[0].data[i] = (uint8_t)(i / 512 + i % 7 + 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < DEVS; i++) {
		br_chan_put(disks[i].chan);
		br_dev_put(&disks[i].dev);
	}
	br_queue_done(&queue);
	br_ctx_done(&ctx);
	return fake_allocs != 0;
}

/* ---- an op that copies ----------------------------------------------------------------------------------------- */

struct job {
	struct br_op op;
	struct br_copier *copier;
	struct br_copy copy;
	struct br_copy_dest dests[DEVS];
	int finished, error;
	unsigned order;			/* the how manieth to finish */
};

static unsigned finishes;

static int step_copy(struct br_op *op)
{
	struct job *j = br_container_of(op, struct job, op);

	br_copier_start(j->copier, &j->copy, op);
	return br_op_await(op, BR_OP_END);
}

static void job_finish(struct br_op *op, int error)
{
	struct job *j = br_container_of(op, struct job, op);

	j->finished++;
	j->error = error;
	j->order = ++finishes;
}

static const struct br_op_step job_steps[] = { { "copy", step_copy, BR_OP_END } };
static const struct br_op_class job_class = { "job", job_finish, job_steps };

/* From disk 0 at @from to disks 1 ... @n at @to. */
static void start(struct job *j, struct br_copier *c, uint64_t from, uint64_t length, uint64_t to, uint32_t n)
{
	uint32_t flags = j->copy.flags;

	*j = (struct job){ .copier = c };
	j->copy = (struct br_copy){ .source = disks[0].chan, .offset = from, .length = length, .dests = j->dests,
				    .nr_dests = n, .flags = flags, .error = 77, .code = 77 };
	for (uint32_t i = 0; i < n; i++)
		j->dests[i] = (struct br_copy_dest){ .chan = disks[i + 1].chan, .offset = to, .result = 77 };
	br_op_start(&j->op, &job_class, &queue);
	run_queue();
}

static void assert_copied(int disk, uint64_t from, uint64_t length, uint64_t to)
{
	static uint8_t expected[DEV_BYTES];

	memset(expected, 0, sizeof(expected));
	memcpy(expected + to, disks[0].data + from, length);
	assert_memory_equal(disks[disk].data, expected, DEV_BYTES);
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static void one_read_serves_all_destinations(void **state)
{
	struct br_copier *c;
	struct job j = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 2, BUF, &c), 0);
	start(&j, c, 3 * 512, BUF, 8 * 512, 6);
	assert_int_equal(nr_pending, 1);
	complete(0, 0);
	assert_int_equal(nr_pending, 4);	/* six destinations by four requests */
	while (nr_pending)
		complete(nr_pending - 1, 0);
	assert_int_equal(j.finished, 1);
	assert_int_equal(j.error, 0);
	for (int i = 1; i <= 6; i++) {
		assert_int_equal(j.dests[i - 1].result, 0);
		assert_int_equal(disks[i].writes, 1);
		assert_copied(i, 3 * 512, BUF, 8 * 512);
	}
	br_copier_close(c);
}

static void nothing_to_copy_launches_nothing(void **state)
{
	struct br_copier *c;
	struct job j = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 1, BUF, &c), 0);
	start(&j, c, DEV_BYTES, BUF, 0, 2);	/* beyond the end */
	assert_int_equal(j.finished, 1);
	assert_int_equal(j.copy.code, 0);
	start(&j, c, DEV_BYTES + BUF, BUF, 0, 2);
	assert_int_equal(j.finished, 1);
	assert_int_equal(j.error, 0);
	assert_int_equal(j.dests[1].result, 0);
	start(&j, c, 0, 0, 0, 2);
	assert_int_equal(j.finished, 1);
	start(&j, c, 0, BUF, 0, 0);
	assert_int_equal(j.finished, 1);
	assert_int_equal(nr_pending, 0);
	br_copier_close(c);
}

static void a_copy_ends_where_the_source_ends_and_is_filled_up_to_a_block(void **state)
{
	struct br_copier *c;
	struct job j = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 1, BUF, &c), 0);
	disks[0].dev.bytes = 9 * 512;
	disks[2].dev.logical_block = 4096;
	memset(disks[2].data, 0xee, DEV_BYTES);
	start(&j, c, 0, 4 * BUF, 0, 2);
	while (nr_pending)
		complete(0, 0);
	assert_int_equal(j.finished, 1);
	assert_int_equal(j.dests[0].result | j.dests[1].result, 0);
	assert_copied(1, 0, 9 * 512, 0);
	assert_memory_equal(disks[2].data, disks[0].data, 9 * 512);
	for (unsigned i = 9 * 512; i < 2 * BUF; i++)
		assert_int_equal(disks[2].data[i], 0);
	assert_int_equal(disks[2].data[2 * BUF], 0xee);
	br_copier_close(c);
}

static void any_length_is_clipped_to_the_source(void **state)
{
	struct br_copier *c;
	struct job j = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 4, BUF, &c), 0);
	start(&j, c, DEV_BYTES - 3 * BUF, UINT64_MAX & ~UINT64_C(511), 0, 1);
	while (nr_pending)
		complete(0, 0);
	assert_int_equal(j.dests[0].result, 0);
	assert_copied(1, DEV_BYTES - 3 * BUF, 3 * BUF, 0);
	br_copier_close(c);
}

static void a_block_larger_than_the_buffers_is_the_destinations_error(void **state)
{
	struct br_copier *c;
	struct job j = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 1, BUF, &c), 0);
	disks[1].dev.logical_block = 2 * BUF;
	start(&j, c, 0, BUF, 0, 2);
	while (nr_pending)
		complete(0, 0);
	assert_int_equal(j.dests[0].result, -EINVAL);
	assert_int_equal(j.dests[1].result, 0);
	br_copier_close(c);
}

/*
 * Three pieces, two buffers, two destinations; at most one request fails.  Whatever the order: the op finishes once, a
 * destination with result 0 has all of it, one without has the error that it was given, and so has everybody if it was
 * the source.
 */
static void check_outcome(const struct job *j, int failing_disk)
{
	assert_int_equal(j->finished, 1);
	assert_int_equal(j->error, failing_disk == 0 ? -EIO : 0);
	for (int i = 1; i <= 2; i++) {
		bool fails = failing_disk == 0 || failing_disk == i;

		assert_int_equal(j->dests[i - 1].result, fails ? -EIO : 0);
		if (!fails) {
			assert_copied(i, 0, 3 * BUF, BUF);
			assert_int_equal(disks[i].writes, 3);
		}
	}
	assert_in_range(most_reads, 1, 2);
}

static int disk_of(const struct br_req *req)
{
	return (int)(br_container_of(req->chan->dev, struct disk, dev) - disks);
}

static void all_orders_with_at_most_one_failure_come_out_right(void **state)
{
	struct br_copier *c;
	unsigned orders = 0;

	(void)state;
	assert_int_equal(br_copier_open(&queue, 2, BUF, &c), 0);
	walk_begin();
	do {
		struct job j = { .finished = 0 };
		int failing = -1;

		for (int i = 1; i <= 2; i++) {
			memset(disks[i].data, 0, DEV_BYTES);
			disks[i].writes = 0;
		}
		start(&j, c, 0, 3 * BUF, BUF, 2);
		while (nr_pending) {
			unsigned i = walk_choose(nr_pending);
			bool fail = failing < 0 && walk_choose(2);

			if (fail)
				failing = disk_of(pending[i]);
			complete(i, fail ? -EIO : 0);
		}
		check_outcome(&j, failing);
		orders++;
	} while (walk_next());
	assert_true(orders > 1000);
	br_copier_close(c);
}

static void a_copy_whose_destinations_have_all_failed_stops_reading(void **state)
{
	struct br_copier *c;
	struct job j = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 1, BUF, &c), 0);
	start(&j, c, 0, 10 * BUF, 0, 1);
	complete(0, 0);
	complete(0, -ENOSPC);
	assert_int_equal(nr_pending, 0);
	assert_int_equal(j.finished, 1);
	assert_int_equal(j.error, 0);
	assert_int_equal(j.dests[0].result, -ENOSPC);
	br_copier_close(c);
}

static void of_several_failures_the_first_is_told(void **state)
{
	struct br_copier *c;
	struct job j = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 2, BUF, &c), 0);
	start(&j, c, 0, 2 * BUF, 0, 2);
	failure_code = 5;
	complete(1, -ENXIO);
	failure_code = 6;
	complete(0, -EIO);
	failure_code = 0;
	assert_int_equal(j.finished, 1);
	assert_int_equal(j.copy.code, 5);
	assert_int_equal(j.dests[0].code, 5);
	assert_int_equal(j.error, -ENXIO);
	assert_int_equal(j.dests[0].result, -ENXIO);
	assert_int_equal(j.dests[1].result, -ENXIO);
	start(&j, c, 0, 2 * BUF, 0, 2);
	complete(0, 0);
	complete(0, 0);			/* both read: four writes are out, to disks 1, 2, 1, 2 */
	assert_int_equal(nr_pending, 4);
	complete(2, -ENOSPC);
	complete(0, -EIO);
	while (nr_pending)
		complete(0, 0);
	assert_int_equal(j.error, 0);
	assert_int_equal(j.dests[0].result, -ENOSPC);
	assert_int_equal(j.dests[1].result, 0);
	start(&j, c, 0, 2 * BUF, 0, 2);
	complete(0, 0);
	complete(1, -ENOSPC);		/* a destination has failed when the source fails */
	while (nr_pending)
		complete(nr_pending - 1, -EIO);
	assert_int_equal(j.dests[0].result, -ENOSPC);
	assert_int_equal(j.dests[1].result, -EIO);
	br_copier_close(c);
}

static void a_destination_that_is_too_small_fails_alone(void **state)
{
	struct br_copier *c;
	struct job j = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 2, BUF, &c), 0);
	disks[1].dev.bytes = BUF;
	start(&j, c, 0, 2 * BUF, 0, 2);
	while (nr_pending)
		complete(0, 0);
	assert_int_equal(j.dests[0].result, -ENOSPC);
	assert_int_equal(j.dests[1].result, 0);
	assert_copied(2, 0, 2 * BUF, 0);
	br_copier_close(c);
}

static void foreground_copies_get_buffers_first(void **state)
{
	struct br_copier *c;
	struct job back = { .finished = 0 }, fore = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 1, BUF, &c), 0);
	back.copy.flags = BR_BACKGROUND;
	start(&back, c, 0, 4 * BUF, 0, 1);
	start(&fore, c, 8 * BUF, 2 * BUF, 8 * BUF, 1);
	assert_int_equal(nr_pending, 1);
	assert_int_equal(pending[0]->flags, BR_BACKGROUND);
	while (!fore.finished)
		complete(0, 0);
	assert_int_equal(disks[1].writes, 3);	/* one of the background, then the foreground's two */
	while (nr_pending)
		complete(0, 0);
	assert_int_equal(back.finished, 1);
	br_copier_close(c);
}

static void background_copies_leave_half_of_the_buffers_free(void **state)
{
	struct br_copier *c;
	struct job back = { .finished = 0 }, fore = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 4, BUF, &c), 0);
	back.copy.flags = BR_BACKGROUND;
	start(&back, c, 0, 8 * BUF, 0, 1);
	assert_int_equal(nr_pending, 2);
	start(&fore, c, 8 * BUF, 8 * BUF, 8 * BUF, 1);
	assert_int_equal(nr_pending, 4);
	while (nr_pending)
		complete(0, 0);
	assert_int_equal(back.finished + fore.finished, 2);
	assert_copied(1, 0, 16 * BUF, 0);
	br_copier_close(c);
}

static void background_copies_are_not_starved(void **state)
{
	struct br_copier *c;
	struct job back = { .finished = 0 }, fore = { .finished = 0 };

	(void)state;
	assert_int_equal(br_copier_open(&queue, 1, BUF, &c), 0);
	start(&fore, c, 0, 30 * BUF, 0, 1);
	back.copy.flags = BR_BACKGROUND;
	start(&back, c, 0, 2 * BUF, 30 * BUF, 1);
	while (!back.finished)
		complete(0, 0);
	assert_false(fore.finished);
	assert_int_equal(disks[1].writes, 1 + 8 + 1 + 8 + 1);
	while (nr_pending)
		complete(0, 0);
	assert_int_equal(fore.finished, 1);
	br_copier_close(c);
}

static void copies_of_one_kind_are_served_in_order(void **state)
{
	struct br_copier *c;
	struct job j[3];

	(void)state;
	assert_int_equal(br_copier_open(&queue, 1, BUF, &c), 0);
	memset(j, 0, sizeof(j));
	for (unsigned i = 0; i < 3; i++)
		start(&j[i], c, 0, 2 * BUF, 4 * i * BUF, 1);
	finishes = 0;
	while (nr_pending)
		complete(0, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(j[i].order, i + 1);
	br_copier_close(c);
}

static void opening_without_memory_or_sense_keeps_nothing(void **state)
{
	struct br_copier *c = NULL;
	int before = fake_allocs;

	(void)state;
	for (int nth = 0; nth < 2; nth++) {
		fake_allocs_left = nth;
		assert_int_equal(br_copier_open(&queue, 2, BUF, &c), -ENOMEM);
	}
	fake_allocs_left = -1;
	assert_int_equal(br_copier_open(&queue, 0, BUF, &c), -EINVAL);
	assert_int_equal(br_copier_open(&queue, 1, 512, &c), -EINVAL);
	assert_int_equal(br_copier_open(&queue, 1, BR_COPIER_MAX_BYTES + BUF, &c), -EINVAL);
	assert_null(c);
	assert_int_equal(fake_allocs, before);
	br_copier_close(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_read_serves_all_destinations),
		TEST(nothing_to_copy_launches_nothing),
		TEST(a_copy_ends_where_the_source_ends_and_is_filled_up_to_a_block),
		TEST(any_length_is_clipped_to_the_source),
		TEST(a_block_larger_than_the_buffers_is_the_destinations_error),
		TEST(all_orders_with_at_most_one_failure_come_out_right),
		TEST(a_copy_whose_destinations_have_all_failed_stops_reading),
		TEST(of_several_failures_the_first_is_told),
		TEST(a_destination_that_is_too_small_fails_alone),
		TEST(foreground_copies_get_buffers_first),
		TEST(background_copies_leave_half_of_the_buffers_free),
		TEST(background_copies_are_not_starved),
		TEST(copies_of_one_kind_are_served_in_order),
		TEST(opening_without_memory_or_sense_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
