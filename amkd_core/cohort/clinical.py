"""The clinical table: patients with slides and follow-up, under the column names of the common sources."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from amkd_core.cohort.barcodes import patient_of, site_of
from amkd_core.cohort.columns import TCGA_SITE, ClinicalColumns, ClinicalKeys, recognise
from amkd_core.cohort.tables import read_table
from amkd_core.errors import CohortError
from amkd_core.file_names import fault_of_file_name, fault_of_identifier
from amkd_core.survival.outcome import Outcome

PARTS = ("train", "validation", "test")
MOST_LISTED = 10
LONGEST_MONTHS = 1_500.0

_SLIDE_SUFFIX = re.compile(r"\.(svs|tiff?|ndpi|mrxs|scn|dcm|h5|pt)$", re.IGNORECASE)
_STAGES = {"I": 1, "II": 2, "III": 3, "IV": 4}
_DEATH_WORDS = {
    "dead": True,
    "deceased": True,
    "1:deceased": True,
    "alive": False,
    "living": False,
    "0:living": False,
}
_TRUTHS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


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
    """

    patients: tuple[Patient, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


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
        patients, times that are not above 0, flags that are neither 0 nor 1. All of it is listed at once.
    """
    frame = read_table(path)
    columns = recognise(list(frame.columns), keys, path.name)
    told = [value for value in frame[columns.event] if not _is_empty(value)]
    words = bool(told) and all(str(value).strip().lower() in _DEATH_WORDS for value in told)
    rows = _Rows(columns, keys, words)
    # As a spreadsheet counts them: the names of the columns are row 1.
    for number, row in enumerate(frame.to_dict("records"), start=2):
        rows.take(row, number)
    problems = [*rows.problems, *_shared_slides(tuple(rows.kept.values()))]
    if problems:
        more = f"; and {len(problems) - MOST_LISTED} more" if len(problems) > MOST_LISTED else ""
        listed = "; ".join(problems[:MOST_LISTED]) + more
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise CohortError(f"{path.name}: {count}: {listed}")
    findings = tuple(Finding(reason, tuple(names)) for reason, names in rows.out.items() if names)
    notes = list(columns.notes)
    if rows.n_cut:
        notes.append(
            f"{rows.n_cut} patients were named by longer TCGA barcodes; their first three parts are taken."
        )
    if columns.one_slide_a_row and len(rows.kept) < rows.n_taken:
        notes.append(f"{rows.n_taken} rows, one a slide, are {len(rows.kept)} patients.")
    return ClinicalTable(tuple(rows.kept.values()), findings, tuple(notes))


@dataclass
class _Rows:
    """Rows of the table, sorted into patients, those kept out, and problems."""

    columns: ClinicalColumns
    keys: ClinicalKeys
    words: bool
    kept: dict[str, Patient] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    n_cut: int = 0
    n_taken: int = 0
    out: dict[str, list[str]] = field(
        default_factory=lambda: {
            "no follow-up": [],
            "a time of 0 or less": [],
            "no slide": [],
        }
    )

    def take(self, row: Mapping[Any, Any], number: int) -> None:
        if _is_empty(row[self.columns.patient]):
            self.problems.append(f"row {number}: no {self.columns.patient}")
            return
        written = str(row[self.columns.patient]).strip()
        name = patient_of(written)
        self.n_cut += name != written
        repeated = name in self.seen
        self.seen.add(name)
        if repeated and not self.columns.one_slide_a_row:
            self.problems.append(f"row {number}: patient {name} stands there more than once")
            return
        wrong = fault_of_identifier(name)
        if wrong:
            self.problems.append(f"row {number}: {self.columns.patient} {name!r} {wrong}")
            return
        lacking = self._lacking(row)
        fault = "" if lacking else _fault(row, self.columns, self.words)
        if lacking:
            if name not in self.out[lacking]:
                self.out[lacking].append(name)
        elif fault:
            self.problems.append(f"row {number}, patient {name}: {fault}")
        else:
            self._keep(_patient(name, row, self.columns, self.keys))

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
        if _is_empty(row[self.columns.time]) or _is_empty(row[self.columns.event]):
            return "no follow-up"
        time = _number(row[self.columns.time])
        if self.keys.nonpositive_time == "drop" and time is not None and time <= 0:
            return "a time of 0 or less"
        if not _slide_ids(row, self.columns):
            return "no slide"
        return ""


def _fault(row: Mapping[Any, Any], columns: ClinicalColumns, words: bool) -> str:
    """What contradicts itself in a complete row; empty when nothing does."""
    time, split = row[columns.time], row.get(columns.split)
    number = _number(time)
    if number is None or not (math.isfinite(number) and number > 0):
        return f"{columns.time} is {time if number is None else number}, expected months above 0"
    if number * columns.months > LONGEST_MONTHS:
        return f"{columns.time} is {number:g}, longer than anyone lives, expected another unit of time"
    if _flag(row[columns.event], words) is None:
        meaning = "1 (death) or 0 (censored)" if columns.event_is_death else "1 (censored) or 0 (death)"
        return f"{columns.event} is {row[columns.event]}, expected {meaning}"
    if not _is_empty(split) and split not in PARTS:
        return f"split is {split}, expected train, validation or test"
    slides = _slide_ids(row, columns)
    unsafe = next((name for name in slides if fault_of_file_name(name)), "")
    if unsafe:
        return f"slide {unsafe!r} {fault_of_file_name(unsafe)}"
    if len(set(slides)) < len(slides):
        twice = next(name for name in slides if slides.count(name) > 1)
        return f"slide {twice} stands there more than once"
    return ""


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _flag(value: Any, words: bool) -> bool | None:
    """Flag of an event column, or whether a word of a column of words means death; None for anything else."""
    return (_DEATH_WORDS if words else _TRUTHS).get(str(value).strip().lower())


def _shared_slides(patients: Sequence[Patient]) -> list[str]:
    """Slides of two patients: on two sides of a split they would leak."""
    owner: dict[str, str] = {}
    problems = []
    for patient in patients:
        for name in patient.slide_ids:
            if owner.setdefault(name, patient.patient_id) != patient.patient_id:
                problems.append(f"slide {name} belongs to patients {owner[name]} and {patient.patient_id}")
    return problems


def _slide_ids(row: Mapping[Any, Any], columns: ClinicalColumns) -> tuple[str, ...]:
    value = row[columns.slide]
    if _is_empty(value):
        return ()
    names = (name.strip() for name in str(value).split(";"))
    return tuple(_SLIDE_SUFFIX.sub("", name) for name in names if name)


def _is_empty(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value)) or (isinstance(value, str) and not value.strip())


def _patient(name: str, row: Mapping[Any, Any], columns: ClinicalColumns, keys: ClinicalKeys) -> Patient:
    def text(column: str) -> str:
        return "" if not column or _is_empty(row[column]) else str(row[column]).strip()

    words = str(row[columns.event]).strip().lower() in _DEATH_WORDS
    flag = bool(_flag(row[columns.event], words))
    return Patient(
        name,
        _slide_ids(row, columns),
        float(row[columns.time]) * columns.months,
        flag if columns.event_is_death or words else not flag,
        text(columns.split),
        age_years=_number(row[columns.age]) if text(columns.age) else None,
        sex=text(columns.sex).lower(),
        stage=stage_number(text(columns.stage)),
        group=site_of(name) if keys.group == TCGA_SITE else text(columns.group),
    )


def stage_number(text: str) -> int | None:
    """Stage I to IV as 1 to 4, from texts such as "Stage IIB", "iii" or "2"; None where none is told."""
    found = re.fullmatch(r"(?:stage\s*)?(iv|iii|ii|i|[1-4])(?:[a-c]\d?)?", text.strip(), re.IGNORECASE)
    if found is None:
        return None
    part = found.group(1).upper()
    return int(part) if part.isdigit() else _STAGES[part]
