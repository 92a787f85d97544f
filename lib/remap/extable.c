/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Open addressing with linear probing, one sequence for the whole table.  A slot is a key (chunk + 1, 0 free) and a
 * value (new chunk << 2 | state).  The sequence is odd while the writer is at work; data words are stored with release
 * and loaded with acquire, so they lie between the two loads of the sequence that frame them.
 */
#include "remap/extable.h"

#include "base/env.h"

#include <errno.h>
#include <stdbool.h>

struct slot {
	_Atomic uint64_t key, value;
};

struct array {
	uint64_t nr;			/* a power of two */
	struct array *retired;		/* the one before; look-ups may still be in it */
	struct slot slots[];
};

struct br_extable {
	const struct blkremap_env *env;
	_Atomic uint64_t sequence;
	struct array *_Atomic array;
	uint64_t count, promised, bytes, max_bytes;
};

static uint64_t hash(uint64_t chunk)
{
	chunk *= UINT64_C(0x9e3779b97f4a7c15);
	return (chunk ^ chunk >> 29) * UINT64_C(0xbf58476d1ce4e5b9) >> 16;
}

static size_t array_bytes(uint64_t nr)
{
	return sizeof(struct array) + nr * sizeof(struct slot);
}

static struct array *array_new(struct br_extable *t, uint64_t nr)
{
	size_t bytes = array_bytes(nr);
	struct array *a = t->max_bytes && t->bytes + bytes > t->max_bytes ? NULL : br_alloc(t->env, bytes);

	if (!a)
		return NULL;
	a->nr = nr;
	t->bytes += bytes;
	return a;
}

static void array_free(struct br_extable *t, struct array *a)
{
	t->bytes -= array_bytes(a->nr);
	br_free(t->env, a, array_bytes(a->nr));
}

int br_extable_new(const struct blkremap_env *env, uint64_t max_bytes, struct br_extable **ret)
{
	struct br_extable *t = br_alloc(env, sizeof(*t));
	struct array *a;

	if (!t)
		return -ENOMEM;
	*t = (struct br_extable){ .env = env, .bytes = sizeof(*t), .max_bytes = max_bytes };
	a = array_new(t, 64);
	if (!a) {
		br_free(env, t, sizeof(*t));
		return -ENOMEM;
	}
	atomic_store(&t->array, a);
	*ret = t;
	return 0;
}

void br_extable_reclaim(struct br_extable *t)
{
	struct array *a = atomic_load(&t->array), *old = a->retired;

	a->retired = NULL;
	while (old) {
		a = old;
		old = a->retired;
		array_free(t, a);
	}
}

void br_extable_free(struct br_extable *t)
{
	if (!t)
		return;
	br_extable_reclaim(t);
	array_free(t, atomic_load(&t->array));
	br_free(t->env, t, sizeof(*t));
}

/* The slot of @chunk, or the free one where it would go. */
static struct slot *find(struct array *a, uint64_t chunk)
{
	uint64_t i = hash(chunk) & (a->nr - 1);

	for (;; i = (i + 1) & (a->nr - 1)) {
		uint64_t key = atomic_load_explicit(&a->slots[i].key, memory_order_acquire);

		if (!key || key == chunk + 1)
			return &a->slots[i];
	}
}

int br_extable_lookup(const struct br_extable *t, uint64_t old_chunk, uint64_t *ret_new)
{
	struct br_extable *m = (struct br_extable *)(uintptr_t)t;
	uint64_t before, key, value;

	do {
		before = atomic_load(&m->sequence);
		struct slot *s = find(atomic_load_explicit(&m->array, memory_order_acquire), old_chunk);

		key = atomic_load_explicit(&s->key, memory_order_acquire);
		value = atomic_load_explicit(&s->value, memory_order_acquire);
	} while (before & 1 || before != atomic_load_explicit(&m->sequence, memory_order_relaxed));
	if (key != old_chunk + 1)
		return BR_EX_NONE;
	*ret_new = value >> 2;
	return (int)(value & 3);
}

void br_extable_prefetch(const struct br_extable *t, uint64_t old_chunk)
{
	struct array *a = atomic_load_explicit((struct array *_Atomic *)(uintptr_t)&t->array, memory_order_acquire);

	__builtin_prefetch(&a->slots[hash(old_chunk) & (a->nr - 1)]);
}

static void begin(struct br_extable *t)
{
	atomic_fetch_add_explicit(&t->sequence, 1, memory_order_relaxed);
}

