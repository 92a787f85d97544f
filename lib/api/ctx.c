/* SPDX-License-Identifier: BSD-3-Clause */
/* Contexts: making them, driving them without threads, and what they tell (events, errors, version). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "api/handle.h"
#include "api/spec.h"
#include "base/error.h"
#include "op/worker.h"

enum { KNOWN_FLAGS = BLKREMAP_CTX_NO_THREADS, DEFAULT_BUDGET = 64 };

/* ---- options ----------------------------------------------------------------------------------------------------- */

int br_opts_read(void *ours, size_t our_size, const void *opts)
{
	const unsigned char *bytes = opts;
	uint32_t size;

	memset(ours, 0, our_size);
	if (!opts)
		return 0;
	memcpy(&size, opts, sizeof(size));
	if (size < 2 * sizeof(uint32_t) || size > 65536)
		return br_error(-EINVAL, "options: size %u makes no sense", size);
	for (size_t i = our_size; i < size; i++)
		if (bytes[i])
			return br_error(-E2BIG, "options: byte %zu is not known to this version of the library", i);
	memcpy(ours, opts, size < our_size ? size : our_size);
	return 0;
}

int br_result_write(void *theirs, const void *ours, size_t our_size)
{
	uint32_t size;

	memcpy(&size, theirs, sizeof(size));
	if (size < 2 * sizeof(uint32_t))
		return br_error(-EINVAL, "result: size %u makes no sense", size);
	memcpy((char *)theirs + sizeof(size), (const char *)ours + sizeof(size),
	       (size < our_size ? size : our_size) - sizeof(size));
	return 0;
}

/* ---- new and free ------------------------------------------------------------------------------------------------ */

static int start_workers(struct blkremap_ctx *ctx, uint32_t n)
{
	if (ctx->flags & BLKREMAP_CTX_NO_THREADS)
		return 0;
	return br_workers_start(&ctx->core, n ? n : 1, &ctx->workers);
}

static int init(struct blkremap_ctx *ctx, const struct blkremap_ctx_opts *o)
{
	int r;

	ctx->flags = o->flags;
	ctx->log = o->log;
	ctx->log_level = o->log_level ? o->log_level : BLKREMAP_LOG_WARNING;
	ctx->opaque = o->opaque;
	ctx->fd = ctx->event_fd = ctx->timer_fd = -1;
	br_limit_init(&ctx->limit, ctx->own, o->max_memory);
	r = br_ctx_init(&ctx->core, o->max_memory ? &ctx->limit.env : ctx->own, o->flags & BLKREMAP_CTX_NO_THREADS);
	if (r < 0)
		return br_error(r, "cannot make an event descriptor");
	ctx->core.on_event = br_event_raise;
	r = start_workers(ctx, o->workers);
	if (r < 0) {
		br_ctx_done(&ctx->core);
		return br_error(r, "cannot start a worker thread");
	}
	return 0;
}

