/* SPDX-License-Identifier: BSD-3-Clause */
/* A caller whose device is tested: memory, which completes at once or by hand, and takes what it likes. */
#ifndef TEST_IO_USER_RIG_H
#define TEST_IO_USER_RIG_H

#include "rig.h"

#include "blkremap/blkremap.h"
#include "io/user-internal.h"

enum { BYTES = 1 << 20, KEPT = 256 };

/* ---- a caller -------------------------------------------------------------------------------------------------- */

static struct br_user *user;
static struct br_dev *dev;
static struct br_sync s;
static uint8_t medium[BYTES];
static struct blkremap_backend_req held[KEPT];	/* taken and not completed */
static unsigned nr_held;
static struct blkremap_backend_req seen[KEPT];	/* all that were taken, in order */
static unsigned nr_seen, nr_submits, nr_closes, most_held;
static bool holds;		/* complete later, by hand */
static unsigned takes;		/* at most so many a submit */
static int32_t refuses;		/* the next submit answers this, if below 0 */
static struct blkremap_backend_info limits;	/* as opened, to check each request against */

static int32_t perform(const struct blkremap_backend_req *r)
{
	uint64_t at = r->offset;

	for (uint32_t i = 0; i < r->iovcnt && (r->op == BLKREMAP_READ || r->op == BLKREMAP_WRITE); i++) {
		if (r->op == BLKREMAP_WRITE)
			memcpy(medium + at, r->iov[i].iov_base, r->iov[i].iov_len);
		else
			memcpy(r->iov[i].iov_base, medium + at, r->iov[i].iov_len);
		at += r->iov[i].iov_len;
	}
	if (r->op == BLKREMAP_WRITE_ZEROES || r->op == BLKREMAP_DISCARD)
		memset(medium + at, 0, r->length);
	return 0;
}

/* No request may be larger, more scattered or less aligned than the caller said. */
static void check_request(const struct blkremap_backend_req *r)
{
	uint64_t sum = 0, block = limits.logical_block ? limits.logical_block : 512;

	assert_int_not_equal(r->id, 0);
	assert_int_equal((r->offset | r->length) % block, 0);
	assert_true(!limits.max_transfer || r->length <= limits.max_transfer);
	assert_true(!limits.max_iov || r->iovcnt <= limits.max_iov);
	if (limits.optimal_io && r->length)
		assert_int_equal(r->offset / limits.optimal_io, (r->offset + r->length - 1) / limits.optimal_io);
	for (uint32_t i = 0; i < r->iovcnt; i++) {
		if (limits.buffer_align)
			assert_int_equal((uintptr_t)r->iov[i].iov_base % limits.buffer_align, 0);
		sum += r->iov[i].iov_len;
	}
	if (r->op == BLKREMAP_READ || r->op == BLKREMAP_WRITE)
		assert_int_equal(sum, r->length);
	assert_true((limits.caps & BLKREMAP_CAP_FUA) || !(r->flags & BLKREMAP_FUA));
}

static void finish_held(unsigned i, int32_t result)
{
	struct blkremap_backend_req r = held[i];

	memmove(&held[i], &held[i + 1], (nr_held - i - 1) * sizeof(r));
	nr_held--;
	if (!result)
		result = perform(&r);
	assert_int_equal(br_user_complete(user, r.id, result), 0);
}

static void take(const struct blkremap_backend_req *r)
{
	check_request(r);
	if (nr_seen < KEPT)
		seen[nr_seen] = *r;
	nr_seen++;
	if (!holds) {
		assert_int_equal(br_user_complete(user, r->id, perform(r)), 0);
		return;
	}
	assert_true(nr_held < KEPT);
	held[nr_held++] = *r;
	most_held = nr_held > most_held ? nr_held : most_held;
}

static int32_t be_submit(void *opaque, const struct blkremap_backend_req *reqs, uint32_t n)
{
	int32_t answer = refuses;

	assert_ptr_equal(opaque, medium);
	nr_submits++;
	refuses = 0;
	if (answer < 0)
		return answer;
	n = n < takes ? n : takes;
	for (uint32_t i = 0; i < n; i++)
		take(&reqs[i]);
	return (int32_t)n;
}

static void be_close(void *opaque)
{
	assert_ptr_equal(opaque, medium);
	nr_closes++;
}

static const struct blkremap_dev_ops be_ops = { sizeof(be_ops), 0, be_submit, NULL, be_close };

enum { RW = BLKREMAP_CAP_WRITE };

static void open_with(struct blkremap_backend_info info, const struct blkremap_dev_ops *ops)
{
	memset(medium, 0, sizeof(medium));
	nr_held = nr_seen = nr_submits = nr_closes = most_held = 0;
	holds = false;
	takes = UINT32_MAX;
	refuses = 0;
	info.bytes = BYTES;
	info.size = sizeof(info);
	limits = info;
	assert_int_equal(br_user_open(&rig, ops, medium, &info, &user, &dev), 0);
	rig_open(&s, dev);
}

static void open_push(struct blkremap_backend_info info)
{
	open_with(info, &be_ops);
}

static void close_push(void)
{
	br_sync_close(&s);
	assert_int_equal(nr_closes, 0);
	assert_int_equal(br_dev_put(dev), 0);
	assert_int_equal(nr_closes, 1);
}

/* ---- requests that the test submits without waiting ------------------------------------------------------------ */

static struct br_req reqs[KEPT];
static struct iovec iovs[KEPT];
static bool done[KEPT];

static void submit_to(struct br_sync *to, unsigned i, uint32_t op, uint64_t off, uint64_t len)
{
	iovs[i] = (struct iovec){ rig_buf + off, len };
	done[i] = false;
	reqs[i] = (struct br_req){ .op = op, .offset = off, .length = len, .iov = &iovs[i], .iovcnt = 1,
				   .done = rig_mark_done, .priv = &done[i] };
	br_queue_enter(&to->queue);
	br_submit(to->chan, &reqs[i]);
	br_queue_leave(&to->queue);
}

static void run(struct br_sync *on)
{
	br_queue_enter(&on->queue);
	while (br_queue_run(&on->queue))
		;
	br_queue_leave(&on->queue);
}

#endif /* TEST_IO_USER_RIG_H */
