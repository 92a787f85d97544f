/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "bench.h"
#include "json.h"
#include "msg.h"
#include "size.h"
#include "stop.h"
#include "verbs.h"

enum { OPT_RW = CTL_ID_OWN, OPT_BS, OPT_DEPTH, OPT_TIME, OPT_AGAINST, OPT_DIRECT };
static const struct ctl_opt opts[] = {
	{ OPT_RW, "rw", "PATTERN", "randread, randwrite, read or write; randread unless said" },
	{ OPT_BS, "bs", "SIZE", "of each request; 4k unless said" },
	{ OPT_DEPTH, "depth", "N", "requests in flight; 32 unless said" },
	{ OPT_TIME, "time", "SECONDS", "for each device; 10 unless said" },
	{ OPT_AGAINST, "against", "SPEC", "measure this too, in turns, and print the ratio" },
	{ OPT_DIRECT, "direct", NULL, "past the page cache (O_DIRECT)" },
	{ 'f', "force", NULL, "permit writing: what is on the device is lost" },
	CTL_OPT_JSON,
	{ 0 }
};

static const struct {
	const char *word;
	bool write, random;
} patterns[] = {
	{ "randread", false, true }, { "randwrite", true, true }, { "read", false, false }, { "write", true, false }
};
enum { NR_PATTERNS = sizeof(patterns) / sizeof(patterns[0]) };

#define SECOND UINT64_C(1000000000)
enum { ROUNDS_PER_SECOND = 4 }; /* short turns, so that what the machine does meanwhile hits both alike */

struct bench {
	struct ctl_workload work;
	uint32_t seconds;
	bool direct, force, print_json;
	const char *rw, *names[2];
	struct ctl_lane lanes[2];
	struct blkremap_ctx *ctx[2]; /* one each: both may be stacks that name their sections alike */
	struct blkremap_dev *devs[2];
	unsigned int nr;
};

static int rw_take(struct ctl_args *args, struct bench *b)
{
	for (unsigned int i = 0; i < NR_PATTERNS; i++) {
		if (strcmp(patterns[i].word, args->value))
			continue;
		b->rw = patterns[i].word;
		b->work.write = patterns[i].write;
		b->work.random = patterns[i].random;
		return 0;
	}
	args->exit_code = ctl_usage("--rw: '%s' is not one of randread, randwrite, read, write", args->value);
	return -1;
}

static int parse(struct ctl_args *args, struct bench *b)
{
	int id, r = 0;

	while (r == 0 && (id = ctl_args_next(args)) != 0) {
		if (id < 0)
			return id;
		if (id == OPT_RW)
			r = rw_take(args, b);
		else if (id == OPT_BS)
			r = ctl_args_size(args, "--bs", &b->work.bs);
		else if (id == OPT_DEPTH)
			r = ctl_args_count(args, "--depth", CTL_MAX_DEPTH, &b->work.depth);
		else if (id == OPT_TIME)
			r = ctl_args_count(args, "--time", 86400, &b->seconds);
		else if (id == OPT_AGAINST)
			b->names[1] = args->value;
		b->direct |= id == OPT_DIRECT;
		b->force |= id == 'f';
		b->print_json |= id == CTL_ID_JSON;
	}
	return r;
}

/* ---- results ---- */

/* "88.9k": three digits are all that a measurement is worth. */
static struct ctl_text iops_text(uint64_t iops)
{
	struct ctl_text t;

	if (iops < 10000)
		snprintf(t.s, sizeof(t.s), "%" PRIu64, iops);
	else if (iops < 1000000)
		snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%" PRIu64 "k", iops / 1000, iops % 1000 / 100);
	else
		snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%02" PRIu64 "M", iops / 1000000, iops % 1000000 / 10000);
	return t;
}

static struct ctl_text latency_text(uint64_t ns)
{
	struct ctl_text t;
	uint64_t hundredths = (ns + 5000) / 10000;

	if (ns < 1000000)
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " us", (ns + 500) / 1000);
	else
		snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%02" PRIu64 " ms", hundredths / 100, hundredths % 100);
	return t;
}

/* How fast the device is in parts of a thousand of the one it is held against. */
static uint64_t ratio_permille(const struct bench *b)
{
	uint64_t against = ctl_lane_iops(&b->lanes[1]);

	return against ? ctl_lane_iops(&b->lanes[0]) * 1000 / against : 0;
}

static void result_print(const struct bench *b)
{
	uint64_t permille = ratio_permille(b);
	int width = 0;

	printf("%s %s depth %" PRIu32 "\n", b->rw, ctl_human(b->work.bs).s, b->work.depth);
	for (unsigned int i = 0; i < b->nr; i++)
		width = (int)strlen(b->names[i]) > width ? (int)strlen(b->names[i]) : width;
	for (unsigned int i = b->nr; i-- > 0;) {
		const struct ctl_lane *l = &b->lanes[i];
		uint64_t iops = ctl_lane_iops(l);
		struct ctl_text speed = iops_text(iops), p50 = latency_text(ctl_lane_percentile(l, 500));

		ctl_put(stdout, b->names[i]);
		printf("%*s  %7s IOPS  %10s/s  p50 %8s  p99 %8s\n", width - (int)strlen(b->names[i]), "", speed.s,
		       ctl_human(iops * b->work.bs).s, p50.s, latency_text(ctl_lane_percentile(l, 990)).s);
	}
	if (b->nr == 2)
		printf("ratio %" PRIu64 ".%" PRIu64 " %%\n", permille / 10, permille % 10);
}

