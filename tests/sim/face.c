/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/face.h"

#include <errno.h>

#include "api/handle.h"
#include "sim/simdev.h"

static struct sim_disk *find_or_make(struct sim_world *w, const char *name, uint64_t bytes, uint32_t block_bytes)
{
	struct sim_disk *d = sim_world_disk(w, name);

	if (d || w->nr_disks == SIM_MAX_DISKS)
		return d;
	d = sim_disk_new(&w->hub->blobs, name, w->nr_disks, bytes, block_bytes, &w->kind);
	w->disks[w->nr_disks++] = d;
	return d;
}

int sim_face_disk(struct sim_world *w, struct blkremap_ctx *ctx, const char *name, uint64_t bytes, uint32_t block_bytes,
		  struct blkremap_dev **ret_dev)
{
	struct sim_disk *d = find_or_make(w, name, bytes, block_bytes);
	struct br_dev *dev;
	int r = d ? sim_dev_open(br_core(ctx), w, d, name, &dev) : -EMFILE;

	return r < 0 ? r : br_handle_new(ctx, dev, false, ret_dev);
}
