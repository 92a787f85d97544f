/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

/* ---- disks ------------------------------------------------------------------------------------------------------- */

void disk_make(struct disk *d, uint64_t bytes, uint32_t caps, uint32_t block)
{
	memset(d, 0, sizeof(*d));
	d->bytes = bytes;
	d->caps = caps;
	d->block = block;
	d->data = calloc(1, bytes);
	d->durable = calloc(1, bytes);
	assert_non_null(d->data);
	assert_non_null(d->durable);
}

void disk_done(struct disk *d)
{
	free(d->data);
	free(d->durable);
}

static bool hits(struct disk_rule *rule, const struct blkremap_backend_req *r)
{
	if (!(rule->ops & 1U << r->op))
		return false;
	if (r->op != BLKREMAP_FLUSH && (r->offset >= rule->to || r->offset + r->length <= rule->from))
		return false;
	if (!rule->skip)
		return true;
	rule->skip--;
	return false;
}

static void move_data(struct disk *d, const struct blkremap_backend_req *r)
{
	uint64_t at = r->offset;

	for (uint32_t i = 0; i < r->iovcnt; at += r->iov[i++].iov_len) {
		if (r->op == BLKREMAP_READ)
			memcpy(r->iov[i].iov_base, d->data + at, r->iov[i].iov_len);
		else
			memcpy(d->data + at, r->iov[i].iov_base, r->iov[i].iov_len);
	}
}

static void perform(struct disk *d, const struct blkremap_backend_req *r)
{
	assert_true(r->op == BLKREMAP_FLUSH || r->offset + r->length <= d->bytes);
	d->reads += r->op == BLKREMAP_READ;
	d->writes += r->op == BLKREMAP_WRITE;
	if (r->op == BLKREMAP_READ || r->op == BLKREMAP_WRITE)
		move_data(d, r);
	if (r->op == BLKREMAP_WRITE_ZEROES || r->op == BLKREMAP_DISCARD)
		memset(d->data + r->offset, 0, r->length);
	if (r->op == BLKREMAP_FLUSH) {
		d->flushes++;
		memcpy(d->durable, d->data, d->bytes);
	}
	if (r->flags & BLKREMAP_FUA || !(d->caps & BLKREMAP_CAP_VOLATILE_CACHE))
		memcpy(d->durable + r->offset, d->data + r->offset, r->length);
}

static void finish(struct disk *d, const struct blkremap_backend_req *r, int result)
{
	if (result == 0)
		perform(d, r);
	assert_int_equal(blkremap_user_complete(d->be, r->id, result), 0);
}

static int32_t disk_submit(void *opaque, const struct blkremap_backend_req *reqs, uint32_t n)
{
	struct disk *d = opaque;

	for (uint32_t i = 0; i < n; i++) {
		if (hits(&d->hold, &reqs[i])) {
			assert_true(d->nr_held < DISK_HELD);
			d->held[d->nr_held++] = reqs[i];
			continue;
		}
		finish(d, &reqs[i], hits(&d->fail, &reqs[i]) ? d->fail.result : 0);
	}
	return (int32_t)n;
}

static void disk_closed(void *opaque)
{
	((struct disk *)opaque)->open--;
}

void disk_open(struct disk *d, struct blkremap_ctx *ctx)
{
	const struct blkremap_dev_ops ops = { .size = sizeof(ops), .submit = disk_submit, .close = disk_closed };
	const struct blkremap_backend_info info = { .size = sizeof(info), .caps = d->caps, .logical_block = d->block,
						    .bytes = d->bytes };

	assert_int_equal(blkremap_user_open(ctx, &ops, d, &info, &d->be, &d->dev), 0);
	d->open++;
}

void disk_hold(struct disk *d, uint32_t ops, uint64_t from, uint64_t to)
{
	d->hold = (struct disk_rule){ .ops = ops, .from = from, .to = to };
}

void disk_fail(struct disk *d, uint32_t ops, uint64_t from, uint64_t to, int result)
{
	d->fail = (struct disk_rule){ .ops = ops, .from = from, .to = to, .result = result };
}

