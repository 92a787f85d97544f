/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one parser of device names: blkremap-spec(7) describes what people write, this is what the opener gets.
 *
 *	SPEC	:= PATH | URI | '@' STACKFILE [ '#' SECTION ] | 'dev:' NAME | DM TABLE LINE
 *		 | TYPE ':' KEY '=' VALUE { ',' KEY '=' VALUE }
 *	VALUE	:= WORD | '"' text '"' | '(' SPEC ')'
 *
 * Whatever was written, the result is a tree of nodes, each of one of the types that br_spec_describe() knows.  A
 * path is a "file" node, "@vol.blkr" a "stack" node (nothing is opened here; load it with api/stackfile.h), "dev:x" a
 * "dev" node, a dm table line what it means.  A key that takes a device always has a child, also for
 * "origin=base.img".
 *
 * The tree is valid once it exists: types, keys, values, missing, doubled and contradicting keys have been checked,
 * the depth is at most BR_SPEC_MAX_DEPTH, so walking it recursively is fine.  Getters therefore cannot fail; asking
 * for a key that the type does not have is a bug of the caller (assert).  Typical use:
 *
 *	struct br_spec *spec;
 *	int r = br_spec_parse(ctx->env, "snapshot:origin=base.img,store=(file:path=s.cow,direct=yes)", &spec);
 *
 *	if (r < 0)
 *		return r;		(br_error() has the sentence, with the byte it is about)
 *	r = open_node(ctx, spec, &dev);
 *	br_spec_free(spec);
 *
 *	static int open_node(ctx, spec, ret_dev)
 *	{
 *		if (br_spec_is(spec, "file"))
 *			...
 *		if (br_spec_is(spec, "snapshot"))
 *			return open_snapshot(ctx, spec, ret_dev);
 *
 *	static int open_snapshot(ctx, spec, ret_dev)
 *	{
 *		struct blkremap_snapshot_opts opts = {
 *			.size = sizeof(opts),
 *			.name = br_spec_name(spec),
 *			.chunk_bytes = br_spec_number(spec, "chunk", 0),
 *			.bytes = br_spec_number(spec, "size", 0),
 *			.when_full = (uint32_t)br_spec_number(spec, "when_full", BLKREMAP_FULL_INVALIDATE),
 *		};
 *		if (br_spec_yes(spec, "merging"))
 *			opts.flags |= BLKREMAP_SNAP_MERGING;
 *		r = open_node(ctx, br_spec_child(spec, "origin"), &origin);
 *		...			(br_spec_child(spec, "store") is NULL only with transient=yes)
 *
 * A linear's segments:
 *
 *	for (i = 0; br_spec_segment(spec, i, &child, &offset, &bytes); i++)	(bytes 0: to the end of child)
 *
 * Keys map on the public structs by their names; "size" of a snapshot is opts.bytes, "hold" is opts.hold_ns; yes|no
 * keys are flags.  Choices are numbers in the order written in blkremap-spec(7): when_full as BLKREMAP_FULL_*, op of
 * an error device as BLKREMAP_READ, WRITE, FLUSH and 3 for any, errno 0 for EIO and 1 for ENOSPC.
 */
#ifndef BR_API_SPEC_H
#define BR_API_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blkremap_env;
struct br_spec_keydef;
struct br_spec_tree;
struct br_spec_typedef;

enum {
	BR_SPEC_MAX_DEPTH = 32,		/* nodes from the top to any leaf, sections of a stack file included */
	BR_SPEC_MAX_NODES = 1024,	/* in one spec or stack file */
	BR_SPEC_MAX_SEGMENTS = 64,	/* of one linear */
	BR_SPEC_MAX_TEXT = 65536,	/* bytes of one spec or stack file */
	BR_SPEC_MAX_NAME = 63		/* bytes of a device's or a section's name, as in blkremap_dev_info */
};

struct br_spec_key {
	struct br_spec_key *next;	/* in the order written */
	const char *name;
	const struct br_spec_keydef *def;
	size_t at;			/* byte of the text where the key stands */
	const char *text;		/* texts, names, paths, choices; else NULL */
	uint64_t number;		/* bytes, ns, counts, yes 1 and no 0, index of a choice */
	struct br_spec *child;		/* keys that take a device; maybe another section's node */
};

struct br_spec {
	const char *type;		/* one of those that br_spec_describe() knows */
	const char *section;		/* of a stack file's sections: the name; else NULL */
	struct br_spec_key *keys;
	size_t at;			/* byte of the text where the node begins */
	uint32_t depth;			/* 1: no children */
	void *opener;			/* the opener's: what it made of this node; a shared section is made once */
	const struct br_spec_typedef *def;
	struct br_spec_tree *tree;
};

/*
 * Parse a spec.  Nothing is opened or looked at.
 * -EINVAL: wrong, the sentence says where.  -EOPNOTSUPP: a type or URI that this version does not build.  -ENOMEM.
 */
int br_spec_parse(const struct blkremap_env *env, const char *text, struct br_spec **ret_spec);
/* The whole tree; @spec is its top.  NULL is fine.  Not for sections of a stack: br_stack_free(). */
void br_spec_free(struct br_spec *spec);

bool br_spec_is(const struct br_spec *spec, const char *type);
const struct br_spec_key *br_spec_find(const struct br_spec *spec, const char *key);	/* the first, or NULL */
const char *br_spec_text(const struct br_spec *spec, const char *key);			/* NULL: not given */
uint64_t br_spec_number(const struct br_spec *spec, const char *key, uint64_t otherwise);
bool br_spec_yes(const struct br_spec *spec, const char *key);				/* not given: no */
struct br_spec *br_spec_child(const struct br_spec *spec, const char *key);		/* NULL: not given */
/* What the device shall be called: its "name" key, else its section, else NULL (make one up).  Not for "dev" nodes. */
const char *br_spec_name(const struct br_spec *spec);
/* Segment @i of a linear; false past the last one. */
bool br_spec_segment(const struct br_spec *spec, uint32_t i, struct br_spec **ret_dev, uint64_t *ret_offset,
		     uint64_t *ret_bytes);

/*
 * Write the canonical spec of a tree: it parses to an equal tree, and prints the same again.  Sections that a node
 * refers to are written out in place, so a stack file may print longer than BR_SPEC_MAX_TEXT.  -ENOSPC: does not fit
 * into @size.
 */
int br_spec_print(const struct br_spec *spec, char *buf, size_t size);

/* JSON text about a type's keys, static; NULL: no such type.  blkremap_describe() hands it out. */
const char *br_spec_describe(const char *type);

#endif /* BR_API_SPEC_H */
