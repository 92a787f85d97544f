/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "sim/blob.h"
#include "sim/stamp.h"

/* Times are counts of the model's own; 0: not yet. */
struct write {
	uint32_t value, submitted, acked, durable;
	bool failed;
};

/* One register: what it may have held when the model began to look (or crashed), and the writes since. */
struct reg {
	uint32_t base[SIM_MODEL_BASE];
	struct write w[SIM_MODEL_WRITES];
	uint32_t seen, seen_since;	/* the last value read, when that read began; 0: none yet */
	uint8_t nr_base, nr_w;
};

struct op {
	uint32_t vol, n, value;
	uint64_t lba;
	bool used;
};

struct vol {
	enum sim_vol_state state;
	uint32_t origin, writes, taken_since;
	uint64_t sectors;
	struct reg *reg;
	bool crashed;	/* what base holds is what a crash left */
	bool may_fail;
	bool perhaps;	/* a crash came while it was taken: what it may show is settled, whether it exists is not */
};

struct sim_model {
	uint32_t now;
	struct vol vol[SIM_MAX_VOLS];
	struct op op[SIM_MODEL_OPS];
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct sim_model *sim_model_new(void)
{
	struct sim_model *m = sim_alloc(sizeof(*m));

	m->now = 1;
	return m;
}

static struct reg *copy_regs(const struct vol *v)
{
	struct reg *r;

	if (!v->reg)
		return NULL;
	r = sim_alloc(v->sectors * sizeof(*r));
	memcpy(r, v->reg, v->sectors * sizeof(*r));
	return r;
}

struct sim_model *sim_model_fork(const struct sim_model *from)
{
	struct sim_model *m = sim_alloc(sizeof(*m));

