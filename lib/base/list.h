/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Intrusive doubly linked lists: a head is a link, an unlinked link points at itself.
 *
 *	struct br_list waiting;
 *	br_list_init(&waiting);
 *	br_list_add_tail(&waiting, &req->link);
 *	while ((l = br_list_pop(&waiting)))
 *		use(br_container_of(l, struct request, link));
 */
#ifndef BR_BASE_LIST_H
#define BR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct br_list {
	struct br_list *next, *prev;
};

static inline void br_list_init(struct br_list *l)
{
	l->next = l->prev = l;
}

static inline bool br_list_empty(const struct br_list *l)
{
	return l->next == l;
}

static inline void br_list_insert(struct br_list *at, struct br_list *l)
{
	l->next = at->next;
	l->prev = at;
	at->next->prev = l;
	at->next = l;
}

static inline void br_list_add_tail(struct br_list *head, struct br_list *l)
{
	br_list_insert(head->prev, l);
}

static inline void br_list_del(struct br_list *l)
{
	l->next->prev = l->prev;
	l->prev->next = l->next;
	br_list_init(l);
}

/* The first link, taken out, or NULL. */
static inline struct br_list *br_list_pop(struct br_list *head)
{
	struct br_list *l = head->next;

	if (l == head)
		return NULL;
	br_list_del(l);
	return l;
}

/* Move all of @from to the end of @to. */
static inline void br_list_splice(struct br_list *to, struct br_list *from)
{
	if (br_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	br_list_init(from);
}

#define br_list_for_each(l, head) \
	for ((l) = (head)->next; (l) != (head); (l) = (l)->next)

#endif /* BR_BASE_LIST_H */
