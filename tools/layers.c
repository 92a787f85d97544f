/* SPDX-License-Identifier: BSD-3-Clause */
#include "layers.h"
#include <string.h>

const struct blkremap_dev_info *ctl_layer(struct ctl_layers *l, uint64_t dev_id)
{
	static const struct blkremap_dev_info nobody = { .size = sizeof(nobody) };
	struct blkremap_dev_info info = { .size = sizeof(info) };
	struct blkremap_dev *dev;
	int r;

	for (unsigned int i = 0; i < l->nr; i++)
		if (l->seen[i].dev_id == dev_id)
			return &l->seen[i];
	if (!dev_id || l->nr == CTL_MAX_LAYERS || blkremap_dev_get(l->ctx, dev_id, &dev) < 0)
		return &nobody;
	r = blkremap_dev_info(dev, &info);
	blkremap_dev_close(dev);
	if (r < 0)
		return &nobody;
	l->seen[l->nr] = info;
	return &l->seen[l->nr++];
}

int ctl_extents_each(struct blkremap_dev *dev, uint32_t flags, ctl_extent_fn fn, void *opaque)
{
	struct blkremap_extent x[256];
	uint64_t off = 0, end = blkremap_dev_size(dev);
	uint32_t n;
	int r;

	while (off < end) {
		r = blkremap_map(dev, off, end - off, flags, x, sizeof(x) / sizeof(x[0]), &n);
		if (r < 0 || !n)
			return r;
		for (uint32_t i = 0; i < n; i++) {
			r = fn(opaque, &x[i]);
			if (r)
				return r;
		}
		off = x[n - 1].offset + x[n - 1].length;
	}
	return 0;
}

const char *ctl_extent_state(const struct blkremap_extent *x, uint64_t own_id)
{
	if (x->kind & (BLKREMAP_EXT_HOLE | BLKREMAP_EXT_ZERO))
		return "zero";
	if (x->kind & BLKREMAP_EXT_REMAPPED)
		return "copied";
	return x->dev_id == own_id ? "data" : "origin";
}
