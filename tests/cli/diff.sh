#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
make_snapshot 8M

exits 0 'a fresh snapshot is the same' diff base.img vol.blkr
prints '^0 ranges, 0 B differ' 'and says so'
"$ctl" io vol.blkr -c 'write 512k 4k pattern=0xa5' -c 'write 2M 8k pattern=1' -c 'write 0x3ff000 8k pattern=2' >/dev/null
remember base.img snap.cow vol.blkr
exits 1 'after writes it differs' diff base.img vol.blkr
prints '0x00080000 \+4.0 KiB' 'here'
prints '0x00200000 \+8.0 KiB' 'and here'
prints '0x003ff000 \+8.0 KiB' 'and across two chunks'
prints '^3 ranges, 20.0 KiB differ' 'three times'
exits 1 'quietly' diff -q base.img vol.blkr
quiet 'nothing is printed'
exits 0 'quietly the same' diff -q vol.blkr vol.blkr
exits 1 'for scripts' diff -H base.img vol.blkr
prints '^524288	4096$' 'tabs and bytes'
exits 1 'as JSON' diff --json base.img vol.blkr
json 'j["same"] is False and j["differ_bytes"] == 20480 and len(j["ranges"]) == 3' 'adds up'
json 'j["read_bytes"] + j["skipped_bytes"] == 8 << 20' 'everything was read or skipped'
json 'j["skipped_bytes"] > 4 << 20' 'what the maps prove was skipped'
exits 1 'with the bytes' diff --hex base.img vol.blkr
prints '^ > a5 a5 a5' 'shows them'
cp base.img copy.img
exits 0 'a copy is the same' diff base.img copy.img
printf 'J' | dd of=copy.img bs=1 seek=4194304 conv=notrunc status=none
exits 1 'one byte' diff base.img copy.img
prints '^0x00400000 \+4.0 KiB' 'is a block'
truncate -s 8196k copy2.img
dd if=base.img of=copy2.img conv=notrunc status=none
exits 1 'one is longer' diff base.img copy2.img
prints 'sizes differ: base.img 8.0 MiB, copy2.img' 'says so'
prints '^1 range, 4.0 KiB differ' 'and by how much'
exits 3 'one is missing' diff base.img nope.img
exits 2 'one operand' diff base.img
exits 2 'two forms' diff -q --json base.img vol.blkr
untouched base.img snap.cow vol.blkr

done_testing
