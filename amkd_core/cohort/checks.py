"""Suspicions about a cohort: what is possible, and yet usually a mistake."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amkd_core.cohort.clinical import Patient
from amkd_core.cohort.pathways import MIN_COVERAGE, GeneSet, cover
from amkd_core.errors import CohortError
from amkd_core.survival.endpoints import EndpointWords

# With fewer patients a high share of events says nothing.
_LEAST_PATIENTS = 30
_MOST_EVENTS = 0.6
_LEAST_COVERED = 0.5


def follow_up_warnings(
    patients: Sequence[Patient], *, confirmed: bool, name: str, words: EndpointWords
) -> tuple[str, ...]:
    """What speaks for an event flag that was taken the wrong way round, or for a wrong unit of time.

    Parameters
    ----------
    confirmed
        The cohort file states what the flag means.
    name
        Of the clinical table.
    words
        For the endpoint.

    Raises
    ------
    CohortError
        When most patients had an event and nobody has confirmed it: a flipped flag looks like this.
    """
    time = np.array([patient.time for patient in patients])
    event = np.array([patient.event for patient in patients])
    share = float(event.mean())
    warnings = []
    if share > _MOST_EVENTS and len(patients) >= _LEAST_PATIENTS and not confirmed:
        raise CohortError(
            f"{name}: {int(event.sum())} of {len(event)} patients ({share:.0%}) count as {words.events}, as if "
            'censored patients were marked with 1; state event_means = "death" in the cohort file if this is right, '
            'else "censored"'
        )
    if event.any() and not event.all():
        ended, going_on = float(np.median(time[event])), float(np.median(time[~event]))
        if going_on < ended:
            warnings.append(
                f"Censored patients were followed for less time ({going_on:.1f} months in the median) than it took "
                f"those who {words.ended} ({ended:.1f}); this is common in young cohorts, and also what a flipped "
                "event flag looks like."
            )
    longest = float(time.max())
    if longest > 600:
        warnings.append(
            f"The longest follow-up is {longest:.0f} months ({longest / 12:.0f} years); is the unit right?"
        )
    if longest < 6:
        warnings.append(f"The longest follow-up is {longest:.1f} months; is the unit right?")
    if share < 0.02 or event.sum() < 10:
        warnings.append(
            f"{int(event.sum())} {words.events} among {len(event)} patients teach and test little."
        )
    return tuple(warnings)


def coverage_warnings(
    pathways: Sequence[GeneSet], measured: Sequence[str], *, min_coverage: float = MIN_COVERAGE
) -> tuple[str, ...]:
    """What speaks for an expression table of too few genes.

    Parameters
    ----------
    measured
        Genes of the expression table.
    min_coverage
        As for `cover`.

    Raises
    ------
    CohortError
        When no pathway is covered.
    """
    n_kept = len(cover(pathways, measured, min_coverage=min_coverage).pathways)
    if n_kept >= _LEAST_COVERED * len(pathways):
        return ()
    return (
        f"Only {n_kept} of {len(pathways)} pathways have {min_coverage:.0%} of their genes in the expression table, "
        "and the teacher learns of no others; give a table of more genes, or lower min_coverage.",
    )
