# SPDX-License-Identifier: BSD-3-Clause
"""check-example.py DOCUMENT SOURCE: the document shows the source as it is, from its first #include on."""
import sys

with open(sys.argv[1], encoding='utf-8') as f:
    document = f.read()
with open(sys.argv[2], encoding='utf-8') as f:
    source = f.read()
if '```c\n' + source[source.index('#include'):] + '```\n' not in document:
    sys.exit(f'{sys.argv[1]} does not show {sys.argv[2]} as it is')
