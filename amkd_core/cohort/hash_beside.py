"""Tables that are held against the hash beside them: nothing in a text says that a digit of it was changed."""

from __future__ import annotations

from pathlib import Path

from amkd_core.errors import CohortError
from amkd_core.file_hash import file_sha256
from amkd_core.hash_beside import beside, hash_beside


def check_hash_beside(path: Path) -> None:
    """Refuse a file that is another one than its hash says, where one lies beside it.

    Raises
    ------
    CohortError
        When the file has another hash, or the file of hashes does not tell this one's.
    """
    expected = hash_beside(path, CohortError)
    if expected is None or (own := file_sha256(path)) == expected:
        return
    name = beside(path).name
    raise CohortError(
        f"{path}: is not the file of {name} (SHA-256 {own[:12]}…, expected {expected[:12]}…); copy it "
        f"again, or write {name} anew where it was changed on purpose"
    )
