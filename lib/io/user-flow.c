/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the queues and the caller.  Calls wait in one line a device.  Whoever has something to send takes from its
 * head as many as there are slots, gives each an id, and offers them:
 *
 *	waiting -> slot -> ops.submit() or fetch -> complete(id) -> posted to its queue
 *	   ^                    |
 *	   +-- not taken -------+   stalled until a completion, or for RETRY_NS if none can come
 *
 * The caller may complete a call before submit has returned, so after submit a call is touched only if its id still
 * names it.  Whoever completes does not send what waits: that is for the queue of the first in line, which is nudged
 * (and the context told that somebody waits for it, so that it is helped when neglected).  With one channel only,
 * its queue looks by itself.
 */
#include <errno.h>

#include "base/compiler.h"
#include "base/error.h"
#include "io/user-internal.h"

enum { RETRY_NS = 1000000 };

static struct br_user_call *first_waiting(struct br_user *u)
{
	return br_list_empty(&u->waiting) ? NULL : br_container_of(u->waiting.next, struct br_user_call, link);
}

/* ---- slots ----------------------------------------------------------------------------------------------------- */

static uint64_t take_slot_locked(struct br_user *u, struct br_user_call *call)
{
	struct br_user_slot *s;

	while (u->slots[u->next_slot].used)
		u->next_slot = (u->next_slot + 1) % u->nr_slots;
	s = &u->slots[u->next_slot];
	s->used = true;
	s->call = call;
	s->generation++;
	u->nr_used++;
	return (uint64_t)s->generation << 32 | (u->next_slot + 1);
}

static struct br_user_slot *find_slot_locked(struct br_user *u, uint64_t id)
{
	uint64_t n = (id & UINT32_MAX) - 1;

	if (n >= u->nr_slots || !u->slots[n].used || u->slots[n].generation != id >> 32)
		return NULL;
	return &u->slots[n];
}

static struct br_user_call *release_slot_locked(struct br_user *u, struct br_user_slot *s)
{
	struct br_user_call *call = s->call;

	s->used = false;
	s->call = NULL;
	u->nr_used--;
	return call;
}

/* ---- from the line to the caller ------------------------------------------------------------------------------- */

static void post_result(struct br_user_call *call, int32_t result)
{
	call->leg.result = result;
	br_queue_post(call->chan->chan.queue, &call->task);
}

static bool is_beyond_end(const struct br_user *u, const struct br_user_call *call)
{
	return call->leg.offset + call->leg.length > atomic_load_explicit(&u->dev.bytes, memory_order_relaxed);
}

static void describe(struct blkremap_backend_req *out, const struct br_user_call *call, uint64_t id)
{
	*out = (struct blkremap_backend_req){
		.id = id, .op = call->op, .flags = call->flags, .offset = call->leg.offset,
		.length = call->leg.length, .iov = call->iov, .iovcnt = call->iovcnt,
	};
}

/* The head of the line gets ids. */
static uint32_t claim_locked(struct br_user *u, struct blkremap_backend_req *out, uint32_t max)
{
	struct br_user_call *call;
	uint32_t n = 0;

	while (n < max && u->nr_used < u->nr_slots && (call = first_waiting(u))) {
		br_list_del(&call->link);
		if (is_beyond_end(u, call)) {	/* it has shrunk meanwhile */
			call->leg.code = BLKREMAP_CODE_BEYOND_END;
			post_result(call, -EIO);
			continue;
		}
		describe(&out[n++], call, take_slot_locked(u, call));
	}
	return n;
}

/* Those that were not taken go back to the head of the line, in order. */
static void take_back_locked(struct br_user *u, const struct blkremap_backend_req *reqs, uint32_t from, uint32_t n)
{
	while (n-- > from) {
		struct br_user_slot *s = find_slot_locked(u, reqs[n].id);

		if (s)
			br_list_insert(&u->waiting, &release_slot_locked(u, s)->link);
	}
}

static void fail_first_locked(struct br_user *u, uint64_t id, int32_t error)
{
	struct br_user_slot *s = find_slot_locked(u, id);

	if (s)
		post_result(release_slot_locked(u, s), error);
}

/* Returns whether it makes sense to offer more at once. */
static bool settle(struct br_user *u, const struct blkremap_backend_req *reqs, uint32_t n, int32_t taken,
		   uint32_t before)
{
	uint32_t kept = taken < 0 ? 1 : BR_MIN((uint32_t)taken, n);
	bool arm;

	br_user_lock(u);
	u->submitting = false;
	if (taken < 0)
		fail_first_locked(u, reqs[0].id, taken);
	take_back_locked(u, reqs, kept, n);
	u->stalled = taken >= 0 && kept < n && u->completions == before;
	arm = u->stalled && !u->nr_used && !u->retry_armed;
	u->retry_armed |= arm;
	n = u->stalled;
	br_user_unlock(u);
	if (arm)
		br_timer_arm(u->dev.ctx, &u->retry, &u->dev.ctx->service, br_now(u->env) + RETRY_NS);
	return !n;
}

