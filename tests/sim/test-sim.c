/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulator itself: does the disk forget what it may, is every schedule run, is a planted bug found? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "io/sync.h"
#include "sim/crash.h"
#include "sim/simdev.h"

enum { BLOCK = 512, NR = 8 };

/* ---- the disk ---------------------------------------------------------------------------------------------------- */

struct fixture {
	struct sim_blobs blobs;
	struct sim_disk *d;
};

static void set_up(struct fixture *f, const struct sim_disk_kind *kind)
{
	sim_blobs_init(&f->blobs);
	f->d = sim_disk_new(&f->blobs, "disk", 0, NR * BLOCK, BLOCK, kind);
}

static void tear_down(struct fixture *f)
{
	sim_disk_free(f->d);
	sim_blobs_done(&f->blobs);
}

static struct sim_write *write_byte(struct fixture *f, uint64_t at, uint8_t byte, uint32_t flags)
{
	uint8_t data[BLOCK];

	memset(data, byte, sizeof(data));
	return sim_disk_write(f->d, at, 1, data, flags);
}

static uint8_t stable(struct fixture *f, uint64_t at)
{
	return f->d->stable[at]->data[0];
}

static uint8_t visible(struct fixture *f, uint64_t at)
{
	uint8_t data[BLOCK];

	sim_disk_read(f->d, at, 1, data);
	return data[7];
}

static void d1_completed_write_is_visible_and_not_stable(void **state)
{
	struct fixture f;
	struct sim_write *w;

	(void)state;
	set_up(&f, NULL);
	w = write_byte(&f, 1, 'a', 0);
	assert_int_equal(visible(&f, 1), 0);
	sim_write_end(f.d, w, 0, 0);
	assert_int_equal(visible(&f, 1), 'a');
	assert_int_equal(stable(&f, 1), 0);
	assert_int_equal(f.d->nr_unstable, 1);
	tear_down(&f);
}

static void d2_flush_covers_only_what_completed_before_it_was_submitted(void **state)
{
	struct fixture f;
	struct sim_write *w1, *w2, *w3;
	uint64_t flush;

	(void)state;
	set_up(&f, NULL);
	w1 = write_byte(&f, 1, 'a', 0);
	w2 = write_byte(&f, 2, 'b', 0);
	w3 = write_byte(&f, 3, 'c', 0);
	sim_write_end(f.d, w3, 0, 0);
	sim_write_end(f.d, w2, 0, 0);
	flush = sim_disk_flush(f.d);
	sim_write_end(f.d, w1, 0, 0);
	sim_flush_end(f.d, flush, 0);
	assert_int_equal(stable(&f, 1), 0);
	assert_int_equal(stable(&f, 2), 'b');
	assert_int_equal(stable(&f, 3), 'c');
	assert_int_equal(f.d->nr_unstable, 1);
	tear_down(&f);
}

static void d3_fua_makes_its_own_blocks_stable_and_no_others(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, NULL);
	sim_write_end(f.d, write_byte(&f, 1, 'a', 0), 0, 0);
	sim_write_end(f.d, write_byte(&f, 2, 'b', SIM_WRITE_FUA), 0, 0);
	assert_int_equal(stable(&f, 1), 0);
	assert_int_equal(stable(&f, 2), 'b');
	tear_down(&f);
}

static void d3_fua_replaces_what_had_completed_before_it_and_not_what_races_with_it(void **state)
{
	struct fixture f;
	struct sim_write *racing, *fua;

	(void)state;
	set_up(&f, NULL);
	sim_write_end(f.d, write_byte(&f, 1, 'a', 0), 0, 0);
	racing = write_byte(&f, 1, 'r', 0);
	fua = write_byte(&f, 1, 'b', SIM_WRITE_FUA);
	sim_write_end(f.d, fua, 0, 0);
	assert_int_equal(stable(&f, 1), 'b');
	assert_int_equal(f.d->nr_unstable, 1);
	assert_ptr_equal(f.d->unstable.next, &racing->link);
	tear_down(&f);
}

