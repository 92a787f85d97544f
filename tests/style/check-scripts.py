# SPDX-License-Identifier: BSD-3-Clause
"""check-scripts.py ROOT: shell scripts pass shellcheck."""
import subprocess
import sys

from style import Report, need, read, walk

root = sys.argv[1]
report = Report()
shellcheck = need('shellcheck', 'shellcheck')

def is_shell(path):
    """A script by its first line; binary fixtures are none."""
    try:
        return read(root, path).startswith(('#!/bin/sh', '#!/bin/bash', '#!/usr/bin/env bash'))
    except UnicodeDecodeError:
        return False


scripts = [p for p in walk(root, ['tools', 'tests', 'debian', '.ci', 'doc', 'bench'], '') if is_shell(p)]
for path in scripts:
    run = subprocess.run([shellcheck, '-x', '-P', root, path], text=True, capture_output=True, cwd=root)
    if run.returncode:
        report.complain(path, run.stdout)
report.end(f'{len(scripts)} scripts pass shellcheck')
