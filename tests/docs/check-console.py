# SPDX-License-Identifier: BSD-3-Clause
"""check-console.py: run-console.py accepts what it should, and nothing else."""
import importlib.util
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location('run_console', os.path.join(here, 'run-console.py'))
console = importlib.util.module_from_spec(spec)
spec.loader.exec_module(console)

CASES = [
    ('equal output is accepted', 'echo a', ['a'], True),
    ('other output is not', 'echo a', ['b'], False),
    ('missing output is not', 'true', ['a'], False),
    ('more output is not', 'echo a; echo b', ['a'], False),
    ('dots stand for a part of a line', 'echo took 5 ms', ['took ... ms'], True),
    ('dots do not reach over a line', 'echo a; echo b', ['a...b'], False),
    ('a line of dots stands for lines', 'seq 9', ['1', '...', '9'], True),
    ('a line of dots stands for none', 'seq 2', ['1', '...', '2'], True),
    ('stderr counts', 'echo a >&2', ['a'], True),
    ('a missing end of line is forgiven', 'printf a', ['a'], True),
]
bad = 0
print(f'1..{len(CASES) + 1}')
for number, (name, command, expected, fine) in enumerate(CASES, 1):
    step = console.Step(command, 1)
    step.expected = expected
    good = (console.differs(step, '.', False) == '') == fine
    bad += not good
    print(f'{"ok" if good else "not ok"} {number} - {name}')
found = list(console.blocks('text\n```console\n$ cat <<E\n> b\n> E\nb\n```\n```c\n$ no\n```\n'))
good = len(found) == 1 and found[0][0].command == 'cat <<E\nb\nE' and found[0][0].expected == ['b']
print(f'{"ok" if good else "not ok"} {len(CASES) + 1} - blocks, commands and continuations are told apart')
sys.exit(1 if bad or not good else 0)
