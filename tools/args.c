/* SPDX-License-Identifier: BSD-3-Clause */
/* A verb's option table, turned into what getopt_long() wants. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "ctl.h"
#include "msg.h"
#include "size.h"

enum { MAX_OPTS = 24 };

struct getopt_tables {
	struct option longs[MAX_OPTS + 2];
	char shorts[2 * MAX_OPTS + 4];
};

static void tables_build(const struct ctl_opt *opts, struct getopt_tables *t)
{
	size_t n = 0, s = 0;

	memset(t, 0, sizeof(*t));
	t->shorts[s++] = ':'; /* a missing value is told apart from an unknown option */
	for (const struct ctl_opt *o = opts; o->id && n < MAX_OPTS; o++) {
		t->longs[n++] = (struct option){ o->name, o->arg ? required_argument : no_argument, NULL, o->id };
		if (o->id >= CTL_ID_JSON)
			continue;
		t->shorts[s++] = (char)o->id;
		if (o->arg)
			t->shorts[s++] = ':';
	}
	t->longs[n] = (struct option){ "help", no_argument, NULL, CTL_ID_HELP };
}

static int args_bad(struct ctl_args *args, int exit_code)
{
	args->exit_code = exit_code;
	return -1;
}

static bool is_known(const struct ctl_opt *opts, int id)
{
	while (opts->id && opts->id != id)
		opts++;
	return opts->id || id == CTL_ID_HELP;
}

/*
 * getopt's ':' or '?', put into words.  optopt is the letter of an unknown short option, 0 for an unknown long one, and
 * the id of a known one that was given a value although it takes none; argv[optind - 1] is the word of a long one.
 */
static int option_bad(struct ctl_args *args, int what)
{
	const char *word = args->argv[optind - 1];

	if (what == ':' && !strncmp(word, "--", 2))
		return args_bad(args, ctl_usage("option '%s' wants a value", word));
	if (what == ':')
		return args_bad(args, ctl_usage("option '-%c' wants a value", optopt));
	if (is_known(args->verb->opts, optopt))
		return args_bad(args, ctl_usage("option '%.*s' takes no value", (int)strcspn(word, "="), word));
	if (optopt && optopt < CTL_ID_JSON)
		return args_bad(args, ctl_usage("unknown option '-%c'", optopt));
	return args_bad(args, ctl_usage("unknown option '%s'", word));
}

static int operands_take(struct ctl_args *args)
{
	args->operands = args->argv + optind;
	args->nr_operands = args->argc - optind;
	if (args->nr_operands < args->verb->min_operands)
		return args_bad(args, ctl_usage("too few operands; wanted: %s", args->verb->operands));
	if (args->nr_operands > args->verb->max_operands)
		return args_bad(args, ctl_usage("unexpected operand '%s'", args->operands[args->verb->max_operands]));
	for (int i = 0; i < args->nr_operands; i++)
		if (!*args->operands[i])
			return args_bad(args, ctl_usage("operand %d is empty", i + 1));
	return 0;
}

int ctl_args_next(struct ctl_args *args)
{
	struct getopt_tables t;
	int id;

	tables_build(args->verb->opts, &t);
	opterr = 0;
	id = getopt_long(args->argc, args->argv, t.shorts, t.longs, NULL);
	args->value = optarg;
	switch (id) {
	case -1:
		return operands_take(args);
	case ':':
	case '?':
		return option_bad(args, id);
	case CTL_ID_HELP:
		ctl_help_verb(args->verb);
		return args_bad(args, CTL_OK);
	default:
		return id;
	}
}

static int number_bad(struct ctl_args *args, const char *option, int error, const char *wanted)
{
	if (error == -ERANGE)
		return args_bad(args, ctl_usage("%s: '%s' is too large", option, args->value));
	return args_bad(args, ctl_usage("%s: '%s' is not a %s", option, args->value, wanted));
}

int ctl_args_size(struct ctl_args *args, const char *option, uint64_t *ret_bytes)
{
	int r = ctl_size_parse(args->value, ret_bytes);

	return r < 0 ? number_bad(args, option, r, "size (as 4096, 64K, 1GiB or 128s)") : 0;
}

int ctl_args_rate(struct ctl_args *args, const char *option, uint64_t *ret_bytes_per_s)
{
	size_t len = strlen(args->value);
	char *text;
	int r;

	if (len > 2 && !strcmp(args->value + len - 2, "/s"))
		len -= 2;
	text = strndup(args->value, len);
	r = text ? ctl_size_parse(text, ret_bytes_per_s) : -ENOMEM;
	free(text);
	if (r == 0 && *ret_bytes_per_s == 0)
		r = -EINVAL;
	return r < 0 ? number_bad(args, option, r, "rate (as 100M or 100M/s)") : 0;
}

int ctl_args_count(struct ctl_args *args, const char *option, uint32_t max, uint32_t *ret_count)
{
	uint64_t n = 0;
	int r = ctl_count_parse(args->value, max, &n);

	if (r == 0 && n == 0)
		r = -EINVAL;
	if (r < 0)
		return number_bad(args, option, r, "positive number");
	*ret_count = (uint32_t)n;
	return 0;
}
