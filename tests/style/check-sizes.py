# SPDX-License-Identifier: BSD-3-Clause
"""check-sizes.py ROOT: functions and files stay small enough to be read in one go."""
import os
import re
import sys

from style import Report, code_only, read, walk

# The first two of all functions of lib, tools and bench together; the number of parameters there, too (not of public
# calls, whose shape is a contract).
MEDIAN, P95, LONGEST, FILE_LINES = 12, 45, 80, 800
PARAMETERS, DEPTH = 6, 4                    # the body itself is depth 1, so three blocks inside one another
HEAD = re.compile(r'\b(\w+)\s*\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)\s*\{')
NOT_NAMES = {'if', 'for', 'while', 'switch', 'return', 'sizeof', 'defined', 'do', 'else'}


class Function:
    def __init__(self, path, name, line, lines, parameters, depth):
        self.path, self.name, self.line, self.lines = path, name, line, lines
        self.parameters, self.depth = parameters, depth

    def __str__(self):
        return f'{self.path}:{self.line}: {self.name}()'


def body_end(code, at):
    """Position behind the brace that closes the one at `at`, and the depth reached."""
    depth = deepest = 0
    for i in range(at, len(code)):
        if code[i] == '{':
            depth += 1
            deepest = max(deepest, depth)
        elif code[i] == '}':
            depth -= 1
            if depth == 0:
                return i + 1, deepest
    return len(code), deepest


def blocks_depth(body):
    """Depth of blocks alone: the braces of initializers nest without making code deep."""
    body = re.sub(r'\((?:const )?struct \w+(?:\[\])?\)\s*\{[^{}]*\}', '', body)
    return body_end(re.sub(r'=\s*\{[^;]*\}\s*;', ';', body), 0)[1]


def functions(path, text):
    code, at = code_only(text), 0
    while m := HEAD.search(code, at):
        if m.group(1) in NOT_NAMES:
            at = m.end()
            continue
        end, _ = body_end(code, m.end() - 1)
        line = code.count('\n', 0, m.start()) + 1
        lines = code.count('\n', m.start(), end) + 1
        commas = re.sub(r'\([^()]*\)', '', m.group(2)).count(',')
        yield Function(path, m.group(1), line, lines, commas + 1, blocks_depth(code[m.end() - 1:end]))
        at = end


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p / 100))]


def check_file(report, root, path, shipped):
    text = read(root, path)
    lines = text.count('\n')
    if lines > FILE_LINES and not path.endswith('struct-layout.c'):
        report.complain(path, f'{lines} lines, at most {FILE_LINES}')
    found = list(functions(path, text))
    for f in found:
        if f.lines > LONGEST:
            report.complain(f, f'{f.lines} lines, at most {LONGEST}')
        if shipped and f.parameters > PARAMETERS and not f.name.startswith('blkremap_'):
            report.complain(f, f'{f.parameters} parameters, at most {PARAMETERS}')
        if f.depth > DEPTH:
            report.complain(f, f'{f.depth - 1} blocks inside one another, at most {DEPTH - 1}')
    return found


def main(root):
    report, shipped = Report(), []
    for path in walk(root, ['lib', 'tools', 'bench'], ('.c', '.h')):
        shipped += check_file(report, root, path, True)
    for path in walk(root, ['tests', 'doc/examples', 'include'], ('.c', '.h')):
        check_file(report, root, path, False)
    sizes = [f.lines for f in shipped]
    median, p95 = percentile(sizes, 50), percentile(sizes, 95)
    if median > MEDIAN:
        report.complain('lib, tools, bench', f'median function has {median} lines, aim at {MEDIAN}')
    if p95 > P95:
        report.complain('lib, tools, bench', f'5 % of the functions have more than {p95} lines, aim at {P95}')
    longest = max(shipped, key=lambda f: f.lines)
    report.end(f'{len(sizes)} functions: median {median} lines, 95 % within {p95}, longest {longest} {longest.lines}')


if __name__ == '__main__':
    main(sys.argv[1])
