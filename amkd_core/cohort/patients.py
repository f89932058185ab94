"""Patients with follow-up, and those who are kept out of a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amkd_core.survival.outcome import Outcome


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
        kept_out = "1 patient" if len(self.patients) == 1 else f"{len(self.patients)} patients"
        return f"{kept_out} kept out: {self.reason} ({listed(self.patients)})"


def outcome_of(patients: Sequence[Patient]) -> Outcome:
    """Follow-up of patients, in their order."""
    return Outcome(
        np.array([patient.time for patient in patients]), np.array([patient.event for patient in patients])
    )


def listed(names: Sequence[str]) -> str:
    """The first five names in a sentence."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
