# SPDX-License-Identifier: BSD-3-Clause
"""A second reader of the kernel's snapshot store, written from the format's description alone.

It shares no line and no idea with the library's, so that one misunderstanding cannot hide in both.
"""
import struct

MAGIC = b'SnAp'


class Store:
    """What a store image says; no checks but those that reading takes."""

    def __init__(self, data):
        magic, valid, version, sectors = struct.unpack_from('<4sIII', data)
        if magic != MAGIC or version != 1:
            raise ValueError('not a snapshot store')
        self.data = data
        self.valid = valid != 0
        self.chunk = sectors * 512
        self.table = []         # (old chunk, new chunk), in the table's order
        area = 1
        while self.read_area(area):
            area += self.chunk // 16 + 1
        self.areas = (area - 1) // (self.chunk // 16 + 1) + 1

    def read_area(self, chunk):
        """True if it was full."""
        for i in range(self.chunk // 16):
            old, new = struct.unpack_from('<QQ', self.data, chunk * self.chunk + 16 * i)
            if new == 0:
                return False
            self.table.append((old, new))
        return True

    def image(self, origin):
        """The snapshot's contents."""
        out = bytearray(origin)
        for old, new in self.table:
            begin = old * self.chunk
            end = min(begin + self.chunk, len(origin))
            out[begin:end] = self.data[new * self.chunk:new * self.chunk + end - begin]
        return bytes(out)


def load(path):
    with open(path, 'rb') as f:
        return Store(f.read())


def image(origin_path, store_path):
    with open(origin_path, 'rb') as f:
        return load(store_path).image(f.read())
