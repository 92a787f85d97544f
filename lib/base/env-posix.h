/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The real world, br_env_posix in env.h.  Memory, time, chance and wake-ups are made in env-posix.c; sleeping on a
 * queue needs to know queues, so that part lives a layer higher, in op/idle-posix.c.
 */
#ifndef BR_BASE_ENV_POSIX_H
#define BR_BASE_ENV_POSIX_H

#include "base/env.h"

void br_idle_posix(const struct blkremap_env *env, struct br_ctx *ctx, struct br_queue *queue, uint64_t deadline_ns);

#endif /* BR_BASE_ENV_POSIX_H */
