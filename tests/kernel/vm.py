# SPDX-License-Identifier: BSD-3-Clause
"""A throw-away virtual machine with a real Linux kernel, as the oracle for what device-mapper does.

    import vm
    vm.need()                                   # exit 77 with the missing package's name
    out = vm.run('dmsetup targets', disks=['origin.img', 'store.img'])

Software emulation only: no privileges, no KVM, a boot takes some seconds.  The kernel is the distribution's package,
downloaded once and unpacked into a cache folder (BLKREMAP_KERNEL_CACHE, else below XDG_CACHE_HOME or ~/.cache), never
installed.  The root file system is an initramfs built here: busybox, dmsetup, the modules, the caller's files.  Disks
are raw image files and are written in place; they are /dev/vda, /dev/vdb ... in the guest.
"""
import fcntl
import glob
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
MODULES = ['virtio_pci', 'virtio_blk', 'dm-mod', 'dm-snapshot', 'dm-delay']
BEGIN, END = '=== begin', '=== exit '

INIT = '''#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox --install -s /bin
export PATH=/bin DM_DISABLE_UDEV=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
echo 1 > /proc/sys/kernel/printk
for m in $(cat /modules/order); do insmod /modules/$m || echo "insmod failed: $m"; done
cd /w
echo "''' + BEGIN + '''"
sh ./script </dev/null 2>&1
echo "''' + END + '''$?"
sync
poweroff -f
'''


def skip(why):
    print(f'skipped: {why}')
    sys.exit(SKIP)


def need():
    """Skip the test unless everything is here that a virtual machine takes."""
    for program, package in (('qemu-system-x86_64', 'qemu-system-x86'), ('busybox', 'busybox-static'),
                             ('dmsetup', 'dmsetup'), ('apt-get', 'apt'), ('dpkg-deb', 'dpkg')):
        if not find(program):
            skip(f'package {package} is not installed')
    if not re.search('statically linked|not a dynamic', output(['ldd', find('busybox')])):
        skip('package busybox-static is not installed')
    kernel()


def find(program):
    return shutil.which(program, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')


def output(command):
    """What a command says on both channels; it may fail."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True).stdout


def cache_folder():
    base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return os.environ.get('BLKREMAP_KERNEL_CACHE') or os.path.join(base, 'blkremap-kernel')


def kernel():
    """(path of the kernel, folder of its modules), downloaded if need be."""
    cache = cache_folder()
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, 'lock'), 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)        # two tests may come at once
        root = os.path.join(cache, 'root')
        if not os.path.exists(root):
            download(cache, root)
    images = glob.glob(os.path.join(root, 'boot', 'vmlinuz-*'))
    modules = glob.glob(os.path.join(root, 'lib', 'modules', '*'))
    if not images or not modules:
        skip(f'{root} holds no kernel; remove it to have it downloaded again')
    return images[0], modules[0]


def download(cache, root):
    package = re.search(r'Depends: (linux-image-\S+)', output(['apt-cache', 'depends', 'linux-image-amd64']))
    if not package:
        skip('package linux-image-amd64 is not known to apt (apt-get update?)')
    with tempfile.TemporaryDirectory(dir=cache) as tmp:
        said = subprocess.run(['apt-get', 'download', package[1]], cwd=tmp, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        archives = glob.glob(os.path.join(tmp, '*.deb'))
        if said.returncode or not archives:
            skip(f'package {package[1]} cannot be downloaded')
        subprocess.run(['dpkg-deb', '-x', archives[0], os.path.join(tmp, 'root')], check=True)
        os.rename(os.path.join(tmp, 'root'), root)      # whole or not at all


def module_paths(folder):
    """The modules' files with all that they depend on, in the order to load them."""
    files = {os.path.basename(p)[:-3].replace('-', '_'): p
             for p in glob.glob(os.path.join(folder, '**', '*.ko'), recursive=True)}
    order = []

    def add(name):
        path = files.get(name.replace('-', '_'))
        if not path or path in order:
            return              # built into the kernel
        with open(path, 'rb') as f:
            depends = re.search(rb'\0depends=([^\0]*)\0', f.read())
        for other in depends[1].decode().split(',') if depends else []:
            add(other)
        order.append(path)

    for name in MODULES:
        add(name)
    return order


class Archive:
    """A cpio archive in the kernel's "newc" form."""

    def __init__(self):
        self.data = bytearray()
        self.folders = set()
        self.number = 0

    def entry(self, name, mode, content=b''):
        self.number += 1
        raw = name.encode() + b'\0'
        fields = (self.number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0)
        self.data += b'070701' + b''.join(b'%08X' % n for n in fields) + raw
        self.pad()
        self.data += content
        self.pad()

    def pad(self):
        self.data += bytes(-len(self.data) % 4)

    def folder(self, name):
        if name and name not in self.folders:
            self.folder(os.path.dirname(name))
            self.folders.add(name)
            self.entry(name, 0o40755)

    def add(self, name, content, mode=0o100644):
        self.folder(os.path.dirname(name))
        self.entry(name, mode, content)

    def copy(self, path, name, mode=0o100755):
        with open(path, 'rb') as f:
            self.add(name, f.read(), mode)

    def program(self, path):
        """A program, and the shared libraries that it is linked with."""
        self.copy(path, 'bin/' + os.path.basename(path))
        for library in re.findall(r'(/\S+)', output(['ldd', path])):
            if os.path.exists(library) and library not in self.folders:
                self.folders.add(library)
                self.copy(library, library.lstrip('/'))

    def finish(self):
        self.entry('TRAILER!!!', 0)
        return gzip.compress(bytes(self.data), 1)


def initramfs(script, files, modules):
    archive = Archive()
    archive.add('init', INIT.encode(), 0o100755)
    archive.copy(find('busybox'), 'bin/busybox')
    archive.program(find('dmsetup'))
    archive.add('modules/order', '\n'.join(os.path.basename(p) for p in modules).encode())
    for path in modules:
        archive.copy(path, 'modules/' + os.path.basename(path))
    archive.add('w/script', script.encode())
    for path in files:
        archive.copy(path, 'w/' + os.path.basename(path))
    return archive.finish()


def run(script, disks=(), files=(), timeout=220):
    """Run a shell script in a fresh machine, and return what it printed.  Its failure is this test's failure.

    It runs in the folder that holds the files.
    """
    image, folder = kernel()
    with tempfile.TemporaryDirectory() as tmp:
        ramdisk = os.path.join(tmp, 'initramfs')
        with open(ramdisk, 'wb') as f:
            f.write(initramfs(script, files, module_paths(folder)))
        command = [find('qemu-system-x86_64'), '-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', '512', '-smp', '2',
                   '-nographic', '-no-reboot', '-nic', 'none', '-kernel', image, '-initrd', ramdisk,
                   '-append', 'console=ttyS0 quiet panic=-1']
        for disk in disks:
            command += ['-drive', f'file={disk},format=raw,if=virtio,cache=unsafe']
        try:
            said = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                                  stderr=subprocess.STDOUT, timeout=timeout).stdout
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b'') + b'\nthe machine did not end in time\n'
    text = said.decode(errors='replace').replace('\r', '')
    match = re.search(f'{BEGIN}\n(.*?)^{END}(\\d+)$', text, re.S | re.M)
    if not match or match[2] != '0':
        print(text)
        sys.exit('the script in the virtual machine failed')
    return match[1]


def disk(path, size, content=b''):
    """Make an image file."""
    with open(path, 'wb') as f:
        f.write(content)
        f.truncate(size)
    return path

