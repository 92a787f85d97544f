#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Make the fixtures anew with a real kernel: make-fixtures.py REPLAY (the static program that the build made)."""
import os
import subprocess
import sys
import tempfile

import stores
import vm

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'fixtures')
CASES = [
    stores.Case('sector', 1, size=128 << 10, store=256 << 10, ops=60),
    stores.Case('areas', 8, size=2 << 20, store=3 << 20, ops=520),
    stores.Case('overflow-aware', 32, 'PO', size=1 << 20, ops=80),
    stores.Case('large', 128, size=1 << 20, ops=40),
    stores.Case('odd-end', 128, size=(1 << 20) - 4608, ops=60),
    stores.Case('half-merged', 8, size=1 << 20, merge=True, ops=100),
    stores.Case('invalid', 8, size=1 << 20, store=128 << 10, full=0),
]


def main():
    vm.need()
    with tempfile.TemporaryDirectory() as folder:
        stores.make(folder, sys.argv[1], CASES)
        with open(os.path.join(FOLDER, 'index'), 'w', encoding='ascii') as index:
            index.write('# name, md5 of what the kernel read or -, dmsetup status\n')
            for case in CASES:
                index.write(f'{case.name} {case.digest or "-"} {case.status}\n')
        for case in CASES:
            for path in (case.origin, case.store):
                packed = subprocess.run(['xz', '-9e', '--check=crc32', '-c', path], check=True,
                                        stdout=subprocess.PIPE).stdout
                with open(os.path.join(FOLDER, os.path.basename(path) + '.xz'), 'wb') as f:
                    f.write(packed)


if __name__ == '__main__':
    main()