static void d6_failed_flush_leaves_writes_that_no_later_flush_covers(void **state)
{
	struct fixture f;
	uint64_t flush;

	(void)state;
	set_up(&f, NULL);
	sim_write_end(f.d, write_byte(&f, 1, 'a', 0), 0, 0);
	flush = sim_disk_flush(f.d);
	sim_flush_end(f.d, flush, -5);
	flush = sim_disk_flush(f.d);
	sim_flush_end(f.d, flush, 0);
	assert_int_equal(stable(&f, 1), 0);
	assert_int_equal(visible(&f, 1), 'a');
	assert_int_equal(f.d->nr_unstable, 1);
	tear_down(&f);
}

static void d6_failed_write_is_old_or_new_in_each_block(void **state)
{
	struct fixture f;
	uint8_t data[2 * BLOCK];
	struct sim_write *w;

	(void)state;
	set_up(&f, NULL);
	memset(data, 'a', sizeof(data));
	w = sim_disk_write(f.d, 0, 2, data, SIM_WRITE_FUA);
	sim_write_end(f.d, w, -5, 2);
	assert_int_equal(visible(&f, 0), 0);
	assert_int_equal(visible(&f, 1), 'a');
	assert_int_equal(stable(&f, 1), 0);
	tear_down(&f);
}

static void without_a_cache_completed_means_stable(void **state)
{
	struct sim_disk_kind kind = { .no_cache = true };
	struct fixture f;

	(void)state;
	set_up(&f, &kind);
	sim_write_end(f.d, write_byte(&f, 1, 'a', 0), 0, 0);
	assert_int_equal(stable(&f, 1), 'a');
	assert_int_equal(f.d->nr_unstable, 0);
	tear_down(&f);
}

static void flush_leaves_the_later_of_two_writes_to_one_block(void **state)
{
	struct fixture f;
	struct sim_write *a, *b;

	(void)state;
	set_up(&f, NULL);
	a = write_byte(&f, 1, 'a', 0);
	b = write_byte(&f, 1, 'b', 0);
	sim_write_end(f.d, b, 0, 0);
	sim_write_end(f.d, a, 0, 0);
	sim_flush_end(f.d, sim_disk_flush(f.d), 0);
	assert_int_equal(stable(&f, 1), 'a');
	assert_int_equal(visible(&f, 1), 'a');
	assert_int_equal(f.d->nr_unstable, 0);
	tear_down(&f);
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static void rules_hit_the_nth_request_that_they_name(void **state)
{
	struct sim_rule r;

	(void)state;
	assert_int_equal(sim_rule_parse("disk=cow op=WRITE nth=2 once EIO", &r), 0);
	assert_int_equal(sim_rule_match(&r, "origin", BR_WRITE, 0, 1), 0);
	assert_int_equal(sim_rule_match(&r, "cow", BR_READ, 0, 1), 0);
	assert_int_equal(sim_rule_match(&r, "cow", BR_WRITE, 0, 1), 0);
	assert_int_equal(sim_rule_match(&r, "cow", BR_WRITE, 0, 1), -5);
	assert_int_equal(sim_rule_match(&r, "cow", BR_WRITE, 0, 1), 0);
	assert_int_equal(sim_rule_parse("op=READ block=8-15 forever ENOSPC", &r), 0);
	assert_int_equal(sim_rule_match(&r, "x", BR_READ, 0, 8), 0);
	assert_int_equal(sim_rule_match(&r, "x", BR_READ, 7, 2), -28);
	assert_int_equal(sim_rule_match(&r, "x", BR_READ, 15, 1), -28);
}

static void rules_that_make_no_sense_are_refused(void **state)
{
	static const char *const bad[] = { "", "disk=a", "op=SING EIO", "nth=0 EIO", "block=9-8 EIO", "EIO twice" };
	struct sim_rule r;

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(bad); i++)
		assert_true(sim_rule_parse(bad[i], &r) < 0);
}

/* ---- schedules --------------------------------------------------------------------------------------------------- */

enum { STEPS = 3 };

