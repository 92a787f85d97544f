/* SPDX-License-Identifier: BSD-3-Clause */
/* All of this is integer arithmetic: the same text on every machine and in every locale. */
#include "size.h"
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* ---- in ---- */

/* Digits of @base from *@text on, which is moved behind them. */
static int digits_parse(const char **text, unsigned int base, uint64_t *ret_n)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = *text, *d;
	uint64_t n = 0;

	for (; *p; p++) {
		char c = *p >= 'A' && *p <= 'F' ? (char)(*p - 'A' + 'a') : *p;

		d = memchr(digits, c, base);
		if (!d)
			break;
		if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, (uint64_t)(d - digits), &n))
			return -ERANGE;
	}
	if (p == *text)
		return -EINVAL;
	*text = p;
	*ret_n = n;
	return 0;
}

/* What one unit of @suffix is; 0: not a suffix. */
static uint64_t suffix_unit(const char *suffix)
{
	static const char letters[] = "KMGT";
	const char *l;

	if (!*suffix)
		return 1;
	if (!strcmp(suffix, "s"))
		return 512;
	if (!strcmp(suffix, "k"))
		return 1024;
	l = strchr(letters, suffix[0]);
	if (!l || (suffix[1] && strcmp(suffix + 1, "iB")))
		return 0;
	return UINT64_C(1) << (10 * (l - letters + 1));
}

int ctl_size_parse(const char *text, uint64_t *ret_bytes)
{
	uint64_t n, unit, bytes;
	int r = digits_parse(&text, 10, &n);

	if (r < 0)
		return r;
	unit = suffix_unit(text);
	if (!unit)
		return -EINVAL;
	if (__builtin_mul_overflow(n, unit, &bytes) || bytes > INT64_MAX)
		return -ERANGE;
	*ret_bytes = bytes;
	return 0;
}

int ctl_count_parse(const char *text, uint64_t max, uint64_t *ret_count)
{
	bool hex = !strncmp(text, "0x", 2);
	uint64_t n;
	int r;

	text += hex ? 2 : 0;
	r = digits_parse(&text, hex ? 16 : 10, &n);
	if (r < 0)
		return r;
	if (*text)
		return -EINVAL;
	if (n > max)
		return -ERANGE;
	*ret_count = n;
	return 0;
}

int ctl_offset_parse(const char *text, uint64_t *ret_bytes)
{
	if (!strncmp(text, "0x", 2))
		return ctl_count_parse(text, INT64_MAX, ret_bytes);
	return ctl_size_parse(text, ret_bytes);
}

int ctl_share_parse(const char *text, uint64_t whole, uint64_t *ret_bytes)
{
	const char *p = text;
	uint64_t n;
	int r = digits_parse(&p, 10, &n);

	if (r < 0 || strcmp(p, "%"))
		return ctl_size_parse(text, ret_bytes);
	if (n > 1000000)
		return -ERANGE;
	/* Whole hundreds and the rest apart, so that nothing on the way is larger than the result. */
	if (whole / 100 >= INT64_MAX / (n + 1))
		return -ERANGE;
	*ret_bytes = whole / 100 * n + whole % 100 * n / 100;
	return 0;
}

/* ---- out ---- */

struct ctl_text ctl_human(uint64_t bytes)
{
	static const char letters[] = "KMGTPE";
	struct ctl_text t;
	uint64_t tenths;
	unsigned int i;

	if (bytes < 1024) {
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " B", bytes);
		return t;
	}
	/* 1023.95 of a unit would be printed as 1024.0: it is 1.0 of the next. */
	for (i = 0;; i++) {
		unsigned int shift = 10 * (i + 1);
		uint64_t unit = UINT64_C(1) << shift;

		tenths = bytes / unit * 10 + ((bytes % unit) / (unit >> 10) * 10 + 512) / 1024;
		if (tenths < 10240 || !letters[i + 1])
			break;
	}
	snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%" PRIu64 " %ciB", tenths / 10, tenths % 10, letters[i]);
	return t;
}

struct ctl_text ctl_thousands(uint64_t n)
{
	char plain[24];
	struct ctl_text t;
	size_t len, i, out = 0;

	len = (size_t)snprintf(plain, sizeof(plain), "%" PRIu64, n);
	for (i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			t.s[out++] = ',';
		t.s[out++] = plain[i];
	}
	t.s[out] = '\0';
	return t;
}

struct ctl_text ctl_duration(uint64_t ns)
{
	uint64_t s = ns / UINT64_C(1000000000), tenths;
	struct ctl_text t;

	if (s == 0) {
		tenths = (ns + 50000) / 100000;
		snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%" PRIu64 " ms", tenths / 10, tenths % 10);
	} else if (s < 60) {
		tenths = ns / 100000000;
		snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%" PRIu64 " s", tenths / 10, tenths % 10);
	} else if (s < 3600) {
		snprintf(t.s, sizeof(t.s), "%" PRIu64 ":%02" PRIu64, s / 60, s % 60);
	} else {
		snprintf(t.s, sizeof(t.s), "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
	}
	return t;
}

struct ctl_text ctl_percent(uint64_t part, uint64_t whole, unsigned int decimals)
{
	uint64_t scale = decimals == 1 ? 10 : 100, n;
	struct ctl_text t;

	if (!whole) {
		snprintf(t.s, sizeof(t.s), "-");
		return t;
	}
	/* Beyond 2^50 bytes the low bits do not show, so drop them rather than overflow. */
	for (; whole >> 50 || part >> 50; whole >>= 1)
		part >>= 1;
	whole += !whole;
	n = (part * 100 * scale + whole / 2) / whole;
	/* Rounded, but "100" is said of all only. */
	if (n == 100 * scale && part < whole)
		n--;
	snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%0*" PRIu64, n / scale, (int)decimals, n % scale);
	return t;
}
