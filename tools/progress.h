/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How far long work has come: a line on the terminal, 'N/100' lines on a descriptor, one line whenever SIGUSR1 comes.
 *
 *	struct ctl_progress p;
 *
 *	if (ctl_progress_init(&p, "merge", "big", "auto") < 0)
 *		return ctl_usage("...");
 *	while (...)
 *		ctl_progress_show(&p, done, total);
 *	ctl_progress_end(&p);
 *
 * Nothing of it goes to stdout, and without --progress nothing at all to a stderr that is no terminal.
 */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct ctl_progress {
	const char *verb, *name; /* borrowed */
	int fd; /* of fd:N, else -1 */
	bool draw; /* a line that overwrites itself */
	bool drawn; /* one stands on the terminal now */
	uint64_t hush_ns; /* draw nothing before so long after the start: quick work stays silent */
	uint64_t start_ns, shown_ns;
	uint64_t start_done; /* where a resumed work began, so that the rate is that of this run */
	bool started;
	unsigned int percent_told;
};

/* @how: "auto", "tty", "none", "fd:N"; NULL: auto.  -EINVAL: none of them, or no such open descriptor. */
int ctl_progress_init(struct ctl_progress *p, const char *verb, const char *name, const char *how);
void ctl_progress_show(struct ctl_progress *p, uint64_t done, uint64_t total);
/* Clear the line; whoever prints next begins in column one. */
void ctl_progress_end(struct ctl_progress *p);

#endif /* CTL_PROGRESS_H */
