/* SPDX-License-Identifier: BSD-3-Clause */
/* The one place where the simulator reaches behind the public face: a simulated disk as a public handle. */
#ifndef SIM_FACE_H
#define SIM_FACE_H

#include <stdint.h>

struct blkremap_ctx;
struct blkremap_dev;
struct sim_world;

/*
 * Open a disk of this world by name; it is made, of zeroes, when there is none of that name.  The world's ->kind
 * applies.
 */
int sim_face_disk(struct sim_world *w, struct blkremap_ctx *ctx, const char *name, uint64_t bytes, uint32_t block_bytes,
		  struct blkremap_dev **ret_dev);

#endif /* SIM_FACE_H */
