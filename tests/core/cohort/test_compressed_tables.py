"""Packed tables: what unfolds to far more than its size is refused before it is parsed, damage is a sentence."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest
from table_bombs import ROW, gzipped, packed, repeated, with_rows

from amkd_core.cohort.tables import read_table
from amkd_core.errors import CohortError


def after(path: Path, part: str, mark: bytes, added: bytes) -> Path:
    return packed(path, lambda name, data: data.replace(mark, mark + added) if name.endswith(part) else data)


def long_texts(path: Path) -> Path:
    pd.DataFrame({"patient_id": ["P" * 10**5] * 1000}).to_parquet(path)
    return path


BOMBS = {
    "a gzip": (gzipped, "a.csv.gz", r"unfolds to more than \d+ MiB from 0\.\d+ MiB, expected at most 100 times"),
    "a sheet": (lambda path: with_rows(path, ROW * 10**6), "a.xlsx", "unfolds to more than 39 MiB"),
    "a row far below": (
        lambda path: with_rows(path, ROW + b'<row r="2000000000"><c r="A2"><v>1</v></c></row>'),
        "a.xlsx",
        r"row 2,000,000,000 follows row 1, expected rows in order up to 1,048,576",
    ),
    "a row without end": (
        lambda path: with_rows(path, ROW + b'<row r="%s"/>' % (b"9" * 5000)), "a.xlsx", "row -1 follows row 1"
    ),
    "rows of one far cell": (
        lambda path: with_rows(path, b'<row><c r="XFD1"><v>1</v></c></row>' * 20_000),
        "a.xlsx",
        "row 245 ends a sheet of 4,014,080 cells, of which 245 are there",
    ),
    "a cell beyond the sheet": (
        lambda path: with_rows(path, b'<row><c r="ZZZ1"><v>1</v></c></row>'), "a.xlsx", "row 1 has a cell beyond"
    ),
    "styles": (
        lambda path: after(path, "styles.xml", b"</cellXfs>", b"<a/>" * 200_000),
        "a.xlsx",
        "its styleSheet has more than 100,000 entries",
    ),
    "sheets": (
        lambda path: after(path, "xl/workbook.xml", b"<sheets>", b'<sheet name="a" sheetId="1"/>' * 20_000),
        "a.xlsx",
        "its workbook has more than 10,000 entries",
    ),
    "entities": (
        lambda path: packed(path, lambda _, data: b'<!DOCTYPE a [<!ENTITY b "b">]>' + data[data.index(b"?>") + 2 :]
                            if data.startswith(b"<?xml") else b"<!DOCTYPE a><a/>"),
        "a.xlsx",
        "defines entities of its own",
    ),
    "values of Parquet": (repeated, "a.parquet", "unfolds to more than 15 MiB"),
    "texts of Parquet": (long_texts, "a.parquet", "unfolds to more than 95 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("bomb", list(BOMBS))
def test_bombs_are_refused_before_they_are_parsed_and_take_no_memory(
    bomb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, name, sentence = BOMBS[bomb]
    path = write(tmp_path / name)
    assert path.stat().st_size < 2 * 2**20

    def parsed(*_: object, **__: object) -> None:
        raise AssertionError("was parsed")

    for reader in ("ExcelFile", "read_csv", "read_parquet"):
        monkeypatch.setattr(pd, reader, parsed)
    tracemalloc.start()
    with pytest.raises(CohortError, match=sentence):
        read_table(path)
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_what_real_tables_shrink_to_is_read(tmp_path: Path) -> None:
    """Gaps and empty rows below a table, as spreadsheets leave them, and a column of one value."""
    path = with_rows(tmp_path / "a.xlsx", (
        b'<row r="1"><c r="A1"><v>7</v></c><c r="C1"><v>8</v></c></row>'
        b'<row r="3"><c r="A3"><v>5</v></c><c r="C3"><v>6</v></c><c r="XFD3" s="0"/></row><row r="40000"/>'
    ))  # fmt: skip
    read = read_table(path)
    assert (read[7].iloc[-1], read[8].iloc[-1]) == (5, 6)
    rows = "patient_id,os_months,site\n" + "".join(
        f"P{index},{index / 7:.3f},Berlin\n" for index in range(20_000)
    )
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(rows.encode()))
    assert len(read_table(tmp_path / "a.csv.gz")) == 20_000


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), r"is an old Excel workbook \(\.xls\) or one with a"),
        (b"no", "is no Excel workbook, or a damaged one"),
    ],
)  # fmt: skip
def test_what_is_no_workbook_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(CohortError, match=rf"a\.xlsx: {sentence}"):
        read_table(tmp_path / "a.xlsx")


def test_a_workbook_without_its_sheet_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    broken = packed(tmp_path / "a.xlsx", lambda name, data: b"<a" if "sheet1" in name else data)
    with pytest.raises(CohortError, match=r"a\.xlsx: cannot be read as a table \("):
        read_table(broken)
    with pytest.raises(CohortError, match=r"a\.xlsx: has names of columns and no rows"):
        read_table(with_rows(tmp_path / "a.xlsx", b"<row><c><v>1</v></c></row>"))


@pytest.mark.parametrize("ending", ["xlsx", "parquet"])
def test_a_column_twice_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    frame = pd.DataFrame([["P1", 1.0, 2.0]], columns=["patient_id", "os_months", "os_months "])
    getattr(frame, {"parquet": "to_parquet", "xlsx": "to_excel"}[ending])(path, index=False)
    with pytest.raises(CohortError, match="column os_months stands there 2 times, expected once"):
        read_table(path)
