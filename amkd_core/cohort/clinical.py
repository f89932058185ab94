"""The clinical table: patients with slides and follow-up, under the column names of the common sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amkd_core.cohort.barcodes import patient_of, site_of
from amkd_core.cohort.clinical_rows import (
    contradiction_notes,
    event_note,
    event_of,
    fault_of_row,
    joined_times,
    part_of,
    slide_ids_of,
)
from amkd_core.cohort.clinical_values import (
    age_notes,
    age_number,
    age_unit,
    in_words,
    is_empty,
    is_untold,
    number_of,
    sex_notes,
    sex_text,
    stage_notes,
    stage_number,
)
from amkd_core.cohort.columns import TCGA_SITE, ClinicalColumns, ClinicalKeys, recognise
from amkd_core.cohort.slide_table import with_slide_table
from amkd_core.cohort.tables import named, read_table, sheet_notes
from amkd_core.errors import CohortError
from amkd_core.file_names import fault_of_identifier
from amkd_core.survival.outcome import Outcome

if TYPE_CHECKING:
    import pandas as pd

MOST_LISTED = 10


@dataclass(frozen=True)
class Patient:
    """One patient with complete follow-up.

    Attributes
    ----------
    patient_id
    slide_ids
        At least one.
    time
        Months to death or censoring, above 0.
    event
        True when the death was seen.
    split
        "train", "validation", "test", or empty when the table does not say.
    age_years, stage
        Age at diagnosis; stage I to IV as 1 to 4; None where unknown.
    sex, group
        As the table says; empty where it does not.
    """

    patient_id: str
    slide_ids: tuple[str, ...]
    time: float
    event: bool
    split: str = ""
    age_years: float | None = None
    sex: str = ""
    stage: int | None = None
    group: str = ""


@dataclass(frozen=True)
class Finding:
    """Patients that were kept out, and why."""

    reason: str
    patients: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.patients[:5]) + (", ..." if len(self.patients) > 5 else "")
        kept_out = "1 patient" if len(self.patients) == 1 else f"{len(self.patients)} patients"
        return f"{kept_out} kept out: {self.reason} ({shown})"


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


def outcome_of(patients: Sequence[Patient]) -> Outcome:
    """Follow-up of patients, in their order."""
    return Outcome(
        np.array([patient.time for patient in patients]), np.array([patient.event for patient in patients])
    )


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
    rows = _Rows(columns, keys, words, unit)
    told = frame.to_dict("records")
    # As a spreadsheet counts them: the names of the columns are row 1.
    for number, row in zip(frame.index + 2, told, strict=True):
        rows.take(row, number)
    problems = [*rows.problems, *_shared_slides(tuple(rows.kept.values()))]
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


@dataclass
class _Rows:
    """Rows of the table, sorted into patients, those kept out, and problems."""

    columns: ClinicalColumns
    keys: ClinicalKeys
    words: bool
    age_unit: float
    kept: dict[str, Patient] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    n_cut: int = 0
    n_taken: int = 0
    n_nonpositive: int = 0
    n_repeated: int = 0
    lacking: dict[str, int] = field(default_factory=dict)
    out: dict[str, list[str]] = field(
        default_factory=lambda: {
            "no follow-up": [],
            "a time of 0 or less": [],
            "no slide": [],
        }
    )

    @property
    def n_left_out(self) -> int:
        """Rows that lack something, of patients who are kept by others."""
        return sum(count for name, count in self.lacking.items() if name in self.kept)

    @property
    def way_out(self) -> str:
        """What is done about times of 0 or less and about patients in several rows; empty where there are none."""
        dropped = '; nonpositive_time = "drop" keeps times of 0 or less out' if self.n_nonpositive else ""
        one = (
            "; one row a patient is expected, where GDC's tables have one a treatment and others one a sample"
        )
        return dropped + (one if self.n_repeated else "")

    @property
    def notes(self) -> list[str]:
        """What became of rows that are no patient by themselves, in sentences."""
        notes = []
        if self.n_left_out:
            count = "1 row" if self.n_left_out == 1 else f"{self.n_left_out} rows"
            verb = "is" if self.n_left_out == 1 else "are"
            notes.append(
                f"{count} without slide or follow-up {verb} left out; the same patients have other rows."
            )
        if self.n_cut:
            notes.append(
                f"{self.n_cut} patients were named by longer TCGA barcodes; their first three parts are taken."
            )
        if self.columns.one_slide_a_row and len(self.kept) < self.n_taken:
            notes.append(f"{self.n_taken} rows, one a slide, are {len(self.kept)} patients.")
        return notes

    def take(self, row: Mapping[Any, Any], number: int) -> None:
        if is_empty(row[self.columns.patient]):
            self.problems.append(f"row {number}: no {self.columns.patient}")
            return
        written = str(row[self.columns.patient]).strip()
        name = patient_of(written)
        self.n_cut += name != written
        repeated = name in self.seen
        self.seen.add(name)
        if repeated and not self.columns.one_slide_a_row:
            self.n_repeated += 1
            self.problems.append(f"row {number}: patient {name} stands there more than once")
            return
        wrong = fault_of_identifier(name)
        if wrong:
            self.problems.append(f"row {number}: {self.columns.patient} {name!r} {wrong}")
            return
        lacking = self._lacking(row)
        fault = "" if lacking else fault_of_row(row, self.columns, self.words)
        if lacking:
            self.lacking[name] = self.lacking.get(name, 0) + 1
            if name not in self.out[lacking]:
                self.out[lacking].append(name)
        elif fault:
            self.n_nonpositive += self._is_nonpositive(row)
            self.problems.append(f"row {number}, patient {name}: {fault}")
        else:
            self._keep(_patient(name, row, self.columns, self.keys, self.age_unit))

    def _keep(self, patient: Patient) -> None:
        self.n_taken += 1
        known = self.kept.get(patient.patient_id)
        if known is None:
            self.kept[patient.patient_id] = patient
            return
        if replace(patient, slide_ids=known.slide_ids) != known:
            self.problems.append(
                f"patient {patient.patient_id}: the rows of its slides contradict each other"
            )
        elif set(patient.slide_ids) & set(known.slide_ids):
            self.problems.append(
                f"patient {patient.patient_id}: slide {patient.slide_ids[0]} stands there more than once"
            )
        else:
            self.kept[patient.patient_id] = replace(known, slide_ids=known.slide_ids + patient.slide_ids)

    def _lacking(self, row: Mapping[Any, Any]) -> str:
        """What the patient has not got; empty when nothing is missing."""
        if is_untold(row[self.columns.time]) or is_untold(row[self.columns.event]):
            return "no follow-up"
        if self.keys.nonpositive_time == "drop" and self._is_nonpositive(row):
            return "a time of 0 or less"
        if not slide_ids_of(row, self.columns):
            return "no slide"
        return ""

    def _is_nonpositive(self, row: Mapping[Any, Any]) -> bool:
        time = number_of(row[self.columns.time])
        return time is not None and time <= 0


def _shared_slides(patients: Sequence[Patient]) -> list[str]:
    """Slides of two patients: on two sides of a split they would leak."""
    owner: dict[str, str] = {}
    problems = []
    for patient in patients:
        for name in patient.slide_ids:
            if owner.setdefault(name, patient.patient_id) != patient.patient_id:
                problems.append(f"slide {name} belongs to patients {owner[name]} and {patient.patient_id}")
    return problems


def _patient(
    name: str, row: Mapping[Any, Any], columns: ClinicalColumns, keys: ClinicalKeys, age_unit: float
) -> Patient:
    def text(column: str) -> str:
        return "" if not column or is_empty(row[column]) else str(row[column]).strip()

    return Patient(
        name,
        slide_ids_of(row, columns),
        float(row[columns.time]) * columns.months,
        bool(event_of(row[columns.event], is_death=columns.event_is_death)),
        part_of(text(columns.split)) or "",
        age_years=age_number(row[columns.age], age_unit) if text(columns.age) else None,
        sex=sex_text(row[columns.sex], is_flag=columns.sex_is_flag) if columns.sex else "",
        stage=stage_number(text(columns.stage)),
        group=site_of(name) if keys.group == TCGA_SITE else text(columns.group),
    )