void disk_release(struct disk *d, uint32_t i, int result)
{
	struct blkremap_backend_req r;

	assert_true(i < d->nr_held);
	r = d->held[i];
	d->nr_held--;
	memmove(&d->held[i], &d->held[i + 1], (d->nr_held - i) * sizeof(r));
	finish(d, &r, result);
}

void disk_release_all(struct disk *d)
{
	d->hold.ops = 0;
	while (d->nr_held)
		disk_release(d, 0, 0);
}

void disk_crash(struct disk *d)
{
	memcpy(d->data, d->durable, d->bytes);
}

/* ---- rigs -------------------------------------------------------------------------------------------------------- */

void rig_ctx(struct rig *r)
{
	struct blkremap_ctx_opts o = { .size = sizeof(o), .flags = BLKREMAP_CTX_NO_THREADS };

	assert_int_equal(blkremap_ctx_new(&o, &r->ctx), 0);
}

void rig_make(struct rig *r, uint64_t base_bytes, uint32_t stores, uint64_t store_bytes)
{
	memset(r, 0, sizeof(*r));
	rig_ctx(r);
	disk_make(&r->base, base_bytes, DISK_CAPS, 512);
	for (uint64_t i = 0; i < base_bytes; i++)
		r->base.data[i] = r->base.durable[i] = old_byte(i);
	disk_open(&r->base, r->ctx);
	for (uint32_t i = 0; i < stores; i++) {
		disk_make(&r->store[i], store_bytes, DISK_CAPS, 512);
		disk_open(&r->store[i], r->ctx);
	}
}

void rig_origin(struct rig *r, uint32_t flags)
{
	struct blkremap_open_opts o = { .size = sizeof(o), .flags = flags };

	assert_int_equal(blkremap_origin_open(r->ctx, r->base.dev, &o, &r->origin), 0);
	assert_int_equal(blkremap_queue_open(r->origin, NULL, &r->oq), 0);
}

void rig_open(struct rig *r, uint64_t base_bytes, uint32_t stores)
{
	rig_make(r, base_bytes, stores, base_bytes + (1 << 20));
	rig_origin(r, 0);
}

int rig_try_take(struct rig *r, uint32_t i, const struct blkremap_snapshot_opts *opts)
{
	struct blkremap_take t = { .origin = r->origin, .store = r->store[i].dev, .opts = opts };
	int error = blkremap_snapshot_take(&t, 1, -1, NULL);

	if (error == 0)
		r->snap[i] = t.snap;
	return error;
}

void rig_take(struct rig *r, uint32_t i, uint64_t chunk)
{
	struct blkremap_snapshot_opts o = { .size = sizeof(o), .chunk_bytes = chunk };

	assert_int_equal(rig_try_take(r, i, &o), 0);
}

void rig_queue(struct rig *r, uint32_t i)
{
	assert_int_equal(blkremap_queue_open(r->snap[i], NULL, &r->sq[i]), 0);
}

void rig_shut(struct rig *r)
{
	rig_pump(r);
	assert_int_equal(blkremap_queue_close(r->oq), 0);
	for (uint32_t i = 0; i < RIG_STORES; i++) {
		assert_int_equal(blkremap_queue_close(r->sq[i]), 0);
		blkremap_dev_close(r->snap[i]);
		r->sq[i] = NULL;
		r->snap[i] = NULL;
	}
	blkremap_dev_close(r->origin);
	blkremap_dev_close(r->base.dev);
	for (uint32_t i = 0; i < RIG_STORES; i++)
		blkremap_dev_close(r->store[i].dev);
	r->oq = NULL;
	r->origin = r->base.dev = NULL;
	for (uint32_t i = 0; i < RIG_STORES; i++)
		r->store[i].dev = NULL;
	assert_int_equal(blkremap_ctx_free(r->ctx), 0);
	r->ctx = NULL;
	assert_int_equal(r->base.open, 0);
}

