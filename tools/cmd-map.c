/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "json.h"
#include "layers.h"
#include "msg.h"
#include "size.h"
#include "table.h"
#include "verbs.h"

enum { OPT_TOTALS = CTL_ID_OWN, OPT_STATE, OPT_HOLES };
static const struct ctl_opt opts[] = {
	CTL_OPT_JSON,
	{ OPT_TOTALS, "totals", NULL, "only the sum of each state" },
	{ OPT_STATE, "state", "S", "only extents in this state: copied, origin, data or zero" },
	{ OPT_HOLES, "holes", NULL, "ask the layers below, too, for what reads as zeroes" },
	{ 'H', "no-headings", NULL, "tabs, and no headings" },
	{ 'b', "bytes", NULL, "decimal bytes instead of hexadecimal" },
	{ 'o', "columns", "C,C", "of: offset, length, state, layer, at" },
	CTL_OPT_SHARED,
	{ 0 }
};

static const struct ctl_column columns[] = { { "offset", "Offset", 10 },
					     { "length", "Length", 10 },
					     { "state", "State", 6 },
					     { "layer", "Layer", 8 },
					     { "at", "At", 10 } };
static const char *const states[] = { "copied", "origin", "data", "zero" };
enum { NR_COLUMNS = sizeof(columns) / sizeof(columns[0]), NR_STATES = sizeof(states) / sizeof(states[0]) };

struct map {
	struct ctl_table table;
	struct ctl_layers layers;
	struct ctl_json json;
	bool print_json, totals, bytes, holes;
	const char *state;
	uint32_t open_flags;
	uint64_t own_id, sum[NR_STATES];
};

static int parse(struct ctl_args *args, struct map *m)
{
	int id, r = 0;

	while (r == 0 && (id = ctl_args_next(args)) != 0) {
		if (id < 0)
			return id;
		m->print_json |= id == CTL_ID_JSON;
		m->totals |= id == OPT_TOTALS;
		m->holes |= id == OPT_HOLES;
		m->table.raw |= id == 'H';
		m->bytes |= id == 'b';
		m->open_flags |= id == 'U' ? BLKREMAP_NOLOCK : 0;
		if (id == OPT_STATE)
			m->state = args->value;
		if (id == 'o' && ctl_table_pick(&m->table, args->value) < 0) {
			args->exit_code = ctl_usage("--columns: '%s' has a word that is no column", args->value);
			r = -1;
		}
	}
	return r;
}

static unsigned int state_index(const char *state)
{
	unsigned int i;

	for (i = 0; i < NR_STATES && strcmp(states[i], state); i++)
		;
	return i;
}

/* A hole has a place where it would be, but nothing is there. */
static bool is_somewhere(const struct blkremap_extent *x)
{
	return x->dev_id && !(x->kind & BLKREMAP_EXT_HOLE);
}

static void extent_json(struct map *m, const struct blkremap_extent *x, const char *state)
{
	ctl_json_object(&m->json, NULL);
	ctl_json_u64(&m->json, "offset", x->offset);
	ctl_json_u64(&m->json, "length", x->length);
	ctl_json_string(&m->json, "state", state);
	if (is_somewhere(x)) {
		ctl_json_string(&m->json, "layer", ctl_layer(&m->layers, x->dev_id)->name);
		ctl_json_u64(&m->json, "at", x->at);
	}
	ctl_json_close(&m->json);
}

static void extent_row(struct map *m, const struct blkremap_extent *x, const char *state)
{
	char offset[24], length[24], at[24] = "-";
	const char *layer = is_somewhere(x) ? ctl_layer(&m->layers, x->dev_id)->name : "-";

	snprintf(offset, sizeof(offset), m->bytes ? "%" PRIu64 : "0x%08" PRIx64, x->offset);
	snprintf(length, sizeof(length), m->bytes ? "%" PRIu64 : "0x%08" PRIx64, x->length);
	if (is_somewhere(x))
		snprintf(at, sizeof(at), m->bytes ? "%" PRIu64 : "0x%08" PRIx64, x->at);
	ctl_table_row(&m->table, (const char *const[]){ offset, length, state, layer, at });
}

static int extent_take(void *opaque, const struct blkremap_extent *x)
{
	struct map *m = opaque;
	const char *state = ctl_extent_state(x, m->own_id);

	if (m->state && strcmp(m->state, state))
		return 0;
	m->sum[state_index(state)] += x->length;
	if (m->totals)
		return 0;
	if (m->print_json)
		extent_json(m, x, state);
	else
		extent_row(m, x, state);
	return 0;
}

static void totals_print(const struct map *m, uint64_t whole)
{
	for (unsigned int i = 0; i < NR_STATES; i++) {
		struct ctl_text sum = ctl_thousands(m->sum[i]);

		if (!m->sum[i])
			continue;
		if (m->table.raw || m->bytes)
			printf("%" PRIu64 "\t%s\n", m->sum[i], states[i]);
		else
			printf("%20s  %6s%%  %s\n", sum.s, ctl_percent(m->sum[i], whole, 2).s, states[i]);
	}
}

static int map_walk(struct map *m, struct blkremap_dev *dev, const char *operand)
{
	uint64_t whole = blkremap_dev_size(dev);
	int r;

	m->own_id = blkremap_dev_id(dev);
	ctl_json_begin(&m->json, "map");
	ctl_json_string(&m->json, "spec", operand);
	ctl_json_u64(&m->json, "bytes", whole);
	ctl_json_array(&m->json, "extents");
	if (!m->totals && !m->print_json)
		ctl_table_head(&m->table);
	r = ctl_extents_each(dev, m->holes ? 0 : BLKREMAP_MAP_TOP_ONLY, extent_take, m);
	if (r < 0) {
		ctl_json_drop(&m->json);
		return ctl_fail(operand, r);
	}
	ctl_json_close(&m->json);
	ctl_json_object(&m->json, "totals");
	for (unsigned int i = 0; i < NR_STATES; i++)
		if (m->sum[i])
			ctl_json_u64(&m->json, states[i], m->sum[i]);
	ctl_json_close(&m->json);
	if (m->print_json)
		return ctl_json_end(&m->json, stdout) < 0 ? CTL_FAILED : CTL_OK;
	ctl_json_drop(&m->json);
	if (m->totals)
		totals_print(m, whole);
	return CTL_OK;
}

static int run(struct ctl_args *args)
{
	struct map m = { 0 };
	struct blkremap_dev *dev = NULL;
	int code;

	ctl_table_init(&m.table, columns, NR_COLUMNS);
	if (parse(args, &m) < 0)
		return args->exit_code;
	if (m.state && state_index(m.state) == NR_STATES)
		return ctl_usage("--state: '%s' is not one of copied, origin, data, zero", m.state);
	code = ctl_ctx_new(&m.layers.ctx);
	if (code)
		return code;
	code = ctl_open(m.layers.ctx, args->operands[0], BLKREMAP_RDONLY | m.open_flags, &dev);
	if (!code)
		code = map_walk(&m, dev, args->operands[0]);
	return ctl_close(m.layers.ctx, dev, args->operands[0], code);
}

const struct ctl_verb ctl_verb_map = {
	.name = "map",
	.operands = "SPEC",
	.summary = "where each part of a device lies, and in which layer",
	.text = "States: 'copied' lies in the store, 'origin' still in the layer below, 'data' in the device\n"
		"itself, 'zero' nowhere: it reads as zeroes.  Never writes.",
	.example = "blkremap-ctl map --totals vol.blkr",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
