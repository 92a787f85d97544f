/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a name to a device: blkremap_open() walks the tree that api/spec.c made of it.
 *
 * Each node becomes a handle; the handles of inner nodes are closed at the end, for what is above holds its own
 * references.  A section of a stack file is opened once, however many refer to it (node->opener).
 *
 * An origin section brings its snapshots: it is opened suspended, each store is attached, then it is resumed, so that
 * no write can come before the last one is protected.  If any store is missing or damaged, nothing is opened; one that
 * is marked invalid is passed over, for nothing can be lost that is lost.
 */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "api/spec.h"
#include "api/stackfile.h"
#include "base/error.h"
#include "io/delay.h"
#include "io/error.h"

struct opener {
	struct blkremap_ctx *ctx;
	struct br_stack *stack;		/* NULL: a plain spec */
	uint32_t flags;			/* RDONLY, DIRECT, NOLOCK: of all */
	const struct blkremap_open_opts *opts;
	const struct br_spec *top;
	/* open_node(), which is below those that it calls */
	int (*open)(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret);
};

/* ---- handles of inner nodes -------------------------------------------------------------------------------------- */

static int child(struct opener *o, struct br_spec *n, const char *key, uint32_t flags, struct blkremap_dev **ret)
{
	struct br_spec *c = br_spec_child(n, key);

	*ret = NULL;
	return c ? o->open(o, c, flags, ret) : 0;
}

/* Sections are kept for whoever else refers to them, and closed with the rest at the end. */
static void close_child(struct opener *o, struct br_spec *n, const char *key, struct blkremap_dev *dev)
{
	struct br_spec *c = br_spec_child(n, key);

	if (dev && !(o->stack && c && c->section))
		blkremap_dev_close(dev);
}

static const char *name_of(const struct opener *o, const struct br_spec *n)
{
	const char *name = br_spec_name(n);

	return n == o->top && o->opts->name ? o->opts->name : name;
}

/* Of a type that has the key "ro". */
static uint32_t ro_flag(const struct br_spec *n)
{
	return br_spec_yes(n, "ro") ? BLKREMAP_RDONLY : 0;
}

/* ---- one function a type ----------------------------------------------------------------------------------------- */

/* A file without a name of its own is called by its path, if that is short and not taken. */
static int open_path(struct opener *o, const char *path, struct blkremap_open_opts *f, struct blkremap_dev **ret)
{
	bool try = !f->name && strlen(path) <= BR_SPEC_MAX_NAME && !(f->flags & BLKREMAP_CREATE);
	int r;

	if (try)
		f->name = path;
	r = blkremap_file_open(o->ctx, path, f, ret);
	if (!try || r != -EEXIST)
		return r;
	f->name = NULL;
	return blkremap_file_open(o->ctx, path, f, ret);
}

static int open_file(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret)
{
	struct blkremap_open_opts f = { .size = sizeof(f), .flags = flags, .name = name_of(o, n) };

	f.engine = br_spec_text(n, "engine") ? br_spec_text(n, "engine") : o->opts->engine;
	f.max_grow = br_spec_number(n, "max_grow", n == o->top ? o->opts->max_grow : 0);
	if (n == o->top) {
		f.flags |= o->opts->flags & BLKREMAP_CREATE;
		f.bytes = o->opts->bytes;
	}
	if (br_spec_find(n, "ro"))
		f.flags = br_spec_yes(n, "ro") ? f.flags | BLKREMAP_RDONLY : f.flags & ~(uint32_t)BLKREMAP_RDONLY;
	f.flags |= o->flags & BLKREMAP_RDONLY;
	if (br_spec_yes(n, "create")) {
		f.flags |= BLKREMAP_CREATE;
		f.bytes = br_spec_number(n, "bytes", 0);
	}
	if (br_spec_yes(n, "direct"))
		f.flags |= BLKREMAP_DIRECT;
	if (br_spec_yes(n, "nolock"))
		f.flags |= BLKREMAP_NOLOCK;
	return open_path(o, br_spec_text(n, "path"), &f, ret);
}

