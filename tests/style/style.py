# SPDX-License-Identifier: BSD-3-Clause
"""What the style checks share: which files there are, and how a check ends."""
import os
import re
import shutil
import sys

SKIP = 77


class Report:
    """Collects complaints; ends the program with 1 if there were any."""

    def __init__(self):
        self.bad = 0

    def complain(self, where, text):
        self.bad += 1
        print(f'{where}: {text}')

    def end(self, fine):
        if self.bad:
            sys.exit(f'{self.bad} to mend')
        print(fine)


def skip(text):
    print(f'skipped: {text}')
    sys.exit(SKIP)


def need(program, package):
    """The path of a program; without it the check is skipped and names the package that has it."""
    return shutil.which(program) or skip(f'{program} is missing; apt-get install {package}')


def walk(root, tops, endings):
    """Files below root/TOP with one of the endings, relative to root, sorted."""
    found = []
    for top in tops:
        path = os.path.join(root, top)
        if os.path.isfile(path):
            found.append(top)
        for folder, subs, names in os.walk(path):
            subs[:] = [s for s in subs if not s.startswith(('.', 'build', '__pycache__'))]
            found += [os.path.relpath(os.path.join(folder, n), root) for n in names if n.endswith(endings)]
    return sorted(set(found))


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as f:
        return f.read()


def blank_out(match):
    return re.sub(r'[^\n]', ' ', match.group(0))


def code_only(text):
    """The text with comments, strings and preprocessor lines blanked; line numbers stay."""
    text = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank_out, text, flags=re.S)
    return re.sub(r'^[ \t]*#(?:.*\\\n)*.*$', blank_out, text, flags=re.M)
