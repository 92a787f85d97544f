/* SPDX-License-Identifier: BSD-3-Clause */
/* Check, repair, dump and restore: meta/'s offline tools over devices that are opened for it. */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "base/error.h"
#include "meta/snap-check.h"
#include "meta/snap-dump.h"
#include "meta/snap-repair.h"
#include "meta/snap-restore.h"

/* ---- a store to look at ------------------------------------------------------------------------------------------ */

struct store {
	struct blkremap_dev *dev;
	struct br_snap_io io;
	struct br_snap_check_opts opts;
	void *bounce;			/* one logical block, for reads of less */
};

/* The tools read sectors of 512 bytes; a device with larger blocks is read by those. */
static int read_store(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct store *s = arg;
	uint32_t block = s->dev->dev->logical_block;
	uint64_t begin = offset - offset % block;
	int r;

	if (offset % block == 0 && len % block == 0)
		return blkremap_pread(s->dev, buf, len, offset, 0);
	if (offset + len > begin + block)
		return br_error(-EINVAL, "%s: a read of %zu bytes at offset %" PRIu64 " is not of whole blocks",
				s->dev->dev->name, len, offset);
	r = blkremap_pread(s->dev, s->bounce, block, begin, 0);
	if (r == 0)
		memcpy(buf, (char *)s->bounce + (offset - begin), len);
	return r;
}

static int write_store(void *arg, uint64_t offset, const void *buf, size_t len)
{
	struct store *s = arg;
	uint32_t block = s->dev->dev->logical_block;
	uint64_t begin = offset - offset % block;
	int r;

	if (offset % block == 0 && len % block == 0)
		return blkremap_pwrite(s->dev, buf, len, offset, 0);
	r = blkremap_pread(s->dev, s->bounce, block, begin, 0);
	if (r == 0) {
		memcpy((char *)s->bounce + (offset - begin), buf, len);
		r = blkremap_pwrite(s->dev, s->bounce, block, begin, 0);
	}
	return r;
}

static int flush_store(void *arg)
{
	struct store *s = arg;

	return blkremap_flush(s->dev);
}

static void close_store(struct store *s, const struct blkremap_env *env)
{
	br_free(env, s->bounce, 4096);
	blkremap_dev_close(s->dev);
}

