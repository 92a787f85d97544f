/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One list of keys for each type, used twice: as rows of a table and as JSON text, so that the two cannot part ways.
 * A line reads: name, kind, flags, choices, default (for people), what it is.  The first line of a list is FIRST,
 * because JSON has no comma before it.
 */
#include "api/spec-types.h"

#include <stdio.h>
#include <string.h>

#include "api/spec.h"
#include "base/compiler.h"

#define KEYS_file(FIRST, NEXT) \
	FIRST("path", PATH, REQUIRED, "", "", "a regular file or a block device") \
	NEXT("direct", BOOL, PLAIN, "", "no", "past the page cache (O_DIRECT)") \
	NEXT("engine", CHOICE, PLAIN, "\"aio\",\"threads\"", "the best that works", "how I/O is done") \
	NEXT("create", BOOL, PLAIN, "", "no", "create the file, exclusively, mode 0600") \
	NEXT("bytes", SIZE, PLAIN, "", "", "size of the created file") \
	NEXT("max_grow", SIZE, PLAIN, "", "0", "the device above may grow the file up to this; 0: never") \
	NEXT("ro", BOOL, PLAIN, "", "no", "read-only: nothing at all is written") \
	NEXT("nolock", BOOL, PLAIN, "", "no", "take no lock") \
	NEXT("name", NAME, PLAIN, "", "made up", "what dev:NAME calls it")

#define KEYS_memory(FIRST, NEXT) \
	FIRST("bytes", SIZE, REQUIRED, "", "", "size; all zeroes at first") \
	NEXT("name", NAME, PLAIN, "", "made up", "what dev:NAME calls it")

#define KEYS_linear(FIRST, NEXT) \
	FIRST("dev", DEVICE, REQUIRED_REPEATED, "", "", "begins a segment: the device it lies on") \
	NEXT("offset", SIZE, REPEATED, "", "0", "where the segment begins on its device") \
	NEXT("bytes", SIZE, REPEATED, "", "to the end of its device", "length of the segment") \
	NEXT("ro", BOOL, PLAIN, "", "no", "read-only: nothing at all is written") \
	NEXT("name", NAME, PLAIN, "", "made up", "what dev:NAME calls it")

#define KEYS_origin(FIRST, NEXT) \
	FIRST("base", DEVICE, REQUIRED, "", "", "the device that snapshots are taken of") \
	NEXT("ro", BOOL, PLAIN, "", "no", "read-only: nothing at all is written") \
	NEXT("name", NAME, PLAIN, "", "made up", "what dev:NAME calls it")

#define KEYS_snapshot(FIRST, NEXT) \
	FIRST("origin", DEVICE, REQUIRED, "", "", "an origin, or a device that nobody writes") \
	NEXT("store", DEVICE, PLAIN, "", "", "holds what differs; may be left out with transient=yes") \
	NEXT("chunk", SIZE, PLAIN, "", "as in the store", "unit of copying, a power of two from 4K to 1G") \
	NEXT("size", SIZE, PLAIN, "", "as the origin", "size of the snapshot; beyond the origin it reads zeroes") \
	NEXT("when_full", CHOICE, LIVE, "\"invalidate\",\"refuse\",\"hold\"", "invalidate", "what a full store does") \
	NEXT("hold", TIME, LIVE, "", "30s", "when_full=hold: how long writers wait before it is invalidated") \
	NEXT("low_space", SIZE, LIVE, "", "0", "event below so many free bytes") \
	NEXT("grow_step", SIZE, LIVE, "", "the library's choice", "a store that is a file grows by this at least") \
	NEXT("discard_zeroes_cow", BOOL, PLAIN, "", "no", "a discard of whole chunks zeroes them in the store") \
	NEXT("discard_passdown", BOOL, PLAIN, "", "no", "and is passed to the origin; needs discard_zeroes_cow") \
	NEXT("transient", BOOL, PLAIN, "", "no", "metadata in memory only: gone with the handle") \
	NEXT("merging", BOOL, PLAIN, "", "no", "a merge was under way: the store cannot say so") \
	NEXT("ro", BOOL, PLAIN, "", "no", "read-only: nothing at all is written") \
	NEXT("name", NAME, PLAIN, "", "made up", "what dev:NAME calls it")

