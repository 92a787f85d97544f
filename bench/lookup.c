/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long does it take to find out where a chunk lies?  Our exception table beside a plain one: 16-byte slots, linear
 * probing, at most 3/4 full, the same kind of hash.
 *
 *	lookup [--exceptions N | --large] [--rounds N] [--json]
 *
 * One and ten million exceptions, with --large a hundred; random: old chunks uniform in 2^28, new ones in no order;
 * runs: 16 chunks in order in both numbers.  Times are nanoseconds of this thread's
 * processor time a look-up, the making of the key included; medians of the rounds, in which the two take turns, and so
 * is the ratio (ours / plain).
 *
 *	independent	one after the other, none waits for the one before: the processor overlaps them
 *	batch		32 prefetched, then looked up: what a queue does with a batch of requests
 *	dependent	the next chunk is known when the last has been found: one request at a time
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/env.h>
#include <remap/extable.h>

enum { BATCH = 32, LOOKUPS = 1 << 20, KEY_BITS = 28, MAX_ROUNDS = 99, MAX_EXCEPTIONS = 100000000 };
enum { INDEPENDENT, IN_BATCH, DEPENDENT, NR_MODES };
enum { OURS, PLAIN, NR_TABLES };

static const char *const mode_names[] = { "independent", "batch", "dependent" };
static const char *const table_names[] = { "ours", "plain" };

struct workload {
	uint64_t n;
	bool runs;
};

