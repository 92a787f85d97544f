/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stories of the snapshot family.  Geometry is as small as the format permits: chunks of 4 KiB (8 sectors; an area
 * of 256 entries is 8 sectors, too), few of them.  "wide" has more than 32 exceptions, so that an area's entries span
 * sectors.
 */
#include <stdio.h>
#include <string.h>

#include "blkremap/blkremap.h"
#include "sim/story.h"

enum { C4 = 4096, C8 = 8192, C16 = 16384, CS = C4 / 512 };

static uint32_t draw(struct story *s, uint32_t n)
{
	return (uint32_t)(sim_random(&s->rng) % n);
}

/* ---- what users do at random ------------------------------------------------------------------------------------- */

static uint32_t any_range(struct story *s, uint64_t *lba)
{
	uint32_t n = draw(s, 3) ? 1 + draw(s, 3) : CS + draw(s, 3);

	/* Mostly in the first two chunks, so that users meet. */
	*lba = draw(s, 3) ? draw(s, 2 * CS) : draw(s, (uint32_t)s->plan->sectors);
	if (!draw(s, 4))
		*lba = *lba / CS * CS;
	if (*lba + n > s->plan->sectors)
		*lba = s->plan->sectors - n;
	return n;
}

static int use_volume(struct story *s, uint32_t vol, int steps)
{
	for (int i = 0; i < steps; i++) {
		uint64_t lba;
		uint32_t n = any_range(s, &lba), what = draw(s, 8);
		int r;

		story_yield(s);
		if (what < 3)
			r = story_write(s, vol, lba, n, what ? 0 : STORY_FUA);
		else if (what < 7)
			r = story_read(s, vol, lba, n);
		else
			r = story_flush(s, vol);
		if (s->w->failed)
			return r;
	}
	return 0;
}

static int origin_user(struct story *s)
{
	return use_volume(s, ORIGIN, 4);
}

static int origin_writer(struct story *s)
{
	for (int i = 0; i < 2; i++) {
		uint64_t lba;
		uint32_t n = any_range(s, &lba);

		story_yield(s);
		story_write(s, ORIGIN, lba, n, draw(s, 2) ? STORY_FUA : 0);
	}
	return 0;
}

static int snap_user(struct story *s)
{
	return use_volume(s, 1, 4);
}

static int snap2_user(struct story *s)
{
	return use_volume(s, 2, 3);
}

/* The origin full of stamps, durable; not part of any story. */
static int fill(struct story *s)
{
	for (uint64_t lba = 0; lba < s->plan->sectors; lba += CS)
		story_write(s, ORIGIN, lba, CS, 0);
	return story_flush(s, ORIGIN);
}

static int begin(struct story *s, uint32_t snaps)
{
	int r = fill(s);

	for (uint32_t vol = 1; r == 0 && vol <= snaps; vol++)
		r = story_take(s, vol);
	return r;
}

/* ---- seed 003 and its neighbours: schedules ---------------------------------------------------------------------- */

static int read_first(struct story *s)
{
	return story_read(s, 1, 0, 1);
}

static int write_first(struct story *s)
{
	return story_write(s, ORIGIN, 0, 1, 0);
}

static int write_second(struct story *s)
{
	return story_write(s, ORIGIN, 1, 1, 0);
}

/* A snapshot's read is in flight at the origin, one write completes the copy-out, another comes behind it. */
static int s003(struct story *s)
{
	int r = begin(s, 1);

	if (r < 0)
		return r;
	story_spawn(s, read_first);
	story_spawn(s, write_first);
	story_spawn(s, write_second);
	story_join(s);
	return 0;
}

/* A reader that comes when the copy is committed and waits for the readers before it. */
static int late_reader(struct story *s)
{
	int r = begin(s, 1);

	if (r < 0)
		return r;
	story_spawn(s, read_first);
	story_spawn(s, read_first);
	story_spawn(s, write_first);
	story_join(s);
	return 0;
}

/* The race of 2008: one read, one write. */
static int s009(struct story *s)
{
	int r = begin(s, 1);

	if (r < 0)
		return r;
	story_watch(s);
	story_spawn(s, read_first);
	story_spawn(s, write_first);
	story_join(s);
	return 0;
}

static int write_snap_whole(struct story *s)
{
	return story_write(s, 1, 0, CS, 0);
}

static int write_snap_part(struct story *s)
{
	return story_write(s, 1, 2, 1, STORY_FUA);
}

