/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A copy to a file grows under another name and gets its own when it is whole and durable, so nobody ever meets half an
 * image.  A copy to a block device, or to anything else that a spec names, happens in place.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "layers.h"
#include "msg.h"
#include "newfile.h"
#include "progress.h"
#include "range.h"
#include "size.h"
#include "spec.h"
#include "stop.h"
#include "verbs.h"

enum { OPT_SPARSE = CTL_ID_OWN, OPT_VERIFY, OPT_RATE };
static const struct ctl_opt opts[] = {
	{ OPT_SPARSE, "sparse", "SIZE",
	  "leave out blocks of zeroes of this size; 4K unless said, 0: write all that is data" },
	{ OPT_VERIFY, "verify", NULL, "afterwards read both and compare" },
	{ OPT_RATE, "rate", "SIZE/s", "at most so much a second" },
	{ 'f', "force", NULL, "overwrite DST" },
	CTL_OPT_PROGRESS,
	CTL_OPT_SHARED,
	{ 0 }
};

enum { ZERO_PIECE = 64 << 20 };

struct copy {
	const char *src_name, *dst_name;
	struct blkremap_ctx *ctx, *dst_ctx; /* two: both may be stacks that name their sections alike */
	struct blkremap_dev *src, *dst; /* dst NULL: standard output */
	struct ctl_newfile nf; /* path NULL: in place */
	bool fresh; /* DST reads as zeroes wherever nothing was written */
	uint64_t bytes, done, data_bytes;
	uint64_t sparse;
	bool verify, force;
	uint32_t open_flags;
	const char *how;
	struct ctl_progress progress;
	struct ctl_rate rate;
	unsigned char *buf, *back;
};

static int parse(struct ctl_args *args, struct copy *c)
{
	int id, r = 0;

	while (r == 0 && (id = ctl_args_next(args)) != 0) {
		if (id < 0)
			return id;
		if (id == OPT_SPARSE)
			r = ctl_args_size(args, "--sparse", &c->sparse);
		else if (id == OPT_RATE)
			r = ctl_args_rate(args, "--rate", &c->rate.bytes_per_s);
		else if (id == CTL_ID_PROGRESS)
			c->how = args->value;
		c->verify |= id == OPT_VERIFY;
		c->force |= id == 'f';
		c->open_flags |= id == 'U' ? BLKREMAP_NOLOCK : 0;
	}
	return r;
}

/* ---- the target ---- */

static int stdout_write(const unsigned char *p, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno == EINTR && !ctl_stopped())
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int target_write(struct copy *c, const unsigned char *p, size_t len, uint64_t off)
{
	int r;

	if (!c->dst) {
		r = stdout_write(p, len);
		return r == 0 || (r == -EINTR && ctl_stopped())
			   ? CTL_OK
			   : ctl_fail_text("standard output", r, "cannot be written");
	}
	r = blkremap_pwrite(c->dst, p, len, off, BLKREMAP_BACKGROUND);
	return r < 0 ? ctl_fail(c->dst_name, r) : CTL_OK;
}

static int target_zero(struct copy *c, uint64_t off, uint64_t len)
{
	int r, code = CTL_OK;

	if (c->fresh)
		return CTL_OK;
	if (c->dst) {
		r = blkremap_write_zeroes(c->dst, off, len, BLKREMAP_MAY_UNMAP);
		return r < 0 ? ctl_fail(c->dst_name, r) : CTL_OK;
	}
	memset(c->back, 0, CTL_PIECE);
	for (uint64_t n; len && !code && !ctl_stopped(); len -= n) {
		n = len < CTL_PIECE ? len : CTL_PIECE;
		code = target_write(c, c->back, (size_t)n, 0);
	}
	return code;
}

static int target_exists(struct copy *c, const struct stat *st)
{
	int code;

	if (S_ISDIR(st->st_mode))
		return ctl_fail_text(c->dst_name, -EISDIR, "cannot be written");
	if (!c->force) {
		code = ctl_fail_text(c->dst_name, -EEXIST, "will not be overwritten");
		ctl_hint("-f overwrites it");
		return code;
	}
	/* Whoever has it locked, this process included, needs the file that the copy would take the place of. */
	code = ctl_open(c->dst_ctx, c->dst_name, 0, &c->dst);
	if (code || !S_ISREG(st->st_mode))
		return code;
	code = ctl_close(NULL, c->dst, c->dst_name, CTL_OK);
	c->dst = NULL;
	return code;
}

