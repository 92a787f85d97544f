#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# size, bench, version, completion, locks.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
make_snapshot 8M

exits 0 'size' size snapshot --device 1G --block 64K
prints '^1\.0 GiB \([0-9,]+ sectors\)$' 'in units and sectors'
exits 0 'in bytes' size snapshot --device 1G -b
prints '^[0-9]+$' 'and nothing else'
exits 0 'as JSON' size --json snapshot --device 8M
json 'j["device_bytes"] == 8 << 20 and j["bytes"] > 8 << 20 and j["bytes"] % 65536 == 0' 'adds up'
json 'j["bytes"] == (1 + 128 + (128 + 4096) // 4096) * 65536' 'as lvm2 computes it'
exits 2 'no device' size snapshot
exits 2 'another kind' size cache --device 1G
exits 2 'a size that is none' size snapshot --device 1X
says "'1X' is not a size" 'is named'
exits 2 'a chunk that is none' size snapshot --device 1G --block 3k

exits 0 'bench' bench --time 1 --depth 4 vol.blkr
prints '^vol.blkr .* IOPS .* p50 .* p99 ' 'prints a line'
exits 0 'two in turns' bench --time 1 --depth 4 --against base.img vol.blkr
prints '^ratio [0-9]+\.[0-9] %$' 'prints the ratio'
exits 0 'as JSON' bench --time 1 --depth 4 --json --against base.img vol.blkr
json 'len(j["results"]) == 2 and all(r["iops"] > 0 and r["p50_ns"] <= r["p99_ns"] for r in j["results"])' 'is sane'
remember base.img snap.cow
exits 2 'writing wants -f' bench --rw randwrite --time 1 vol.blkr
exits 2 'an unknown pattern' bench --rw upside vol.blkr
exits 2 'no depth' bench --depth 0 vol.blkr
exits 3 'blocks larger than the device' bench --bs 16M --time 1 vol.blkr
untouched base.img snap.cow
exits 0 'with -f it writes' bench -f --rw write --bs 64k --time 1 --depth 2 vol.blkr

exits 0 'version' version
prints '^blkremap-ctl, libblkremap [0-9]+\.[0-9]+\.[0-9]+$' 'tells the library'
exits 0 '--version, too' --version
exits 0 'version as JSON' version --json
json '"snapshot" in j["targets"]' 'knows snapshots'

for shell in bash zsh; do
	exits 0 "completion $shell" completion $shell
	file=blkremap-ctl
	[ $shell = zsh ] && file=_blkremap-ctl
	is "is what is installed for $shell" cmp "$work/.out" "${SOURCE:?}/tools/completions/$file"
	if command -v $shell >/dev/null; then
		is "$shell can read it" $shell -n "$work/.out"
	fi
done
exits 2 'completion for another shell' completion fish
if command -v bash >/dev/null; then
	completes() {
		bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _blkremap_ctl; echo "${COMPREPLY[*]}"' \
			bash "$SOURCE/tools/completions/blkremap-ctl" "$@" 2>/dev/null
	}
	is 'bash completes verbs' test "$(completes blkremap-ctl mer)" = merge
	is 'bash completes options' test "$(completes blkremap-ctl map --tot)" = --totals
	is 'bash completes words' test "$(completes blkremap-ctl size sn)" = snapshot
fi

# Somebody else writes the base: nobody may open it for writing, nor read what changes.
if command -v flock >/dev/null; then
	"$python" -c '
import fcntl, os, struct, sys, time
fd = os.open("base.img", os.O_RDWR)
fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
open("locked", "w").close()
time.sleep(30)' &
	pid=$!
	for _ in 1 2 3 4 5 6 7 8 9 10; do [ -e locked ] || sleep 0.1; done
	exits 5 'a file that is locked is busy' io vol.blkr -c 'write 0 4k'
	says "in use|open|lock" 'says so'
	exits 5 'for readers, too' info vol.blkr
	exits 0 'unless they do not care' info -U base.img
	kill $pid
	wait $pid 2>/dev/null
fi

done_testing
