# SPDX-License-Identifier: BSD-3-Clause
"""check-headers.py HOW BUILD_INCLUDE HEADER...: each public header, alone and included twice, as C99, C++17 or cffi."""
import os
import re
import subprocess
import sys

from style import Report, need, skip

how, built, headers = sys.argv[1], sys.argv[2], sys.argv[3:]
source = os.path.dirname(os.path.dirname(headers[0]))
flags = ['-pedantic-errors', '-Wall', '-Wextra', '-Werror', '-I' + source, '-I' + built]
report = Report()


def compile_alone(program, language, standard):
    for header in headers:
        name = 'blkremap/' + os.path.basename(header)
        text = f'#include <{name}>\n#include <{name}>\n'
        run = subprocess.run([program, '-x', language, '-std=' + standard, *flags, '-fsyntax-only', '-'], input=text,
                             text=True, capture_output=True)
        if run.returncode:
            report.complain(name, run.stderr)
    report.end(f'{len(headers)} headers stand alone as {standard}')


def preprocessed():
    """What a binding reads: our declarations alone; the system's are replaced by empty files."""
    fake = os.path.join(os.getcwd(), 'cffi-include')
    for name in ('stddef.h', 'stdint.h', 'sys/uio.h'):
        path = os.path.join(fake, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, 'w').close()
    command = [need('cpp', 'cpp'), '-P', '-nostdinc', '-DBLKREMAP_API=', '-I' + fake, '-I' + source, '-I' + built]
    text = subprocess.run(command + ['-'], input='#include <blkremap/blkremap.h>\n', text=True, capture_output=True,
                          check=True).stdout
    return 'struct iovec { void *iov_base; size_t iov_len; };\n' + text


def compilers_sizes(types):
    """sizeof each struct, by the C compiler."""
    lines = ''.join(f'printf("%zu\\n", sizeof(struct {t}));' for t in types)
    text = f'#include <stdio.h>\n#include <blkremap/blkremap.h>\nint main(void) {{ {lines} }}\n'
    program = os.path.join(os.getcwd(), 'cffi-sizes')
    subprocess.run([need('gcc', 'gcc'), '-x', 'c', '-I' + source, '-I' + built, '-', '-o', program], input=text,
                   text=True, check=True)
    return [int(s) for s in subprocess.run([program], capture_output=True, text=True).stdout.split()]


def load_with_cffi():
    try:
        import cffi
    except ImportError:
        skip('no cffi module; apt-get install python3-cffi')
    text, ffi = preprocessed(), cffi.FFI()
    ffi.cdef(text)
    types = [t for t in re.findall(r'struct (blkremap_\w+)\s*\{', text)]
    for name, size in zip(types, compilers_sizes(types)):
        if ffi.sizeof('struct ' + name) != size:
            report.complain(name, f'{ffi.sizeof("struct " + name)} bytes in cffi, {size} in C')
    report.end(f'{len(types)} structs have the same size in cffi and in C')


if how == 'cffi':
    load_with_cffi()
elif how == 'c++':
    compile_alone(need('g++', 'g++'), 'c++', 'c++17')
else:
    compile_alone(need('gcc', 'gcc'), 'c', 'c99')
