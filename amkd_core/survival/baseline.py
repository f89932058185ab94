"""Survival curves of a Cox model: Breslow's baseline hazard, and a log risk read with it.

A Cox head gives one number, the log risk ``eta``; ``S(t) = exp(-H0(t) exp(eta))``. The baseline ``H0`` steps at times
of death of the training patients. Those times make time bins of their own, so that a Cox model, too, has a hazard in
each bin, and whatever reads hazards in bins (curves, Brier score, calibration, the viewer) reads both kinds of head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from amkd_core.errors import OutcomeError
from amkd_core.survival.outcome import FloatArray, Outcome, TimeBins

if TYPE_CHECKING:
    from torch import Tensor

# exp() of more than this leaves the floats; a survival is 0 or 1 long before.
_LARGEST_LOG_RISK = 500.0


@dataclass(frozen=True, eq=False, repr=False)
class BaselineHazard:
    """What a patient of log risk 0 faces in each time bin.

    Parameters
    ----------
    bins : TimeBins
        Cut at times of death of the training patients.
    increments : array, shape (n_bins,)
        By how much the cumulative hazard grows in each bin; a death at an edge counts to the bin that ends there, and
        the open last bin has none.

    Raises
    ------
    OutcomeError
        When there is not one finite increment, 0 or more, for each bin.
    """

    bins: TimeBins
    increments: FloatArray

    def __post_init__(self) -> None:
        values = np.array(self.increments, dtype=np.float64)
        if values.shape != (self.bins.n_bins,) or not (np.isfinite(values) & (values >= 0)).all():
            raise OutcomeError(
                f"a baseline hazard needs one finite increment of 0 or more for each of {self.bins.n_bins} bins, "
                f"found shape {values.shape}"
            )
        values.setflags(write=False)
        object.__setattr__(self, "increments", values)

    def __repr__(self) -> str:
        return f"BaselineHazard({self.increments.sum():.3g} by {self.bins.edges[-2]:g} months)"

    @classmethod
    def fit(cls, log_risk: ArrayLike, outcome: Outcome, bins: TimeBins) -> BaselineHazard:
        """Breslow's estimate: at each time of death, deaths over the sum of ``exp(eta)`` of those at risk.

        Parameters
        ----------
        log_risk : array, shape (n,)
            Of the training patients.
        outcome : Outcome
            Theirs, in the same order.
        bins : TimeBins
            As `TimeBins.at_deaths` cuts them on the same patients.

        Raises
        ------
        OutcomeError
            When there is not one finite log risk for each patient.
        """
        eta = np.asarray(log_risk, dtype=np.float64)
        if eta.shape != outcome.time.shape or not np.isfinite(eta).all():
            raise OutcomeError(
                f"expected one finite log risk for each of {len(outcome)} patients, found shape {eta.shape}"
            )
        largest = float(eta.max(initial=0.0))
        order = np.argsort(outcome.time, kind="stable")
        time, weight = outcome.time[order], np.exp(eta[order] - largest)
        at_risk = np.cumsum(weight[::-1])[::-1]
        # Patients who share a time share the risk set that begins with the first of them.
        steps = outcome.event[order] / at_risk[np.searchsorted(time, time, side="left")]
        place = np.searchsorted(bins.edges[1:-1], time, side="left")
        return cls(bins, np.bincount(place, weights=steps, minlength=bins.n_bins) * np.exp(-largest))

    def hazards(self, log_risk: ArrayLike) -> FloatArray:
        """Chance of dying in each bin given life at its start, shape (n, n_bins), for log risks of shape (n,)."""
        eta = np.clip(np.asarray(log_risk, dtype=np.float64), -_LARGEST_LOG_RISK, _LARGEST_LOG_RISK)
        chance: FloatArray = -np.expm1(-self.increments * np.exp(eta)[:, None])
        return chance


def hazards_in_bins(logits: Tensor, baseline: BaselineHazard | None = None) -> FloatArray:
    """Hazards of a batch, shape (batch, n_bins), from either kind of head.

    Parameters
    ----------
    logits : Tensor, shape (batch, n_outputs)
    baseline : BaselineHazard, optional
        Of a Cox head, whose one output it turns into hazards; None where the logits are those of hazards.
    """
    from amkd_core.survival.hazard import hazards, risk

    if baseline is None:
        return hazards(logits).cpu().double().numpy()
    return baseline.hazards(risk(logits).cpu().double().numpy())


def survival_in_bins(logits: Tensor, baseline: BaselineHazard | None = None) -> FloatArray:
    """Probability of living through each bin, shape (batch, n_bins); parameters as for `hazards_in_bins`."""
    from amkd_core.survival.hazard import survival

    if baseline is None:
        return survival(logits).cpu().double().numpy()
    lived: FloatArray = np.cumprod(1 - hazards_in_bins(logits, baseline), axis=1, dtype=np.float64)
    return lived
