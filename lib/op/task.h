/* SPDX-License-Identifier: BSD-3-Clause */
/* A task: something to be run once by whoever owns a queue.  Embed it; it is on at most one list at a time. */
#ifndef BR_OP_TASK_H
#define BR_OP_TASK_H

#include <stddef.h>

struct br_task {
	struct br_task *next;
	void (*run)(struct br_task *task);
};

/* First in, first out. */
struct br_task_list {
	struct br_task *head, **tail;
};

static inline void br_task_list_init(struct br_task_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static inline void br_task_list_add(struct br_task_list *l, struct br_task *t)
{
	t->next = NULL;
	*l->tail = t;
	l->tail = &t->next;
}

static inline struct br_task *br_task_list_pop(struct br_task_list *l)
{
	struct br_task *t = l->head;

	if (t) {
		l->head = t->next;
		if (!l->head)
			l->tail = &l->head;
	}
	return t;
}

#endif /* BR_OP_TASK_H */
