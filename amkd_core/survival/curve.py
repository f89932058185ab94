"""One patient's predicted survival in months, drawn between the edges of the time bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amkd_core.errors import OutcomeError
from amkd_core.survival.outcome import FloatArray, TimeBins


def _knots(survival: ArrayLike, bins: TimeBins, last_month: float | None) -> tuple[FloatArray, FloatArray]:
    """Months and survival at the bin edges that are known, from (0, 1)."""
    values = np.asarray(survival, dtype=np.float64)
    if values.shape != (bins.n_bins,):
        raise OutcomeError(
            f"expected one survival probability per time bin, shape ({bins.n_bins},), found {values.shape}"
        )
    if not ((values >= 0) & (values <= 1)).all() or (np.diff(values) > 1e-6).any():
        raise OutcomeError(f"survival must lie in [0, 1] and never rise along bins, found {values.tolist()}")
    # float32 products may rise by a rounding error; the drawn curve must not.
    months, height = bins.edges[:-1], np.minimum.accumulate(np.concatenate(([1.0], values)))
    if last_month is None:
        if bins.n_bins == 1:
            raise OutcomeError(
                "a single open-ended time bin has no finite edge; give last_month to draw a curve"
            )
        return months, height[:-1]
    if not (np.isfinite(last_month) and last_month > months[-1]):
        raise OutcomeError(
            f"last_month must lie beyond the last finite bin edge ({months[-1]:g} months), found {last_month:g}"
        )
    return np.append(months, last_month), height


def survival_at(
    months: ArrayLike, survival: ArrayLike, bins: TimeBins, *, last_month: float | None = None
) -> FloatArray:
    """Predicted survival at given months.

    Within a bin the curve falls in a straight line, as if deaths were spread evenly over it. The last bin
    has no end: without ``last_month`` the curve stops at the last finite edge; with it (the longest
    follow-up of the training patients) the last bin's survival is placed there.

    Parameters
    ----------
    months : array
        Times from 0.
    survival : array, shape (n_bins,)
        Probability of living through each bin, as `amkd_core.survival.hazard.survival` gives it.
    bins : TimeBins
    last_month : float, optional
        Where the open last bin ends for display.

    Returns
    -------
    array, as ``months``
        NaN before 0 and beyond the end of the curve, where the model says nothing.

    Raises
    ------
    OutcomeError
        When survival rises, does not fit the bins, or ``last_month`` is not beyond the last finite edge.
    """
    knots, height = _knots(survival, bins, last_month)
    return np.interp(np.asarray(months, dtype=np.float64), knots, height, left=np.nan, right=np.nan)


def survival_curve(
    survival: ArrayLike, bins: TimeBins, *, last_month: float | None = None, n_points: int = 121
) -> tuple[FloatArray, FloatArray]:
    """Predicted survival as a curve for display; see `survival_at`.

    Returns
    -------
    months : array, shape (t,)
        Evenly spaced from 0 to the end, with every bin edge among them.
    probability : array, shape (t,)
        From 1; never rises.
    """
    knots, height = _knots(survival, bins, last_month)
    months = np.union1d(np.linspace(0, knots[-1], n_points), knots)
    return months, np.interp(months, knots, height)
