/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sizes, times, counts and yes|no as people write them.
 *
 *	size	4096  64k  64K  64KiB  1M  1G  1T  128s		1024-based; s: sectors of 512 bytes
 *	time	500ns  10us  5ms  1s				the unit is part of it
 *	count	1  2  3
 *	bool	yes  no
 *
 * Strict: digits first, no sign, no blank, nothing behind the unit; what does not fit into 63 bits is refused, because
 * offsets of files are signed.  These leave no sentence: the caller knows which key it was, and says so.
 */
#ifndef BR_API_UNITS_H
#define BR_API_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* 0, -EINVAL: does not look like one, -ERANGE: too large.  @text needs no NUL. */
int br_size_parse(const char *text, size_t len, uint64_t *ret_bytes);
int br_time_parse(const char *text, size_t len, uint64_t *ret_ns);
int br_count_parse(const char *text, size_t len, uint64_t *ret_count);
int br_bool_parse(const char *text, size_t len, uint64_t *ret_yes);

/* The shortest text that parses to the same value: 65536 is "64K", 1500000 ns is "1500us". */
enum { BR_UNITS_MAX = 24 };	/* bytes of @buf, NUL included */
void br_size_print(uint64_t bytes, char *buf);
void br_time_print(uint64_t ns, char *buf);

#endif /* BR_API_UNITS_H */
