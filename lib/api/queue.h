/* SPDX-License-Identifier: BSD-3-Clause */
/* The application's queues: requests in, completions out. */
#ifndef BR_API_QUEUE_H
#define BR_API_QUEUE_H

#include "api/handle.h"

/* A request of the application.  From queue->roots, until its completion has been reaped. */
struct br_root {
	struct br_req req;
	struct blkremap_queue *queue;
	uint64_t user_data;
};

struct blkremap_queue {
	struct br_queue q;		/* owner word, tasks, sources */
	struct blkremap_dev *handle;
	struct br_chan *chan;
	uint32_t depth;
	/* by the owner of q only */
	struct br_pool roots;
	struct blkremap_completion *done;	/* a ring of depth entries */
	uint32_t first_done;		/* q.unreaped of them are filled */
	uint32_t in_flight;		/* submitted and not yet in the ring */
	bool silent;			/* blkremap_queue_arm(q, 0) */
	_Atomic bool woken;		/* blkremap_queue_wake() */
};

#endif /* BR_API_QUEUE_H */
