# SPDX-License-Identifier: BSD-3-Clause
"""check-shape.py ROOT: what can be seen of the style without understanding the code."""
import re
import sys

from style import Report, code_only, read, walk

WIDTH = 120
root = sys.argv[1]
report = Report()


def check_lines(path, text):
    for i, line in enumerate(text.split('\n'), 1):
        if len(line.expandtabs(8)) > WIDTH:
            report.complain(f'{path}:{i}', f'{len(line.expandtabs(8))} columns, at most {WIDTH}')
        if line != line.rstrip():
            report.complain(f'{path}:{i}', 'blanks at the end')
        if re.match(r' {8}|\t* +\t', line):
            report.complain(f'{path}:{i}', 'indent by tabs')


def check_code(path, text):
    code = code_only(text)
    shipped = path.startswith(('include/', 'lib/', 'tools/', 'bench/'))
    rules = [
        (r'//', 'only /* */ comments stay'),
        (r'^typedef\s+(?:struct|enum|union)\b', 'no typedef for a struct, enum or union'),
    ]
    if shipped:
        rules.append((r'^static [^;{}()=]*\b\w+\([^;{}]*\);', 'no static forward declaration: helpers go above users'))
    for pattern, what in rules:
        for m in re.finditer(pattern, code, re.M):
            report.complain(f'{path}:{code.count(chr(10), 0, m.start()) + 1}', what)
    for m in re.finditer(r'\bgoto\s+(\w+)\s*;', code):
        start = code.rfind('\n}', 0, m.start())
        if re.search(rf'^{m.group(1)}:', code[max(start, 0):m.start()], re.M):
            report.complain(f'{path}:{code.count(chr(10), 0, m.start()) + 1}', 'no goto backwards')


files = walk(root, ['include', 'lib', 'tools', 'bench', 'tests', 'doc/examples'], ('.c', '.h', '.h.in'))
for path in files:
    text = read(root, path)
    check_lines(path, text)
    check_code(path, text)
report.end(f'{len(files)} files in shape')
