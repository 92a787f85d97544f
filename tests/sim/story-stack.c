/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing what a story is about, and what its stores look like from outside. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/le.h"
#include "blkremap/blkremap.h"
#include "meta/snap-check.h"
#include "sim/face.h"
#include "sim/stamp.h"
#include "sim/story-internal.h"

int story_complain(struct story *s, const char *what, uint32_t vol, int r)
{
	return sim_fail(s->w, "%s of volume %u: %d (%s), %s", what, vol, r, strerror(-r), blkremap_last_error());
}

int story_open_store(struct story *s, uint32_t vol, struct blkremap_dev **ret)
{
	const struct story_plan *p = s->plan;
	char name[SIM_DISK_NAME];

	snprintf(name, sizeof(name), "store%u", vol);
	return sim_face_disk(s->w, s->ctx, name, (uint64_t)p->store_sectors[vol - 1] * SIM_SECTOR,
			     p->block_bytes ? p->block_bytes : SIM_SECTOR, ret);
}

struct sim_disk *story_store_disk(struct story *s, uint32_t vol)
{
	char name[SIM_DISK_NAME];

	snprintf(name, sizeof(name), "store%u", vol);
	return sim_world_disk(s->w, name);
}

struct blkremap_snapshot_opts story_snapshot_opts(const struct story *s, uint32_t vol)
{
	return (struct blkremap_snapshot_opts){ .size = sizeof(struct blkremap_snapshot_opts),
						.when_full = s->plan->when_full,
						.chunk_bytes = s->plan->chunk[vol - 1] };
}

/* ---- stores that are not fresh ----------------------------------------------------------------------------------- */

static void make_dirty(struct sim_disk *d, uint64_t from, uint64_t to)
{
	uint32_t entries = d->block_bytes / BR_SNAP_ENTRY_BYTES;
	struct br_le64 block[2 * 4096 / BR_SNAP_ENTRY_BYTES];

	for (uint64_t b = from / d->block_bytes; b < to / d->block_bytes; b++) {
		for (uint32_t i = 0; i < entries; i++) {
			block[2 * i] = br_le64_make((b + i) % 7);
			block[2 * i + 1] = br_le64_make(2 + (b * 3 + i) % 5);
		}
		sim_disk_poke(d, b, sim_blob_make(d->blobs, block, d->block_bytes));
	}
}

/* Whatever the disk held before: entries that name chunks within bounds, everywhere from @from on. */
void story_make_dirty(struct sim_disk *d, uint64_t from)
{
	make_dirty(d, from, d->nr_blocks * d->block_bytes);
}

/* The first @n entries of the first area, in order of chunks, as far as an area goes. */
static void make_entries(struct sim_disk *d, uint32_t chunk_bytes, uint32_t n)
{
	uint32_t per_block = d->block_bytes / BR_SNAP_ENTRY_BYTES;
	struct br_le64 block[2 * 4096 / BR_SNAP_ENTRY_BYTES];

	for (uint32_t i = 0; i < n; i += per_block) {
		memset(block, 0, sizeof(block));
		for (uint32_t k = 0; k < per_block && i + k < n; k++) {
			block[2 * k] = br_le64_make(i + k);
			block[2 * k + 1] = br_le64_make(2 + i + k);
		}
		sim_disk_poke(d, (chunk_bytes + i * BR_SNAP_ENTRY_BYTES) / d->block_bytes,
			      sim_blob_make(d->blobs, block, d->block_bytes));
	}
	make_dirty(d, chunk_bytes + (n + per_block) / per_block * d->block_bytes, 2 * (uint64_t)chunk_bytes);
}

