/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lane: one device under one load, measured in rounds.
 *
 *	struct ctl_lane lane = { 0 };
 *	struct ctl_workload work = { .bs = 4096, .depth = 32, .random = true };
 *
 *	r = ctl_lane_open(&lane, dev, &work);
 *	while (r == 0 && more)
 *		r = ctl_lane_round(&lane, 250000000);
 *	printf("%" PRIu64 " IOPS\n", ctl_lane_iops(&lane));
 *	ctl_lane_close(&lane);
 *
 * Between rounds nothing is in flight, so rounds of several lanes can alternate.
 */
#ifndef CTL_BENCH_H
#define CTL_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <blkremap/blkremap.h>

enum { CTL_MAX_DEPTH = 1024, CTL_MAX_BS = 16 << 20 };
enum { CTL_LATENCY_BUCKETS = 64 * 16 };

struct ctl_workload {
	uint64_t bs;
	uint32_t depth;
	bool write, random;
};

struct ctl_lane {
	struct blkremap_queue *q;
	struct ctl_workload work;
	uint64_t nr_blocks; /* of bs, in the device */
	uint64_t next, rng;
	uint32_t in_flight;
	unsigned char *buffers; /* depth of bs */
	struct iovec *iov; /* one a slot; user_data of a request is its slot */
	uint64_t *begun; /* when the slot's request was submitted */
	struct blkremap_io *ios;
	struct blkremap_completion *completions;
	uint64_t requests, ns;
	uint64_t histogram[CTL_LATENCY_BUCKETS]; /* 16 buckets for each power of two: 6 % wide */
	const char *error; /* sentence about the last failure */
};

/* Zeroed before.  On failure close it all the same. */
int ctl_lane_open(struct ctl_lane *l, struct blkremap_dev *dev, const struct ctl_workload *work);
/* For so long keep depth requests in flight, then wait for the last of them.  The first failure ends it. */
int ctl_lane_round(struct ctl_lane *l, uint64_t ns);
void ctl_lane_close(struct ctl_lane *l);

uint64_t ctl_lane_iops(const struct ctl_lane *l);
/* Nanoseconds that @permille of all requests stayed below, to 6 %. */
uint64_t ctl_lane_percentile(const struct ctl_lane *l, unsigned int permille);

#endif /* CTL_BENCH_H */
