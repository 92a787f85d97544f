/* SPDX-License-Identifier: BSD-3-Clause */
/* Options that can be changed while a device is in use: what blkremap_describe() calls live. */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "api/units.h"
#include "base/error.h"
#include "target/family.h"
#include "target/snapshot.h"

static int set_size(_Atomic uint64_t *where, const char *value)
{
	uint64_t n;
	int r = br_size_parse(value, strlen(value), &n);

	if (r == 0)
		atomic_store(where, n);
	return r;
}

static int set_policy(struct br_snapshot *s, const char *value)
{
	static const char *const policies[] = { "invalidate", "refuse", "hold" };

	for (uint32_t i = 0; i < BR_ARRAY_SIZE(policies); i++) {
		if (strcmp(value, policies[i]) != 0)
			continue;
		atomic_store(&s->cfg.when_full, i);
		br_snapshot_unhold(s, false);	/* by the new policy */
		return 0;
	}
	return -EINVAL;
}

static int set_hold(struct br_snapshot *s, const char *value)
{
	uint64_t ns;
	int r = br_time_parse(value, strlen(value), &ns);

	if (r == 0)
		atomic_store(&s->cfg.hold_ns, ns);
	return r;
}

static int set_snapshot(struct br_snapshot *s, const char *key, const char *value)
{
	if (strcmp(key, "low_space") == 0)
		return set_size(&s->cfg.low_space, value);
	if (strcmp(key, "grow_step") == 0)
		return set_size(&s->cfg.grow_step, value);
	if (strcmp(key, "when_full") == 0)
		return set_policy(s, value);
	if (strcmp(key, "hold") == 0)
		return set_hold(s, value);
	return -ENOENT;
}

int br_dev_set(struct br_dev *d, const char *key, const char *value)
{
	int r = br_dev_is_snapshot(d) ? set_snapshot(br_dev_to_snapshot(d), key, value) : -ENOENT;

	if (r == -ENOENT)
		return br_error(r, "a %s has no key '%s' that can be set while it is open", d->ops->type, key);
	return r < 0 ? br_error(-EINVAL, "'%s' is no value for %s", value, key) : 0;
}
