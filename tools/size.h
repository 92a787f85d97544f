/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sizes as people write and read them.  Input is strict: digits and at most one suffix, nothing around them.
 *
 *	uint64_t bytes;
 *	if (ctl_size_parse("64KiB", &bytes) == 0)
 *		printf("%s is %s bytes\n", ctl_human(bytes).s, ctl_thousands(bytes).s);	64.0 KiB is 65,536 bytes
 */
#ifndef CTL_SIZE_H
#define CTL_SIZE_H

#include <stdint.h>

/*
 * "4096", "64k", "64K", "64KiB", also M, G and T: powers of 1024; "128s": sectors of 512 bytes.
 * -EINVAL for anything else (a sign, a space, a fraction, nothing), -ERANGE beyond 2^63 - 1, the largest file offset.
 */
int ctl_size_parse(const char *text, uint64_t *ret_bytes);
/* The same, and hexadecimal "0x10000" as 'map' prints it. */
int ctl_offset_parse(const char *text, uint64_t *ret_bytes);
/* A plain decimal or "0x" number of at most @max. */
int ctl_count_parse(const char *text, uint64_t max, uint64_t *ret_count);
/* A size, or "N%" of @whole, rounded down; more than 100% is allowed. */
int ctl_share_parse(const char *text, uint64_t whole, uint64_t *ret_bytes);

struct ctl_text {
	char s[48];
};
struct ctl_text ctl_human(uint64_t bytes); /* "512 B", "7.4 GiB": IEC, one decimal, rounded to nearest */
struct ctl_text ctl_thousands(uint64_t n); /* "16,384", whatever the locale */
struct ctl_text ctl_duration(uint64_t ns); /* "0.2 ms", "7.9 s", "3:07" (minutes), "2:13:05" */
/* 100 * part / whole with @decimals (1 or 2), to the nearest, but 100.0 is all and nothing less; "-" of nothing. */
struct ctl_text ctl_percent(uint64_t part, uint64_t whole, unsigned int decimals);

#endif /* CTL_SIZE_H */