static int open_store(struct blkremap_ctx *ctx, const char *spec, uint32_t flags, struct store *s)
{
	int r;

	memset(s, 0, sizeof(*s));
	if (!ctx || !spec)
		return br_error(-EINVAL, "no context, or no spec");
	r = br_open_store(ctx, spec, flags, &s->dev, &s->opts.origin_bytes);
	if (r < 0)
		return r;
	s->bounce = br_alloc_aligned(ctx->core.env, 4096, 4096);
	if (!s->bounce) {
		blkremap_dev_close(s->dev);
		return br_error(-ENOMEM, "no memory for a block");
	}
	s->io = (struct br_snap_io){ .read = read_store, .write = flags & BLKREMAP_RDONLY ? NULL : write_store,
				     .flush = flush_store, .arg = s, .bytes = blkremap_dev_size(s->dev) };
	return 0;
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

struct report {
	blkremap_finding_fn fn;
	void *opaque;
	int worst;
	uint64_t chunk_bytes;		/* of a repair: losses are told in bytes of the snapshot */
};

static int tell(struct report *rep, struct blkremap_finding f)
{
	f.size = sizeof(f);
	if ((int)f.severity > rep->worst)
		rep->worst = (int)f.severity;
	return rep->fn ? rep->fn(rep->opaque, &f) : 0;
}

static int tell_finding(void *arg, const struct br_snap_finding *f)
{
	return tell(arg, (struct blkremap_finding){ .severity = f->severity, .offset = f->offset, .length = f->length,
						    .code = f->severity == BR_SNAP_CORRUPT ?
						    BLKREMAP_CODE_META_DAMAGED : 0, .text = f->text });
}

static int result(const struct report *rep, int r)
{
	if (r == 0 || (r == -EBADMSG && rep->worst))
		return rep->worst;
	return r;
}

int blkremap_check(struct blkremap_ctx *ctx, const char *spec, uint32_t flags, blkremap_finding_fn fn, void *opaque)
{
	struct report rep = { .fn = fn, .opaque = opaque };
	struct br_snap_visitor v = { .finding = tell_finding, .arg = &rep };
	struct br_snap_verdict verdict;
	struct store s;
	int r;

	if (flags)
		return br_error(-EINVAL, "check: unknown flags");
	r = open_store(ctx, spec, BLKREMAP_RDONLY, &s);
	if (r < 0)
		return r;
	r = br_snap_check(ctx->core.env, &s.io, &s.opts, &v, &verdict);
	close_store(&s, ctx->core.env);
	return result(&rep, r);
}

/* ---- repair ------------------------------------------------------------------------------------------------------ */

static int is_blank(struct store *s)
{
	struct br_snap_header h;
	uint8_t sector[BR_SNAP_HEADER_BYTES];
	int r = read_store(s, 0, sector, sizeof(sector));

	if (r == 0)
		r = br_snap_header_parse(sector, &h);
	if (r == -ENODATA)
		return 0;
	return r == 0 || r == -EBADMSG || r == -EOVERFLOW ? br_error(-EEXIST, "%s is not blank", s->dev->dev->name) : r;
}

/* What is damaged is one thing, what is lost by it another: only losses are told as such. */
static int tell_damage(void *arg, const struct br_snap_finding *f)
{
	struct br_snap_finding softer = *f;

	softer.severity = BR_MIN(f->severity, BR_SNAP_UNCLEAN);
	return tell_finding(arg, &softer);
}

static int note_chunk(void *arg, const struct br_snap_verdict *v)
{
	struct report *rep = arg;

	rep->chunk_bytes = v->layout.chunk_bytes;
	return 0;
}

static int tell_lost(void *arg, uint64_t old_chunk, uint64_t index, const char *text)
{
	struct blkremap_finding f = { .severity = BR_SNAP_CORRUPT, .code = BLKREMAP_CODE_META_DAMAGED };
	struct report *rep = arg;

	br_error(0, "lost: chunk %" PRIu64 " (exception %" PRIu64 "), which reads the origin again: %s", old_chunk,
		 index, text);
	f.text = br_error_text();
	if (old_chunk < BR_SNAP_CHUNK_LIMIT) {	/* else it was never a chunk of any snapshot */
		f.offset = old_chunk * rep->chunk_bytes;
		f.length = rep->chunk_bytes;
	}
	return tell(rep, f);
}

/* What nothing names any more: behind what could not be read, and of an invalid store. */
static int tell_unknown(struct report *rep, const struct br_snap_repaired *done)
{
	struct blkremap_finding f = { .severity = BR_SNAP_CORRUPT, .code = BLKREMAP_CODE_META_DAMAGED };

	if (!done->was.valid)
		br_error(0, "lost: whatever the origin has overwritten since the store became invalid, "
			 "and nothing tells what that was");
	else if (done->was.unknown)
		br_error(0, "lost: up to %" PRIu64 " exceptions that could not be read", done->was.unknown);
	else
		return 0;
	f.text = br_error_text();
	return tell(rep, f);
}

static int tell_kept(struct report *rep, const struct br_snap_repaired *done)
{
	struct blkremap_finding f = { .severity = BR_SNAP_NOTE };

	if (rep->worst < BR_SNAP_CORRUPT)
		return 0;
	br_error(0, "%" PRIu64 " of %" PRIu64 " exceptions kept", done->kept, done->kept + done->lost);
	f.text = br_error_text();
	return tell(rep, f);
}

static int repair_into(struct blkremap_ctx *ctx, struct store *from, struct store *to, struct report *rep)
{
	struct br_snap_repair_visitor v = { tell_damage, note_chunk, tell_lost, rep };
	struct br_snap_repaired done;
	int r;

	from->opts.deep = true;
	r = br_snap_repair(ctx->core.env, &from->io, &from->opts, to ? &to->io : NULL, &v, &done);
	if (r == 0)
		r = tell_unknown(rep, &done);
	return r ? r : tell_kept(rep, &done);
}

int blkremap_repair(struct blkremap_ctx *ctx, const char *spec, const char *out_spec, uint32_t flags,
		    blkremap_finding_fn fn, void *opaque)
{
	struct report rep = { .fn = fn, .opaque = opaque };
	struct store from, to;
	int r;

	if (flags & ~(uint32_t)BLKREMAP_FORCE)
		return br_error(-EINVAL, "repair: unknown flags");
	r = open_store(ctx, spec, BLKREMAP_RDONLY, &from);
	if (r < 0)
		return r;
	if (!out_spec) {
		r = repair_into(ctx, &from, NULL, &rep);
	} else if ((r = open_store(ctx, out_spec, 0, &to)) == 0) {
		r = flags & BLKREMAP_FORCE ? 0 : is_blank(&to);
		if (r == 0)
			r = repair_into(ctx, &from, &to, &rep);
		close_store(&to, ctx->core.env);
	}
	close_store(&from, ctx->core.env);
	return r ? r : rep.worst;
}

/* ---- dump and restore -------------------------------------------------------------------------------------------- */

struct output {
	blkremap_write_fn fn;
	void *opaque;
};

static int put_line(void *arg, const char *line, size_t len)
{
	struct output *o = arg;

	return o->fn(o->opaque, line, len);
}

static int check_format(const char *format)
{
	if (format && strcmp(format, "text") != 0)
		return br_error(-EOPNOTSUPP, "unknown format '%s': there is only text", format);
	return 0;
}

int blkremap_dump(struct blkremap_ctx *ctx, const char *spec, const char *format, blkremap_write_fn fn, void *opaque)
{
	struct output o = { fn, opaque };
	struct br_snap_verdict verdict;
	struct store s;
	int r = check_format(format);

	if (r < 0 || !fn)
		return r < 0 ? r : br_error(-EINVAL, "dump: nobody takes the text");
	r = open_store(ctx, spec, BLKREMAP_RDONLY, &s);
	if (r < 0)
		return r;
	r = br_snap_dump(ctx->core.env, &s.io, &s.opts, put_line, &o, &verdict);
	close_store(&s, ctx->core.env);
	return r;
}

/* Text comes in pieces of any size; lines go out. */
struct lines {
	blkremap_read_fn fn;
	void *opaque;
	char buf[4096];
	size_t have;
};

static int give_lines(struct lines *l, struct br_snap_restore *rs, bool last)
{
	char *start = l->buf, *end;
	size_t left = l->have, n;
	int r = 0;

	while (r == 0 && left) {
		end = memchr(start, '\n', left);
		if (!end && !last)
			break;
		n = end ? (size_t)(end - start) + 1 : left;
		r = br_snap_restore_line(rs, start, n);
		start += n;
		left -= n;
	}
	memmove(l->buf, start, left);
	l->have = left;
	if (r == 0 && left == sizeof(l->buf))
		r = br_error(-EBADMSG, "a line is longer than %zu bytes", sizeof(l->buf));
	return r;
}

static int feed(struct lines *l, struct br_snap_restore *rs)
{
	uint64_t count;
	int64_t n;
	int r;

	do {
		n = l->fn(l->opaque, l->buf + l->have, sizeof(l->buf) - l->have);
		if (n < 0)
			return (int)n;
		l->have += (size_t)n;
		r = give_lines(l, rs, n == 0);
	} while (r == 0 && n > 0);
	return r < 0 ? r : br_snap_restore_end(rs, &count);
}

static int restore(struct blkremap_ctx *ctx, struct store *s, struct lines *l)
{
	struct br_snap_restore *rs;
	int r = br_snap_restore_new(ctx->core.env, &s->io, &rs);

	if (r < 0)
		return r;
	r = feed(l, rs);
	br_snap_restore_free(rs);
	return r;
}

int blkremap_restore(struct blkremap_ctx *ctx, const char *spec, const char *format, uint32_t flags,
		     blkremap_read_fn fn, void *opaque)
{
	struct lines l = { .fn = fn, .opaque = opaque };
	struct store s;
	int r = check_format(format);

	if (r < 0 || !fn || flags & ~(uint32_t)BLKREMAP_FORCE)
		return r < 0 ? r : br_error(-EINVAL, "restore: nobody gives the text, or unknown flags");
	r = open_store(ctx, spec, 0, &s);
	if (r < 0)
		return r;
	r = flags & BLKREMAP_FORCE ? 0 : is_blank(&s);
	if (r == 0)
		r = restore(ctx, &s, &l);
	close_store(&s, ctx->core.env);
	return r;
}
