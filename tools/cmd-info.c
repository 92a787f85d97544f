/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "json.h"
#include "msg.h"
#include "size.h"
#include "verbs.h"

enum { OPT_DM_STATUS = CTL_ID_OWN };
static const struct ctl_opt opts[] = {
	CTL_OPT_JSON,
	{ OPT_DM_STATUS, "dm-status", NULL, "one line, as 'dmsetup status' prints it" },
	CTL_OPT_SHARED,
	{ 0 }
};

enum { MAX_LAYERS = 128, MAX_LOWER = 16 };
enum { NEARLY_FULL_PERCENT = 90 };

/* One device of the stack, as it is shown. */
struct layer {
	struct blkremap_dev_info info;
	struct blkremap_status status;
	uint64_t used_chunks, total_chunks; /* of a snapshot: copied to its store, and of the whole device */
	unsigned int depth;
	bool last; /* of those on its level */
};

/* The whole stack, top first, each layer before those it is built of. */
struct stack {
	struct blkremap_ctx *ctx;
	struct layer layers[MAX_LAYERS];
	unsigned int nr;
};

static const struct {
	uint32_t bit;
	const char *word;
	bool attention; /* exit code 1: somebody should look */
} states[] = {
	{ BLKREMAP_ST_SUSPENDED, "suspended", false },	{ BLKREMAP_ST_FAILED, "failed", true },
	{ BLKREMAP_ST_INVALID, "invalid", true },	{ BLKREMAP_ST_FULL, "full", true },
	{ BLKREMAP_ST_MERGING, "merging", true },
};
enum { NR_STATES = sizeof(states) / sizeof(states[0]) };

static bool is_nearly_full(const struct blkremap_status *s)
{
	return s->store_total && s->store_used / NEARLY_FULL_PERCENT >= s->store_total / 100;
}

static int layer_load(struct blkremap_dev *dev, struct layer *l)
{
	int r;

	l->info = (struct blkremap_dev_info){ .size = sizeof(l->info) };
	l->status = (struct blkremap_status){ .size = sizeof(l->status) };
	r = blkremap_dev_info(dev, &l->info);
	if (r == 0)
		r = blkremap_status(dev, &l->status);
	if (r < 0)
		return r;
	if (!strcmp(l->info.type, "snapshot") && l->info.block_bytes) {
		l->total_chunks = (l->info.bytes + l->info.block_bytes - 1) / l->info.block_bytes;
		l->used_chunks = (l->status.store_used - l->status.store_meta) / l->info.block_bytes;
	}
	return 0;
}

static int stack_load(struct stack *s, struct blkremap_dev *dev, unsigned int depth, bool last)
{
	struct layer *l = &s->layers[s->nr];
	struct blkremap_dev *lower;
	uint64_t ids[MAX_LOWER];
	uint32_t n;
	int r;

	if (s->nr == MAX_LAYERS)
		return 0;
	*l = (struct layer){ .depth = depth, .last = last };
	s->nr++;
	r = layer_load(dev, l);
	if (r == 0)
		r = blkremap_dev_list(s->ctx, BLKREMAP_LIST_LOWER, dev, ids, MAX_LOWER, &n);
	n = r == 0 && n < MAX_LOWER ? n : MAX_LOWER;
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		r = blkremap_dev_get(s->ctx, ids[i], &lower);
		if (r < 0)
			break;
		r = stack_load(s, lower, depth + 1, i + 1 == n);
		blkremap_dev_close(lower);
	}
	return r;
}

/* ---- as text: a tree ---- */

/* @open: levels on which a later sister follows, down to which a line is drawn. */
static void branch_print(const struct layer *l, bool *open)
{
	for (unsigned int i = 0; i < l->depth; i++)
		fputs(open[i] ? "|  " : "   ", stdout);
	fputs(l->last ? "`- " : "|- ", stdout);
	open[l->depth] = !l->last;
}

static void state_words_print(const struct layer *l)
{
	bool any = false;

	for (unsigned int i = 0; i < NR_STATES; i++) {
		if (!(l->info.state & states[i].bit))
			continue;
		printf("%s%s", any ? ", " : "  ", states[i].word);
		any = true;
	}
}

static void layer_print(const struct layer *l, bool *open)
{
	branch_print(l, open);
	printf("%-9s ", l->info.type);
	ctl_put(stdout, l->info.name);
	printf("  %s", ctl_human(l->info.bytes).s);
	if (l->total_chunks) {
		struct ctl_text total = ctl_thousands(l->total_chunks);

		printf("  %s chunks  %s of %s copied (%s)", ctl_human(l->info.block_bytes).s,
		       ctl_thousands(l->used_chunks).s, total.s, ctl_human(l->used_chunks * l->info.block_bytes).s);
	}
	if (l->status.store_total)
		printf("  store %s%% used", ctl_percent(l->status.store_used, l->status.store_total, 1).s);
	state_words_print(l);
	putchar('\n');
}

/* ---- as JSON: the stack from the top, one object a layer ---- */

static void store_json(struct ctl_json *j, const struct layer *l)
{
	if (l->total_chunks) {
		ctl_json_u64(j, "chunk_size", l->info.block_bytes);
		ctl_json_u64(j, "used_chunks", l->used_chunks);
		ctl_json_u64(j, "total_chunks", l->total_chunks);
	}
	if (l->status.store_total) {
		ctl_json_u64(j, "store_used_bytes", l->status.store_used);
		ctl_json_u64(j, "store_meta_bytes", l->status.store_meta);
		ctl_json_u64(j, "store_total_bytes", l->status.store_total);
	}
}

