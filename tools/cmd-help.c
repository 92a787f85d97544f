/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg.h"
#include "verbs.h"

static const struct ctl_opt opts[] = { { 0 } };

static int run(struct ctl_args *args)
{
	const struct ctl_verb *verb;
	const char *name, *nearest;

	if (ctl_args_next(args) < 0)
		return args->exit_code;
	if (!args->nr_operands) {
		ctl_help_all();
		return CTL_OK;
	}
	name = args->operands[0];
	verb = ctl_verb_find(name);
	if (!verb) {
		nearest = ctl_verb_nearest(name);
		return ctl_usage("unknown verb '%s'%s%s%s", name, nearest ? "; did you mean '" : "",
				 nearest ? nearest : "", nearest ? "'?" : "");
	}
	ctl_help_verb(verb);
	return CTL_OK;
}

const struct ctl_verb ctl_verb_help = {
	.name = "help",
	.operands = "[VERB]",
	.summary = "explain a verb, or list them all",
	.text = "Prints to standard output.  '--help' after a verb does the same.",
	.example = "blkremap-ctl help merge",
	.opts = opts,
	.max_operands = 1,
	.run = run,
};
