"""Table 1 of a cohort: who the patients are (paper, table 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from amkd_core.bag import FeatureBag
from amkd_core.bag_apart import read_apart
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.pathways import MIN_COVERAGE, cover, coverage_of
from amkd_core.errors import BagError, CohortError
from amkd_core.file_names import bag_of_slide
from amkd_core.survival.endpoints import words_of

NOT_TOLD = "not told"


def table_one(
    cohort: Cohort, *, n_patches: Sequence[int] | None = None, min_coverage: float = MIN_COVERAGE
) -> dict[str, str]:
    """Rows of table 1, each a name and a text.

    Parameters
    ----------
    n_patches
        Patches of each bag, where bags exist.
    min_coverage
        Least share of a pathway's genes that must be measured.
    """
    patients = cohort.patients
    n_events = sum(patient.event for patient in patients)
    rows = {
        "patients": str(len(patients)),
        "slides": str(sum(len(patient.slide_ids) for patient in patients)),
        words_of(cohort.file.endpoint).events: f"{n_events} ({n_events / len(patients):.0%})",
        "follow-up": _follow_up(cohort),
        "age": _age(
            [patient.age_years for patient in patients if patient.age_years is not None], len(patients)
        ),
        "sex": _shares([patient.sex or NOT_TOLD for patient in patients]),
        "stage": _shares([_ROMAN[patient.stage] if patient.stage else NOT_TOLD for patient in patients]),
    }
    if cohort.file.group:
        rows["groups"] = str(len({patient.group for patient in patients}))
    if n_patches:
        rows["patches"] = (
            f"{sum(n_patches)}; median {np.median(n_patches):.0f} a slide ({min(n_patches)} to {max(n_patches)})"
        )
    if cohort.pathways and cohort.expression.genes:
        rows["genes"] = str(len(cohort.expression.genes))
        rows["pathways"] = _pathways(cohort, min_coverage)
    return rows


def bag_sizes(cohort: Cohort, folder: Path) -> list[int]:
    """Patches of each bag of the cohort that lies in a folder; bags that cannot be read are left out."""
    sizes = []
    for patient in cohort.patients:
        for name in patient.slide_ids:
            try:
                sizes.append(int(read_apart("rows", bag_of_slide(folder, name), BagError)[0]["rows"]))
            except (BagError, OSError):
                continue
    return sizes


def patches_by_slide(bags: Mapping[str, FeatureBag]) -> list[int]:
    """Patches of each slide in bags that were read, of one patient or one slide each."""
    return [int(count) for bag in bags.values() for count in np.bincount(bag.slide_index) if count]


_ROMAN = {1: "I", 2: "II", 3: "III", 4: "IV"}


def _follow_up(cohort: Cohort) -> str:
    """Median by the reverse Kaplan-Meier estimate, in which deaths are the censored ones."""
    from lifelines import KaplanMeierFitter

    outcome = cohort.outcome
    median = float(KaplanMeierFitter().fit(outcome.time, ~outcome.event).median_survival_time_)
    text = f"{median:.1f} months" if np.isfinite(median) else "not reached"
    return (
        f"median {text} (reverse Kaplan-Meier); {outcome.time.min():.1f} to {outcome.time.max():.1f} months"
    )


def _age(ages: Sequence[float], n_patients: int) -> str:
    if not ages:
        return NOT_TOLD
    missing = n_patients - len(ages)
    return f"median {np.median(ages):.0f} years ({min(ages):.0f} to {max(ages):.0f})" + (
        f", {missing} {NOT_TOLD}" if missing else ""
    )


def _shares(values: Sequence[str]) -> str:
    counts = sorted(Counter(values).items(), key=lambda item: (item[0] == NOT_TOLD, item[0]))
    return ", ".join(f"{name} {count}" for name, count in counts)


def _pathways(cohort: Cohort, min_coverage: float) -> str:
    try:
        membership = cover(cohort.pathways, cohort.expression.genes, min_coverage=min_coverage)
    except CohortError as error:
        return str(error)
    shares = list(coverage_of(cohort.pathways, cohort.expression.genes).values())
    return (
        f"{len(membership.pathways)} of {len(cohort.pathways)} have {min_coverage:.0%} of their genes measured "
        f"({len(membership.genes)} genes); coverage in the median {np.median(shares):.0%}"
    )
