/* SPDX-License-Identifier: BSD-3-Clause */
/* When two trees of specs are equal: same types, keys, values and children, in the same order. */
#ifndef SPEC_SAME_H
#define SPEC_SAME_H

#include <stdbool.h>
#include <string.h>

#include "api/spec.h"

static inline bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static inline bool same_tree(const struct br_spec *a, const struct br_spec *b)
{
	const struct br_spec_key *k = a->keys, *l = b->keys;

	if (strcmp(a->type, b->type) != 0 || a->depth != b->depth)
		return false;
	for (; k && l; k = k->next, l = l->next) {
		if (strcmp(k->name, l->name) != 0 || !same_text(k->text, l->text) || k->number != l->number)
			return false;
		if (!k->child != !l->child || (k->child && !same_tree(k->child, l->child)))
			return false;
	}
	return !k && !l;
}

#endif /* SPEC_SAME_H */
