#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check, repair, dump and restore of a store.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
make_snapshot 8M
"$ctl" io vol.blkr -c 'write 512k 64k pattern=0xa5' -c 'write 2M 128k pattern=1' >/dev/null
"$ctl" copy vol.blkr before.img >/dev/null
cp snap.cow good.cow
remember base.img snap.cow vol.blkr

exits 0 'a good store' check snap.cow
silent 'has no error'
exits 0 'a good stack' check vol.blkr
exits 0 'all of it read' check --deep vol.blkr
prints 'vol.blkr: 8.0 MiB read' 'says so'
exits 0 'as JSON' check --json snap.cow
json 'j["clean"] is True' 'says that it is clean'
untouched base.img snap.cow vol.blkr

exits 0 'dump' dump snap.cow
cp "$work/.out" dump.txt
is 'prints something' test -s dump.txt
exits 0 'dump to a file' dump snap.cow -o dump2.txt
is 'is the same' cmp dump.txt dump2.txt
exits 3 'a file that is there is refused' dump snap.cow -o dump2.txt
exits 0 '-f replaces it' dump snap.cow -o dump2.txt -f
exits 2 'an unknown format' dump --format xml snap.cow
untouched snap.cow
exits 3 'restore over a store' restore -i dump.txt snap.cow
intact snap.cow
dd if=/dev/zero of=snap.cow bs=64k count=1 conv=notrunc status=none
exits 0 'restore a store whose header is gone' restore -f -i dump.txt snap.cow
exits 0 'it checks' check snap.cow
exits 0 'it is what it was' diff -q vol.blkr before.img
"$ctl" dump snap.cow | cmp -s - dump.txt
is 'and dumps as before' test $? -eq 0
"$ctl" restore -f snap.cow <dump.txt >.out 2>.err
is 'restore from a pipe' test $? -eq 0
cp snap.cow kept.cow
printf 'this is no dump\n' >nonsense.txt
exits 4 'nonsense' restore -f -i nonsense.txt snap.cow
one_error 'is refused in one line'
exits 3 'no such text' restore -f -i nope.txt snap.cow
is 'and the store is as before' cmp snap.cow kept.cow

# An invalidated store: what it still holds can be saved.
cp good.cow snap.cow
printf '\0' | dd of=snap.cow bs=1 seek=4 conv=notrunc status=none
remember base.img snap.cow
exits 4 'an invalid snapshot' info vol.blkr
says 'repair -n' 'hints at repair'
exits 4 'an invalid store' check snap.cow
exits 1 'what could be saved' repair -n snap.cow
exits 1 'also by the stack, as the hint says' repair -n vol.blkr
exits 2 'but to save it the store is wanted' repair vol.blkr -o x.cow
exits 1 'repair into a new file' repair snap.cow -o saved.cow
prints 'snap.cow -> saved.cow' 'says so'
untouched base.img snap.cow
exits 0 'the new one checks' check saved.cow
cp saved.cow snap.cow
exits 0 'and has all that the old one held' diff -q vol.blkr before.img
exits 3 'a new file that is there' repair good.cow -o saved.cow
exits 0 'a good store loses nothing' repair good.cow -o again.cow
exits 2 'nowhere to go' repair snap.cow

# A store that is too small for what happens to its origin.
truncate -s 8M disk.img
exits 0 'a small store' create snapshot --origin disk.img --store small.cow --size 512k
cat >disk.blkr <<'END'
[disk]
type = origin
base = disk.img

[snap]
type = snapshot
origin = disk
store = small.cow
END
exits 0 'the origin always wins' io '@disk.blkr#disk' -c 'write 0 2M pattern=3'
says 'warning: .*no room' 'and the loss is told'
exits 4 'the snapshot is invalid' info disk.blkr
exits 0 'the origin goes on' io '@disk.blkr#disk' -c 'read 0 2M verify=3' -c 'write 2M 1M'
exits 1 'what was saved before it was full can be had' repair small.cow -o large.cow

# Two exceptions at one place.
cp good.cow snap.cow
offset=$((65536 + 16 + 8)) # where the second entry of the first area says what chunk of the store it has
printf '\2\0\0\0\0\0\0\0' | dd of=snap.cow bs=1 seek=$offset conv=notrunc status=none
remember snap.cow
exits 4 'an exception that maps a chunk twice' check snap.cow
says 'metadata is corrupt' 'says so'
exits 4 'as JSON' check --json snap.cow
json 'j["clean"] is False and any(f["severity"] == "corrupt" for f in j["findings"])' 'has it, too'
untouched snap.cow

# A base that cannot be read, for those who look.
cp good.cow snap.cow
bad='snapshot:origin=(error:dev=base.img,op=read),store=snap.cow'
exits 0 'a stack whose base is bad has good metadata' check "$bad"
exits 3 'but not all can be read' check --deep "$bad"
prints 'cannot be read \(offset 0 B, 512.0 KiB\)' 'where, in one line a place'
says 'the metadata is good, but 7.8 MiB cannot be read' 'and how much'
exits 3 'as JSON' check --deep --json "$bad"
json 'j["unreadable_bytes"] == (8 << 20) - 196608 and not j["clean"]' 'in bytes'
exits 3 'copying it fails' copy "$bad" bad.img
says 'snapshot.*Input/output error' 'says why'
isnt 'and leaves nothing' test -e bad.img
isnt 'of any name' test -n "$(find . -name 'bad.img*')"

# No store at all.
head -c 100 base.img >tiny.cow
exits 4 'a store of 100 bytes' check tiny.cow
truncate -s 1M blank.cow
exits 3 'a blank store' check blank.cow
head -c 1048576 /dev/urandom >random.cow
remember random.cow
exits 4 'random bytes' check random.cow
exits 4 'cannot be saved' repair random.cow -o r.cow
isnt 'and nothing is made' test -e r.cow
untouched random.cow

done_testing
