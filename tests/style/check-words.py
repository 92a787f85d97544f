# SPDX-License-Identifier: BSD-3-Clause
"""check-words.py ROOT: every file says its licence; no unfinished business; nothing of anybody's machine."""
import re
import sys

from style import Report, read, walk

TOPS = ['include', 'lib', 'tools', 'tests', 'bench', 'doc', 'debian', '.ci', 'meson.build', 'meson_options.txt']
PROSE = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md']
CODE = ('.c', '.h', '.h.in', '.py', '.sh', '.map', 'meson.build')
NO_LICENCE_LINE = ('.md', '.txt', '.json', '.xml', '.install', '.symbols', '.ini', 'copyright', 'changelog', 'control')
TEXT = CODE + NO_LICENCE_LINE + ('.in', '.1', '.3', '.5', '.7', '.suppr')
# Written in pieces, so that this file passes its own check.
UNFINISHED = re.compile(r'\b(?:' + '|'.join(['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'not yet ' + 'implemented']) + r')\b')
STUB = re.compile(r'\bst' + r'ubs?\b', re.I)
MACHINE = re.compile('/wo' + 'rk/(?:main|shared)|/tmp/' + 'wt-|/home' + r'/\w|pyen' + 'v|/root' + '/')
root = sys.argv[1]
report = Report()


def each(path, text, pattern, what):
    for i, line in enumerate(text.split('\n'), 1):
        if pattern.search(line):
            report.complain(f'{path}:{i}', f'{what}: {line.strip()[:80]}')


files = walk(root, TOPS + PROSE, TEXT)
for path in files:
    text = read(root, path)
    each(path, text, UNFINISHED, 'unfinished')
    each(path, text, MACHINE, "a path of somebody's machine")
    if path.startswith(('lib/', 'tools/', 'include/')):
        each(path, text, STUB, 'unfinished')
    if path.endswith(CODE) and not path.endswith('meson.build'):
        head = '\n'.join(text.split('\n')[:2])
        if 'SPDX-License-Identifier: BSD-3-Clause' not in head:
            report.complain(path, 'no SPDX licence line at its top')
report.end(f'{len(files)} files: licensed, finished, portable')
