/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How it works: a line is cut into a word and numbers, the word chooses the rule.  The first map or end line needs the
 * lines before it, makes the layout and blanks the store; every chunk is checked as if it came from a disk, so that
 * what this writes, the loader takes.
 */
#include "meta/snap-restore.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/env.h"
#include "base/error.h"
#include "meta/chunk-set.h"
#include "meta/snap-rewrite.h"

enum { MAX_NUMBERS = 3 };

struct br_snap_restore {
	const struct blkremap_env *env;
	const struct br_snap_io *io;
	struct br_snap_layout layout;
	struct br_chunk_set new_chunks, old_chunks;
	uint64_t line, count, chunk_bytes;
	bool named, valid_known, valid, begun, ended;
	struct br_snap_rewrite w;
};

struct words {
	const char *text;	/* of the first word, up to a blank */
	size_t len;
	uint64_t n[MAX_NUMBERS];
	int nr;			/* numbers after the first word */
	bool yes, no;		/* there is a second word instead */
};

/* ---- parsing ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next word of [*at, end), or length 0. */
static size_t next_word(const char **at, const char *end, const char **ret)
{
	while (*at < end && is_blank(**at))
		(*at)++;
	*ret = *at;
	while (*at < end && !is_blank(**at))
		(*at)++;
	return (size_t)(*at - *ret);
}

/* A word of at least one character. */
static bool parse_number(const char *s, size_t len, uint64_t *ret)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || br_mul_overflows(n, 10, &n) ||
		    br_add_overflows(n, (uint64_t)(s[i] - '0'), &n))
			return false;
	}
	*ret = n;
	return true;
}

static bool word_is(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(s, word, len) == 0;
}

/* False if there is something in the line that cannot be. */
static bool parse_line(const char *line, size_t len, struct words *w)
{
	const char *hash = memchr(line, '#', len), *end = hash ? hash : line + len, *s;
	size_t n;

	w->len = next_word(&line, end, &w->text);
	while ((n = next_word(&line, end, &s))) {
		if (w->yes || w->no || w->nr == MAX_NUMBERS)
			return false;
		if (parse_number(s, n, &w->n[w->nr])) {
			w->nr++;
			continue;
		}
		w->yes = w->nr == 0 && word_is(s, n, "yes");
		w->no = w->nr == 0 && word_is(s, n, "no");
		if (!w->yes && !w->no)
			return false;
	}
	return true;
}

/* ---- lines ---- */

static int bad_line(const struct br_snap_restore *rs, const char *why)
{
	return br_error(-EBADMSG, "line %" PRIu64 " of the dump: %s", rs->line, why);
}

static int begin(struct br_snap_restore *rs)
{
	int r;

	if (rs->begun)
		return 0;
	if (!rs->named || !rs->chunk_bytes || !rs->valid_known)
		return bad_line(rs, "snapshot-store, chunk-bytes and valid have to come before it");
	r = br_snap_layout_init(&rs->layout, rs->chunk_bytes, rs->io->bytes);
	if (r == 0 && rs->io->write)
		r = br_snap_rewrite_begin(&rs->w, rs->env, rs->io, &rs->layout);
	rs->begun = r == 0;
	return r;
}

/* Both chunks free so far: 0, a fault, or -ENOMEM. */
static int claim(struct br_snap_restore *rs, struct br_snap_entry e)
{
	int r = (int)br_snap_entry_fault(&rs->layout, BR_SNAP_CHUNK_LIMIT, e);

	if (r)
		return r;
	r = br_chunk_set_add(&rs->new_chunks, e.new_chunk);
	if (r <= 0)
		return r < 0 ? r : BR_SNAP_NEW_TWICE;
	r = br_chunk_set_add(&rs->old_chunks, e.old_chunk);
	if (r <= 0)
		return r < 0 ? r : BR_SNAP_OLD_TWICE;
	return 0;
}

static int map_one(struct br_snap_restore *rs, struct br_snap_entry e)
{
	int r = claim(rs, e);

	if (r == BR_SNAP_NEW_BEYOND)
		return br_error(-ENOSPC, "line %" PRIu64 " of the dump needs chunk %" PRIu64 ", the store has %" PRIu64,
				rs->line, e.new_chunk, rs->layout.chunks);
	if (r > 0)
		return br_error(-EBADMSG, "line %" PRIu64 " of the dump maps chunk %" PRIu64 " to %" PRIu64 ": %s",
				rs->line, e.old_chunk, e.new_chunk, br_snap_fault_text((enum br_snap_fault)r));
	if (r == 0)
		r = br_snap_may_allocate(&rs->layout, rs->count, e.new_chunk);
	if (r == 0 && rs->io->write)
		r = br_snap_rewrite_put(&rs->w, e);
	if (r == 0)
		rs->count++;
	return r;
}

