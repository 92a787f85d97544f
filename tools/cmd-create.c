/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "msg.h"
#include "size.h"
#include "spec.h"
#include "stack.h"
#include "verbs.h"

enum { OPT_ORIGIN = CTL_ID_OWN, OPT_STORE, OPT_CHUNK, OPT_SIZE };
static const struct ctl_opt opts[] = {
	{ OPT_ORIGIN, "origin", "SPEC", "what the snapshot is of" },
	{ OPT_STORE, "store", "FILE", "where what changes is kept: a file to be made, or a blank file or device" },
	{ OPT_CHUNK, "chunk", "SIZE", "unit of copying; 64K unless said" },
	{ OPT_SIZE, "size", "SIZE", "of a store to be made, or N% of the origin; enough for all of it unless said" },
	{ 'o', "output", "STACK", "also write a stack file, which then names the snapshot" },
	{ 'n', "dry-run", NULL, "say what would be made, and make nothing" },
	{ 'f', "force", NULL, "overwrite a store and a stack file that are there" },
	{ 0 }
};

struct create_args {
	const char *origin, *store, *stack, *size;
	uint64_t chunk;
	bool dry, force;
};

struct plan {
	uint64_t origin_bytes, store_bytes;
	uint64_t full_bytes; /* of a store that cannot overflow */
	bool make_store;
	char *stack_text;
};

static int parse(struct ctl_args *args, struct create_args *a)
{
	int id, r = 0;

	while (r == 0 && (id = ctl_args_next(args)) != 0) {
		if (id < 0)
			return id;
		if (id == OPT_ORIGIN)
			a->origin = args->value;
		else if (id == OPT_STORE)
			a->store = args->value;
		else if (id == OPT_CHUNK)
			r = ctl_args_size(args, "--chunk", &a->chunk);
		else if (id == OPT_SIZE)
			a->size = args->value;
		else if (id == 'o')
			a->stack = args->value;
		a->dry |= id == 'n';
		a->force |= id == 'f';
	}
	return r;
}

static int operands_check(struct ctl_args *args, const struct create_args *a)
{
	if (strcmp(args->operands[0], "snapshot"))
		return ctl_usage("'%s' is nothing that can be created; this version knows: snapshot",
				 args->operands[0]);
	if (!a->origin || !*a->origin)
		return ctl_usage("--origin SPEC is missing");
	if (!a->store || !*a->store)
		return ctl_usage("--store FILE is missing");
	if (!ctl_spec_is_path(a->store))
		return ctl_usage("--store: '%s' is a spec; a store is a file or a block device", a->store);
	if (!a->chunk)
		return ctl_usage("--chunk: 0 is not a size");
	return CTL_OK;
}

static int size_look(struct blkremap_ctx *ctx, const char *operand, uint64_t *ret_bytes)
{
	struct blkremap_dev *dev = NULL;
	int code = ctl_open(ctx, operand, BLKREMAP_RDONLY, &dev);

	if (code)
		return code;
	*ret_bytes = blkremap_dev_size(dev);
	return ctl_close(NULL, dev, operand, CTL_OK);
}

/* One file by two names, or one block device by two nodes. */
static bool is_same(const char *origin, const struct stat *store)
{
	struct stat st;

	if (!ctl_spec_is_path(origin) || stat(origin, &st) < 0)
		return false;
	if (S_ISBLK(st.st_mode) && S_ISBLK(store->st_mode))
		return st.st_rdev == store->st_rdev;
	return st.st_dev == store->st_dev && st.st_ino == store->st_ino;
}

/* What is there already decides: a store that exists keeps its size, and must not be the origin. */
static int store_look(struct blkremap_ctx *ctx, const struct create_args *a, struct plan *p)
{
	struct stat store;
	int r;

	if (stat(a->store, &store) < 0) {
		if (errno != ENOENT)
			return ctl_fail_text(a->store, -errno, "cannot be looked at");
		p->make_store = true;
		p->store_bytes = p->full_bytes;
		r = a->size ? ctl_share_parse(a->size, p->origin_bytes, &p->store_bytes) : 0;
		if (r < 0 || !p->store_bytes)
			return ctl_usage("--size: '%s' is %s", a->size,
					 r == -ERANGE ? "too large"
						      : "not a size (as 4096, 64K, 1GiB or 128s) or a share (as 20%)");
		return CTL_OK;
	}
	if (a->size)
		return ctl_usage("--size is for a store to be made, and '%s' is there already", a->store);
	if (is_same(a->origin, &store))
		return ctl_fail_text(a->store, 0, "is the origin itself");
	return size_look(ctx, a->store, &p->store_bytes);
}

static int stack_look(const struct create_args *a, struct plan *p)
{
	const char *why;
	struct stat st;
	int r;

	if (!a->stack)
		return CTL_OK;
	if (!a->force && lstat(a->stack, &st) == 0) {
		r = ctl_fail_text(a->stack, -EEXIST, "will not be overwritten");
		ctl_hint("-f overwrites it");
		return r;
	}
	r = ctl_stack_text(a->stack, a->origin, a->store, &p->stack_text, &why);
	return r < 0 ? ctl_fail_text(a->stack, r, "%s", why) : CTL_OK;
}

