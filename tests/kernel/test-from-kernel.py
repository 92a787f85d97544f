#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stores that the kernel makes now are read here as it read them: test-from-kernel.py REPLAY READ-STORE [BLKREMAP-CTL].

Chunks of 1, 8, 32 and 128 sectors, P and PO, merged half way, overflowed in each of the ways.
"""
import sys
import tempfile

import common
import stores
import vm


def finish_merge(ctl, case):
    """What the kernel began to merge is merged to its end here: the origin becomes what the snapshot was."""
    spec = common.spec(case.origin, case.store)
    image = ctl.copy(spec)      # what the kernel read, and what was written since
    done = ctl.run('merge', spec + ',merging=yes')
    with open(case.origin, 'rb') as f:
        common.must(f.read() == image, f'{case.name}: merged to something else', done.said)
    ctl.run('check', case.store)


def main():
    vm.need()
    ctl = common.Ctl(sys.argv[3]) if len(sys.argv) > 3 else None
    with tempfile.TemporaryDirectory() as folder:
        for case in stores.make(folder, sys.argv[1], stores.cases()):
            common.by_parser(sys.argv[2], case.name, case.digest, case.origin, case.store)
            if ctl:
                common.by_ctl(ctl, case.name, case.digest, case.status, case.origin, case.store)
            if ctl and case.merge:
                finish_merge(ctl, case)
            print(f'ok: {case.name}: {case.status}')


if __name__ == '__main__':
    main()
