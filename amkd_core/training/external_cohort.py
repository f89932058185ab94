"""Reading a cohort to be scored: slides and follow-up are enough, expression is welcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from amkd_core.cohort.bare_tables import bare_note
from amkd_core.cohort.checks import follow_up_warnings
from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.cohort import Cohort, expression_of, read_cohort_file
from amkd_core.cohort.expression import ReadExpression
from amkd_core.cohort.genes import ExpressionTable
from amkd_core.cohort.pathways import read_gmt
from amkd_core.errors import CohortError
from amkd_core.survival.endpoints import words_of
from amkd_core.toml_text import parsed_toml

OPTIONAL = ("expression", "pathways")
NO_TABLE = ExpressionTable((), (), np.zeros((0, 0)))


def names_no_genes(path: Path) -> bool:
    """Whether a cohort's file lacks expression or pathways, so that nothing can be trained on it."""
    stated = _stated(path)
    return bool(stated) and any(key not in stated for key in OPTIONAL)


def read_external_cohort(path: Path) -> Cohort:
    """A cohort whose patients need slides and follow-up, but no expression.

    `amkd_core.cohort.cohort.read_cohort` keeps patients without expression out, because a teacher cannot learn from
    them. A student can score them. Here ``expression`` and ``pathways`` may be left out of the file, and patients
    without a row in the expression table stay.

    Raises
    ------
    ConfigError, CohortError
        As `read_cohort`.
    """
    absent = [key for key in OPTIONAL if key not in _stated(path)]
    # The settings want a path for each table; that of a table which is not there is never opened.
    file = read_cohort_file(path, dict.fromkeys(absent, "not given"))
    table = read_clinical_table(file.clinical, file)
    if not table.patients:
        reasons = ", ".join(f"{len(item.patients)} have {item.reason}" for item in table.findings)
        raise CohortError(f"{file.clinical.name}: no patient is complete ({reasons or 'the table is empty'})")
    known = frozenset(patient.patient_id for patient in table.patients)
    read = ReadExpression(NO_TABLE, ()) if "expression" in absent else expression_of(file, known)
    pathways = () if "pathways" in absent else read_gmt(file.pathways)
    warnings = follow_up_warnings(
        table.patients,
        confirmed=file.event_means is not None or table.in_words,
        name=file.clinical.name,
        words=words_of(file.endpoint),
    )
    notes = (*table.notes, *read.notes, *bare_note(file))
    return Cohort(
        path, file, table.patients, read.table, pathways, table.findings, notes, warnings, (), read.scale
    )


def _stated(path: Path) -> dict[str, Any]:
    """Keys of the file; what is wrong with it is said by whoever reads it in full."""
    try:
        tables = parsed_toml(path.read_text(encoding="utf-8"), path.name)
    except (OSError, ValueError):
        return {}
    stated = tables.get("cohort", {})
    return stated if isinstance(stated, dict) else {}