static void plan_say(const struct create_args *a, const struct plan *p)
{
	uint64_t chunks = (p->origin_bytes + a->chunk - 1) / a->chunk;
	char grow[96] = "";

	if (p->store_bytes)
		snprintf(grow, sizeof(grow), ", store may grow to %s", ctl_human(p->store_bytes).s);
	ctl_say(stdout, "%s: %ssnapshot of %s (%s), %s chunks, %s chunks%s", a->store, a->dry ? "would be made: " : "",
		a->origin, ctl_human(p->origin_bytes).s, ctl_human(a->chunk).s, ctl_thousands(chunks).s, grow);
	if (p->store_bytes && p->store_bytes < p->full_bytes)
		ctl_say(stdout, "%s: full before all has changed; a store of %s never is", a->store,
			ctl_human(p->full_bytes).s);
}

enum { MAX_NAME = 64 }; /* as in struct blkremap_dev_info; what is longer gets a made-up name in messages */

static int store_format(struct blkremap_ctx *ctx, const struct create_args *a, const struct plan *p)
{
	struct blkremap_open_opts oo = { .size = sizeof(oo),
					 .name = strlen(a->store) < MAX_NAME ? a->store : NULL,
					 .flags = p->make_store ? BLKREMAP_CREATE : 0,
					 .bytes = p->make_store ? p->store_bytes : 0 };
	struct blkremap_snapshot_opts so = { .size = sizeof(so),
					     .flags = a->force ? BLKREMAP_FORCE : 0,
					     .chunk_bytes = a->chunk };
	struct blkremap_dev *store = NULL;
	int code = CTL_OK, r = blkremap_file_open(ctx, a->store, &oo, &store);

	if (r < 0)
		return ctl_fail(a->store, r);
	r = blkremap_snapshot_create(ctx, store, &so);
	if (r < 0)
		code = ctl_fail(a->store, r);
	if (r == -EEXIST)
		ctl_hint("-f overwrites it");
	code = ctl_close(NULL, store, a->store, code);
	if (code && p->make_store)
		unlink(a->store);
	return code;
}

static int plan_do(struct blkremap_ctx *ctx, const struct create_args *a, const struct plan *p)
{
	int r, code = a->dry ? CTL_OK : store_format(ctx, a, p);

	if (code)
		return code;
	plan_say(a, p);
	if (!a->stack)
		return CTL_OK;
	if (a->dry) {
		ctl_say(stdout, "%s: would be written:", a->stack);
		fputs(p->stack_text, stdout);
		return CTL_OK;
	}
	r = ctl_stack_write(a->stack, p->stack_text, a->force);
	if (r < 0)
		return ctl_fail_text(a->stack, r, "the store is made, but this could not be written");
	ctl_say(stdout, "%s: written; try 'blkremap-ctl info %s%s'", a->stack, ctl_spec_stack(a->stack) ? "" : "@",
		a->stack);
	return CTL_OK;
}

static int plan_make(struct blkremap_ctx *ctx, const struct create_args *a, struct plan *p)
{
	int r, code = size_look(ctx, a->origin, &p->origin_bytes);

	if (code)
		return code;
	if (!p->origin_bytes)
		return ctl_fail_text(a->origin, 0, "is empty");
	r = blkremap_meta_size("snapshot", p->origin_bytes, a->chunk, &p->full_bytes);
	if (r < 0) {
		code = ctl_fail("--chunk", r);
		return r == -EINVAL ? CTL_USAGE : code;
	}
	code = store_look(ctx, a, p);
	if (code)
		return code;
	return stack_look(a, p);
}

static int run(struct ctl_args *args)
{
	struct create_args a = { .chunk = 65536 };
	struct blkremap_ctx *ctx = NULL;
	struct plan p = { 0 };
	int code;

	if (parse(args, &a) < 0)
		return args->exit_code;
	code = operands_check(args, &a);
	if (!code)
		code = ctl_ctx_new(&ctx);
	if (!code)
		code = plan_make(ctx, &a, &p);
	if (!code)
		code = plan_do(ctx, &a, &p);
	free(p.stack_text);
	return ctl_close(ctx, NULL, NULL, code);
}

const struct ctl_verb ctl_verb_create = {
	.name = "create",
	.operands = "snapshot",
	.summary = "make the store of a new snapshot, and a stack file that names it",
	.text = "The snapshot is of the origin as it is now, so nothing may write the origin meanwhile, and from\n"
		"now on only through the stack.  The store is in the format of the kernel's persistent snapshot,\n"
		"version 1.  A store that is not blank and a stack file that is there are refused.  -n says what\n"
		"would be done.",
	.example = "blkremap-ctl create snapshot --origin base.img --store snap.cow -o vol.blkr",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
