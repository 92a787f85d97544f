# SPDX-License-Identifier: BSD-3-Clause
"""run-console.py [OPTION...] FILE.md FOLDER: run the ```console blocks of a document and compare what comes out.

Lines that begin with "$ " are commands, with "> " their continuations; what follows is what they print, on stdout and
stderr.  In it "..." stands for anything within a line, and a line "..." for any lines.  All commands run in FOLDER, one
after another, so later blocks may use what earlier ones have made.  FOLDER is emptied first, if it is one of ours.

Each block is a TAP test.
  --show                   print commands and their real output instead, as tools/demo does
  --build BUILD            programs and the library are those of a build folder, not installed ones
  --need PROGRAM:PACKAGE   without the program: skip (77), naming the package
"""
import argparse
import os
import re
import shutil
import subprocess
import sys


class Step:
    def __init__(self, command, line):
        self.command, self.line, self.expected = command, line, []


class Block(list):
    """Steps, and the words that stand above them."""


def blocks(text):
    """One for each console block."""
    steps, words = None, []
    for number, line in enumerate(text.split('\n'), 1):
        if line == '```console' and steps is None:
            steps = Block()
            steps.words = [w for w in words if w]
        elif steps is None:
            # The last paragraph: a line after an empty one begins a new one.
            words = [line] if line and words[-1:] == [''] else words + [line]
        elif line == '```':
            yield steps
            steps, words = None, []
        elif line.startswith('$ '):
            steps.append(Step(line[2:], number))
        elif (line.startswith('> ') or line == '>') and steps and not steps[-1].expected:
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
    done = subprocess.run(['sh', '-c', command], cwd=folder, text=True, errors='replace', stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
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


def make_empty(folder):
    """Only what an earlier run has made is removed."""
    mark = os.path.join(folder, '.console')
    if os.path.exists(mark):
        shutil.rmtree(folder)
    os.makedirs(folder, exist_ok=True)
    open(mark, 'w', encoding='ascii').close()


def skip_without(needs):
    for need in needs:
        program, package = need.split(':')
        if not shutil.which(program):
            print(f'no {program}; apt-get install {package}')
            sys.exit(77)


def use_build(folder):
    """What `meson devenv` would set."""
    folder = os.path.abspath(folder)
    os.environ['PATH'] = f'{folder}/tools:{folder}/doc/examples:{os.environ["PATH"]}'
    os.environ['LD_LIBRARY_PATH'] = f'{folder}/lib'
    os.environ['PKG_CONFIG_PATH'] = f'{folder}/meson-uninstalled'


def run_blocks(document, folder, show):
    with open(document, encoding='utf-8') as f:
        all_blocks = list(blocks(f.read()))
    bad = 0
    for number, steps in enumerate(all_blocks, 1):
        if show:
            print('\n' + '\n'.join('# ' + w for w in steps.words))
        text = first_difference(steps, folder, show)
        bad += bool(text)
        if not show:
            print(f'{"not ok" if text else "ok"} {number} - {os.path.basename(document)}, line {steps[0].line}')
        if text:
            print('# ' + text.rstrip().replace('\n', '\n# '))
    if not show:
        print(f'1..{len(all_blocks)}')
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--show', action='store_true')
    parser.add_argument('--build')
    parser.add_argument('--need', action='append', default=[])
    parser.add_argument('document')
    parser.add_argument('folder')
    options = parser.parse_args()
    os.environ.update(LC_ALL='C.UTF-8', SOURCE=os.path.dirname(os.path.abspath(options.document)))
    os.environ['PATH'] += ':/usr/sbin:/sbin'                 # where Debian has mke2fs and e2fsck
    if options.build:
        use_build(options.build)
    skip_without(options.need)
    make_empty(options.folder)
    return 1 if run_blocks(options.document, options.folder, options.show) else 0


if __name__ == '__main__':
    sys.exit(main())
