"""The clinical table: one row a patient, with slides and follow-up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amkd_core.cohort.genes import PATIENT_COLUMN, read_table
from amkd_core.errors import CohortError
from amkd_core.survival.outcome import Outcome

PARTS = ("train", "validation", "test")
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
    """

    patient_id: str
    slide_ids: tuple[str, ...]
    time: float
    event: bool
    split: str = ""


@dataclass(frozen=True)
class Finding:
    """Patients that were kept out, and why."""

    reason: str
    patients: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.patients[:5]) + (", ..." if len(self.patients) > 5 else "")
        kept_out = "1 patient" if len(self.patients) == 1 else f"{len(self.patients)} patients"
        return f"{kept_out} kept out: {self.reason} ({shown})"


def outcome_of(patients: Sequence[Patient]) -> Outcome:
    """Follow-up of patients, in their order."""
    return Outcome(
        np.array([patient.time for patient in patients]), np.array([patient.event for patient in patients])
    )


def read_clinical(
    path: Path, endpoint: str, *, with_expression: AbstractSet[str] | None = None
) -> tuple[tuple[Patient, ...], tuple[Finding, ...]]:
    """Patients with complete data, and who was kept out for what they lack.

    Parameters
    ----------
    path
        Table with ``patient_id``, ``slide_ids`` (joined by ``;``), ``<endpoint>_months``, ``<endpoint>_event``
        (1 = death) and optionally ``split``.
    with_expression
        Patients of the expression table; None does not ask for expression.

    Raises
    ------
    CohortError
        When columns are missing or rows contradict themselves or each other: a patient twice, a slide of two
        patients, times that are not above 0, flags that are neither 0 nor 1. All of it is listed at once.
    """
    frame = read_table(path)
    needed = (PATIENT_COLUMN, "slide_ids", f"{endpoint}_months", f"{endpoint}_event")
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        found = ", ".join(str(name) for name in frame.columns)
        raise CohortError(f"{path.name}: no column {', '.join(missing)}; found {found}")
    rows = _Rows(endpoint, with_expression)
    for row in frame.to_dict("records"):
        rows.take(row)
    problems = [*rows.problems, *_shared_slides(tuple(rows.kept.values()))]
    if problems:
        more = f"; and {len(problems) - MOST_LISTED} more" if len(problems) > MOST_LISTED else ""
        listed = "; ".join(problems[:MOST_LISTED]) + more
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise CohortError(f"{path.name}: {count}: {listed}")
    findings = tuple(Finding(reason, tuple(names)) for reason, names in rows.out.items() if names)
    return tuple(rows.kept.values()), findings


@dataclass
class _Rows:
    """Rows of the table, sorted into patients, those kept out, and problems."""

    endpoint: str
    with_expression: AbstractSet[str] | None
    kept: dict[str, Patient] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    out: dict[str, list[str]] = field(
        default_factory=lambda: {"no follow-up": [], "no expression": [], "no slide": []}
    )

    def take(self, row: Mapping[Any, Any]) -> None:
        if _is_empty(row[PATIENT_COLUMN]):
            self.problems.append(f"a row without {PATIENT_COLUMN} after {len(self.seen)} patients")
            return
        name = str(row[PATIENT_COLUMN]).strip()
        if name in self.seen:
            self.problems.append(f"patient {name} stands there more than once")
            return
        self.seen.add(name)
        lacking = self._lacking(name, row)
        fault = "" if lacking else _fault(row, self.endpoint)
        if lacking:
            self.out[lacking].append(name)
        elif fault:
            self.problems.append(f"patient {name}: {fault}")
        else:
            self.kept[name] = _patient(name, row, self.endpoint)

    def _lacking(self, name: str, row: Mapping[Any, Any]) -> str:
        """What the patient has not got; empty when nothing is missing."""
        if _is_empty(row[f"{self.endpoint}_months"]) or _is_empty(row[f"{self.endpoint}_event"]):
            return "no follow-up"
        if not _slide_ids(row):
            return "no slide"
        if self.with_expression is not None and name not in self.with_expression:
            return "no expression"
        return ""


def _fault(row: Mapping[Any, Any], endpoint: str) -> str:
    """What contradicts itself in a complete row; empty when nothing does."""
    time, event, split = row[f"{endpoint}_months"], row[f"{endpoint}_event"], row.get("split")
    if not isinstance(time, (int, float)) or not (math.isfinite(time) and time > 0):
        return f"{endpoint}_months is {time}, expected months above 0"
    if event not in (0, 1):
        return f"{endpoint}_event is {event}, expected 1 (death) or 0 (censored)"
    if not _is_empty(split) and split not in PARTS:
        return f"split is {split}, expected train, validation or test"
    slides = _slide_ids(row)
    if len(set(slides)) < len(slides):
        twice = next(name for name in slides if slides.count(name) > 1)
        return f"slide {twice} stands there more than once"
    return ""


def _shared_slides(patients: Sequence[Patient]) -> list[str]:
    """Slides of two patients: on two sides of a split they would leak."""
    owner: dict[str, str] = {}
    problems = []
    for patient in patients:
        for name in patient.slide_ids:
            if owner.setdefault(name, patient.patient_id) != patient.patient_id:
                problems.append(f"slide {name} belongs to patients {owner[name]} and {patient.patient_id}")
    return problems


def _slide_ids(row: Mapping[Any, Any]) -> tuple[str, ...]:
    value = row["slide_ids"]
    if _is_empty(value):
        return ()
    return tuple(name.strip() for name in str(value).split(";") if name.strip())


def _is_empty(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value)) or (isinstance(value, str) and not value.strip())


def _patient(name: str, row: Mapping[Any, Any], endpoint: str) -> Patient:
    split = row.get("split")
    return Patient(
        name,
        _slide_ids(row),
        float(row[f"{endpoint}_months"]),
        bool(row[f"{endpoint}_event"]),
        "" if _is_empty(split) else str(split),
    )