bool br_user_send_batch(struct br_user *u)
{
	struct blkremap_backend_req reqs[BR_USER_BATCH];
	bool serial = u->info.flags & BLKREMAP_BACKEND_SERIAL;
	uint32_t n = 0, before;

	br_user_lock(u);
	if (!u->stalled && !(serial && u->submitting))
		n = claim_locked(u, reqs, BR_USER_BATCH);
	u->submitting |= n != 0;
	before = u->completions;
	br_user_unlock(u);
	return n && settle(u, reqs, n, u->ops.submit(u->opaque, reqs, n), before);
}

static bool has_waiting(struct br_user *u)
{
	bool yes;

	br_user_lock(u);
	yes = !br_list_empty(&u->waiting) && u->nr_used < u->nr_slots;
	br_user_unlock(u);
	return yes;
}

void br_user_send(struct br_user *u)
{
	if (u->pool) {
		br_user_pool_wake(u->pool);
	} else if (!br_user_pulls(u)) {
		while (br_user_send_batch(u))
			;
	} else if (has_waiting(u)) {
		u->env->ops->bell_ring(u->env, u->bell);
	}
}

void br_user_enqueue(struct br_user *u, struct br_list *calls)
{
	br_user_lock(u);
	br_list_splice(&u->waiting, calls);
	br_user_unlock(u);
}

void br_user_retry(struct br_task *task)
{
	struct br_user *u = br_container_of(task, struct br_user, retry.task);

	br_user_lock(u);
	u->retry_armed = false;
	u->stalled = false;
	br_user_unlock(u);
	br_user_send(u);
}

/* ---- from the caller to the queue ------------------------------------------------------------------------------ */

void br_user_nudged(struct br_task *task)
{
	struct br_user_chan *c = br_container_of(task, struct br_user_chan, nudge);
	struct br_user *u = br_user_of(c->chan.dev);

	br_user_lock(u);
	c->nudged = false;
	br_user_unlock(u);
	br_wait_end(u->dev.ctx);
	br_user_send(u);
}

/* Posting under the lock keeps the channel: its call is in the line, and it does not close while it is nudged. */
static bool nudge_locked(struct br_user *u)
{
	struct br_user_call *call = first_waiting(u);

	if (!call || u->pool || br_user_pulls(u) || u->nr_chans < 2 || call->chan->nudged)
		return false;
	call->chan->nudged = true;
	br_queue_post(call->chan->chan.queue, &call->chan->nudge);
	return true;
}

/* There is room again; the library's work is for others, but somebody must be told. */
static void tell_of_room(struct br_user *u, bool nudged)
{
	if (nudged)
		br_wait_begin(u->dev.ctx);
	if (u->pool || br_user_pulls(u))
		br_user_send(u);
}

static int end_backend(struct br_user *u)
{
	while (atomic_load(&u->inside) != 1)
		;	/* others are on their last instructions */
	br_user_free(u);
	return 0;
}

int br_user_complete(struct br_user *u, uint64_t id, int32_t result)
{
	struct br_user_call *call = NULL;
	struct br_user_slot *s;
	bool nudged = false, ends;

	atomic_fetch_add(&u->inside, 1);
	br_user_lock(u);
	s = find_slot_locked(u, id);
	ends = s && u->closing && id == u->close_id;
	if (s && !ends) {
		call = release_slot_locked(u, s);
		u->stalled = false;
		u->completions++;
		nudged = nudge_locked(u);
	}
	br_user_unlock(u);
	if (ends)
		return end_backend(u);
	if (call) {
		tell_of_room(u, nudged);
		post_result(call, result);
	}
	atomic_fetch_sub(&u->inside, 1);
	return call ? 0 : br_error(-ENOENT, "no request %" PRIu64 " is in flight", id);
}

/* ---- pulling --------------------------------------------------------------------------------------------------- */

void br_user_push_close(struct br_user *u)
{
	br_user_lock(u);
	u->closing = true;
	br_user_unlock(u);
	u->env->ops->bell_ring(u->env, u->bell);
}

static uint32_t fetch_close_locked(struct br_user *u, struct blkremap_backend_req *out)
{
	u->close_id = take_slot_locked(u, NULL);
	*out = (struct blkremap_backend_req){ .id = u->close_id, .op = BLKREMAP_CLOSE };
	return 1;
}

/* The bell is cleared before looking: what comes after that rings it again. */
int br_user_fetch(struct br_user *u, struct blkremap_backend_req *out, uint32_t max)
{
	uint32_t n;
	bool more;

	if (!br_user_pulls(u))
		return br_error(-EINVAL, "%s has a submit function, so there is nothing to fetch", u->dev.name);
	u->env->ops->bell_clear(u->env, u->bell);
	br_user_lock(u);
	n = claim_locked(u, out, BR_MIN(max, (uint32_t)INT32_MAX));
	if (!n && max && u->closing && !u->close_id)
		n = fetch_close_locked(u, out);
	more = (!br_list_empty(&u->waiting) && u->nr_used < u->nr_slots) || (u->closing && !u->close_id);
	br_user_unlock(u);
	if (more)
		u->env->ops->bell_ring(u->env, u->bell);
	return (int)n;
}

int br_user_bell(struct br_user *u)
{
	if (!br_user_pulls(u))
		return br_error(-EINVAL, "%s has a submit function, so it has no descriptor", u->dev.name);
	return u->bell;
}
