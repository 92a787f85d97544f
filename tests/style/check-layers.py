# SPDX-License-Identifier: BSD-3-Clause
"""check-layers.py ROOT: a folder includes itself and the layers below it, and nothing else."""
import os
import re
import sys

from style import Report, read, walk

BELOW = {
    'base': [],
    'op': ['base'],
    'io': ['base', 'op'],
    'remap': ['base', 'op', 'io'],          # sister of meta: neither sees the other
    'meta': ['base', 'op', 'io'],
    'target': ['base', 'op', 'io', 'remap', 'meta'],
    'api': ['base', 'op', 'io', 'remap', 'meta', 'target'],
}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(["<])([^">]+)[">]', re.M)
root = sys.argv[1]
report = Report()


def line_of(text, at):
    return text.count('\n', 0, at) + 1


def check_lib(path, text):
    layer = path.split('/')[1]
    if layer not in BELOW:
        report.complain(path, f'{layer} is not a layer')
        return
    for m in INCLUDE.finditer(text):
        top = m.group(2).split('/')[0]
        known = top in BELOW or top in ('tools', 'tests', 'bench')
        if m.group(1) == '<' and top != 'blkremap' and not known:
            continue                        # the system's
        if m.group(2) != 'config.h' and top not in ('blkremap', layer, *BELOW[layer]):
            report.complain(f'{path}:{line_of(text, m.start())}', f'{layer} must not include {m.group(2)}')


def check_outside(path, text):
    """tools, bench and examples are programs like anybody's: they see the public headers and their own."""
    folder = os.path.dirname(path)
    for m in INCLUDE.finditer(text):
        own = os.path.exists(os.path.join(root, folder, m.group(2))) or '/' not in m.group(2)
        public = m.group(2).startswith('blkremap/')
        if m.group(1) == '"' and not public and not own:
            report.complain(f'{path}:{line_of(text, m.start())}', f'only public headers here, not {m.group(2)}')


def check_own_header_first(path, text):
    own = path[len('lib/'):-1] + 'h'
    first = INCLUDE.search(text)
    if os.path.exists(os.path.join(root, 'lib', own)) and first.group(2) != own:
        report.complain(path, f'its own header {own} comes first, to prove that it stands alone')


lib = walk(root, ['lib'], ('.c', '.h'))
outside = walk(root, ['include', 'tools', 'bench', 'doc/examples'], ('.c', '.h'))
for path in lib:
    check_lib(path, read(root, path))
    if path.endswith('.c'):
        check_own_header_first(path, read(root, path))
for path in outside:
    check_outside(path, read(root, path))
report.end(f'{len(lib)} files keep to their layers, {len(outside)} see only what is public')
