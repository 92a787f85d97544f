/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser of specs.
 *
 * Everything is parsed within a span whose end is known: the whole text, or what stands between two parentheses that
 * have been matched first.  So a path may be the whole of a span without any quoting, and each error has its byte.
 * Parentheses are matched once for each level they are in, at most BR_SPEC_MAX_DEPTH times; recursion is as deep.
 */
#include "api/spec.h"

#include <errno.h>
#include <string.h>

#include "api/spec-build.h"
#include "base/error.h"

static size_t span_len(struct br_span span)
{
	return span.end - span.begin;
}

static struct br_spec_quote quote_span(const struct br_spec_tree *tree, struct br_span span)
{
	return br_spec_quote(tree->text + span.begin, span_len(span));
}

/* ---- what a text begins with ------------------------------------------------------------------------------------- */

/* The length of "abc" in "abc:...", 0 if @text does not begin like that. */
static size_t prefix_len(const char *text, size_t len)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+");

	return n < len && text[n] == ':' ? n : 0;
}

/* "scheme://", also with letters that no type has. */
static bool is_uri(const char *text, size_t len)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+.-");

	return n && n + 3 <= len && !strncmp(text + n, "://", 3);
}

bool br_spec_is_path(const char *text, size_t len)
{
	size_t prefix = prefix_len(text, len);

	if (!len || text[0] == '@' || br_spec_is_table_line(text, len) || is_uri(text, len))
		return false;
	return !prefix || !(br_spec_type(text, prefix) || br_spec_type_is_reserved(text, prefix));
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* @at is at a '"': *ret_end is behind the closing one. */
static int scan_text(const struct br_spec_tree *tree, size_t at, size_t end, size_t *ret_end)
{
	for (size_t i = at + 1; i < end; i++) {
		char c = tree->text[i];

		if (c == '"') {
			*ret_end = i + 1;
			return 0;
		}
		if (c != '\\')
			continue;
		if (++i < end && tree->text[i] != '"' && tree->text[i] != '\\')
			return br_spec_fail(tree, i, -EINVAL, "only \\\" and \\\\ are known in a quoted text");
	}
	return br_spec_fail(tree, at, -EINVAL, "this quote is not closed");
}

/* @at is at a '(': *ret_end is behind the one that closes it. */
static int scan_group(const struct br_spec_tree *tree, size_t at, size_t end, size_t *ret_end)
{
	size_t open = 0, i = at;
	int r;

	while (i < end) {
		char c = tree->text[i];

		if (c == '"') {
			r = scan_text(tree, i, end, &i);
			if (r < 0)
				return r;
			continue;
		}
		i++;
		if (c == '(')
			open++;
		else if (c == ')' && !--open) {
			*ret_end = i;
			return 0;
		}
	}
	return br_spec_fail(tree, at, -EINVAL, "this parenthesis is not closed");
}

static int scan_word(const struct br_spec_tree *tree, size_t at, size_t end, size_t *ret_end)
{
	size_t i;

	for (i = at; i < end && tree->text[i] != ','; i++) {
		unsigned char c = (unsigned char)tree->text[i];

		if (c <= 0x20 || c == 0x7f || strchr("()\"", c))
			return br_spec_fail(tree, i, -EINVAL, "a value with blanks or any of ( ) \" must be quoted");
	}
	*ret_end = i;
	return 0;
}

static int scan_value(const struct br_spec_tree *tree, size_t at, size_t end, size_t *ret_end)
{
	if (at < end && tree->text[at] == '"')
		return scan_text(tree, at, end, ret_end);
	if (at < end && tree->text[at] == '(')
		return scan_group(tree, at, end, ret_end);
	return scan_word(tree, at, end, ret_end);
}

/* What stands between the quotes at both ends of @span, without its backslashes. */
static int unquote(struct br_spec_tree *tree, struct br_span span, const char **ret_text, size_t *ret_len)
{
	char *text = br_spec_alloc(tree, span_len(span));
	size_t n = 0;

	if (!text)
		return -ENOMEM;
	for (size_t i = span.begin + 1; i < span.end - 1; i++) {
		i += tree->text[i] == '\\';
		text[n++] = tree->text[i];
	}
	*ret_text = text;
	*ret_len = n;
	return 0;
}

int br_spec_parse_value(struct br_spec_tree *tree, struct br_span span, uint32_t level, struct br_spec_raw *ret_raw)
{
	struct br_spec_raw raw = { .kind = BR_RAW_WORD, .span = span };
	char c = span_len(span) ? tree->text[span.begin] : '\0';
	size_t end = span.end;
	int r = 0;

	if (c == '"') {
		raw.kind = BR_RAW_TEXT;
		r = scan_text(tree, span.begin, span.end, &end);
	} else if (c == '(') {
		raw.kind = BR_RAW_CHILD;
		r = scan_group(tree, span.begin, span.end, &end);
	}
	if (r == 0 && end != span.end)
		r = br_spec_fail(tree, end, -EINVAL, "the value ends before '%s'",
				 quote_span(tree, (struct br_span){ end, span.end }).s);
	if (r == 0 && raw.kind == BR_RAW_TEXT)
		r = unquote(tree, span, &raw.text, &raw.len);
	if (r == 0 && raw.kind == BR_RAW_CHILD)
		r = br_spec_parse_span(tree, (struct br_span){ span.begin + 1, span.end - 1 }, level + 1, &raw.child);
	if (r == 0)
		*ret_raw = raw;
	return r;
}

/* ---- TYPE:KEY=VALUE,... ------------------------------------------------------------------------------------------ */

static int unknown_key(const struct br_spec *node, struct br_span name)
{
	const char *text = node->tree->text + name.begin;
	const char *nearest = br_spec_nearest_key(node->def, text, span_len(name));

	if (nearest)
		return br_spec_fail(node->tree, name.begin, -EINVAL, "unknown key '%s' of %s, did you mean '%s'?",
				    quote_span(node->tree, name).s, node->type, nearest);
	return br_spec_fail(node->tree, name.begin, -EINVAL, "unknown key '%s' of %s", quote_span(node->tree, name).s,
			    node->type);
}

/* One KEY=VALUE at @at; *ret_end is behind it. */
static int parse_key(struct br_spec *node, size_t at, size_t end, uint32_t level, size_t *ret_end)
{
	struct br_spec_tree *tree = node->tree;
	const char *text = tree->text + at;
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
	const struct br_spec_keydef *def;
	struct br_spec_raw raw;
	size_t value = at + len + 1;
	int r;

	if (!len || at + len >= end || text[len] != '=')
		return br_spec_fail(tree, at, -EINVAL, "expected KEY=VALUE of %s, found '%s'", node->type,
				    quote_span(tree, (struct br_span){ at, end }).s);
	def = br_spec_keydef(node->def, text, len);
	if (!def)
		return unknown_key(node, (struct br_span){ at, at + len });
	r = scan_value(tree, value, end, ret_end);
	if (r == 0)
		r = br_spec_parse_value(tree, (struct br_span){ value, *ret_end }, level, &raw);
	return r < 0 ? r : br_spec_add(node, def, at, &raw);
}

static int parse_keys(struct br_spec *node, struct br_span span, uint32_t level)
{
	size_t at = span.begin;
	int r;

	for (;;) {
		r = parse_key(node, at, span.end, level, &at);
		if (r < 0)
			return r;
		if (at == span.end)
			return br_spec_node_finish(node);
		if (node->tree->text[at] != ',')
			return br_spec_fail(node->tree, at, -EINVAL, "expected ',' before '%s'",
					    quote_span(node->tree, (struct br_span){ at, span.end }).s);
		at++;
	}
}

/* ---- SPEC -------------------------------------------------------------------------------------------------------- */

/* "dev:NAME" and, for names with strange characters, "dev:\"NAME\"". */
static int parse_dev(struct br_spec_tree *tree, struct br_span span, struct br_spec **ret_node)
{
	struct br_span name = { span.begin + strlen("dev:"), span.end };
	struct br_spec_raw raw = { .kind = BR_RAW_WORD, .span = name };

	if (span_len(name) && tree->text[name.begin] == '"') {
		int r = br_spec_parse_value(tree, name, 0, &raw);

		if (r < 0)
			return r;
	}
	return br_spec_simple_node(tree, "dev", "name", &raw, ret_node);
}

/* "@FILE" and "@FILE#SECTION". */
static int parse_stack(struct br_spec_tree *tree, struct br_span span, struct br_spec **ret_node)
{
	const struct br_spec_typedef *type = br_spec_type("stack", 5);
	const char *text = tree->text;
	struct br_spec_raw path = { .kind = BR_RAW_WORD, .span = { span.begin + 1, span.end } };
	struct br_spec_raw section = { .kind = BR_RAW_WORD, .span = { span.end, span.end } };
	struct br_spec *node;
	int r;

	if (tree->file)
		return br_spec_fail(tree, span.begin, -EINVAL, "a stack file does not name another stack file");
	while (section.span.begin > path.span.begin && text[section.span.begin - 1] != '#')
		section.span.begin--;
	if (section.span.begin > path.span.begin)
		path.span.end = section.span.begin - 1;
	r = br_spec_simple_node(tree, "stack", "path", &path, &node);
	if (r == 0 && path.span.end != span.end)
		r = br_spec_add(node, br_spec_keydef(type, "section", 7), section.span.begin, &section);
	if (r == 0)
		*ret_node = node;
	return r;
}

static int parse_typed(struct br_spec_tree *tree, struct br_span span, uint32_t level, struct br_spec **ret_node)
{
	size_t prefix = prefix_len(tree->text + span.begin, span_len(span));
	const struct br_spec_typedef *type = br_spec_type(tree->text + span.begin, prefix);
	struct br_span keys = { span.begin + prefix + 1, span.end };
	struct br_spec *node;
	int r;

	if (!strcmp(type->name, "dev"))
		return parse_dev(tree, span, ret_node);
	if (!strcmp(type->name, "stack") && tree->file)
		return br_spec_fail(tree, span.begin, -EINVAL, "a stack file does not name another stack file");
	r = br_spec_node_new(tree, type, span.begin, &node);
	if (r == 0)
		r = parse_keys(node, keys, level);
	if (r == 0)
		*ret_node = node;
	return r;
}

/* A path, as it stands.  Between parentheses it must not hold what could end it. */
static int parse_path(struct br_spec_tree *tree, struct br_span span, uint32_t level, struct br_spec **ret_node)
{
	struct br_spec_raw raw = { .kind = BR_RAW_WORD, .span = span };

	for (size_t i = span.begin; level && i < span.end; i++)
		if (strchr("()\"", tree->text[i]))
			return br_spec_fail(tree, i, -EINVAL, "a path with any of ( ) \" must be written \"PATH\"");
	return br_spec_simple_node(tree, "file", "path", &raw, ret_node);
}

int br_spec_parse_span(struct br_spec_tree *tree, struct br_span span, uint32_t level, struct br_spec **ret_node)
{
	const char *text = tree->text + span.begin;
	size_t len = span_len(span), prefix = prefix_len(text, len);

	if (level >= BR_SPEC_MAX_DEPTH)
		return br_spec_fail(tree, span.begin, -EINVAL, "deeper than %d devices", BR_SPEC_MAX_DEPTH);
	if (!len)
		return br_spec_fail(tree, span.begin, -EINVAL, "a device is not named by nothing");
	if (br_spec_is_path(text, len))
		return parse_path(tree, span, level, ret_node);
	if (text[0] == '@')
		return parse_stack(tree, span, ret_node);
	if (br_spec_is_table_line(text, len))
		return br_spec_parse_table_line(tree, span, ret_node);
	if (br_spec_type(text, prefix))
		return parse_typed(tree, span, level, ret_node);
	if (br_spec_type_is_reserved(text, prefix))
		return br_spec_fail(tree, span.begin, -EOPNOTSUPP, "'%s' is not built in this version",
				    br_spec_quote(text, prefix).s);
	return br_spec_fail(tree, span.begin, -EOPNOTSUPP, "no such URI in this version: '%s'",
			    br_spec_quote(text, len).s);
}

/*
 * A word names a device without parentheses.  Those with keys need them, for a comma would end the word: "a=x:b=1,c=2"
 * is too easily misread.
 */
int br_spec_device_of(struct br_spec_tree *tree, const struct br_spec_raw *raw, struct br_spec **ret_node)
{
	const char *text = tree->text + raw->span.begin;
	size_t len = span_len(raw->span), prefix;
	struct br_spec *section;

	if (raw->kind == BR_RAW_TEXT)
		return br_spec_simple_node(tree, "file", "path", raw, ret_node);
	section = tree->stack ? br_stack_lookup(tree->stack, text, len) : NULL;
	if (section) {
		*ret_node = section;
		return 0;
	}
	prefix = prefix_len(text, len);
	if (br_spec_type(text, prefix) && strncmp(text, "dev:", 4) != 0)
		return br_spec_fail(tree, raw->span.begin, -EINVAL, "write (%s) in parentheses",
				    quote_span(tree, raw->span).s);
	return br_spec_parse_span(tree, raw->span, 0, ret_node);
}

int br_spec_parse(const struct blkremap_env *env, const char *text, struct br_spec **ret_spec)
{
	size_t len = strnlen(text, BR_SPEC_MAX_TEXT + 1);
	struct br_spec_tree *tree;
	struct br_spec *spec;
	int r;

	if (len > BR_SPEC_MAX_TEXT)
		return br_error(-EINVAL, "spec: longer than %d bytes", BR_SPEC_MAX_TEXT);
	tree = br_spec_tree_new(env, text);
	if (!tree)
		return -ENOMEM;
	r = br_spec_parse_span(tree, (struct br_span){ 0, len }, 0, &spec);
	if (r < 0) {
		br_spec_tree_free(tree);
		return r;
	}
	tree->text = NULL;
	*ret_spec = spec;
	return 0;
}
