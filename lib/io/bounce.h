/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounce buffers: aligned memory for requests whose own buffers O_DIRECT would refuse.
 *
 * A pool belongs to one source and is private to its queue's owner.  It never grows: whoever finds it empty waits his
 * turn, and a request that is longer than one buffer goes through it piece by piece.
 */
#ifndef BR_IO_BOUNCE_H
#define BR_IO_BOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "io/req.h"

struct blkremap_env;

enum { BR_BOUNCE_BYTES = 64 * 1024, BR_BOUNCE_ALIGN = 4096, BR_BOUNCE_COUNT = 16 };

/* The buffers are not touched before they are used, so a pool that nobody needs costs no memory. */
struct br_bounce {
	const struct blkremap_env *env;
	char *memory;
	uint32_t nr_free;
	uint8_t free[BR_BOUNCE_COUNT];	/* indices of buffers, [0, nr_free) */
};

int br_bounce_init(struct br_bounce *b, const struct blkremap_env *env);
void br_bounce_done(struct br_bounce *b);
void *br_bounce_take(struct br_bounce *b);	/* NULL: none left */
void br_bounce_give(struct br_bounce *b, void *buffer);

/* Is a piece of the request's data not at a multiple of @align in memory, or not a multiple of @block long? */
bool br_bounce_needed(const struct br_req *req, uint32_t align, uint32_t block);

#endif /* BR_IO_BOUNCE_H */
