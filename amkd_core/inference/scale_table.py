"""The table of micrometres per pixel by slide that `amkd extract --mpp-table` takes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from amkd_core.errors import CohortError
from amkd_core.slides import slide_id_of
from amkd_core.slides.microns import user_microns

_MOST_NAMED = 5


def read_scales(table: Path, slides: Sequence[Path]) -> dict[Path, float]:
    """Micrometres per pixel of those slides that a table names.

    Parameters
    ----------
    table
        CSV with the columns ``slide`` (the file's name, with or without its extension; of a path the name counts) and
        ``mpp``.
    slides
        All that may be named.

    Raises
    ------
    CohortError
        If the table cannot be read, a value is no scale, rows of one slide differ, or a row names none of `slides`
        while some of them have no row: one of its names may be misspelt. A table of a whole cohort goes with any part
        of its slides.
    """
    rows = _rows(table)
    known, named = {name for path in slides for name in _names(path)}, {name for _, name, _ in rows}
    without = [path.name for path in slides if named.isdisjoint(_names(path))]
    strangers = list(dict.fromkeys(name or "(empty)" for _, name, _ in rows if name not in known))
    if strangers and without:
        more = f" and {len(strangers) - _MOST_NAMED} more" if len(strangers) > _MOST_NAMED else ""
        raise CohortError(
            f"{table.name}: {', '.join(strangers[:_MOST_NAMED])}{more} in the column slide match none of the "
            f"{len(slides)} slides given, and {without[0]} has no row; correct the names, or take those rows out"
        )
    scales: dict[Path, float] = {}
    for path in slides:
        found = {mpp: line for line, name, mpp in rows if name in _names(path)}
        if len(found) > 1:
            (one, first), (other, second) = list(found.items())[:2]
            raise CohortError(
                f"{table.name}: {path.name} has mpp {one:g} in line {first} and {other:g} in line {second}; "
                "expected one scale per slide"
            )
        if found:
            scales[path] = next(iter(found))
    return scales


def _names(path: Path) -> tuple[str, str]:
    return path.name, slide_id_of(path)


def _rows(table: Path) -> list[tuple[int, str, float]]:
    """Line, file name and scale of each row."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            twice = [name for name in ("slide", "mpp") if reader.fieldnames.count(name) > 1]
            if twice:
                raise CohortError(f"{table.name}: column {twice[0]} stands there twice, expected once")
            rows = [(reader.line_num, _file_name(row["slide"]), float(row["mpp"])) for row in reader]
        for _, _, mpp in rows:
            user_microns(mpp)
    except CohortError:
        raise
    except (OSError, UnicodeDecodeError, KeyError, TypeError, AttributeError, ValueError, csv.Error) as error:
        raise CohortError(
            f"{table.name}: expected a CSV with the columns slide and mpp, one number per slide ({error})"
        ) from error
    return rows


def _file_name(text: str) -> str:
    """The last part of a path of any system."""
    return text.strip().replace("\\", "/").rstrip("/").rpartition("/")[2].strip()
