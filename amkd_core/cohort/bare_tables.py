"""Tables whose content nothing vouches for: plain text and Parquet carry no checksum, and no hash lies beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.atomic import write_text
from amkd_core.errors import CohortError, DiskFullError
from amkd_core.file_hash import file_sha256
from amkd_core.hash_beside import bare, beside, told_of_bare

if TYPE_CHECKING:
    from amkd_core.cohort.cohort import CohortFile

_TABLES = ("clinical", "slide_table", "expression", "probe_map", "pathways", "gene_groups", "folds")


def bare_tables(file: CohortFile) -> tuple[Path, ...]:
    """Tables of a cohort that are `bare`, each once, in the order of the keys."""
    named = (getattr(file, key) for key in _TABLES)
    return tuple(dict.fromkeys(path for path in named if path is not None and bare(path)))


def bare_note(file: CohortFile) -> tuple[str, ...]:
    """What is to be said of a cohort's bare tables: one sentence, or none where there are none of them."""
    said = told_of_bare(bare_tables(file))
    if not said:
        return ()
    return (
        f"{said} Once the tables are known to be right, amkd cohort --write-hashes writes what they are held against "
        "from then on.",
    )


def write_hashes(tables: tuple[Path, ...]) -> tuple[Path, ...]:
    """Write each table's hash beside it, as `sha256sum` would, and return where.

    Raises
    ------
    CohortError
        When a folder cannot be written to.
    DiskFullError
        When its disk has no room.
    """
    for path in tables:
        try:
            write_text(beside(path), f"{file_sha256(path)}  {path.name}\n")
        except DiskFullError:
            raise
        except OSError as error:
            raise CohortError(
                f"{beside(path)}: cannot be written ({error.strerror or error}); copy the tables elsewhere first"
            ) from error
    return tuple(map(beside, tables))
