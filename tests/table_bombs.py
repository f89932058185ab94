"""Small tables that unfold to a lot, and workbooks with parts of one's own making."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

FRAME = pd.DataFrame({"patient_id": ["P1", "P2"], "os_months": [3.5, 4.0]})
ROW = b"<row><c><v>1</v></c><c><v>1</v></c></row>"


def packed(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """A workbook some of whose parts are changed."""
    plain = io.BytesIO()
    FRAME.to_excel(plain, index=False)
    with (
        zipfile.ZipFile(plain) as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return path


def with_rows(path: Path, rows: bytes) -> Path:
    """A workbook with these rows in its sheet."""

    def change(name: str, data: bytes) -> bytes:
        if "sheet1" not in name:
            return data
        return data[: data.index(b"<sheetData>") + 11] + rows + b"</sheetData></worksheet>"

    return packed(path, change)


def gzipped(path: Path) -> Path:
    """Twelve million rows in 0.3 MB."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"patient_id,os_months\n")
        for _ in range(60):
            file.write(b"P1,1\n" * 200_000)
    return path


def repeated(path: Path) -> Path:
    """A million equal values."""
    pd.DataFrame({"patient_id": ["P"] * 10**6, "os_months": np.zeros(10**6)}).to_parquet(path)
    return path


def table_bombs(folder: Path) -> list[Path]:
    """A gzip, a sheet of a million rows, and a Parquet table of a million equal values."""
    return [
        gzipped(folder / "a.csv.gz"),
        with_rows(folder / "a.xlsx", ROW * 10**6),
        repeated(folder / "a.parquet"),
    ]