static void make_header(struct sim_disk *d, uint32_t chunk_bytes)
{
	struct br_le32 header[4] = { br_le32_make(0x70416e53), br_le32_make(1), br_le32_make(1),
				     br_le32_make(chunk_bytes / SIM_SECTOR) };
	uint8_t block[4096] = { 0 };

	memcpy(block, header, sizeof(header));
	sim_disk_poke(d, 0, sim_blob_make(d->blobs, block, d->block_bytes));
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

bool story_should_exist(const struct story *s, uint32_t vol)
{
	enum sim_vol_state st = sim_model_state(s->m, vol);

	return st == SIM_VOL_TAKING || st == SIM_VOL_LIVE || st == SIM_VOL_MERGING;
}

/* The store did not open: may that be? */
static int miss(struct story *s, uint32_t vol, int r)
{
	bool blank = r == -ENODATA && sim_model_state(s->m, vol) == SIM_VOL_TAKING;
	bool invalid = r == -ENOTRECOVERABLE && sim_model_can_fail(s->m, vol);

	if (!blank && !invalid)
		return story_complain(s, "attaching", vol, r);
	sim_model_settle(s->m, vol, false);
	return 0;
}

static int attach(struct story *s, uint32_t vol)
{
	struct blkremap_snapshot_opts opts = story_snapshot_opts(s, vol);
	struct blkremap_dev *store;
	int r = story_open_store(s, vol, &store);

	if (r < 0)
		return story_complain(s, "opening the store", vol, r);
	if (sim_model_state(s->m, vol) == SIM_VOL_MERGING)
		opts.flags |= BLKREMAP_SNAP_MERGING;
	r = blkremap_snapshot_open(s->ctx, s->vol[ORIGIN], store, &opts, &s->vol[vol]);
	blkremap_dev_close(store);
	if (r < 0) {
		s->vol[vol] = NULL;
		return miss(s, vol, r);
	}
	if (sim_model_state(s->m, vol) == SIM_VOL_TAKING)
		sim_model_settle(s->m, vol, true);
	return 0;
}

static int open_origin(struct story *s)
{
	struct blkremap_open_opts opts = { .size = sizeof(opts), .flags = BLKREMAP_SUSPENDED };
	int r = sim_face_disk(s->w, s->ctx, "origin", s->plan->sectors * SIM_SECTOR,
			      s->plan->block_bytes ? s->plan->block_bytes : SIM_SECTOR, &s->base);

	if (r >= 0)
		r = blkremap_origin_open(s->ctx, s->base, &opts, &s->vol[ORIGIN]);
	return r < 0 ? story_complain(s, "opening", ORIGIN, r) : 0;
}

int story_open(struct story *s)
{
	struct blkremap_ctx_opts opts = { .size = sizeof(opts), .flags = BLKREMAP_CTX_NO_THREADS, .env = &s->w->env };
	int r = blkremap_ctx_new(&opts, &s->ctx);

	if (r < 0)
		return story_complain(s, "making a context", ORIGIN, r);
	r = open_origin(s);
	/* One that is being merged comes last: nothing can be attached beside it. */
	for (uint32_t vol = 1; r >= 0 && vol <= STORY_SNAPS; vol++)
		if (story_should_exist(s, vol) && sim_model_state(s->m, vol) != SIM_VOL_MERGING)
			r = attach(s, vol);
	for (uint32_t vol = 1; r >= 0 && vol <= STORY_SNAPS; vol++)
		if (story_should_exist(s, vol) && sim_model_state(s->m, vol) == SIM_VOL_MERGING)
			r = attach(s, vol);
	if (r >= 0)
		r = blkremap_resume(s->vol[ORIGIN]);
	return r;
}

/* The origin closes its snapshots with it. */
static bool may_close_badly(const struct story *s)
{
	for (uint32_t vol = 0; vol <= STORY_SNAPS; vol++)
		if (sim_model_can_fail(s->m, vol))
			return true;
	return false;
}

int story_close(struct story *s)
{
	int r = 0, r2;

	for (uint32_t vol = 1; vol <= STORY_SNAPS; vol++) {
		r2 = s->vol[vol] ? blkremap_dev_close(s->vol[vol]) : 0;
		r = r < 0 || (r2 < 0 && sim_model_can_fail(s->m, vol)) ? r : r2;
		s->vol[vol] = NULL;
	}
	r2 = blkremap_dev_close(s->vol[ORIGIN]);
	r = r < 0 || may_close_badly(s) ? r : r2;
	r2 = blkremap_dev_close(s->base);	/* flushes, and a failure of that is told */
	r = r < 0 || may_close_badly(s) ? r : r2;
	r2 = blkremap_ctx_free(s->ctx);
	r = r < 0 ? r : r2;
	return r < 0 ? story_complain(s, "closing", ORIGIN, r) : 0;
}

int story_adopt(struct story *s, uint32_t vol, uint32_t entries)
{
	uint32_t chunk = s->plan->chunk[vol - 1];
	struct blkremap_dev *store;
	int r = story_open_store(s, vol, &store);

	if (r < 0)
		return story_complain(s, "opening the store", vol, r);
	blkremap_dev_close(store);
	if (entries)
		make_entries(story_store_disk(s, vol), chunk, entries);
	else
		story_make_dirty(story_store_disk(s, vol), chunk + SIM_SECTOR);
	make_header(story_store_disk(s, vol), chunk);
	sim_model_take(s->m, vol, ORIGIN);
	sim_model_taken(s->m, vol, true);
	return attach(s, vol);
}

/* ---- the checker of stores --------------------------------------------------------------------------------------- */

static int read_disk(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct sim_disk *d = arg;

	if (offset % d->block_bytes || len % d->block_bytes || offset + len > d->nr_blocks * d->block_bytes)
		return -EINVAL;
	sim_disk_read(d, offset / d->block_bytes, (uint32_t)(len / d->block_bytes), buf);
	return 0;
}

/* The text of the worst finding so far. */
struct worst {
	int severity;
	char text[160];
};

static int note_finding(void *arg, const struct br_snap_finding *f)
{
	struct worst *w = arg;

	if ((int)f->severity > w->severity) {
		w->severity = (int)f->severity;
		snprintf(w->text, sizeof(w->text), "%s", f->text);
	}
	return 0;
}

/*
 * What the checker says about a store: nothing worse than "not closed cleanly".  Exceptions are committed in the order
 * in which their chunks were allocated, so no crash leaves a hole (s010); merging frees from the end.
 */
static int check_store(struct story *s, uint32_t vol, struct sim_disk *d)
{
	struct br_snap_io io = { .read = read_disk, .arg = d, .bytes = d->nr_blocks * d->block_bytes };
	struct br_snap_check_opts opts = { .origin_bytes = s->plan->sectors * SIM_SECTOR };
	struct worst worst = { 0 };
	struct br_snap_visitor visitor = { .finding = note_finding, .arg = &worst };
	struct br_snap_verdict v;
	int r = br_snap_check(&s->w->env, &io, &opts, &visitor, &v);

	if (r == -ENODATA && sim_model_state(s->m, vol) == SIM_VOL_TAKING)
		return 0;
	if (r == 0 && !v.valid && sim_model_can_fail(s->m, vol))
		return 0;
	if (r < 0 || v.worst >= BR_SNAP_CORRUPT)
		return sim_fail(s->w, "checking the store of volume %u: %d, %s", vol, r, worst.text);
	if (v.leaked && !sim_model_can_fail(s->m, vol))
		return sim_fail(s->w, "the store of volume %u has lost %llu chunks", vol, (unsigned long long)v.leaked);
	return 0;
}

int story_check_stores(struct story *s)
{
	int r = 0;

	for (uint32_t vol = 1; r == 0 && vol <= STORY_SNAPS; vol++)
		if (story_should_exist(s, vol) && story_store_disk(s, vol))
			r = check_store(s, vol, story_store_disk(s, vol));
	return r;
}