/* Both sides want the same exception: a whole chunk, a part, and the origin. */
static int both_sides(struct story *s)
{
	int r = begin(s, 1);

	if (r < 0)
		return r;
	story_watch(s);
	story_spawn(s, write_snap_whole);
	story_spawn(s, write_first);
	story_spawn(s, write_snap_part);
	story_join(s);
	return 0;
}

/* ---- random users, crashes everywhere ---------------------------------------------------------------------------- */

static int one_snapshot(struct story *s)
{
	int r = begin(s, 1);

	if (r < 0)
		return r;
	story_watch(s);
	story_spawn(s, origin_user);
	story_spawn(s, snap_user);
	story_join(s);
	return 0;
}

static int two_snapshots(struct story *s)
{
	int r = begin(s, 2);

	if (r < 0)
		return r;
	story_watch(s);
	story_spawn(s, origin_user);
	story_spawn(s, snap_user);
	story_spawn(s, snap2_user);
	story_join(s);
	return 0;
}

/* Both snapshots have chunks of one size: one read serves both. */
static int twins(struct story *s)
{
	int r = begin(s, 2);

	if (r < 0)
		return r;
	story_watch(s);
	story_spawn(s, write_first);
	story_spawn(s, write_snap_part);
	story_spawn(s, origin_writer);
	story_join(s);
	return 0;
}

/* What was acknowledged before a point in time, and not flushed, is in it and stays. */
static int point_in_time(struct story *s)
{
	int r = begin(s, 0);

	if (r == 0)
		r = story_write(s, ORIGIN, 3, 2, 0);
	story_watch(s);
	if (r == 0)
		r = story_take(s, 1);
	return r == 0 ? story_write(s, ORIGIN, 2 * CS, 1, 0) : r;
}

/*
 * A store of another implementation with chunks of two sectors, so that an area has 64 entries in two sectors; @full of
 * them are there when the story begins, and behind them lies what must not come alive.
 */
static int adopted(struct story *s, uint32_t full)
{
	int r = story_adopt(s, 1, 0);

	for (uint32_t i = 0; r == 0 && i < full; i++)
		r = story_write(s, ORIGIN, 2 * (i + 8), 1, 0);
	if (r == 0)
		r = story_flush(s, ORIGIN);
	if (r < 0)
		return r;
	story_watch(s);
	story_spawn(s, origin_writer);
	story_spawn(s, snap_user);
	story_join(s);
	return 0;
}

static int adopt_half(struct story *s)
{
	return adopted(s, 31);
}

static int adopt_full(struct story *s)
{
	return adopted(s, 62);
}

/* An area of two pages; the last place of the first is taken, and the second begins with what must not come alive. */
static int adopt_pages(struct story *s)
{
	int r = story_adopt(s, 1, 255);

	story_watch(s);
	if (r == 0)
		r = story_write(s, ORIGIN, 255 * 16, 1, 0);
	return r == 0 ? story_write(s, ORIGIN, 256 * 16, 1, STORY_FUA) : r;
}

/*
 * 31 exceptions are there before the story begins: its own fill the first sector of the area and go on in the second.
 */
static int wide(struct story *s)
{
	int r = begin(s, 1);

	for (uint32_t i = 0; r == 0 && i < 31; i++)
		r = story_write(s, ORIGIN, (uint64_t)(i + 6) * CS, 1, 0);
	if (r == 0)
		r = story_flush(s, ORIGIN);
	if (r < 0)
		return r;
	story_watch(s);
	story_spawn(s, origin_user);
	story_spawn(s, snap_user);
	story_join(s);
	return 0;
}

/* A second snapshot is taken while its origin is written. */
static int taker(struct story *s)
{
	story_yield(s);
	return story_take(s, 2);
}

static int take_live(struct story *s)
{
	int r = begin(s, 1);

	if (r < 0)
		return r;
	story_watch(s);
	story_spawn(s, origin_writer);
	story_spawn(s, taker);
	story_spawn(s, origin_writer);
	story_join(s);
	if (s->w->failed)
		return -1;
	return use_volume(s, ORIGIN, 2);
}

/* ---- the store is too small -------------------------------------------------------------------------------------- */

static int sweep_origin(struct story *s)
{
	for (uint64_t lba = 0; lba < s->plan->sectors; lba += CS) {
		story_yield(s);
		story_write(s, ORIGIN, lba + draw(s, CS), 1, draw(s, 2) ? STORY_FUA : 0);
	}
	return 0;
}

