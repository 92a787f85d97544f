#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stores that blkremap-ctl has written are activated by the kernel: test-to-kernel.py BLKREMAP-CTL REPLAY.

Plain ones, merged half way, merged to the end, full, after the process was killed: the kernel must read what is read
here, its status must be ours, and it must be able to go on: with a merge, and with writes, after which we go on.
"""
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import common
import traces
import vm

SIZE = 2 << 20
SECTOR = 512


class Made:
    """A store of ours, and what must be in it."""

    def __init__(self, ctl, folder, name, chunk, size=None):
        self.ctl, self.name, self.chunk = ctl, name, chunk
        self.origin = vm.disk(os.path.join(folder, name + '.origin'), SIZE, traces.pattern(0, SIZE, 0x0f))
        self.store = os.path.join(folder, name + '.store')
        self.stack = os.path.join(folder, name + '.blkr')
        self.spec = common.spec(self.origin, self.store)
        self.bytes = bytearray(traces.pattern(0, SIZE, 0x0f))
        self.rng = random.Random(name)
        self.merge_on = False           # the kernel shall merge it to the end
        self.trace = None               # ... or do this to it, as device 0
        self.after = None               # and then it holds this
        more = ['--size', str(size)] if size else []
        ctl.run('create', 'snapshot', '--origin', self.origin, '--store', self.store, '--chunk', str(chunk),
                '-o', self.stack, *more)

    def writes(self, count, longest=32):
        """(offset, length, byte) at random."""
        for _ in range(count):
            offset = self.rng.randrange(SIZE // SECTOR) * SECTOR
            length = min(self.rng.randint(1, longest) * SECTOR, SIZE - offset)
            yield offset, length, self.rng.randint(1, 255)

    @staticmethod
    def words(writes):
        return [word for offset, length, byte in writes
                for word in ('-c', f'write {offset} {length} pattern={byte}')]

    def apply(self, offset, length, byte):
        self.bytes[offset:offset + length] = bytes([byte]) * length

    def io(self, count, ok=(0,)):
        """Do random writes; give the result."""
        writes = list(self.writes(count))
        done = self.ctl.run('io', self.spec, *self.words(writes), ok=ok)
        if done.returncode == 0:
            for write in writes:
                self.apply(*write)
        return done

    def compare(self):
        common.must(self.ctl.copy(self.spec) == bytes(self.bytes), f'{self.name}: we read something else')

    def status(self):
        """Our status line.  An invalid store is refused here and opened by the kernel: that is the same answer."""
        done = self.ctl.run('info', '--dm-status', self.spec, ok=(0, 1, 4))
        if done.returncode == 4 and 'invalid' in done.said:
            return f'0 {SIZE // SECTOR} snapshot Invalid'
        return done.stdout.decode().strip()


def plain(ctl, folder, chunk):
    made = Made(ctl, folder, f'plain{chunk}', chunk)
    made.io(60)
    made.io(20)
    made.compare()
    trace = traces.scattered(made.name, SIZE, 150, (0,))
    made.trace = trace.save(os.path.join(folder, made.name + '.trace'))
    made.after = traces.model(trace, made.bytes, 0)[0][0]
    return made


def play_back(made):
    """The kernel has written to it: read that here, and write once more."""
    made.bytes = bytearray(made.after)
    made.compare()
    made.ctl.run('check', made.store)
    made.io(60)
    made.compare()
    made.ctl.run('check', made.store)


def half_merged(ctl, folder):
    """SIGINT stops a slow merge; what is left is still the snapshot."""
    made = Made(ctl, folder, 'half', 4096)
    made.io(200)
    before = os.stat(made.origin).st_mtime_ns
    merge = subprocess.Popen([ctl.path, 'merge', '--rate', '256K', made.stack], stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    until = time.monotonic() + 20
    while os.stat(made.origin).st_mtime_ns == before and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    merge.send_signal(signal.SIGINT)
    said = merge.communicate(timeout=60)[1].decode()
    common.must(merge.returncode in (-signal.SIGINT, 130), f'merge ended with {merge.returncode}', said)
    made.compare()
    made.merge_on = True
    return made


def merged(ctl, folder):
    made = Made(ctl, folder, 'merged', 16384)
    made.io(100)
    ctl.run('merge', made.stack)
    with open(made.origin, 'rb') as f:
        common.must(f.read() == bytes(made.bytes), 'merged: the origin is not what the snapshot was')
    made.compare()
    return made


def full(ctl, folder):
    """A store of 64 chunks.  The first write that does not fit may fail; nothing before it is lost."""
    made = Made(ctl, folder, 'full', 4096, size=64 * 4096)
    while made.io(5, ok=(0, 3)).returncode == 0:
        pass
    if 'Invalid' not in made.status():
        made.bytes = bytearray(ctl.copy(made.spec))
    return made


def explain(made, now, writes):
    """How many of @writes are done, the next perhaps in part, if that is what is left?  Else None."""
    for done, (offset, length, byte) in enumerate(writes + [(SIZE, 0, 0)]):
        end = offset + length
        if now[:offset] == made.bytes[:offset] and now[end:] == made.bytes[end:]:
            new = bytes([byte]) * SECTOR
            parts = range(offset, end, SECTOR)
            if all(now[at:at + SECTOR] in (made.bytes[at:at + SECTOR], new) for at in parts):
                return done
        made.apply(offset, length, byte)
    return None


def killed(ctl, folder):
    """Killed in the middle of writing, again and again: each time all writes up to some point are there, no others."""
    made = Made(ctl, folder, 'killed', 4096)
    lasts, hits = 0.05, 0
    for _ in range(100):
        writes = list(made.writes(240))
        began = time.monotonic()
        io = subprocess.Popen([ctl.path, 'io', made.spec, *made.words(writes)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        try:
            io.wait(timeout=made.rng.random() * lasts)
            lasts = time.monotonic() - began        # it was faster than we: be quicker
        except subprocess.TimeoutExpired:
            io.kill()
            io.wait(timeout=60)
        now = bytearray(ctl.copy(made.spec))
        done = explain(made, now, writes)
        common.must(done is not None, 'killed: the snapshot is not what its writes leave, however many are done')
        made.bytes = now
        hits += 0 < done < len(writes)
        if hits == 5:
            break
    common.must(hits == 5, 'killed: it was hardly ever hit in the middle')
    return made


def script(made, origin, store):
    sectors, chunk = SIZE // SECTOR, made.chunk // SECTOR
    steps = [
        f'echo case {made.name}',
        f'dmsetup create s --table "0 {sectors} snapshot {origin} {store} P {chunk}"',
        'echo status `dmsetup status s`',
        'md5sum /dev/mapper/s',
        f'./replay {made.name}.trace /dev/mapper/s' if made.trace else '',
        'echo written `dmsetup status s`',
        'dmsetup remove s',
    ]
    if made.merge_on:
        steps += [
            f'dmsetup create m --table "0 {sectors} snapshot-merge {origin} {store} P {chunk}"',
            'turns=0',
            'while dmsetup status m | grep -qv " \\([0-9]*\\)/[0-9]* \\1$" && [ $turns -lt 200 ]; do sleep 0.1;'
            ' turns=$((turns + 1)); done',
            'echo merge `dmsetup status m`',
            'dmsetup remove m',
            f'md5sum {origin}',
        ]
    return '\n'.join(steps) + '\n'


def ask_kernel(everything, replay):
    """Let the kernel read them all, in one machine."""
    letters = iter('abcdefghijklmnopqrstuvwxyz')
    disks, text = [], ''
    for made in everything:
        disks += [made.origin, made.store]
        text += script(made, f'/dev/vd{next(letters)}', f'/dev/vd{next(letters)}')
    said = vm.run(text, disks, [made.trace for made in everything if made.trace] + [replay])
    return {m[1]: m[2] for m in re.finditer(r'^case (\S+)\n(.*?)(?=^case |\Z)', said, re.S | re.M)}


def main():
    vm.need()
    ctl = common.Ctl(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        everything = [plain(ctl, folder, chunk) for chunk in (4096, 16384, 65536)]
        everything += [make(ctl, folder) for make in (half_merged, merged, full, killed)]
        ours = {made.name: made.status() for made in everything}
        for name, said in ask_kernel(everything, sys.argv[2]).items():
            made = next(m for m in everything if m.name == name)
            theirs = re.search(r'^status (.*)$', said, re.M)[1]
            common.must(theirs == ours[name], f'{name}: the kernel says "{theirs}", we say "{ours[name]}"')
            digest = common.md5(bytes(made.bytes))
            if 'Invalid' not in theirs:
                common.must(f'{digest}  /dev/mapper/s' in said, f'{name}: the kernel reads something else', said)
            if made.merge_on:
                common.must(re.search(f'^{digest}  /dev/vd', said, re.M), f'{name}: the kernel merges otherwise', said)
            if made.trace:
                play_back(made)
            print(f'ok: {name}: {theirs}')


if __name__ == '__main__':
    main()
