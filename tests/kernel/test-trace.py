#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The same random trace here and in the kernel: test-trace.py TRACE-LIB REPLAY [SEED [OPERATIONS]].

With the word "model" for REPLAY the kernel is left out, and several seeds are tried.

Writes, reads and flushes of an origin and of two snapshots of it, of 4 and of 16 KiB chunks.  All bytes that were read,
all devices at the end, and the stores as the other side reads them must be the same, and what a model on plain arrays
says.
"""
import os
import re
import subprocess
import sys
import tempfile

import common
import snapstore
import traces
import vm

SIZE = (4 << 20) - 4608       # the last chunk is a short one
STORE = 6 << 20
CHUNKS = (8, 32)
BASE = 0x0f


def make_disks(folder, name):
    origin = vm.disk(os.path.join(folder, name + '.origin'), SIZE, traces.pattern(0, SIZE, BASE))
    return [origin] + [vm.disk(os.path.join(folder, f'{name}.{chunk}'), STORE) for chunk in CHUNKS]


def snapshots(disks):
    """Shell lines that make s0 and s1 of the disks, as /dev/vdX."""
    return ''.join(f'dmsetup create s{i} --table "0 {SIZE // 512} snapshot {disks[0]} {disks[1 + i]} P {chunk}"\n'
                   for i, chunk in enumerate(CHUNKS))


def in_kernel(replay, trace, theirs, ours):
    """Replay in the kernel, and let it read what ours has left."""
    text = snapshots(['/dev/vda', '/dev/vdb', '/dev/vdc'])
    text += f'''dmsetup create o --table "0 {SIZE // 512} snapshot-origin /dev/vda"
        ./replay trace /dev/mapper/o /dev/mapper/s0 /dev/mapper/s1
        md5sum /dev/mapper/o /dev/mapper/s0 /dev/mapper/s1
        dmsetup remove o; dmsetup remove s0; dmsetup remove s1
        echo ours
        '''
    text += snapshots(['/dev/vdd', '/dev/vde', '/dev/vdf'])
    text += 'md5sum /dev/vdd /dev/mapper/s0 /dev/mapper/s1; dmsetup remove s0; dmsetup remove s1\n'
    return vm.run(text, theirs + ours, [replay, trace]).split('ours\n')


def here(program, trace, disks):
    stores = [f'{path}:{chunk * 512}' for path, chunk in zip(disks[1:], CHUNKS)]
    done = subprocess.run([program, trace, disks[0], *stores], check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    common.must(done.returncode == 0, 'the library failed', done.stdout)
    return done.stdout


def one(seed, count, program, replay):
    """One trace: here, compared with the model, and in the kernel if there is a program for it."""
    trace = traces.scattered(seed, SIZE, count, (0, 0, 1, 2))
    devices, value = traces.model(trace, traces.pattern(0, SIZE, BASE), len(CHUNKS))
    digests = [common.md5(device) for device in devices]
    with tempfile.TemporaryDirectory() as folder:
        path = trace.save(os.path.join(folder, 'trace'))
        ours = make_disks(folder, 'ours')
        said = here(program, path, ours)
        common.must(f'hash {value:016x}' in said, f'seed {seed}: reads here differ from the model', said)
        for store, digest in zip(ours, digests):
            image = common.md5_file(store) if store == ours[0] else common.md5(snapstore.image(ours[0], store))
            common.must(image == digest, f'seed {seed}: {os.path.basename(store)} differs from the model')
        if replay:
            kernel, kernel_of_ours = in_kernel(replay, path, make_disks(folder, 'theirs'), ours)
            common.must(f'hash {value:016x}' in kernel, 'reads in the kernel differ from the model', kernel)
            for what, text in (('what it made', kernel), ('what we made', kernel_of_ours)):
                common.must(re.findall(r'^[0-9a-f]{32}', text, re.M) == digests, f'the kernel differs on {what}', text)
        print(f'ok: seed {seed}, {said.strip()}')


def main():
    program, replay = sys.argv[1], sys.argv[2]
    if replay == 'model':
        for seed in range(100, 106):
            one(str(seed), 1500, program, None)
        return
    vm.need()
    one(sys.argv[3] if len(sys.argv) > 3 else '1', int(sys.argv[4]) if len(sys.argv) > 4 else 3000, program, replay)


if __name__ == '__main__':
    main()
