/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "base/error.h"

enum { MAX_VALUES = 16, MAX_BLOCKS = 4096, MAX_WRITES = 256, MAX_PAIRS = 256, NR_RANDOM = 64, SEEN_FIRST = 1 << 16,
       SEEN_MAX = 1 << 24 };

/* One block that a crash may leave in more than one way.  value[0] is the stable one. */
struct block {
	struct sim_disk *disk;
	uint64_t at;
	uint32_t n, choice;
	const struct sim_blob *value[MAX_VALUES];
};

struct write_ref {
	struct sim_disk *disk;
	struct sim_write *write;
};

/* One crash point. */
struct point {
	struct sim_crash *crash;
	struct sim_world *world;
	struct block *blocks;
	uint32_t nr_blocks;
	struct write_ref writes[MAX_WRITES];	/* in order of effect: completed ones first */
	uint32_t nr_writes;
	uint32_t number, state;		/* of this point; of the image */
	uint64_t base, rng;
};

/* ---- figures ----------------------------------------------------------------------------------------------------- */

uint64_t sim_real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

bool sim_crash_expired(const struct sim_crash *c)
{
	if (c->max_states && c->states >= c->max_states)
		return true;
	return c->deadline_ns && (c->states & 15) == 0 && sim_real_ns() > c->deadline_ns;
}

static void seen_grow(struct sim_crash *c)
{
	uint64_t *old = c->seen, n = c->seen_size;

	c->seen_size = n ? n * 2 : SEEN_FIRST;
	c->seen = sim_alloc(c->seen_size * sizeof(*c->seen));
	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = old[i] & (c->seen_size - 1);

		while (old[i] && c->seen[at])
			at = (at + 1) & (c->seen_size - 1);
		if (old[i])
			c->seen[at] = old[i];
	}
	free(old);
}

/* true: it is new, and noted. */
static bool see(struct sim_crash *c, uint64_t hash)
{
	uint64_t at;

	if (c->seen_used * 2 >= c->seen_size && c->seen_size < SEEN_MAX)
		seen_grow(c);
	if (c->seen_used * 8 >= c->seen_size * 7)
		return true;	/* full: verify once too often rather than once too rarely */
	hash |= !hash;
	for (at = hash & (c->seen_size - 1); c->seen[at]; at = (at + 1) & (c->seen_size - 1))
		if (c->seen[at] == hash)
			return false;
	c->seen[at] = hash;
	c->seen_used++;
	return true;
}

/* ---- the candidates ---------------------------------------------------------------------------------------------- */

static struct block *block_of(struct point *p, struct sim_disk *d, uint64_t at)
{
	for (uint32_t i = 0; i < p->nr_blocks; i++)
		if (p->blocks[i].at == at && p->blocks[i].disk == d)
			return &p->blocks[i];
	return NULL;
}

static void add_value(struct point *p, struct sim_disk *d, uint64_t at, const struct sim_blob *b)
{
	struct block *k = block_of(p, d, at);

	if (!b || (!k && b->hash == d->stable[at]->hash))
		return;
	if (!k) {
		if (p->nr_blocks == MAX_BLOCKS)
			return;
		k = &p->blocks[p->nr_blocks++];
		*k = (struct block){ .disk = d, .at = at, .n = 1, .value = { d->stable[at] } };
	}
	for (uint32_t i = 0; i < k->n; i++)
		if (k->value[i]->hash == b->hash)
			return;
	if (k->n < MAX_VALUES)
		k->value[k->n++] = b;
}

/* In flight counts as last: it may still come. */
static bool comes_before(const struct write_ref *a, const struct write_ref *b)
{
	uint64_t x = a->write->done_seq, y = b->write->done_seq;

	if (a->disk != b->disk)
		return a->disk->index < b->disk->index;
	if (!x || !y)
		return x && !y ? true : !x && y ? false : a->write->submit_seq < b->write->submit_seq;
	return x < y;
}

static void add_write(struct point *p, struct sim_disk *d, struct sim_write *w)
{
	struct write_ref ref = { d, w };
	uint32_t i;

	for (uint32_t b = 0; b < w->n; b++)
		add_value(p, d, w->first + b, w->data[b]);
	if (p->nr_writes == MAX_WRITES)
		return;
	for (i = p->nr_writes++; i && comes_before(&ref, &p->writes[i - 1]); i--)
		p->writes[i] = p->writes[i - 1];
	p->writes[i] = ref;
}

static void gather(struct point *p)
{
	struct sim_world *w = p->world;
	struct br_list *l;

	for (uint32_t i = 0; i < w->nr_disks; i++) {
		p->base ^= w->disks[i]->stable_hash;
		br_list_for_each(l, &w->disks[i]->unstable)
			add_write(p, w->disks[i], br_container_of(l, struct sim_write, link));
	}
}

/* ---- one image --------------------------------------------------------------------------------------------------- */

static uint64_t image_hash(const struct point *p)
{
	uint64_t hash = p->base;

	for (uint32_t i = 0; i < p->nr_blocks; i++) {
		const struct block *k = &p->blocks[i];

		if (k->choice)
			hash ^= sim_block_hash(k->disk, k->at, k->value[0]) ^
				sim_block_hash(k->disk, k->at, k->value[k->choice]);
	}
	return hash;
}

