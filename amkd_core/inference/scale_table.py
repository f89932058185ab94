"""The table of micrometres per pixel by slide that `amkd extract --mpp-table` takes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amkd_core.cohort.columns import plain
from amkd_core.errors import CohortError, ConfigError
from amkd_core.slides import slide_id_of
from amkd_core.slides.microns import read_mpp
from amkd_core.toml_text import WIDE_MARKS

_MOST_NAMED = 5

Scale = float | tuple[float, float]


def read_scales(table: Path, slides: Sequence[Path]) -> dict[Path, Scale]:
    """Micrometres per pixel of those slides that a table names.

    Parameters
    ----------
    table
        CSV with the columns ``slide`` (the file's name, with or without its extension; of a path the name counts) and
        ``mpp``: one number, or x and y in quotes (``"0.25,0.5"``).
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
    scales: dict[Path, Scale] = {}
    for path in slides:
        found = {mpp: line for line, name, mpp in rows if name in _names(path)}
        if len(found) > 1:
            (one, first), (other, second) = list(found.items())[:2]
            raise CohortError(
                f"{table.name}: {path.name} has mpp {_shown(one)} in line {first} and {_shown(other)} in line "
                f"{second}; expected one scale per slide"
            )
        if found:
            scales[path] = next(iter(found))
    return scales


def _names(path: Path) -> tuple[str, str]:
    return path.name, slide_id_of(path)


def _shown(mpp: Scale) -> str:
    return ",".join(f"{value:g}" for value in (mpp if isinstance(mpp, tuple) else (mpp,)))


def _rows(table: Path) -> list[tuple[int, str, Scale]]:
    """Line, file name and scale of each row."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            named = [(name, plain(name)) for name in reader.fieldnames or ()]
            reader.fieldnames = [name for _, name in named]
            twice = [name for name in ("slide", "mpp") if reader.fieldnames.count(name) > 1]
            if twice:
                raise CohortError(f"{table.name}: column {twice[0]} stands there twice, expected once")
            _refuse_other_columns([name for name, _ in named], reader.fieldnames)
            return [(reader.line_num, *_scale_of(row, reader.line_num)) for row in reader]
    except CohortError:
        raise
    except UnicodeDecodeError:
        with table.open("rb") as raw:
            wide = raw.read(2) in WIDE_MARKS
        cause = f"it is {'UTF-16' if wide else 'no UTF-8'} text; save it as CSV in UTF-8"
    except OSError as error:
        cause = error.strerror or str(error)
    except (ValueError, csv.Error) as error:
        cause = str(error)
    raise CohortError(
        f"{table.name}: expected a CSV with the columns slide and mpp, one number per slide ({cause})"
    )


def _refuse_other_columns(names: list[str], read: Sequence[str]) -> None:
    missing = [name for name in ("slide", "mpp") if name not in read]
    if missing:
        other = "; columns are separated by semicolons" if ";" in "".join(names) else ""
        raise ValueError(
            f"line 1 names {', '.join(names) or 'no column'}, not {' and '.join(missing)}{other}"
        )


def _scale_of(row: dict[str | Any, Any], line: int) -> tuple[str, Scale]:
    """Slide and scale of a row as `csv.DictReader` gives it: cells too many stand under None, missing ones are None."""
    if row.get(None):
        raise ValueError(f"line {line} has more cells than line 1; a decimal comma?")
    if row["slide"] is None or row["mpp"] is None:
        raise ValueError(f"line {line} has fewer cells than line 1")
    try:
        mpp = read_mpp(row["mpp"])
    except ConfigError as error:
        raise ValueError(f"line {line}: {error}") from error
    return _file_name(row["slide"]), mpp


def _file_name(text: str) -> str:
    """The last part of a path of any system."""
    return text.strip().replace("\\", "/").rstrip("/").rpartition("/")[2].strip()