	*m = *from;
	for (uint32_t i = 0; i < SIM_MAX_VOLS; i++)
		m->vol[i].reg = copy_regs(&from->vol[i]);
	return m;
}

void sim_model_free(struct sim_model *m)
{
	for (uint32_t i = 0; i < SIM_MAX_VOLS; i++)
		free(m->vol[i].reg);
	free(m);
}

void sim_model_add(struct sim_model *m, uint32_t vol, uint64_t sectors)
{
	struct vol *v = &m->vol[vol];

	free(v->reg);
	memset(v, 0, sizeof(*v));
	v->state = SIM_VOL_LIVE;
	v->sectors = sectors;
	v->reg = sim_alloc(sectors * sizeof(*v->reg));
	for (uint64_t i = 0; i < sectors; i++)
		v->reg[i].nr_base = 1;
}

enum sim_vol_state sim_model_state(const struct sim_model *m, uint32_t vol)
{
	return m->vol[vol].state;
}

uint64_t sim_model_sectors(const struct sim_model *m, uint32_t vol)
{
	return m->vol[vol].sectors;
}

uint32_t sim_model_now(struct sim_model *m)
{
	return ++m->now;
}

/* Scenarios are small; one that is not needs bigger limits, not a model that forgets. */
static _Noreturn void too_much(const char *what)
{
	fprintf(stderr, "model: too many %s\n", what);
	abort();
}

/* ---- registers --------------------------------------------------------------------------------------------------- */

/* Was @a over before @b began? */
static bool precedes(const struct write *a, const struct write *b)
{
	return a->acked && a->acked < b->submitted;
}

/* Has a successful write replaced @w (NULL: the base) for everybody who asks from @since on? */
static bool is_replaced(const struct reg *r, const struct write *w, uint32_t since)
{
	for (uint32_t i = 0; i < r->nr_w; i++) {
		const struct write *x = &r->w[i];

		if (x == w || x->failed || !x->acked || x->acked >= since)
			continue;
		if (!w || precedes(w, x))
			return true;
	}
	return false;
}

/* The same for whoever asks after a crash. */
static bool is_replaced_durably(const struct reg *r, const struct write *w)
{
	for (uint32_t i = 0; i < r->nr_w; i++)
		if (&r->w[i] != w && r->w[i].durable && (!w || precedes(w, &r->w[i])))
			return true;
	return false;
}

static void forget(struct reg *r, uint32_t i)
{
	memmove(&r->w[i], &r->w[i + 1], (--r->nr_w - i) * sizeof(r->w[0]));
}

/* Room for one more: what nobody who asks from @since on can see, alive or after a crash, goes first. */
static void prune(struct reg *r, uint32_t since)
{
	if (is_replaced_durably(r, NULL) && is_replaced(r, NULL, since))
		r->nr_base = 0;
	for (uint32_t i = 0; i < r->nr_w; i++)
		if (is_replaced_durably(r, &r->w[i]) && is_replaced(r, &r->w[i], since))
			forget(r, i--);
}

static void add_base(struct reg *r, uint32_t value)
{
	for (uint32_t i = 0; i < r->nr_base; i++)
		if (r->base[i] == value)
			return;
	if (r->nr_base == SIM_MODEL_BASE)
		too_much("values of one sector");
	r->base[r->nr_base++] = value;
}

/* The register as a crash leaves it: one of what is allowed, nobody knows which until it is read. */
static void crash_reg(struct reg *r)
{
	struct reg after = { 0 };

	if (!is_replaced_durably(r, NULL))
		for (uint32_t i = 0; i < r->nr_base; i++)
			add_base(&after, r->base[i]);
	for (uint32_t i = 0; i < r->nr_w; i++)
		if (!is_replaced_durably(r, &r->w[i]))
			add_base(&after, r->w[i].value);
	*r = after;
}

void sim_model_crash(struct sim_model *m)
{
	for (uint32_t i = 0; i < SIM_MAX_VOLS; i++) {
		struct vol *v = &m->vol[i];

		if (v->state == SIM_VOL_TAKING && !v->perhaps) {
			sim_model_taken(m, i, true);
			v->state = SIM_VOL_TAKING;
			v->perhaps = true;
		}
	}
	for (uint32_t i = 0; i < SIM_MAX_VOLS; i++) {
		for (uint64_t s = 0; m->vol[i].reg && s < m->vol[i].sectors; s++)
			crash_reg(&m->vol[i].reg[s]);
		m->vol[i].crashed = true;
	}
	memset(m->op, 0, sizeof(m->op));
}

/* ---- writes ------------------------------------------------------------------------------------------------------ */

static uint32_t free_op(struct sim_model *m)
{
	for (uint32_t i = 0; i < SIM_MODEL_OPS; i++)
		if (!m->op[i].used)
			return i;
	too_much("writes in flight");
}

/* A merged snapshot is another name of its origin. */
static uint32_t real_vol(const struct sim_model *m, uint32_t vol)
{
	return m->vol[vol].state == SIM_VOL_MERGED ? m->vol[vol].origin : vol;
}

/* A point in time that is being taken may lie as far back as its call. */
static uint32_t horizon(const struct sim_model *m)
{
	uint32_t since = m->now;

	for (uint32_t i = 0; i < SIM_MAX_VOLS; i++)
		if (m->vol[i].state == SIM_VOL_TAKING && m->vol[i].taken_since < since)
			since = m->vol[i].taken_since;
	return since;
}

static void add_write(struct reg *r, uint32_t value, uint32_t now, uint32_t since)
{
	prune(r, since);
	if (r->nr_w == SIM_MODEL_WRITES)
		too_much("writes to one sector without a flush");
	r->w[r->nr_w++] = (struct write){ .value = value, .submitted = now };
}

uint32_t sim_model_write(struct sim_model *m, uint32_t vol, uint64_t lba, uint32_t n, void *buf)
{
	uint32_t at = free_op(m), now = sim_model_now(m);
	struct vol *v;

	vol = real_vol(m, vol);
	v = &m->vol[vol];
	m->op[at] = (struct op){ .vol = vol, .n = n, .lba = lba, .used = true,
				 .value = vol << SIM_VALUE_SHIFT | ++v->writes };
	for (uint32_t i = 0; i < n; i++) {
		sim_stamp_fill((uint8_t *)buf + (uint64_t)i * SIM_SECTOR, m->op[at].value, lba + i);
		add_write(&v->reg[lba + i], m->op[at].value, now, horizon(m));
	}
	return at;
}

static void ack(struct reg *r, const struct op *op, uint32_t now, int result, bool fua)
{
	for (uint32_t i = 0; i < r->nr_w; i++) {
		struct write *w = &r->w[i];

		if (w->value != op->value)
			continue;
		w->acked = now;
		w->failed = result < 0;
		w->durable = fua && result >= 0 ? now : 0;
	}
}

void sim_model_ack(struct sim_model *m, uint32_t at, int result, bool fua)
{
	struct op *op = &m->op[at];
	uint32_t now = sim_model_now(m);

	/* A merge may have ended meanwhile: the write is in the origin's list then, which was copied from this one. */
	op->vol = real_vol(m, op->vol);
	for (uint32_t i = 0; i < op->n; i++)
		ack(&m->vol[op->vol].reg[op->lba + i], op, now, result, fua);
	op->used = false;
}

uint32_t sim_model_flush(struct sim_model *m, uint32_t vol)
{
	(void)vol;
	return sim_model_now(m);
}

static void flush_reg(struct reg *r, uint32_t flush)
{
	for (uint32_t i = 0; i < r->nr_w; i++)
		if (r->w[i].acked && r->w[i].acked < flush && !r->w[i].failed && !r->w[i].durable)
			r->w[i].durable = flush;
}

void sim_model_flush_ack(struct sim_model *m, uint32_t vol, uint32_t flush, int result)
{
	struct vol *v = &m->vol[real_vol(m, vol)];

	for (uint64_t s = 0; result >= 0 && s < v->sectors; s++)
		flush_reg(&v->reg[s], flush);
	sim_model_now(m);
}

/* ---- reads ------------------------------------------------------------------------------------------------------- */

static const struct write *find_write(const struct reg *r, uint32_t value)
{
	for (uint32_t i = 0; i < r->nr_w; i++)
		if (r->w[i].value == value)
			return &r->w[i];
	return NULL;
}

static bool in_base(const struct reg *r, uint32_t value)
{
	for (uint32_t i = 0; i < r->nr_base; i++)
		if (r->base[i] == value)
			return true;
	return false;
}

/* May a register that was read as seen, by a read that began at seen_since, be read as @w (NULL: the base) later? */
static bool is_unread(const struct reg *r, const struct write *w, uint32_t value)
{
	if (!r->seen_since || r->seen == value)
		return false;
	return w ? w->acked && w->acked < r->seen_since : true;
}

/* Why is a value that the register cannot hold there? */
static enum sim_verdict blame(const struct sim_model *m, const struct vol *v, uint32_t vol, uint32_t value)
{
	uint32_t from = value >> SIM_VALUE_SHIFT;

