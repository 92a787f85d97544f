/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A number is digits and a unit.  Both tables go from the largest unit to the smallest, so that printing takes the
 * first one that divides; the names after the first of a factor are only read, never printed.
 */
#include "api/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/compiler.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "T", 1ULL << 40 }, { "TiB", 1ULL << 40 },
	{ "G", 1ULL << 30 }, { "GiB", 1ULL << 30 },
	{ "M", 1ULL << 20 }, { "MiB", 1ULL << 20 },
	{ "K", 1ULL << 10 }, { "k", 1ULL << 10 }, { "KiB", 1ULL << 10 },
	{ "", 1 },
	{ "s", 512 },	/* behind "": read, never printed */
};

static const struct unit time_units[] = {
	{ "s", 1000000000 }, { "ms", 1000000 }, { "us", 1000 }, { "ns", 1 },
};

static const struct unit *find_unit(const struct unit *units, size_t n, const char *text, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(units[i].name) == len && !memcmp(units[i].name, text, len))
			return &units[i];
	return NULL;
}

/* How many digits @text begins with; -ERANGE once they do not fit, -EINVAL if there are none. */
static int parse_digits(const char *text, size_t len, uint64_t *ret_value)
{
	uint64_t value = 0;
	size_t n;

	for (n = 0; n < len && text[n] >= '0' && text[n] <= '9'; n++) {
		if (br_mul_overflows(value, 10, &value))
			return -ERANGE;
		if (br_add_overflows(value, (uint64_t)(text[n] - '0'), &value))
			return -ERANGE;
	}
	if (!n)
		return -EINVAL;
	*ret_value = value;
	return n > INT32_MAX ? -ERANGE : (int)n;
}

static int parse(const struct unit *units, size_t nr_units, const char *text, size_t len, uint64_t *ret_value)
{
	const struct unit *unit;
	uint64_t value;
	int digits = parse_digits(text, len, &value);

	if (digits < 0)
		return digits;
	unit = find_unit(units, nr_units, text + digits, len - (size_t)digits);
	if (!unit)
		return -EINVAL;
	if (br_mul_overflows(value, unit->factor, &value) || value > INT64_MAX)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int br_size_parse(const char *text, size_t len, uint64_t *ret_bytes)
{
	return parse(size_units, BR_ARRAY_SIZE(size_units), text, len, ret_bytes);
}

int br_time_parse(const char *text, size_t len, uint64_t *ret_ns)
{
	return parse(time_units, BR_ARRAY_SIZE(time_units), text, len, ret_ns);
}

int br_count_parse(const char *text, size_t len, uint64_t *ret_count)
{
	static const struct unit none[] = { { "", 1 } };

	return parse(none, 1, text, len, ret_count);
}

int br_bool_parse(const char *text, size_t len, uint64_t *ret_yes)
{
	if (len == 3 && !memcmp(text, "yes", 3))
		*ret_yes = 1;
	else if (len == 2 && !memcmp(text, "no", 2))
		*ret_yes = 0;
	else
		return -EINVAL;
	return 0;
}

/* The last row of either table that printing may reach has the factor 1, so the loop ends there. */
static void print(const struct unit *unit, uint64_t value, char *buf)
{
	while (value % unit->factor)
		unit++;
	snprintf(buf, BR_UNITS_MAX, "%" PRIu64 "%s", value / unit->factor, unit->name);
}

void br_size_print(uint64_t bytes, char *buf)
{
	if (bytes)
		print(size_units, bytes, buf);
	else
		snprintf(buf, BR_UNITS_MAX, "0");
}

void br_time_print(uint64_t ns, char *buf)
{
	print(time_units, ns, buf);
}
