/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The caller's own devices: blkremap_user_open() and its companions (blkremap/backend.h) without their handles.
 *
 * What the caller did not say it can do never reaches it: FUA becomes a flush after the write, zeroes become writes,
 * requests are cut to max_transfer, max_iov and multiples of optimal_io, and wait for max_inflight.
 */
#ifndef BR_IO_USER_H
#define BR_IO_USER_H

#include <stdint.h>

struct blkremap_backend_info;
struct blkremap_backend_req;
struct blkremap_dev_ops;
struct br_ctx;
struct br_dev;
struct br_user;

/*
 * @ops NULL, or without submit: the caller pulls; other ops are not called then.  -EINVAL, -ENOMEM, -EEXIST (name),
 * -EAGAIN (no thread for BLOCKING).
 *
 * The last br_dev_put() of a pushing backend returns when ops->close() has.  That of a pulling one returns at once:
 * CLOSE lies ready to be fetched, and whoever completes it ends the backend.
 */
int br_user_open(struct br_ctx *ctx, const struct blkremap_dev_ops *ops, void *opaque,
		 const struct blkremap_backend_info *info, struct br_user **ret_user, struct br_dev **ret_dev);

/* For an open that fails after all: the last br_dev_put() then ends the backend without a word to the caller. */
void br_user_disown(struct br_user *u);

/* Any thread, all of these; see blkremap/backend.h. */
int br_user_bell(struct br_user *u);		/* pulling: the environment's bell, which is the descriptor; -EINVAL */
int br_user_fetch(struct br_user *u, struct blkremap_backend_req *out, uint32_t max);
int br_user_complete(struct br_user *u, uint64_t id, int32_t result);
int br_user_set_bytes(struct br_user *u, uint64_t bytes);

#endif /* BR_IO_USER_H */
