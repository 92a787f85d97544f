# SPDX-License-Identifier: BSD-3-Clause
"""run-console.py [--show] FILE.md FOLDER: run the ```console blocks of a document and compare what comes out.

Lines that begin with "$ " are commands, with "> " their continuations; what follows is what they print, on stdout and stderr.
In it "..." stands for anything within a line, and a line "..." for any lines.  All commands run in FOLDER, one after
another, so later blocks may use what earlier ones have made.

Without --show each block is a TAP test.  With it, as tools/demo does, commands and their real output are printed.
"""
import os
import re
import subprocess
import sys


class Step:
    def __init__(self, command, line):
        self.command, self.line, self.expected = command, line, []


def blocks(text):
    """Lists of steps, one for each console block."""
    steps = None
    for number, line in enumerate(text.split('\n'), 1):
        if steps is None:
            steps = [] if line == '```console' else None
        elif line == '```':
            yield steps
            steps = None
        elif line.startswith('$ '):
            steps.append(Step(line[2:], number))
        elif line.startswith('> ') and steps and not steps[-1].expected:
            steps[-1].command += '\n' + line[2:]
        elif steps:
            steps[-1].expected.append(line)


def pattern(lines):
    """A regular expression for the whole output."""
    whole = ''
    for line in lines:
        if line.strip() == '...':
            whole += r'(?:.*\n)*?'
        else:
            whole += '.*?'.join(re.escape(part) for part in line.split('...')) + r'[ \t]*\n'
    return re.compile(whole)


def run(command, folder):
    done = subprocess.run(['sh', '-c', command], cwd=folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, errors='replace')
    out = done.stdout
    return out if not out or out.endswith('\n') else out + '\n'


def differs(step, folder, show):
    if show:
        print('$ ' + step.command.replace('\n', '\n> '), flush=True)
    out = run(step.command, folder)
    if show:
        print(out, end='', flush=True)
    if pattern(step.expected).fullmatch(out):
        return ''
    return f'line {step.line}: $ {step.command}\nprinted:\n{out}expected:\n' + ''.join(e + '\n' for e in step.expected)


def first_difference(steps, folder, show):
    for step in steps:
        text = differs(step, folder, show)
        if text:
            return text
    return ''


def main(arguments):
    show = '--show' in arguments
    document, folder = [a for a in arguments if a != '--show']
    with open(document, encoding='utf-8') as f:
        all_blocks = list(blocks(f.read()))
    bad = 0
    if not show:
        print(f'1..{len(all_blocks)}')
    for number, steps in enumerate(all_blocks, 1):
        text = first_difference(steps, folder, show)
        bad += bool(text)
        if not show:
            print(f'{"not ok" if text else "ok"} {number} - {os.path.basename(document)}, line {steps[0].line}')
        if text:
            print('# ' + text.rstrip().replace('\n', '\n# '))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
