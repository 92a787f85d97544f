#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Count the instructions that a request costs, beyond those of the memory device itself.

usage: test-count.py PROGRAM

Instructions repeat exactly, so unlike timings they may decide a test.  Each kind is run with 3,200 and with 6,400 requests:
the difference is free of whatever making and ending costs.
"""
import re
import shutil
import subprocess
import sys

KINDS = {  # kind: most instructions beyond the memory device's
    "unmapped": 600, "mapped": 600, "rewrite": 600, "origin0": 400, "origin1": 600, "origin4": 1000,
}
FEW, MANY = 3200, 6400


def instructions(program, kind, n):
    out = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, kind, str(n)],
                         capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", out.stderr)
    if out.returncode or not found:
        sys.exit(f"{kind}: {out.stderr}")
    return int(found.group(1))


def each(program, kind):
    return (instructions(program, kind, MANY) - instructions(program, kind, FEW)) / (MANY - FEW)


def main(program):
    if not shutil.which("valgrind"):
        print("valgrind is not there: apt-get install valgrind")
        sys.exit(77)
    alone = each(program, "memory")
    failed = 0
    print(f"memory    {alone:6.0f} instructions a request")
    for kind, most in KINDS.items():
        added = each(program, kind) - alone
        failed += added > most
        print(f"{kind:9} {added:+6.0f} beyond that, at most {most}{'  TOO MANY' if added > most else ''}")
    sys.exit(failed)


main(sys.argv[1])
