/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests of devices: a context without threads in the fake environment, and blocking I/O with patterns. */
#ifndef TEST_IO_RIG_H
#define TEST_IO_RIG_H

#include "../fake-env.h"

#include "io/dev.h"
#include "io/memory.h"
#include "io/sync.h"
#include "op/ctx.h"

enum { RIG_BUF = 1 << 21 };

static struct br_ctx rig;
static uint8_t rig_buf[RIG_BUF], rig_expected[RIG_BUF];

static int rig_setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	fake_allocs_left = -1;
	return br_ctx_init(&rig, &fake_env, true);
}

/* Fails the test if anything was left allocated. */
static int rig_teardown(void **state)
{
	(void)state;
	br_ctx_done(&rig);
	return fake_allocs != 0;
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

static __attribute__((unused)) struct br_dev *rig_memory(uint64_t bytes)
{
	struct br_dev *dev = NULL;

	assert_int_equal(br_memory_open(&rig, &(struct br_memory_opts){ .bytes = bytes }, &dev), 0);
	return dev;
}

static __attribute__((unused)) void rig_open(struct br_sync *s, struct br_dev *dev)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(br_sync_open(s, &rig, dev), 0);
}

/* What lies at @off of a device with this @seed. */
static uint8_t rig_byte(uint64_t off, unsigned seed)
{
	return (uint8_t)(off / 512 * 7 + off % 13 + seed + 1);
}

static __attribute__((unused)) int rig_write(struct br_sync *s, uint64_t off, uint64_t len, unsigned seed)
{
	for (uint64_t i = 0; i < len; i++)
		rig_buf[i] = rig_byte(off + i, seed);
	return br_sync_write(s, rig_buf, len, off, 0);
}

static __attribute__((unused)) void rig_assert_zero(struct br_sync *s, uint64_t off, uint64_t len)
{
	memset(rig_buf, 0xaa, len);
	memset(rig_expected, 0, len);
	assert_int_equal(br_sync_read(s, rig_buf, len, off), 0);
	assert_memory_equal(rig_buf, rig_expected, len);
}

/* The bytes that rig_write() put at @written lie at @off now. */
static __attribute__((unused)) void rig_assert_data(struct br_sync *s, uint64_t off, uint64_t len, uint64_t written,
						    unsigned seed)
{
	memset(rig_buf, 0xaa, len);
	for (uint64_t i = 0; i < len; i++)
		rig_expected[i] = rig_byte(written + i, seed);
	assert_int_equal(br_sync_read(s, rig_buf, len, off), 0);
	assert_memory_equal(rig_buf, rig_expected, len);
}

/* done() for requests whose priv is a bool, and br_block()'s question about it. */
static __attribute__((unused)) void rig_mark_done(struct br_req *req)
{
	*(bool *)req->priv = true;
}

static __attribute__((unused)) bool rig_is_true(void *arg)
{
	return *(bool *)arg;
}

static __attribute__((unused)) int rig_extents(struct br_sync *s, uint64_t off, uint64_t len, void *out, size_t bytes)
{
	struct iovec iov = { out, bytes };
	struct br_req req = { .op = BR_EXTENTS, .offset = off, .length = len, .iov = &iov, .iovcnt = 1 };

	return br_sync_submit(s, s->chan, &req);
}

#endif /* TEST_IO_RIG_H */
