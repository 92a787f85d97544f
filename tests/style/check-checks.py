# SPDX-License-Identifier: BSD-3-Clause
"""check-checks.py: each check finds what it is there for, in a small tree that breaks every rule."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LICENCE = '/* SPDX-License-Identifier: BSD-3-Clause */\n'
LONG = 'int f(void)\n{\n' + '\tg();\n' * 90 + '\treturn 0;\n}\n'
DEEP = 'int f(void)\n{\n\tif (a) {\n\t\tfor (;;) {\n\t\t\tif (b) {\n\t\t\t\tif (c) {\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n}\n'
# check, file, contents, what it must say
BROKEN = [
    ('layers', 'lib/base/a.c', LICENCE + '#include "op/b.h"\n', 'base must not include op/b.h'),
    ('layers', 'lib/remap/a.c', LICENCE + '#include "meta/b.h"\n', 'remap must not include meta/b.h'),
    ('layers', 'tools/a.c', LICENCE + '#include "base/b.h"\n', 'only public headers here'),
    ('layers', 'lib/odd/a.c', LICENCE, 'odd is not a layer'),
    ('sizes', 'lib/base/a.c', LICENCE + LONG, 'lines, at most 80'),
    ('sizes', 'lib/base/a.c', LICENCE + 'int f(int a, int b, int c, int d, int e, int f, int g)\n{\n}\n', '7 parameters'),
    ('sizes', 'lib/base/a.c', LICENCE + DEEP, '4 blocks inside one another'),
    ('sizes', 'lib/base/a.c', LICENCE + 'int a;\n' * 900 + 'int f(void)\n{\n}\n', 'lines, at most 800'),
    ('shape', 'lib/base/a.c', LICENCE + '/* ' + 'a' * 120 + ' */\n', 'columns, at most 120'),
    ('shape', 'lib/base/a.c', LICENCE + 'int a; // b\n', 'only /* */ comments'),
    ('shape', 'lib/base/a.c', LICENCE + 'typedef struct a { int b; } c;\n', 'no typedef'),
    ('shape', 'lib/base/a.c', LICENCE + 'static int f(void);\n', 'no static forward declaration'),
    ('shape', 'lib/base/a.c', LICENCE + 'int f(void)\n{\nagain:\n\tg();\n\tgoto again;\n}\n', 'no goto backwards'),
    ('words', 'lib/base/a.c', 'int a;\n', 'no SPDX licence line'),
    ('words', 'lib/base/a.c', LICENCE + '/* TO' + 'DO: all of it */\n', 'unfinished'),
    ('words', 'lib/base/a.c', LICENCE + '/* see /wo' + 'rk/shared/x */\n', "a path of somebody's machine"),
]


def run(check, name, contents):
    with tempfile.TemporaryDirectory() as root:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path))
        with open(path, 'w', encoding='utf-8') as f:
            f.write(contents)
        return subprocess.run([sys.executable, os.path.join(HERE, f'check-{check}.py'), root], text=True,
                              capture_output=True)


bad = 0
print(f'1..{len(BROKEN)}')
for number, (check, name, contents, expected) in enumerate(BROKEN, 1):
    done = run(check, name, contents)
    fine = done.returncode == 1 and expected in done.stdout
    bad += not fine
    print(f'{"ok" if fine else "not ok"} {number} - {check}: {expected}')
    if not fine:
        print('# ' + (done.stdout + done.stderr).replace('\n', '\n# '))
sys.exit(1 if bad else 0)
