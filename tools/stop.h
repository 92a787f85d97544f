/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ^C, SIGTERM and SIGUSR1, and the clock of those who wait for them.
 *
 *	ctl_stop_catch();
 *	while (!ctl_stopped() && !done)
 *		done = do_a_little();
 *	settle();				drain, commit
 *	ctl_stop_reraise();			if stopped: ends the process as the signal would have
 *
 * Only the first ^C waits for what is under way; the second ends the process at once, which loses no more than a crash.
 */
#ifndef CTL_STOP_H
#define CTL_STOP_H

#include <stdbool.h>
#include <stdint.h>

void ctl_usr1_catch(void); /* for all verbs, so that SIGUSR1 never kills */
bool ctl_usr1_taken(void); /* true once for each time it came */

void ctl_stop_catch(void);
int ctl_stopped(void); /* the signal's number, or 0 */
void ctl_stop_reraise(void); /* returns only if no signal came */

uint64_t ctl_now_ns(void); /* monotonic */
void ctl_sleep_ns(uint64_t ns); /* ends early on a signal */

#endif /* CTL_STOP_H */
