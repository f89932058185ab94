"""Seeded damage to files: the seven kinds that FAULTS-like studies use, on any bytes."""

from __future__ import annotations

import numpy as np

KINDS = ("bit", "bytes", "truncation", "zero run", "header byte", "inserted run", "extreme integer")
EXTREMES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
HEADER = 512


def mutated(original: bytes, seed: int) -> tuple[str, bytes]:
    """One damaged copy and the kind of its damage; equal seeds give equal copies."""
    rng = np.random.default_rng(seed)
    kind = KINDS[int(rng.integers(len(KINDS)))]
    data = bytearray(original)
    place = int(rng.integers(len(data)))
    if kind == "bit":
        data[place] ^= 1 << int(rng.integers(8))
    elif kind == "bytes":
        for spot in rng.integers(0, len(data), 8).tolist():
            data[spot] = int(rng.integers(256))
    elif kind == "truncation":
        del data[place:]
    elif kind == "zero run":
        length = min(int(rng.integers(1, 257)), len(data) - place)
        data[place : place + length] = bytes(length)
    elif kind == "header byte":
        data[int(rng.integers(min(HEADER, len(data))))] = int(rng.integers(256))
    elif kind == "inserted run":
        data[place:place] = rng.integers(0, 256, int(rng.integers(1, 65)), dtype=np.uint8).tobytes()
    else:
        size = int(rng.choice([2, 4, 8]))
        value = int(EXTREMES[int(rng.integers(len(EXTREMES)))]) & ((1 << (8 * size)) - 1)
        data[place : place + size] = value.to_bytes(size, "little")[: len(data) - place]
    return kind, bytes(data)