	if (from >= SIM_MAX_VOLS || (from != vol && v->origin != from && m->vol[from].origin != vol))
		return SIM_FOREIGN;
	if ((value & SIM_VALUE_MASK) > m->vol[from].writes)
		return SIM_FUTURE;
	if (from != vol && v->taken_since)
		return SIM_NOT_FROZEN;
	return v->crashed ? SIM_STALE_DURABLE : SIM_STALE;
}

static enum sim_verdict read_reg(const struct sim_model *m, uint32_t vol, struct reg *r, uint32_t value, uint32_t since)
{
	const struct vol *v = &m->vol[vol];
	const struct write *w = find_write(r, value);

	if (!w && !in_base(r, value))
		return blame(m, v, vol, value);
	if (is_replaced(r, w, since) || is_unread(r, w, value))
		return SIM_STALE;
	if (!w) {	/* now it is known which of them it is */
		r->base[0] = value;
		r->nr_base = 1;
	}
	r->seen = value;
	r->seen_since = since;
	return SIM_RIGHT;
}

static enum sim_verdict read_sector(struct sim_model *m, uint32_t vol, uint64_t lba, const void *sector, uint32_t since)
{
	uint64_t stamped;
	uint32_t value;

	switch (sim_stamp_read(sector, &value, &stamped)) {
	case SIM_STAMP_GARBAGE:
		return SIM_GARBAGE;
	case SIM_STAMP_OK:
		if (stamped != lba)
			return SIM_FOREIGN;
		break;
	default:
		break;
	}
	return read_reg(m, vol, &m->vol[vol].reg[lba], value, since);
}

enum sim_verdict sim_model_read(struct sim_model *m, uint32_t vol, uint64_t lba, uint32_t n, const void *buf,
				uint32_t since, uint64_t *ret_lba)
{
	vol = real_vol(m, vol);
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *sector = (const uint8_t *)buf + (uint64_t)i * SIM_SECTOR;
		enum sim_verdict v = read_sector(m, vol, lba + i, sector, since);

		if (v != SIM_RIGHT) {
			*ret_lba = lba + i;
			return v;
		}
	}
	sim_model_now(m);
	return SIM_RIGHT;
}

