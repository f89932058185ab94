"""Every figure of one model's out-of-fold predictions (METHOD section 6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import AmkdError
from amkd_core.survival.calibration import calibration_groups, calibration_slope
from amkd_core.survival.comparison import bootstrap_within
from amkd_core.survival.metrics import concordance_index, kaplan_meier, log_rank
from amkd_core.survival.outcome import Outcome
from amkd_core.survival.weighted import (
    brier_scores,
    dynamic_auc,
    follow_up_limit,
    mean_over_time,
    uno_concordance,
)
from amkd_core.training.estimates import Estimate, Spread, finite
from amkd_core.training.scored import Scored
from amkd_core.training.statistics_record import (
    Calibration,
    CalibrationPoint,
    HorizonAuc,
    ModelStatistics,
    RiskGroup,
    RiskGroups,
    TimeCurve,
)

Array = NDArray[np.float64]

# Months at which a clinician asks; those within follow-up are reported.
HORIZONS = (12.0, 24.0, 36.0, 60.0, 120.0)
GRID_POINTS = 25
MIN_GRID_POINTS = 5
CALIBRATION_GROUPS = 4
N_TICKS = 6


def model_statistics(scored: Scored, *, seed: int, n_resamples: int = 1000) -> ModelStatistics:
    """Compute them; a figure that is undefined says why.

    Parameters
    ----------
    scored : Scored
    seed : int
        Of the bootstrap; each figure has a stream of its own.
    n_resamples : int
        Resamples of patients.
    """
    outcome = scored.outcome
    limit = common_limit(scored)
    months = month_grid(outcome, limit)
    curve, integrated = _curve(scored, months)
    return ModelStatistics(
        n_patients=len(scored.outcome),
        c_index=over_folds(scored, lambda own, mask: concordance_index(own.time, own.event, scored.risk[mask])),
        c_index_within_folds=c_index_within_folds(scored, seed=seed, n_resamples=n_resamples),
        c_index_pooled=Estimate.of(
            lambda: bootstrap_within(
                outcome, scored.risk, generator=np.random.default_rng([seed, 2]), n_resamples=n_resamples
            )
        ),
        uno=_uno(scored, limit),
        follow_up_limit_months=finite(limit) if limit > 0 else None,
        auc=_aucs(scored, limit),
        integrated_brier=integrated[0],
        integrated_brier_without_model=integrated[1],
        curve=curve,
        calibration=_calibration(scored, limit),
        risk_groups=risk_groups(scored),
    )  # fmt: skip


def c_index_within_folds(scored: Scored, *, seed: int, n_resamples: int = 1000) -> Estimate:
    """C-index of all folds' patients with its interval, each pair within a fold; parameters as above."""
    return Estimate.of(
        lambda: bootstrap_within(
            scored.outcome, scored.risk, scored.fold, generator=np.random.default_rng([seed, 1]),
            n_resamples=n_resamples,
        )
    )  # fmt: skip


def over_folds(scored: Scored, figure: Callable[[Outcome, NDArray[np.bool_]], float]) -> Spread:
    """A figure of each fold's patients; the function gets their outcome and their mask."""
    estimates = {}
    for fold in scored.folds:
        own = scored.fold == fold
        estimates[fold] = Estimate.of(lambda own=own: figure(scored.outcome.take(own), own))  # type: ignore[misc]
    return Spread.over(estimates)


def common_limit(scored: Scored) -> float:
    """Month up to which weighted metrics are computed in every fold with deaths; 0 when there is none."""
    limits = []
    for fold in scored.folds:
        own = scored.outcome.take(scored.fold == fold)
        if own.n_events:
            limits.append(follow_up_limit(own, scored.references.get(fold)))
    return min(limits, default=0.0)


def month_grid(outcome: Outcome, limit: float) -> Array:
    """Months of the curves: evenly from the first twentieth of the deaths to the limit; none when that is no range."""
    deaths = outcome.time[outcome.event & (outcome.time <= limit)]
    if deaths.size < MIN_GRID_POINTS:
        return np.zeros(0)
    first = float(np.quantile(deaths, 0.05))
    return np.linspace(first, limit, GRID_POINTS) if first < limit else np.zeros(0)


def _uno(scored: Scored, limit: float) -> Spread:
    def of_fold(own: Outcome, mask: NDArray[np.bool_]) -> float:
        fold = int(scored.fold[mask][0])
        reference = scored.references.get(fold)
        return uno_concordance(own, scored.risk[mask], reference=reference, tau=limit if limit > 0 else None)

    return over_folds(scored, of_fold)


def _aucs(scored: Scored, limit: float) -> list[HorizonAuc]:
    found = []
    for month in HORIZONS:
        if month <= limit:

            def of_fold(own: Outcome, mask: NDArray[np.bool_], month: float = month) -> float:
                reference = scored.references.get(int(scored.fold[mask][0]))
                return float(dynamic_auc(own, scored.risk[mask], [month], reference=reference)[0])

            found.append(HorizonAuc(months=month, auc=over_folds(scored, of_fold)))
    return found


