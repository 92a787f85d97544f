/* SPDX-License-Identifier: BSD-3-Clause */
#include "stop.h"
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

/* Written by handlers, which may run on any of the library's threads. */
static atomic_int stop_signal, usr1_came;

static void usr1_handler(int sig)
{
	(void)sig;
	atomic_store(&usr1_came, 1);
}

static void stop_handler(int sig)
{
	atomic_store(&stop_signal, sig);
}

void ctl_usr1_catch(void)
{
	struct sigaction sa = { .sa_handler = usr1_handler, .sa_flags = SA_RESTART };

	sigaction(SIGUSR1, &sa, NULL);
}

bool ctl_usr1_taken(void)
{
	return atomic_exchange(&usr1_came, 0) != 0;
}

void ctl_stop_catch(void)
{
	struct sigaction sa = { .sa_handler = stop_handler, .sa_flags = (int)SA_RESETHAND }, old;
	static const int signals[] = { SIGINT, SIGTERM };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		/* Whoever started this with the signal ignored (nohup, a background job) meant it. */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
}

int ctl_stopped(void)
{
	return atomic_load(&stop_signal);
}

void ctl_stop_reraise(void)
{
	int sig = ctl_stopped();

	if (!sig)
		return;
	fflush(stdout);
	signal(sig, SIG_DFL);
	raise(sig);
}

uint64_t ctl_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void ctl_sleep_ns(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / UINT64_C(1000000000)),
			      .tv_nsec = (long)(ns % UINT64_C(1000000000)) };

	nanosleep(&t, NULL);
}
