"""Atomic writes: a reader sees the whole new file or the old one, never a part.

Each write goes to a temporary file in the same folder, is flushed to the disk, and is renamed
over the final name; the folder is flushed after that. A process killed at any point leaves at
most a file whose name begins with ``.tmp-``, which no reader of this project opens.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"


@contextmanager
def atomic_path(final: Path | str) -> Iterator[Path]:
    """Yield a temporary path that becomes `final` when the block ends without an error.

    Parameters
    ----------
    final
        Where the file shall stand. Its folder is made when missing.

    Yields
    ------
    Path
        A path in the same folder with the same suffix, not existing yet.

    Raises
    ------
    OSError
        If the folder cannot be made or written, or the disk is full; no file is left under `final`
        that was not there before.
    """
    final = Path(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex[:12]}{final.suffix}")
    try:
        yield temporary
        _flush(temporary, os.O_RDWR)
        os.replace(temporary, final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(final.parent)


def write_text(final: Path | str, text: str) -> None:
    """Write `text` as UTF-8 to `final`, atomically."""
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(final: Path | str, payload: bytes) -> None:
    """Write `payload` to `final`, atomically."""
    with atomic_path(final) as temporary:
        temporary.write_bytes(payload)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    # Windows cannot open a folder as a file; there the rename itself is the best that can be had.
    if os.name == "posix":
        _flush(folder, os.O_RDONLY)
