#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
make_base 8M

exits 0 'a dry run' create snapshot --origin base.img --store snap.cow -o vol.blkr -n
prints 'would be made: snapshot of base.img \(8.0 MiB\), 64.0 KiB chunks, 128 chunks' 'tells the layout'
isnt 'makes no store' test -e snap.cow
isnt 'makes no stack file' test -e vol.blkr

exits 0 'create' create snapshot --origin base.img --store snap.cow -o vol.blkr
prints '^snap.cow: snapshot of base.img \(8.0 MiB\), 64.0 KiB chunks, 128 chunks, store may grow to 8.1 MiB' 'tells the layout'
prints "^vol.blkr: written; try 'blkremap-ctl info vol.blkr'" 'and what to do next'
silent 'nothing else'
is 'the store is for its owner alone' test "$(stat -c %a snap.cow)" = 600
is 'the stack file names the base' grep -q '^path = base.img$' vol.blkr
is 'the stack file names the store' grep -q '^store = snap.cow$' vol.blkr
exits 0 'the stack file opens' info vol.blkr
exits 0 'the store checks' check snap.cow

remember snap.cow vol.blkr base.img
exits 3 'a store that is there is refused' create snapshot --origin base.img --store snap.cow
one_error 'in one line and a hint'
says 'hint: -f' 'which names -f'
exits 3 'a stack file that is there is refused' create snapshot --origin base.img --store other.cow -o vol.blkr
isnt 'before a store is made' test -e other.cow
intact snap.cow vol.blkr base.img
exits 0 '-f overwrites both' create snapshot --origin base.img --store snap.cow -o vol.blkr -f
exits 0 'and they work' info vol.blkr

exits 0 'a blank file that is there is taken' create snapshot --origin base.img --store "$(truncate -s 4M blank.cow && echo blank.cow)"
exits 2 'a size for a store that is there' create snapshot --origin base.img --store blank.cow --size 1M
exits 3 'the origin as its own store' create snapshot --origin base.img --store ./base.img -f
says 'is the origin itself' 'says so'
ln base.img link.img
exits 3 'the origin by another name' create snapshot --origin base.img --store link.img -f
remember base.img

exits 0 'a size' create snapshot --origin base.img --store small.cow --size 2M
is 'is the size of the file' test "$(stat -c %s small.cow)" -eq 2097152
prints 'full before all has changed' 'and its limit is told'
exits 0 'a share of the origin' create snapshot --origin base.img --store share.cow --size 50%
is 'is the size of the file, too' test "$(stat -c %s share.cow)" -eq 4194304
exits 0 'a chunk size' create snapshot --origin base.img --store chunk.cow --chunk 4k
prints '4.0 KiB chunks, 2,048 chunks' 'is used'
for bad in 0 3k -4k '4 k' 4kb 99999999999T; do
	exits 2 "chunk size '$bad'" create snapshot --origin base.img --store bad.cow "--chunk=$bad"
	one_error 'is refused in one line'
done
for bad in 0 0% -1M 1m% 10; do
	exits "$([ "$bad" = 10 ] && echo 3 || echo 2)" "store size '$bad'" \
		create snapshot --origin base.img --store bad.cow "--size=$bad"
done
isnt 'nothing is left of a store that could not be made' test -e bad.cow
exits 2 'another kind' create cache --origin base.img --store bad.cow
exits 2 'no origin' create snapshot --store bad.cow
exits 2 'no store' create snapshot --origin base.img
exits 2 'a spec as store' create snapshot --origin base.img --store memory:bytes=1M
exits 3 'an origin that is not there' create snapshot --origin nope.img --store bad.cow
exits 3 'a folder for the store that is not there' create snapshot --origin base.img --store no/such/bad.cow
untouched base.img

# Names in a stack file are seen from its folder.
mkdir -p sub
exits 0 'a stack file beside its files' create snapshot --origin sub/../base.img --store sub/in.cow -o sub/in.blkr
exits 0 'in another folder opens' info sub/in.blkr
cd sub || exit 99
exits 0 'also from there' info in.blkr
cd .. || exit 99
mv sub moved
is 'a store in its own folder is named relatively' grep -q '^store = in.cow$' moved/in.blkr
printf 'x' >base
exits 0 'a store whose name is a section' create snapshot --origin base.img --store snap -o sections.blkr
exits 0 'opens as a file' info sections.blkr

done_testing
