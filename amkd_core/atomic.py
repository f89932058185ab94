"""Atomic writes: a reader sees the whole new file or the old one, never a part.

Each write goes to a temporary file in the same folder, is flushed to the disk, and is renamed
over the final name; the folder is flushed after that. A process killed at any point leaves at
most a file whose name begins with ``.tmp-``, which no reader of this project opens. A full disk is one
sentence with the bytes that were written and those that are free.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amkd_core.errors import DiskFullError

TEMPORARY_PREFIX = ".tmp-"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What file systems say that cannot flush a folder, among them CIFS and many of FUSE.
_NO_FOLDER_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES, errno.EPERM)


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
    DiskFullError
        If the disk or the user's share of it is full.
    OSError
        If the folder cannot be made or written; as after any error, no file is left under `final`
        that was not there before.
    """
    final = Path(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex[:12]}{final.suffix}")
    try:
        yield temporary
        _flush(temporary, os.O_RDWR)
        os.replace(temporary, final)
    except BaseException as error:
        written = temporary.stat().st_size if temporary.exists() else 0
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(final)  # the name that the user knows
        full = full_disk(error, final, written)
        if full is not None:
            raise full from error
        raise
    try:
        _flush_folder(final.parent)
    except OSError as error:
        full = full_disk(error, final, final.stat().st_size)
        if full is not None:
            raise full from error
        raise


def require_space(folder: Path, n_bytes: int, *, what: str) -> None:
    """Refuse to begin what the disk does not hold.

    Parameters
    ----------
    folder
        Where it is to be written.
    n_bytes
        How much will be.
    what
        For the sentence ("slide s1 (15000 patches x 1024 features)").

    Raises
    ------
    DiskFullError
        When less is free.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise DiskFullError(
            f"{folder}: {what} needs {readable(n_bytes)} and {readable(free)} are free; make room there, or choose "
            "another folder"
        )


def write_text(final: Path | str, text: str) -> None:
    """Write `text` as UTF-8 to `final`, atomically."""
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(final: Path | str, payload: bytes | memoryview) -> None:
    """Write `payload` to `final`, atomically."""
    with atomic_path(final) as temporary:
        temporary.write_bytes(payload)


def readable(n_bytes: int) -> str:
    """Bytes as people write them ("3.1 MB")."""
    size = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{n_bytes} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _number_of_full(error: BaseException | None) -> int:
    """The system's number of an error that says "full", 0 of any other.

    Some libraries tell it in words only, and some stumble over it and raise what came of that.
    """
    while isinstance(error, Exception):
        number = getattr(error, "errno", None)
        told = re.search(r"os error (\d+)", str(error))
        if number is None and told:
            number = int(told.group(1))
        if number in _FULL:
            return int(number)
        error = error.__cause__ or error.__context__
    return 0


def full_disk(error: BaseException, final: Path, written: int) -> DiskFullError | None:
    """The sentence for an error that means a full disk, after so many bytes of a file; None for any other error."""
    number = _number_of_full(error)
    if not number:
        return None
    free = shutil.disk_usage(final.parent).free
    return DiskFullError(
        f"{final}: {os.strerror(number).lower()} after {readable(written)}, {readable(free)} are free; make room "
        "there and repeat, or choose another folder"
    )


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)  # the system knows no more than the number of an open file
        raise
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    # Windows cannot open a folder as a file; there the rename itself is the best that can be had. So it is where the
    # file system cannot: the file stands under its name, and its content was flushed.
    if os.name != "posix":
        return
    try:
        _flush(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise
