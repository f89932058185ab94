"""A content hash of a slide that is quick on gigabytes.

Up to 64 MiB every byte counts. Above, the hash covers the size, the first and last 4 MiB (where directories and
metadata lie) and 256 blocks of 64 KiB spread evenly with a jitter fixed by the size: any truncation, re-export,
recompression or edit of metadata changes it, an edit in the middle of a big file may not. One is noticed for certain
where it is longer than two 256ths of the file, and a shorter one by the chance of its share of that (of 4 GiB, 1 MiB
hardly ever, 8 MiB in about every second case). A SHA-256 beside the slide notices everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amkd_core.file_hash import file_sha256

WHOLE_BYTES = 64 << 20
END_BYTES = 4 << 20
BLOCK_BYTES = 64 << 10
N_BLOCKS = 256


def fingerprint(files: Sequence[Path]) -> str:
    """Hash the content of the files that make up one slide.

    Parameters
    ----------
    files
        At least one; their order and names do not matter.

    Returns
    -------
    str
        ``"sha256:"`` and 64 hexadecimal digits where every byte of every file counted,
        ``"sampled:"`` and 64 where blocks were sampled.
    """
    whole = all(file.stat().st_size <= WHOLE_BYTES for file in files)
    digests = sorted(_digest(file) for file in files)
    if len(digests) > 1:
        digests = [hashlib.sha256("".join(digests).encode()).hexdigest()]
    return f"{'sha256' if whole else 'sampled'}:{digests[0]}"


def _digest(file: Path) -> str:
    size = file.stat().st_size
    if size <= WHOLE_BYTES:
        return file_sha256(file)
    digest = hashlib.sha256(f"{size}:".encode())
    with file.open("rb") as stream:
        for start, length in _sampled(size):
            stream.seek(start)
            digest.update(stream.read(length))
    return digest.hexdigest()


def _sampled(size: int) -> list[tuple[int, int]]:
    middle = size - 2 * END_BYTES - BLOCK_BYTES
    stride = middle / N_BLOCKS
    jitter = np.random.default_rng(size).random(N_BLOCKS)
    starts = END_BYTES + ((np.arange(N_BLOCKS) + jitter) * stride).astype(np.int64)
    return [(0, END_BYTES), *((int(start), BLOCK_BYTES) for start in starts), (size - END_BYTES, END_BYTES)]
