"""SHA-256 of a file, by which one content is known from another."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path

_STEP_BYTES = 32 << 20


def file_sha256(path: Path) -> str:
    """Hash of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashing(path: Path) -> Generator[int, None, str]:
    """`file_sha256` of a large file, in steps of a tenth of a second; yields the bytes that are done."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_STEP_BYTES):
            digest.update(block)
            done += len(block)
            yield done
    return digest.hexdigest()