static int sweep_snapshot(struct story *s)
{
	for (uint64_t lba = 0; lba < s->plan->sectors && !s->w->failed; lba += 2 * CS) {
		story_yield(s);
		story_write(s, 1, lba, draw(s, 2) ? CS : 1, 0);
		story_read(s, 1, 0, (uint32_t)s->plan->sectors);
	}
	return 0;
}

/* The header is rewritten (invalid) while area writes are under way: s008. */
static int overflow(struct story *s)
{
	int r = begin(s, 1);

	if (r < 0)
		return r;
	sim_model_may_fail(s->m, 1);
	story_watch(s);
	story_spawn(s, sweep_origin);
	story_spawn(s, sweep_snapshot);
	story_join(s);
	return 0;
}

/* The store has one place left, or none, when the story begins. */
static int nearly_full(struct story *s, uint32_t full)
{
	int r = begin(s, 1);

	for (uint32_t i = 0; r == 0 && i < full; i++)
		r = story_write(s, ORIGIN, (uint64_t)(i + 1) * CS + 1, 1, 0);
	if (r == 0)
		r = story_flush(s, ORIGIN);
	sim_model_may_fail(s->m, 1);
	story_watch(s);
	return r;
}

static int write_fifth(struct story *s)
{
	return story_write(s, ORIGIN, 4 * CS, 1, STORY_FUA);
}

/* One exception fits, the other does not: the header is marked while the area is being written. */
static int s008(struct story *s)
{
	int r = nearly_full(s, 2);

	if (r < 0)
		return r;
	story_spawn(s, write_first);
	story_spawn(s, write_fifth);
	story_join(s);
	return 0;
}

/* The mark must be durable before the write that makes the snapshot wrong is. */
static int s008_full(struct story *s)
{
	int r = nearly_full(s, 3);

	return r < 0 ? r : write_fifth(s);
}

/* Copies finish in any order: what a crash may cost is bounded (s010), and the table survives. */
static int write_third(struct story *s)
{
	return story_write(s, ORIGIN, 2 * CS, 1, 0);
}

static int write_fourth(struct story *s)
{
	return story_write(s, ORIGIN, 3 * CS + 1, 1, STORY_FUA);
}

static int s010(struct story *s)
{
	int r = begin(s, 1);

	if (r < 0)
		return r;
	story_watch(s);
	story_spawn(s, write_first);
	story_spawn(s, write_third);
	story_spawn(s, write_fourth);
	story_join(s);
	return 0;
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

/* Exceptions of both kinds, some of them in a run, in a durable store. */
static int before_merge(struct story *s, uint32_t snaps)
{
	int r = begin(s, snaps);

	if (r == 0)
		r = story_write(s, 1, 0, CS, 0);
	if (r == 0)
		r = story_write(s, 1, CS, 2, 0);
	if (r == 0)
		r = story_write(s, ORIGIN, 2 * CS + 1, 1, 0);
	if (r == 0)
		r = story_flush(s, 1);
	return r == 0 ? story_flush(s, ORIGIN) : r;
}

static int s005(struct story *s)
{
	int r = before_merge(s, 1);

	if (r < 0)
		return r;
	story_watch(s);
	r = story_merge(s, 1);
	return r < 0 ? r : story_merge_wait(s, 1);
}

static int merge_waiter(struct story *s)
{
	return story_merge_wait(s, 1);
}

static int merge_io(struct story *s)
{
	int r = before_merge(s, 1);

	if (r < 0)
		return r;
	story_watch(s);
	r = story_merge(s, 1);
	if (r < 0)
		return r;
	story_spawn(s, merge_waiter);
	story_spawn(s, snap_user);
	story_join(s);
	return 0;
}

static int merge_beside(struct story *s)
{
	int r = before_merge(s, 2);

	if (r < 0)
		return r;
	story_watch(s);
	r = story_merge(s, 1);
	if (r < 0)
		return r;
	story_spawn(s, merge_waiter);
	story_spawn(s, snap_user);
	story_spawn(s, snap2_user);
	story_join(s);
	return 0;
}

/*
 * Writes to what is merged already, while the rest is not: a round takes what one page of the store names, the last
 * first.
 */
static int write_merged(struct story *s)
{
	for (uint64_t i = 0; i < 3; i++) {
		story_yield(s);
		story_write(s, 1, 144 + i, 1, STORY_FUA);
	}
	return 0;
}

static int merge_behind(struct story *s)
{
	int r = story_adopt(s, 1, 0);

	for (uint64_t i = 0; r == 0 && i < 66; i++)
		r = story_write(s, ORIGIN, 2 * (i + 8), 1, 0);
	if (r == 0)
		r = story_flush(s, ORIGIN);
	if (r < 0)
		return r;
	story_watch(s);
	r = story_merge(s, 1);
	if (r < 0)
		return r;
	story_spawn(s, merge_waiter);
	story_spawn(s, write_merged);
	story_join(s);
	return 0;
}

/* ---- standing still ---------------------------------------------------------------------------------------------- */

/* Somebody suspends and resumes while others write: nobody waits for ever, nothing changes meanwhile. */
static int suspender(struct story *s)
{
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t vol = draw(s, 2);
		int r = story_suspend(s, vol);

		story_yield(s);
		if (r == 0)
			r = story_resume(s, vol);
		if (r < 0)
			return r;
	}
	return 0;
}