static int map_line(struct br_snap_restore *rs, const struct words *w)
{
	int r = begin(rs);

	/* Bounds each sum below; map_one() finds the chunk that is one too many. */
	if (r == 0 && (w->n[0] > BR_SNAP_CHUNK_LIMIT || w->n[1] > BR_SNAP_CHUNK_LIMIT))
		return bad_line(rs, "chunk numbers are below 2^48");
	for (uint64_t i = 0; r == 0 && i < w->n[2]; i++)
		r = map_one(rs, (struct br_snap_entry){ w->n[0] + i, w->n[1] + i });
	return r;
}

static int end_line(struct br_snap_restore *rs, const struct words *w)
{
	int r = begin(rs);

	if (r < 0)
		return r;
	if (w->n[0] != rs->count)
		return br_error(-EBADMSG, "line %" PRIu64 " of the dump counts %" PRIu64 " exceptions, there were %"
				PRIu64, rs->line, w->n[0], rs->count);
	if (rs->io->write)
		r = br_snap_rewrite_end(&rs->w, rs->valid);
	rs->ended = r == 0;
	return r;
}

static int chunk_line(struct br_snap_restore *rs, const struct words *w)
{
	if (rs->begun)
		return bad_line(rs, "the chunk size comes too late");
	if (!br_is_pow2(w->n[0]) || w->n[0] < BR_SNAP_CHUNK_MIN_READ || w->n[0] > BR_SNAP_CHUNK_MAX)
		return bad_line(rs, "not a chunk size");
	rs->chunk_bytes = w->n[0];
	return 0;
}

/* A line that has something in it. */
static int take_words(struct br_snap_restore *rs, const struct words *w)
{
	if (rs->ended)
		return bad_line(rs, "there is something after the end");
	if (word_is(w->text, w->len, "map") && w->nr == 3)
		return map_line(rs, w);
	if (word_is(w->text, w->len, "end") && w->nr == 1)
		return end_line(rs, w);
	if (word_is(w->text, w->len, "chunk-bytes") && w->nr == 1)
		return chunk_line(rs, w);
	if (word_is(w->text, w->len, "chunks") && w->nr == 1)
		return 0;
	if (word_is(w->text, w->len, "valid") && (w->yes || w->no)) {
		rs->valid = w->yes;
		rs->valid_known = true;
		return 0;
	}
	if (!word_is(w->text, w->len, "snapshot-store") || w->nr != 1)
		return bad_line(rs, "not a line of a snapshot store's dump");
	if (w->n[0] != 1)
		return bad_line(rs, "a dump of another version, only 1 is known");
	rs->named = true;
	return 0;
}

int br_snap_restore_line(struct br_snap_restore *rs, const char *line, size_t len)
{
	struct words w = { .nr = 0 };

	rs->line++;
	if (!parse_line(line, len, &w))
		return bad_line(rs, "not a number, or one too many");
	return w.len ? take_words(rs, &w) : 0;
}

/* ---- life ---- */

int br_snap_restore_new(const struct blkremap_env *env, const struct br_snap_io *io, struct br_snap_restore **ret)
{
	struct br_snap_restore *rs = br_alloc(env, sizeof(*rs));

	if (!rs)
		return br_error(-ENOMEM, "no memory for restoring a snapshot store");
	*rs = (struct br_snap_restore){ .env = env, .io = io };
	br_chunk_set_init(&rs->new_chunks, env);
	br_chunk_set_init(&rs->old_chunks, env);
	*ret = rs;
	return 0;
}

int br_snap_restore_end(struct br_snap_restore *rs, uint64_t *ret_count)
{
	if (!rs->ended)
		return br_error(-EBADMSG, "the dump breaks off after line %" PRIu64 ": there is no end line", rs->line);
	*ret_count = rs->count;
	return 0;
}

void br_snap_restore_free(struct br_snap_restore *rs)
{
	if (!rs)
		return;
	br_chunk_set_done(&rs->new_chunks);
	br_chunk_set_done(&rs->old_chunks);
	br_snap_rewrite_done(&rs->w);
	br_free(rs->env, rs, sizeof(*rs));
}
