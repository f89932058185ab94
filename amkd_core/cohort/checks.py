"""Suspicions about a cohort: what is possible, and yet usually a mistake."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from amkd_core.cohort.pathways import LEAST_OF_ONE, MIN_COVERAGE, GeneSet, cover, coverage_of, shares_in_words
from amkd_core.cohort.patients import Patient
from amkd_core.errors import CohortError
from amkd_core.survival.endpoints import EndpointWords

if TYPE_CHECKING:
    from amkd_core.cohort.cohort import Cohort

# With fewer patients a high share of events says nothing, and with fewer of either kind no median does.
_LEAST_PATIENTS = 30
_LEAST_OF_EITHER = 5
_MOST_EVENTS = 0.6
# Of the genes of all pathways together.
_LEAST_GENES = 0.9


def follow_up_warnings(
    patients: Sequence[Patient], *, confirmed: bool, name: str, words: EndpointWords
) -> tuple[str, ...]:
    """What speaks for an event flag that was taken the wrong way round, or for a wrong unit of time.

    Parameters
    ----------
    confirmed
        The cohort file states what the flag means, or the table says in words who had an event.
    name
        Of the clinical table.
    words
        For the endpoint.

    Raises
    ------
    CohortError
        When nobody has confirmed the flag and it looks flipped: most patients had an event, or those without were
        followed for less time than it took the others.
    """
    time = np.array([patient.time for patient in patients])
    event = np.array([patient.event for patient in patients])
    share = float(event.mean())
    warnings = []
    may_ask = not confirmed and len(patients) >= _LEAST_PATIENTS
    if share > _MOST_EVENTS and may_ask:
        raise CohortError(
            f"{name}: {int(event.sum())} of {len(event)} patients ({share:.0%}) count as {words.events}, as if "
            'censored patients were marked with 1; state event_means = "death" in the cohort file if this is right, '
            'else "censored"'
        )
    if event.any() and not event.all():
        ended, going_on = float(np.median(time[event])), float(np.median(time[~event]))
        shorter = (
            f"patients were followed for less time ({going_on:.1f} months in the median) than it took those "
            f"who {words.ended} ({ended:.1f})"
        )
        if going_on < ended and may_ask and min(event.sum(), (~event).sum()) >= _LEAST_OF_EITHER:
            raise CohortError(
                f"{name}: censored {shorter}, as if censored patients were marked with 1; state event_means = "
                '"death" in the cohort file if this is right, as in young cohorts it is, else "censored"'
            )
        if going_on < ended:
            warnings.append(
                f"Censored {shorter}; this is common in young cohorts, and also what a flipped event flag looks like."
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


def gene_warnings(cohort: Cohort, *, min_coverage: float = MIN_COVERAGE) -> tuple[str, ...]:
    """Hold a cohort's expression against its pathways, by the shares that its file confirms; as `coverage_warnings`."""
    return coverage_warnings(
        cohort.pathways,
        cohort.expression.genes,
        min_coverage=min_coverage,
        min_genes=cohort.file.min_genes,
        min_pathway_genes=cohort.file.min_pathway_genes,
    )


def coverage_warnings(
    pathways: Sequence[GeneSet],
    measured: Sequence[str],
    *,
    min_coverage: float = MIN_COVERAGE,
    min_genes: float | None = None,
    min_pathway_genes: float | None = None,
) -> tuple[str, ...]:
    """Which pathways the expression table has too few genes of, so that none is lost without a word.

    Parameters
    ----------
    measured
        Genes of the expression table.
    min_coverage
        As for `cover`.
    min_genes
        Least share of the genes of all pathways together, where the cohort's file states it; else 90 %.
    min_pathway_genes
        Least share of the genes of any one pathway, where the cohort's file states it; else half of them, or
        `min_coverage` where that asks for less.

    Raises
    ------
    CohortError
        When the table has less than one of these shares, or covers no pathway: a wrong table, and genes that it names
        otherwise, look like this.
    """
    n_all, coverage = len(pathways), coverage_of(pathways, measured)
    wanted = frozenset[str]().union(*(item.genes for item in pathways))
    n_known = len(wanted.intersection(measured))
    known, least = n_known / len(wanted), min(coverage.values())
    of_all = _LEAST_GENES if min_genes is None else min_genes
    of_one = min(LEAST_OF_ONE, min_coverage) if min_pathway_genes is None else min_pathway_genes
    table = f"table has {n_known:,} of the {len(wanted):,} genes of the pathways ({known:.0%})"
    faults, confirmed = [], []
    if known < of_all:
        names = (
            ""
            if n_known
            else f" (pathways call them such as {min(wanted)}, the table such as {min(measured)})"
        )
        faults.append(f", expected at least {of_all:.0%}{names}")
        confirmed.append(f"min_genes = {_floored(known)}")
    if least < of_one:
        few = {name: share for name, share in coverage.items() if share < of_one}
        faults.append(
            f"; {len(few)} of {n_all} pathways have less than {of_one:.0%} of theirs in it ({shares_in_words(few)})"
        )
        confirmed.append(f"min_pathway_genes = {_floored(least)}")
    if faults:
        raise CohortError(
            f"The {table}{''.join(faults)}. Check that it is the right one and names genes as the "
            f"pathways do; else give a table of more genes, or confirm so few by {' and '.join(confirmed)} in the "
            "cohort file"
        )
    cover(pathways, measured, min_coverage=min_coverage)
    left_out = {name: share for name, share in coverage.items() if share < min_coverage or not share}
    if left_out:
        return (
            f"{len(left_out)} of {n_all} pathways are left out, with less than {min_coverage:.0%} of their genes in "
            f"the expression table ({shares_in_words(left_out)}; amkd cohort --json tells all); the {table}.",
        )
    return () if known >= _LEAST_GENES else (f"The {table}.",)


def _floored(share: float) -> str:
    """A share of two digits that the true one reaches."""
    return f"{math.floor(100 * share) / 100:g}"
