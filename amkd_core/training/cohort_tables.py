"""Table 1 of a report: who the patients are, and who was kept out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from amkd_core.cohort.clinical import Patient
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.folds import Split
from amkd_core.export.run_report import ReportTable

STAGES = {1: "I", 2: "II", 3: "III", 4: "IV"}


def table_one(cohort: Cohort) -> ReportTable:
    """Patients, slides, deaths, follow-up, age, sex and stage."""
    patients = cohort.patients
    months = np.array([patient.time for patient in patients])
    n_events = sum(patient.event for patient in patients)
    rows = [
        ("Patients", str(len(patients))),
        ("Slides", str(sum(len(patient.slide_ids) for patient in patients))),
        (f"Deaths (endpoint: {cohort.file.endpoint})", f"{n_events} ({_share(n_events, len(patients))})"),
        ("Follow-up in months, median (range)", _range(months)),
        ("Age in years, median (range)", _age(patients)),
        ("Sex", _counts([getattr(patient, "sex", "") for patient in patients])),
        ("Stage", _counts([STAGES.get(getattr(patient, "stage", None) or 0, "") for patient in patients])),
    ]
    groups = {getattr(patient, "group", "") for patient in patients} - {""}
    if groups:
        rows.append(("Groups that folds may keep apart", str(len(groups))))
    return ReportTable("Table 1. The cohort", ("", "Patients with complete data"), tuple(rows))


def fold_table(cohort: Cohort, splits: Sequence[Split]) -> ReportTable:
    """Patients and deaths of each fold's parts."""
    event = {patient.patient_id: patient.event for patient in cohort.patients}

    def size(names: Sequence[str]) -> str:
        return f"{len(names)} ({sum(event.get(name, False) for name in names)})"

    rows = tuple(
        (str(number), size(split.train), size(split.validation), size(split.test))
        for number, split in enumerate(splits, start=1)
    )
    return ReportTable(
        "Patients (deaths) by fold", ("Fold", "Training", "Validation", "Test"), rows,
        "Everything that is fitted is fitted on a fold's training patients; validation patients choose the epoch; test "
        "patients are scored once.",
    )  # fmt: skip


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def _range(values: np.ndarray) -> str:
    if not values.size:
        return "none"
    return f"{np.median(values):.1f} ({values.min():.1f} to {values.max():.1f})"


def _age(patients: Sequence[Patient]) -> str:
    ages = [getattr(patient, "age_years", None) for patient in patients]
    known = np.array([age for age in ages if age is not None], dtype=np.float64)
    missing = len(patients) - known.size
    if not known.size:
        return "unknown"
    return f"{np.median(known):.0f} ({known.min():.0f} to {known.max():.0f})" + (
        f"; unknown in {missing}" if missing else ""
    )


def _counts(values: Sequence[str]) -> str:
    found = Counter(value for value in values if value)
    missing = len(values) - sum(found.values())
    if not found:
        return "unknown"
    shown = [f"{name} {count} ({_share(count, len(values))})" for name, count in sorted(found.items())]
    return ", ".join(shown) + (f"; unknown {missing} ({_share(missing, len(values))})" if missing else "")
