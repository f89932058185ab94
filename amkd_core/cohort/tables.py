"""Reading tables: CSV, TSV, Parquet and Excel, with identifiers as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.cohort.table_text import check_table_text
from amkd_core.errors import CohortError

if TYPE_CHECKING:
    import pandas as pd

# Columns that hold names, whatever digits they consist of.
TEXT_COLUMNS = (
    "patient_id", "case_id", "submitter_id", "bcr_patient_barcode", "_PATIENT", "PATIENT", "Patient ID",
    "slide_id", "slide_ids", "FILENAME", "filename", "sample", "sample_id",
)  # fmt: skip
_READERS = ("csv", "tsv", "txt", "parquet", "xlsx")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table by its suffix: csv, tsv or txt (also with .gz), parquet, xlsx (first sheet).

    Raises
    ------
    CohortError
        When the file is missing, of another kind, empty, or cannot be parsed; the line is named where there is one.
    """
    import pandas as pd

    if not path.is_file():
        raise CohortError(f"{path}: no such file")
    suffixes = [suffix.lstrip(".").lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == ["gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if kind not in _READERS:
        raise CohortError(f"{path.name}: is no table that can be read; expected {', '.join(_READERS)}")
    try:
        if kind == "parquet":
            return pd.read_parquet(path)
        text = dict.fromkeys(TEXT_COLUMNS, str)
        if kind == "xlsx":
            return pd.read_excel(path, dtype=text)
        separator = "," if kind == "csv" else "\t"
        check_table_text(path, separator)
        return pd.read_csv(path, sep=separator, dtype=text, encoding="utf-8-sig", index_col=False)
    except CohortError:
        raise
    except (ValueError, OSError, EOFError, KeyError, UnicodeDecodeError, pd.errors.ParserError) as error:
        said = " ".join(str(error).split())  # some libraries' messages have several lines
        raise CohortError(f"{path.name}: cannot be read as a table ({said})") from error