static int target_make(struct copy *c)
{
	struct blkremap_open_opts oo = { .size = sizeof(oo), .flags = BLKREMAP_CREATE, .bytes = c->bytes };
	int r = ctl_newfile_begin(&c->nf, c->dst_name, c->force);

	if (r < 0)
		return ctl_fail_text(c->dst_name, r, "cannot be made");
	r = blkremap_file_open(c->dst_ctx, c->nf.temp, &oo, &c->dst);
	if (r < 0)
		return ctl_fail(c->dst_name, r);
	c->fresh = true;
	return CTL_OK;
}

static int target_open(struct copy *c)
{
	struct stat st;
	int code;

	if (!strcmp(c->dst_name, "-"))
		return CTL_OK;
	if (ctl_spec_is_path(c->dst_name) && !ctl_spec_stack(c->dst_name)) {
		code = stat(c->dst_name, &st) == 0 ? target_exists(c, &st) : CTL_OK;
		return code || c->dst ? code : target_make(c);
	}
	if (!c->force)
		return ctl_usage("'%s' is overwritten in place: -f is wanted", c->dst_name);
	return ctl_open(c->dst_ctx, c->dst_name, 0, &c->dst);
}

/* ---- copying ---- */

static int data_write(struct copy *c, uint64_t off, size_t len)
{
	bool zero = false;
	int code = CTL_OK;

	for (size_t at = 0, n; at < len && !code; at += n) {
		n = c->sparse ? ctl_run_zero(c->buf + at, len - at, (size_t)c->sparse, &zero) : len;
		if (zero && c->dst) {
			code = target_zero(c, off + at, n);
			continue;
		}
		code = target_write(c, c->buf + at, n, off + at);
		c->data_bytes += n;
	}
	return code;
}

static void piece_done(struct copy *c, uint64_t len)
{
	c->done += len;
	ctl_progress_show(&c->progress, c->done, c->verify ? 2 * c->bytes : c->bytes);
}

static int data_copy(struct copy *c, const struct blkremap_extent *x)
{
	uint64_t piece = ctl_rate_piece(&c->rate);
	int r, code = CTL_OK;

	for (uint64_t at = 0, n; at < x->length && !code && !ctl_stopped(); at += n) {
		n = x->length - at < piece ? x->length - at : piece;
		r = blkremap_pread(c->src, c->buf, (size_t)n, x->offset + at, BLKREMAP_BACKGROUND);
		if (r < 0)
			return ctl_fail(c->src_name, r);
		code = data_write(c, x->offset + at, (size_t)n);
		piece_done(c, n);
		ctl_rate_wait(&c->rate, n);
	}
	return code;
}

/* In pieces, too: a device that has to write the zeroes out must still hear a ^C. */
static int zero_copy(struct copy *c, const struct blkremap_extent *x)
{
	int code = CTL_OK;

	for (uint64_t at = 0, n; at < x->length && !code && !ctl_stopped(); at += n) {
		n = x->length - at < ZERO_PIECE ? x->length - at : ZERO_PIECE;
		code = target_zero(c, x->offset + at, n);
		piece_done(c, n);
	}
	return code;
}

/* For ctl_extents_each(): an exit code, or -1 when a signal came. */
static int extent_copy(void *opaque, const struct blkremap_extent *x)
{
	struct copy *c = opaque;
	int code;

	if (x->kind & (BLKREMAP_EXT_HOLE | BLKREMAP_EXT_ZERO))
		code = zero_copy(c, x);
	else
		code = data_copy(c, x);
	return code ? code : ctl_stopped() ? -EINTR : 0;
}

static int both_compare(struct copy *c)
{
	bool same;
	size_t run;
	int r;

	for (uint64_t off = 0, n; off < c->bytes && !ctl_stopped(); off += n) {
		n = c->bytes - off < CTL_PIECE ? c->bytes - off : CTL_PIECE;
		r = blkremap_pread(c->src, c->buf, (size_t)n, off, BLKREMAP_BACKGROUND);
		if (r < 0)
			return ctl_fail(c->src_name, r);
		r = blkremap_pread(c->dst, c->back, (size_t)n, off, BLKREMAP_BACKGROUND);
		if (r < 0)
			return ctl_fail(c->dst_name, r);
		run = ctl_run_same(c->buf, c->back, (size_t)n, 512, &same);
		if (!same || run < n)
			return ctl_fail_text(c->dst_name, 0, "differs from %s at offset %s", c->src_name,
					     ctl_thousands(same ? off + run : off).s);
		piece_done(c, n);
	}
	return CTL_OK;
}

