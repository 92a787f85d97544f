# SPDX-License-Identifier: BSD-3-Clause
"""What the tests here share: running the programs under test, and telling what went wrong."""
import hashlib
import os
import subprocess
import sys

import snapstore
import vm


def md5(data):
    return hashlib.md5(data).hexdigest()


def md5_file(path):
    with open(path, 'rb') as f:
        return md5(f.read())


def fail(what, said=''):
    print(f'FAILED: {what}\n{said}')
    sys.exit(1)


def must(ok, what, said=''):
    if not ok:
        fail(what, said)


class Ctl:
    """blkremap-ctl.  Skips the test if it is not built."""

    def __init__(self, path):
        if not os.access(path, os.X_OK):
            vm.skip('blkremap-ctl is not built')
        self.path = path

    def run(self, *words, ok=(0,), **more):
        """Run it; any exit status that is not in @ok is this test's failure."""
        done = subprocess.run([self.path, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.PIPE, **more)
        said = done.stderr.decode(errors='replace')
        must(done.returncode in ok, f'blkremap-ctl {" ".join(words)}: exit {done.returncode}, not {ok}',
             said + done.stdout[:2000].decode(errors='replace'))
        done.said = said + done.stdout.decode(errors='replace') if len(done.stdout) < 100000 else said
        return done

    def copy(self, spec):
        """All bytes of a device."""
        return self.run('copy', spec, '-').stdout


def spec(origin, store):
    return f'snapshot:origin={origin},store={store}'


def by_parser(program, name, digest, origin, store):
    """Does the library's parser (read-store) read what the kernel did?  @digest None: the store is invalid."""
    done = subprocess.run([program, origin, store], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    said = done.stderr.decode()
    if digest:
        must(done.returncode == 0, f'{name}: not clean ({done.returncode})', said)
        must(md5(done.stdout) == digest, f'{name}: read otherwise than by the kernel')
        must(md5(snapstore.image(origin, store)) == digest, f'{name}: the second reader differs')
    else:
        must(done.returncode == 3 and 'invalid' in said, f'{name}: not refused as invalid', said)


def by_ctl(ctl, name, digest, status, origin, store):
    """Does blkremap-ctl?  Also writes to the snapshot."""
    before, device = md5_file(store), spec(origin, store)
    if not digest:
        done = ctl.run('copy', device, '-', ok=(3, 4))
        must('invalid' in done.said, f'{name}: the refusal does not say why', done.said)
        ctl.run('check', store, ok=(4,))
        ctl.run('repair', '-n', store, ok=(0, 1))
        must(md5_file(store) == before, f'{name}: looking at it changed it')
        return
    ctl.run('check', store)
    must(md5(ctl.copy(device)) == digest, f'{name}: read otherwise than by the kernel')
    said = ctl.run('info', '--dm-status', device, ok=(0, 1)).stdout.decode().strip()
    must(said == status, f'{name}: the kernel says "{status}", we say "{said}"')
    must(md5_file(store) == before, f'{name}: looking at it changed it')
    used, total = status.split()[3].split('/')
    if used == total:
        return          # no room for a write
    size = os.path.getsize(origin)
    ctl.run('io', device, '-c', f'write {size - 512} 512 pattern=0x5a', '-c', 'flush', '-c',
            f'read {size - 512} 512 verify=0x5a')
    ctl.run('check', store)
