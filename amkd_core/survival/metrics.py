"""How well risks order outcomes, and what groups of patients lived to see; computed by lifelines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amkd_core.errors import OutcomeError
from amkd_core.survival.outcome import FloatArray, Outcome

FEW_EVENTS = 10
"""Events below which a C-index says hardly anything."""


def as_risk(outcome: Outcome, risk: ArrayLike) -> FloatArray:
    """Risks as float64, one finite number per patient."""
    values = np.asarray(risk, dtype=np.float64)
    if values.shape != outcome.time.shape:
        raise OutcomeError(f"expected one risk per patient, shape {outcome.time.shape}, found {values.shape}")
    if not np.isfinite(values).all():
        raise OutcomeError(
            f"{int((~np.isfinite(values)).sum())} of {values.size} risks are not finite numbers"
        )
    return values


_UNDEFINED = (
    "the C-index is undefined: no two of the {n} patients ({events} events) are comparable, "
    "which takes an event before another patient's last contact"
)


def concordance_index(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Harrell's C-index: share of comparable pairs in which the earlier death had the higher risk.

    A pair is comparable when the earlier time is a death; of two equal times, when exactly one is a death.
    Equal risks count one half. 1 is perfect, 0.5 is chance.

    Parameters
    ----------
    time : array, shape (n,)
        Months.
    event : array of bool, shape (n,)
        True = death seen.
    risk : array, shape (n,)
        Higher is worse.

    Raises
    ------
    OutcomeError
        When inputs disagree or no pair is comparable (the index is then undefined, not 0.5).
    """
    from lifelines.utils import concordance_index as harrell

    outcome = Outcome(np.asarray(time), np.asarray(event))
    risks = as_risk(outcome, risk)
    try:
        return float(harrell(outcome.time, -risks, outcome.event))
    except ZeroDivisionError as error:
        raise OutcomeError(_UNDEFINED.format(n=len(outcome), events=outcome.n_events)) from error


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes
    ----------
    estimate, lower, upper : float
    level : float
        Coverage, such as 0.95.
    n_resamples : int
        Resamples in which the estimate was defined.
    """

    estimate: float
    lower: float
    upper: float
    level: float
    n_resamples: int


def bootstrap_concordance(
    outcome: Outcome,
    risk: ArrayLike,
    *,
    generator: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """C-index with a percentile bootstrap interval, patients resampled with replacement.

    A resample only changes how often each patient counts, so all resamples share one table of pairs and the
    result equals `concordance_index` of every resample.

    Parameters
    ----------
    outcome : Outcome
    risk : array, shape (n,)
        Higher is worse.
    generator : numpy.random.Generator
        Seeded by the caller.
    n_resamples : int
        Number of resamples; those without a comparable pair are left out and the count says so.
    level : float
        Coverage of the interval.

    Raises
    ------
    OutcomeError
        When the C-index is undefined for the patients as they are.
    """
    estimate = concordance_index(outcome.time, outcome.event, risk)
    comparable, concordant = pair_table(outcome, as_risk(outcome, risk))
    found = resampled_ratio(concordant, comparable, generator=generator, n_resamples=n_resamples)
    return percentile_interval(estimate, found, level)


def resampled_ratio(
    table: FloatArray, comparable: FloatArray, *, generator: np.random.Generator, n_resamples: int
) -> FloatArray:
    """Sum of a table of pairs over the comparable pairs, in each resample of the patients where there are any.

    Parameters
    ----------
    table, comparable : array, shape (n, n)
        As of `pair_table`.
    generator : numpy.random.Generator
        Draws the patients with replacement.

    Returns
    -------
    array, shape (at most n_resamples,)
    """
    n = len(comparable)
    counts = generator.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64)
    n_comparable = ((counts @ comparable) * counts).sum(axis=1)
    defined = n_comparable > 0
    counts = counts[defined]
    ratio: FloatArray = ((counts @ table) * counts).sum(axis=1) / n_comparable[defined]
    return ratio


def percentile_interval(estimate: float, found: FloatArray, level: float) -> Interval:
    """Interval between the percentiles of what resamples gave, shape (n_resamples,)."""
    lower, upper = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(lower), float(upper), level, len(found))


def pair_table(outcome: Outcome, risk: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Which pairs are comparable, and their concordance (1, 1/2 or 0), both (n, n); rows hold the earlier death.

    Patients who are resampled or kept apart by folds only change how often a pair counts, so that every statistic of
    pairs is a weighted sum over these tables.
    """
    time, event = outcome.time, outcome.event
    earlier = time[:, None] < time[None, :]
    tied = (time[:, None] == time[None, :]) & ~event[None, :]
    comparable = (event[:, None] & (earlier | tied)).astype(np.float64)
    concordant = 0.5 * (1 + np.sign(risk[:, None] - risk[None, :])) * comparable
    return comparable, concordant


