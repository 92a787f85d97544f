#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's stores in fixtures/ read here as the kernel read them: test-fixtures.py READ-STORE [BLKREMAP-CTL].

With the first program the library's parser is tested, with the second all of it.
"""
import lzma
import os
import sys
import tempfile

import common

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'fixtures')


def fixtures(folder):
    """(name, digest or None, status, origin's path, store's path), unpacked below @folder."""
    with open(os.path.join(FOLDER, 'index'), encoding='ascii') as index:
        lines = [line.split(maxsplit=2) for line in index if not line.startswith('#')]
    for name, digest, status in lines:
        paths = []
        for what in ('origin', 'store'):
            path = os.path.join(folder, f'{name}.{what}')
            with lzma.open(os.path.join(FOLDER, f'{name}.{what}.xz')) as packed, open(path, 'wb') as f:
                f.write(packed.read())
            paths.append(path)
        yield name, None if digest == '-' else digest, status.strip(), *paths


def main():
    with tempfile.TemporaryDirectory() as folder:
        ctl = common.Ctl(sys.argv[2]) if len(sys.argv) > 2 else None
        for name, digest, status, origin, store in fixtures(folder):
            common.by_parser(sys.argv[1], name, digest, origin, store)
            if ctl:
                common.by_ctl(ctl, name, digest, status, origin, store)
            print(f'ok: {name}')


if __name__ == '__main__':
    main()