static struct sim_world *build_world(const struct point *p)
{
	struct sim_world *w = sim_world_new(p->world->hub, p->world);

	for (uint32_t i = 0; i < p->world->nr_disks; i++)
		w->disks[i] = sim_disk_fork(p->world->disks[i]);
	w->nr_disks = p->world->nr_disks;
	w->kind = p->world->kind;
	for (uint32_t i = 0; i < p->nr_blocks; i++) {
		const struct block *k = &p->blocks[i];

		if (k->choice)
			sim_disk_poke(w->disks[k->disk->index], k->at, k->value[k->choice]);
	}
	return w;
}

/* The deepest failure is told first; each world it happened inside of adds its own place in front. */
static void record(struct sim_crash *c, const struct point *p, const char *text)
{
	struct sim_crash_path *f = &c->failure;
	uint32_t depth = p->world->depth;

	if (!c->text[0]) {
		snprintf(c->text, sizeof(c->text), "%s", text);
		f->n = depth + 1;
	}
	if (depth < BR_ARRAY_SIZE(f->step)) {
		f->step[depth].point = p->number;
		f->step[depth].state = p->state;
	}
	c->hub.stop = true;
}

static bool goes_deeper(const struct point *p, uint64_t hash)
{
	const struct sim_crash *c = p->crash;
	uint32_t depth = p->world->depth;

	if (c->replaying)
		return depth + 1 < c->target.n;
	return depth + 1 < c->max_depth && c->sample && sim_mix(hash) % c->sample == 0;
}

static void verify(struct point *p, uint64_t hash)
{
	struct sim_crash *c = p->crash;
	struct sim_blobs_mark mark = sim_blobs_mark(&c->hub.blobs);
	struct sim_world *w = build_world(p);
	int r;

	if (c->hub.verbose)
		fprintf(stderr, "%*s-- crash point %u image %u\n", (int)p->world->depth * 4, "", p->number, p->state);
	w->watch = goes_deeper(p, hash);
	c->deeper += w->watch;
	w->user = c->fork ? c->fork(p->world->user) : p->world->user;
	r = sim_world_run(w, c->verify, c->arg);
	if (r && (w->failed || c->text[0]))
		record(c, p, w->text);
	if (c->fork)
		c->release(w->user);
	sim_world_free(w);
	sim_blobs_release(&c->hub.blobs, mark);
	c->states++;
}

static bool is_wanted(const struct point *p)
{
	const struct sim_crash *c = p->crash;
	uint32_t depth = p->world->depth;

	return depth < c->target.n && c->target.step[depth].point == p->number &&
	       c->target.step[depth].state == p->state;
}

