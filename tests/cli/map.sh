#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
make_snapshot 8M
"$ctl" io vol.blkr -c 'write 512k 64k pattern=0xa5' -c 'write 2M 128k pattern=1' >/dev/null
remember base.img snap.cow vol.blkr

exits 0 'map' map vol.blkr
prints '^Offset +Length +State +Layer +At$' 'has headings'
prints '^0x00000000   0x00080000   origin ' 'begins in the origin'
prints '^0x00080000   0x00010000   copied ' 'shows what was copied'
is 'five extents' test "$(grep -c 0x "$work/.out")" -ge 5
exits 0 'one state' map --state copied vol.blkr
prints_not 'origin' 'shows nothing else'
exits 0 'totals' map --totals vol.blkr
prints '^ +8,192,000 +97.66%  origin$' 'of the origin'
prints '^ +196,608 +2.34%  copied$' 'of the store'
exits 0 'for scripts' map -H -b -o offset,length,state vol.blkr
prints "^524288	65536	copied$" 'tabs and bytes'
prints_not 'Offset' 'no headings'
exits 0 'as JSON' map --json vol.blkr
json 'sum(x["length"] for x in j["extents"]) == j["bytes"] == 8 << 20' 'covers the device'
json 'all(a["offset"] + a["length"] == b["offset"] for a, b in zip(j["extents"], j["extents"][1:]))' 'has no gaps'
json 'j["totals"] == {"copied": 196608, "origin": 8192000}' 'has the totals'
exits 0 'with holes' map --holes vol.blkr
prints '   zero     -' 'shows what is nowhere'
exits 0 'of a file' map base.img
exits 2 'an unknown column' map -o offset,colour vol.blkr
exits 2 'an unknown state' map --state wet vol.blkr
untouched base.img snap.cow vol.blkr

done_testing
