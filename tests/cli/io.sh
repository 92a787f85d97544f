#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
make_snapshot 8M
truncate -s 2M other.img
remember base.img

exits 0 'write, flush, read back' io vol.blkr -c 'write 0 64k pattern=0xa5' -c flush -c 'read 0 64k verify=0xa5'
prints '^wrote 65,536 at 0 \(' 'says what was written'
prints '^flushed \(' 'flushed'
prints '^read 65,536 at 0, verified \(' 'and verified'
exits 0 'it is there the next time' io vol.blkr -c 'read 0 64k verify=165'
exits 1 'another byte' io vol.blkr -c 'read 0 64k verify=0xa6' -c 'write 0 4k'
prints '^read at 0x00000000: 0xa5, expected 0xa6' 'says where'
exits 0 'what came after was not done' io vol.blkr -c 'read 0 4k verify=0xa5'
exits 0 'the default pattern' io vol.blkr -c 'write 1M 4k' -c 'read 1M 4k verify=0xcd'
exits 0 'zeroes' io vol.blkr -c 'zero 1M 4k' -c 'read 1M 4k verify=0' -c 'zero 0 4k unmap' -c 'read 0 4k verify=0'
exits 0 'discard of a file' io other.img -c 'write 1M 64k' -c 'discard 1M 64k' -c 'read 1M 64k verify=0'
exits 3 'discard of a snapshot, which knows none' io vol.blkr -c 'discard 1M 64k'
one_error 'says so in one line'
exits 0 'a durable write' io vol.blkr -c 'write 0x200000 1M pattern=7 fua' -c 'read 2M 1M verify=7'
untouched base.img

remember snap.cow
exits 0 'reading alone' io vol.blkr -c 'read 0 8M'
untouched snap.cow base.img
exits 3 'beyond the end' io vol.blkr -c 'read 8M 4k'
exits 3 'across the end' io vol.blkr -c 'write 8188k 8k'
one_error 'in one line'
exits 3 'not aligned' io vol.blkr -c 'read 1 4096'
for bad in 'wriet 0 4k' 'write' 'write 0' 'write 0 0' 'write -1 4k' 'write 0 4k pattern=256' 'write 0 4k pattern=' \
	'write 0 4k verify=1' 'read 0 4k fua' 'flush 0' '' 'read 0 4k verify=1 verify=1 verify=1' 'write 0 9223372036854775807s'; do
	exits 2 "'$bad'" io vol.blkr -c 'write 3M 4k' -c "$bad"
	one_error 'is refused in one line'
done
exits 2 'no command' io vol.blkr
exits 0 'nothing was done before a bad command was seen' io vol.blkr -c 'read 3M 4k verify=0'

done_testing
