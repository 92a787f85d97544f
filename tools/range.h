/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers, zeroes and differences of byte ranges, for the verbs that move data.
 *
 *	unsigned char *buf = ctl_buffer_new(CTL_PIECE);
 *
 *	for (at = 0; at < n; at += len) {
 *		len = ctl_run_zero(buf + at, n - at, 4096, &zero);
 *		...len bytes that are all zero, or of which every block of 4096 has something...
 *	}
 */
#ifndef CTL_RANGE_H
#define CTL_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CTL_PIECE = 1 << 20 }; /* bytes moved at a time: few requests, and a ^C is heard soon */

/* Aligned for direct I/O to any device; free() it. */
unsigned char *ctl_buffer_new(size_t bytes);

bool ctl_is_zero(const unsigned char *p, size_t n);
/* How many bytes from @p on are, in blocks of @block, all zero or all not; @ret_zero tells which.  @n > 0. */
size_t ctl_run_zero(const unsigned char *p, size_t n, size_t block, bool *ret_zero);
/* How many bytes from @a and @b on are, in blocks of @block, all the same or all different.  @n > 0. */
size_t ctl_run_same(const unsigned char *a, const unsigned char *b, size_t n, size_t block, bool *ret_same);

/* Sleeps so that what was moved stays below a rate.  Zeroed, with bytes_per_s set (0: no limit). */
struct ctl_rate {
	uint64_t bytes_per_s, start_ns, moved;
};
/* How much to move at a time: CTL_PIECE, or less, so that there are some pieces a second; a multiple of 4096. */
uint64_t ctl_rate_piece(const struct ctl_rate *rate);
void ctl_rate_wait(struct ctl_rate *rate, uint64_t bytes);

#endif /* CTL_RANGE_H */