static int stepper(struct sim_world *w, void *arg)
{
	char *order = w->user;

	for (int i = 0; i < STEPS; i++) {
		sim_yield(w);
		order[strlen(order)] = *(char *)arg;
	}
	return 0;
}

static int two_steppers(struct sim_world *w, void *arg)
{
	(void)arg;
	sim_spawn(w, stepper, "a");
	sim_spawn(w, stepper, "b");
	sim_join(w);
	return 0;
}

static uint64_t run_steppers(struct sim_hub *hub, struct sim_sched *s, char *order)
{
	struct sim_world *w = sim_world_new(hub, NULL);
	uint64_t trace;

	memset(order, 0, 2 * STEPS + 1);
	w->user = order;
	w->sched = s;
	w->eager = true;
	assert_int_equal(sim_world_run(w, two_steppers, NULL), 0);
	trace = w->trace;
	sim_world_free(w);
	return trace;
}

static void exhaustive_walk_meets_every_interleaving(void **state)
{
	char order[2 * STEPS + 1], met[32][2 * STEPS + 1];
	struct sim_hub hub;
	struct sim_sched s;
	uint32_t n = 0, i;

	(void)state;
	sim_hub_init(&hub);
	sim_sched_init(&s, SIM_EXHAUSTIVE);
	do {
		sim_sched_start(&s, 0, 0);
		run_steppers(&hub, &s, order);
		for (i = 0; i < n && strcmp(met[i], order) != 0; i++)
			;
		assert_true(i < BR_ARRAY_SIZE(met));
		if (i == n)
			memcpy(met[n++], order, sizeof(order));
	} while (sim_sched_next(&s));
	assert_int_equal(n, 20);	/* 6 over 3 */
	sim_sched_done(&s);
	sim_hub_done(&hub);
}

static void one_seed_is_one_schedule_and_its_list_repeats_it(void **state)
{
	char order[2 * STEPS + 1], again[2 * STEPS + 1], list[128];
	struct sim_hub hub;
	struct sim_sched s, replay;
	uint64_t trace;

	(void)state;
	sim_hub_init(&hub);
	for (uint64_t seed = 0; seed < 50; seed++) {
		sim_sched_init(&s, seed & 1 ? SIM_PCT : SIM_RANDOM);
		sim_sched_start(&s, seed, 12);
		trace = run_steppers(&hub, &s, order);
		assert_true(sim_sched_print(&s, list, sizeof(list)));
		sim_sched_start(&s, seed, 12);
		assert_int_equal(run_steppers(&hub, &s, again), trace);
		assert_string_equal(order, again);
		sim_sched_init(&replay, SIM_EXHAUSTIVE);
		assert_int_equal(sim_sched_parse(&replay, list), 0);
		assert_int_equal(run_steppers(&hub, &replay, again), trace);
		assert_string_equal(order, again);
		sim_sched_done(&replay);
		sim_sched_done(&s);
	}
	sim_hub_done(&hub);
}

static int forever(struct sim_world *w, void *arg)
{
	(void)arg;
	sim_wait(w, BR_NEVER);
	return 0;
}

static void waiting_for_nothing_is_a_deadlock(void **state)
{
	struct sim_hub hub;
	struct sim_world *w;

	(void)state;
	sim_hub_init(&hub);
	w = sim_world_new(&hub, NULL);
	assert_true(sim_world_run(w, forever, NULL) < 0);
	assert_non_null(strstr(w->text, "deadlock"));
	sim_world_free(w);
	sim_hub_done(&hub);
}

static int leaker(struct sim_world *w, void *arg)
{
	(void)arg;
	return br_alloc(&w->env, 10) ? 0 : -1;
}

static void memory_that_is_not_freed_fails_the_run(void **state)
{
	struct sim_hub hub;
	struct sim_world *w;

	(void)state;
	sim_hub_init(&hub);
	w = sim_world_new(&hub, NULL);
	assert_true(sim_world_run(w, leaker, NULL) < 0);
	sim_world_free(w);
	w = sim_world_new(&hub, NULL);
	w->fail_alloc = 1;
	assert_true(sim_world_run(w, leaker, NULL) < 0);
	assert_non_null(strstr(w->text, "returned -1"));
	sim_world_free(w);
	sim_hub_done(&hub);
}

