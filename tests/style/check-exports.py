# SPDX-License-Identifier: BSD-3-Clause
"""check-exports.py LIBRARY MAP SYMBOLS HEADER...: what the library exports is what the headers declare, nothing else."""
import re
import subprocess
import sys

from style import Report, need

library, map_file, headers = sys.argv[1], sys.argv[2], sys.argv[3:]
report = Report()


def text_of(path):
    with open(path, encoding='utf-8') as f:
        return re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)


def compare(name, has, other, wants):
    for symbol in sorted(wants - has):
        report.complain(name, f'lacks {symbol}, which {other} has')
    for symbol in sorted(has - wants):
        report.complain(name, f'has {symbol}, which {other} lacks')


declared = set()
for header in headers:
    declared |= set(re.findall(r'BLKREMAP_API\s[^;{]*?\b(blkremap_\w+)\s*\(', text_of(header)))
listed = re.findall(r'^\t(blkremap_\w+);', text_of(map_file), re.M)
run = subprocess.run([need('nm', 'binutils'), '-D', '--defined-only', '--with-symbol-versions', library], text=True,
                     capture_output=True, check=True)
exported = set()
for line in run.stdout.splitlines():
    kind, symbol = line.split()[1:3]
    if kind == 'A':
        continue                            # the version node itself
    name, _, version = symbol.partition('@@')
    if not re.fullmatch(r'BLKREMAP_[0-9]+\.[0-9]+', version):
        report.complain(library, f'exports {symbol} without a version of ours')
    exported.add(name)
if listed != sorted(listed):
    report.complain(map_file, 'is not alphabetical')
compare(map_file, set(listed), 'the headers', declared)
compare('the library', exported, 'the headers', declared)
report.end(f'{len(exported)} functions: declared, listed and exported')
