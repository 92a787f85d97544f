/* SPDX-License-Identifier: BSD-3-Clause */
/* Worker threads of a context: they run service queues, timers, and queues that are neglected while others wait. */
#ifndef BR_OP_WORKER_H
#define BR_OP_WORKER_H

struct br_ctx;
struct br_workers;

int br_workers_start(struct br_ctx *ctx, unsigned n, struct br_workers **ret);
void br_workers_stop(struct br_workers *w);	/* joins; NULL is fine */

#endif /* BR_OP_WORKER_H */
