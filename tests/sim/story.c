/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "blkremap/blkremap.h"
#include "sim/stamp.h"
#include "sim/story-internal.h"

enum { LONGEST = 256 };		/* sectors of one read of check_volume() */

/* ---- what the library says against what it may say --------------------------------------------------------------- */

/* An error where the model permits none ends the run. */
static int judge(struct story *s, const char *what, uint32_t vol, int r)
{
	if (r >= 0)
		return 0;
	if (sim_model_can_fail(s->m, vol))
		return r;
	return story_complain(s, what, vol, r);
}

/* ---- calls of the user ------------------------------------------------------------------------------------------- */

int story_write(struct story *s, uint32_t vol, uint64_t lba, uint32_t n, uint32_t flags)
{
	void *buf = sim_alloc((size_t)n * SIM_SECTOR);
	uint32_t op = sim_model_write(s->m, vol, lba, n, buf);
	bool fua = flags & STORY_FUA;
	int r = blkremap_pwrite(s->vol[vol], buf, (size_t)n * SIM_SECTOR, lba * SIM_SECTOR, fua ? BLKREMAP_FUA : 0);

	sim_model_ack(s->m, op, r, fua);
	free(buf);
	if (fua && r >= 0)
		sim_tighten(s->w);
	return judge(s, "write", vol, r);
}

int story_read(struct story *s, uint32_t vol, uint64_t lba, uint32_t n)
{
	uint8_t *buf = sim_alloc((size_t)n * SIM_SECTOR);
	uint32_t since = sim_model_now(s->m);
	int r = blkremap_pread(s->vol[vol], buf, (size_t)n * SIM_SECTOR, lba * SIM_SECTOR, 0);
	enum sim_verdict v;
	uint64_t where = 0;

	if (r < 0) {
		free(buf);
		return judge(s, "read", vol, r);
	}
	v = sim_model_read(s->m, vol, lba, n, buf, since, &where);
	if (v != SIM_RIGHT) {
		uint32_t value;
		uint64_t stamped;

		sim_stamp_read(buf + (where - lba) * SIM_SECTOR, &value, &stamped);
		r = sim_fail(s->w, "%s: volume %u sector %llu holds write %u of volume %u to sector %llu",
			     sim_verdict_name(v), vol,
			     (unsigned long long)where, value & SIM_VALUE_MASK, value >> SIM_VALUE_SHIFT,
			     (unsigned long long)stamped);
	}
	free(buf);
	return r < 0 ? r : 0;
}

int story_flush(struct story *s, uint32_t vol)
{
	uint32_t at = sim_model_flush(s->m, vol);
	int r = blkremap_flush(s->vol[vol]);

	sim_model_flush_ack(s->m, vol, at, r);
	if (r >= 0)
		sim_tighten(s->w);
	return judge(s, "flush", vol, r);
}

int story_take(struct story *s, uint32_t vol)
{
	struct blkremap_snapshot_opts opts = story_snapshot_opts(s, vol);
	struct blkremap_take take = { .origin = s->vol[ORIGIN], .opts = &opts };
	int r = story_open_store(s, vol, &take.store);

	if (r < 0)
		return story_complain(s, "opening the store", vol, r);
	story_make_dirty(story_store_disk(s, vol), s->plan->chunk[vol - 1]);
	sim_model_take(s->m, vol, ORIGIN);
	r = blkremap_snapshot_take(&take, 1, -1, NULL);
	sim_model_taken(s->m, vol, r >= 0);
	blkremap_dev_close(take.store);
	if (r < 0)
		return story_complain(s, "take", vol, r);
	s->vol[vol] = take.snap;
	sim_tighten(s->w);
	return 0;
}

int story_merge(struct story *s, uint32_t vol)
{
	int r;

	sim_model_merge(s->m, vol);
	r = blkremap_job_start(s->vol[vol], BLKREMAP_JOB_MERGE, NULL, &s->merge);
	return r < 0 ? story_complain(s, "starting a merge", vol, r) : 0;
}

int story_merge_wait(struct story *s, uint32_t vol)
{
	struct blkremap_job_status st = { .size = sizeof(st) };
	int r = blkremap_job_wait(s->merge, -1);

	if (r >= 0)
		r = blkremap_job_status(s->merge, &st);
	if (r >= 0)
		r = st.result;
	blkremap_job_free(s->merge);
	s->merge = NULL;
	if (r < 0)
		return story_complain(s, "merge", vol, r);
	sim_model_merged(s->m, vol);
	sim_tighten(s->w);
	return 0;
}