static int suspended(struct story *s)
{
	int r = begin(s, 1);

	if (r < 0)
		return r;
	story_watch(s);
	story_spawn(s, origin_user);
	story_spawn(s, suspender);
	story_spawn(s, snap_user);
	story_spawn(s, suspender);
	story_join(s);
	return 0;
}

/* ---- snapshots that go ------------------------------------------------------------------------------------------- */

static int dropper(struct story *s)
{
	story_yield(s);
	return story_drop(s, 1);
}

/* One snapshot is dropped while all are in use; the other must not notice. */
static int drop(struct story *s)
{
	int r = begin(s, 2);

	if (r < 0)
		return r;
	sim_model_may_fail(s->m, 1);
	story_watch(s);
	story_spawn(s, origin_writer);
	story_spawn(s, dropper);
	story_spawn(s, snap_user);
	story_spawn(s, snap2_user);
	story_join(s);
	return 0;
}

/* ---- devices that fail ------------------------------------------------------------------------------------------- */

/*
 * One request of one disk fails, once or from then on; whatever comes of it, nobody is told anything wrong.  A store
 * that takes no write any more cannot be marked invalid either: that is the one exception (protocols P8), which the
 * snapshot's user is told, and which no crash is looked at for.
 */
static int fault(struct story *s, const char *disk, const char *const *ops, uint32_t nr_ops)
{
	const char *op = ops[draw(s, nr_ops)];
	uint32_t nth = 1 + draw(s, 8);
	bool once = draw(s, 3) != 0;
	char rule[96];

	snprintf(rule, sizeof(rule), "disk=%s op=%s nth=%u %s EIO", disk, op, nth, once ? "once" : "forever");
	if (once || strcmp(op, "READ") == 0 || strcmp(op, "FLUSH") == 0 || strcmp(disk, "origin") == 0)
		story_watch(s);
	return sim_rule_add(s->w, rule);
}

static int users_with_fault(struct story *s, const char *disk)
{
	static const char *const ops[] = { "READ", "WRITE", "FLUSH", "ANY" };
	int r = begin(s, 2);

	if (r < 0)
		return r;
	sim_model_may_fail(s->m, 1);
	sim_model_may_fail(s->m, 2);
	r = fault(s, disk, ops, 4);
	story_spawn(s, origin_user);
	story_spawn(s, snap_user);
	story_spawn(s, snap2_user);
	story_join(s);
	return r;
}

static int fault_store(struct story *s)
{
	return users_with_fault(s, "store1");
}

static int fault_origin(struct story *s)
{
	sim_model_may_fail(s->m, ORIGIN);
	return users_with_fault(s, "origin");
}

/* The disk lies about one write: if that goes unnoticed the whole test is blind. */
static int canary(struct story *s)
{
	int r = begin(s, 1);

	if (r == 0)
		r = sim_rule_add(s->w, "disk=origin op=WRITE nth=1 once elide");
	story_watch(s);
	return r == 0 ? story_write(s, ORIGIN, 0, 1, STORY_FUA) : r;
}

