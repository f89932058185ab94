"""A forged bag that the HDF5 library never comes back from, found among damaged copies of a bag of ours."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bundle_fixtures import random_bag

from amkd_core.bag_file import MAGIC, USER_BLOCK_BYTES, write_bag

_HEAP_HEADER, _OBJECT_HEADER = 16, 16


def write_endless(path: Path, *, ours: bool) -> Path:
    """Let the free space of the heap of texts say that it ends early: zeros follow, read as objects of no length.

    Parameters
    ----------
    ours
        With our mark and a checksum that fits, or as a file of some other tool.
    """
    write_bag(path, random_bag(40))
    body = bytearray(path.read_bytes()[USER_BLOCK_BYTES:])
    at = body.index(b"GCOL") + _HEAP_HEADER
    while int.from_bytes(body[at : at + 2], "little"):
        n_bytes = int.from_bytes(body[at + 8 : at + 16], "little")
        at += _OBJECT_HEADER + -(-n_bytes // 8) * 8
    free = int.from_bytes(body[at + 8 : at + 16], "little")
    assert free > 0x198
    body[at + 8 : at + 16] = (0x198).to_bytes(8, "little")
    block = MAGIC + hashlib.sha256(body).hexdigest().encode() if ours else b""
    path.write_bytes(block.ljust(USER_BLOCK_BYTES, b"\0") + body)
    return path
