/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/stamp.h"

#include <string.h>

#include "sim/blob.h"

static const uint64_t MAGIC = 0x6d75746174696f6eu;

struct stamp {
	uint64_t magic, lba, value, filler[60], check;
};

_Static_assert(sizeof(struct stamp) == SIM_SECTOR, "a stamp is a sector");

void sim_stamp_fill(void *sector, uint32_t value, uint64_t lba)
{
	struct stamp s = { .magic = MAGIC, .lba = lba, .value = value };

	for (unsigned i = 0; i < 60; i++)
		s.filler[i] = (value ^ lba << 32) * 0x9e3779b97f4a7c15u + i;
	s.check = sim_hash(&s, sizeof(s) - sizeof(s.check));
	memcpy(sector, &s, sizeof(s));
}

static int is_zero(const struct stamp *s)
{
	const uint64_t *p = (const uint64_t *)s;

	for (unsigned i = 0; i < SIM_SECTOR / 8; i++)
		if (p[i])
			return 0;
	return 1;
}

int sim_stamp_read(const void *sector, uint32_t *ret_value, uint64_t *ret_lba)
{
	struct stamp s;

	memcpy(&s, sector, sizeof(s));
	*ret_value = 0;
	*ret_lba = 0;
	if (s.magic != MAGIC)
		return is_zero(&s) ? SIM_STAMP_ZERO : SIM_STAMP_GARBAGE;
	if (s.check != sim_hash(&s, sizeof(s) - sizeof(s.check)))
		return SIM_STAMP_GARBAGE;
	*ret_value = (uint32_t)s.value;
	*ret_lba = s.lba;
	return SIM_STAMP_OK;
}