#define KEYS_error(FIRST, NEXT) \
	FIRST("bytes", SIZE, PLAIN, "", "", "size, when there is no device below: all I/O fails") \
	NEXT("dev", DEVICE, PLAIN, "", "", "the device that gets what does not fail") \
	NEXT("op", CHOICE, PLAIN, "\"read\",\"write\",\"flush\",\"any\"", "any", "which requests fail") \
	NEXT("nth", COUNT, PLAIN, "", "every", "only from the n-th such request on, or with once, only that") \
	NEXT("errno", CHOICE, PLAIN, "\"EIO\",\"ENOSPC\"", "EIO", "the error they fail with") \
	NEXT("once", BOOL, PLAIN, "", "no", "fail one request only") \
	NEXT("name", NAME, PLAIN, "", "made up", "what dev:NAME calls it")

#define KEYS_delay(FIRST, NEXT) \
	FIRST("dev", DEVICE, REQUIRED, "", "", "the device below") \
	NEXT("read", TIME, PLAIN, "", "0s", "added to each read") \
	NEXT("write", TIME, PLAIN, "", "0s", "added to each write") \
	NEXT("flush", TIME, PLAIN, "", "0s", "added to each flush") \
	NEXT("name", NAME, PLAIN, "", "made up", "what dev:NAME calls it")

/* dev is written "dev:NAME", stack "@FILE" or "@FILE#SECTION"; as sections of a stack file both are ordinary. */
#define KEYS_dev(FIRST, NEXT) FIRST("name", NAME, REQUIRED, "", "", "of an open device of the context")

#define KEYS_stack(FIRST, NEXT) \
	FIRST("path", PATH, REQUIRED, "", "", "a stack file, blkremap-stack(5)") \
	NEXT("section", NAME, PLAIN, "", "the last one", "which of its devices")

enum { KEY_REQUIRED_REPEATED = BR_KEY_REQUIRED | BR_KEY_REPEATED };
#define BR_KEY_REQUIRED_REPEATED KEY_REQUIRED_REPEATED

#define ROW(name, kind, flags, choices, otherwise, help) { name, BR_KEY_##kind, BR_KEY_##flags, choices },

#define JSON_NAME "name"
#define JSON_PATH "path"
#define JSON_SIZE "size"
#define JSON_TIME "time"
#define JSON_COUNT "count"
#define JSON_BOOL "bool"
#define JSON_CHOICE "choice"
#define JSON_DEVICE "device"
#define JSON_FLAGS(required, repeated, live) \
	",\"required\":" required ",\"repeated\":" repeated ",\"live\":" live
#define JSON_PLAIN JSON_FLAGS("false", "false", "false")
#define JSON_REQUIRED JSON_FLAGS("true", "false", "false")
#define JSON_REPEATED JSON_FLAGS("false", "true", "false")
#define JSON_REQUIRED_REPEATED JSON_FLAGS("true", "true", "false")
#define JSON_LIVE JSON_FLAGS("false", "false", "true")
#define JSON_FIRST(name, kind, flags, choices, otherwise, help) \
	"{\"name\":\"" name "\",\"type\":\"" JSON_##kind "\"" JSON_##flags ",\"choices\":[" choices "]" \
	",\"default\":\"" otherwise "\",\"help\":\"" help "\"}"
#define JSON_NEXT(name, kind, flags, choices, otherwise, help) \
	"," JSON_FIRST(name, kind, flags, choices, otherwise, help)