@dataclass(frozen=True, eq=False, repr=False)
class KaplanMeier:
    """Kaplan-Meier estimate with a pointwise confidence band (log-log).

    Attributes
    ----------
    time : array, shape (t,)
        Months of the steps, from 0; every distinct follow-up time.
    survival, lower, upper : array, shape (t,)
        Estimate and band just after each time.
    at_risk : array of int, shape (t,)
        Patients still followed just before each time.
    """

    time: FloatArray
    survival: FloatArray
    lower: FloatArray
    upper: FloatArray
    at_risk: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"KaplanMeier({self.at_risk[0]} patients, {self.survival[-1]:.2f} alive at {self.time[-1]:g} months)"

    def at_risk_at(self, months: ArrayLike) -> NDArray[np.int64]:
        """Patients still followed just before each of these times; 0 after the last follow-up."""
        position = np.searchsorted(self.time, np.asarray(months, dtype=np.float64), side="left")
        return np.append(self.at_risk, 0)[position]

    def survival_at(self, months: ArrayLike) -> FloatArray:
        """Estimate at these times; NaN after the last follow-up, where nothing is known."""
        wanted = np.asarray(months, dtype=np.float64)
        position = np.searchsorted(self.time, wanted, side="right") - 1
        return np.where((wanted >= 0) & (wanted <= self.time[-1]), self.survival[position], np.nan)


def kaplan_meier(time: ArrayLike, event: ArrayLike, *, level: float = 0.95) -> KaplanMeier:
    """Kaplan-Meier estimate of a group of patients.

    Parameters
    ----------
    time : array, shape (n,)
        Months.
    event : array of bool, shape (n,)
        True = death seen.
    level : float
        Coverage of the band.

    Raises
    ------
    OutcomeError
        When there are no patients, or times or flags are unusable.
    """
    from lifelines import KaplanMeierFitter

    outcome = Outcome(np.asarray(time), np.asarray(event))
    if not len(outcome):
        raise OutcomeError("a Kaplan-Meier curve needs at least one patient, found none")
    fitted = KaplanMeierFitter(alpha=1 - level).fit(outcome.time, outcome.event)
    band = fitted.confidence_interval_survival_function_
    return KaplanMeier(
        time=fitted.survival_function_.index.to_numpy(np.float64),
        survival=fitted.survival_function_.iloc[:, 0].to_numpy(np.float64),
        lower=band.iloc[:, 0].to_numpy(np.float64),
        upper=band.iloc[:, 1].to_numpy(np.float64),
        at_risk=fitted.event_table["at_risk"].to_numpy(np.int64),
    )


@dataclass(frozen=True)
class LogRank:
    """Log-rank test of equal survival.

    Attributes
    ----------
    statistic : float
        Chi-square.
    p_value : float
        Small where groups differ.
    degrees_of_freedom : int
        Groups minus 1.
    """

    statistic: float
    p_value: float
    degrees_of_freedom: int


def log_rank(time: ArrayLike, event: ArrayLike, group: ArrayLike) -> LogRank:
    """Log-rank test over two or more groups of patients.

    Parameters
    ----------
    time : array, shape (n,)
        Months.
    event : array of bool, shape (n,)
        True = death seen.
    group : array, shape (n,)
        Label of each patient's group.

    Raises
    ------
    OutcomeError
        When there are fewer than two groups, no death, or inputs disagree.
    """
    from lifelines.statistics import multivariate_logrank_test

    outcome, labels = Outcome(np.asarray(time), np.asarray(event)), np.asarray(group)
    if labels.shape != outcome.time.shape:
        raise OutcomeError(
            f"expected one group per patient, shape {outcome.time.shape}, found {labels.shape}"
        )
    found, codes = np.unique(labels, return_inverse=True)
    if found.size < 2:
        raise OutcomeError(f"a log-rank test needs at least two groups of patients, found {found.size}")
    if not outcome.n_events:
        raise OutcomeError(f"a log-rank test needs at least one event, found none in {len(outcome)} patients")
    result = multivariate_logrank_test(outcome.time, codes, outcome.event)
    return LogRank(float(result.test_statistic), float(result.p_value), int(found.size - 1))
