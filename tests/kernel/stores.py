# SPDX-License-Identifier: BSD-3-Clause
"""Stores made by the real dm-snapshot, each with what the kernel read from it: for comparing, and for the fixtures."""
import hashlib
import os
import re

import snapstore
import traces
import vm

SECTOR = 512
BASE = 0x0f        # the seed of what the origin held at first


class Case:
    """One store: how it is made, and afterwards where it lies and what the kernel said."""

    def __init__(self, name, chunk, kind='P', size=2 << 20, store=3 << 20, ops=400, merge=False, full=None):
        self.name, self.chunk, self.kind = name, chunk, kind
        self.size, self.store_size, self.ops = size, store, ops
        self.merge = merge      # merge some of it back, and stop
        self.full = full        # overflow it by writing to the origin (0) or to the snapshot (1)
        self.digest = None      # of what the kernel read; None if it refused
        self.status = None      # dmsetup's status line
        self.origin = self.store = None

    def trace(self):
        if self.full is not None:
            trace = traces.Trace()
            for i in range(2 * self.store_size // (self.chunk * SECTOR)):
                trace.write(self.full, i * 7 * self.chunk * SECTOR % self.size, self.chunk * SECTOR)
            return trace
        return traces.scattered(self.name, self.size, self.ops, (0, 1))

    def prepare(self, folder, letters):
        """Make the disks and the trace; the files for the machine."""
        self.origin = os.path.join(folder, self.name + '.origin')
        self.store = os.path.join(folder, self.name + '.store')
        vm.disk(self.origin, self.size, traces.pattern(0, self.size, BASE))
        vm.disk(self.store, self.store_size)
        self.disks = (next(letters), next(letters))
        return self.trace().save(os.path.join(folder, self.name + '.trace'))

    def script(self):
        sectors = self.size // SECTOR
        origin, store = ('/dev/vd' + letter for letter in self.disks)
        table = f'{origin} {store} {self.kind} {self.chunk}'
        steps = [
            f'echo case {self.name}',
            f'dmsetup create s --table "0 {sectors} snapshot {table}"',
            f'dmsetup create o --table "0 {sectors} snapshot-origin {origin}"',
            f'./replay {"-k" if self.full is not None else ""} {self.name}.trace /dev/mapper/o /dev/mapper/s',
            'echo live `dmsetup status s`',
            'dmsetup remove o; dmsetup remove s',
        ]
        if self.merge:
            # Writes to the origin are slow, so that there is time to stop half way.
            steps += [
                f'dmsetup create slow --table "0 {sectors} delay {origin} 0 0 {origin} 0 60"',
                f'dmsetup create m --table "0 {sectors} snapshot-merge /dev/mapper/slow {store} {self.kind} '
                f'{self.chunk}"',
                'first=`dmsetup status m | cut -d" " -f4 | cut -d/ -f1`',
                'now=$first; turns=0',
                'while [ $((now * 3)) -gt $((first * 2)) ] && [ $turns -lt 200 ]; do sleep 0.1; turns=$((turns + 1));'
                ' now=`dmsetup status m | cut -d" " -f4 | cut -d/ -f1`; done',
                'echo merged from $first to $now: `dmsetup status m`',
                'dmsetup remove m; dmsetup remove slow',
            ]
        # What counts is what is on disk: the kernel itself opens it again.
        steps += [
            f'dmsetup create s --table "0 {sectors} snapshot {table}"',
            'echo status `dmsetup status s`',
            'md5sum /dev/mapper/s',
            'dmsetup remove s',
        ]
        return '\n'.join(steps) + '\n'

    def take(self, said):
        """What the machine printed about this case."""
        mine = re.search(f'^case {self.name}\n(.*?)(?=^case |\\Z)', said, re.S | re.M)[1]
        self.said = mine
        self.status = re.findall(r'^status (.*)$', mine, re.M)[-1]
        digests = re.findall(r'^([0-9a-f]{32})  /dev/mapper/s$', mine, re.M)
        self.digest = digests[-1] if digests else None
        if self.merge:
            first, now = re.search(r'^merged from (\d+) to (\d+):', mine, re.M).groups()
            assert 2 * self.chunk < int(now) < int(first), mine

    def check(self):
        """Do the kernel, the second reader and the model agree?  A test of the test, before ours is asked."""
        store = snapstore.load(self.store)
        if self.full is not None:
            assert store.valid == (self.kind == 'PO' and self.full == 1), self.said
            assert ('Invalid' in self.status) == (not store.valid), self.status
        else:
            assert store.valid and store.chunk == self.chunk * SECTOR
            devices, value = traces.model(self.trace(), traces.pattern(0, self.size, BASE), 1)
            assert f'0 failed, hash {value:016x}' in self.said, self.said
            assert hashlib.md5(devices[1]).hexdigest() == self.digest, self.said
        if store.valid:
            image = snapstore.image(self.origin, self.store)
            assert hashlib.md5(image).hexdigest() == self.digest, self.said
        else:
            assert self.digest is None, self.said


def cases():
    return [
        Case('p1', 1, ops=700, store=4 << 20),
        Case('p8', 8),
        Case('po32', 32, 'PO'),
        Case('p128', 128, store=4 << 20),
        Case('half8', 8, merge=True, ops=70),
        Case('half32', 32, merge=True, ops=40),
        Case('full-origin', 8, store=256 << 10, full=0),
        Case('full-snapshot', 8, store=256 << 10, full=1),
        Case('full-po', 8, 'PO', store=256 << 10, full=1),
    ]


def make(folder, replay, todo):
    """Make the stores of all cases in one machine, in @folder."""
    letters = iter('abcdefghijklmnopqrstuvwxyz')
    files = [case.prepare(folder, letters) for case in todo] + [replay]
    disks = [path for case in todo for path in (case.origin, case.store)]
    said = vm.run(''.join(case.script() for case in todo), disks, files)
    for case in todo:
        case.take(said)
        case.check()
    return todo
