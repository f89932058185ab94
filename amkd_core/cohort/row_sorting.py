"""Rows of a clinical table, sorted into patients, those who are kept out, and problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from amkd_core.cohort.barcodes import patient_of, site_of
from amkd_core.cohort.clinical_rows import event_of, fault_of_row, normal_slides_of, part_of, slide_ids_of
from amkd_core.cohort.clinical_values import (
    age_number,
    is_empty,
    is_untold,
    number_of,
    sex_text,
    stage_number,
)
from amkd_core.cohort.columns import TCGA_SITE, ClinicalColumns, ClinicalKeys
from amkd_core.cohort.patients import Patient, listed
from amkd_core.file_names import fault_of_identifier


@dataclass
class Rows:
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
    n_joined: int = 0
    normal: list[str] = field(default_factory=list)
    lacking: dict[str, list[str]] = field(default_factory=dict)
    first: dict[str, Mapping[Any, Any]] = field(default_factory=dict)
    without_slide: dict[str, Mapping[Any, Any]] = field(default_factory=dict)
    alone: list[tuple[int, str, Mapping[Any, Any]]] = field(default_factory=list)
    out: dict[str, list[str]] = field(
        default_factory=lambda: {
            "no follow-up": [],
            "a time of 0 or less": [],
            "no slide": [],
        }
    )

    @property
    def left_out(self) -> list[str]:
        """Of rows that lack something, of patients who are kept by others: the slide that each names, if any."""
        return [slide for name, slides in self.lacking.items() if name in self.kept for slide in slides]

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
        if self.n_joined:
            rows = "1 row names a slide" if self.n_joined == 1 else f"{self.n_joined} rows name slides"
            notes.append(f"{rows} without follow-up; that of the patient's other row counts.")
        left_out = self.left_out
        if left_out:
            count, verb = ("1 row", "is") if len(left_out) == 1 else (f"{len(left_out)} rows", "are")
            slides = [name for name in left_out if name]
            lost = f", and with them slide {listed(slides)}" if slides else ""
            notes.append(
                f"{count} without slide or follow-up {verb} left out{lost}; the same patients have other rows."
            )
        if self.normal:
            count = "1 slide is" if len(self.normal) == 1 else f"{len(self.normal)} slides are"
            notes.append(f"{count} of normal tissue by the barcode and left out ({listed(self.normal)}).")
        if self.n_cut:
            notes.append(
                f"{self.n_cut} patients were named by longer TCGA barcodes; their first three parts are taken."
            )
        if self.columns.one_slide_a_row and len(self.kept) < self.n_taken:
            notes.append(f"{self.n_taken} rows, one a slide, are {len(self.kept)} patients.")
        return notes

    def take(self, row: Mapping[Any, Any], number: int) -> None:
        """Sort a row in, which the table has at a number; one that names a slide alone waits for the others."""
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
        self.normal += normal_slides_of(row, self.columns)
        if self._is_slide_alone(row):
            self.alone.append((number, name, row))
        else:
            self._sort(name, row, number)

    def take_slides_alone(self) -> None:
        """Sort in the rows that name a slide and no follow-up, as where only a patient's first row is filled in.

        What they leave empty is taken from the patient's first complete row, or from one that lacks nothing but a
        slide; what they tell must agree with it.
        """
        for number, name, row in self.alone:
            if name not in self.first and name in self.without_slide:
                self.first[name] = self.without_slide[name]
                if "" in self.lacking.get(name, ()):  # that row is not left out any more
                    self.lacking[name].remove("")
            first = self.first.get(name)
            if first is None:
                self._sort(name, row, number)
                continue
            told = {column: value for column, value in row.items() if not is_untold(value)}
            self.n_joined += 1
            self._sort(name, {**first, **told}, number)

    def _is_slide_alone(self, row: Mapping[Any, Any]) -> bool:
        follow_up = (row[self.columns.time], row[self.columns.event])
        return (
            self.columns.one_slide_a_row
            and all(is_untold(value) for value in follow_up)
            and bool(slide_ids_of(row, self.columns))
        )

    def _sort(self, name: str, row: Mapping[Any, Any], number: int) -> None:
        lacking = self._lacking(row)
        fault = "" if lacking else fault_of_row(row, self.columns, self.words)
        if lacking:
            if lacking == "no slide" and not fault_of_row(row, self.columns, self.words):
                self.without_slide.setdefault(name, row)
            if not normal_slides_of(row, self.columns):
                self.lacking.setdefault(name, []).append("; ".join(slide_ids_of(row, self.columns)))
            if name not in self.out[lacking]:
                self.out[lacking].append(name)
        elif fault:
            self.n_nonpositive += self._is_nonpositive(row)
            self.problems.append(f"row {number}, patient {name}: {fault}")
        else:
            self.first.setdefault(name, row)
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


def shared_slides(patients: Sequence[Patient]) -> list[str]:
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
