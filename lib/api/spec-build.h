/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the parsers (spec.c, table-line.c, stackfile.c) build a tree.  Only they include this.
 *
 *	br_spec_node_new()		a node
 *	br_spec_add()			a key, from the raw text of its value, which is checked here; as often as needed
 *	br_spec_node_finish()		the node is whole: what is missing or contradicts itself is refused here
 *
 * All memory of a tree lies in its arena, so nothing is freed on errors but the tree.
 */
#ifndef BR_API_SPEC_BUILD_H
#define BR_API_SPEC_BUILD_H

#include "api/spec.h"
#include "api/spec-types.h"
#include "base/compiler.h"

struct blkremap_env;
struct br_stack;

/* A piece of the text: half open. */
struct br_span {
	size_t begin, end;
};

struct br_spec_tree {
	const struct blkremap_env *env;
	const char *text;		/* while parsing; offsets count from here.  NUL follows, none lies within */
	const char *file;		/* stack file: its name, for sentences; NULL: a spec */
	const char *folder;		/* stack file: what relative paths start with, "" or "dir/"; NULL: nothing */
	const struct br_stack *stack;	/* whose sections a word may name; NULL: none */
	struct br_spec_block *blocks;
	uint32_t nr_nodes;
};

/* The value of a key before it is checked against the key's kind. */
enum {
	BR_RAW_WORD,			/* as it stands in @span */
	BR_RAW_TEXT,			/* was quoted: @text, @len */
	BR_RAW_CHILD,			/* was a SPEC in parentheses: @child */
	BR_RAW_NUMBER			/* made by the parser itself, in the key's unit: @number */
};
struct br_spec_raw {
	uint32_t kind;
	struct br_span span;
	const char *text;
	size_t len;
	struct br_spec *child;
	uint64_t number;
};

struct br_spec_tree *br_spec_tree_new(const struct blkremap_env *env, const char *text);
void br_spec_tree_free(struct br_spec_tree *tree);	/* NULL is fine */
/* Zeroed, aligned to 16; NULL with a sentence.  Lives as long as the tree. */
void *br_spec_alloc(struct br_spec_tree *tree, size_t size);
char *br_spec_strndup(struct br_spec_tree *tree, const char *text, size_t len);

/* Leave "spec: byte AT: ..." or "FILE:LINE: ..." and return @error. */
int br_spec_fail(const struct br_spec_tree *tree, size_t at, int error, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Something from the text, shortened and made printable, for a sentence: br_spec_quote(text, len).s */
struct br_spec_quote {
	char s[48];
};
struct br_spec_quote br_spec_quote(const char *text, size_t len);
struct br_spec_quote br_spec_quote_file(const char *path);	/* shortened in front: the file's name is at the end */

int br_spec_node_new(struct br_spec_tree *tree, const struct br_spec_typedef *type, size_t at,
		     struct br_spec **ret_node);
/* Refuses what is no value of the kind of @def (a key of the node's type), and a key given before. */
int br_spec_add(struct br_spec *node, const struct br_spec_keydef *def, size_t at, const struct br_spec_raw *raw);
int br_spec_node_finish(struct br_spec *node);

/* A node of one key, @type and @key given: "file" and "path", "dev" and "name". */
int br_spec_simple_node(struct br_spec_tree *tree, const char *type, const char *key, const struct br_spec_raw *raw,
			struct br_spec **ret_node);

/* ---- spec.c ------------------------------------------------------------------------------------------------------ */

/* Parse the SPEC that fills @span.  @level: nodes above it. */
int br_spec_parse_span(struct br_spec_tree *tree, struct br_span span, uint32_t level, struct br_spec **ret_node);
/* Parse the VALUE that fills @span; a word may hold anything here. */
int br_spec_parse_value(struct br_spec_tree *tree, struct br_span span, uint32_t level, struct br_spec_raw *ret_raw);
/* The device that a word or text names: a section, "dev:NAME", "@FILE", a path. */
int br_spec_device_of(struct br_spec_tree *tree, const struct br_spec_raw *raw, struct br_spec **ret_node);
/* Would this text, alone, be taken for a path? */
bool br_spec_is_path(const char *text, size_t len);

/* ---- table-line.c ------------------------------------------------------------------------------------------------ */

/* "0 2097152 snapshot ...": two numbers and a word. */
bool br_spec_is_table_line(const char *text, size_t len);
int br_spec_parse_table_line(struct br_spec_tree *tree, struct br_span span, struct br_spec **ret_node);

/* ---- stackfile.c ------------------------------------------------------------------------------------------------- */

/* The section of that name that stands above the one being read, or NULL. */
struct br_spec *br_stack_lookup(const struct br_stack *stack, const char *name, size_t len);

#endif /* BR_API_SPEC_BUILD_H */
