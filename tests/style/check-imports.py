# SPDX-License-Identifier: BSD-3-Clause
"""check-imports.py LIBRARY SOURCE...: the core imports nothing of libc but mem* and str*: no malloc, clock, thread, I/O.

Whatever else it needs goes through the environment (lib/base/env.h), so that the simulator can be the world.
"""
import re
import subprocess
import sys

from style import Report, need

ALLOWED = re.compile(r'mem(?:cpy|move|set|cmp|chr|rchr)$|str\w+$|_GLOBAL_OFFSET_TABLE_$|__stack_chk_fail$'
                     r'|__(?:mem|str)\w+_chk$')
INSTRUMENTED = re.compile(r'__(?:asan|ubsan|tsan|sanitizer|gcov|sancov|llvm)\w*$|__sanitizer\w*$|___tls_get_addr')
library, sources = sys.argv[1], sys.argv[2:]
objects = {s.replace('/', '_') + '.o' for s in sources}
report, seen, own, imports = Report(), set(), set(), []
listing = subprocess.run([need('nm', 'binutils'), '-A', library], text=True, capture_output=True, check=True).stdout
for line in listing.splitlines():
    m = re.match(r'(.*):\s*(?:[0-9a-f]+)?\s+(\w) (\S+)$', line)
    name = re.split(r'[:/]', m.group(1))[-1]
    if m.group(2) != 'U':
        own.add(m.group(3))                 # the library's own, the part that may touch the world included
    elif name in objects:
        imports.append((name, m.group(3)))
    if name in objects:
        seen.add(name)
for name, symbol in imports:
    if symbol not in own and not ALLOWED.match(symbol) and not INSTRUMENTED.match(symbol):
        report.complain(name, f'imports {symbol}')
for name in objects - seen:
    report.complain(name, 'is not in the library, or is empty')
report.end(f'{len(seen)} objects of the core import mem* and str* only')
