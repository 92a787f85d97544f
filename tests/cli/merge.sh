#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
make_snapshot 32M
"$ctl" io vol.blkr -c 'write 512k 64k pattern=0xa5' -c 'write 2M 8M pattern=1' -c 'write 20M 100k pattern=2' >/dev/null
"$ctl" copy vol.blkr wanted.img >/dev/null
cp vol.blkr vol.before
remember base.img snap.cow vol.blkr

exits 0 'a dry run' merge -n vol.blkr
prints '^would merge 131 chunks \(8.2 MiB\) into ' 'tells how much'
untouched base.img snap.cow vol.blkr
exits 3 'a file is no snapshot' merge base.img
says 'only a snapshot can be merged' 'says so'
untouched base.img

# Stopped in the middle, as often as it takes.  (A shell starts what runs in the background with ^C ignored.)
env --default-signal=INT "$ctl" merge --rate 2M vol.blkr >.out 2>.err &
pid=$!
sleep 1
kill -INT $pid
wait $pid
is '^C ends it by that signal' test $? -eq 130
says 'vol.blkr: stopped at [0-9.]+%; run the same command again to continue' 'says how far it came'
is 'the stack file knows' grep -q '^merging = yes$' vol.blkr
exits 0 'the snapshot reads as ever' diff -q vol.blkr wanted.img
exits 1 'info says that it is merging' info vol.blkr
"$ctl" merge --rate 2M vol.blkr >.out 2>.err &
pid=$!
sleep 1
kill -KILL $pid
wait $pid
exits 0 'also after a kill' diff -q vol.blkr wanted.img
exits 0 'the same command goes on' merge vol.blkr
prints '^merged [0-9]+ chunks? \(.*\) into .* in ' 'and says what it did'
isnt 'the stack file forgets' grep -q merging vol.blkr
is 'and is as before' cmp vol.blkr vol.before
exits 0 'the origin is what the snapshot was' diff -q base.img wanted.img
exits 0 'the store is empty' info --json vol.blkr
json 'j["stack"][0]["used_chunks"] == 0' 'indeed'
exits 0 'and good' check snap.cow
exits 0 'once more merges nothing' merge vol.blkr
prints '^merged 0 chunks' 'and says so'

"$ctl" io vol.blkr -c 'write 1M 64k pattern=9' >/dev/null
exits 0 'by a spec' merge snapshot:origin=base.img,store=snap.cow
says 'no stack file records this merge' 'warns'
exits 0 'it is merged' io base.img -c 'read 1M 64k verify=9'
"$ctl" io vol.blkr -c 'write 3M 1M pattern=8' >/dev/null
"$ctl" merge --progress=fd:3 vol.blkr 3>progress >/dev/null 2>.err
is 'progress on a descriptor' grep -q '^100/100$' progress

# A merge that leaves the store as it is.
"$ctl" io vol.blkr -c 'write 5M 1M pattern=7' >/dev/null
"$ctl" copy -f vol.blkr wanted.img >/dev/null
cp snap.cow before.cow
env --default-signal=INT "$ctl" merge --keep --rate 500k vol.blkr >.out 2>.err &
pid=$!
sleep 1
kill -INT $pid
wait $pid
is '^C ends that, too' test $? -eq 130
is 'the stack file knows' grep -q '^merging = yes$' vol.blkr
exits 0 'the snapshot reads as ever' diff -q vol.blkr wanted.img
exits 0 'merge --keep' merge --keep vol.blkr
prints '^merged 16 chunks' 'says what it did'
isnt 'the stack file forgets' grep -q merging vol.blkr
is 'the store is as before' cmp snap.cow before.cow
exits 0 'the origin is what the snapshot was' diff -q base.img wanted.img
exits 0 'and the snapshot is what it was' diff -q vol.blkr wanted.img
exits 2 'without a stack file it is refused' merge --keep snapshot:origin=base.img,store=snap.cow

# Two snapshots of one origin: while one is merged the other stays what it is.
mkdir two
cd two || exit 99
head -c 16777216 /dev/urandom >base.img
cp base.img first.img
for store in mon.cow tue.cow; do
	"$ctl" create snapshot --origin base.img --store $store >/dev/null
