#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
make_snapshot 8M
"$ctl" io vol.blkr -c 'write 512k 64k pattern=0xa5' -c 'write 2M 128k pattern=1' >/dev/null
remember base.img snap.cow vol.blkr

exits 0 'info of a snapshot' info vol.blkr
prints '^vol.blkr  8.0 MiB  clean$' 'says that it is clean'
prints '^.- snapshot .* 64.0 KiB chunks  3 of 128 copied \(192.0 KiB\)' 'how much is copied'
prints '^   [|`]- file' 'and what it is built of'
exits 0 'info as JSON' info --json vol.blkr
json 'j["format"] == "blkremap/1" and j["command"] == "info"' 'names its format'
json '(lambda s: (s["type"], s["chunk_size"], s["used_chunks"], s["total_chunks"]))(j["stack"][0]) == ("snapshot", 65536, 3, 128)' \
	'has the snapshot on top'
json 'all(isinstance(s["bytes"], int) for s in j["stack"])' 'has integers for bytes'
exits 0 'the kernel'"'"'s status line' info --dm-status vol.blkr
prints '^0 16384 snapshot [0-9]+/[0-9]+ [0-9]+$' 'has its form'
exits 0 'info of a file' info base.img
prints 'file' 'says so'
exits 3 'a file has no status line' info --dm-status base.img
exits 2 'both forms at once' info --json --dm-status vol.blkr
exits 0 'a spec' info snapshot:origin=base.img,store=snap.cow
exits 0 'a table line' info '0 16384 snapshot base.img snap.cow P 128'
exits 0 'a section of a stack file' info '@vol.blkr#base'
exits 0 'without a lock' info -U vol.blkr
untouched base.img snap.cow vol.blkr

exits 0 'a store that is nearly full' create snapshot --origin base.img --store small.cow --size 256k -o small.blkr
"$ctl" io small.blkr -c 'write 0 128k' >/dev/null
exits 1 'wants attention' info small.blkr
prints 'wants attention' 'and says so'
json_out=$("$ctl" info --json small.blkr)
is 'in JSON, too' "$python" -c "import json; assert json.loads('''$json_out''')['attention'] is True"

truncate -s 1M blank.cow
exits 3 'a blank store' info snapshot:origin=base.img,store=blank.cow
says 'hint: a store is made by' 'hints at create'
printf '\377' | dd of=snap.cow conv=notrunc status=none
remember base.img snap.cow
exits 4 'a store without its magic' info vol.blkr
one_error 'says so in one line and a hint'
untouched base.img snap.cow

done_testing