static void end(struct br_extable *t)
{
	atomic_fetch_add(&t->sequence, 1);
}

static void put(struct slot *s, uint64_t key, uint64_t value)
{
	atomic_store_explicit(&s->value, value, memory_order_release);
	atomic_store_explicit(&s->key, key, memory_order_release);
}

static int grow(struct br_extable *t, uint64_t nr)
{
	struct array *old = atomic_load(&t->array), *a = array_new(t, nr);

	if (!a)
		return -ENOMEM;
	for (uint64_t i = 0; i < old->nr; i++) {
		uint64_t key = atomic_load_explicit(&old->slots[i].key, memory_order_relaxed);

		if (key)
			put(find(a, key - 1), key, atomic_load_explicit(&old->slots[i].value, memory_order_relaxed));
	}
	a->retired = old;
	begin(t);
	atomic_store_explicit(&t->array, a, memory_order_release);
	end(t);
	return 0;
}

int br_extable_reserve(struct br_extable *t, uint64_t n_more)
{
	uint64_t need = t->count + t->promised + n_more, nr = atomic_load(&t->array)->nr;
	int r = 0;

	if (n_more >= BR_EX_CHUNK_END)
		return -ENOMEM;
	while (nr - nr / 4 <= need)
		nr *= 2;
	if (nr != atomic_load(&t->array)->nr)
		r = grow(t, nr);
	if (r == 0)
		t->promised += n_more;
	return r;
}

void br_extable_unreserve(struct br_extable *t, uint64_t n)
{
	t->promised -= n < t->promised ? n : t->promised;
}

int br_extable_insert(struct br_extable *t, uint64_t old_chunk, uint64_t new_chunk, int state)
{
	struct slot *s = find(atomic_load(&t->array), old_chunk);

	if (atomic_load(&s->key))
		return -EEXIST;
	if (!t->promised && br_extable_reserve(t, 1) < 0)
		return -ENOMEM;
	t->promised--;
	begin(t);
	put(find(atomic_load(&t->array), old_chunk), old_chunk + 1, new_chunk << 2 | (uint64_t)state);
	end(t);
	t->count++;
	return 0;
}

void br_extable_set_done(struct br_extable *t, uint64_t old_chunk)
{
	struct slot *s = find(atomic_load(&t->array), old_chunk);

	if (!atomic_load(&s->key))
		return;
	begin(t);
	atomic_store_explicit(&s->value, (atomic_load(&s->value) & ~UINT64_C(3)) | BR_EX_DONE, memory_order_release);
	end(t);
}

/* Close the gap at @i: whoever may move into it does. */
static void close_gap(struct array *a, uint64_t i)
{
	uint64_t mask = a->nr - 1;

	for (uint64_t j = (i + 1) & mask;; j = (j + 1) & mask) {
		uint64_t key = atomic_load(&a->slots[j].key);

		if (!key)
			break;
		if (((j - hash(key - 1)) & mask) < ((j - i) & mask))
			continue;
		put(&a->slots[i], key, atomic_load(&a->slots[j].value));
		i = j;
	}
	put(&a->slots[i], 0, 0);
}

int br_extable_remove(struct br_extable *t, uint64_t old_chunk)
{
	struct array *a = atomic_load(&t->array);
	struct slot *s = find(a, old_chunk);

	if (!atomic_load(&s->key))
		return -ENOENT;
	begin(t);
	close_gap(a, (uint64_t)(s - a->slots));
	end(t);
	t->count--;
	return 0;
}

uint64_t br_extable_count(const struct br_extable *t)
{
	return t->count;
}

uint64_t br_extable_bytes(const struct br_extable *t)
{
	return t->bytes;
}

int br_extable_next(const struct br_extable *t, uint64_t from, uint64_t limit, struct br_exception *ret)
{
	uint64_t left = limit > BR_EX_CHUNK_END ? BR_EX_CHUNK_END : limit;

	for (uint64_t chunk = from; t->count && chunk < left; chunk++) {
		if (br_extable_lookup(t, chunk, &ret->new_chunk)) {
			ret->old_chunk = chunk;
			return 0;
		}
	}
	return -ENOENT;
}

void br_extable_clear(struct br_extable *t)
{
	struct array *a = atomic_load(&t->array);

	br_extable_reclaim(t);
	for (uint64_t i = 0; i < a->nr; i++)
		put(&a->slots[i], 0, 0);
	t->count = t->promised = 0;
}