def _curve(scored: Scored, months: Array) -> tuple[TimeCurve, tuple[Estimate, Estimate]]:
    """AUC as the mean of the folds, Brier scores as the mean of the patients, and the latter's means over time."""
    if not months.size:
        undefined = Estimate(reason="too few events within follow-up to draw a curve over time")
        return TimeCurve(), (undefined, undefined)
    aucs, briers, nulls, sizes = [], [], [], []
    predicted = None if scored.survival_of is None else scored.survival_of(months)
    for fold in scored.folds:
        own = scored.fold == fold
        outcome, reference = scored.outcome.take(own), scored.references.get(fold)
        try:
            aucs.append(dynamic_auc(outcome, scored.risk[own], months, reference=reference))
            null = np.nan_to_num(
                scored.nulls[fold].survival_at(months), nan=float(scored.nulls[fold].survival[-1])
            )
            without = np.tile(null, (len(outcome), 1))
            nulls.append(brier_scores(outcome, without, months, reference=reference))
            sizes.append(len(outcome))
            if predicted is not None:
                briers.append(brier_scores(outcome, predicted[own], months, reference=reference))
        except AmkdError:  # a fold in which nobody died says nothing over time
            continue
    if not sizes:
        undefined = Estimate(reason="no fold has an event among its test patients")
        return TimeCurve(), (undefined, undefined)
    without_model = np.average(nulls, axis=0, weights=sizes)
    with_model = np.average(briers, axis=0, weights=sizes) if briers else None
    curve = TimeCurve(
        months=months.tolist(),
        auc=[finite(value) for value in _mean_known(np.array(aucs))],
        brier=[] if with_model is None else [finite(value) for value in with_model],
        brier_without_model=[finite(value) for value in without_model],
    )
    none = Estimate(reason=f"the {scored.model} gives a risk, but no survival in months")
    own_score = none if with_model is None else Estimate.of(lambda: mean_over_time(months, with_model))
    return curve, (own_score, Estimate.of(lambda: mean_over_time(months, without_model)))


def _mean_known(rows: Array) -> Array:
    """Mean of the columns over what is no NaN; NaN where all is."""
    known = np.isfinite(rows)
    total, count = np.where(known, rows, 0).sum(axis=0), known.sum(axis=0)
    means: Array = np.divide(total, count, out=np.full(rows.shape[1], np.nan), where=count > 0)
    return means


def _calibration(scored: Scored, limit: float) -> Calibration:
    """At the month of `HORIZONS` that lies nearest to the median time of death, or at the latter."""
    if scored.survival_of is None:
        return Calibration(reason=f"the {scored.model} gives a risk, but no survival in months")
    deaths = scored.outcome.time[scored.outcome.event]
    if not deaths.size or limit <= 0:
        return Calibration(reason="no event lies within follow-up")
    median = float(np.median(deaths))
    within = [month for month in HORIZONS if month <= limit]
    month = min(within, key=lambda value: abs(value - median), default=min(median, limit))
    predicted = scored.survival_of(np.array([month]))[:, 0]
    try:
        groups = calibration_groups(scored.outcome, predicted, month, n_groups=CALIBRATION_GROUPS)
    except AmkdError as error:
        return Calibration(months=month, reason=str(error))
    points = [
        CalibrationPoint(
            n_patients=group.n_patients, predicted=group.predicted, observed=finite(group.observed),
            lower=finite(group.lower), upper=finite(group.upper),
        )
        for group in groups
    ]  # fmt: skip
    return Calibration(months=month, points=points, slope=_slope(scored.outcome, predicted))


def _slope(outcome: Outcome, predicted: Array) -> Estimate:
    try:
        slope = calibration_slope(outcome, predicted)
    except AmkdError as error:
        return Estimate(reason=str(error))
    return Estimate(
        value=slope.log_ratio, lower=finite(slope.lower), upper=finite(slope.upper), level=slope.level
    )


def risk_groups(scored: Scored) -> RiskGroups | None:
    """Low and high risk group at common months, and the log-rank test of all folds together; None without a cut."""
    if scored.high is None:
        return None
    ticks = month_ticks(float(scored.outcome.time.max()))
    low, high = (_group(scored.outcome, mask, ticks) for mask in (~scored.high, scored.high))
    try:
        test = log_rank(scored.outcome.time, scored.outcome.event, scored.high)
        result = Estimate(value=test.statistic, p_value=test.p_value)
    except AmkdError as error:
        result = Estimate(reason=str(error))
    return RiskGroups(low=low, high=high, log_rank=result)


def month_ticks(last: float) -> Array:
    """Round months from 0 for an axis that ends at `last`."""
    steps = np.array([0.1, 0.25, 0.5, 1, 2, 3, 6, 12, 24, 36, 60, 120, 240, 600, 1200])
    enough = steps[last / steps <= N_TICKS]
    step = float(enough[0]) if enough.size else last / N_TICKS
    return np.arange(0, last + 1e-9, step)


def _group(outcome: Outcome, mask: NDArray[np.bool_], ticks: Array) -> RiskGroup:
    own = outcome.take(mask)
    if not len(own):
        return RiskGroup(n_patients=0, n_events=0)
    curve = kaplan_meier(own.time, own.event)
    return RiskGroup(
        n_patients=len(own), n_events=own.n_events, months=ticks.tolist(),
        survival=[finite(value) for value in curve.survival_at(ticks)], at_risk=curve.at_risk_at(ticks).tolist(),
    )  # fmt: skip
