/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nodes, keys, and the arena they live in; the checks of single values; the getters.
 *
 * The arena is a list of blocks that only grows.  What it can hold is bounded by the parsers: the text by
 * BR_SPEC_MAX_TEXT, the nodes by BR_SPEC_MAX_NODES, and a key needs at least two bytes of text.
 */
#include "api/spec-build.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/units.h"
#include "base/env.h"
#include "base/error.h"

enum { BLOCK_BYTES = 4096, PATH_MAX_BYTES = 4095 };

struct br_spec_block {
	struct br_spec_block *next;
	size_t size, used;		/* both with this header */
};

/* ---- arena ------------------------------------------------------------------------------------------------------- */

struct br_spec_tree *br_spec_tree_new(const struct blkremap_env *env, const char *text)
{
	struct br_spec_tree *tree = br_alloc(env, sizeof(*tree));

	if (!tree) {
		br_error(-ENOMEM, "spec: no memory");
		return NULL;
	}
	tree->env = env;
	tree->text = text;
	return tree;
}

void br_spec_tree_free(struct br_spec_tree *tree)
{
	struct br_spec_block *block, *next;

	if (!tree)
		return;
	for (block = tree->blocks; block; block = next) {
		next = block->next;
		br_free(tree->env, block, block->size);
	}
	br_free(tree->env, tree, sizeof(*tree));
}

