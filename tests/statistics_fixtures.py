"""A made cohort with a known danger, folds over it, and out-of-fold predictions, without any network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from amkd_core.cohort.cohort import Cohort, CohortFile
from amkd_core.cohort.genes import ExpressionTable
from amkd_core.cohort.pathways import GeneSet
from amkd_core.cohort.patients import Finding, Patient, outcome_of
from amkd_core.cohort.splits import Split
from amkd_core.survival.outcome import TimeBins
from amkd_core.training.statistics import Effort

QUICK = Effort(n_resamples=60, n_shuffles=3)
N_BINS = 4


@dataclass(frozen=True, eq=False)
class MadeRun:
    cohort: Cohort
    splits: tuple[Split, ...]
    predictions: pd.DataFrame
    bins: dict[int, TimeBins]
    danger: dict[str, float]


def made_cohort(
    n: int = 90, *, seed: int = 0, clinical: float = 0.5, death_share: float = 1.0, synthetic: bool = True
) -> tuple[Cohort, np.ndarray]:
    """Danger that slides tell, and, by `clinical`, danger that age and stage tell."""
    rng = np.random.default_rng(seed)
    danger, age, stage = rng.normal(size=n), rng.normal(62, 9, n), rng.integers(1, 5, n)
    log_hazard = danger + clinical * ((age - 62) / 9 + (stage - 2.5))
    death, lost = rng.exponential(40 * np.exp(-log_hazard)), rng.uniform(5, 90, n)
    event = (death <= lost) & (rng.random(n) < death_share)
    patients = tuple(
        Patient(
            f"SIM-{row:03d}", (f"S{row:03d}",), float(min(death[row], lost[row]) + 0.1), bool(event[row]),
            age_years=None if row % 17 == 3 else float(age[row]), sex="female" if row % 2 else "male",
            stage=None if row % 11 == 5 else int(stage[row]),
        )
        for row in range(n)
    )  # fmt: skip
    genes = rng.normal(size=(n, 8)) + 0.5 * danger[:, None]
    names = tuple(patient.patient_id for patient in patients)
    table = ExpressionTable(names, tuple(f"G{index}" for index in range(8)), genes)
    sets = tuple(
        GeneSet(f"P{k}", frozenset(f"G{index}" for index in range(4 * k, 4 * k + 4))) for k in range(2)
    )
    file = CohortFile(
        name="Made cohort",
        clinical=Path("c.csv"),
        expression=Path("e.csv"),
        pathways=Path("p.gmt"),
        synthetic=synthetic,
    )
    cohort = Cohort(
        Path("cohort.toml"), file, patients, table, sets, (Finding("no expression", ("SIM-999",)),)
    )
    return cohort, danger


def made_folds(cohort: Cohort, n_folds: int, *, seed: int = 0) -> tuple[Split, ...]:
    """Every patient in one test part; a single fold tests a fifth."""
    names = np.array([patient.patient_id for patient in cohort.patients])
    order = np.random.default_rng(seed).permutation(len(names))
    splits = []
    for fold in range(n_folds):
        test = order[fold :: n_folds if n_folds > 1 else 5]
        rest = np.array([row for row in order if row not in set(test.tolist())])
        cut = len(rest) // 5
        splits.append(Split(*(tuple(names[rows].tolist()) for rows in (rest[cut:], rest[:cut], test))))
    return tuple(splits)


def made_run(n: int = 90, n_folds: int = 3, *, seed: int = 0, noise: float = 0.7, **options) -> MadeRun:
    """Predictions from the danger: the teacher sees it with less noise; each fold has a scale of its own."""
    cohort, danger = made_cohort(n, seed=seed, **options)
    splits = made_folds(cohort, n_folds, seed=seed)
    known = {
        patient.patient_id: (patient, float(value))
        for patient, value in zip(cohort.patients, danger, strict=True)
    }
    rng, rows, bins = np.random.default_rng(seed + 1), [], {}
    for fold, split in enumerate(splits, start=1):
        bins[fold] = TimeBins.fit(outcome_of([known[name][0] for name in split.train]), N_BINS)
        for model, blur in (("student", noise), ("teacher", noise / 2)):
            for name in split.test:
                seen = known[name][1] + blur * rng.normal()
                hazards = 1 / (1 + np.exp(1.2 - 0.3 * fold - 0.8 * seen)) * np.ones(N_BINS)
                risk = -float(np.cumprod(1 - hazards).sum())
                rows.append(
                    {
                        "patient_id": name, "fold": fold, "part": "test", "model": model,
                        "months": known[name][0].time, "event": int(known[name][0].event), "risk": risk,
                        "high_risk": int(seen > 0), **{f"hazard_{k + 1}": hazards[k] for k in range(N_BINS)},
                    }
                )  # fmt: skip
    predictions = pd.DataFrame(rows)
    return MadeRun(cohort, splits, predictions, bins, {name: value for name, (_, value) in known.items()})
