"""Tables that are held against the hash beside them: nothing in a text says that a digit of it was changed."""

from __future__ import annotations

import re
from pathlib import Path

from amkd_core.errors import CohortError
from amkd_core.file_hash import file_sha256

SUFFIX = ".sha256"
_MOST_BYTES = 1 << 16
_HASH = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])")


def check_hash_beside(path: Path) -> None:
    """Refuse a file that is another one than its hash says, where one lies beside it.

    The hash of ``clinical.csv`` is looked for in ``clinical.csv.sha256``, as `sha256sum` writes it: one line for each
    file, or the hash alone.

    Raises
    ------
    CohortError
        When the file has another hash, or the file of hashes does not tell this one's.
    """
    beside = path.with_name(path.name + SUFFIX)
    if not beside.is_file():
        return
    with beside.open("rb") as file:
        lines = file.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
    expected = {
        found.group().lower() for line in lines if (found := _HASH.search(line)) and _is_of(line, found, path)
    }
    if len(expected) != 1:
        raise CohortError(
            f"{beside}: tells {len(expected) or 'no'} SHA-256 of {path.name}, expected one as sha256sum writes it; "
            "write it anew, or take it away"
        )
    if (own := file_sha256(path)) not in expected:
        raise CohortError(
            f"{path}: is not the file of {beside.name} (SHA-256 {own[:12]}…, expected {expected.pop()[:12]}…); copy it "
            f"again, or write {beside.name} anew where it was changed on purpose"
        )


def _is_of(line: str, found: re.Match[str], path: Path) -> bool:
    """Whether a line that holds a hash means this file: by its name, or for want of any."""
    name = (line[: found.start()] + line[found.end() :]).strip(" \t\\*=")
    name = name.removeprefix("SHA256").strip(" ()=")
    return not name or Path(name).name == path.name
