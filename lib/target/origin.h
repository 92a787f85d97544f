/* SPDX-License-Identifier: BSD-3-Clause */
/* The origin target: the base device as those see it who write to it while snapshots of it exist. */
#ifndef BR_TARGET_ORIGIN_H
#define BR_TARGET_ORIGIN_H

#include <stdbool.h>

struct br_dev;

/* Claims and references @base.  -EBUSY: somebody else writes to it; -EROFS. */
int br_origin_open(struct br_dev *base, const char *name, bool rdonly, struct br_dev **ret);
bool br_dev_is_origin(const struct br_dev *dev);

#endif /* BR_TARGET_ORIGIN_H */
