/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "range.h"
#include "stop.h"

/* ---- latencies ---- */

/* Below 16 exact, above it the four bits after the leading one. */
static unsigned int bucket_of(uint64_t ns)
{
	unsigned int log;

	if (ns < 16)
		return (unsigned int)ns;
	log = 63 - (unsigned int)__builtin_clzll(ns);
	return (log - 3) * 16 + (unsigned int)(ns >> (log - 4) & 15);
}

/* The largest value of a bucket. */
static uint64_t bucket_top(unsigned int bucket)
{
	unsigned int log = bucket / 16 + 3;

	if (bucket < 16)
		return bucket;
	return ((UINT64_C(16) + bucket % 16 + 1) << (log - 4)) - 1;
}

uint64_t ctl_lane_percentile(const struct ctl_lane *l, unsigned int permille)
{
	uint64_t wanted = (l->requests * permille + 999) / 1000, sum = 0;

	for (unsigned int i = 0; i < CTL_LATENCY_BUCKETS; i++) {
		sum += l->histogram[i];
		if (sum && sum >= wanted)
			return bucket_top(i);
	}
	return 0;
}

uint64_t ctl_lane_iops(const struct ctl_lane *l)
{
	return l->ns ? (uint64_t)((__uint128_t)l->requests * 1000000000 / l->ns) : 0;
}

/* ---- the load ---- */

int ctl_lane_open(struct ctl_lane *l, struct blkremap_dev *dev, const struct ctl_workload *work)
{
	struct blkremap_queue_opts qo = { .size = sizeof(qo), .depth = work->depth, .max_iov = 1 };
	struct blkremap_dev_info info = { .size = sizeof(info) };
	int r = blkremap_dev_info(dev, &info);

	l->work = *work;
	l->error = "cannot be looked at";
	if (r < 0)
		return r;
	l->error = "block size is not a multiple of the device's, or larger than it";
	l->nr_blocks = blkremap_dev_size(dev) / work->bs;
	if (!l->nr_blocks || (info.logical_block && work->bs % info.logical_block))
		return -EINVAL;
	l->rng = UINT64_C(0x9e3779b97f4a7c15); /* the same places each time, on each device */
	l->error = "no memory for buffers";
	l->buffers = ctl_buffer_new((size_t)work->bs * work->depth);
	l->iov = calloc(work->depth, sizeof(*l->iov));
	l->begun = calloc(work->depth, sizeof(*l->begun));
	l->ios = calloc(work->depth, sizeof(*l->ios));
	l->completions = calloc(work->depth, sizeof(*l->completions));
	if (!l->buffers || !l->iov || !l->begun || !l->ios || !l->completions)
		return -ENOMEM;
	memset(l->buffers, 0xb5, (size_t)work->bs * work->depth);
	l->error = "no queue";
	return blkremap_queue_open(dev, &qo, &l->q);
}

void ctl_lane_close(struct ctl_lane *l)
{
	/* Requests that never came back still own the buffers: better to lose memory than what it would be used for. */
	if (l->q && blkremap_queue_close(l->q) < 0)
		return;
	free(l->buffers);
	free(l->iov);
	free(l->begun);
	free(l->ios);
	free(l->completions);
	l->q = NULL;
}

static uint64_t block_next(struct ctl_lane *l)
{
	if (!l->work.random)
		return l->next++ % l->nr_blocks;
	l->rng ^= l->rng << 13;
	l->rng ^= l->rng >> 7;
	l->rng ^= l->rng << 17;
	return (uint64_t)((__uint128_t)l->rng * l->nr_blocks >> 64);
}

static void io_fill(struct ctl_lane *l, struct blkremap_io *io, uint64_t slot)
{
	l->iov[slot].iov_base = l->buffers + slot * l->work.bs;
	l->iov[slot].iov_len = (size_t)l->work.bs;
	*io = (struct blkremap_io){
		.op = l->work.write ? BLKREMAP_WRITE : BLKREMAP_READ,
		.offset = block_next(l) * l->work.bs,
		.length = l->work.bs,
		.user_data = slot,
		.iov = &l->iov[slot],
		.iovcnt = 1,
	};
}

/* Submit the first @n of ios, all of them: a queue as deep as our slots is never full for long. */
static int ios_submit(struct ctl_lane *l, uint32_t n)
{
	uint64_t now = ctl_now_ns();
	uint32_t taken = 0;
	int r;

	for (uint32_t i = 0; i < n; i++)
		l->begun[l->ios[i].user_data] = now;
	while (taken < n) {
		r = blkremap_submit_io(l->q, l->ios + taken, n - taken);
		if (r <= 0)
			return r ? r : -EAGAIN;
		taken += (uint32_t)r;
		l->in_flight += (uint32_t)r;
	}
	return 0;
}

/* Note the times of @n completions and fill as many ios again: 0, or -errno of the first that failed. */
static int some_note(struct ctl_lane *l, uint32_t n)
{
	uint64_t now = ctl_now_ns();
	int first = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct blkremap_completion *c = &l->completions[i];

		l->in_flight--;
		if (c->result < 0) {
			l->error = blkremap_code_text(c->code);
			first = first ? first : c->result;
			continue;
		}
		l->requests++;
		l->histogram[bucket_of(now - l->begun[c->user_data])]++;
		io_fill(l, &l->ios[i], c->user_data);
	}
	return first;
}

int ctl_lane_round(struct ctl_lane *l, uint64_t ns)
{
	uint64_t begin = ctl_now_ns();
	int n, r, first;

	for (uint32_t slot = 0; slot < l->work.depth; slot++)
		io_fill(l, &l->ios[slot], slot);
	l->error = "a request was refused";
	first = ios_submit(l, l->work.depth);
	while (l->in_flight) {
		n = blkremap_reap(l->q, l->completions, 1, l->work.depth, INT64_C(100000000));
		if (n < 0 && n != -EINTR)
			return n;
		r = n > 0 ? some_note(l, (uint32_t)n) : 0;
		first = first ? first : r;
		if (n > 0 && !first && !ctl_stopped() && ctl_now_ns() - begin < ns)
			first = ios_submit(l, (uint32_t)n);
	}
	l->ns += ctl_now_ns() - begin;
	return first;
}
