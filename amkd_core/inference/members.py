"""What each member of a bundle says of a patient, and the mean of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amkd_core.bundle import BundleMember
from amkd_core.inference.prediction import MemberPrediction, SurvivalCurve
from amkd_core.models import ModelOutput
from amkd_core.survival.baseline import hazards_in_bins, survival_in_bins
from amkd_core.survival.curve import survival_curve
from amkd_core.survival.hazard import risk
from amkd_core.survival.metrics import KaplanMeier
from amkd_core.survival.outcome import TimeBins

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MemberReading:
    """One member's student on one patient.

    Attributes
    ----------
    risk : float
        Higher is worse.
    hazards, survival : array, shape (n_bins,)
        Per time bin of this member.
    bins : TimeBins
    """

    risk: float
    hazards: Array
    survival: Array
    bins: TimeBins

    @classmethod
    def of(cls, member: BundleMember, output: ModelOutput) -> MemberReading:
        """Read the output of the member's student for a batch of one."""
        logits = output.logits
        return cls(
            float(risk(logits)[0]), hazards_in_bins(logits, member.baseline)[0],
            survival_in_bins(logits, member.baseline)[0], member.time_bins,
        )  # fmt: skip

    @property
    def prediction(self) -> MemberPrediction:
        """The same as a part of a prediction."""
        return MemberPrediction(self.risk, self.hazards, tuple(self.bins.to_list()))


def mean_curve(readings: Sequence[MemberReading], cohort: KaplanMeier) -> SurvivalCurve:
    """Curves of the members on common months, averaged; drawn as far as the training cohort was followed.

    The months hold the bin edges of all members, so that the mean has every member's bends.
    """
    curves = [survival_curve(reading.survival, reading.bins, cohort) for reading in readings]
    last = min(curve_months[-1] for curve_months, _ in curves)
    months = np.unique(np.concatenate([curve_months[curve_months <= last] for curve_months, _ in curves]))
    return SurvivalCurve(months, np.mean([np.interp(months, *curve) for curve in curves], axis=0))


def mean_in_bins(readings: Sequence[MemberReading], curve: SurvivalCurve) -> tuple[Array, Array]:
    """Hazards and survival in the first member's bins, averaged over members, shape (n_bins,) each.

    Members' bins begin at months of their own, so that up to the last finite edge both are read off the mean curve;
    through the open bin so many live as in the members' mean.
    """
    if len(readings) == 1:
        return readings[0].hazards, readings[0].survival
    edges = readings[0].bins.edges[1:-1]
    lived = np.append(1.0, np.interp(edges, curve.time_months, curve.survival))
    through = float(np.mean([reading.survival[-1] for reading in readings]))
    survival: Array = np.append(lived[1:], min(through, lived[-1]))
    return 1 - np.divide(survival, lived, out=np.ones_like(survival), where=lived > 0), survival