#define TYPE_KEYS(type) static const struct br_spec_keydef type##_keys[] = { KEYS_##type(ROW, ROW) }
#define TYPE_ROW(type, check) \
	{ #type, type##_keys, BR_ARRAY_SIZE(type##_keys), \
	  "{\"type\":\"" #type "\",\"keys\":[" KEYS_##type(JSON_FIRST, JSON_NEXT) "]}", check }

TYPE_KEYS(file);
TYPE_KEYS(memory);
TYPE_KEYS(linear);
TYPE_KEYS(origin);
TYPE_KEYS(snapshot);
TYPE_KEYS(error);
TYPE_KEYS(delay);
TYPE_KEYS(dev);
TYPE_KEYS(stack);

/* ---- what no single key shows ------------------------------------------------------------------------------------ */

/* @key has been given; NULL: it is about the node as a whole. */
static const char *complain(const struct br_spec *spec, const char *key, const char *sentence, size_t *ret_at)
{
	*ret_at = key ? br_spec_find(spec, key)->at : spec->at;
	return sentence;
}

static bool given(const struct br_spec *spec, const char *key)
{
	return br_spec_find(spec, key) != NULL;
}

static const char *check_file(const struct br_spec *spec, size_t *ret_at)
{
	bool create = br_spec_yes(spec, "create");

	if (create && !given(spec, "bytes"))
		return complain(spec, "create", "create=yes needs bytes=SIZE", ret_at);
	if (!create && given(spec, "bytes"))
		return complain(spec, "bytes", "bytes of a file is for create=yes only", ret_at);
	if (create && br_spec_yes(spec, "ro"))
		return complain(spec, "ro", "create=yes and ro=yes exclude each other", ret_at);
	return NULL;
}

_Static_assert(BR_SPEC_MAX_SEGMENTS == 64, "a sentence below says so");

/* Segments are told apart by their "dev", so an offset or a length belongs to the last one written before it. */
static const char *check_linear(const struct br_spec *spec, size_t *ret_at)
{
	bool dev = false, offset = false, bytes = false;
	uint32_t segments = 0;

	for (const struct br_spec_key *k = spec->keys; k; k = k->next) {
		bool is_offset = !strcmp(k->name, "offset"), is_bytes = !strcmp(k->name, "bytes");

		*ret_at = k->at;
		if (!strcmp(k->name, "dev")) {
			dev = true;
			offset = bytes = false;
			if (++segments > BR_SPEC_MAX_SEGMENTS)
				return "a linear of more than 64 segments";
		}
		if ((is_offset || is_bytes) && !dev)
			return "offset and bytes of linear follow the dev they are about";
		if ((is_offset && offset) || (is_bytes && bytes))
			return "offset or bytes given twice for one dev of linear";
		offset |= is_offset;
		bytes |= is_bytes;
		if (is_bytes && !k->number)
			return "bytes=0: a segment of linear is not empty";
	}
	return NULL;
}

static const char *check_snapshot(const struct br_spec *spec, size_t *ret_at)
{
	bool transient = br_spec_yes(spec, "transient");

	if (!given(spec, "store") && !transient)
		return complain(spec, NULL, "snapshot needs a store, or transient=yes", ret_at);
	if (transient && br_spec_yes(spec, "merging"))
		return complain(spec, "merging", "merging=yes needs a persistent store, not transient=yes", ret_at);
	if (br_spec_yes(spec, "discard_passdown") && !br_spec_yes(spec, "discard_zeroes_cow"))
		return complain(spec, "discard_passdown", "discard_passdown=yes needs discard_zeroes_cow=yes", ret_at);
	if (given(spec, "hold") && br_spec_number(spec, "when_full", 0) != 2)
		return complain(spec, "hold", "hold is for when_full=hold only", ret_at);
	return NULL;
}

static const char *check_error(const struct br_spec *spec, size_t *ret_at)
{
	bool dev = given(spec, "dev");
	static const char *const picky[] = { "op", "nth", "once" };

	if (dev == given(spec, "bytes"))
		return complain(spec, dev ? "bytes" : NULL, "error needs either bytes=SIZE or dev=SPEC", ret_at);
	for (size_t i = 0; i < BR_ARRAY_SIZE(picky); i++)
		if (!dev && given(spec, picky[i]))
			return complain(spec, picky[i], "op, nth and once of error need a dev", ret_at);
	if (br_spec_number(spec, "nth", 1) == 0)
		return complain(spec, "nth", "nth counts from 1", ret_at);
	return NULL;
}

static const struct br_spec_typedef types[] = {
	TYPE_ROW(file, check_file), TYPE_ROW(memory, NULL),	      TYPE_ROW(linear, check_linear),
	TYPE_ROW(origin, NULL),	    TYPE_ROW(snapshot, check_snapshot), TYPE_ROW(error, check_error),
	TYPE_ROW(delay, NULL),	    TYPE_ROW(dev, NULL),	      TYPE_ROW(stack, NULL),
};

static const char *const reserved[] = { "cache", "clone", "ploop", "zero", "sim", "nbd", "nbds", "nbd+unix", "rbd" };

/* ---- looking things up ------------------------------------------------------------------------------------------- */

static bool is(const char *name, const char *text, size_t len)
{
	return strlen(name) == len && !memcmp(name, text, len);
}

const struct br_spec_typedef *br_spec_type(const char *name, size_t len)
{
	for (size_t i = 0; i < BR_ARRAY_SIZE(types); i++)
		if (is(types[i].name, name, len))
			return &types[i];
	return NULL;
}

const struct br_spec_keydef *br_spec_keydef(const struct br_spec_typedef *type, const char *name, size_t len)
{
	for (size_t i = 0; i < type->nr_keys; i++)
		if (is(type->keys[i].name, name, len))
			return &type->keys[i];
	return NULL;
}

bool br_spec_type_is_reserved(const char *name, size_t len)
{
	for (size_t i = 0; i < BR_ARRAY_SIZE(reserved); i++)
		if (is(reserved[i], name, len))
			return true;
	return false;
}

const char *br_spec_describe(const char *type)
{
	const struct br_spec_typedef *t = br_spec_type(type, strlen(type));

	return t ? t->json : NULL;
}

/* Choices stand in quotes with commas between; steps to the next one and tells its length, 0 at the end. */
static size_t next_choice(const char **choice)
{
	const char *begin = strchr(*choice, '"');
	const char *end = begin ? strchr(begin + 1, '"') : NULL;

	if (!end)
		return 0;
	*choice = begin + 1;
	return (size_t)(end - begin - 1);
}

int br_spec_choice(const struct br_spec_keydef *def, const char *text, size_t len)
{
	const char *choice = def->choices;
	size_t n;

	for (int i = 0; (n = next_choice(&choice)) != 0; i++, choice += n + 1)
		if (n == len && !memcmp(choice, text, len))
			return i;
	return -1;
}

void br_spec_choices_text(const struct br_spec_keydef *def, char *buf, size_t size)
{
	const char *choice = def->choices;
	size_t n, at = 0;

	buf[0] = '\0';
	for (; (n = next_choice(&choice)) != 0; choice += n + 1) {
		int k = snprintf(buf + at, size - at, "%s%.*s", at ? ", " : "", (int)n, choice);

		if (k < 0 || (size_t)k >= size - at)
			return;
		at += (size_t)k;
	}
}

/* ---- what was meant ---------------------------------------------------------------------------------------------- */

enum { NEAR_MAX = 24, NEAR_ENOUGH = 2 };

/* Insertions, deletions, changes and swaps of neighbours from @a to @b; NEAR_MAX if either is too long to care. */
static unsigned distance(const char *a, size_t len_a, const char *b, size_t len_b)
{
	unsigned d[NEAR_MAX + 1][NEAR_MAX + 1];

	if (len_a > NEAR_MAX || len_b > NEAR_MAX)
		return NEAR_MAX;
	for (unsigned i = 0; i <= len_a; i++) {
		for (unsigned j = 0; j <= len_b; j++) {
			if (!i || !j) {
				d[i][j] = i + j;
				continue;
			}
			d[i][j] = BR_MIN(d[i - 1][j], d[i][j - 1]) + 1;
			d[i][j] = BR_MIN(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = BR_MIN(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[len_a][len_b];
}

/* Keep the better of two.  A word of two letters is near to all others of two letters: at most half may differ. */
static void consider(const char *candidate, const char *name, size_t len, unsigned *best, const char **ret)
{
	unsigned d = distance(candidate, strlen(candidate), name, len);

	if (d < *best && d * 2 <= len) {
		*best = d;
		*ret = candidate;
	}
}

const char *br_spec_nearest_key(const struct br_spec_typedef *type, const char *name, size_t len)
{
	const char *nearest = NULL;
	unsigned best = NEAR_ENOUGH + 1;

	for (size_t i = 0; i < type->nr_keys; i++)
		consider(type->keys[i].name, name, len, &best, &nearest);
	return nearest;
}

const char *br_spec_nearest_type(const char *name, size_t len)
{
	const char *nearest = NULL;
	unsigned best = NEAR_ENOUGH + 1;

	for (size_t i = 0; i < BR_ARRAY_SIZE(types); i++)
		consider(types[i].name, name, len, &best, &nearest);
	return nearest;
}