static void die(const char *what)
{
	fprintf(stderr, "lookup: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

/* A bijection of 2^28 numbers: the first n are as good as chance, and the ones after them are not among them. */
static uint64_t shuffle(uint64_t x)
{
	const uint64_t mask = (UINT64_C(1) << KEY_BITS) - 1;

	x = x * UINT64_C(0x2545f491) & mask;
	x ^= x >> (KEY_BITS / 2);
	x = x * UINT64_C(0x9e3779b1) & mask;
	x ^= x >> (KEY_BITS / 2);
	x = x * UINT64_C(0x85ebca6b) & mask;
	return x ^ x >> (KEY_BITS / 2);
}

/* Number @i of those that are mapped; from n on, of those that are not. */
static uint64_t old_chunk(const struct workload *w, uint64_t i)
{
	return w->runs ? shuffle(i / 16) * 32 + i % 16 : shuffle(i);
}

static uint64_t new_chunk(const struct workload *w, uint64_t i)
{
	return w->runs ? i : mix(i) & 0xffffffff;
}

/* ---- the plain table --------------------------------------------------------------------------------------------- */

struct slot {
	uint64_t key, value;		/* key: chunk + 1, 0 free */
};

struct plain {
	struct slot *slots;
	uint64_t mask;
};

static void plain_new(struct plain *p, uint64_t n)
{
	uint64_t nr = 64;

	while (nr / 4 * 3 < n)
		nr *= 2;
	p->mask = nr - 1;
	p->slots = calloc(nr, sizeof(*p->slots));
	if (!p->slots)
		die("out of memory");
}

static inline struct slot *plain_find(const struct plain *p, uint64_t chunk)
{
	uint64_t i = mix(chunk) & p->mask;

	while (p->slots[i].key && p->slots[i].key != chunk + 1)
		i = (i + 1) & p->mask;
	return &p->slots[i];
}

/* ---- one face for both ------------------------------------------------------------------------------------------- */

struct table {
	int kind;
	struct br_extable *ours;
	struct plain plain;
	uint64_t bytes;
	double load_ns;			/* an insert, on average */
};

static inline uint64_t look_up(const struct table *t, int kind, uint64_t chunk)
{
	uint64_t where = 0;

	if (kind == PLAIN) {
		const struct slot *s = plain_find(&t->plain, chunk);

		return s->key ? s->value : 1;
	}
	return br_extable_lookup(t->ours, chunk, &where) == BR_EX_NONE ? 1 : where;
}

static inline void prefetch(const struct table *t, int kind, uint64_t chunk)
{
	if (kind == PLAIN)
		__builtin_prefetch(&t->plain.slots[mix(chunk) & t->plain.mask]);
	else
		br_extable_prefetch(t->ours, chunk);
}

static void load(struct table *t, const struct workload *w)
{
	double start = now();

	if (t->kind == PLAIN)
		plain_new(&t->plain, w->n);
	else if (br_extable_new(&br_env_posix, 0, &t->ours) < 0)
		die("out of memory");
	for (uint64_t i = 0; i < w->n; i++) {
		prefetch(t, t->kind, old_chunk(w, i + BATCH));
		if (t->kind == PLAIN)
			*plain_find(&t->plain, old_chunk(w, i)) = (struct slot){ old_chunk(w, i) + 1, new_chunk(w, i) };
		else if (br_extable_insert(t->ours, old_chunk(w, i), new_chunk(w, i), BR_EX_DONE) < 0)
			die("out of memory");
	}
	t->load_ns = (now() - start) / (double)w->n;
	t->bytes = t->kind == PLAIN ? (t->plain.mask + 1) * sizeof(struct slot) : br_extable_bytes(t->ours);
}

static void unload(struct table *t)
{
	br_extable_free(t->ours);
	free(t->plain.slots);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

/* The chunk that look-up number @i asks for; @add makes it depend on the last. */
static inline uint64_t ask(const struct workload *w, bool hit, uint64_t i, uint64_t add)
{
	uint64_t any = (mix(i + add) >> 32) * w->n >> 32;

	return old_chunk(w, hit ? any : any + w->n);
}

static inline uint64_t run_batches(const struct table *t, int kind, const struct workload *w, bool hit, uint64_t from)
{
	uint64_t chunks[BATCH], sum = 0;

	for (uint64_t i = 0; i < LOOKUPS; i += BATCH) {
		for (uint64_t k = 0; k < BATCH; k++) {
			chunks[k] = ask(w, hit, from + i + k, 0);
			prefetch(t, kind, chunks[k]);
		}
		for (uint64_t k = 0; k < BATCH; k++)
			sum += look_up(t, kind, chunks[k]);
	}
	return sum;
}

static inline uint64_t run(const struct table *t, int kind, const struct workload *w, bool hit, int mode, uint64_t from)
{
	uint64_t sum = 0;

	if (mode == IN_BATCH)
		return run_batches(t, kind, w, hit, from);
	for (uint64_t i = 0; i < LOOKUPS; i++) {
		if (mode == DEPENDENT)
			sum = look_up(t, kind, ask(w, hit, from + i, sum));
		else
			sum += look_up(t, kind, ask(w, hit, from + i, 0));
	}
	return sum;
}

static volatile uint64_t sink;

static double measure(const struct table *t, const struct workload *w, bool hit, int mode, uint64_t from)
{
	double start = now();

	sink = t->kind == PLAIN ? run(t, PLAIN, w, hit, mode, from) : run(t, OURS, w, hit, mode, from);
	return (now() - start) / LOOKUPS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare);
	return v[n / 2];
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

struct options {
	bool json, large;
	int rounds;
	uint64_t exceptions;		/* this many only; 0: all sizes */
};

static void tell(const struct options *o, const struct workload *w, const char *what, double ours, double plain,
		 double ratio)
{
	if (o->json)
		printf("{\"exceptions\":%" PRIu64 ",\"shape\":\"%s\",\"what\":\"%s\",\"ours\":%.2f,\"plain\":%.2f,"
		       "\"ratio\":%.3f}\n", w->n, w->runs ? "runs" : "random", what, ours, plain, ratio);
	else
		printf("%10" PRIu64 "  %-6s  %-24s %9.2f %9.2f %8.3f\n", w->n, w->runs ? "runs" : "random", what, ours,
		       plain, ratio);
	fflush(stdout);
}

static void compare_mode(const struct options *o, const struct table *t, const struct workload *w, bool hit, int mode)
{
	double ns[NR_TABLES][MAX_ROUNDS], ratio[MAX_ROUNDS];
	char what[64];

	for (int r = 0; r < o->rounds; r++) {
		for (int k = 0; k < NR_TABLES; k++)
			ns[k][r] = measure(&t[k], w, hit, mode, (uint64_t)r * LOOKUPS);
		ratio[r] = ns[OURS][r] / ns[PLAIN][r];
	}
	snprintf(what, sizeof(what), "%s %s, ns", hit ? "hit" : "miss", mode_names[mode]);
	tell(o, w, what, median(ns[OURS], o->rounds), median(ns[PLAIN], o->rounds), median(ratio, o->rounds));
}

static void bench(const struct options *o, const struct workload *w)
{
	struct table t[NR_TABLES] = { { .kind = OURS }, { .kind = PLAIN } };

	for (int k = 0; k < NR_TABLES; k++)
		load(&t[k], w);
	tell(o, w, "bytes each", (double)t[OURS].bytes / (double)w->n, (double)t[PLAIN].bytes / (double)w->n,
	     (double)t[OURS].bytes / (double)t[PLAIN].bytes);
	tell(o, w, "insert, ns", t[OURS].load_ns, t[PLAIN].load_ns, t[OURS].load_ns / t[PLAIN].load_ns);
	for (int mode = 0; mode < NR_MODES; mode++) {
		compare_mode(o, t, w, true, mode);
		compare_mode(o, t, w, false, mode);
	}
	for (int k = 0; k < NR_TABLES; k++)
		unload(&t[k]);
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "exceptions", required_argument, NULL, 'e' },
		{ "json", no_argument, NULL, 'j' },
		{ "large", no_argument, NULL, 'l' },
		{ "rounds", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "e:jlr:", known, NULL)) != -1) {
		o->json |= c == 'j';
		o->large |= c == 'l';
		if (c == 'r')
			o->rounds = atoi(optarg);
		if (c == 'e')
			o->exceptions = strtoull(optarg, NULL, 0);
		if (c == '?' || o->rounds < 1 || o->rounds > MAX_ROUNDS || o->exceptions > MAX_EXCEPTIONS)
			die("usage: lookup [--exceptions 1..100000000 | --large] [--rounds 1..99] [--json]");
	}
}

int main(int argc, char **argv)
{
	struct options o = { .rounds = 5 };
	uint64_t most;

	parse(argc, argv, &o);
	if (!o.json)
		printf("%10s  %-6s  %-24s %9s %9s %8s\n", "exceptions", "shape", "what", table_names[OURS],
		       table_names[PLAIN], "ratio");
	most = o.exceptions ? o.exceptions : o.large ? MAX_EXCEPTIONS : MAX_EXCEPTIONS / 10;
	for (uint64_t n = o.exceptions ? most : MAX_EXCEPTIONS / 100; n <= most; n *= 10) {
		for (int runs = 0; runs < 2; runs++)
			bench(&o, &(struct workload){ .n = n, .runs = runs });
	}
	return 0;
}