void rig_again(struct rig *r)
{
	rig_ctx(r);
	r->base.hold.ops = r->base.fail.ops = 0;
	disk_open(&r->base, r->ctx);
	for (uint32_t i = 0; i < RIG_STORES; i++) {
		r->store[i].hold.ops = r->store[i].fail.ops = 0;
		if (r->store[i].data)
			disk_open(&r->store[i], r->ctx);
	}
}

void rig_close(struct rig *r)
{
	if (r->ctx)
		rig_shut(r);
	disk_done(&r->base);
	for (uint32_t i = 0; i < RIG_STORES; i++)
		disk_done(&r->store[i]);
	for (uint32_t i = 0; i < RIG_TAGS; i++)
		free(r->buf[i]);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static int reap(struct rig *r, struct blkremap_queue *q)
{
	struct blkremap_completion c[16];
	int n = q ? blkremap_reap(q, c, 0, 16, 0) : 0;

	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		assert_false(r->done[c[i].user_data]);	/* each completes once */
		r->done[c[i].user_data] = true;
		r->result[c[i].user_data] = c[i].result;
		r->code[c[i].user_data] = c[i].code;
	}
	return n;
}

void rig_pump(struct rig *r)
{
	int quiet = 0;

	while (quiet < 50) {		/* a request takes many turns of the loop */
		int n = blkremap_process(r->ctx, 0, NULL);

		assert_true(n >= 0);
		n += reap(r, r->oq);
		for (uint32_t i = 0; i < RIG_STORES; i++)
			n += reap(r, r->sq[i]);
		quiet = n ? 0 : quiet + 1;
	}
}

void rig_submit(struct rig *r, struct blkremap_queue *q, uint32_t tag, uint32_t op, uint64_t off, uint64_t len,
		int fill)
{
	struct blkremap_io io = { .op = op & 0xff, .flags = op >> 8, .offset = off, .length = len, .user_data = tag };

	r->done[tag] = false;
	free(r->buf[tag]);
	r->buf[tag] = NULL;
	if (io.op == BLKREMAP_READ || io.op == BLKREMAP_WRITE) {
		r->buf[tag] = malloc(len);
		assert_non_null(r->buf[tag]);
		memset(r->buf[tag], fill, len);
		r->iov[tag] = (struct iovec){ r->buf[tag], len };
		io.iov = &r->iov[tag];
		io.iovcnt = 1;
	}
	assert_int_equal(blkremap_submit_io(q, &io, 1), 1);
}

void put(struct blkremap_dev *dev, uint64_t off, uint64_t len, int fill)
{
	void *buf = malloc(len);

	assert_non_null(buf);
	memset(buf, fill, len);
	assert_int_equal(blkremap_pwrite(dev, buf, len, off, 0), 0);
	free(buf);
}

static uint8_t *get(struct blkremap_dev *dev, uint64_t off, uint64_t len)
{
	uint8_t *buf = malloc(len);

	assert_non_null(buf);
	assert_int_equal(blkremap_pread(dev, buf, len, off, 0), 0);
	return buf;
}

void expect_old(struct blkremap_dev *dev, uint64_t off, uint64_t len)
{
	uint8_t *buf = get(dev, off, len);

	for (uint64_t i = 0; i < len; i++)
		if (buf[i] != old_byte(off + i))
			fail_msg("offset %llu: %u, not %u", (unsigned long long)(off + i), buf[i], old_byte(off + i));
	free(buf);
}

void expect_fill(struct blkremap_dev *dev, uint64_t off, uint64_t len, int fill)
{
	uint8_t *buf = get(dev, off, len);

	for (uint64_t i = 0; i < len; i++)
		if (buf[i] != (uint8_t)fill)
			fail_msg("offset %llu: %u, not %d", (unsigned long long)(off + i), buf[i], fill);
	free(buf);
}

uint64_t event_count(struct blkremap_ctx *ctx, uint32_t type)
{
	struct blkremap_event e = { .size = sizeof(e) };

	while (blkremap_event_next(ctx, &e) == 1)
		if (e.type == type)
			return e.count;
	return 0;
}
