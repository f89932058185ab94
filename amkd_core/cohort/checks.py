"""Suspicions about a cohort: what is possible, and yet usually a mistake."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from amkd_core.cohort.clinical import Patient
from amkd_core.cohort.pathways import MIN_COVERAGE, GeneSet, cover, coverage_of
from amkd_core.errors import CohortError
from amkd_core.survival.endpoints import EndpointWords

# With fewer patients a high share of events says nothing.
_LEAST_PATIENTS = 30
_MOST_EVENTS = 0.6
_LEAST_COVERED = 0.5
_MOST_NAMED = 5


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
    pathways: Sequence[GeneSet],
    measured: Sequence[str],
    *,
    min_coverage: float = MIN_COVERAGE,
    min_pathways: float | None = None,
) -> tuple[str, ...]:
    """Which pathways the expression table has too few genes of, so that none is lost without a word.

    Parameters
    ----------
    measured
        Genes of the expression table.
    min_coverage
        As for `cover`.
    min_pathways
        Least share of the pathways that must be covered, where the cohort's file states it; else half of them.

    Raises
    ------
    CohortError
        When no pathway is covered, or fewer than `min_pathways`: a wrong table, and genes that it names otherwise, look
        like this.
    """
    n_kept, n_all = len(cover(pathways, measured, min_coverage=min_coverage).pathways), len(pathways)
    coverage = coverage_of(pathways, measured)
    wanted = frozenset[str]().union(*(item.genes for item in pathways))
    n_known = len(wanted.intersection(measured))
    table = f"the table has {n_known:,} of the {len(wanted):,} genes of the pathways ({n_known / len(wanted):.0%})"
    if n_kept < (_LEAST_COVERED if min_pathways is None else min_pathways) * n_all:
        raise CohortError(
            f"Only {n_kept} of {n_all} pathways have {min_coverage:.0%} of their genes in the expression table, and "
            f"the teacher learns of no others; {table}. Check that it is the right one and names genes as the pathways "
            "do; else give a table of more genes, lower min_coverage, or confirm so few by "
            f"min_pathways = {math.floor(100 * n_kept / n_all) / 100:g} in the cohort file"
        )
    if n_kept == n_all:
        return ()
    left_out = sorted((share, name) for name, share in coverage.items() if share < min_coverage or not share)
    shown = ", ".join(f"{name} {share:.0%}" for share, name in left_out[:_MOST_NAMED])
    more = ", ..." if len(left_out) > _MOST_NAMED else ""
    return (
        f"{len(left_out)} of {n_all} pathways are left out, with less than {min_coverage:.0%} of their genes in the "
        f"expression table ({shown}{more}; amkd cohort --json tells all); {table}.",
    )