int blkremap_ctx_new(const struct blkremap_ctx_opts *opts, struct blkremap_ctx **ret_ctx)
{
	struct blkremap_ctx_opts o;
	const struct blkremap_env *env;
	struct blkremap_ctx *ctx;
	int r = br_opts_read(&o, sizeof(o), opts);

	if (r < 0)
		return r;
	if (!ret_ctx || o.flags & ~(uint32_t)KNOWN_FLAGS || o.workers > 64 || o.log_level > BLKREMAP_LOG_DEBUG)
		return br_error(-EINVAL, "context: unknown flags, more than 64 workers, or no place for the handle");
	if (o.env && o.max_memory)
		return br_error(-EINVAL, "context: an environment of one's own bounds its memory itself");
	env = o.env ? o.env : &br_env_posix;
	ctx = br_alloc_aligned(env, sizeof(*ctx), BR_CACHE_LINE);
	if (!ctx)
		return br_error(-ENOMEM, "no memory for a context");
	ctx->own = env;
	r = init(ctx, &o);
	if (r < 0) {
		br_free(env, ctx, sizeof(*ctx));
		return r;
	}
	*ret_ctx = ctx;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

int blkremap_ctx_free(struct blkremap_ctx *ctx)
{
	const struct blkremap_env *env;
	uint32_t n;

	if (!ctx)
		return 0;
	n = atomic_load(&ctx->handles);
	if (n)
		return br_error(-EBUSY, "context: %u devices or jobs are open", n);
	env = ctx->own;
	br_workers_stop(ctx->workers);
	br_ctx_done(&ctx->core);
	close_fd(ctx->timer_fd);
	close_fd(ctx->event_fd);
	close_fd(ctx->fd);
	br_free(env, ctx, sizeof(*ctx));
	return 0;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static struct blkremap_ctx *to_ctx(struct br_ctx *core)
{
	return br_container_of(core, struct blkremap_ctx, core);
}

static struct blkremap_event *event_at(struct blkremap_ctx *ctx, uint32_t i)
{
	return &ctx->events[(ctx->first_event + i) % EVENTS_MAX];
}

/* Under events_lock: one that the application has not fetched and that says the same of the same, or room for it. */
static struct blkremap_event *find_event(struct blkremap_ctx *ctx, const struct br_event *e)
{
	for (uint32_t i = 0; i < ctx->nr_events; i++) {
		struct blkremap_event *x = event_at(ctx, i);

		if (x->type == e->type && x->dev_id == e->dev_id && x->job_id == e->job_id)
			return x;
	}
	if (ctx->nr_events == EVENTS_MAX)
		return event_at(ctx, EVENTS_MAX - 1);	/* more than there are devices: counted in the last */
	ctx->nr_events++;
	memset(event_at(ctx, ctx->nr_events - 1), 0, sizeof(struct blkremap_event));
	return event_at(ctx, ctx->nr_events - 1);
}

/* Events go to the log, too: what takes something away from the user as a warning, the rest as information. */
static void log_event(struct blkremap_ctx *ctx, const struct br_event *e, const char *text)
{
	static const char *const names[] = { "", "low space", "writers are held", "invalidated", "", "", "", "resized",
					     "snapshot added", "snapshot gone", "job done" };
	bool failed = e->type == BLKREMAP_EV_JOB_DONE && e->result < 0 && e->result != -ECANCELED;
	bool warns = e->type <= BLKREMAP_EV_INVALIDATED || failed;
	uint32_t level = warns ? BLKREMAP_LOG_WARNING : BLKREMAP_LOG_INFO;
	char line[256];

	if (!ctx->log || level > ctx->log_level)
		return;
	snprintf(line, sizeof(line), "device %" PRIu64 ": %s: %s", e->dev_id, names[e->type], text);
	ctx->log(ctx->opaque, level, line);
}

void br_event_raise(struct br_ctx *core, const struct br_event *e)
{
	struct blkremap_ctx *ctx = to_ctx(core);
	const char *text = e->text ? e->text : blkremap_code_text(e->code);
	struct blkremap_event *x;
	uint64_t one = 1;

	log_event(ctx, e, text);

	br_mutex_lock(&ctx->events_lock, core->env);
	x = find_event(ctx, e);
	x->size = sizeof(*x);
	x->type = e->type;
	x->dev_id = e->dev_id;
	x->job_id = e->job_id;
	x->result = e->result;
	x->code = e->code;
	x->value[0] = e->value[0];
	x->value[1] = e->value[1];
	x->count++;
	strncpy(x->text, text, sizeof(x->text) - 1);
	if (ctx->event_fd >= 0 && write(ctx->event_fd, &one, sizeof(one)) < 0)
		x->count += 0;	/* the counter is full: it is readable already */
	br_mutex_unlock(&ctx->events_lock, core->env);
}

int blkremap_event_next(struct blkremap_ctx *ctx, struct blkremap_event *event)
{
	struct blkremap_event e;
	uint64_t junk;
	bool any;

	if (!ctx || !event)
		return br_error(-EINVAL, "event: no context or no place for it");
	br_mutex_lock(&ctx->events_lock, ctx->core.env);
	any = ctx->nr_events != 0;
	if (any) {
		e = *event_at(ctx, 0);
		ctx->first_event = (ctx->first_event + 1) % EVENTS_MAX;
		ctx->nr_events--;
	}
	if (!ctx->nr_events && ctx->event_fd >= 0 && read(ctx->event_fd, &junk, sizeof(junk)) < 0)
		junk = 0;	/* nothing had been rung */
	br_mutex_unlock(&ctx->events_lock, ctx->core.env);
	if (!any)
		return 0;
	return br_result_write(event, &e, sizeof(e)) < 0 ? -EINVAL : 1;
}

/* ---- the descriptor, and driving without threads ----------------------------------------------------------------- */

static int watch(int ep, int fd)
{
	struct epoll_event e = { .events = EPOLLIN };

	return fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

/* The timer follows the context's next deadline; without threads only, for else the worker does. */
static void arm_timer(struct blkremap_ctx *ctx)
{
	uint64_t when = br_help_deadline(&ctx->core), now = br_now(ctx->core.env);
	struct itimerspec t = { 0 };
	uint64_t ns = when > now ? when - now : 1;

	if (ctx->timer_fd < 0)
		return;
	if (when != BR_NEVER) {
		t.it_value.tv_sec = (time_t)(ns / 1000000000);
		t.it_value.tv_nsec = (long)(ns % 1000000000);
	}
	timerfd_settime(ctx->timer_fd, 0, &t, NULL);
}

static int make_fd(struct blkremap_ctx *ctx)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), r = 0;

	if (ep < 0)
		return -errno;
	ctx->event_fd = eventfd(ctx->nr_events ? 1 : 0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = watch(ep, ctx->event_fd);
	if (r == 0 && ctx->core.no_threads) {
		ctx->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
		r = watch(ep, ctx->timer_fd);
		if (r == 0)
			r = watch(ep, ctx->core.bell);
	}
	if (r < 0) {
		close(ep);
		return r;
	}
	ctx->fd = ep;
	arm_timer(ctx);
	return 0;
}

int blkremap_ctx_fd(struct blkremap_ctx *ctx)
{
	int r = 0;

	if (!ctx)
		return br_error(-EINVAL, "no context");
	br_mutex_lock(&ctx->events_lock, ctx->core.env);
	if (ctx->fd < 0)
		r = make_fd(ctx);
	br_mutex_unlock(&ctx->events_lock, ctx->core.env);
	return r < 0 ? br_error(r, "cannot make the context's descriptor") : ctx->fd;
}

/* The bell is silenced before the last look, so what comes in meanwhile rings it again. */
static int process(struct blkremap_ctx *ctx, uint32_t budget)
{
	int steps = 0;
	bool did;

	do {
		ctx->core.env->ops->bell_clear(ctx->core.env, ctx->core.bell);
		did = br_help(&ctx->core, true);
		steps += did;
	} while (did && (uint32_t)steps < budget);
	if (did)
		ctx->core.env->ops->bell_ring(ctx->core.env, ctx->core.bell);
	return steps;
}

int blkremap_process(struct blkremap_ctx *ctx, uint32_t budget, int64_t *ret_next_ns)
{
	uint64_t when, now;
	int steps;

	if (!ctx || !ctx->core.no_threads)
		return br_error(-EINVAL, "blkremap_process() is for contexts without threads");
	steps = process(ctx, budget ? budget : DEFAULT_BUDGET);
	arm_timer(ctx);
	when = br_help_deadline(&ctx->core);
	now = br_now(ctx->core.env);
	if (ret_next_ns)
		*ret_next_ns = when == BR_NEVER ? -1 : when > now ? (int64_t)(when - now) : 0;
	return steps;
}