done
cat >vm.blkr <<'END'
[disk]
type = origin
base = base.img

[mon]
type = snapshot
origin = disk
store = mon.cow

[tue]
type = snapshot
origin = disk
store = tue.cow
END
exits 0 'write the origin' io '@vm.blkr#disk' -c 'write 1M 1M pattern=1'
exits 0 'the first snapshot does not see it' diff -q first.img '@vm.blkr#mon'
exits 0 'the second neither' diff -q first.img '@vm.blkr#tue'
exits 0 'write the first' io '@vm.blkr#mon' -c 'write 4M 11M pattern=2'
"$ctl" copy '@vm.blkr#mon' wanted.img >/dev/null
env --default-signal=INT "$ctl" merge --rate 4M '@vm.blkr#mon' >.out 2>.err &
pid=$!
sleep 0.6
kill -INT $pid
wait $pid
is '^C in the middle' test $? -eq 130
is 'the right section is marked' test "$(grep -B4 merging vm.blkr | head -1)" = '[mon]'
exits 0 'the first reads as ever' diff -q wanted.img '@vm.blkr#mon'
exits 0 'the second, too' diff -q first.img '@vm.blkr#tue'
exits 0 'and the origin is the first' diff -q wanted.img '@vm.blkr#disk'
exits 0 'the same command goes on' merge '@vm.blkr#mon'
exits 0 'the base is what the first was' diff -q wanted.img base.img
exits 0 'the second is what it was' diff -q first.img '@vm.blkr#tue'
exits 3 '--keep would not protect the second' merge --keep '@vm.blkr#mon'
isnt 'and marks nothing' grep -q merging vm.blkr
exits 3 'an origin is no snapshot' merge '@vm.blkr#disk'

# The same on a plain base: nobody may write it but the merge, which protects what the stack names.
sed 's/^type = origin/type = file/; s/^base = /path = /' vm.blkr >plain.blkr
"$ctl" create snapshot --origin base.img --store mon.cow -f >/dev/null
exits 0 'write one' io '@plain.blkr#mon' -c 'write 2M 1M pattern=3'
exits 0 'merge it' merge '@plain.blkr#mon'
exits 0 'the base has it' io base.img -c 'read 2M 1M verify=3'
exits 0 'the other is what it was' diff -q first.img '@plain.blkr#tue'
cd .. || exit 99

# An origin that fails in the middle: what is done stays done, and the mark stays.
mkdir bad
cd bad || exit 99
truncate -s 16M base.img
cat >bad.blkr <<'END'
[base]
type = file
path = base.img

[bad]
type = error
dev = base
op = write
nth = 3

[snap]
type = snapshot
origin = bad
store = s.cow
END
"$ctl" create snapshot --origin base.img --store s.cow >/dev/null
sed '/^.bad.$/,/^$/d; s/= bad/= base/' bad.blkr >good.blkr
exits 0 'write a snapshot' io good.blkr -c 'write 0 4M pattern=1' -c 'write 5M 1M pattern=2' -c 'write 8M 4M pattern=3'
"$ctl" copy good.blkr wanted.img >/dev/null
exits 3 'a merge whose origin fails' merge bad.blkr
says 'failed the request: Input/output error' 'says why'
is 'the mark stays' grep -q '^merging = yes$' bad.blkr
exits 0 'the snapshot reads as ever' diff -q wanted.img good.blkr
sed 's/^nth = 3/nth = 1000000/' bad.blkr >mended.blkr
exits 0 'it goes on when the origin is well' merge mended.blkr
isnt 'without a mark' grep -q merging mended.blkr
exits 0 'the origin is what the snapshot was' diff -q wanted.img base.img
cd .. || exit 99

chmod 555 .
if [ "$(id -u)" -ne 0 ]; then
	"$ctl" io vol.blkr -c 'write 0 4k' >/dev/null
	remember base.img
	exits 3 'a stack file that cannot be marked' merge vol.blkr
	untouched base.img
fi
chmod 755 .

done_testing
