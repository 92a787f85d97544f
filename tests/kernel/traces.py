# SPDX-License-Identifier: BSD-3-Clause
"""Making traces (trace.h) and working out, on plain byte arrays, what they leave behind."""
import random
import struct

BLOCK = 4096


def pattern(offset, length, seed):
    """What a write leaves, as trace.h says."""
    out = bytearray()
    while len(out) < length:
        at = offset + len(out)
        n = min(BLOCK - at % BLOCK, length - len(out))
        out += struct.pack('<Q', seed << 32 | at >> 12) * (n // 8)
    return bytes(out)


class Trace:
    """Operations in order; text() is what the programs read."""

    def __init__(self):
        self.ops = []
        self.seed = 0x1000

    def write(self, dev, offset, length):
        self.seed += 1
        self.ops.append(('w', dev, offset, length, self.seed))

    def read(self, dev, offset, length):
        self.ops.append(('r', dev, offset, length))

    def flush(self, dev):
        self.ops.append(('f', dev))

    def text(self):
        return ''.join(' '.join(str(word) for word in op) + '\n' for op in self.ops)

    def save(self, path):
        with open(path, 'w', encoding='ascii') as f:
            f.write(self.text())
        return path


def scattered(seed, size, count, devices, align=512, longest=16):
    """A random trace: mostly short writes and reads, some of 64 KiB, in a few hot places and everywhere."""
    rng = random.Random(seed)
    trace = Trace()
    hot = [rng.randrange(size // align) * align for _ in range(8)]
    for _ in range(count):
        dev = rng.choice(devices)
        offset = rng.randrange(size // align) * align
        if rng.random() < 0.3:
            offset = rng.choice(hot)
        length = min(rng.randint(1, longest) * align, size - offset)
        if rng.random() < 0.05:
            length = min(65536, size - offset)
        if rng.random() < 0.03:
            trace.flush(dev)
        elif rng.random() < 0.55:
            trace.write(dev, offset, length)
        else:
            trace.read(dev, offset, length)
    return trace


MASK = (1 << 64) - 1


def fnv(value, data):
    """trace_hash()."""
    for (word,) in struct.iter_unpack('<Q', data):
        value = (value ^ word) * 0x100000001b3 & MASK
    return value


def model(trace, origin, snapshots):
    """What the origin and its snapshots, all taken before, hold after the trace, and the hash of all reads.

    Device 0 is the origin, the others are the snapshots.  A snapshot is a copy: that is what it means.
    """
    devices = [bytearray(origin) for _ in range(1 + snapshots)]
    value = 0xcbf29ce484222325
    for op in trace.ops:
        if op[0] == 'w':
            _, dev, offset, length, seed = op
            devices[dev][offset:offset + length] = pattern(offset, length, seed)
        elif op[0] == 'r':
            _, dev, offset, length = op
            value = fnv(value, devices[dev][offset:offset + length])
    return [bytes(d) for d in devices], value
