/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The canonical spec of a tree: the shortest way to write each node, values in their largest unit, quotes only where
 * they are needed.  What the parser would read differently is never written short: br_spec_is_path() decides for
 * both.
 */
#include "api/spec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/spec-build.h"
#include "api/units.h"
#include "base/error.h"

/* What does not fit any more is dropped, and full says so: it also ends the walk, which sections could make long. */
struct printer {
	char *buf;
	size_t size, used;
	bool full;
};

static void put(struct printer *p, const char *text, size_t len)
{
	if (p->full || len >= p->size - p->used) {
		p->full = true;
		return;
	}
	memcpy(p->buf + p->used, text, len);
	p->used += len;
}

static void put_text(struct printer *p, const char *text)
{
	put(p, text, strlen(text));
}

static void put_quoted(struct printer *p, const char *text)
{
	put(p, "\"", 1);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			put(p, "\\", 1);
		put(p, text, 1);
	}
	put(p, "\"", 1);
}

/* Could it stand between two commas, or two parentheses? */
static bool is_word(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= 0x20 || *text == 0x7f || strchr(",()\"", *text))
			return false;
	return true;
}

/* The text of the only key, if the node is a @type with that one only. */
static const char *simple(const struct br_spec *node, const char *type)
{
	return br_spec_is(node, type) && node->keys && !node->keys->next ? node->keys->text : NULL;
}

/* "@FILE" or "@FILE#SECTION", if that would be read back. */
static bool put_stack(struct printer *p, const struct br_spec *node, bool top)
{
	const char *path = br_spec_text(node, "path"), *section = br_spec_text(node, "section");

	if (strcmp(node->keys->name, "path") != 0 || strchr(path, '#') || (section && strchr(section, '#')))
		return false;
	if (!top && !(is_word(path) && (!section || is_word(section))))
		return false;
	put_text(p, "@");
	put_text(p, path);
	if (section) {
		put_text(p, "#");
		put_text(p, section);
	}
	return true;
}

/* The forms without keys; false: there is none for this node here. */
static bool put_short(struct printer *p, const struct br_spec *node, bool top)
{
	const char *path = simple(node, "file"), *name = simple(node, "dev");

	if (path && !top && !(is_word(path) && br_spec_is_path(path, strlen(path)))) {
		put_quoted(p, path);
	} else if (path && (!top || br_spec_is_path(path, strlen(path)))) {
		put_text(p, path);
	} else if (name && (top || is_word(name)) && name[0] != '"') {
		put_text(p, "dev:");
		put_text(p, name);
	} else {
		return br_spec_is(node, "stack") && put_stack(p, node, top);
	}
	return true;
}

static void put_value(struct printer *p, const struct br_spec_key *k)
{
	char number[BR_UNITS_MAX];

	switch (k->def->kind) {
	case BR_KEY_SIZE:
		br_size_print(k->number, number);
		put_text(p, number);
		break;
	case BR_KEY_TIME:
		br_time_print(k->number, number);
		put_text(p, number);
		break;
	case BR_KEY_COUNT:
		snprintf(number, sizeof(number), "%" PRIu64, k->number);
		put_text(p, number);
		break;
	case BR_KEY_BOOL:
		put_text(p, k->number ? "yes" : "no");
		break;
	default:
		if (is_word(k->text))
			put_text(p, k->text);
		else
			put_quoted(p, k->text);
	}
}

static void put_node(struct printer *p, const struct br_spec *node, bool top)
{
	if (p->full || put_short(p, node, top))
		return;
	put_text(p, top ? "" : "(");
	put_text(p, node->type);
	put_text(p, ":");
	if (br_spec_is(node, "dev"))
		put_quoted(p, node->keys->text);
	for (const struct br_spec_key *k = node->keys; k && !br_spec_is(node, "dev"); k = k->next) {
		put_text(p, k == node->keys ? "" : ",");
		put_text(p, k->name);
		put_text(p, "=");
		if (k->child)
			put_node(p, k->child, false);
		else
			put_value(p, k);
	}
	put_text(p, top ? "" : ")");
}

int br_spec_print(const struct br_spec *spec, char *buf, size_t size)
{
	struct printer p = { .buf = buf, .size = size };

	if (!size)
		return br_error(-ENOSPC, "spec: no room to print it");
	put_node(&p, spec, true);
	buf[p.used] = '\0';
	return p.full ? br_error(-ENOSPC, "spec: longer than %zu bytes when printed", size - 1) : 0;
}
