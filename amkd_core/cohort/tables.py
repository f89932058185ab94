"""Reading tables: CSV, TSV, Parquet and Excel, with identifiers as text."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from amkd_core.cohort.columns import MANY_SLIDES_NAMES, ONE_SLIDE_NAMES, PATIENT_NAMES, plain
from amkd_core.cohort.compressed import check_gzip, check_parquet
from amkd_core.cohort.table_text import check_table_text
from amkd_core.cohort.workbook import check_workbook
from amkd_core.errors import CohortError
from amkd_core.hash_beside import check_hash_beside

if TYPE_CHECKING:
    import pandas as pd

# Columns that hold names, whatever digits they consist of, as `plain` writes them.
TEXT_COLUMNS = frozenset(
    (*PATIENT_NAMES, *MANY_SLIDES_NAMES, *ONE_SLIDE_NAMES, "sample", "sample_id", "split")
)
_READERS = ("csv", "tsv", "txt", "parquet", "xlsx")
_MOST_SAID = 200
_SHEETS = "sheets"


def read_table(path: Path, *, text: Collection[str] = (), first_is_text: bool = False) -> pd.DataFrame:
    """Read a table by its suffix: csv, tsv or txt (also with .gz), parquet, xlsx (first sheet).

    Names of patients and slides stay the text that they are in the file, leading zeros included. Where the file
    itself holds numbers (Parquet, Excel), they are their digits, without the ``.0`` that an empty cell brings.

    Parameters
    ----------
    text
        Names of further columns that hold names; those that the table lacks do not count.
    first_is_text
        Whether the first column holds names, whatever it is called.

    Raises
    ------
    CohortError
        When the file is missing, of another kind, empty, damaged, another one than the hash beside it says, unfolds to
        far more than its size, names a column twice, or cannot be parsed; the line is named where there is one.
    """
    if not path.is_file():
        raise CohortError(f"{path}: no such file")
    check_hash_beside(path, CohortError)
    suffixes = [suffix.lstrip(".").lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == ["gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if kind not in _READERS:
        raise CohortError(f"{path.name}: is no table that can be read; expected {', '.join(_READERS)}")
    try:
        frame = _read(path, kind, text, first_is_text)
    except CohortError:
        raise
    except Exception as error:  # readers of damaged workbooks and Parquet raise whatever they meet
        said = " ".join(str(error).split())[:_MOST_SAID]  # some libraries' messages have several lines
        raise CohortError(
            f"{path.name}: cannot be read as a table ({said or type(error).__name__})"
        ) from error
    _refuse_repeated(frame.columns, path.name)
    if not len(frame):
        raise CohortError(f"{path.name}: has names of columns and no rows")
    return frame


def named(path: Path, frame: pd.DataFrame) -> str:
    """A table's name for sentences: its file, and of a workbook with several sheets the one that was read."""
    sheets = frame.attrs.get(_SHEETS, ())
    return path.name if len(sheets) < 2 else f"{path.name}, sheet {sheets[0]} (the first of {len(sheets)})"


def sheet_notes(path: Path, frame: pd.DataFrame) -> list[str]:
    """That a workbook has further sheets, which are not read, in a sentence; none for other tables."""
    sheets = frame.attrs.get(_SHEETS, ())
    if len(sheets) < 2:
        return []
    others = ", ".join(sheets[1:6]) + (", ..." if len(sheets) > 6 else "")
    return [f"Of {path.name} the first sheet is read, {sheets[0]}, and not {others}."]


def _read(path: Path, kind: str, text: Collection[str], first_is_text: bool) -> pd.DataFrame:
    """The table, once it is known what it unfolds to and what it says; errors are those of its reader."""
    import pandas as pd

    if kind == "parquet":
        check_parquet(path)
        frame = pd.read_parquet(path, page_checksum_verification=True)  # where its writer kept any
        frame = _with_index(frame)
        return _with_text(frame, _names(frame, text, first_is_text))
    if kind == "xlsx":
        check_workbook(path)
        with pd.ExcelFile(path) as book:
            # pandas renames columns that repeat; the first row tells what they are called.
            _refuse_repeated(pd.read_excel(book, nrows=1, header=None).to_numpy().ravel(), path.name)
            names = _names(pd.read_excel(book, nrows=0), text, first_is_text)
            frame = pd.read_excel(book, dtype=dict.fromkeys(names, str))
            frame.attrs[_SHEETS] = tuple(map(str, book.sheet_names))
            return frame
    if path.suffix.lower() == ".gz":
        check_gzip(path)
    separator = "," if kind == "csv" else "\t"
    n_remarks = check_table_text(path, separator)
    read: dict[str, Any] = {"sep": separator, "encoding": "utf-8-sig", "index_col": False}
    with _past_remarks(path, n_remarks) as stream:
        names = _names(pd.read_csv(stream, nrows=0, **read), text, first_is_text)
    with _past_remarks(path, n_remarks) as stream:
        frame = pd.read_csv(stream, dtype=dict.fromkeys(names, str), **read)
    # Rows are named by their lines in the file, whose names of columns are line 1 where nothing comes before them.
    return frame.set_axis(frame.index + n_remarks) if n_remarks else frame


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """An index that pandas kept apart, as the first column that it is in every other format; bare row numbers go."""
    import pandas as pd

    if frame.index.nlevels > 1 or frame.index.name is not None:
        return frame.reset_index()
    if pd.api.types.is_numeric_dtype(frame.index.dtype):
        return frame.reset_index(drop=True)
    return frame.rename_axis("Unnamed: 0").reset_index()  # as pandas calls a column without a name in a text


@contextmanager
def _past_remarks(path: Path, n_remarks: int) -> Iterator[IO[str] | Path]:
    """A text behind its first lines: where pandas skips them, a single quotation mark swallows what follows."""
    if not n_remarks:
        yield path
        return
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
        for _ in range(n_remarks):
            stream.readline()
        yield stream


def _refuse_repeated(names: Iterable[Any], file_name: str) -> None:
    """Of two columns of one name nobody knows which is meant."""
    counts = Counter(str(name).strip() for name in names if name is not None and name == name)
    twice = next((name for name, count in counts.items() if count > 1 and name), None)
    if twice is not None:
        raise CohortError(f"{file_name}: column {twice} stands there {counts[twice]} times, expected once")


def _names(frame: pd.DataFrame, text: Collection[str], first_is_text: bool) -> list[Any]:
    """Columns of a table that hold names."""
    first = list(frame.columns[:1]) if first_is_text else []
    return first + [name for name in frame.columns if name in text or plain(str(name)) in TEXT_COLUMNS]


def _with_text(frame: pd.DataFrame, names: Collection[Any]) -> pd.DataFrame:
    """The table itself, with whole numbers among its names as their digits; what is missing stays missing."""
    from pandas.api.types import is_numeric_dtype

    def digits(value: Any) -> str:
        return str(int(value)) if float(value).is_integer() else str(value)

    for place, name in enumerate(frame.columns):
        if name in names and is_numeric_dtype(frame.dtypes.iloc[place]):
            frame.isetitem(place, frame.iloc[:, place].map(digits, na_action="ignore"))
    return frame