static int result_json(const struct bench *b)
{
	struct ctl_json j;

	ctl_json_begin(&j, "bench");
	ctl_json_string(&j, "rw", b->rw);
	ctl_json_u64(&j, "bs", b->work.bs);
	ctl_json_u64(&j, "depth", b->work.depth);
	ctl_json_array(&j, "results");
	for (unsigned int i = 0; i < b->nr; i++) {
		const struct ctl_lane *l = &b->lanes[i];

		ctl_json_object(&j, NULL);
		ctl_json_string(&j, "spec", b->names[i]);
		ctl_json_u64(&j, "requests", l->requests);
		ctl_json_u64(&j, "ns", l->ns);
		ctl_json_u64(&j, "iops", ctl_lane_iops(l));
		ctl_json_u64(&j, "p50_ns", ctl_lane_percentile(l, 500));
		ctl_json_u64(&j, "p99_ns", ctl_lane_percentile(l, 990));
		ctl_json_close(&j);
	}
	ctl_json_close(&j);
	if (b->nr == 2)
		ctl_json_u64(&j, "ratio_permille", ratio_permille(b));
	return ctl_json_end(&j, stdout) < 0 ? CTL_FAILED : CTL_OK;
}

/* ---- measuring ---- */

/* In turns, and every second time the other one first: neither always gets the warm or the cold end. */
static int rounds_run(struct bench *b)
{
	uint32_t rounds = b->seconds * ROUNDS_PER_SECOND;

	for (uint32_t round = 0; round < rounds && !ctl_stopped(); round++) {
		for (unsigned int i = 0; i < b->nr; i++) {
			unsigned int which = (i + round) % b->nr;
			int r = ctl_lane_round(&b->lanes[which], SECOND / ROUNDS_PER_SECOND);

			if (r < 0)
				return ctl_fail_text(b->names[which], r, "%s", b->lanes[which].error);
		}
	}
	return CTL_OK;
}

static int lane_open(struct bench *b, unsigned int i)
{
	uint32_t flags = (b->work.write ? 0 : BLKREMAP_RDONLY) | (b->direct ? BLKREMAP_DIRECT : 0);
	int r, code = ctl_ctx_new(&b->ctx[i]);

	if (!code)
		code = ctl_open(b->ctx[i], b->names[i], flags, &b->devs[i]);
	if (code)
		return code;
	r = ctl_lane_open(&b->lanes[i], b->devs[i], &b->work);
	return r < 0 ? ctl_fail_text(b->names[i], r, "%s", b->lanes[i].error) : CTL_OK;
}

static int bench_run(struct bench *b)
{
	int code = CTL_OK;

	for (unsigned int i = 0; i < b->nr && !code; i++)
		code = lane_open(b, i);
	ctl_stop_catch();
	if (!code)
		code = rounds_run(b);
	/* What was measured before a ^C is a result, too. */
	if (!code && b->print_json)
		code = result_json(b);
	else if (!code)
		result_print(b);
	for (unsigned int i = 0; i < b->nr; i++) {
		ctl_lane_close(&b->lanes[i]);
		code = ctl_close(b->ctx[i], b->devs[i], b->names[i], code);
	}
	return code;
}

static int run(struct ctl_args *args)
{
	static struct bench b;
	int code;

	b.work = (struct ctl_workload){ .bs = 4096, .depth = 32, .random = true };
	b.rw = "randread";
	b.seconds = 10;
	if (parse(args, &b) < 0)
		return args->exit_code;
	if (b.work.write && !b.force)
		return ctl_usage("--rw %s overwrites the device: -f is wanted", b.rw);
	if (!b.work.bs || b.work.bs > CTL_MAX_BS)
		return ctl_usage("--bs: not between 1 and %s", ctl_human(CTL_MAX_BS).s);
	b.names[0] = args->operands[0];
	b.nr = b.names[1] ? 2 : 1;
	code = bench_run(&b);
	ctl_stop_reraise();
	return code;
}

const struct ctl_verb ctl_verb_bench = {
	.name = "bench",
	.operands = "SPEC",
	.summary = "measure a device, or two in turns",
	.text = "Prints requests and bytes a second, and the time that half (p50) and 99 % (p99) of the requests\n"
		"stayed below. With --against both are measured in short turns, and the ratio is what the first\n"
		"reaches of the second.",
	.example = "blkremap-ctl bench --time 5 --against base.img vol.blkr",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
