/* SPDX-License-Identifier: BSD-3-Clause */
/* Completion scripts, made from the same tables as the parser.  The installed files are this verb's output. */
#include <stdio.h>
#include <string.h>
#include "msg.h"
#include "verbs.h"

static const struct ctl_opt opts[] = { { 0 } };

/* Words that a verb's first operand can be, where they are not file names. */
static const char *fixed_operands(const char *verb)
{
	if (!strcmp(verb, "create") || !strcmp(verb, "size"))
		return "snapshot";
	if (!strcmp(verb, "completion"))
		return "bash zsh";
	if (!strcmp(verb, "version"))
		return "";
	return NULL;
}

static void options_put(const struct ctl_verb *verb)
{
	for (const struct ctl_opt *o = verb->opts; o->id; o++) {
		printf("--%s%s ", o->name, o->arg ? "=" : "");
		if (o->id < CTL_ID_JSON)
			printf("-%c ", o->id);
	}
	printf("--help");
}

static void verbs_put(void)
{
	for (size_t i = 0; ctl_verbs[i]; i++)
		printf("%s%s", i ? " " : "", ctl_verbs[i]->name);
}

static void bash_case_put(const struct ctl_verb *verb)
{
	const char *words = fixed_operands(verb->name);

	printf("\t%s)\n\t\topts='", verb->name);
	options_put(verb);
	printf("'\n");
	if (!strcmp(verb->name, "help"))
		printf("\t\twords=$verbs\n");
	else if (words)
		printf("\t\twords='%s'\n", words);
	else
		printf("\t\tfiles=1\n");
	printf("\t\t;;\n");
}

static void bash_put(void)
{
	puts("# SPDX-License-Identifier: BSD-3-Clause\n"
	     "# Completion of blkremap-ctl for bash, as printed by 'blkremap-ctl completion bash'.\n"
	     "# shellcheck shell=bash disable=SC2207\n"
	     "_blkremap_ctl()\n{\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} opts='' words='' files=''");
	printf("\tlocal verbs='");
	verbs_put();
	puts("'\n\n"
	     "\tCOMPREPLY=()\n"
	     "\tif ((COMP_CWORD == 1)); then\n"
	     "\t\tCOMPREPLY=($(compgen -W \"$verbs --help --version\" -- \"$cur\"))\n"
	     "\t\treturn\n"
	     "\tfi\n"
	     "\tcase ${COMP_WORDS[1]} in");
	for (size_t i = 0; ctl_verbs[i]; i++)
		bash_case_put(ctl_verbs[i]);
	puts("\t*)\n\t\treturn\n\t\t;;\n"
	     "\tesac\n"
	     "\tif [[ $cur == -* ]]; then\n"
	     "\t\tCOMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
	     "\t\t[[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace\n"
	     "\telif [[ $prev == = || $prev == --* || -n $files ]]; then\n"
	     "\t\tcompopt -o filenames\n"
	     "\t\t[[ $cur == = ]] && cur=\n"
	     "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\") $(compgen -f -- \"$cur\"))\n"
	     "\telse\n"
	     "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	     "\tfi\n"
	     "} && complete -F _blkremap_ctl blkremap-ctl");
}

/* Inside '...' of zsh and before its ']' and ':', which _arguments reads. */
static void zsh_text_put(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			printf("'\\''");
		else if (strchr("[]:\\", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void zsh_option_put(const struct ctl_opt *o)
{
	const char *names[2] = { NULL, o->name };
	char letter[2] = { o->id < CTL_ID_JSON ? (char)o->id : '\0', '\0' };

	names[0] = letter;
	for (int i = 0; i < 2; i++) {
		if (!*names[i])
			continue;
		printf(" \\\n\t\t\t'%s%s%s[", i ? "--" : "-", names[i], o->arg ? (i ? "=" : "+") : "");
		zsh_text_put(o->help);
		putchar(']');
		if (o->arg)
			printf(":%s:_files", o->arg);
		putchar('\'');
	}
}

static void zsh_case_put(const struct ctl_verb *verb)
{
	const char *words = fixed_operands(verb->name);

	printf("\t%s)\n\t\t_arguments -S", verb->name);
	for (const struct ctl_opt *o = verb->opts; o->id; o++)
		zsh_option_put(o);
	printf(" \\\n\t\t\t'--help[explain this verb]'");
	if (!strcmp(verb->name, "help"))
		printf(" \\\n\t\t\t'1:verb:($verbs)'");
	else if (words && *words)
		printf(" \\\n\t\t\t'1:word:(%s)'", words);
	else if (!words)
		printf(" \\\n\t\t\t'*:spec:_files'");
	printf("\n\t\t;;\n");
}

static void zsh_put(void)
{
	puts("#compdef blkremap-ctl\n"
	     "# SPDX-License-Identifier: BSD-3-Clause\n"
	     "# Completion of blkremap-ctl for zsh, as printed by 'blkremap-ctl completion zsh'.\n"
	     "_blkremap_ctl()\n{");
	printf("\tlocal -a verbs=(");
	verbs_put();
	puts(")\n\n"
	     "\tif ((CURRENT == 2)); then\n"
	     "\t\tcompadd -- $verbs --help --version\n"
	     "\t\treturn\n"
	     "\tfi\n"
	     "\tlocal verb=$words[2]\n"
	     "\tshift words\n"
	     "\t((CURRENT--))\n"
	     "\tcase $verb in");
	for (size_t i = 0; ctl_verbs[i]; i++)
		zsh_case_put(ctl_verbs[i]);
	puts("\tesac\n"
	     "}\n"
	     "_blkremap_ctl \"$@\"");
}

static int run(struct ctl_args *args)
{
	if (ctl_args_next(args) < 0)
		return args->exit_code;
	if (!strcmp(args->operands[0], "bash"))
		bash_put();
	else if (!strcmp(args->operands[0], "zsh"))
		zsh_put();
	else
		return ctl_usage("no completion for '%s'; there is one for bash and one for zsh", args->operands[0]);
	return CTL_OK;
}

const struct ctl_verb ctl_verb_completion = {
	.name = "completion",
	.operands = "bash|zsh",
	.summary = "print a completion script",
	.text = "Source it, or put it where the shell looks: packages install it already.",
	.example = ". <(blkremap-ctl completion bash)",
	.opts = opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