/* Flushed before it is compared: what is then read may still come from a cache, but has been accepted by the medium. */
static int copy_all(struct copy *c)
{
	int r = ctl_extents_each(c->src, 0, extent_copy, c), code = CTL_OK;

	if (ctl_stopped())
		return CTL_OK;
	if (r)
		return r > 0 ? r : ctl_fail(c->src_name, r);
	if (!c->dst)
		return CTL_OK;
	r = blkremap_flush(c->dst);
	if (r < 0)
		return ctl_fail(c->dst_name, r);
	if (c->verify)
		code = both_compare(c);
	return code;
}

static int target_commit(struct copy *c)
{
	int r, code = ctl_close(NULL, c->dst, c->dst_name, CTL_OK);

	c->dst = NULL;
	if (code || !c->nf.path)
		return code;
	r = ctl_newfile_commit(&c->nf);
	return r < 0 ? ctl_fail_text(c->dst_name, r, "the copy is complete, but could not get its name") : CTL_OK;
}

static int copy_run(struct copy *c)
{
	uint64_t begin = ctl_now_ns();
	bool to_stdout;
	int code;

	c->buf = ctl_buffer_new(CTL_PIECE);
	c->back = ctl_buffer_new(CTL_PIECE);
	if (!c->buf || !c->back)
		return ctl_fail_text(NULL, -ENOMEM, "no memory for buffers");
	code = target_open(c);
	if (code)
		return code;
	to_stdout = !c->dst;
	if (c->dst && blkremap_dev_size(c->dst) < c->bytes)
		return ctl_fail_text(c->dst_name, -ENOSPC, "has %s, and %s has %s",
				     ctl_human(blkremap_dev_size(c->dst)).s, c->src_name, ctl_human(c->bytes).s);
	code = copy_all(c);
	ctl_progress_end(&c->progress);
	if (ctl_stopped()) {
		ctl_note("%s: stopped at %s%%; %s", c->dst_name,
			 ctl_percent(c->done, c->verify ? 2 * c->bytes : c->bytes, 1).s,
			 c->nf.path ? "nothing is kept of it" : "what is there is incomplete");
		return code;
	}
	if (!code)
		code = target_commit(c);
	if (!code && !to_stdout)
		ctl_say(stdout, "%s -> %s: %s, %s of it data, in %s%s", c->src_name, c->dst_name, ctl_human(c->bytes).s,
			ctl_human(c->data_bytes).s, ctl_duration(ctl_now_ns() - begin).s,
			c->verify ? ", verified" : "");
	return code;
}

static int run(struct ctl_args *args)
{
	static struct copy c;
	int code;

	c.sparse = 4096;
	c.nf.fd = -1;
	if (parse(args, &c) < 0)
		return args->exit_code;
	c.src_name = args->operands[0];
	c.dst_name = args->operands[1];
	if (c.verify && !strcmp(c.dst_name, "-"))
		return ctl_usage("--verify cannot read standard output back");
	if (c.sparse > CTL_PIECE)
		return ctl_usage("--sparse: more than %s", ctl_human(CTL_PIECE).s);
	if (ctl_progress_init(&c.progress, "copy", c.src_name, c.how) < 0)
		return ctl_usage("--progress: '%s' is not auto, tty, none or fd:N", c.how);
	code = ctl_ctx_new(&c.ctx);
	if (!code)
		code = ctl_open(c.ctx, c.src_name, BLKREMAP_RDONLY | c.open_flags, &c.src);
	if (!code)
		code = ctl_ctx_new(&c.dst_ctx);
	ctl_stop_catch();
	if (!code) {
		c.bytes = blkremap_dev_size(c.src);
		code = copy_run(&c);
	}
	code = ctl_close(c.dst_ctx, c.dst, c.dst_name, code);
	code = ctl_close(c.ctx, c.src, c.src_name, code);
	ctl_newfile_end(&c.nf);
	free(c.buf);
	free(c.back);
	ctl_stop_reraise();
	return code;
}

const struct ctl_verb ctl_verb_copy = {
	.name = "copy",
	.operands = "SRC DST",
	.summary = "flatten a device into a file, a device or a pipe",
	.text = "DST is a new file, '-' for standard output, or with -f anything that is overwritten.  Zeroes\n"
		"stay holes. A new file gets its name when it is complete and durable.  SRC is never written.",
	.example = "blkremap-ctl copy --verify vol.blkr flat.img",
	.opts = opts,
	.min_operands = 2,
	.max_operands = 2,
	.run = run,
};
