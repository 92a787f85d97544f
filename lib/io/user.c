/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/user.h"

#include <errno.h>

#include "base/checked.h"
#include "base/compiler.h"
#include "base/error.h"
#include "io/user-internal.h"

enum { DEFAULT_SLOTS = 1024, MAX_SLOTS = 65536, POOL_THREADS = 4, ZEROES_BYTES = 65536 };

/* ---- what the caller says -------------------------------------------------------------------------------------- */

static int check_caps(uint32_t caps)
{
	const uint32_t of_writers = BR_CAP_VOLATILE_CACHE | BR_CAP_FUA | BR_CAP_DISCARD | BR_CAP_WRITE_ZEROES;
	const uint32_t known = of_writers | BR_CAP_WRITE | BR_CAP_DISCARD_ZEROES | BR_CAP_FAST_ZEROES |
			       BR_CAP_EXTENTS;

	if (caps & ~known)
		return br_error(-EINVAL, "caps 0x%x: a backend cannot have 0x%x", caps, caps & ~known);
	if (!(caps & BR_CAP_WRITE) && (caps & of_writers))
		return br_error(-EINVAL, "caps 0x%x: 0x%x makes no sense without WRITE", caps, caps & of_writers);
	if ((caps & BR_CAP_DISCARD_ZEROES) && !(caps & BR_CAP_DISCARD))
		return br_error(-EINVAL, "caps 0x%x: DISCARD_ZEROES without DISCARD", caps);
	if ((caps & BR_CAP_FAST_ZEROES) && !(caps & BR_CAP_WRITE_ZEROES))
		return br_error(-EINVAL, "caps 0x%x: FAST_ZEROES without WRITE_ZEROES", caps);
	return 0;
}

static int check_units(const struct blkremap_backend_info *i)
{
	if (i->logical_block != 512 && i->logical_block != 4096)
		return br_error(-EINVAL, "a logical block of %u bytes is neither 512 nor 4096", i->logical_block);
	if (!i->bytes || i->bytes % i->logical_block)
		return br_error(-EINVAL, "%" PRIu64 " bytes are no multiple of %u", i->bytes, i->logical_block);
	if (i->optimal_io % i->logical_block)
		return br_error(-EINVAL, "optimal_io %u is no multiple of %u", i->optimal_io, i->logical_block);
	if (i->max_transfer < i->logical_block)
		return br_error(-EINVAL, "max_transfer %" PRIu64 " is less than a block", i->max_transfer);
	if (!br_is_pow2(i->buffer_align) || i->buffer_align > ZEROES_BYTES)
		return br_error(-EINVAL, "buffer_align %u is no power of two up to 65536", i->buffer_align);
	return 0;
}

static int check_flags(const struct br_ctx *ctx, uint32_t flags, bool pulls)
{
	if (flags & ~(uint32_t)(BLKREMAP_BACKEND_BLOCKING | BLKREMAP_BACKEND_SERIAL))
		return br_error(-EINVAL, "flags 0x%x of a backend", flags);
	if (!(flags & BLKREMAP_BACKEND_BLOCKING))
		return 0;
	if (ctx->no_threads)
		return br_error(-EINVAL, "a backend that blocks needs threads, and this context has none");
	if (pulls)
		return br_error(-EINVAL, "a backend without submit cannot block in it");
	return 0;
}

/* Zeroes that mean a default become what they mean; the rest is as the caller said. */
static struct blkremap_backend_info spelled_out(const struct blkremap_backend_info *info)
{
	struct blkremap_backend_info i = *info;

	i.logical_block = i.logical_block ? i.logical_block : 512;
	i.buffer_align = i.buffer_align ? i.buffer_align : 1;
	i.max_iov = i.max_iov ? i.max_iov : UINT32_MAX;
	i.max_inflight = i.max_inflight ? i.max_inflight : DEFAULT_SLOTS;
	i.max_transfer = i.max_transfer ? i.max_transfer : UINT64_MAX;
	i.max_transfer -= i.max_transfer % i.logical_block;
	return i;
}

/* ---- end ------------------------------------------------------------------------------------------------------- */

void br_user_free(struct br_user *u)
{
	const struct blkremap_env *env = u->env;

	if (br_user_pulls(u) && u->bell >= 0)
		env->ops->bell_close(env, u->bell);
	br_free(env, u->zeroes, ZEROES_BYTES);
	br_free(env, u->slots, u->nr_slots * sizeof(*u->slots));
	br_free(env, u, sizeof(*u));
}

static bool nobody_is_inside(void *arg)
{
	struct br_user *u = arg;

	return atomic_load(&u->inside) == 0;
}

static bool retry_is_over(void *arg)
{
	struct br_user *u = arg;
	bool over;

	br_user_lock(u);
	over = !u->retry_armed;
	br_user_unlock(u);
	return over;
}

static void stop_retry(struct br_user *u)
{
	if (!retry_is_over(u) && !br_timer_cancel(u->dev.ctx, &u->retry))
		br_block(u->dev.ctx, NULL, retry_is_over, u, BR_NEVER);
}