static void layer_json(struct ctl_json *j, const struct layer *l)
{
	ctl_json_object(j, NULL);
	ctl_json_string(j, "type", l->info.type);
	ctl_json_string(j, "name", l->info.name);
	ctl_json_u64(j, "depth", l->depth);
	ctl_json_u64(j, "bytes", l->info.bytes);
	ctl_json_u64(j, "logical_block", l->info.logical_block);
	ctl_json_u64(j, "physical_block", l->info.physical_block);
	ctl_json_string(j, "engine", l->info.engine);
	ctl_json_u64(j, "generation", l->info.generation);
	store_json(j, l);
	ctl_json_array(j, "state");
	for (unsigned int i = 0; i < NR_STATES; i++)
		if (l->info.state & states[i].bit)
			ctl_json_string(j, NULL, states[i].word);
	ctl_json_close(j);
	if (l->info.code)
		ctl_json_string(j, "reason", blkremap_code_name(l->info.code));
	ctl_json_close(j);
}

/* ---- the verb ---- */

static bool wants_attention(const struct stack *s)
{
	for (unsigned int i = 0; i < s->nr; i++) {
		for (unsigned int b = 0; b < NR_STATES; b++)
			if (states[b].attention && (s->layers[i].info.state & states[b].bit))
				return true;
		if (is_nearly_full(&s->layers[i].status))
			return true;
	}
	return false;
}

static bool is_invalid(const struct stack *s)
{
	for (unsigned int i = 0; i < s->nr; i++)
		if (s->layers[i].info.state & BLKREMAP_ST_INVALID)
			return true;
	return false;
}

static int stack_print(const struct stack *s, const char *operand)
{
	bool open[MAX_LAYERS] = { false };

	ctl_say(stdout, "%s  %s  %s", operand, ctl_human(s->layers[0].info.bytes).s,
		is_invalid(s)	     ? "invalid"
		: wants_attention(s) ? "wants attention"
				     : "clean");
	for (unsigned int i = 0; i < s->nr; i++)
		layer_print(&s->layers[i], open);
	return CTL_OK;
}

static int stack_json(const struct stack *s, const char *operand)
{
	struct ctl_json j;

	ctl_json_begin(&j, "info");
	ctl_json_string(&j, "spec", operand);
	ctl_json_u64(&j, "bytes", s->layers[0].info.bytes);
	ctl_json_bool(&j, "attention", wants_attention(s));
	ctl_json_array(&j, "stack");
	for (unsigned int i = 0; i < s->nr; i++)
		layer_json(&j, &s->layers[i]);
	return ctl_json_end(&j, stdout) < 0 ? CTL_FAILED : CTL_OK;
}

/* The kernel's names for what we call by one word. */
static const char *kernel_type(const struct blkremap_dev_info *info)
{
	if (!strcmp(info->type, "origin"))
		return "snapshot-origin";
	if (info->state & BLKREMAP_ST_MERGING)
		return "snapshot-merge";
	return info->type;
}

static int dm_status_print(struct blkremap_dev *dev, const struct layer *top, const char *operand)
{
	char words[256];
	int r = blkremap_dm_status(dev, words, sizeof(words));

	if (r < 0)
		return ctl_fail(operand, r);
	if (!r)
		return ctl_fail_text(operand, -EOPNOTSUPP, "a device of type %s has no status line", top->info.type);
	ctl_say(stdout, "0 %" PRIu64 " %s %s", top->info.bytes / 512, kernel_type(&top->info), words);
	return CTL_OK;
}

static int info_show(struct stack *s, struct blkremap_dev *dev, const char *operand, bool json, bool dm_status)
{
	int code, r = stack_load(s, dev, 0, true);

	if (r < 0)
		return ctl_fail(operand, r);
	if (dm_status)
		code = dm_status_print(dev, &s->layers[0], operand);
	else if (json)
		code = stack_json(s, operand);
	else
		code = stack_print(s, operand);
	if (code)
		return code;
	return is_invalid(s) ? CTL_CORRUPT : wants_attention(s) ? CTL_NO : CTL_OK;
}

static int run(struct ctl_args *args)
{
	static struct stack s; /* too large for the stack */
	struct blkremap_dev *dev = NULL;
	bool json = false, dm_status = false;
	uint32_t flags = BLKREMAP_RDONLY;
	int id, code;

	while ((id = ctl_args_next(args)) > 0) {
		json |= id == CTL_ID_JSON;
		dm_status |= id == OPT_DM_STATUS;
		flags |= id == 'U' ? BLKREMAP_NOLOCK : 0;
	}
	if (id < 0)
		return args->exit_code;
	if (json && dm_status)
		return ctl_usage("--json and --dm-status exclude each other");
	code = ctl_ctx_new(&s.ctx);
	if (code)
		return code;
	code = ctl_open(s.ctx, args->operands[0], flags, &dev);
	if (!code)
		code = info_show(&s, dev, args->operands[0], json, dm_status);
	return ctl_close(s.ctx, dev, args->operands[0], code);
}

const struct ctl_verb ctl_verb_info = {
	.name = "info",
	.operands = "SPEC",
	.summary = "what a device is built of, its sizes and its health",
	.text = "Exit status: 0 healthy; 1 somebody should look (not closed cleanly, merging, store nearly full);\n"
		"4 invalid or corrupt.  Never writes.",
	.example = "blkremap-ctl info --json vol.blkr",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
