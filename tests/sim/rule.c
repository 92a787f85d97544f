/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/rule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "io/req.h"

static const struct {
	const char *name;
	int value;
} ops[] = {
	{ "READ", BR_READ }, { "WRITE", BR_WRITE }, { "FLUSH", BR_FLUSH }, { "DISCARD", BR_DISCARD },
	{ "WRITE_ZEROES", BR_WRITE_ZEROES }, { "ANY", -1 },
}, actions[] = {
	{ "EIO", -EIO }, { "ENOSPC", -ENOSPC }, { "ENOMEM", -ENOMEM }, { "ETIMEDOUT", -ETIMEDOUT },
	{ "stuck", SIM_RULE_STUCK }, { "elide", SIM_RULE_ELIDE },
};

static bool parse_op(const char *name, struct sim_rule *r)
{
	for (size_t i = 0; i < BR_ARRAY_SIZE(ops); i++) {
		if (strcmp(ops[i].name, name) == 0) {
			r->op = ops[i].value;
			return true;
		}
	}
	return false;
}

static bool parse_action(const char *name, struct sim_rule *r)
{
	for (size_t i = 0; i < BR_ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].name, name) == 0) {
			r->action = actions[i].value;
			return true;
		}
	}
	return false;
}

static bool parse_range(const char *text, struct sim_rule *r)
{
	char *end;

	r->first = r->last = strtoull(text, &end, 10);
	if (*end == '-')
		r->last = strtoull(end + 1, &end, 10);
	return end != text && *end == '\0' && r->first <= r->last;
}

static bool parse_word(const char *word, struct sim_rule *r)
{
	if (strncmp(word, "disk=", 5) == 0) {
		snprintf(r->disk, sizeof(r->disk), "%s", word + 5);
		return true;
	}
	if (strncmp(word, "op=", 3) == 0)
		return parse_op(word + 3, r);
	if (strncmp(word, "block=", 6) == 0)
		return parse_range(word + 6, r);
	if (strncmp(word, "nth=", 4) == 0) {
		r->nth = (uint32_t)strtoul(word + 4, NULL, 10);
		return r->nth > 0;
	}
	if (strcmp(word, "once") == 0)
		return true;
	if (strcmp(word, "forever") == 0)
		return r->forever = true;
	return parse_action(word, r);
}

int sim_rule_parse(const char *text, struct sim_rule *ret_rule)
{
	struct sim_rule r = { .op = -1, .last = UINT64_MAX, .nth = 1 };
	char copy[160], *save = NULL;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, strlen(text) + 1);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		if (!parse_word(w, &r))
			return -EINVAL;
	if (!r.action)
		return -EINVAL;
	*ret_rule = r;
	return 0;
}

static bool applies(const struct sim_rule *r, const char *disk, int op, uint64_t first, uint64_t n)
{
	if (r->spent || (r->disk[0] && strcmp(r->disk, disk) != 0))
		return false;
	if (r->op != -1 && r->op != op)
		return false;
	return n == 0 || (first <= r->last && first + n > r->first);
}

int sim_rule_match(struct sim_rule *r, const char *disk, int op, uint64_t first, uint64_t n)
{
	if (!applies(r, disk, op, first, n) || ++r->seen < r->nth)
		return 0;
	r->spent = !r->forever;
	return r->action;
}