/* A pulling caller may be this very thread, so it is not waited for: its CLOSE lies ready. */
static int user_close(struct br_dev *dev)
{
	struct br_user *u = br_user_of(dev);

	if (br_user_pulls(u) && !u->disowned) {
		br_user_push_close(u);
		return 0;
	}
	stop_retry(u);
	br_user_pool_stop(u->pool);
	br_block(dev->ctx, NULL, nobody_is_inside, u, BR_NEVER);
	if (u->ops.close && !u->disowned)
		u->ops.close(u->opaque);
	br_user_free(u);
	return 0;
}

static int user_resize(struct br_dev *dev, uint64_t bytes, uint64_t *ret_bytes)
{
	uint64_t now = atomic_load(&dev->bytes);

	if (bytes && bytes != now)
		return br_error(-EOPNOTSUPP, "%s has the size that its backend says", dev->name);
	*ret_bytes = now;
	return 0;
}

static const struct br_dev_ops user_ops = {
	.type = "user",
	.chan_bytes = sizeof(struct br_user_chan),
	.chan_open = br_user_chan_open,
	.chan_close = br_user_chan_close,
	.submit = br_user_submit,
	.resize = user_resize,
	.close = user_close,
};

/* ---- beginning ------------------------------------------------------------------------------------------------- */

static void fill_dev(struct br_dev *dev, const struct blkremap_backend_info *i)
{
	dev->engine = "user";
	dev->bytes = i->bytes;
	dev->caps = i->caps;
	dev->logical_block = dev->physical_block = dev->discard_granularity = i->logical_block;
	dev->optimal_io = i->optimal_io;
	dev->buffer_align = i->buffer_align;
}

static int take_memory(struct br_user *u)
{
	bool writes_zeroes = (u->info.caps & BR_CAP_WRITE) && !(u->info.caps & BR_CAP_WRITE_ZEROES);

	u->nr_slots = BR_MIN(u->info.max_inflight, (uint32_t)MAX_SLOTS);
	u->slots = br_alloc(u->env, u->nr_slots * sizeof(*u->slots));
	if (writes_zeroes)
		u->zeroes = br_alloc_aligned(u->env, ZEROES_BYTES, BR_MAX(u->info.buffer_align, 16U));
	if (!u->slots || (writes_zeroes && !u->zeroes))
		return br_error(-ENOMEM, "no memory for a backend with %u requests in flight", u->nr_slots);
	return 0;
}

static int start_flow(struct br_user *u)
{
	bool serial = u->info.flags & BLKREMAP_BACKEND_SERIAL;

	if (br_user_pulls(u)) {
		u->bell = u->env->ops->bell_open(u->env);
		return u->bell < 0 ? br_error(u->bell, "no descriptor for a backend") : 0;
	}
	if (u->info.flags & BLKREMAP_BACKEND_BLOCKING)
		return br_user_pool_start(u, serial ? 1 : BR_MIN(u->nr_slots, (uint32_t)POOL_THREADS));
	return 0;
}

static struct br_user *new_user(struct br_ctx *ctx, const struct blkremap_dev_ops *ops, void *opaque,
				const struct blkremap_backend_info *info)
{
	struct br_user *u = br_alloc(ctx->env, sizeof(*u));

	if (!u)
		return NULL;
	u->env = ctx->env;
	u->dev.ctx = ctx;
	if (ops && ops->submit)
		u->ops = *ops;
	u->opaque = opaque;
	u->info = *info;
	u->bell = -1;
	u->retry.task.run = br_user_retry;
	br_list_init(&u->waiting);
	fill_dev(&u->dev, info);
	return u;
}

int br_user_open(struct br_ctx *ctx, const struct blkremap_dev_ops *ops, void *opaque,
		 const struct blkremap_backend_info *info, struct br_user **ret_user, struct br_dev **ret_dev)
{
	struct blkremap_backend_info i = spelled_out(info);
	int r = check_caps(i.caps);
	struct br_user *u;

	r = r < 0 ? r : check_units(&i);
	r = r < 0 ? r : check_flags(ctx, i.flags, !ops || !ops->submit);
	if (r < 0)
		return r;
	u = new_user(ctx, ops, opaque, &i);
	if (!u)
		return br_error(-ENOMEM, "no memory for a backend");
	r = take_memory(u);
	r = r < 0 ? r : start_flow(u);
	r = r < 0 ? r : br_dev_add(&u->dev, ctx, &user_ops, i.name);
	if (r < 0) {
		br_user_pool_stop(u->pool);
		br_user_free(u);
		return r;
	}
	u->info.name = NULL;	/* was borrowed */
	*ret_user = u;
	*ret_dev = &u->dev;
	return 0;
}

void br_user_disown(struct br_user *u)
{
	u->disowned = true;
}

int br_user_set_bytes(struct br_user *u, uint64_t bytes)
{
	struct br_event event = { .type = BLKREMAP_EV_RESIZED, .dev_id = u->dev.id, .value = { bytes, 0 } };

	if (!bytes || bytes % u->info.logical_block)
		return br_error(-EINVAL, "%" PRIu64 " bytes are no multiple of %u", bytes, u->info.logical_block);
	event.value[1] = atomic_exchange(&u->dev.bytes, bytes);
	if (event.value[1] != bytes)
		br_ctx_event(u->dev.ctx, &event);
	return 0;
}
