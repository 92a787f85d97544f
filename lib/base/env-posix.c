/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bells are eventfds.  Big blocks come straight from the kernel: they are zero already, and what nobody touches (a pool
 * of bounce buffers that is never needed) costs no memory.
 */
#include "base/env-posix.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, MAP_FROM = 256 * 1024 };

/* The sanitizers only watch over memory of malloc. */
#if defined(__SANITIZE_ADDRESS__)
#define WATCHED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define WATCHED true
#endif
#endif
#ifndef WATCHED
#define WATCHED false
#endif

static bool is_mapped(size_t size)
{
	return !WATCHED && size >= MAP_FROM;
}

/* The kernel aligns to a page; for more, ask for more and give the edges back. */
static void *map_zeroed(size_t size, size_t align)
{
	size_t whole = (size + PAGE - 1) / PAGE * PAGE, extra = align > PAGE ? align - PAGE : 0, before;
	char *p = mmap(NULL, whole + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	before = extra ? -(uintptr_t)p & (align - 1) : 0;
	if (before)
		munmap(p, before);
	if (before != extra)
		munmap(p + before + whole, extra - before);
	return p + before;
}

/* Small blocks, and all of them under a sanitizer. */
static void *malloc_zeroed(size_t size, size_t align)
{
	void *p;

	if (align <= _Alignof(max_align_t))
		return calloc(1, size);
	if (posix_memalign(&p, align, size) != 0)
		return NULL;
	memset(p, 0, size);
	return p;
}

static void *posix_alloc(const struct blkremap_env *env, size_t size, size_t align)
{
	(void)env;
	if (is_mapped(size))
		return map_zeroed(size, align);
	return malloc_zeroed(size ? size : 1, align);
}

static void posix_free(const struct blkremap_env *env, void *p, size_t size)
{
	(void)env;
	if (is_mapped(size))
		munmap(p, size);
	else
		free(p);
}

static uint64_t posix_now_ns(const struct blkremap_env *env)
{
	struct timespec ts;

	(void)env;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Asked for rarely (identities, jitter), so each number comes from the kernel: a fork does not repeat its parent. */
static uint64_t posix_random(const struct blkremap_env *env)
{
	uint64_t n;

	if (getrandom(&n, sizeof(n), 0) == (ssize_t)sizeof(n))
		return n;
	n = posix_now_ns(env) + (uint64_t)getpid();	/* no such call here: at least never twice the same */
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
	n = (n ^ n >> 27) * 0x94d049bb133111eb;
	return n ^ n >> 31;
}

/* Private to this process.  Returns at once if the word has changed meanwhile; a signal may end it early. */
static void posix_word_wait(const struct blkremap_env *env, _Atomic uint32_t *word, uint32_t seen)
{
	(void)env;
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void posix_word_wake(const struct blkremap_env *env, _Atomic uint32_t *word)
{
	(void)env;
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static int posix_bell_open(const struct blkremap_env *env)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)env;
	return fd < 0 ? -errno : fd;
}

/* Rung from completions and by applications, so the caller's errno stays.  A full counter is readable: rung enough. */
static void posix_bell_ring(const struct blkremap_env *env, int bell)
{
	int before = errno;
	uint64_t one = 1;

	(void)env;
	if (write(bell, &one, sizeof(one)) < 0)
		errno = before;
}

static void posix_bell_clear(const struct blkremap_env *env, int bell)
{
	int before = errno;
	uint64_t count;

	(void)env;
	if (read(bell, &count, sizeof(count)) < 0)
		errno = before;	/* was not rung */
}

static void posix_bell_close(const struct blkremap_env *env, int bell)
{
	(void)env;
	close(bell);
}

static const struct br_env_ops posix_ops = {
	.alloc = posix_alloc,
	.free = posix_free,
	.now_ns = posix_now_ns,
	.random = posix_random,
	.word_wait = posix_word_wait,
	.word_wake = posix_word_wake,
	.bell_open = posix_bell_open,
	.bell_ring = posix_bell_ring,
	.bell_clear = posix_bell_clear,
	.bell_close = posix_bell_close,
	.idle = br_idle_posix,
};

const struct blkremap_env br_env_posix = { .ops = &posix_ops };
