# SPDX-License-Identifier: BSD-3-Clause
"""count-results.py FAILED-BUILDS LOG-FOLDER...: adds up what `meson test` has logged, sub-tests included.

Prints what was skipped and why, what failed, and as its last line: N passed, N failed, N skipped.
"""
import json
import os
import re
import sys

GOOD = {'OK', 'EXPECTEDFAIL'}
TAP = re.compile(r'^(ok|not ok)\b[ \t]*\d*[^\n#]*(#\s*skip\b.*)?$', re.I | re.M)
count = {'passed': 0, 'failed': int(sys.argv[1]), 'skipped': 0}


def entries(folder):
    path = os.path.join(folder, 'testlog.json')
    if os.path.exists(path):
        with open(path, encoding='utf-8') as f:
            yield from (json.loads(line) for line in f)


def tell(what, folder, test, why=''):
    print(f'{what}: {os.path.basename(os.path.dirname(folder))}/{test}' + (f' ({why})' if why else ''))


def last_line(text):
    lines = [line for line in text.split('\n') if line.strip()]
    return lines[-1].strip() if lines else ''


def add_subtests(folder, entry, lines):
    """A TAP program: each of its lines is a test."""
    for m in lines:
        kind = 'skipped' if m.group(2) else 'passed' if m.group(1).lower() == 'ok' else 'failed'
        count[kind] += 1
        if kind == 'skipped':
            tell('skipped', folder, entry['name'], m.group(2).lstrip('# '))
    if entry['result'] not in GOOD | {'SKIP'} and not any(m.group(1).lower() != 'ok' for m in lines):
        count['failed'] += 1                # it crashed, or left out tests that it had planned


def add(folder, entry):
    output = entry.get('stdout') or ''
    lines = list(TAP.finditer(output))
    if entry['result'] == 'SKIP' and not lines:
        count['skipped'] += 1
        tell('skipped', folder, entry['name'], last_line(output))
    elif lines:
        add_subtests(folder, entry, lines)
    else:
        count['passed' if entry['result'] in GOOD else 'failed'] += 1
    if entry['result'] not in GOOD | {'SKIP'}:
        tell('FAILED', folder, entry['name'])


for log_folder in sys.argv[2:]:
    for log_entry in entries(log_folder):
        add(log_folder, log_entry)
print('{passed} passed, {failed} failed, {skipped} skipped'.format(**count))
sys.exit(1 if count['failed'] or not count['passed'] else 0)