const char *sim_verdict_name(enum sim_verdict v)
{
	static const char *const names[] = { "right", "GARBAGE", "FOREIGN", "STALE", "STALE_DURABLE", "FUTURE",
					     "NOT_FROZEN" };

	return names[v];
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

void sim_model_take(struct sim_model *m, uint32_t vol, uint32_t origin)
{
	struct vol *v = &m->vol[vol];

	sim_model_add(m, vol, m->vol[origin].sectors);
	v->state = SIM_VOL_TAKING;
	v->origin = origin;
	v->taken_since = sim_model_now(m);
}

/* All that the origin's register could hold at any moment from @since until now. */
static void capture(struct reg *to, const struct reg *from, uint32_t since)
{
	bool read = from->seen_since && from->seen_since < since;	/* later reads tell nothing of then */

	memset(to, 0, sizeof(*to));
	for (uint32_t i = 0; i < from->nr_base; i++)
		if (!is_replaced(from, NULL, since) && !(read && is_unread(from, NULL, from->base[i])))
			add_base(to, from->base[i]);
	for (uint32_t i = 0; i < from->nr_w; i++)
		if (!is_replaced(from, &from->w[i], since) && !(read && is_unread(from, &from->w[i], from->w[i].value)))
			add_base(to, from->w[i].value);
}

void sim_model_taken(struct sim_model *m, uint32_t vol, bool success)
{
	struct vol *v = &m->vol[vol];

	v->state = success ? SIM_VOL_LIVE : SIM_VOL_GONE;
	for (uint64_t s = 0; s < v->sectors; s++)
		capture(&v->reg[s], &m->vol[v->origin].reg[s], v->taken_since);
	sim_model_now(m);
}

void sim_model_settle(struct sim_model *m, uint32_t vol, bool exists)
{
	m->vol[vol].state = exists ? SIM_VOL_LIVE : SIM_VOL_GONE;
	m->vol[vol].perhaps = false;
}

void sim_model_merge(struct sim_model *m, uint32_t vol)
{
	m->vol[vol].state = SIM_VOL_MERGING;
	sim_model_now(m);
}

void sim_model_merged(struct sim_model *m, uint32_t vol)
{
	struct vol *v = &m->vol[vol], *o = &m->vol[v->origin];

	memcpy(o->reg, v->reg, v->sectors * sizeof(*v->reg));
	o->crashed = v->crashed;
	v->state = SIM_VOL_MERGED;
	sim_model_now(m);
}

void sim_model_gone(struct sim_model *m, uint32_t vol)
{
	m->vol[vol].state = SIM_VOL_GONE;
}

void sim_model_may_fail(struct sim_model *m, uint32_t vol)
{
	m->vol[vol].may_fail = true;
}

bool sim_model_can_fail(const struct sim_model *m, uint32_t vol)
{
	return m->vol[vol].may_fail;
}
