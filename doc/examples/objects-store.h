/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stands in for an object store and its client: objects in memory, and a thread that answers calls one after another,
 * as a client library's own thread would.
 */
#ifndef EXAMPLE_OBJECTS_STORE_H
#define EXAMPLE_OBJECTS_STORE_H

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum { OBJECT_BYTES = 64 * 1024 };

typedef void (*store_done_fn)(void *opaque, int error);

struct store_call {
	struct store_call *next;
	int write;
	uint64_t offset;
	const struct iovec *iov;
	uint32_t iovcnt;
	store_done_fn done;
	void *opaque;
};

struct store {
	pthread_mutex_t lock;
	pthread_cond_t something;
	struct store_call *first, **last;	/* under lock, like all below */
	int stop;
	unsigned int answered;
	char *put;				/* which objects were ever written */
	char *bytes;
	unsigned int nr_objects;
	pthread_t thread;
};

static inline void store_copy(struct store *s, const struct store_call *c)
{
	char *at = s->bytes + c->offset;

	for (uint32_t i = 0; i < c->iovcnt; i++) {
		memcpy(c->write ? at : c->iov[i].iov_base, c->write ? c->iov[i].iov_base : at, c->iov[i].iov_len);
		at += c->iov[i].iov_len;
	}
	if (c->write)
		s->put[c->offset / OBJECT_BYTES] = 1;
}

static inline struct store_call *store_next(struct store *s)
{
	struct store_call *c;

	pthread_mutex_lock(&s->lock);
	while (!s->first && !s->stop)
		pthread_cond_wait(&s->something, &s->lock);
	c = s->first;
	if (c && !(s->first = c->next))
		s->last = &s->first;
	if (c)
		store_copy(s, c);
	pthread_mutex_unlock(&s->lock);
	return c;
}

static inline void *store_thread(void *opaque)
{
	struct store *s = opaque;
	struct store_call *c;

	while ((c = store_next(s))) {
		c->done(c->opaque, 0);
		free(c);
		pthread_mutex_lock(&s->lock);
		s->answered++;
		pthread_cond_broadcast(&s->something);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

static inline struct store *store_new(unsigned int nr_objects)
{
	struct store *s = calloc(1, sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->something, NULL);
	s->last = &s->first;
	s->nr_objects = nr_objects;
	s->put = calloc(nr_objects, 1);
	s->bytes = calloc(nr_objects, OBJECT_BYTES);
	pthread_create(&s->thread, NULL, store_thread, s);
	return s;
}

/* Read or write inside one object; call.done() is called later, from the store's thread. */
static inline void store_start(struct store *s, struct store_call call)
{
	struct store_call *c = malloc(sizeof(*c));

	*c = call;
	pthread_mutex_lock(&s->lock);
	*s->last = c;
	s->last = &c->next;
	pthread_cond_broadcast(&s->something);
	pthread_mutex_unlock(&s->lock);
}

/* Sleep until one more call has been answered, or none is waiting. */
static inline void store_wait(struct store *s)
{
	unsigned int seen;

	pthread_mutex_lock(&s->lock);
	for (seen = s->answered; s->first && s->answered == seen;)
		pthread_cond_wait(&s->something, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* How many objects were ever written. */
static inline unsigned int store_puts(struct store *s)
{
	unsigned int n = 0;

	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < s->nr_objects; i++)
		n += (unsigned int)s->put[i];
	pthread_mutex_unlock(&s->lock);
	return n;
}

static inline void store_free(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = 1;
	pthread_cond_broadcast(&s->something);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	free(s->put);
	free(s->bytes);
	free(s);
}

#endif /* EXAMPLE_OBJECTS_STORE_H */
