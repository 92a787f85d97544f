/* SPDX-License-Identifier: BSD-3-Clause */
#include "keep.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctl.h"
#include "layers.h"
#include "msg.h"
#include "stop.h"

static int extent_count(void *opaque, const struct blkremap_extent *x)
{
	struct ctl_keep *k = opaque;

	if (x->kind & BLKREMAP_EXT_REMAPPED)
		k->total += x->length;
	return 0;
}

/* For ctl_extents_each(): an exit code, or -EINTR when a signal came. */
static int extent_fold(void *opaque, const struct blkremap_extent *x)
{
	struct ctl_keep *k = opaque;
	uint64_t piece = ctl_rate_piece(&k->rate);
	int r;

	if (!(x->kind & BLKREMAP_EXT_REMAPPED))
		return 0;
	for (uint64_t at = 0, n; at < x->length; at += n) {
		if (ctl_stopped())
			return -EINTR;
		n = x->length - at < piece ? x->length - at : piece;
		r = blkremap_pread(k->snap, k->buf, (size_t)n, x->offset + at, BLKREMAP_BACKGROUND);
		if (r == 0)
			r = blkremap_pwrite(k->to, k->buf, (size_t)n, x->offset + at, BLKREMAP_BACKGROUND);
		if (r < 0)
			return ctl_fail(k->stack, r);
		k->done += n;
		ctl_progress_show(k->progress, k->done, k->total);
		ctl_rate_wait(&k->rate, n);
	}
	return 0;
}

static int all_fold(struct ctl_keep *k)
{
	int r = ctl_extents_each(k->snap, BLKREMAP_MAP_TOP_ONLY, extent_count, k);

	if (r == 0)
		r = ctl_extents_each(k->snap, BLKREMAP_MAP_TOP_ONLY, extent_fold, k);
	if (r > 0 || (r == -EINTR && ctl_stopped()))
		return r > 0 ? r : CTL_OK;
	if (r == 0)
		r = blkremap_flush(k->to);
	return r < 0 ? ctl_fail(k->stack, r) : CTL_OK;
}

/*
 * The base is claimed by the snapshot, so it is opened once more, in a context of its own.  The lock against other
 * processes is held by the snapshot's open, hence none is taken.
 */
static int base_open(struct ctl_keep *k, struct blkremap_ctx *own)
{
	size_t len = strcspn(k->stack, "#");
	char *name;
	int code;

	if (asprintf(&name, "@%.*s#%s", (int)len, k->stack, k->origin) < 0)
		return ctl_fail_text(k->stack, -ENOMEM, "no memory");
	code = ctl_open(own, name, BLKREMAP_NOLOCK, &k->to);
	free(name);
	return code;
}

int ctl_keep_run(struct ctl_keep *k)
{
	struct blkremap_ctx *own = NULL;
	int code;

	k->buf = ctl_buffer_new(CTL_PIECE);
	if (!k->buf)
		return ctl_fail_text(k->stack, -ENOMEM, "no memory for a buffer");
	code = ctl_ctx_new(&own);
	if (!code)
		code = base_open(k, own);
	if (!code)
		code = all_fold(k);
	free(k->buf);
	return ctl_close(own, k->to, k->stack, code);
}
