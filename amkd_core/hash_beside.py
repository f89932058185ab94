"""The hash of a file that lies beside it, as `sha256sum` writes it: ``clinical.csv`` and ``clinical.csv.sha256``."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Generator, Iterable
from pathlib import Path

from amkd_core.errors import AmkdError
from amkd_core.file_hash import hashing

SUFFIX = ".sha256"
HASH = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])")
_MOST_BYTES = 1 << 16
_CHECKED = frozenset((".gz", ".xlsx", ".pt"))
"""Formats of tables and features that carry checksums of their own; HDF5, Parquet and text carry none."""


def beside(path: Path) -> Path:
    """Where a file's hash lies, if anywhere."""
    return path.with_name(path.name + SUFFIX)


def has_hash_beside(path: Path) -> bool:
    """Whether a file is held against a hash beside it when it is read."""
    return beside(path).is_file()


def bare(path: Path) -> bool:
    """Whether nothing would tell that a file is damaged: neither its format, nor a hash beside it."""
    return path.is_file() and path.suffix.lower() not in _CHECKED and not has_hash_beside(path)


def told_of_bare(paths: Iterable[Path]) -> str:
    """What is to be said of tables that are `bare`, as one sentence; empty where none of them is."""
    names = ", ".join(path.name for path in paths if bare(path))
    return (
        f"No SHA-256 lies beside {names}: a damaged digit there would be read as it stands." if names else ""
    )


def hash_beside(path: Path, error: type[AmkdError]) -> str | None:
    """SHA-256 that is told of a file beside it: one line for each file, or the hash alone.

    Parameters
    ----------
    path
        The file; it need not be there.
    error
        Raised when the file of hashes does not tell this one's.

    Returns
    -------
    str or None
        64 hexadecimal digits in lower case; None where no file of hashes lies there.

    Raises
    ------
    AmkdError
        `error`.
    """
    place = beside(path)
    if not place.is_file():
        return None
    with place.open("rb") as file:
        lines = file.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
    told = {
        found.group().lower() for line in lines if (found := HASH.search(line)) and _is_of(line, found, path)
    }
    if len(told) != 1:
        raise error(
            f"{place}: tells {len(told) or 'no'} SHA-256 of {path.name}, expected one as sha256sum writes it; "
            "write it anew, or delete it"
        )
    return told.pop()


def check_hash_beside(path: Path, error: type[AmkdError]) -> None:
    """Refuse a file that is another one than its hash says, where one lies beside it.

    Raises
    ------
    AmkdError
        `error`, when the file has another hash, or the file of hashes does not tell this one's.
    """
    deque(check_hash_in_steps(path, error), maxlen=0)


def check_hash_in_steps(path: Path, error: type[AmkdError]) -> Generator[int, None, None]:
    """`check_hash_beside` of a large file; yields the bytes that are done.

    Raises
    ------
    AmkdError
        As `check_hash_beside`.
    """
    expected = hash_beside(path, error)
    if expected is None or (own := (yield from hashing(path))) == expected:
        return
    name = beside(path).name
    raise error(
        f"{path}: is not the file of {name} (SHA-256 {own[:12]}…, expected {expected[:12]}…); copy it again, or delete "
        f"{name} where it was changed on purpose"
    )


def _is_of(line: str, found: re.Match[str], path: Path) -> bool:
    """Whether a line that holds a hash means this file: by its name, or for want of any."""
    name = (line[: found.start()] + line[found.end() :]).strip(" \t\\*=")
    name = name.removeprefix("SHA256").strip(" ()=")
    return not name or Path(name).name == path.name
