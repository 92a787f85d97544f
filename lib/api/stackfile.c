/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stack file is read line by line:
 *
 *	blank, or the first other byte is '#'	nothing
 *	[NAME]					begins a section
 *	KEY = VALUE				one key of it; the first is always "type"
 *
 * The value is the rest of the line without blanks at its ends: no quoting is needed, but "text" and (SPEC) mean what
 * they mean in a spec.  Sections refer only to sections above them, hence to whole ones.
 */
#include "api/stackfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/spec-build.h"
#include "base/env.h"
#include "base/error.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct br_span trim(const char *text, struct br_span span)
{
	while (span.begin < span.end && is_blank(text[span.begin]))
		span.begin++;
	while (span.end > span.begin && is_blank(text[span.end - 1]))
		span.end--;
	return span;
}

static struct br_spec_quote quote(const struct br_stack *stack, struct br_span span)
{
	return br_spec_quote(stack->tree->text + span.begin, span.end - span.begin);
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

/* The section being read: its node exists once its type is known. */
struct reader {
	struct br_stack *stack;
	struct br_span name;
	struct br_spec *node;
	bool in_section;
};

struct br_spec *br_stack_lookup(const struct br_stack *stack, const char *name, size_t len)
{
	for (uint32_t i = 0; i < stack->nr_sections; i++) {
		const char *section = stack->sections[i]->section;

		if (strlen(section) == len && !memcmp(section, name, len))
			return stack->sections[i];
	}
	return NULL;
}

/* The section is whole: from now on others may refer to it. */
static int finish_section(struct reader *rd)
{
	struct br_stack *stack = rd->stack;
	const char *name;
	int r;

	if (!rd->in_section)
		return 0;
	if (!rd->node)
		return br_spec_fail(stack->tree, rd->name.begin, -EINVAL, "section [%s] has no type",
				    quote(stack, rd->name).s);
	r = br_spec_node_finish(rd->node);
	if (r < 0)
		return r;
	name = br_spec_strndup(stack->tree, stack->tree->text + rd->name.begin, rd->name.end - rd->name.begin);
	if (!name)
		return -ENOMEM;
	rd->node->section = name;
	stack->sections[stack->nr_sections++] = rd->node;
	rd->node = NULL;
	rd->in_section = false;
	return 0;
}

static int check_name(const struct br_stack *stack, struct br_span name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *text = stack->tree->text + name.begin;
	size_t len = name.end - name.begin;

	if (!len || len > BR_SPEC_MAX_NAME || text[0] == '-' || strspn(text, allowed) < len)
		return br_spec_fail(stack->tree, name.begin, -EINVAL,
				    "'%s' is no section name: 1 to %d of A-Z a-z 0-9 . _ - and not - first",
				    quote(stack, name).s, BR_SPEC_MAX_NAME);
	if (br_stack_lookup(stack, text, len))
		return br_spec_fail(stack->tree, name.begin, -EINVAL, "section [%s] is there twice",
				    quote(stack, name).s);
	if (stack->nr_sections == BR_STACK_MAX_SECTIONS)
		return br_spec_fail(stack->tree, name.begin, -EINVAL, "more than %d sections", BR_STACK_MAX_SECTIONS);
	return 0;
}

static int begin_section(struct reader *rd, struct br_span line)
{
	struct br_span name = { line.begin + 1, line.end - 1 };
	int r = finish_section(rd);

	if (r < 0)
		return r;
	if (line.end - line.begin < 2 || rd->stack->tree->text[line.end - 1] != ']')
		return br_spec_fail(rd->stack->tree, line.begin, -EINVAL, "a section begins with [NAME]");
	r = check_name(rd->stack, name);
	if (r < 0)
		return r;
	rd->name = name;
	rd->in_section = true;
	return 0;
}

static int set_type(struct reader *rd, struct br_span value)
{
	struct br_spec_tree *tree = rd->stack->tree;
	const char *text = tree->text + value.begin, *nearest;
	size_t len = value.end - value.begin;
	const struct br_spec_typedef *type = br_spec_type(text, len);

	if (type && !strcmp(type->name, "stack"))
		return br_spec_fail(tree, value.begin, -EINVAL, "a stack file does not name another stack file");
	if (type)
		return br_spec_node_new(tree, type, rd->name.begin, &rd->node);
	if (br_spec_type_is_reserved(text, len))
		return br_spec_fail(tree, value.begin, -EOPNOTSUPP, "'%s' is not built in this version",
				    quote(rd->stack, value).s);
	nearest = br_spec_nearest_type(text, len);
	return br_spec_fail(tree, value.begin, -EINVAL, "unknown type '%s'%s%s%s", quote(rd->stack, value).s,
			    nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* Does a line "[NAME]" with this name stand at or behind @at?  Only for a better sentence. */
static bool section_follows(const struct br_stack *stack, struct br_span name, size_t at)
{
	const char *text = stack->tree->text, *p = text + at;
	size_t len = name.end - name.begin;

	for (p = strstr(p, "\n["); p; p = strstr(p + 1, "\n["))
		if (!strncmp(p + 2, text + name.begin, len) && p[2 + len] == ']')
			return true;
	return false;
}

/* A section that is not above cannot be meant as a path either: that would change with the order of the file. */
static int check_reference(const struct reader *rd, struct br_span value)
{
	const struct br_stack *stack = rd->stack;
	const char *text = stack->tree->text;
	size_t len = value.end - value.begin;

	if (!len || br_stack_lookup(stack, text + value.begin, len))
		return 0;
	if (len == rd->name.end - rd->name.begin && !memcmp(text + value.begin, text + rd->name.begin, len))
		return br_spec_fail(stack->tree, value.begin, -EINVAL, "section [%s] names itself",
				    quote(stack, value).s);
	if (section_follows(stack, value, value.end))
		return br_spec_fail(stack->tree, value.begin, -EINVAL,
				    "section [%s] comes later; only sections above can be named",
				    quote(stack, value).s);
	return 0;
}

static int add_key(struct reader *rd, const struct br_spec_keydef *def, struct br_span key, struct br_span value)
{
	struct br_spec_raw raw;
	int r = 0;

	if (def->kind == BR_KEY_DEVICE)
		r = check_reference(rd, value);
	if (r == 0)
		r = br_spec_parse_value(rd->stack->tree, value, 0, &raw);
	return r < 0 ? r : br_spec_add(rd->node, def, key.begin, &raw);
}

static int unknown_key(const struct reader *rd, struct br_span key)
{
	const struct br_stack *stack = rd->stack;
	const char *nearest = br_spec_nearest_key(rd->node->def, stack->tree->text + key.begin, key.end - key.begin);

	return br_spec_fail(stack->tree, key.begin, -EINVAL, "unknown key '%s' of %s%s%s%s", quote(stack, key).s,
			    rd->node->type, nearest ? ", did you mean '" : "", nearest ? nearest : "",
			    nearest ? "'?" : "");
}

static int read_key(struct reader *rd, struct br_span line)
{
	struct br_spec_tree *tree = rd->stack->tree;
	const char *text = tree->text;
	const char *equals = memchr(text + line.begin, '=', line.end - line.begin);
	const struct br_spec_keydef *def;
	struct br_span key, value;
	bool is_type;

	if (!equals)
		return br_spec_fail(tree, line.begin, -EINVAL, "expected KEY = VALUE, found '%s'",
				    quote(rd->stack, line).s);
	key = trim(text, (struct br_span){ line.begin, (size_t)(equals - text) });
	value = trim(text, (struct br_span){ (size_t)(equals - text) + 1, line.end });
	if (!rd->in_section)
		return br_spec_fail(tree, line.begin, -EINVAL, "'%s' stands before the first section",
				    quote(rd->stack, key).s);
	is_type = key.end - key.begin == 4 && !memcmp(text + key.begin, "type", 4);
	if (is_type == (rd->node != NULL))
		return br_spec_fail(tree, line.begin, -EINVAL, "the first key of section [%s], and only that, is type",
				    quote(rd->stack, rd->name).s);
	if (is_type)
		return set_type(rd, value);
	def = br_spec_keydef(rd->node->def, text + key.begin, key.end - key.begin);
	return def ? add_key(rd, def, key, value) : unknown_key(rd, key);
}

static int read_line(struct reader *rd, struct br_span line)
{
	const char *text = rd->stack->tree->text;

	line = trim(text, line);
	if (line.begin == line.end || text[line.begin] == '#')
		return 0;
	return text[line.begin] == '[' ? begin_section(rd, line) : read_key(rd, line);
}

static int read_lines(struct br_stack *stack, size_t len)
{
	struct reader rd = { .stack = stack };
	const char *text = stack->tree->text;
	int r = 0;

	for (size_t begin = 0, end; r == 0 && begin < len; begin = end + 1) {
		const char *newline = memchr(text + begin, '\n', len - begin);

		end = newline ? (size_t)(newline - text) : len;
		r = read_line(&rd, (struct br_span){ begin, end });
	}
	if (r == 0)
		r = finish_section(&rd);
	if (r == 0 && !stack->nr_sections)
		r = br_spec_fail(stack->tree, 0, -EINVAL, "no section");
	return r;
}

/* ---- whole files ------------------------------------------------------------------------------------------------- */

/* "dir/" of "dir/vol.blkr", "" of "vol.blkr". */
static const char *folder_of(struct br_spec_tree *tree, const char *file)
{
	const char *slash = strrchr(file, '/');

	return br_spec_strndup(tree, file, slash ? (size_t)(slash - file) + 1 : 0);
}

int br_stack_parse(const struct blkremap_env *env, const char *file, const char *text, size_t len,
		   struct br_stack **ret_stack)
{
	struct br_stack *stack;
	int r = 0;

	if (len > BR_SPEC_MAX_TEXT)
		return br_error(-EINVAL, "%s: longer than %d bytes", br_spec_quote_file(file).s, BR_SPEC_MAX_TEXT);
	if (memchr(text, '\0', len))
		return br_error(-EINVAL, "%s: not a text: a NUL byte", br_spec_quote_file(file).s);
	stack = br_alloc(env, sizeof(*stack));
	if (!stack)
		return br_error(-ENOMEM, "spec: no memory");
	stack->tree = br_spec_tree_new(env, text);
	if (stack->tree) {
		stack->tree->file = file;
		stack->tree->stack = stack;
		stack->tree->folder = folder_of(stack->tree, file);
	}
	if (!stack->tree || !stack->tree->folder)
		r = -ENOMEM;
	if (r == 0)
		r = read_lines(stack, len);
	if (r < 0) {
		br_spec_tree_free(stack->tree);
		br_free(env, stack, sizeof(*stack));
		return r;
	}
	stack->tree->text = stack->tree->file = NULL;	/* the caller's */
	*ret_stack = stack;
	return 0;
}

void br_stack_free(struct br_stack *stack)
{
	const struct blkremap_env *env;

	if (!stack)
		return;
	env = stack->tree->env;
	br_spec_tree_free(stack->tree);
	br_free(env, stack, sizeof(*stack));
}

/* All of @fd into @buf, one byte more than allowed at most; the length, or -errno. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t n = read(fd, buf + used, size - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

/* O_NONBLOCK: a fifo must not hold us up before fstat() can tell that it is one. */
static int open_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return br_error(-errno, "%s: cannot be opened as a stack file", br_spec_quote_file(path).s);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return br_error(-EINVAL, "%s: a stack file is a regular file", br_spec_quote_file(path).s);
	}
	return fd;
}

int br_stack_load(const struct blkremap_env *env, const char *path, struct br_stack **ret_stack)
{
	const size_t size = BR_SPEC_MAX_TEXT + 2;	/* one byte too many shows, and the NUL */
	ssize_t len;
	char *text;
	int fd = open_text(path), r;

	if (fd < 0)
		return fd;
	text = br_alloc(env, size);
	len = text ? read_all(fd, text, size - 1) : -ENOMEM;
	close(fd);
	if (len < 0)
		r = br_error((int)len, "%s: cannot be read", br_spec_quote_file(path).s);
	else
		r = br_stack_parse(env, path, text, (size_t)len, ret_stack);
	br_free(env, text, size);
	return r;
}

struct br_spec *br_stack_section(const struct br_stack *stack, const char *name)
{
	struct br_spec *section;

	if (!name)
		return stack->sections[stack->nr_sections - 1];
	section = br_stack_lookup(stack, name, strlen(name));
	if (!section)
		br_error(-ENOENT, "no section [%s] in the stack file", br_spec_quote(name, strlen(name)).s);
	return section;
}

struct br_spec *br_stack_next_snapshot(const struct br_stack *stack, const struct br_spec *origin,
				       const struct br_spec *after)
{
	bool behind = !after;

	for (uint32_t i = 0; i < stack->nr_sections; i++) {
		struct br_spec *s = stack->sections[i];

		if (behind && br_spec_is(s, "snapshot") && br_spec_child(s, "origin") == origin)
			return s;
		behind |= s == after;
	}
	return NULL;
}
