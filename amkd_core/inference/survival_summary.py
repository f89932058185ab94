"""What a predicted survival curve says in numbers, and the curves of an ensemble's members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amkd_core.inference.prediction import Prediction, SurvivalCurve
from amkd_core.survival.curve import survival_curve
from amkd_core.survival.outcome import TimeBins

YEARS = (1, 3, 5)


@dataclass(frozen=True)
class SurvivalSummary:
    """Numbers of a curve; None where the curve ends before.

    Attributes
    ----------
    median_months
        When half would have had the event; None where the curve stays above one half.
    at_years
        (year, probability of being without the event) for 1, 3 and 5 years.
    last_month
        Where the curve ends.
    """

    median_months: float | None
    at_years: tuple[tuple[int, float | None], ...]
    last_month: float


def summarise(curve: SurvivalCurve, years: Sequence[int] = YEARS) -> SurvivalSummary:
    """Read median and survival at whole years off a curve, in straight lines between its points."""
    time, survival = curve.time_months, curve.survival
    last = float(time[-1])
    known = tuple(
        (year, float(np.interp(12 * year, time, survival)) if 12 * year <= last else None) for year in years
    )
    return SurvivalSummary(_median(curve), known, last)


def member_curves(prediction: Prediction) -> tuple[SurvivalCurve, ...]:
    """Curve of each member of the ensemble, as far as the mean curve goes."""
    last = float(prediction.curve.time_months[-1])
    curves = []
    for member in prediction.members:
        bins = TimeBins.from_list([*member.bin_edges_months, float("inf")])
        months, values = survival_curve(
            np.cumprod(1 - member.hazards), bins, prediction.cohort.kaplan_meier["all"]
        )
        inside = months <= last
        curves.append(SurvivalCurve(months[inside], values[inside]))
    return tuple(curves)


def told_until(prediction: Prediction) -> float:
    """Month at which the first of the members' last bins begins.

    Those bins have no end (METHOD section 2): from there on the model tells how a patient's hazard compares with the
    training cohort's, and the curve goes on with its shape (`amkd_core.survival.curve`).
    """
    edges = [member.bin_edges_months for member in prediction.members] or [prediction.bin_edges_months]
    return float(min(known[-1] for known in edges))


def told_and_drawn_on(prediction: Prediction) -> tuple[SurvivalCurve, SurvivalCurve]:
    """The curve as far as the model tells its months, and the rest, which begins where that ends."""
    curve = prediction.curve
    month = min(told_until(prediction), float(curve.time_months[-1]))
    height = float(np.interp(month, curve.time_months, curve.survival))
    before, after = curve.time_months < month, curve.time_months > month
    return (
        SurvivalCurve(np.append(curve.time_months[before], month), np.append(curve.survival[before], height)),
        SurvivalCurve(np.append(month, curve.time_months[after]), np.append(height, curve.survival[after])),
    )


def _median(curve: SurvivalCurve) -> float | None:
    below = np.flatnonzero(curve.survival <= 0.5)
    if len(below) == 0:
        return None
    after = int(below[0])
    if after == 0:
        return float(curve.time_months[0])
    (early, late), (high, low) = (
        curve.time_months[after - 1 : after + 1],
        curve.survival[after - 1 : after + 1],
    )
    return float(early + (late - early) * (high - 0.5) / (high - low))
