/* SPDX-License-Identifier: BSD-3-Clause */
/* The caller's own devices: argument checks over io/user.h.  The public handle is the inner one under another name. */
#include <errno.h>

#include "api/handle.h"
#include "base/error.h"
#include "io/user.h"

static struct br_user *to_user(struct blkremap_backend *b)
{
	return (struct br_user *)(void *)b;
}

static int read_info(struct blkremap_backend_info *i, const struct blkremap_backend_info *info)
{
	int r = br_opts_read(i, sizeof(*i), info);

	if (r == 0 && !info)
		r = br_error(-EINVAL, "backend: nothing says what it is");
	return r;
}

int blkremap_user_open(struct blkremap_ctx *ctx, const struct blkremap_dev_ops *ops, void *opaque,
		       const struct blkremap_backend_info *info, struct blkremap_backend **ret_backend,
		       struct blkremap_dev **ret_dev)
{
	struct blkremap_backend_info i;
	struct blkremap_dev_ops o;
	struct blkremap_dev *handle;
	struct br_user *user;
	struct br_dev *dev;
	int r = br_opts_read(&o, sizeof(o), ops);

	if (r == 0)
		r = read_info(&i, info);
	if (r < 0)
		return r;
	if (!ctx || !ret_backend || !ret_dev || o.flags)
		return br_error(-EINVAL, "backend: no context, no place for the handles, or unknown flags");
	r = br_user_open(&ctx->core, ops ? &o : NULL, opaque, &i, &user, &dev);
	if (r < 0)
		return r;
	br_dev_get(dev);	/* so that a failure here is not the end that ops.close is told of */
	r = br_handle_new(ctx, dev, !(i.caps & BLKREMAP_CAP_WRITE), &handle);
	if (r < 0) {
		br_user_disown(user);
	} else {
		*ret_backend = (struct blkremap_backend *)(void *)user;
		*ret_dev = handle;
	}
	br_dev_put(dev);
	return r;
}

int blkremap_user_fd(struct blkremap_backend *backend)
{
	return backend ? br_user_bell(to_user(backend)) : br_error(-EINVAL, "no backend");
}

int blkremap_user_fetch(struct blkremap_backend *backend, struct blkremap_backend_req *out, uint32_t max)
{
	if (!backend || (max && !out))
		return br_error(-EINVAL, "fetch: no backend, or no room");
	return br_user_fetch(to_user(backend), out, max);
}

int blkremap_user_complete(struct blkremap_backend *backend, uint64_t id, int32_t result)
{
	return backend ? br_user_complete(to_user(backend), id, result) : br_error(-EINVAL, "no backend");
}

int blkremap_user_set_bytes(struct blkremap_backend *backend, uint64_t bytes)
{
	return backend ? br_user_set_bytes(to_user(backend), bytes) : br_error(-EINVAL, "no backend");
}