/* The blocks' choices make an image: is it right? */
static void look_at(struct point *p)
{
	struct sim_crash *c = p->crash;
	uint64_t hash;

	p->state++;
	if (c->hub.stop || (c->replaying && !is_wanted(p)))
		return;
	hash = image_hash(p);
	if (!c->replaying && !see(c, sim_mix(hash ^ sim_mix(c->salt + p->world->epoch)) + p->world->depth)) {
		c->duplicates++;
		return;
	}
	if (!sim_crash_expired(c))
		verify(p, hash);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static bool next_combination(struct point *p)
{
	for (uint32_t i = 0; i < p->nr_blocks; i++) {
		if (++p->blocks[i].choice < p->blocks[i].n)
			return true;
		p->blocks[i].choice = 0;
	}
	return false;
}

static bool is_small(const struct point *p, uint64_t limit)
{
	uint64_t product = 1;

	for (uint32_t i = 0; i < p->nr_blocks && product <= limit; i++)
		product *= p->blocks[i].n;
	return product <= limit;
}

/* ---- or a structured set ----------------------------------------------------------------------------------------- */

static void choose_stable(struct point *p)
{
	for (uint32_t i = 0; i < p->nr_blocks; i++)
		p->blocks[i].choice = 0;
}

/* Of the i-th write, blocks [from, to) have reached the medium. */
static void apply(struct point *p, uint32_t i, uint32_t from, uint32_t to)
{
	const struct write_ref *r = &p->writes[i];

	for (uint32_t b = from; b < to && b < r->write->n; b++) {
		struct block *k = block_of(p, r->disk, r->write->first + b);

		for (uint32_t v = 0; k && r->write->data[b] && v < k->n; v++)
			if (k->value[v]->hash == r->write->data[b]->hash)
				k->choice = v;
	}
}

/* All writes but those of @but (UINT32_MAX: none) and @but2; on @disk only (NULL: on all) or on all but it. */
static void apply_all(struct point *p, uint32_t but, uint32_t but2)
{
	choose_stable(p);
	for (uint32_t i = 0; i < p->nr_writes; i++)
		if (i != but && i != but2)
			apply(p, i, 0, UINT32_MAX);
}

static void apply_disk(struct point *p, const struct sim_disk *d, bool alone_kept)
{
	choose_stable(p);
	for (uint32_t i = 0; i < p->nr_writes; i++)
		if ((p->writes[i].disk == d) == alone_kept)
			apply(p, i, 0, UINT32_MAX);
}

/* The i-th write torn in one of three places, with all others or with none. */
static void apply_torn(struct point *p, uint32_t i, uint32_t how)
{
	uint32_t n = p->writes[i].write->n, cut = how % 3 == 0 ? 1 : how % 3 == 1 ? n / 2 : n - 1;

	if (how < 3)
		choose_stable(p);
	else
		apply_all(p, i, i);
	if (how & 1)
		apply(p, i, 0, cut);
	else
		apply(p, i, cut, n);
}

static void apply_random(struct point *p)
{
	bool by_block = sim_random(&p->rng) & 1;

	choose_stable(p);
	for (uint32_t i = 0; !by_block && i < p->nr_writes; i++)
		if (sim_random(&p->rng) & 1)
			apply(p, i, 0, UINT32_MAX);
	for (uint32_t i = 0; by_block && i < p->nr_blocks; i++)
		p->blocks[i].choice = (uint32_t)(sim_random(&p->rng) % p->blocks[i].n);
}

static void apply_pair(struct point *p, uint32_t i, bool kept)
{
	uint32_t a = (uint32_t)(sim_random(&p->rng) % p->nr_writes), b = (uint32_t)(sim_random(&p->rng) % p->nr_writes);

	(void)i;
	if (!kept) {
		apply_all(p, a, b);
		return;
	}
	choose_stable(p);
	apply(p, BR_MIN(a, b), 0, UINT32_MAX);
	apply(p, BR_MAX(a, b), 0, UINT32_MAX);
}

static void apply_prefix(struct point *p, uint32_t n)
{
	choose_stable(p);
	for (uint32_t i = 0; i < n; i++)
		apply(p, i, 0, UINT32_MAX);
}

/* The i-th image of the structured set. */
static void make_image(struct point *p, uint32_t i)
{
	uint32_t nw = p->nr_writes, nd = p->world->nr_disks, pairs = BR_MIN(nw * nw, MAX_PAIRS);

	if (i == 0) {
		choose_stable(p);
	} else if (i == 1) {
		apply_all(p, UINT32_MAX, UINT32_MAX);
	} else if ((i -= 2) < 2 * nd) {
		apply_disk(p, p->world->disks[i / 2], i & 1);
	} else if ((i -= 2 * nd) < nw) {
		apply_all(p, i, i);
	} else if ((i -= nw) < nw) {
		choose_stable(p);
		apply(p, i, 0, UINT32_MAX);
	} else if ((i -= nw) < nw) {
		apply_prefix(p, i);
	} else if ((i -= nw) < 6 * nw) {
		apply_torn(p, i / 6, i % 6);
	} else if ((i -= 6 * nw) < pairs) {
		apply_pair(p, i, i & 1);
	} else {
		apply_random(p);
	}
}

static uint32_t nr_images(const struct point *p)
{
	uint32_t nw = p->nr_writes;

	return 2 + 2 * p->world->nr_disks + 9 * nw + BR_MIN(nw * nw, MAX_PAIRS) + NR_RANDOM;
}

static void explore_point(struct point *p)
{
	uint32_t limit = p->crash->point_states ? p->crash->point_states : SIM_CRASH_ALL, n;

	if (is_small(p, limit)) {
		do
			look_at(p);
		while (next_combination(p) && !p->crash->hub.stop);
		return;
	}
	/* More of them than wanted: some, chosen by chance, but never without the first two. */
	n = nr_images(p);
	for (uint32_t i = 0; i < BR_MIN(n, limit) && !p->crash->hub.stop; i++) {
		make_image(p, i < 2 || n <= limit ? i : (uint32_t)(sim_random(&p->rng) % n));
		look_at(p);
	}
}

static bool is_visited(const struct sim_crash *c, const struct point *p)
{
	uint32_t depth = p->world->depth;

	if (c->replaying)
		return depth < c->target.n && c->target.step[depth].point == p->number;
	return !c->one_in || sim_mix(c->seed ^ sim_mix(p->number + 77)) % c->one_in == 0;
}

static void crash_hook(struct sim_world *w)
{
	struct sim_crash *c = w->hub->opaque;
	char error[320];
	struct point p = { .crash = c, .world = w, .number = ++w->crashes };

	if (!is_visited(c, &p) || sim_crash_expired(c))
		return;
	snprintf(error, sizeof(error), "%s", br_error_text());
	p.blocks = sim_alloc(MAX_BLOCKS * sizeof(*p.blocks));
	p.rng = sim_mix(sim_mix(c->seed) + p.number);
	gather(&p);
	c->points++;
	explore_point(&p);
	free(p.blocks);
	br_error_set_text(error);
}

void sim_crash_init(struct sim_crash *c)
{
	memset(c, 0, sizeof(*c));
	sim_hub_init(&c->hub);
	c->hub.opaque = c;
	c->hub.crash = crash_hook;
	seen_grow(c);
}

void sim_crash_done(struct sim_crash *c)
{
	free(c->seen);
	sim_hub_done(&c->hub);
}
