/* SPDX-License-Identifier: BSD-3-Clause */
#include "meta/snap-dump.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/error.h"

enum { LINE_BYTES = 512 };	/* a finding's sentence has at most 320 */

struct line {
	char text[LINE_BYTES];
	size_t len;
};

struct dump {
	int (*out)(void *arg, const char *line, size_t len);
	void *arg;
	struct line line;
	struct br_snap_entry run;	/* the first of a run that is not written yet */
	uint64_t run_chunks;		/* 0: there is none */
	uint64_t count;
};

/* ---- lines ---- */

static void put(struct line *line, const char *text)
{
	size_t n = strlen(text), room = sizeof(line->text) - line->len;

	n = BR_MIN(n, room);
	memcpy(line->text + line->len, text, n);
	line->len += n;
}

static void put_number(struct line *line, uint64_t n)
{
	char digits[21];
	size_t at = sizeof(digits) - 1;

	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	put(line, digits + at);
}

static int out_line(struct dump *d)
{
	int r;

	put(&d->line, "\n");
	r = d->out(d->arg, d->line.text, d->line.len);
	d->line.len = 0;
	return r;
}

static int out_number(struct dump *d, const char *word, uint64_t n)
{
	put(&d->line, word);
	put_number(&d->line, n);
	return out_line(d);
}

static int out_words(struct dump *d, const char *first, const char *second)
{
	put(&d->line, first);
	put(&d->line, second);
	return out_line(d);
}

/* ---- dump ---- */

static int out_run(struct dump *d)
{
	if (!d->run_chunks)
		return 0;
	put(&d->line, "map ");
	put_number(&d->line, d->run.old_chunk);
	put(&d->line, " ");
	put_number(&d->line, d->run.new_chunk);
	put(&d->line, " ");
	put_number(&d->line, d->run_chunks);
	d->run_chunks = 0;
	return out_line(d);
}

/* Bad entries come as findings, too: one comment each, in their place. */
static int dump_finding(void *arg, const struct br_snap_finding *f)
{
	struct dump *d = arg;
	int r = out_run(d);

	return r ? r : out_words(d, f->severity == BR_SNAP_CORRUPT ? "# lost: " : "# note: ", f->text);
}

static int dump_begin(void *arg, const struct br_snap_verdict *v)
{
	struct dump *d = arg;
	int r = out_words(d, "snapshot-store 1", "");

	if (!r)
		r = out_number(d, "chunk-bytes ", v->layout.chunk_bytes);
	if (!r)
		r = out_words(d, "valid ", v->valid ? "yes" : "no");
	return r ? r : out_number(d, "chunks ", v->layout.chunks);
}

static int dump_entry(void *arg, struct br_snap_entry e, uint64_t index, enum br_snap_fault fault)
{
	struct dump *d = arg;
	int r = 0;

	(void)index;
	if (fault)
		return 0;
	d->count++;
	if (d->run_chunks && e.old_chunk == d->run.old_chunk + d->run_chunks &&
	    e.new_chunk == d->run.new_chunk + d->run_chunks) {
		d->run_chunks++;
		return 0;
	}
	r = out_run(d);
	d->run = e;
	d->run_chunks = 1;
	return r;
}

int br_snap_dump(const struct blkremap_env *env, const struct br_snap_io *io, const struct br_snap_check_opts *opts,
		 int (*out)(void *arg, const char *line, size_t len), void *arg, struct br_snap_verdict *ret)
{
	struct dump d = { .out = out, .arg = arg };
	const struct br_snap_visitor v = { dump_finding, dump_begin, dump_entry, &d };
	int r = br_snap_check(env, io, opts, &v, ret);

	if (!r)
		r = out_run(&d);
	return r ? r : out_number(&d, "end ", d.count);
}