/* ---- a log store, right and wrong -------------------------------------------------------------------------------- */

/*
 * Block 0 holds the number of records, block i the i-th; a record is two blocks, to tear.  Right: record, flush, count
 * with FUA.  Each way to be wrong leaves one thing out.
 */
enum { RIGHT, NO_FLUSH, NO_FUA, COUNT_FIRST };
enum { RECORDS = 3, LOG_BLOCKS = 1 + 2 * RECORDS };

struct log_run {
	int how;
	bool again;	/* verify goes on appending */
};

struct opened {
	struct br_ctx ctx;
	struct br_dev *dev;
	struct br_sync sync;
};

static void log_open(struct opened *o, struct sim_world *w)
{
	struct sim_disk *d = sim_world_disk(w, "log");

	memset(o, 0, sizeof(*o));
	memset(&o->sync, 0xa5, sizeof(o->sync));	/* whoever opens it need not have cleared it */
	if (!d) {
		d = sim_disk_new(&w->hub->blobs, "log", 0, LOG_BLOCKS * BLOCK, BLOCK, &w->kind);
		w->disks[w->nr_disks++] = d;
	}
	br_ctx_init(&o->ctx, &w->env, true);
	sim_dev_open(&o->ctx, w, d, "log", &o->dev);
	br_sync_open(&o->sync, &o->ctx, o->dev);
}

static void log_close(struct opened *o)
{
	br_sync_close(&o->sync);
	br_dev_put(o->dev);
	br_ctx_done(&o->ctx);
}

static void put_count(struct opened *o, uint8_t n, int how)
{
	uint8_t data[BLOCK] = { n };

	br_sync_write(&o->sync, data, BLOCK, 0, how == NO_FUA ? 0 : BR_FUA);
}

static void append(struct opened *o, uint8_t n, int how)
{
	uint8_t data[2 * BLOCK];

	memset(data, n, sizeof(data));
	if (how == COUNT_FIRST)
		put_count(o, n, how);
	br_sync_write(&o->sync, data, sizeof(data), BLOCK + (n - 1u) * sizeof(data), 0);
	if (how != NO_FLUSH)
		br_sync_simple(&o->sync, BR_FLUSH, 0, 0, 0);
	if (how != COUNT_FIRST)
		put_count(o, n, how);
}

static int log_scenario(struct sim_world *w, void *arg)
{
	struct log_run *run = arg;
	struct opened o;

	log_open(&o, w);
	w->watch = true;
	for (uint8_t n = 1; n <= 2; n++) {
		append(&o, n, run->how);
		sim_note(w, 1, n);
	}
	log_close(&o);
	return 0;
}

static int log_check(struct sim_world *w, struct opened *o)
{
	uint8_t data[LOG_BLOCKS * BLOCK];
	uint64_t told = w->nr_notes ? w->notes[w->nr_notes - 1].value : 0;

	br_sync_read(&o->sync, data, sizeof(data), 0);
	if (data[0] < told)
		return sim_fail(w, "%u records, %u were promised", data[0], (unsigned)told);
	for (uint32_t i = 0; i < 2u * data[0]; i++)
		if (data[(1 + i) * BLOCK] != i / 2 + 1)
			return sim_fail(w, "record %u is not there", i / 2 + 1);
	return data[0];
}

static int log_verify(struct sim_world *w, void *arg)
{
	struct log_run *run = arg;
	struct opened o;
	int n;

	log_open(&o, w);
	n = log_check(w, &o);
	if (n >= 0 && run->again && n < RECORDS)
		append(&o, (uint8_t)(n + 1), run->how);
	log_close(&o);
	return n < 0 ? n : 0;
}

static void explore_log(struct sim_crash *c, struct log_run *run, const struct sim_disk_kind *kind)
{
	struct sim_world *w;

	sim_crash_init(c);
	c->verify = log_verify;
	c->arg = run;
	c->max_depth = 2;
	c->sample = 1;
	w = sim_world_new(&c->hub, NULL);
	if (kind)
		w->kind = *kind;
	sim_world_run(w, log_scenario, run);
	assert_false(w->failed);
	sim_world_free(w);
}

