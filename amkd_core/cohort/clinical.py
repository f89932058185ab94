"""The clinical table: patients with slides and follow-up, under the column names of the common sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.cohort.clinical_rows import (
    contradiction_notes,
    event_note,
    joined_times,
)
from amkd_core.cohort.clinical_values import (
    age_notes,
    age_unit,
    in_words,
    sex_notes,
    stage_notes,
)
from amkd_core.cohort.columns import ClinicalColumns, ClinicalKeys, recognise
from amkd_core.cohort.patients import Finding, Patient
from amkd_core.cohort.row_sorting import Rows, shared_slides
from amkd_core.cohort.slide_table import with_slide_table
from amkd_core.cohort.tables import named, read_table, sheet_notes
from amkd_core.errors import CohortError

if TYPE_CHECKING:
    import pandas as pd

MOST_LISTED = 10


@dataclass(frozen=True)
class ClinicalTable:
    """What a clinical table tells.

    Attributes
    ----------
    patients, findings
        Complete ones, and who was kept out for what they lack.
    notes
        Each interpretation that was taken, in a sentence.
    in_words
        Whether words of the event column say who had an event, which no other meaning can turn round.
    """

    patients: tuple[Patient, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    in_words: bool


def read_clinical_table(path: Path, keys: ClinicalKeys) -> ClinicalTable:
    """Patients with complete data, and who was kept out for what they lack.

    Parameters
    ----------
    path
        One row a patient, or one row a slide; see `amkd_core.cohort.columns` for the names.
    keys
        What the cohort file states about the table.

    Raises
    ------
    CohortError
        When columns are missing or rows contradict themselves or each other: a patient twice, a slide of two
        patients, times that are not above 0, flags that are neither 0 nor 1. All of it is listed at once. Also when
        1 is said to mean censored in an event column of words.
    """
    frame = read_table(path, text=(keys.patient_column, keys.slide_column, keys.group))
    source, about_sheets = named(path, frame), sheet_notes(path, frame)
    frame, about_slides = with_slide_table(frame, keys, source)
    if keys.slide_table is not None:
        keys = keys.model_copy(update={"slide_column": ""})
    columns = recognise(list(frame.columns), keys, source)
    unit = age_unit(columns.age, frame[columns.age]) if columns.age else 1.0
    odd_times: list[str] = []
    if columns.two_times is not None:
        frame[columns.time], odd_times = joined_times(columns, columns.two_times, frame.to_dict("records"))
    words = in_words(frame[columns.event])
    meaning = event_note(columns, keys, frame[columns.event], source)
    rows = Rows(columns, keys, words, unit)
    told = frame.to_dict("records")
    # As a spreadsheet counts them: the names of the columns are row 1.
    for number, row in zip(frame.index + 2, told, strict=True):
        rows.take(row, number)
    rows.take_slides_alone()
    problems = [*rows.problems, *shared_slides(tuple(rows.kept.values()))]
    if problems:
        more = f"; and {len(problems) - MOST_LISTED} more" if len(problems) > MOST_LISTED else ""
        listed = "; ".join(problems[:MOST_LISTED]) + more
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise CohortError(f"{source}: {count}: {listed}{rows.way_out}")
    findings = tuple(
        Finding(reason, out)
        for reason, names in rows.out.items()
        if (out := tuple(name for name in names if name not in rows.kept))
    )
    notes = [
        *about_sheets,
        *about_slides,
        *columns.notes,
        *odd_times,
        meaning,
        *contradiction_notes(columns, told, source),
        *_property_notes(columns, frame, unit),
        *_untold(columns, tuple(rows.kept.values())),
        *rows.notes,
    ]
    return ClinicalTable(tuple(rows.kept.values()), findings, tuple(notes), words)


def _property_notes(columns: ClinicalColumns, frame: pd.DataFrame, age_unit_years: float) -> list[str]:
    """How age, sex and stage were read, where that is not plain, in sentences."""
    notes = []
    if columns.age:
        notes += age_notes(columns.age, frame[columns.age], age_unit_years)
    if columns.sex:
        notes += sex_notes(columns.sex, frame[columns.sex], is_flag=columns.sex_is_flag)
    if columns.stage:
        notes += stage_notes(columns.stage, frame[columns.stage])
    return notes


def _untold(columns: ClinicalColumns, patients: Sequence[Patient]) -> list[str]:
    """That the clinical baseline lacks age or stage, and how a column of another name is stated."""
    known = {
        "age": any(patient.age_years is not None for patient in patients),
        "stage": any(patient.stage is not None for patient in patients),
    }
    missing = [name for name, told in known.items() if not told]
    if not patients or not missing:
        return []
    verb = "is" if len(missing) == 1 else "are"
    rest = "no clinical baseline stands beside the models"
    if len(missing) == 1:
        rest = f"the clinical baseline is one of {'stage' if missing == ['age'] else 'age'} alone"
    unfound = [f"{name}_column" for name in missing if not getattr(columns, name)]
    way = f" (a column of another name is stated by {' and '.join(unfound)})" if unfound else ""
    return [f"{' and '.join(missing).capitalize()} {verb} known of no patient, so {rest}{way}."]