const struct story_plan story_plans[] = {
	{ .name = "s003", .body = s003, .sectors = 2 * CS, .chunk = { C4 }, .store_sectors = { 8 * CS },
	  .exhaustive = true, .no_crashes = true },
	{ .name = "late-reader", .body = late_reader, .sectors = 2 * CS, .chunk = { C4 }, .store_sectors = { 8 * CS },
	  .exhaustive = true, .no_crashes = true },
	{ .name = "s009", .body = s009, .sectors = 2 * CS, .chunk = { C4 }, .store_sectors = { 8 * CS },
	  .exhaustive = true },
	{ .name = "both-sides", .body = both_sides, .sectors = 2 * CS, .chunk = { C4 }, .store_sectors = { 8 * CS },
	  .exhaustive = true },
	{ .name = "s010", .body = s010, .sectors = 4 * CS, .chunk = { C4 }, .store_sectors = { 10 * CS },
	  .exhaustive = true },
	{ .name = "one-snapshot", .body = one_snapshot, .sectors = 4 * CS, .chunk = { C4 },
	  .store_sectors = { 10 * CS } },
	{ .name = "no-fua", .body = one_snapshot, .sectors = 4 * CS, .chunk = { C4 }, .store_sectors = { 10 * CS },
	  .kind = { .no_fua = true, .no_write_zeroes = true } },
	{ .name = "no-cache", .body = one_snapshot, .sectors = 4 * CS, .chunk = { C4 }, .store_sectors = { 10 * CS },
	  .kind = { .no_cache = true } },
	{ .name = "two-snapshots", .body = two_snapshots, .sectors = 4 * CS, .chunk = { C4, C16 },
	  .store_sectors = { 10 * CS, 20 * CS } },
	{ .name = "twins", .body = twins, .sectors = 4 * CS, .chunk = { C4, C4 },
	  .store_sectors = { 10 * CS, 10 * CS } },
	{ .name = "point-in-time", .body = point_in_time, .sectors = 4 * CS, .chunk = { C4 },
	  .store_sectors = { 10 * CS }, .exhaustive = true },
	{ .name = "adopt-half", .body = adopt_half, .sectors = 160, .chunk = { 1024 }, .store_sectors = { 200 } },
	{ .name = "adopt-full", .body = adopt_full, .sectors = 160, .chunk = { 1024 }, .store_sectors = { 200 } },
	{ .name = "adopt-pages", .body = adopt_pages, .sectors = 257 * 16, .chunk = { C8 },
	  .store_sectors = { 264 * 16 } },
	{ .name = "wide", .body = wide, .sectors = 40 * CS, .chunk = { C4 }, .store_sectors = { 50 * CS } },
	{ .name = "take-live", .body = take_live, .sectors = 4 * CS, .chunk = { C4, C8 },
	  .store_sectors = { 10 * CS, 20 * CS } },
	{ .name = "s008", .body = s008, .sectors = 6 * CS, .chunk = { C4 }, .store_sectors = { 5 * CS },
	  .exhaustive = true },
	{ .name = "s008-full", .body = s008_full, .sectors = 6 * CS, .chunk = { C4 }, .store_sectors = { 5 * CS },
	  .exhaustive = true },
	{ .name = "overflow", .body = overflow, .sectors = 6 * CS, .chunk = { C4 }, .store_sectors = { 5 * CS } },
	{ .name = "s005", .body = s005, .sectors = 4 * CS, .chunk = { C4 }, .store_sectors = { 10 * CS },
	  .exhaustive = true },
	{ .name = "merge-io", .body = merge_io, .sectors = 4 * CS, .chunk = { C4 }, .store_sectors = { 10 * CS } },
	{ .name = "merge-behind", .body = merge_behind, .sectors = 160, .chunk = { 1024 }, .store_sectors = { 200 } },
	{ .name = "suspended", .body = suspended, .sectors = 4 * CS, .chunk = { C4 }, .store_sectors = { 10 * CS } },
	{ .name = "drop", .body = drop, .sectors = 4 * CS, .chunk = { C4, C4 }, .store_sectors = { 10 * CS, 10 * CS } },
	{ .name = "fault-store", .body = fault_store, .sectors = 4 * CS, .chunk = { C4, C4 },
	  .store_sectors = { 10 * CS, 10 * CS } },
	{ .name = "fault-origin", .body = fault_origin, .sectors = 4 * CS, .chunk = { C4, C4 },
	  .store_sectors = { 10 * CS, 10 * CS } },
	{ .name = "merge-beside", .body = merge_beside, .sectors = 4 * CS, .chunk = { C4, C8 },
	  .store_sectors = { 10 * CS, 20 * CS } },
	{ .name = "canary", .body = canary, .sectors = 2 * CS, .chunk = { C4 }, .store_sectors = { 8 * CS },
	  .must_fail = true },
};
const uint32_t nr_story_plans = sizeof(story_plans) / sizeof(story_plans[0]);