static int open_memory(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret)
{
	struct blkremap_open_opts m = { .size = sizeof(m), .flags = flags & BLKREMAP_RDONLY, .name = name_of(o, n) };

	return blkremap_mem_open(o->ctx, br_spec_number(n, "bytes", 0), &m, ret);
}

static int open_linear(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret)
{
	struct blkremap_open_opts l = { .size = sizeof(l), .name = name_of(o, n) };
	struct blkremap_segment segs[BR_SPEC_MAX_SEGMENTS];
	struct br_spec *c;
	uint32_t i, k;
	int r = 0;

	flags |= ro_flag(n);
	l.flags = flags & BLKREMAP_RDONLY;
	for (i = 0; r == 0 && i < BR_ARRAY_SIZE(segs); i++) {
		if (!br_spec_segment(n, i, &c, &segs[i].offset, &segs[i].bytes))
			break;
		r = o->open(o, c, flags, &segs[i].dev);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = blkremap_linear_open(o->ctx, segs, i, &l, ret);
	for (k = 0; k < i; k++)
		if (br_spec_segment(n, k, &c, &segs[k].offset, &segs[k].bytes) && !(o->stack && c->section))
			blkremap_dev_close(segs[k].dev);
	return r;
}

static int open_error(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret)
{
	static const uint32_t ops[] = { BR_ERROR_READS, BR_ERROR_WRITES, BR_ERROR_FLUSHES, 0 };
	struct br_error_opts e = { .name = name_of(o, n), .bytes = br_spec_number(n, "bytes", 0),
				   .ops = ops[br_spec_number(n, "op", 3) & 3], .nth = br_spec_number(n, "nth", 0),
				   .once = br_spec_yes(n, "once"), .error = br_spec_number(n, "errno", 0) ? -ENOSPC :
				   -EIO };
	struct blkremap_dev *below;
	struct br_dev *dev;
	int r = child(o, n, "dev", flags, &below);

	if (r < 0)
		return r;
	r = br_error_open(&o->ctx->core, below ? below->dev : NULL, &e, &dev);
	close_child(o, n, "dev", below);
	return r < 0 ? r : br_handle_new(o->ctx, dev, flags & BLKREMAP_RDONLY, ret);
}

static int open_delay(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret)
{
	struct br_delay_opts d = { .name = name_of(o, n), .read_ns = br_spec_number(n, "read", 0),
				   .write_ns = br_spec_number(n, "write", 0),
				   .flush_ns = br_spec_number(n, "flush", 0) };
	struct blkremap_dev *below;
	struct br_dev *dev;
	int r = child(o, n, "dev", flags, &below);

	if (r < 0)
		return r;
	r = br_delay_open(&o->ctx->core, below->dev, &d, &dev);
	close_child(o, n, "dev", below);
	return r < 0 ? r : br_handle_new(o->ctx, dev, flags & BLKREMAP_RDONLY, ret);
}

static uint32_t snapshot_flags(const struct br_spec *n)
{
	static const struct {
		const char *key;
		uint32_t flag;
	} map[] = { { "transient", BLKREMAP_SNAP_TRANSIENT }, { "merging", BLKREMAP_SNAP_MERGING },
		    { "discard_zeroes_cow", BLKREMAP_SNAP_DISCARD_ZEROES_COW },
		    { "discard_passdown", BLKREMAP_SNAP_DISCARD_PASSDOWN }, { "ro", BLKREMAP_RDONLY } };
	uint32_t flags = 0;

	for (size_t i = 0; i < BR_ARRAY_SIZE(map); i++)
		if (br_spec_yes(n, map[i].key))
			flags |= map[i].flag;
	return flags;
}

/* A transient snapshot without a store keeps its chunks in memory. */
static int open_store(struct opener *o, struct br_spec *n, uint32_t flags, uint64_t bytes, struct blkremap_dev **ret)
{
	int r = child(o, n, "store", flags, ret);

	return r == 0 && !*ret ? blkremap_mem_open(o->ctx, bytes, NULL, ret) : r;
}

static int attach(struct opener *o, struct br_spec *n, struct blkremap_dev *origin, uint32_t flags,
		  struct blkremap_dev **ret)
{
	struct blkremap_snapshot_opts s = { .size = sizeof(s), .flags = snapshot_flags(n) | (flags & BLKREMAP_RDONLY) };
	struct blkremap_dev *store;
	int r;

	s.name = name_of(o, n);
	s.chunk_bytes = br_spec_number(n, "chunk", 0);
	s.bytes = br_spec_number(n, "size", 0);
	s.when_full = (uint32_t)br_spec_number(n, "when_full", BLKREMAP_FULL_INVALIDATE);
	s.hold_ns = br_spec_number(n, "hold", 0);
	s.low_space = br_spec_number(n, "low_space", 0);
	s.grow_step = br_spec_number(n, "grow_step", 0);
	r = open_store(o, n, s.flags & BLKREMAP_RDONLY, blkremap_dev_size(origin) * 2 + (4 << 20), &store);
	if (r < 0)
		return r;
	r = blkremap_snapshot_open(o->ctx, origin, store, &s, ret);
	close_child(o, n, "store", store);
	return r;
}

static int attach_all(struct opener *o, struct br_spec *n, struct blkremap_dev *origin, uint32_t flags)
{
	struct br_spec *s = NULL;
	struct blkremap_dev *snap;
	int r = 0;

	while (o->stack && r == 0 && (s = br_stack_next_snapshot(o->stack, n, s))) {
		if (s->opener)
			continue;
		r = attach(o, s, origin, flags, &snap);
		if (r == 0)
			s->opener = snap;
		/* An invalid one has nothing left to protect; who wants it itself is told so when it is opened. */
		if (r == -ENOTRECOVERABLE)
			r = 0;
	}
	return r;
}

/*
 * The base of a snapshot that is named without an origin between them is only read, so that many may share it, unless a
 * merge is to write to it: then the stack's other snapshots of it are attached as well, for the merge must protect
 * them.
 */
static int open_snapshot(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret)
{
	struct br_spec *c = br_spec_child(n, "origin");
	struct blkremap_dev *origin;
	uint32_t below = flags;
	int r;

	if (!br_spec_is(c, "origin") && !br_spec_yes(n, "merging"))
		below |= BLKREMAP_RDONLY;
	r = o->open(o, c, below, &origin);
	if (r < 0)
		return r;
	if (!n->opener && o->stack && n->section && br_spec_yes(n, "merging"))
		r = attach_all(o, c, origin, flags);
	if (r == 0 && n->opener) {	/* opening the origin, or a merge, has attached us */
		close_child(o, n, "origin", origin);
		*ret = n->opener;
		return 0;
	}
	if (r == 0)
		r = attach(o, n, origin, flags, ret);
	close_child(o, n, "origin", origin);
	return r;
}

static int open_origin(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret)
{
	struct blkremap_open_opts oo = { .size = sizeof(oo), .name = name_of(o, n) };
	struct blkremap_dev *base, *origin;
	int r;

	flags |= ro_flag(n);
	oo.flags = (flags & BLKREMAP_RDONLY) | BLKREMAP_SUSPENDED;
	r = child(o, n, "base", flags, &base);
	if (r < 0)
		return r;
	r = blkremap_origin_open(o->ctx, base, &oo, &origin);
	close_child(o, n, "base", base);
	if (r < 0)
		return r;
	r = attach_all(o, n, origin, flags);
	if (r == 0)
		r = blkremap_resume(origin);
	if (r < 0) {
		blkremap_dev_close(origin);
		return r;
	}
	*ret = origin;
	return 0;
}

static int find_named(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret)
{
	const char *name = br_spec_text(n, "name");
	struct br_list *l;
	uint64_t id = 0;

	(void)flags;
	br_ctx_lock(&o->ctx->core);
	br_list_for_each(l, &o->ctx->core.devs) {
		struct br_dev *d = br_container_of(l, struct br_dev, ctx_link);

		if (!br_dev_is_hidden(d) && strcmp(d->name, name) == 0)
			id = d->id;
	}
	br_ctx_unlock(&o->ctx->core);
	return id ? blkremap_dev_get(o->ctx, id, ret) : br_error(-ENODEV, "no device named '%s' is open", name);
}

static const struct {
	const char *type;
	int (*open)(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret);
} types[] = {
	{ "file", open_file }, { "memory", open_memory }, { "linear", open_linear }, { "error", open_error },
	{ "delay", open_delay }, { "snapshot", open_snapshot }, { "origin", open_origin }, { "dev", find_named },
};

static int open_node(struct opener *o, struct br_spec *n, uint32_t flags, struct blkremap_dev **ret)
{
	int r;

	if (n->opener) {
		*ret = n->opener;
		return 0;
	}
	for (size_t i = 0; i < BR_ARRAY_SIZE(types); i++) {
		if (!br_spec_is(n, types[i].type))
			continue;
		r = types[i].open(o, n, flags, ret);
		if (r == 0 && o->stack && n->section)
			n->opener = *ret;
		return r;
	}
	return br_error(-EOPNOTSUPP, "a %s cannot be part of another device", n->type);
}

/* ---- stack files ------------------------------------------------------------------------------------------------- */

static bool is_merging(const struct br_stack *stack)
{
	for (uint32_t i = 0; i < stack->nr_sections; i++)
		if (br_spec_is(stack->sections[i], "snapshot") && br_spec_yes(stack->sections[i], "merging"))
			return true;
	return false;
}

/*
 * An origin stays, with the snapshots that it owns: while the top is merged into the base, or written when it has been,
 * the others must be protected, and the origin's close would end that.  So do snapshots that share a plain base with
 * one that is being merged.
 */
static bool must_stay(const struct br_stack *stack, const struct br_spec *s)
{
	if (br_spec_is(s, "origin"))
		return true;
	return br_spec_is(s, "snapshot") && !br_spec_is(br_spec_child(s, "origin"), "origin") && is_merging(stack);
}

/* What the top needs is referenced, so the others' handles go, but for those that go with it. */
static void close_sections(struct br_stack *stack, struct blkremap_dev *keep)
{
	for (uint32_t i = stack->nr_sections; i-- > 0;) {
		struct br_spec *s = stack->sections[i];
		struct blkremap_dev *dev = s->opener;

		if (!dev || dev == keep)
			continue;
		if (keep && must_stay(stack, s)) {
			dev->keeps = keep->keeps;
			keep->keeps = dev;
		} else {
			blkremap_dev_close(dev);
		}
	}
}

/*
 * What snapshots of this file are of must not be written past them.  NOLOCK is for those who say that they know what
 * they do.
 */
static int check_bypass(const struct opener *o, const struct br_spec *top)
{
	if (o->flags & (BLKREMAP_RDONLY | BLKREMAP_NOLOCK) || br_spec_is(top, "origin"))
		return 0;
	for (uint32_t i = 0; i < o->stack->nr_sections; i++) {
		struct br_spec *s = o->stack->sections[i];

		if (br_spec_is(s, "snapshot") && br_spec_child(s, "origin") == top)
			return br_error(-EBUSY,
					"section '%s' is the base of snapshot '%s': read it only, or make it an origin",
					top->section, s->section);
	}
	return 0;
}

static int open_stack(struct opener *o, struct br_spec *n, struct blkremap_dev **ret)
{
	struct br_spec *top;
	int r = br_stack_load(o->ctx->core.env, br_spec_text(n, "path"), &o->stack);

	if (r < 0)
		return r;
	top = br_stack_section(o->stack, br_spec_text(n, "section"));
	o->top = top;
	r = top ? check_bypass(o, top) : -EINVAL;
	if (r == 0)
		r = open_node(o, top, o->flags, ret);
	close_sections(o->stack, r == 0 ? *ret : NULL);
	br_stack_free(o->stack);
	return r;
}

int blkremap_open(struct blkremap_ctx *ctx, const char *spec, const struct blkremap_open_opts *opts,
		  struct blkremap_dev **ret_dev)
{
	static const uint32_t known = BLKREMAP_RDONLY | BLKREMAP_DIRECT | BLKREMAP_CREATE | BLKREMAP_NOLOCK |
				      BLKREMAP_SUSPENDED;
	struct blkremap_open_opts oo;
	struct opener o = { .ctx = ctx, .opts = &oo, .open = open_node };
	struct blkremap_dev *dev;
	struct br_spec *tree;
	int r = br_opts_read(&oo, sizeof(oo), opts);

	if (r < 0)
		return r;
	if (!ctx || !spec || !ret_dev || oo.flags & ~known)
		return br_error(-EINVAL, "open: no context, no spec, no place for the handle, or unknown flags");
	r = br_spec_parse(ctx->core.env, spec, &tree);
	if (r < 0)
		return r;
	o.flags = oo.flags & (BLKREMAP_RDONLY | BLKREMAP_DIRECT | BLKREMAP_NOLOCK);
	o.top = tree;
	r = br_spec_is(tree, "stack") ? open_stack(&o, tree, &dev) : open_node(&o, tree, o.flags, &dev);
	br_spec_free(tree);
	if (r < 0)
		return r;
	if (oo.flags & BLKREMAP_SUSPENDED)
		r = blkremap_suspend(dev, 0, -1);
	if (r < 0) {
		blkremap_dev_close(dev);
		return r;
	}
	*ret_dev = dev;
	return 0;
}

/* ---- only the store ---------------------------------------------------------------------------------------------- */

/* How large is what the snapshot is of?  0: cannot be told; then nothing is out of range. */
static uint64_t origin_bytes(struct opener *o, struct br_spec *n)
{
	uint64_t bytes = br_spec_number(n, "size", 0);
	struct br_spec *c = br_spec_child(n, "origin");
	struct blkremap_dev *dev;

	if (br_spec_is(c, "origin"))
		c = br_spec_child(c, "base");
	if (bytes || !c || open_node(o, c, BLKREMAP_RDONLY, &dev) < 0)
		return bytes;
	bytes = blkremap_dev_size(dev);
	if (!o->stack || !c->section)
		blkremap_dev_close(dev);
	return bytes;
}

static int open_store_of(struct opener *o, struct br_spec *n, struct blkremap_dev **ret, uint64_t *ret_origin_bytes)
{
	*ret_origin_bytes = 0;
	if (br_spec_is(n, "origin"))
		return br_error(-EOPNOTSUPP, "an origin has no metadata: name one of its snapshots");
	if (!br_spec_is(n, "snapshot"))
		return open_node(o, n, o->flags, ret);
	if (!br_spec_child(n, "store"))
		return br_error(-EOPNOTSUPP, "the snapshot has no store");
	*ret_origin_bytes = origin_bytes(o, n);
	return open_node(o, br_spec_child(n, "store"), o->flags, ret);
}

int br_open_store(struct blkremap_ctx *ctx, const char *spec, uint32_t flags, struct blkremap_dev **ret,
		  uint64_t *ret_origin_bytes)
{
	struct blkremap_open_opts none = { .size = sizeof(none) };
	struct opener o = { .ctx = ctx, .opts = &none, .open = open_node, .flags = flags };
	struct br_spec *tree, *top;
	int r = br_spec_parse(ctx->core.env, spec, &tree);

	if (r < 0)
		return r;
	top = tree;
	if (br_spec_is(tree, "stack")) {
		r = br_stack_load(ctx->core.env, br_spec_text(tree, "path"), &o.stack);
		top = r == 0 ? br_stack_section(o.stack, br_spec_text(tree, "section")) : NULL;
		r = r < 0 ? r : top ? 0 : -EINVAL;
	}
	o.top = top;
	if (r == 0)
		r = open_store_of(&o, top, ret, ret_origin_bytes);
	if (o.stack) {
		close_sections(o.stack, r == 0 ? *ret : NULL);
		br_stack_free(o.stack);
	}
	br_spec_free(tree);
	return r;
}
