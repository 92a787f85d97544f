/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The devices of a stack by id, and walking a device's extents.
 *
 *	static int show(void *opaque, const struct blkremap_extent *x)
 *	{
 *		struct ctl_layers *l = opaque;
 *
 *		printf("%s in %s\n", ctl_extent_state(x, dev_id), ctl_layer(l, x->dev_id)->name);
 *		return 0;
 *	}
 *	ctl_extents_each(dev, 0, show, &layers);
 */
#ifndef CTL_LAYERS_H
#define CTL_LAYERS_H

#include <blkremap/blkremap.h>

enum { CTL_MAX_LAYERS = 64 };
struct ctl_layers {
	struct blkremap_ctx *ctx;
	struct blkremap_dev_info seen[CTL_MAX_LAYERS];
	unsigned int nr;
};

/* What is known of a device; never NULL: a device that cannot be asked has an empty type and name. */
const struct blkremap_dev_info *ctl_layer(struct ctl_layers *l, uint64_t dev_id);

/* @fn returns 0 to go on, else its value ends the walk.  0, what @fn returned, or the library's error. */
typedef int (*ctl_extent_fn)(void *opaque, const struct blkremap_extent *x);
int ctl_extents_each(struct blkremap_dev *dev, uint32_t flags, ctl_extent_fn fn, void *opaque);

/* "zero", "copied", "origin", or "data" for what lies in the device itself. */
const char *ctl_extent_state(const struct blkremap_extent *x, uint64_t own_id);

#endif /* CTL_LAYERS_H */
