/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Table lines of the device-mapper, "START LENGTH TARGET ARGUMENTS", sectors of 512 bytes: read as the spec that means
 * the same.
 *
 *	0 L linear DEV OFF			linear:dev=DEV,offset=OFF,bytes=L
 *	0 L snapshot-origin DEV			origin:base=(linear:dev=DEV,offset=0,bytes=L)
 *	0 L snapshot ORIGIN COW P|PO|N CHUNK [n FEATURE...]
 *						snapshot:origin=ORIGIN,store=COW,size=L,...
 *	0 L snapshot-merge ...			the same with merging=yes
 *	0 L error				error:bytes=L
 *	0 L delay DEV OFF MS [DEV OFF MS [DEV OFF MS]]
 *						delay:dev=(linear:...),read=...,write=...,flush=...
 *
 * The length of a table is the device's, whatever lies below may be larger: hence the linear where the target itself
 * has no size.  A line is a whole table here, so it starts at sector 0.
 */
#include "api/spec-build.h"

#include <errno.h>
#include <string.h>

#include "api/units.h"
#include "base/checked.h"
#include "base/error.h"

enum { MAX_ARGS = 10 };	/* one more than any target takes */

struct line {
	struct br_spec_tree *tree;
	struct br_span args[MAX_ARGS];	/* what follows the target's name */
	uint32_t nr_args;
	struct br_span target;
	uint64_t bytes;			/* the table's length */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool br_spec_is_table_line(const char *text, size_t len)
{
	size_t i = 0;

	for (int word = 0; word < 2; word++) {
		if (i == len || !is_digit(text[i]))
			return false;
		while (i < len && is_digit(text[i]))
			i++;
		if (i == len || !is_blank(text[i]))
			return false;
		while (i < len && is_blank(text[i]))
			i++;
	}
	return i < len && text[i] >= 'a' && text[i] <= 'z';
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* The next word at or behind *at; empty at the end. */
static struct br_span next_word(const char *text, size_t *at, size_t end)
{
	struct br_span word;

	while (*at < end && is_blank(text[*at]))
		++*at;
	word.begin = *at;
	while (*at < end && !is_blank(text[*at]))
		++*at;
	word.end = *at;
	return word;
}

static bool word_is(const struct line *line, struct br_span word, const char *text)
{
	return word.end - word.begin == strlen(text) && !memcmp(line->tree->text + word.begin, text, strlen(text));
}

static bool same_word(const struct line *line, struct br_span a, struct br_span b)
{
	const char *text = line->tree->text;

	return a.end - a.begin == b.end - b.begin && !memcmp(text + a.begin, text + b.begin, a.end - a.begin);
}

static struct br_spec_quote quote(const struct line *line, struct br_span word)
{
	return br_spec_quote(line->tree->text + word.begin, word.end - word.begin);
}

/* A decimal number of @unit bytes or ns. */
static int number(const struct line *line, struct br_span word, uint64_t unit, uint64_t *ret)
{
	uint64_t n;
	int r = br_count_parse(line->tree->text + word.begin, word.end - word.begin, &n);

	if (r == -EINVAL)
		return br_spec_fail(line->tree, word.begin, r, "'%s' is not a number", quote(line, word).s);
	if (r < 0 || br_mul_overflows(n, unit, &n) || n > INT64_MAX)
		return br_spec_fail(line->tree, word.begin, -EINVAL, "%s is too large", quote(line, word).s);
	*ret = n;
	return 0;
}

static int sectors(const struct line *line, struct br_span word, uint64_t *ret_bytes)
{
	return number(line, word, 512, ret_bytes);
}

static int need_args(const struct line *line, uint32_t min, uint32_t max)
{
	if (line->nr_args >= min && line->nr_args <= max)
		return 0;
	if (min == max)
		return br_spec_fail(line->tree, line->target.begin, -EINVAL, "%s takes %u arguments",
				    quote(line, line->target).s, min);
	return br_spec_fail(line->tree, line->target.begin, -EINVAL, "%s takes %u to %u arguments",
			    quote(line, line->target).s, min, max);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static int new_node(const struct line *line, const char *type, struct br_spec **ret_node)
{
	return br_spec_node_new(line->tree, br_spec_type(type, strlen(type)), line->target.begin, ret_node);
}

static int add(struct br_spec *node, const char *key, const struct br_spec_raw *raw)
{
	return br_spec_add(node, br_spec_keydef(node->def, key, strlen(key)), raw->span.begin, raw);
}

static int add_word(struct br_spec *node, const char *key, struct br_span word)
{
	return add(node, key, &(struct br_spec_raw){ .kind = BR_RAW_WORD, .span = word });
}

static int add_number(struct br_spec *node, const char *key, uint64_t value)
{
	struct br_span at = { node->at, node->at };

	return add(node, key, &(struct br_spec_raw){ .kind = BR_RAW_NUMBER, .span = at, .number = value });
}

static int add_child(struct br_spec *node, const char *key, struct br_spec *child)
{
	struct br_span at = { child->at, child->at };

	return add(node, key, &(struct br_spec_raw){ .kind = BR_RAW_CHILD, .span = at, .child = child });
}

/* The table's length of a device, from @offset bytes on. */
static int linear_node(const struct line *line, struct br_span dev, uint64_t offset, struct br_spec **ret_node)
{
	struct br_spec *node;
	int r = new_node(line, "linear", &node);

	if (r == 0)
		r = add_word(node, "dev", dev);
	if (r == 0)
		r = add_number(node, "offset", offset);
	if (r == 0)
		r = add_number(node, "bytes", line->bytes);
	if (r == 0)
		*ret_node = node;
	return r;
}

/* ---- targets ----------------------------------------------------------------------------------------------------- */

static int parse_linear(const struct line *line, struct br_spec **ret_node)
{
	uint64_t offset;
	int r = need_args(line, 2, 2);

	if (r == 0)
		r = sectors(line, line->args[1], &offset);
	return r < 0 ? r : linear_node(line, line->args[0], offset, ret_node);
}

static int parse_error(const struct line *line, struct br_spec **ret_node)
{
	struct br_spec *node;
	int r = need_args(line, 0, 0);

	if (r == 0)
		r = new_node(line, "error", &node);
	if (r == 0)
		r = add_number(node, "bytes", line->bytes);
	if (r == 0)
		*ret_node = node;
	return r;
}

static int parse_origin(const struct line *line, struct br_spec **ret_node)
{
	struct br_spec *node, *base;
	int r = need_args(line, 1, 1);

	if (r == 0)
		r = new_node(line, "origin", &node);
	if (r == 0)
		r = linear_node(line, line->args[0], 0, &base);
	if (r == 0)
		r = add_child(node, "base", base);
	if (r == 0)
		*ret_node = node;
	return r;
}

/* P, PO (the kernel's wording of the state when it is full) or N; only the first letter counts, in either case. */
static int parse_store(const struct line *line, struct br_spec *node, bool merge)
{
	struct br_span word = line->args[2];
	const char *text = line->tree->text + word.begin;
	bool transient = text[0] == 'N' || text[0] == 'n', persistent = text[0] == 'P' || text[0] == 'p';

	if (persistent && (word.end - word.begin == 1 || word_is(line, word, "PO") || word_is(line, word, "po")))
		return 0;
	if (!transient)
		return br_spec_fail(line->tree, word.begin, -EINVAL, "'%s' is no kind of store: P, PO or N",
				    quote(line, word).s);
	if (merge)
		return br_spec_fail(line->tree, word.begin, -EINVAL, "only a persistent store (P) can be merged");
	return add_number(node, "transient", 1);
}

/* Chunk 0 means "as in the store", which a transient one cannot answer. */
static int parse_chunk(const struct line *line, struct br_spec *node)
{
	uint64_t chunk;
	int r = sectors(line, line->args[3], &chunk);

	if (r < 0)
		return r;
	if (!chunk && br_spec_yes(node, "transient"))
		return br_spec_fail(line->tree, line->args[3].begin, -EINVAL, "a transient store needs a chunk size");
	return chunk ? add_number(node, "chunk", chunk) : 0;
}

static int parse_features(const struct line *line, struct br_spec *node)
{
	uint64_t n = 0;
	int r = 0;

	if (line->nr_args > 4)
		r = number(line, line->args[4], 1, &n);
	if (r == 0 && line->nr_args > 4 && n != line->nr_args - 5)
		r = br_spec_fail(line->tree, line->args[4].begin, -EINVAL,
				 "the number of features is %" PRIu64 ", but %u follow", n, line->nr_args - 5);
	for (uint32_t i = 5; r == 0 && i < line->nr_args; i++) {
		if (word_is(line, line->args[i], "discard_zeroes_cow"))
			r = add_number(node, "discard_zeroes_cow", 1);
		else if (word_is(line, line->args[i], "discard_passdown_origin"))
			r = add_number(node, "discard_passdown", 1);
		else
			r = br_spec_fail(line->tree, line->args[i].begin, -EINVAL, "unknown feature '%s' of a snapshot",
					 quote(line, line->args[i]).s);
	}
	return r;
}

static int parse_snapshot(const struct line *line, struct br_spec **ret_node)
{
	bool merge = word_is(line, line->target, "snapshot-merge");
	struct br_spec *node;
	int r = need_args(line, 4, 7);

	if (r == 0)
		r = new_node(line, "snapshot", &node);
	if (r == 0)
		r = add_word(node, "origin", line->args[0]);
	if (r == 0)
		r = add_word(node, "store", line->args[1]);
	if (r == 0)
		r = parse_store(line, node, merge);
	if (r == 0)
		r = parse_chunk(line, node);
	if (r == 0)
		r = add_number(node, "size", line->bytes);
	if (r == 0)
		r = parse_features(line, node);
	if (r == 0 && merge)
		r = add_number(node, "merging", 1);
	if (r == 0)
		*ret_node = node;
	return r;
}

/* One delay is for all, two are for reads and the rest; the kernel allows a device each, this library one for all. */
static int parse_delay(const struct line *line, struct br_spec **ret_node)
{
	static const char *const keys[] = { "read", "write", "flush" };
	struct br_spec *node, *below;
	uint64_t offset = 0, other, ms[3] = { 0 };
	uint32_t nr = line->nr_args / 3;
	int r = need_args(line, 3, 9);

	if (r == 0 && line->nr_args % 3)
		r = br_spec_fail(line->tree, line->target.begin, -EINVAL, "delay takes 3, 6 or 9 arguments");
	if (r == 0)
		r = sectors(line, line->args[1], &offset);
	for (uint32_t i = 0; r == 0 && i < nr; i++) {
		const struct br_span *args = line->args + 3 * i;

		r = number(line, args[2], 1000000, &ms[i]);
		if (r == 0)
			r = sectors(line, args[1], &other);
		if (r == 0 && (other != offset || !same_word(line, args[0], line->args[0])))
			r = br_spec_fail(line->tree, args[0].begin, -EINVAL,
					 "delay: reads, writes and flushes go to one place");
	}
	if (r == 0)
		r = new_node(line, "delay", &node);
	if (r == 0)
		r = linear_node(line, line->args[0], offset, &below);
	if (r == 0)
		r = add_child(node, "dev", below);
	for (uint32_t i = 0; r == 0 && i < 3; i++)
		r = add_number(node, keys[i], ms[BR_MIN(i, nr - 1)]);
	if (r == 0)
		*ret_node = node;
	return r;
}

static int parse_target(const struct line *line, struct br_spec **ret_node)
{
	static const struct {
		const char *name;
		int (*parse)(const struct line *line, struct br_spec **ret_node);
	} targets[] = {
		{ "linear", parse_linear },	{ "error", parse_error },
		{ "snapshot", parse_snapshot }, { "snapshot-merge", parse_snapshot },
		{ "delay", parse_delay },	{ "snapshot-origin", parse_origin },
	};

	for (size_t i = 0; i < BR_ARRAY_SIZE(targets); i++)
		if (word_is(line, line->target, targets[i].name))
			return targets[i].parse(line, ret_node);
	return br_spec_fail(line->tree, line->target.begin, -EOPNOTSUPP, "the target '%s' is not built in this version",
			    quote(line, line->target).s);
}

int br_spec_parse_table_line(struct br_spec_tree *tree, struct br_span span, struct br_spec **ret_node)
{
	struct line line = { .tree = tree };
	size_t at = span.begin;
	struct br_span word = next_word(tree->text, &at, span.end);
	uint64_t start;
	struct br_spec *node;
	int r = sectors(&line, word, &start);

	if (r == 0 && start)
		r = br_spec_fail(tree, word.begin, -EINVAL, "a table of one line starts at sector 0");
	word = next_word(tree->text, &at, span.end);
	if (r == 0)
		r = sectors(&line, word, &line.bytes);
	if (r == 0 && !line.bytes)
		r = br_spec_fail(tree, word.begin, -EINVAL, "a table of no sectors");
	line.target = next_word(tree->text, &at, span.end);
	for (word = next_word(tree->text, &at, span.end); word.begin != word.end;
	     word = next_word(tree->text, &at, span.end))
		if (line.nr_args < MAX_ARGS)
			line.args[line.nr_args++] = word;
	if (r == 0)
		r = parse_target(&line, &node);
	if (r == 0)
		r = br_spec_node_finish(node);
	if (r == 0)
		*ret_node = node;
	return r;
}
