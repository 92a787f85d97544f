/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stack files, blkremap-stack(5): a stack of devices in a file, one section a device, the last one is the top.
 *
 *	# vol.blkr
 *	[base]
 *	type = origin
 *	base = base.img
 *
 *	[monday]
 *	type = snapshot
 *	origin = base
 *	store = monday.cow
 *
 * A value of a key that takes a device may be the name of a section above it; so nothing can go round in a circle.  The
 * file is the persistent registry of which snapshots an origin has: whoever opens any section of it opens the origin
 * suspended, attaches all of br_stack_next_snapshot(), and resumes.  Use:
 *
 *	struct br_stack *stack;
 *	int r = br_stack_load(ctx->env, br_spec_text(spec, "path"), &stack);
 *
 *	if (r < 0)
 *		return r;
 *	top = br_stack_section(stack, br_spec_text(spec, "section"));	(NULL and a sentence: no such section)
 *	r = open_node(ctx, top, &dev);			(spec.h; node->opener keeps what a section has become)
 *	...
 *	for (s = NULL; (s = br_stack_next_snapshot(stack, origin, s)) != NULL; )
 *		attach(s);
 *	br_stack_free(stack);
 */
#ifndef BR_API_STACKFILE_H
#define BR_API_STACKFILE_H

#include <stddef.h>
#include <stdint.h>

#include "api/spec.h"

struct blkremap_env;

enum { BR_STACK_MAX_SECTIONS = 256 };

struct br_stack {
	struct br_spec_tree *tree;
	struct br_spec *sections[BR_STACK_MAX_SECTIONS];	/* in the order of the file; see node->section */
	uint32_t nr_sections;					/* at least 1 */
};

/*
 * Read and parse a stack file.  -EINVAL: not a regular file, too long, or wrong: the sentence has file and line.  Other
 * errors are those of open() and read().
 */
int br_stack_load(const struct blkremap_env *env, const char *path, struct br_stack **ret_stack);
/*
 * The same from memory.  @text ends with NUL at @text[len].  @file: what sentences call it; its folder is where
 * relative paths start.
 */
int br_stack_parse(const struct blkremap_env *env, const char *file, const char *text, size_t len,
		   struct br_stack **ret_stack);
void br_stack_free(struct br_stack *stack);	/* NULL is fine */

/* The section of that name; @name NULL: the top, which is the last one.  NULL with a sentence: none. */
struct br_spec *br_stack_section(const struct br_stack *stack, const char *name);
/* The first snapshot section of which @origin is the origin, behind @after (NULL: from the start); NULL: no more. */
struct br_spec *br_stack_next_snapshot(const struct br_stack *stack, const struct br_spec *origin,
				       const struct br_spec *after);

#endif /* BR_API_STACKFILE_H */
