/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulator as its users see it: a journal over two disks, written in plain blocking code, right and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <blkremap/blkremap.h>

#include "sim/sim.h"

enum { BLOCK = 512, BLOCKS = 8, TOLD = 1 };

struct journal {
	bool no_flush;		/* the bug: data is not flushed before the log says that it is there */
	struct blkremap_dev *data, *log;
};

static int open_disks(struct blkremap_sim *sim, struct journal *j)
{
	int r = blkremap_sim_disk(sim, "data", BLOCKS * BLOCK, BLOCK, &j->data);

	return r < 0 ? r : blkremap_sim_disk(sim, "log", BLOCK, BLOCK, &j->log);
}

static void close_disks(struct journal *j)
{
	blkremap_dev_close(j->data);
	blkremap_dev_close(j->log);
}

static int put(struct journal *j, uint8_t n)
{
	uint8_t block[BLOCK] = { n };
	int r = blkremap_pwrite(j->data, block, BLOCK, (uint64_t)n * BLOCK, 0);

	if (r >= 0 && !j->no_flush)
		r = blkremap_flush(j->data);
	return r < 0 ? r : blkremap_pwrite(j->log, block, BLOCK, 0, BLKREMAP_FUA);
}

static int scenario(struct blkremap_sim *sim, void *opaque)
{
	struct journal j = *(struct journal *)opaque;
	int r = open_disks(sim, &j);

	for (uint8_t n = 1; r >= 0 && n <= 3; n++) {
		r = put(&j, n);
		if (r >= 0)
			r = blkremap_sim_note(sim, TOLD, n);
	}
	close_disks(&j);
	return r;
}

static int verify(struct blkremap_sim *sim, void *opaque)
{
	struct journal j = *(struct journal *)opaque;
	struct blkremap_sim_note notes[8];
	uint8_t log[BLOCK], data[BLOCK];
	uint32_t n;
	int r = open_disks(sim, &j);

	blkremap_sim_notes(sim, notes, 8, &n);
	if (r >= 0)
		r = blkremap_pread(j.log, log, BLOCK, 0, 0);
	if (r >= 0 && n && log[0] < notes[n - 1].value)
		r = blkremap_sim_fail(sim, "the log has forgotten what was told");
	for (uint8_t i = 1; r >= 0 && i <= log[0]; i++) {
		r = blkremap_pread(j.data, data, BLOCK, (uint64_t)i * BLOCK, 0);
		if (r >= 0 && data[0] != i)
			r = blkremap_sim_fail(sim, "the log names data that is not there");
	}
	close_disks(&j);
	return r;
}

static int explore(struct journal *j, struct blkremap_sim_opts *opts, struct blkremap_sim_report *report)
{
	struct blkremap_sim *sim;
	int r;

	memset(report, 0, sizeof(*report));
	report->size = sizeof(*report);
	assert_int_equal(blkremap_sim_new(opts, &sim), 0);
	r = blkremap_sim_explore(sim, scenario, verify, j, report);
	blkremap_sim_free(sim);
	return r;
}

static void journal_that_flushes_keeps_its_word(void **state)
{
	struct blkremap_sim_report report;
	struct journal j = { .no_flush = false };

	(void)state;
	assert_int_equal(explore(&j, NULL, &report), 0);
	assert_int_equal(report.failures, 0);
	assert_true(report.crash_states >= 10);
}

static void journal_that_does_not_is_caught_and_the_line_repeats_it(void **state)
{
	struct blkremap_sim_report report, again;
	struct journal j = { .no_flush = true };
	struct blkremap_sim_opts opts = { .size = sizeof(opts) };

	(void)state;
	assert_int_equal(explore(&j, NULL, &report), 1);
	assert_string_equal(report.text, "the log names data that is not there");
	opts.replay = report.replay;
	assert_int_equal(explore(&j, &opts, &again), 1);
	assert_string_equal(again.text, report.text);
	assert_int_equal(again.crash_states, 1);
}

static void equal_options_give_equal_hashes(void **state)
{
	struct blkremap_sim_opts opts = { .size = sizeof(opts), .strategy = BLKREMAP_SIM_PCT, .seed = 3,
					  .max_schedules = 5 };
	struct blkremap_sim_report a, b;
	struct journal j = { .no_flush = false };

	(void)state;
	explore(&j, &opts, &a);
	explore(&j, &opts, &b);
	assert_int_equal(a.trace_hash, b.trace_hash);
	assert_int_equal(a.schedules, 5);
}

static int leave_open(struct blkremap_sim *sim, void *opaque)
{
	struct blkremap_dev *d;

	(void)opaque;
	return blkremap_sim_disk(sim, "d", BLOCK, BLOCK, &d);
}

static void what_is_left_open_is_a_failure(void **state)
{
	struct blkremap_sim_report report = { .size = sizeof(report) };
	struct blkremap_sim *sim;

	(void)state;
	assert_int_equal(blkremap_sim_new(NULL, &sim), 0);
	assert_int_equal(blkremap_sim_explore(sim, leave_open, NULL, NULL, &report), 1);
	blkremap_sim_free(sim);
}

/* Two threads add one to a number in a block, each by reading and writing it: some schedule loses one. */
static int add_one(struct blkremap_sim *sim, void *opaque)
{
	uint8_t block[BLOCK];
	int r = blkremap_pread(opaque, block, BLOCK, 0, 0);

	(void)sim;
	block[0]++;
	return r < 0 ? r : blkremap_pwrite(opaque, block, BLOCK, 0, 0);
}

static int two_adders(struct blkremap_sim *sim, void *opaque)
{
	struct blkremap_dev *d;
	uint8_t block[BLOCK];
	int r = blkremap_sim_disk(sim, "d", BLOCK, BLOCK, &d);

	(void)opaque;
	if (r < 0)
		return r;
	blkremap_sim_spawn(sim, add_one, d);
	blkremap_sim_spawn(sim, add_one, d);
	blkremap_sim_join(sim);
	r = blkremap_pread(d, block, BLOCK, 0, 0);
	if (r >= 0 && block[0] != 2)
		r = blkremap_sim_fail(sim, "one was lost");
	blkremap_dev_close(d);
	return r;
}

static void lost_update_of_two_threads_is_found_by_each_strategy(void **state)
{
	(void)state;
	for (uint32_t strategy = BLKREMAP_SIM_EXHAUSTIVE; strategy <= BLKREMAP_SIM_RANDOM; strategy++) {
		struct blkremap_sim_opts opts = { .size = sizeof(opts), .strategy = strategy, .seed = 1 };
		struct blkremap_sim_report report = { .size = sizeof(report) };
		struct blkremap_sim *sim;

		assert_int_equal(blkremap_sim_new(&opts, &sim), 0);
		assert_int_equal(blkremap_sim_explore(sim, two_adders, NULL, NULL, &report), 1);
		assert_string_equal(report.text, "one was lost");
		blkremap_sim_free(sim);
		opts.replay = report.replay;
		assert_int_equal(blkremap_sim_new(&opts, &sim), 0);
		assert_int_equal(blkremap_sim_explore(sim, two_adders, NULL, NULL, &report), 1);
		assert_int_equal(report.schedules, 1);
		blkremap_sim_free(sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(journal_that_flushes_keeps_its_word),
		cmocka_unit_test(journal_that_does_not_is_caught_and_the_line_repeats_it),
		cmocka_unit_test(equal_options_give_equal_hashes),
		cmocka_unit_test(what_is_left_open_is_a_failure),
		cmocka_unit_test(lost_update_of_two_threads_is_found_by_each_strategy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
