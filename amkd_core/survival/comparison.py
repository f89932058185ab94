"""C-indices of risks that come from several folds, and the difference of two risks on the same patients.

The networks of two folds put their risks on scales of their own. A pair of patients from two folds therefore compares
scales as well as patients; the within-fold C-index counts only pairs of one fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amkd_core.errors import OutcomeError
from amkd_core.survival.metrics import Interval, as_risk, pair_table, percentile_interval, resampled_ratio
from amkd_core.survival.outcome import FloatArray, Outcome


@dataclass(frozen=True)
class PairedDifference:
    """Second C-index minus the first, on the same patients.

    Attributes
    ----------
    first, second : float
        The two C-indices.
    interval : Interval
        Their difference; both move together over resamples of patients, so it is narrower than either's own.
    p_value : float
        Two-sided, of no difference: twice the smaller share of resamples on one side of 0.
    is_least : bool
        Whether no resample lay on the other side: the p value is then the least that so many resamples can show.
    """

    first: float
    second: float
    interval: Interval
    p_value: float
    is_least: bool = False


def within_concordance(outcome: Outcome, risk: ArrayLike, stratum: ArrayLike | None = None) -> float:
    """C-index over the pairs of one stratum each, such as a fold; over all pairs without strata.

    1 is perfect, 0.5 is chance.

    Parameters
    ----------
    outcome : Outcome
    risk : array, shape (n,)
        Higher is worse; need be comparable within strata only.
    stratum : array, shape (n,), optional
        Fold of each patient.

    Raises
    ------
    OutcomeError
        When inputs disagree, or no pair is comparable.
    """
    comparable, concordant = _tables(outcome, as_risk(outcome, risk), stratum)
    return float(concordant.sum() / comparable.sum())


def bootstrap_within(
    outcome: Outcome,
    risk: ArrayLike,
    stratum: ArrayLike | None = None,
    *,
    generator: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """`within_concordance` with a percentile bootstrap interval, patients resampled with replacement.

    Parameters
    ----------
    generator : numpy.random.Generator
        Seeded by the caller.
    n_resamples : int
        Those without a comparable pair are left out, and the count says so.
    level : float
        Coverage of the interval.

    Raises
    ------
    OutcomeError
        As `within_concordance`.
    """
    comparable, concordant = _tables(outcome, as_risk(outcome, risk), stratum)
    found = resampled_ratio(concordant, comparable, generator=generator, n_resamples=n_resamples)
    return percentile_interval(float(concordant.sum() / comparable.sum()), found, level)


def paired_difference(
    outcome: Outcome,
    first: ArrayLike,
    second: ArrayLike,
    stratum: ArrayLike | None = None,
    *,
    generator: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> PairedDifference:
    """Difference of two C-indices (second minus first) with a paired bootstrap interval.

    In each resample both risks are judged on the same patients and the same pairs.

    Parameters
    ----------
    first, second : array, shape (n,)
        Risks of two models, higher is worse; each on a scale of its own.
    stratum, generator, n_resamples, level
        As for `bootstrap_within`.

    Raises
    ------
    OutcomeError
        As `within_concordance`.
    """
    comparable, one = _tables(outcome, as_risk(outcome, first), stratum)
    _, other = _tables(outcome, as_risk(outcome, second), stratum)
    gains = resampled_ratio(other - one, comparable, generator=generator, n_resamples=n_resamples)
    total = comparable.sum()
    estimates = float(one.sum() / total), float(other.sum() / total)
    interval = percentile_interval(estimates[1] - estimates[0], gains, level)
    known = gains[np.isfinite(gains)]
    rarer = min(int((known <= 0).sum()), int((known >= 0).sum()))
    p_value = min(1.0, 2 * (rarer + 1) / (len(known) + 1))
    return PairedDifference(*estimates, interval, p_value, is_least=rarer == 0)


def _tables(outcome: Outcome, risk: FloatArray, stratum: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """`pair_table` without pairs of two strata."""
    comparable, concordant = pair_table(outcome, risk)
    if stratum is not None:
        label = np.asarray(stratum)
        if label.shape != outcome.time.shape:
            raise OutcomeError(
                f"expected one fold per patient, shape {outcome.time.shape}, found {label.shape}"
            )
        together = label[:, None] == label[None, :]
        comparable, concordant = comparable * together, concordant * together
    if not comparable.any():
        where = "" if stratum is None else " of one fold"
        raise OutcomeError(
            f"the C-index is undefined: no two of the {len(outcome)} patients{where} ({outcome.n_events} events) are "
            "comparable, which takes an event before another patient's last contact"
        )
    return comparable, concordant