int story_drop(struct story *s, uint32_t vol)
{
	int r;

	sim_model_may_fail(s->m, vol);
	r = blkremap_snapshot_drop(s->vol[vol]);
	if (r < 0)
		return story_complain(s, "drop", vol, r);
	sim_model_gone(s->m, vol);
	sim_tighten(s->w);
	return 0;
}

int story_suspend(struct story *s, uint32_t vol)
{
	return judge(s, "suspend", vol, blkremap_suspend(s->vol[vol], 0, -1));
}

int story_resume(struct story *s, uint32_t vol)
{
	return judge(s, "resume", vol, blkremap_resume(s->vol[vol]));
}

void story_watch(struct story *s)
{
	s->w->watch = !s->plan->no_crashes;
}

void story_yield(struct story *s)
{
	sim_yield(s->w);
}

/* ---- more users -------------------------------------------------------------------------------------------------- */

struct user {
	struct story *s;
	int (*fn)(struct story *s);
};

static int run_user(struct sim_world *w, void *arg)
{
	struct user u = *(struct user *)arg;

	(void)w;
	free(arg);
	return u.fn(u.s);
}

void story_spawn(struct story *s, int (*fn)(struct story *s))
{
	struct user *u = sim_alloc(sizeof(*u));

	*u = (struct user){ s, fn };
	sim_spawn(s->w, run_user, u);
}

void story_join(struct story *s)
{
	sim_join(s->w);
}

/* ---- the story and its verification ------------------------------------------------------------------------------ */

static bool is_merging(const struct story *s)
{
	for (uint32_t vol = 1; vol <= STORY_SNAPS; vol++)
		if (sim_model_state(s->m, vol) == SIM_VOL_MERGING)
			return true;
	return false;
}

static int check_volume(struct story *s, uint32_t vol)
{
	uint64_t n = sim_model_sectors(s->m, vol);
	int r = 0;

	for (uint64_t lba = 0; r == 0 && lba < n; lba += LONGEST)
		r = story_read(s, vol, lba, (uint32_t)BR_MIN(n - lba, LONGEST));
	return r;
}

/* Errors that the model permits are no failures. */
static int check_all(struct story *s)
{
	if (!is_merging(s))	/* else the origin's content is on its way from one view to the other */
		check_volume(s, ORIGIN);
	for (uint32_t vol = 1; vol <= STORY_SNAPS; vol++)
		if (s->vol[vol])
			check_volume(s, vol);
	return s->w->failed ? -EPROTO : 0;
}

int story_tell(struct sim_world *w, void *arg)
{
	struct story s = { .w = w, .plan = arg, .m = w->user, .rng = w->rng };
	int r;

	w->kind = s.plan->kind;
	sim_model_add(s.m, ORIGIN, s.plan->sectors);
	r = story_open(&s);
	if (r >= 0)
		r = s.plan->body(&s);
	if (r < 0 && w->failed)
		return r;
	if (!w->failed)
		check_all(&s);
	w->watch = false;
	return story_close(&s);
}

/* Is it of use, too?  One sector of each volume, or of one; which one differs from point to point. */
static int use(struct story *s)
{
	for (uint32_t vol = 0; vol <= STORY_SNAPS; vol++) {
		uint64_t lba = (s->w->parent->crashes * 7 + vol) % s->plan->sectors;

		if (!s->vol[vol] || (vol == ORIGIN && is_merging(s)) || (s->w->parent->crashes + vol) % 3 == 1)
			continue;
		story_write(s, vol, lba, 1, 0);
		story_flush(s, vol);
		story_read(s, vol, lba, 1);
	}
	return s->w->failed ? -EPROTO : 0;
}

static int finish_merges(struct story *s)
{
	int r = 0;

	for (uint32_t vol = 1; r == 0 && vol <= STORY_SNAPS; vol++) {
		if (!s->vol[vol] || sim_model_state(s->m, vol) != SIM_VOL_MERGING)
			continue;
		r = story_merge(s, vol);
		if (r == 0)
			r = story_merge_wait(s, vol);
	}
	return r;
}

static int open_and_check(struct story *s)
{
	int r = story_open(s);

	return r < 0 ? r : check_all(s);
}

int story_verify(struct sim_world *w, void *arg)
{
	struct story s = { .w = w, .plan = arg, .m = w->user };
	int r;

	sim_model_crash(s.m);
	r = story_check_stores(&s);
	if (r == 0)
		r = open_and_check(&s);
	if (r == 0)
		r = use(&s);
	if (r == 0)
		r = finish_merges(&s);
	if (r == 0)
		r = check_all(&s);
	if (r == 0)
		r = story_close(&s);
	if (r == 0)
		r = open_and_check(&s);
	return r == 0 ? story_close(&s) : r;
}
