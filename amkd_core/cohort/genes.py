"""Expression tables, joined to patients by identifier and never by row position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.cohort.tables import read_table
from amkd_core.errors import CohortError
from amkd_core.pathway_effects import standardised

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "PATIENT_COLUMN",
    "ExpressionTable",
    "GeneScaling",
    "numbers_of",
    "read_expression",
    "read_table",
    "refuse_dates",
    "refuse_gaps",
]

Array = NDArray[np.float64]

PATIENT_COLUMN = "patient_id"
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*"
# As spreadsheets show MARCH1 and SEPT2, and as their cells of dates are read: 2024-03-01 00:00:00.
_DATE = re.compile(
    rf"^(\d{{1,2}}[-/. ]{_MONTH}([-/. ]\d{{2,4}})?|{_MONTH}[-/. ]\d{{1,4}}"
    r"|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T]\d{1,2}:.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})$",
    re.I,
)


@dataclass(frozen=True, eq=False, repr=False)
class ExpressionTable:
    """log-scale expression of patients.

    Attributes
    ----------
    patients : tuple of str, length n
    genes : tuple of str, length n_genes
    values : array, shape (n, n_genes)
    """

    patients: tuple[str, ...]
    genes: tuple[str, ...]
    values: Array

    def __repr__(self) -> str:
        return f"ExpressionTable({len(self.patients)} patients x {len(self.genes)} genes)"

    def rows(self, patients: Sequence[str], genes: Sequence[str]) -> Array:
        """Values of some patients and genes, in their order, shape (len(patients), len(genes)).

        Raises
        ------
        CohortError
            When a patient or gene is not in the table.
        """
        by_patient = {name: row for row, name in enumerate(self.patients)}
        by_gene = {name: column for column, name in enumerate(self.genes)}
        absent = [name for name in patients if name not in by_patient] + [
            g for g in genes if g not in by_gene
        ]
        if absent:
            raise CohortError(
                f"expression lacks {', '.join(absent[:5])}{' and others' if len(absent) > 5 else ''}"
            )
        rows = [by_patient[name] for name in patients]
        columns = [by_gene[name] for name in genes]
        values: Array = self.values[np.ix_(rows, columns)]
        return values


@dataclass(frozen=True, eq=False)
class GeneScaling:
    """Mean and standard deviation of each gene over training patients, for z-scores.

    Attributes
    ----------
    mean, std : array, shape (n_genes,)
        A gene that does not vary has a std of 1.
    """

    mean: Array
    std: Array

    @classmethod
    def fit(cls, values: Array) -> GeneScaling:
        """Learn from training patients alone, shape (n_training_patients, n_genes)."""
        # The same number in every patient, -9.9658 say, leaves a std of rounding errors.
        _, mean, std = standardised(values)
        return cls(mean, std)

    def apply(self, values: Array) -> Array:
        """z-scores, same shape as the values."""
        return (values - self.mean) / self.std


def read_expression(path: Path, column: str = PATIENT_COLUMN) -> ExpressionTable:
    """Read a table with patients in rows, named in one column, and gene symbols in columns (CSV, TSV or Parquet).

    Raises
    ------
    CohortError
        When the file is missing or no such table, a patient or gene stands there twice, a gene is named like a date, or
        a value is no finite number.
    """
    frame = read_table(path, text=(column,))
    if column not in frame.columns:
        found = ", ".join(str(name) for name in frame.columns[:4])
        raise CohortError(f"{path.name}: no column {column} (found {found}, ...), expected patients in rows")
    patients = [str(name).strip() for name in frame[column]]
    values = frame.drop(columns=column)
    genes = [str(name) for name in values.columns]
    for kind, names in (("patient", patients), ("gene", genes)):
        twice = (
            sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        )
        if twice:
            raise CohortError(
                f"{path.name}: {kind} {twice[0]} stands there more than once, expected each one once"
            )
    refuse_dates(genes, path.name)
    numbers = numbers_of(values, path.name)
    refuse_gaps(patients, genes, numbers, path.name)
    return ExpressionTable(tuple(patients), tuple(genes), numbers)


def refuse_gaps(patients: Sequence[str], genes: Sequence[str], values: Array, file_name: str) -> None:
    """Refuse values (n_patients, n_genes) that are not finite, with the first of them named.

    Raises
    ------
    CohortError
    """
    broken = np.argwhere(~np.isfinite(values))
    if len(broken):
        row, column = broken[0]
        raise CohortError(
            f"{file_name}: patient {patients[row]}, gene {genes[column]} is {values[row, column]}, expected a finite "
            f"number ({len(broken)} such values)"
        )


def refuse_dates(genes: Sequence[str], file_name: str) -> None:
    """Refuse genes whose names a spreadsheet has taken for dates: MARCH1 and MARC1 are both 1-Mar then.

    Raises
    ------
    CohortError
    """
    dates = [gene for gene in genes if _DATE.match(gene)]
    if dates:
        raise CohortError(
            f"{file_name}: {len(dates)} genes are named like dates ({', '.join(dates[:3])}): a spreadsheet has changed "
            "them; use the original table"
        )


def numbers_of(frame: pd.DataFrame, file_name: str) -> Array:
    """Cells of a table as numbers, in its shape. Truth values and dates would pass as numbers, and are none.

    Raises
    ------
    CohortError
        Naming the first cell that is none, by row (the names of the columns are row 1) and column.
    """
    odd = [place for place, kind in enumerate(frame.dtypes) if kind.kind not in "iuf"]
    for place in odd:
        _refuse_words(frame.iloc[:, place], file_name)
    try:
        numbers: Array = frame.to_numpy(dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        said = " ".join(str(error).split())[:200]
        raise CohortError(f"{file_name}: expression must be numbers ({said})") from error
    return numbers


def _refuse_words(cells: pd.Series[Any], file_name: str) -> None:
    import pandas as pd

    read = pd.to_numeric(cells, errors="coerce")
    no_number = cells.map(lambda cell: isinstance(cell, (bool, np.bool_, date)))
    wrong = np.flatnonzero((read.isna() & cells.notna()) | no_number)
    if wrong.size:
        found = str(cells.iloc[wrong[0]])[:40]
        raise CohortError(
            f"{file_name}: row {cells.index[wrong[0]] + 2}, column {cells.name}: {found!r} is no number, expression "
            "must be numbers"
        )
