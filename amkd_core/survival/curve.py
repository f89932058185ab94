"""One patient's predicted survival in months, drawn between the edges of the time bins and on into the open one.

A discrete head tells how likely a patient lives through each bin (METHOD section 2). The last bin has no end, so that
its hazard gives no months; and since a censored patient counts as alive through his bin, it understates the deaths of
an endless one. What it does tell is how a patient compares with the training patients in that bin, whose hazard by the
same count is known. So the curve goes on from the last finite edge as the training patients' Kaplan-Meier estimate
does, with its cumulative hazard times ``log(1 - h) / log(1 - h0)``: proportional hazards within the bin. A patient of
their hazard falls as they did.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amkd_core.errors import OutcomeError
from amkd_core.survival.metrics import KaplanMeier
from amkd_core.survival.outcome import FloatArray, TimeBins


def survival_at(
    months: ArrayLike, survival: ArrayLike, bins: TimeBins, cohort: KaplanMeier | None = None
) -> FloatArray:
    """Predicted survival at given months.

    Within a bin that ends the curve falls in a straight line, as if deaths were spread evenly over it. In the last
    one it follows the training patients, to their longest follow-up; without them it stops at the last finite edge.

    Parameters
    ----------
    months : array
        Times from 0.
    survival : array, shape (n_bins,)
        Probability of living through each bin, as `amkd_core.survival.hazard.survival` gives it.
    bins : TimeBins
    cohort : KaplanMeier, optional
        Of the training patients.

    Returns
    -------
    array, as ``months``
        NaN before 0 and beyond the end of the curve, where the model says nothing.

    Raises
    ------
    OutcomeError
        When survival rises or does not fit the bins, or a single open bin comes without a cohort that died in it.
    """
    knots, height = _knots(survival, bins, cohort)
    return np.interp(np.asarray(months, dtype=np.float64), knots, height, left=np.nan, right=np.nan)


def survival_curve(
    survival: ArrayLike, bins: TimeBins, cohort: KaplanMeier | None = None, *, n_points: int = 121
) -> tuple[FloatArray, FloatArray]:
    """Predicted survival as a curve for display; see `survival_at`.

    Returns
    -------
    months : array, shape (t,)
        From 0 to the end, evenly spaced and with all bends of the curve among them.
    probability : array, shape (t,)
        From 1; never rises.
    """
    knots, height = _knots(survival, bins, cohort)
    months = np.union1d(np.linspace(0, knots[-1], n_points), knots)
    return months, np.interp(months, knots, height)


def curve_end(bins: TimeBins, cohort: KaplanMeier | None) -> float:
    """Month at which a curve in these bins ends."""
    begins = float(bins.edges[-2])
    return begins if cohort is None else max(begins, float(cohort.time[-1]))


def _knots(survival: ArrayLike, bins: TimeBins, cohort: KaplanMeier | None) -> tuple[FloatArray, FloatArray]:
    """Months and survival where the curve bends, from (0, 1)."""
    values = np.asarray(survival, dtype=np.float64)
    if values.shape != (bins.n_bins,):
        raise OutcomeError(
            f"expected one survival probability per time bin, shape ({bins.n_bins},), found {values.shape}"
        )
    if not ((values >= 0) & (values <= 1)).all() or (np.diff(values) > 1e-6).any():
        raise OutcomeError(f"survival must lie in [0, 1] and never rise along bins, found {values.tolist()}")
    # float32 products may rise by a rounding error; the drawn curve must not.
    months, height = bins.edges[:-1], np.minimum.accumulate(np.concatenate(([1.0], values)))
    later, lived = (np.empty(0), np.empty(0)) if cohort is None else _open_bin(height[-2:], bins, cohort)
    if bins.n_bins == 1 and not later.size:
        raise OutcomeError(
            "a single open-ended time bin has no finite edge; a cohort with follow-up must say how its curve runs"
        )
    return np.append(months, later), np.append(height[:-1], lived)


def _open_bin(around: FloatArray, bins: TimeBins, cohort: KaplanMeier) -> tuple[FloatArray, FloatArray]:
    """Months after the last finite edge at which the cohort changes, and the patient's survival there.

    ``around`` is the patient's survival at the open bin's beginning and through it.
    """
    begins, through = around.tolist()
    edge = float(bins.edges[-2])
    after = cohort.time > edge
    # A death at the very edge belongs to the open bin.
    first = int(np.searchsorted(cohort.time, edge, side="left"))
    before = float(cohort.survival[first - 1]) if first else 1.0
    if not after.any() or before <= 0:
        return np.empty(0), np.empty(0)
    share = cohort.survival[after] / before
    own, theirs = _log(through / begins) if begins > 0 else 0.0, _log(1 - _hazard(cohort, first))
    return cohort.time[after], begins * share ** (own / theirs)


def _hazard(cohort: KaplanMeier, first: int) -> float:
    """The cohort's hazard in the open bin by the head's own count: who is censored in it lived through it.

    Half a death and half a survivor are added, as where training begins (`amkd_core.training.inputs.base_logits_of`),
    so that it is neither 0 nor 1.
    """
    before = np.append(1.0, cohort.survival)[first : len(cohort.survival)]
    died = 1 - np.divide(cohort.survival[first:], before, out=np.ones_like(before), where=before > 0)
    deaths = float((died * cohort.at_risk[first:]).sum())
    # A table that contradicts itself must not turn the curve upwards.
    return min((deaths + 0.5) / (float(cohort.at_risk[first]) + 1), 1 - 1e-9)


def _log(share: float) -> float:
    """Finite for a share of 0, which has the cohort's survival to a high power: next to 0."""
    return float(np.log(max(share, 1e-12)))
