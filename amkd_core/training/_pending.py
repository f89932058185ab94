"""Stand-ins until folds and report arrive; nothing else may use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.folds import Split, make_split


class RunStatistics(BaseModel):
    """Nothing yet."""

    def __str__(self) -> str:
        return ""


def report_run(
    cohort: Cohort,
    splits: Sequence[Split],
    predictions: Any,
    bins: Any,
    *,
    out: Path,
    seed: int,
    provenance: Mapping[str, Any],
) -> RunStatistics:
    """Nothing yet."""
    return RunStatistics()


def make_folds(cohort: Cohort, *, n_folds: int, seed: int) -> tuple[Split, ...]:
    """Folds stratified by event, 64/16/20."""
    if any(patient.split for patient in cohort.patients):
        return (make_split(cohort.patients, seed=seed),)
    rng = np.random.default_rng(seed)
    test: list[list[str]] = [[] for _ in range(n_folds)]
    validation: list[list[str]] = [[] for _ in range(n_folds)]
    train: list[list[str]] = [[] for _ in range(n_folds)]
    for event in (True, False):
        names = sorted(patient.patient_id for patient in cohort.patients if patient.event is event)
        order = [names[index] for index in rng.permutation(len(names))]
        for fold in range(n_folds):
            held = order[fold::n_folds]
            rest = [name for name in order if name not in set(held)]
            n_validation = round(0.2 * len(rest))
            test[fold] += held
            validation[fold] += rest[:n_validation]
            train[fold] += rest[n_validation:]
    return tuple(Split(tuple(a), tuple(b), tuple(c)) for a, b, c in zip(train, validation, test, strict=True))
