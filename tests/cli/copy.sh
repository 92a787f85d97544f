#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
make_snapshot 8M
"$ctl" io vol.blkr -c 'write 512k 4k pattern=0xa5' -c 'write 2M 128k pattern=1' >/dev/null
remember base.img snap.cow vol.blkr

exits 0 'a copy to a new file' copy vol.blkr flat.img
prints '^vol.blkr -> flat.img: 8.0 MiB' 'tells what it did'
exits 0 'is the same' diff -q vol.blkr flat.img
is 'zeroes stay holes' test "$(($(stat -c %b flat.img) * 512))" -lt 1048576
is 'nothing else is left' test "$(find . -name 'flat.img*' | wc -l)" -eq 1
exits 0 'a copy that is verified' copy --verify vol.blkr flat2.img
prints 'verified' 'says so'
is 'is byte for byte the same' cmp flat.img flat2.img
"$ctl" copy vol.blkr - >piped.img 2>.err
is 'a copy to a pipe' cmp flat.img piped.img
silent 'says nothing beside it'
"$ctl" copy vol.blkr - 2>.err | head -c 4096 >/dev/null
is 'a pipe that closes early harms nobody' test -s snap.cow
remember flat.img
exits 3 'a file that is there is refused' copy vol.blkr flat.img
says 'hint: -f' 'with a hint'
untouched flat.img
printf 'old' >old.img
chmod 640 old.img
exits 0 '-f replaces it' copy -f vol.blkr old.img
is 'wholly' cmp flat.img old.img
is 'but not its mode' test "$(stat -c %a old.img)" = 640
exits 3 'a folder' copy -f vol.blkr .
exits 3 'a folder that is not there' copy vol.blkr no/such/file
exits 5 'a part of the source is not replaced' copy -f vol.blkr base.img
exits 0 'data is not skipped' copy --sparse 0 flat.img full.img
is 'and the same' cmp flat.img full.img
exits 2 'verify of a pipe' copy --verify vol.blkr -
exits 2 'in place wants -f' copy vol.blkr snapshot:origin=base.img,store=snap.cow
exits 2 'a rate of nothing' copy --rate 0 vol.blkr x.img
exits 2 'an unknown progress' copy --progress=loud vol.blkr x.img
"$ctl" copy --progress=fd:3 vol.blkr fd.img 3>progress >/dev/null 2>.err
is 'progress on a descriptor' grep -q '^100/100$' progress
silent 'and nowhere else'
exits 0 'progress on a terminal' copy --progress=tty vol.blkr tty.img
says 'copy vol.blkr' 'is drawn'

# Onto a device in place: a snapshot of another base.
truncate -s 8M other.img
"$ctl" create snapshot --origin other.img --store other.cow -o other.blkr >/dev/null
exits 0 'into a snapshot' copy -f vol.blkr other.blkr
exits 0 'is the same' diff -q vol.blkr other.blkr
truncate -s 4M tiny.img
"$ctl" create snapshot --origin tiny.img --store tiny.cow -o tiny.blkr >/dev/null
exits 3 'too small a target' copy -f vol.blkr tiny.blkr
says 'has 4.0 MiB' 'is told before anything is written'

# A signal: nothing is kept.
head -c 8388608 /dev/urandom >data.img
"$ctl" copy --rate 2M data.img stopped.img >.out 2>.err &
pid=$!
sleep 0.7
kill -TERM $pid
wait $pid
is 'SIGTERM ends it by that signal' test $? -eq 143
says 'stopped at [0-9.]+%; nothing is kept' 'says how far it came'
is 'and nothing is left' test -z "$(find . -name 'stopped*')"
untouched base.img snap.cow vol.blkr

done_testing
