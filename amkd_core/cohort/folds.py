"""Who is trained, validated and tested on; always split by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amkd_core.cohort.clinical import PARTS, Patient
from amkd_core.errors import CohortError

# Fewer deaths than this in training or validation teach or choose nothing.
MIN_EVENTS = 2


@dataclass(frozen=True)
class Split:
    """Patient identifiers of the three parts; no patient is in two.

    Raises
    ------
    CohortError
        When a patient is in two parts.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        everyone = (*self.train, *self.validation, *self.test)
        if len(set(everyone)) < len(everyone):
            twice = next(name for name in everyone if everyone.count(name) > 1)
            raise CohortError(f"patient {twice} is in two parts of the split, expected one")


def make_split(patients: Sequence[Patient], *, seed: int) -> Split:
    """The table's own split where every patient has one, else 64/16/20 stratified by event.

    The table may leave out the test part; a test part without deaths is kept, and scores nothing.

    Raises
    ------
    CohortError
        When only some patients have a split, or training or validation has too few deaths to be of use.
    """
    marked = [patient for patient in patients if patient.split]
    if marked and len(marked) < len(patients):
        raise CohortError(
            f"split is given for {len(marked)} of {len(patients)} patients, expected all or none of them"
        )
    split = _marked_split(patients) if marked else stratified_split(patients, seed=seed)
    event = {patient.patient_id: patient.event for patient in patients}
    for part in ("train", "validation"):
        n_events = sum(event[name] for name in getattr(split, part))
        if n_events < MIN_EVENTS:
            raise CohortError(f"the {part} part has {n_events} deaths, expected at least {MIN_EVENTS}")
    return split


def stratified_split(
    patients: Sequence[Patient], *, seed: int, validation: float = 0.16, test: float = 0.20
) -> Split:
    """Random split of patients, deaths and censored patients shared out alike (METHOD section 6)."""
    rng = np.random.default_rng(seed)
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for event in (True, False):
        names = sorted(patient.patient_id for patient in patients if patient.event is event)
        shuffled = [names[index] for index in rng.permutation(len(names))]
        n_test, n_validation = round(test * len(names)), round(validation * len(names))
        parts["test"] += shuffled[:n_test]
        parts["validation"] += shuffled[n_test : n_test + n_validation]
        parts["train"] += shuffled[n_test + n_validation :]
    return Split(**{name: tuple(sorted(names)) for name, names in parts.items()})


def _marked_split(patients: Sequence[Patient]) -> Split:
    return Split(
        *(tuple(patient.patient_id for patient in patients if patient.split == part) for part in PARTS)
    )
