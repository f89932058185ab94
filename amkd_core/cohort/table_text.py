"""What is wrong with the text of a table, found before a parser guesses: encoding, separator, header, lengths of rows.

pandas fills short rows, renames repeated columns, takes a first column for an index where all rows are one cell too
long and reads on after a NUL; each of these gives other numbers without a word.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

from amkd_core.errors import CohortError
from amkd_core.toml_text import WIDE_MARKS

MOST_COLUMNS = 200_000
MOST_LINE_BYTES = 64 * 2**20
_OTHERS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}


def check_table_text(path: Path, separator: str) -> int:
    """Refuse a delimited text that a parser would read as something else than it says.

    Lines before the names of columns that begin with ``#`` are remarks (cBioPortal, GDC); where one has as many cells
    as the row after it, and no remark has, it holds the names itself (Xena's probe maps).

    Parameters
    ----------
    path
        Plain, or compressed where its name ends in ``.gz``.
    separator
        That its name promises: a comma, or a tab.

    Returns
    -------
    int
        Lines of remarks before the names of columns.

    Raises
    ------
    CohortError
        Naming the line, and the column where there is one.
    """
    with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as stream:
        lines = _lines(stream, path.name)
        n_remarks, header, lines = _past_remarks(lines, separator)
        if not header.strip():
            raise CohortError(
                f"{path.name}: is empty or begins with an empty line, expected names of columns"
            )
        begins = ends = n_remarks + 1
        # A name in quotation marks may go over several lines, as spreadsheets write one with a line break.
        while header.count('"') % 2 and len(header) < MOST_LINE_BYTES and (line := next(lines, "")):
            header, ends = header + line, ends + 1
        if header.count('"') % 2:
            raise CohortError(_unclosed(path.name, begins))
        columns = _header(header, separator, path.name, begins)
        n_rows = 0
        for number, found in _lengths(lines, separator, path.name, ends):
            n_rows += 1
            if found != len(columns):
                raise CohortError(_ragged(path.name, number, found, columns, separator, header=begins))
    if not n_rows:
        raise CohortError(f"{path.name}: has names of columns and no rows")
    return n_remarks


def _past_remarks(lines: Iterator[str], separator: str) -> tuple[int, str, Iterator[str]]:
    """How many lines of remarks come first, the line of the columns' names, and the lines after it."""
    remarks: list[str] = []
    for line in lines:
        if not line.startswith("#"):
            break
        remarks.append(line)
    else:
        line = ""
    if not remarks:
        return 0, line, lines
    *others, last = (remark.count(separator) for remark in remarks)
    if not line or (last == line.count(separator) and last not in others):
        return len(others), remarks[-1], chain([line] if line else [], lines)
    return len(remarks), line, lines


def _lines(stream: IO[bytes] | gzip.GzipFile, name: str) -> Iterator[str]:
    """Lines as text; what is no UTF-8 text is refused by its line."""
    number = 0
    while raw := stream.readline(MOST_LINE_BYTES + 1):
        number += 1
        if number == 1 and raw.startswith(WIDE_MARKS):
            raise CohortError(f"{name}: is UTF-16 text, expected UTF-8; save it as CSV in UTF-8")
        if len(raw) > MOST_LINE_BYTES:
            raise CohortError(
                f"{name}, line {number}: is longer than {MOST_LINE_BYTES >> 20} MiB, so this is no table"
            )
        if b"\0" in raw:
            raise CohortError(
                f"{name}, line {number}: holds NUL bytes, expected UTF-8 text; the file is damaged or encoded otherwise"
            )
        # pandas ends a row there as well, unless it is quoted.
        if b'"' not in raw and b"\r" in raw.rstrip(b"\r\n"):
            raise CohortError(
                f"{name}, line {number}: holds a carriage return within it, expected lines that end with a line feed; "
                "save it as CSV again"
            )
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise CohortError(
                f"{name}, line {number}: byte {raw[error.start]:#04x} is no UTF-8 text; save it as CSV in UTF-8"
            ) from error


def _header(line: str, separator: str, name: str, number: int) -> list[str]:
    if line.count(separator) >= MOST_COLUMNS:
        raise CohortError(
            f"{name}, line {number}: has {line.count(separator) + 1:,} columns, expected at most {MOST_COLUMNS:,}"
        )
    columns = _cells(line, separator, name, number)
    if len(columns) < 2:
        other = next((sign for sign in _OTHERS if sign != separator and line.count(sign) > 0), None)
        if other is not None:
            raise CohortError(
                f"{name}, line {number}: columns are separated by {_OTHERS[other]}, expected {_OTHERS[separator]}; "
                f"{_way_out(other, separator)}"
            )
    counts = Counter(column.strip() for column in columns)
    twice = next((column for column, count in counts.items() if count > 1 and column), None)
    if twice is not None:
        raise CohortError(
            f"{name}, line {number}: column {twice} stands there {counts[twice]} times, expected once"
        )
    return columns


def _way_out(found: str, separator: str) -> str:
    """What to do about another separator; where a comma is the decimal one, Excel's CSV has semicolons."""
    if found == ";":
        return "spreadsheets write CSV so where numbers have a decimal comma: save it as .xlsx instead"
    if found == "\t":
        return "name it .tsv"
    return f"export it as {'CSV' if separator == ',' else 'TSV'}"


def _cells(text: str, separator: str, name: str, number: int) -> list[str]:
    """Cells of one row, which may go over several lines."""
    try:
        return next(csv.reader(io.StringIO(text), delimiter=separator), [])
    except csv.Error as error:
        raise CohortError(f"{name}, line {number}: cannot be read as a row of a table ({error})") from error


def _lengths(lines: Iterable[str], separator: str, name: str, header: int) -> Iterator[tuple[int, int]]:
    """Number of each row's last line, and how many cells it has; empty lines are passed over as pandas does."""
    number, quoted = header, ""
    opened = 0
    for line in lines:
        number += 1
        if not quoted and '"' not in line:
            if line.strip("\r\n"):
                yield number, line.count(separator) + 1
            continue
        # A quoted cell may go over several lines; it ends where the quotes are even.
        opened = opened or number
        quoted += line
        if quoted.count('"') % 2 == 0:
            yield number, len(_cells(quoted, separator, name, opened))
            quoted, opened = "", 0
        elif len(quoted) > MOST_LINE_BYTES:
            break
    if quoted:
        raise CohortError(_unclosed(name, opened))


def _unclosed(name: str, line: int) -> str:
    return f"{name}, line {line}: a quotation mark is opened and never closed"


def _ragged(name: str, number: int, found: int, columns: list[str], separator: str, *, header: int) -> str:
    if found < len(columns):
        return f"{name}, line {number}: has {found} of {len(columns)} cells, {columns[found]} is missing"
    hint = "; a decimal comma, or a comma in a text without quotation marks?" if separator == "," else ""
    return f"{name}, line {number}: has {found} cells, but line {header} names {len(columns)} columns{hint}"
