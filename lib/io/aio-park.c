/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernel aio contexts, used again.
 *
 * io_destroy() waits for grace periods of the kernel: 35 ms on the machine this was written on, for which every close
 * of a queue would sleep.  So a few contexts that nothing is in flight in are kept for the next queue of this process.
 * They are never more than PARKED, and end with the process.
 *
 * A child of fork() has a copy of the list but not the contexts, so it forgets them.
 */
#include "io/file-internal.h"

#include <unistd.h>

enum { PARKED = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static io_context_t parked[PARKED];	/* [0, n); under lock, as are the next two */
static unsigned n;
static pid_t owner;

static void forget_those_of_the_parent(void)
{
	pid_t me = getpid();

	if (owner != me)
		n = 0;
	owner = me;
}

int br_aio_context_get(io_context_t *ret)
{
	io_context_t ctx = NULL;
	int r;

	pthread_mutex_lock(&lock);
	forget_those_of_the_parent();
	if (n)
		ctx = parked[--n];
	pthread_mutex_unlock(&lock);
	if (!ctx) {
		r = io_setup(BR_AIO_DEPTH, &ctx);
		if (r < 0)
			return r;
	}
	*ret = ctx;
	return 0;
}

void br_aio_context_put(io_context_t ctx)
{
	bool kept;

	pthread_mutex_lock(&lock);
	forget_those_of_the_parent();
	kept = n < PARKED;
	if (kept)
		parked[n++] = ctx;
	pthread_mutex_unlock(&lock);
	if (!kept)
		io_destroy(ctx);
}

bool br_aio_works(void)
{
	io_context_t ctx;

	if (br_aio_context_get(&ctx) < 0)
		return false;
	br_aio_context_put(ctx);
	return true;
}
