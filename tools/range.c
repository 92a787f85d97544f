/* SPDX-License-Identifier: BSD-3-Clause */
#include "range.h"
#include <stdlib.h>
#include <string.h>
#include "stop.h"

unsigned char *ctl_buffer_new(size_t bytes)
{
	void *p;

	return posix_memalign(&p, 4096, bytes) ? NULL : p;
}

bool ctl_is_zero(const unsigned char *p, size_t n)
{
	/* If the first byte is zero and each equals the one before it, all are. */
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

static size_t min2(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t ctl_run_zero(const unsigned char *p, size_t n, size_t block, bool *ret_zero)
{
	size_t at = min2(n, block), len;
	bool zero = ctl_is_zero(p, at);

	for (; at < n; at += len) {
		len = min2(n - at, block);
		if (ctl_is_zero(p + at, len) != zero)
			break;
	}
	*ret_zero = zero;
	return at;
}

size_t ctl_run_same(const unsigned char *a, const unsigned char *b, size_t n, size_t block, bool *ret_same)
{
	size_t at = min2(n, block), len;
	bool same = !memcmp(a, b, at);

	for (; at < n; at += len) {
		len = min2(n - at, block);
		if (!memcmp(a + at, b + at, len) != same)
			break;
	}
	*ret_same = same;
	return at;
}

uint64_t ctl_rate_piece(const struct ctl_rate *rate)
{
	uint64_t quarter = rate->bytes_per_s / 4 / 4096 * 4096;

	if (!rate->bytes_per_s || quarter > CTL_PIECE)
		return CTL_PIECE;
	return quarter ? quarter : 4096;
}

void ctl_rate_wait(struct ctl_rate *rate, uint64_t bytes)
{
	uint64_t now, due;

	if (!rate->bytes_per_s)
		return;
	now = ctl_now_ns();
	if (!rate->moved)
		rate->start_ns = now;
	rate->moved += bytes;
	due = rate->start_ns + (uint64_t)((__uint128_t)rate->moved * 1000000000 / rate->bytes_per_s);
	if (due > now)
		ctl_sleep_ns(due - now);
}