static size_t round_up(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

void *br_spec_alloc(struct br_spec_tree *tree, size_t size)
{
	struct br_spec_block *block = tree->blocks;
	size_t head = round_up(sizeof(*block));
	void *p;

	size = round_up(size);
	if (!block || block->size - block->used < size) {
		size_t bytes = BR_MAX((size_t)BLOCK_BYTES, head + size);

		block = br_alloc(tree->env, bytes);
		if (!block) {
			br_error(-ENOMEM, "spec: no memory");
			return NULL;
		}
		block->size = bytes;
		block->used = head;
		block->next = tree->blocks;
		tree->blocks = block;
	}
	p = (char *)block + block->used;
	block->used += size;
	return p;
}

char *br_spec_strndup(struct br_spec_tree *tree, const char *text, size_t len)
{
	char *s = br_spec_alloc(tree, len + 1);

	if (s)
		memcpy(s, text, len);
	return s;
}

/* ---- sentences --------------------------------------------------------------------------------------------------- */

struct br_spec_quote br_spec_quote(const char *text, size_t len)
{
	struct br_spec_quote q;
	const size_t room = sizeof(q.s) - 1;
	size_t n = BR_MIN(len, room);

	for (size_t i = 0; i < n; i++)
		q.s[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
	if (len > room)
		memcpy(q.s + room - 3, "...", 3);
	q.s[n] = '\0';
	return q;
}

struct br_spec_quote br_spec_quote_file(const char *path)
{
	const size_t room = sizeof(struct br_spec_quote) - 1;
	size_t len = strlen(path), skip = len > room ? len - room : 0;
	struct br_spec_quote q = br_spec_quote(path + skip, len - skip);

	if (skip)
		memcpy(q.s, "...", 3);
	return q;
}

static unsigned line_of(const char *text, size_t at)
{
	unsigned line = 1;

	for (size_t i = 0; i < at; i++)
		line += text[i] == '\n';
	return line;
}

int br_spec_fail(const struct br_spec_tree *tree, size_t at, int error, const char *fmt, ...)
{
	char what[224];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (!tree->file)
		return br_error(error, "spec: byte %zu: %s", at, what);
	return br_error(error, "%s:%u: %s", br_spec_quote_file(tree->file).s, line_of(tree->text, at), what);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* The text of a word or of a quoted text. */
static const char *raw_text(const struct br_spec_tree *tree, const struct br_spec_raw *raw, size_t *ret_len)
{
	*ret_len = raw->kind == BR_RAW_TEXT ? raw->len : raw->span.end - raw->span.begin;
	return raw->kind == BR_RAW_TEXT ? raw->text : tree->text + raw->span.begin;
}

static int set_path(struct br_spec_tree *tree, struct br_spec_key *key, const char *text, size_t len, size_t at)
{
	size_t folder = tree->folder && text[0] != '/' ? strlen(tree->folder) : 0;
	char *path;

	if (len + folder > PATH_MAX_BYTES)
		return br_spec_fail(tree, at, -EINVAL, "a path of %zu bytes; at most %d", len + folder, PATH_MAX_BYTES);
	path = br_spec_alloc(tree, folder + len + 1);
	if (!path)
		return -ENOMEM;
	if (folder)
		memcpy(path, tree->folder, folder);
	memcpy(path + folder, text, len);
	key->text = path;
	return 0;
}

static int set_name(struct br_spec_tree *tree, struct br_spec_key *key, const char *text, size_t len, size_t at)
{
	if (len > BR_SPEC_MAX_NAME)
		return br_spec_fail(tree, at, -EINVAL, "a name of %zu bytes; at most %d", len, BR_SPEC_MAX_NAME);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return br_spec_fail(tree, at, -EINVAL, "a name with a control character");
	key->text = br_spec_strndup(tree, text, len);
	return key->text ? 0 : -ENOMEM;
}

static int set_choice(struct br_spec_tree *tree, struct br_spec_key *key, const char *text, size_t len, size_t at)
{
	int choice = br_spec_choice(key->def, text, len);
	char choices[80];

	if (choice < 0) {
		br_spec_choices_text(key->def, choices, sizeof(choices));
		return br_spec_fail(tree, at, -EINVAL, "%s=%s: choose one of %s", key->name, br_spec_quote(text, len).s,
				    choices);
	}
	key->number = (uint64_t)choice;
	key->text = br_spec_strndup(tree, text, len);
	return key->text ? 0 : -ENOMEM;
}

static int set_number(struct br_spec_tree *tree, struct br_spec_key *key, const char *text, size_t len, size_t at)
{
	static const struct {
		int (*parse)(const char *text, size_t len, uint64_t *ret);
		const char *like;
	} kinds[] = {
		[BR_KEY_SIZE] = { br_size_parse, "a size, like 4096, 64K, 1G or 128s (sectors)" },
		[BR_KEY_TIME] = { br_time_parse, "a time, like 500ns, 20us, 5ms or 1s" },
		[BR_KEY_COUNT] = { br_count_parse, "a count, like 1 or 20" },
		[BR_KEY_BOOL] = { br_bool_parse, "yes or no" },
	};
	uint32_t kind = key->def->kind;
	int r = kinds[kind].parse(text, len, &key->number);

	if (r == -ERANGE)
		return br_spec_fail(tree, at, -EINVAL, "%s=%s is too large", key->name, br_spec_quote(text, len).s);
	if (r < 0)
		return br_spec_fail(tree, at, -EINVAL, "%s=%s is not %s", key->name, br_spec_quote(text, len).s,
				    kinds[kind].like);
	return 0;
}

static int set_text(struct br_spec_tree *tree, struct br_spec_key *key, const struct br_spec_raw *raw)
{
	size_t len, at = raw->span.begin;
	const char *text = raw_text(tree, raw, &len);

	if (!len)
		return br_spec_fail(tree, at, -EINVAL, "key '%s' has no value", key->name);
	if (key->def->kind == BR_KEY_PATH)
		return set_path(tree, key, text, len, at);
	if (key->def->kind == BR_KEY_NAME)
		return set_name(tree, key, text, len, at);
	if (key->def->kind == BR_KEY_CHOICE)
		return set_choice(tree, key, text, len, at);
	return set_number(tree, key, text, len, at);
}

static int set_device(struct br_spec *node, struct br_spec_key *key, const struct br_spec_raw *raw)
{
	int r = 0;

	if (raw->kind == BR_RAW_CHILD)
		key->child = raw->child;
	else
		r = br_spec_device_of(node->tree, raw, &key->child);
	if (r < 0)
		return r;
	node->depth = BR_MAX(node->depth, key->child->depth + 1);
	if (node->depth > BR_SPEC_MAX_DEPTH)
		return br_spec_fail(node->tree, key->at, -EINVAL, "deeper than %d devices", BR_SPEC_MAX_DEPTH);
	return 0;
}

static int set_value(struct br_spec *node, struct br_spec_key *key, const struct br_spec_raw *raw)
{
	if (raw->kind == BR_RAW_NUMBER) {
		key->number = raw->number;
		return 0;
	}
	if (key->def->kind == BR_KEY_DEVICE)
		return set_device(node, key, raw);
	if (raw->kind == BR_RAW_CHILD)
		return br_spec_fail(node->tree, raw->span.begin, -EINVAL, "key '%s' of %s takes no device", key->name,
				    node->type);
	return set_text(node->tree, key, raw);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

int br_spec_node_new(struct br_spec_tree *tree, const struct br_spec_typedef *type, size_t at,
		     struct br_spec **ret_node)
{
	struct br_spec *node;

	if (tree->nr_nodes >= BR_SPEC_MAX_NODES)
		return br_spec_fail(tree, at, -EINVAL, "more than %d devices", BR_SPEC_MAX_NODES);
	node = br_spec_alloc(tree, sizeof(*node));
	if (!node)
		return -ENOMEM;
	tree->nr_nodes++;
	node->type = type->name;
	node->def = type;
	node->at = at;
	node->depth = 1;
	node->tree = tree;
	*ret_node = node;
	return 0;
}

int br_spec_add(struct br_spec *node, const struct br_spec_keydef *def, size_t at, const struct br_spec_raw *raw)
{
	struct br_spec_key **tail, *key;

	if (!(def->flags & BR_KEY_REPEATED) && br_spec_find(node, def->name))
		return br_spec_fail(node->tree, at, -EINVAL, "key '%s' of %s is given twice", def->name, node->type);
	key = br_spec_alloc(node->tree, sizeof(*key));
	if (!key)
		return -ENOMEM;
	key->name = def->name;
	key->def = def;
	key->at = at;
	for (tail = &node->keys; *tail; tail = &(*tail)->next)
		;
	*tail = key;
	return set_value(node, key, raw);
}

int br_spec_node_finish(struct br_spec *node)
{
	const struct br_spec_typedef *type = node->def;
	const char *sentence;
	size_t at;

	for (size_t i = 0; i < type->nr_keys; i++)
		if ((type->keys[i].flags & BR_KEY_REQUIRED) && !br_spec_find(node, type->keys[i].name))
			return br_spec_fail(node->tree, node->at, -EINVAL, "%s needs the key '%s'", node->type,
					    type->keys[i].name);
	sentence = type->check ? type->check(node, &at) : NULL;
	return sentence ? br_spec_fail(node->tree, at, -EINVAL, "%s", sentence) : 0;
}

int br_spec_simple_node(struct br_spec_tree *tree, const char *type, const char *key, const struct br_spec_raw *raw,
			struct br_spec **ret_node)
{
	const struct br_spec_typedef *t = br_spec_type(type, strlen(type));
	struct br_spec *node = NULL;
	int r = br_spec_node_new(tree, t, raw->span.begin, &node);

	if (r < 0)
		return r;
	r = br_spec_add(node, br_spec_keydef(t, key, strlen(key)), raw->span.begin, raw);
	if (r == 0)
		*ret_node = node;
	return r;
}

void br_spec_free(struct br_spec *spec)
{
	if (spec)
		br_spec_tree_free(spec->tree);
}

/* ---- getters ----------------------------------------------------------------------------------------------------- */

bool br_spec_is(const struct br_spec *spec, const char *type)
{
	return !strcmp(spec->type, type);
}

const struct br_spec_key *br_spec_find(const struct br_spec *spec, const char *key)
{
	assert(br_spec_keydef(spec->def, key, strlen(key)));
	for (const struct br_spec_key *k = spec->keys; k; k = k->next)
		if (!strcmp(k->name, key))
			return k;
	return NULL;
}

const char *br_spec_text(const struct br_spec *spec, const char *key)
{
	const struct br_spec_key *k = br_spec_find(spec, key);

	return k ? k->text : NULL;
}

uint64_t br_spec_number(const struct br_spec *spec, const char *key, uint64_t otherwise)
{
	const struct br_spec_key *k = br_spec_find(spec, key);

	return k ? k->number : otherwise;
}

bool br_spec_yes(const struct br_spec *spec, const char *key)
{
	return br_spec_number(spec, key, 0) != 0;
}

struct br_spec *br_spec_child(const struct br_spec *spec, const char *key)
{
	const struct br_spec_key *k = br_spec_find(spec, key);

	return k ? k->child : NULL;
}

const char *br_spec_name(const struct br_spec *spec)
{
	for (const struct br_spec_key *k = spec->keys; k; k = k->next)
		if (!strcmp(k->name, "name"))
			return k->text;
	return spec->section;
}

bool br_spec_segment(const struct br_spec *spec, uint32_t i, struct br_spec **ret_dev, uint64_t *ret_offset,
		     uint64_t *ret_bytes)
{
	const struct br_spec_key *k = spec->keys;

	while (k && (strcmp(k->name, "dev") != 0 || i--))
		k = k->next;
	if (!k)
		return false;
	*ret_dev = k->child;
	*ret_offset = *ret_bytes = 0;
	for (k = k->next; k && strcmp(k->name, "dev") != 0; k = k->next) {
		if (!strcmp(k->name, "offset"))
			*ret_offset = k->number;
		if (!strcmp(k->name, "bytes"))
			*ret_bytes = k->number;
	}
	return true;
}
