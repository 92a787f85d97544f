/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Self-describing sectors: 512 bytes that say which volume they were written through, where, and by which write; with a
 * checksum over all of them.  So a sector in the wrong place, of the wrong age or made of two halves tells on itself.
 */
#ifndef SIM_STAMP_H
#define SIM_STAMP_H

#include <stdint.h>

enum { SIM_SECTOR = 512 };

/* What a sector holds: the volume in the top byte, the write's number below.  0: zeroes, never written. */
enum { SIM_VALUE_SHIFT = 24, SIM_VALUE_MASK = 0xffffff };

enum { SIM_STAMP_OK, SIM_STAMP_ZERO, SIM_STAMP_GARBAGE };

void sim_stamp_fill(void *sector, uint32_t value, uint64_t lba);
int sim_stamp_read(const void *sector, uint32_t *ret_value, uint64_t *ret_lba);

#endif /* SIM_STAMP_H */
