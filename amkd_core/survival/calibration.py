"""Does it come true? Predicted against observed survival at a month, and the slope of the predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amkd_core.errors import OutcomeError
from amkd_core.survival.cox import HazardRatio, hazard_ratio
from amkd_core.survival.metrics import kaplan_meier
from amkd_core.survival.outcome import FloatArray, Outcome

# Cumulative hazards are compared as logarithms; probabilities nearer to 0 or 1 than this are moved there.
_EDGE = 1e-4


@dataclass(frozen=True)
class CalibrationGroup:
    """Patients of similar prediction, at one month.

    Attributes
    ----------
    n_patients : int
    predicted : float
        Mean predicted probability of living beyond the month.
    observed, lower, upper : float
        Kaplan-Meier estimate at the month with its band; NaN when the group was not followed so long.
    """

    n_patients: int
    predicted: float
    observed: float
    lower: float
    upper: float


def calibration_groups(
    outcome: Outcome, predicted: ArrayLike, month: float, *, n_groups: int = 4
) -> tuple[CalibrationGroup, ...]:
    """Observed survival at a month against the predicted one, in groups of equal size by prediction.

    Parameters
    ----------
    outcome : Outcome
    predicted : array, shape (n,)
        Probability of living beyond the month.
    month : float
        Above 0.
    n_groups : int
        Fewer when there are fewer patients or distinct predictions.

    Returns
    -------
    tuple of CalibrationGroup
        From the worst predicted survival to the best.

    Raises
    ------
    OutcomeError
        When inputs disagree.
    """
    values = _probabilities(outcome, predicted)
    if not (np.isfinite(month) and month > 0):
        raise OutcomeError(f"a month of calibration must be above 0, found {month}")
    cuts = np.unique(np.quantile(values, np.linspace(0, 1, n_groups + 1)[1:-1]))
    label = np.searchsorted(cuts, values, side="right")
    return tuple(
        _group(outcome.take(label == index), values[label == index], month) for index in np.unique(label)
    )


def calibration_slope(outcome: Outcome, predicted: ArrayLike) -> HazardRatio:
    """Slope of the log hazard along the predicted one, ``log(-log S)``: 1 is right.

    Below 1 the predictions are too extreme (overfitted), above 1 too timid, below 0 the wrong way round.

    Parameters
    ----------
    outcome : Outcome
    predicted : array, shape (n,)
        Probability of living beyond some month, the same for all.

    Returns
    -------
    HazardRatio
        Its ``log_ratio`` is the slope.

    Raises
    ------
    OutcomeError
        When inputs disagree, the predictions are all the same, or nobody died.
    """
    values = np.clip(_probabilities(outcome, predicted), _EDGE, 1 - _EDGE)
    return hazard_ratio(outcome, np.log(-np.log(values)))


def _group(outcome: Outcome, predicted: FloatArray, month: float) -> CalibrationGroup:
    curve = kaplan_meier(outcome.time, outcome.event)
    step = int(np.searchsorted(curve.time, month, side="right") - 1)
    followed = month <= curve.time[-1] or curve.survival[-1] == 0
    observed = (curve.survival[step], curve.lower[step], curve.upper[step]) if followed else (np.nan,) * 3
    return CalibrationGroup(len(outcome), float(predicted.mean()), *(float(value) for value in observed))


def _probabilities(outcome: Outcome, predicted: ArrayLike) -> FloatArray:
    values = np.asarray(predicted, dtype=np.float64)
    if values.shape != outcome.time.shape:
        raise OutcomeError(
            f"expected one probability per patient, shape {outcome.time.shape}, found {values.shape}"
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise OutcomeError("predicted survival must lie in [0, 1], some of it does not")
    return values
