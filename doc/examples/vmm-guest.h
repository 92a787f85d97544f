/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stands in for a guest: a thread that puts requests into a ring, kicks the machine by an eventfd, and checks what
 * comes back: each block that it has written it reads again, through the same queue.
 */
#ifndef EXAMPLE_VMM_GUEST_H
#define EXAMPLE_VMM_GUEST_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum { GUEST_IN, GUEST_OUT, GUEST_FLUSH, GUEST_ZEROES };
enum { GUEST_BLOCK = 4096, GUEST_BATCH = 16, GUEST_ROUNDS = 8, GUEST_SECTORS = 4096 };

struct request {
	struct request *next;
	int type;
	uint64_t sector;
	uint64_t length;
	struct iovec iov;
	int result, done;			/* under the guest's lock */
};

struct guest {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	struct request *first, **last;		/* the ring; under lock */
	uint64_t first_sector;
	int kick;
	int finished;				/* under lock */
	unsigned int bad;
	char memory[GUEST_BATCH][GUEST_BLOCK];
	pthread_t thread;
};

/* ---- the machine's side ------------------------------------------------------------------------------------------ */

static inline int guest_kick_fd(const struct guest *g)
{
	return g->kick;
}

static inline void guest_kick(struct guest *g)
{
	eventfd_write(g->kick, 1);
}

static inline void guest_kick_seen(struct guest *g)
{
	eventfd_t count;

	eventfd_read(g->kick, &count);
}

/* The next request of the ring, or NULL. */
static inline struct request *guest_next(struct guest *g)
{
	struct request *r;

	pthread_mutex_lock(&g->lock);
	r = g->first;
	if (r && !(g->first = r->next))
		g->last = &g->first;
	pthread_mutex_unlock(&g->lock);
	return r;
}

static inline void guest_done(struct guest *g, struct request *r, int result)
{
	pthread_mutex_lock(&g->lock);
	r->result = result;
	r->done = 1;
	pthread_cond_broadcast(&g->answered);
	pthread_mutex_unlock(&g->lock);
}

/* ---- the guest's side -------------------------------------------------------------------------------------------- */

static inline void guest_send(struct guest *g, struct request *r, int n)
{
	pthread_mutex_lock(&g->lock);
	for (int i = 0; i < n; i++) {
		r[i].next = NULL;
		r[i].done = 0;
		*g->last = &r[i];
		g->last = &r[i].next;
	}
	pthread_mutex_unlock(&g->lock);
	guest_kick(g);
	pthread_mutex_lock(&g->lock);
	for (int i = 0; i < n; i++)
		while (!r[i].done)
			pthread_cond_wait(&g->answered, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* Requests that a reset has given up are sent once more, as a driver does after it. */
static inline void guest_do(struct guest *g, struct request *r, int n)
{
	guest_send(g, r, n);
	for (int i = 0; i < n; i++) {
		while (r[i].result == -ECANCELED)
			guest_send(g, &r[i], 1);
		g->bad += r[i].result != 0;
	}
}

static inline void guest_batch(struct guest *g, int type, uint64_t at)
{
	struct request r[GUEST_BATCH];

	for (int i = 0; i < GUEST_BATCH; i++)
		r[i] = (struct request){ .type = type, .length = GUEST_BLOCK, .iov = { g->memory[i], GUEST_BLOCK },
					 .sector = at + (uint64_t)i * GUEST_BLOCK / 512 };
	guest_do(g, r, GUEST_BATCH);
}

static inline void guest_fill(struct guest *g, int value)
{
	for (int i = 0; i < GUEST_BATCH; i++)
		memset(g->memory[i], value ? value + i : 0, GUEST_BLOCK);
}

static inline void guest_check(struct guest *g, int value)
{
	for (int i = 0; i < GUEST_BATCH; i++)
		for (int b = 0; b < GUEST_BLOCK; b++)
			g->bad += g->memory[i][b] != (char)(value ? value + i : 0);
}

/* Write, read back, write zeroes, read back, at one place. */
static inline void guest_round(struct guest *g, int value, uint64_t at)
{
	struct request flush = { .type = GUEST_FLUSH };

	guest_fill(g, value);
	guest_batch(g, GUEST_OUT, at);
	guest_do(g, &flush, 1);
	guest_fill(g, 0);
	guest_batch(g, GUEST_IN, at);
	guest_check(g, value);
	guest_batch(g, GUEST_ZEROES, at);
	guest_batch(g, GUEST_IN, at);
	guest_check(g, 0);
}

static inline void *guest_thread(void *opaque)
{
	struct guest *g = opaque;

	for (int round = 1; round <= GUEST_ROUNDS; round++)
		guest_round(g, round, g->first_sector + (uint64_t)(round % 4) * GUEST_BATCH * GUEST_BLOCK / 512);
	pthread_mutex_lock(&g->lock);
	g->finished = 1;
	pthread_cond_broadcast(&g->answered);
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

static inline void guest_start(struct guest *g, uint64_t first_sector)
{
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->answered, NULL);
	g->last = &g->first;
	g->first_sector = first_sector;
	g->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pthread_create(&g->thread, NULL, guest_thread, g);
}

/* Until the guest has shut down.  Returns how many bytes or requests were not as they should be. */
static inline unsigned int guest_wait(struct guest *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->finished)
		pthread_cond_wait(&g->answered, &g->lock);
	pthread_mutex_unlock(&g->lock);
	pthread_join(g->thread, NULL);
	return g->bad;
}

static inline void guest_free(struct guest *g)
{
	close(g->kick);
}

#endif /* EXAMPLE_VMM_GUEST_H */
