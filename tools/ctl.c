/* SPDX-License-Identifier: BSD-3-Clause */
/* blkremap-ctl VERB [OPTION...] OPERAND...: finds the verb and runs it. */
#include "ctl.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "msg.h"
#include "stop.h"

/* A closed descriptor 0, 1 or 2 would be given to the next file that is opened, and messages would end up in an image.
 */
static int standard_fds_fill(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	return fd;
}

static int unknown_verb(const char *name)
{
	const char *nearest = ctl_verb_nearest(name);

	if (nearest)
		return ctl_usage("unknown verb '%s'; did you mean '%s'?", name, nearest);
	return ctl_usage("unknown verb '%s'", name);
}

int main(int argc, char **argv)
{
	const struct ctl_verb *verb;
	struct ctl_args args = { 0 };
	const char *name;

	if (standard_fds_fill() < 0)
		return CTL_FAILED;
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* whole lines, also when several write to one terminal */
	if (argc < 2)
		return ctl_usage("no verb given");
	name = argv[1];
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	if (!strcmp(name, "--version") || !strcmp(name, "-V"))
		name = "version";
	verb = ctl_verb_find(name);
	if (!verb && *name == '-')
		return ctl_usage("unknown option '%s' before the verb", name);
	if (!verb)
		return unknown_verb(name);
	ctl_usr1_catch();
	ctl_msg_verb(verb->name);
	args.verb = verb;
	args.argc = argc - 1;
	args.argv = argv + 1;
	return ctl_finish(verb->run(&args));
}
