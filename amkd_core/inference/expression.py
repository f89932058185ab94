"""A patient's expression from a file, for the teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amkd_core.cohort.barcodes import patient_of
from amkd_core.cohort.columns import PATIENT_NAMES, plain
from amkd_core.cohort.expression import brought_to_logs, likely_scale
from amkd_core.cohort.genes import numbers_of, read_expression, read_table, refuse_dates
from amkd_core.errors import CohortError
from amkd_core.private_names import remember_name

if TYPE_CHECKING:
    import pandas as pd

    from amkd_core.bundle_card import BundleCard

# So many genes are most of what is expressed, and one of them is always high or, of z-scores, below the mean.
_TRANSCRIPTOME = 1000
_SMALLEST_PEAK = 25.0
_EXPECTED = {
    "log": "logarithms (within -40 and 40)",
    "linear": "counts or TPM (none below 0, the largest above 25)",
    "zscore": "z-scores (some below 0)",
}


def read_genes(path: Path, patient: str | None = None) -> dict[str, float]:
    """Expression of one patient by gene symbol: `read_patient` without whose it is."""
    return read_patient(path, patient)[1]


def read_patient(path: Path, patient: str | None = None) -> tuple[str, dict[str, float]]:
    """A patient and his expression by gene symbol, as it stands in the file (`on_training_scale` makes use of it).

    Two layouts are read: patients in rows with a column ``patient_id``, or as clinical tables call it, and genes in
    rows with a first column ``gene`` and one column a patient. Where the first column has another name, the patient who
    is asked for tells which of them it is.

    Parameters
    ----------
    patient
        Whose; may be left out where the table holds one patient.

    Raises
    ------
    CohortError
        When the file is no such table, a gene stands there twice or is named like a date, a value is no number or
        infinite, or the patient is not in it or not stated among several.
    """
    remember_name(path, path.name)  # not its stem, which may be a word like "expression"
    frame = read_table(path, first_is_text=True)
    column = column_of_patients(frame, patient)
    if column is not None:
        table = read_expression(path, column)
        name = _choose(path, list(table.patients), patient)
        row = table.values[table.patients.index(name)]
        return name, dict(zip(table.genes, row.tolist(), strict=True))
    # A workbook may name its patients by numbers.
    frame.columns = [str(column).strip() for column in frame.columns]
    genes_first = plain(frame.columns[0]) == "gene" or patient in frame.columns[1:]
    if not genes_first or len(frame.columns) < 2:
        raise CohortError(_neither_way(path.name, list(frame.columns), patient))
    name = _choose(path, list(frame.columns[1:]), patient)
    symbols = frame.iloc[:, 0]
    twice = symbols[symbols.duplicated()]
    if len(twice):
        raise CohortError(
            f"{path.name}: gene {twice.iloc[0]} stands there more than once, expected each one once"
        )
    names = [str(gene) for gene in symbols]
    refuse_dates(names, path.name)
    genes = dict(zip(names, numbers_of(frame[[name]], path.name)[:, 0].tolist(), strict=True))
    infinite = next((gene for gene, value in genes.items() if math.isinf(value)), None)
    if infinite is not None:
        raise CohortError(
            f"{path.name}: expression of {name} is {genes[infinite]:g} for gene {infinite} (the logarithm of 0?), "
            "expected finite numbers; leave out what was not measured"
        )
    return name, genes


def _neither_way(file_name: str, columns: list[str], patient: str | None) -> str:
    """That nothing tells which way round a table stands; with a patient also that no column is called so."""
    expected = "expected patient_id (patients in rows) or gene (genes in rows)"
    said = f"{file_name}: the first column is {columns[0]}, {expected}, or "
    if patient is None:
        return f"{said}--patient"
    samples = [column for column in columns[1:] if patient_of(column) == patient_of(patient)]
    known = f"; its samples are {', '.join(samples[:5])}: name one of them" if samples else ""
    return f"{said}a column {patient}{known}"


def column_of_patients(frame: pd.DataFrame, patient: str | None = None) -> str | None:
    """Column in which an expression table names its patients; None where genes stand in rows, or nothing tells."""
    columns = [str(column) for column in frame.columns]
    if PATIENT_NAMES[0] in columns:
        return PATIENT_NAMES[0]
    if plain(columns[0]) == "gene" or (patient is not None and patient in columns[1:]):
        return None
    named = next((column for name in PATIENT_NAMES for column in columns if plain(column) == name), None)
    if named is None and patient is not None and patient in {str(name).strip() for name in frame.iloc[:, 0]}:
        return columns[0]
    return named


def on_training_scale(genes: Mapping[str, float], card: BundleCard, *, name: str) -> dict[str, float]:
    """Bring a patient's expression to the scale on which a model's teacher learned.

    The training cohort's table was taken as logarithms, counts or TPM, or z-scores; the patient's is taken alike.

    Parameters
    ----------
    genes
        As `read_genes` gives them, of the file `name`.

    Returns
    -------
    dict
        Expression by gene symbol, as the teacher reads it; genes without a value (NaN) keep none.

    Raises
    ------
    CohortError
        When the values cannot stand on that scale; the file, what was found and what is expected are named.
    """
    scale, values = card.expression_scale, np.array(list(genes.values()), dtype=np.float64)
    known = values[np.isfinite(values)]
    if not known.size:
        return dict(genes)
    low, high = float(known.min()), float(known.max())
    likely = likely_scale(low, high)
    is_wrong = {
        "log": likely != "log",
        # A whole transcriptome whose largest count is that small was brought to logarithms before.
        "linear": low < 0 or (len(known) >= _TRANSCRIPTOME and high <= _SMALLEST_PEAK),
        "zscore": low >= 0 and len(known) >= _TRANSCRIPTOME,
    }[scale]
    if is_wrong:
        raise CohortError(
            f"{name}: expression runs from {low:g} to {high:g}, expected {_EXPECTED[scale]}, as in the table that "
            f"model {card.name} was trained on"
        )
    return dict(zip(genes, brought_to_logs(values, scale).tolist(), strict=True))


def _choose(path: Path, patients: list[str], wanted: str | None) -> str:
    if wanted is None and len(patients) == 1:
        return patients[0]
    if wanted in patients:
        return str(wanted)
    shown = ", ".join(patients[:3]) + (", ..." if len(patients) > 3 else "")
    asked = "say which patient with --patient" if wanted is None else f"there is no patient {wanted}"
    raise CohortError(f"{path.name}: holds {len(patients)} patients ({shown}); {asked}")