static void explorer_finds_nothing_in_a_log_that_is_right(void **state)
{
	struct log_run run = { .how = RIGHT, .again = true };
	struct sim_crash c;

	(void)state;
	explore_log(&c, &run, NULL);
	assert_string_equal(c.text, "");
	assert_true(c.states > 20);
	assert_true(c.deeper > 10);
	sim_crash_done(&c);
}

static void explorer_finds_each_planted_bug(void **state)
{
	static const int hows[] = { NO_FLUSH, NO_FUA, COUNT_FIRST };
	struct sim_crash c;

	(void)state;
	for (size_t i = 0; i < BR_ARRAY_SIZE(hows); i++) {
		struct log_run run = { .how = hows[i] };

		explore_log(&c, &run, NULL);
		assert_string_not_equal(c.text, "");
		sim_crash_done(&c);
	}
}

static void missing_flush_is_harmless_without_a_cache(void **state)
{
	struct log_run run = { .how = NO_FLUSH };
	struct sim_disk_kind kind = { .no_cache = true };
	struct sim_crash c;

	(void)state;
	explore_log(&c, &run, &kind);
	assert_string_equal(c.text, "");
	sim_crash_done(&c);
}

static void emulated_fua_is_as_good_as_native(void **state)
{
	struct log_run run = { .how = RIGHT, .again = true };
	struct sim_disk_kind kind = { .no_fua = true };
	struct sim_crash c;

	(void)state;
	explore_log(&c, &run, &kind);
	assert_string_equal(c.text, "");
	sim_crash_done(&c);
}

/* The failure's path names one crash point and one image; looking at that alone finds it again. */
static void failure_is_found_again_by_its_path_alone(void **state)
{
	struct log_run run = { .how = NO_FLUSH };
	struct sim_crash first, second;
	struct sim_world *w;

	(void)state;
	explore_log(&first, &run, NULL);
	sim_crash_init(&second);
	second.verify = log_verify;
	second.arg = &run;
	second.max_depth = 2;
	second.replaying = true;
	second.target = first.failure;
	w = sim_world_new(&second.hub, NULL);
	sim_world_run(w, log_scenario, &run);
	sim_world_free(w);
	assert_string_equal(first.text, second.text);
	assert_int_equal(second.states, first.failure.n);
	sim_crash_done(&first);
	sim_crash_done(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d1_completed_write_is_visible_and_not_stable),
		cmocka_unit_test(d2_flush_covers_only_what_completed_before_it_was_submitted),
		cmocka_unit_test(d3_fua_makes_its_own_blocks_stable_and_no_others),
		cmocka_unit_test(d3_fua_replaces_what_had_completed_before_it_and_not_what_races_with_it),
		cmocka_unit_test(d6_failed_flush_leaves_writes_that_no_later_flush_covers),
		cmocka_unit_test(d6_failed_write_is_old_or_new_in_each_block),
		cmocka_unit_test(without_a_cache_completed_means_stable),
		cmocka_unit_test(flush_leaves_the_later_of_two_writes_to_one_block),
		cmocka_unit_test(rules_hit_the_nth_request_that_they_name),
		cmocka_unit_test(rules_that_make_no_sense_are_refused),
		cmocka_unit_test(exhaustive_walk_meets_every_interleaving),
		cmocka_unit_test(one_seed_is_one_schedule_and_its_list_repeats_it),
		cmocka_unit_test(waiting_for_nothing_is_a_deadlock),
		cmocka_unit_test(memory_that_is_not_freed_fails_the_run),
		cmocka_unit_test(explorer_finds_nothing_in_a_log_that_is_right),
		cmocka_unit_test(explorer_finds_each_planted_bug),
		cmocka_unit_test(missing_flush_is_harmless_without_a_cache),
		cmocka_unit_test(emulated_fua_is_as_good_as_native),
		cmocka_unit_test(failure_is_found_again_by_its_path_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
