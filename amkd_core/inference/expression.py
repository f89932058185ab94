"""A patient's expression from a file, for the teacher."""

from __future__ import annotations

from pathlib import Path

from amkd_core.cohort.genes import PATIENT_COLUMN, read_expression, read_table
from amkd_core.errors import CohortError


def read_genes(path: Path, patient: str | None = None) -> dict[str, float]:
    """log-scale expression of one patient by gene symbol.

    Two layouts are read: patients in rows with a column ``patient_id``, and genes in rows with a first
    column ``gene`` and one column a patient.

    Parameters
    ----------
    patient
        Whose; may be left out where the table holds one patient.

    Raises
    ------
    CohortError
        When the file is no such table, or the patient is not in it or not stated among several.
    """
    frame = read_table(path)
    if PATIENT_COLUMN in frame.columns:
        table = read_expression(path)
        name = _choose(path, list(table.patients), patient)
        row = table.values[table.patients.index(name)]
        return dict(zip(table.genes, row.tolist(), strict=True))
    if frame.columns[0] != "gene" or len(frame.columns) < 2:
        raise CohortError(
            f"{path.name}: the first column is {frame.columns[0]}, expected patient_id (patients in rows) or gene "
            "(genes in rows)"
        )
    name = _choose(path, [str(column) for column in frame.columns[1:]], patient)
    try:
        return {str(gene): float(value) for gene, value in zip(frame["gene"], frame[name], strict=True)}
    except (TypeError, ValueError) as error:
        raise CohortError(f"{path.name}: expression of {name} must be numbers ({error})") from error


def _choose(path: Path, patients: list[str], wanted: str | None) -> str:
    if wanted is None and len(patients) == 1:
        return patients[0]
    if wanted in patients:
        return str(wanted)
    shown = ", ".join(patients[:3]) + (", ..." if len(patients) > 3 else "")
    asked = "say which patient with --patient" if wanted is None else f"there is no patient {wanted}"
    raise CohortError(f"{path.name}: holds {len(patients)} patients ({shown}); {asked}")
