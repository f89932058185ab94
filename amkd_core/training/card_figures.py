"""What a run knows of its model that a bundle's card tells: C-indices with intervals, and the hospitals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from amkd_core.bundle_card import Measured, Sites
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.hospitals import hospitals_of
from amkd_core.training.estimates import Estimate
from amkd_core.training.evaluate import Score
from amkd_core.training.model_statistics import c_index_within_folds
from amkd_core.training.scored import Scored

_LONGEST_REASON = 500
_DIGITS = 6
"""Twice as many as are shown: rounded once to 4 and then to 3, 0.46349 stood in a report as 0.463 and as 0.464."""


def measured_in_fold(scores: Iterable[Score], fold: int) -> list[Measured]:
    """The C-indices of one fold's test patients.

    Parameters
    ----------
    scores
        As `amkd_core.training.crossval.scores_of`; those of validation patients, who chose the epoch, are left out.
    fold
        Counted from 1.
    """
    found = []
    for score in scores:
        if score.part == "test":
            size = score.n_patients, score.n_events
            found.append(_measured(score.model, fold, size, _estimate(score)))
    return found


def _estimate(score: Score) -> Estimate:
    interval = score.interval
    return Estimate(reason=score.reason) if interval is None else Estimate.of(lambda: interval)


def measured_over_folds(models: Mapping[str, Scored], *, seed: int, n_resamples: int) -> list[Measured]:
    """The C-indices of all folds' test patients, pairs within folds, as the report has them.

    Parameters
    ----------
    seed, n_resamples
        As for `amkd_core.training.model_statistics.model_statistics`.
    """
    return [
        _measured(
            name,
            None,
            (len(item.outcome), item.outcome.n_events),
            c_index_within_folds(item, seed=seed, n_resamples=n_resamples),
        )
        for name, item in models.items()
    ]


def _measured(model: str, fold: int | None, size: tuple[int, int], found: Estimate) -> Measured:
    """For the card; `size` is (patients, events)."""
    whose: dict[str, Any] = {"model": model, "fold": fold, "n_patients": size[0], "n_events": size[1]}
    return Measured(**whose, **for_card(found))


def for_card(found: Estimate) -> dict[str, Any]:
    """A C-index with its interval as fields of a card; or the reason why there is none."""
    numbers = [number for number in (found.value, found.lower, found.upper) if number is not None]
    if len(numbers) < 3 or not all(map(math.isfinite, numbers)):
        reason = found.reason or "no resample of the patients has a pair that can be compared"
        return {"reason": reason[:_LONGEST_REASON]}
    value, lower, upper = (round(number, _DIGITS) for number in numbers)
    return {"c_index": value, "lower": lower, "upper": upper, "level": found.level}


def sites_of(cohort: Cohort, patients: Collection[str]) -> Sites | None:
    """Patients by hospital; None where neither barcodes nor a column of groups tell it.

    The sites in TCGA's barcodes are public, and each is named. A column of the user's own may hold anything: groups of
    fewer than five patients, and names that look like an accession number, a patient or a slide, are only counted.

    Parameters
    ----------
    cohort
        With the column whose groups its folds keep apart, if there is one.
    patients
        Whom to count.
    """
    hospitals = hospitals_of(cohort, patients)
    if hospitals is None:
        return None
    counts = Counter(name for name in hospitals.of.values() if name)
    named = {name: count for name, count in sorted(counts.items()) if hospitals.may_be_named(name, count)}
    return Sites(
        source=hospitals.source,
        patients=named,
        pooled_sites=len(counts) - len(named),
        pooled_patients=counts.total() - sum(named.values()),
        unknown=len(hospitals.of) - counts.total(),
    )
