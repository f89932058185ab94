"""Stand-ins until folds and report arrive; nothing else may use them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.cohort.folds import Split, make_split

EXAMPLE_COHORT = """# A cohort for `amkd-train`. Paths are relative to this file.
[cohort]
name = "my-cohort"

# CSV, TSV or Parquet with the columns patient_id, slide_ids (joined by ";"), os_months (above 0) and
# os_event (1 = death, 0 = censored); optionally split (train, validation or test).
clinical = "clinical.csv"

# CSV, TSV or Parquet: a column patient_id, then one column per gene symbol, log scale.
expression = "expression.parquet"

# Gene sets, one a line: name, description, genes, separated by tabs.
pathways = "pathways.gmt"

# Slides named <slide_id>.<suffix>, and/or a folder of bags named <slide_id>.h5; missing bags are extracted.
slides = "slides"
# bags = "bags"

encoder = "texture"
# os, dss or pfi: which columns of the clinical table.
endpoint = "os"
"""


def read(path: Path | None, given: Mapping[str, Any]) -> Cohort:
    """Cohort by file alone, until flags are understood."""
    if given:
        return read_cohort(path, given)
    return read_cohort(path)


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
