"""Metrics that allow for censoring by inverse weights: Uno's C, AUC over time, Brier score; computed by torchsurv.

A patient who was followed to a time stands for those who were lost before it: the weight is ``1 / G``, with ``G`` the
Kaplan-Meier estimate of staying under observation. ``G`` comes from a reference group, the training patients of a fold,
and is too small to divide by near the end of follow-up, so that every metric here stops at `follow_up_limit`. A patient
who died stands for those lost before that death, so that ``G`` is taken just before it (Graf et al. 1999): where times
are whole months or years others were lost in the same one.
torchsurv counts in single precision, which is exact to six digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from amkd_core.errors import OutcomeError
from amkd_core.survival.metrics import as_risk
from amkd_core.survival.outcome import FloatArray, Outcome

if TYPE_CHECKING:
    from torch import Tensor

# Share of the reference patients that must still be followed where a weighted metric is computed.
STILL_FOLLOWED = 0.10


def follow_up_limit(outcome: Outcome, reference: Outcome | None = None) -> float:
    """Latest month at which weighted metrics are computed; 0 when there is none.

    A tenth of the reference patients is followed beyond it, so that no weight is divided by next to nothing, and so is
    some patient of `outcome`.

    Parameters
    ----------
    outcome : Outcome
        Patients who are scored.
    reference : Outcome, optional
        Patients whose censoring gives the weights; by default the same.
    """
    watched = outcome if reference is None else reference
    months = np.unique(watched.time)
    beyond = len(watched) - np.searchsorted(np.sort(watched.time), months, side="right")
    enough = months[beyond >= STILL_FOLLOWED * len(watched)]
    earlier = outcome.time[outcome.time < outcome.time.max()]
    return float(min(enough.max(initial=0.0), earlier.max(initial=0.0)))


def uno_concordance(
    outcome: Outcome, risk: ArrayLike, *, reference: Outcome | None = None, tau: float | None = None
) -> float:
    """Uno's C-index: like Harrell's, but its limit does not depend on how patients were censored.

    Pairs count by the inverse squared probability that their earlier death was observed; only deaths before
    ``tau`` count. 1 is perfect, 0.5 is chance.

    Parameters
    ----------
    outcome : Outcome
    risk : array, shape (n,)
        Higher is worse.
    reference : Outcome, optional
        Gives the weights (the training patients of a fold); by default the patients themselves.
    tau : float, optional
        Months; `follow_up_limit` by default.

    Raises
    ------
    OutcomeError
        When inputs disagree, or no pair before ``tau`` is comparable.
    """
    import torch

    from amkd_core.survival.torchsurv_parts import torchsurv_parts

    risks = as_risk(outcome, risk)
    limit = follow_up_limit(outcome, reference) if tau is None else float(tau)
    early = outcome.event & (outcome.time.astype(np.float32) < np.float32(limit))
    later = (outcome.time[None, :] > outcome.time[:, None]) | (
        (outcome.time[None, :] == outcome.time[:, None]) & ~outcome.event[None, :]
    )
    if not (early[:, None] & later).any():
        raise OutcomeError(
            f"Uno's C is undefined: none of the {int(early.sum())} events before {limit:.1f} months precedes another "
            f"patient's last contact ({len(outcome)} patients)"
        )
    weight = _own_weights(outcome, reference)
    # Ranks order as the risks do, and are exact in single precision.
    ranks = torch.from_numpy(rankdata(risks, method="dense").astype(np.float32))
    metric = torchsurv_parts().concordance_index()
    time, event = _tensors(outcome)
    return float(metric(ranks, event, time, weight=weight, tmax=torch.tensor(limit, dtype=torch.float32)))


def dynamic_auc(
    outcome: Outcome, risk: ArrayLike, months: ArrayLike, *, reference: Outcome | None = None
) -> FloatArray:
    """Cumulative/dynamic AUC: whether patients who died by a month had higher risks than those who outlived it.

    1 is perfect, 0.5 is chance.

    Parameters
    ----------
    outcome : Outcome
    risk : array, shape (n,)
        Higher is worse.
    months : array, shape (t,)
        Rising; at most `follow_up_limit`.
    reference : Outcome, optional
        As for `uno_concordance`.

    Returns
    -------
    array, shape (t,)
        NaN where nobody had died yet, or nobody lived longer.

    Raises
    ------
    OutcomeError
        When inputs disagree, or a month lies beyond the follow-up limit.
    """
    import torch

    from amkd_core.survival.torchsurv_parts import torchsurv_parts

    risks, at = as_risk(outcome, risk), _checked_months(outcome, months, reference)
    died = outcome.event[:, None] & (outcome.time[:, None] <= at[None, :])
    defined = died.any(axis=0) & (outcome.time[:, None] > at[None, :]).any(axis=0)
    found = np.full(at.shape, np.nan)
    if not defined.any():
        return found
    ranks = torch.from_numpy(rankdata(risks, method="dense").astype(np.float32))
    time, event = _tensors(outcome)
    found[defined] = torchsurv_parts().auc()(
        ranks, event, time,
        new_time=torch.from_numpy(at[defined].astype(np.float32)),
        weight=_own_weights(outcome, reference),
        weight_new_time=_weights(outcome, reference, at[defined]),
    ).double().numpy()  # fmt: skip
    return found


def brier_scores(
    outcome: Outcome, survival: ArrayLike, months: ArrayLike, *, reference: Outcome | None = None
) -> FloatArray:
    """Brier score at each month: mean squared difference of predicted survival from what happened; lower is better.

    0 is perfect; 0.25 is what a prediction of one half for everyone gets.

    Parameters
    ----------
    outcome : Outcome
    survival : array, shape (n, t)
        Predicted probability of living beyond each month.
    months : array, shape (t,)
        Rising; at most `follow_up_limit`.
    reference : Outcome, optional
        As for `uno_concordance`.

    Returns
    -------
    array, shape (t,)

    Raises
    ------
    OutcomeError
        When inputs disagree, a probability is none, nobody died, or a month lies beyond the follow-up limit.
    """
    import torch

    from amkd_core.survival.torchsurv_parts import torchsurv_parts

    at = _checked_months(outcome, months, reference)
    predicted = np.asarray(survival, dtype=np.float64)
    if predicted.shape != (len(outcome), at.size):
        raise OutcomeError(
            f"expected predicted survival of shape ({len(outcome)}, {at.size}), found {predicted.shape}"
        )
    if not ((predicted >= 0) & (predicted <= 1)).all():
        raise OutcomeError("predicted survival must lie in [0, 1], some of it does not")
    if not outcome.n_events:
        raise OutcomeError(f"the Brier score needs at least one event, found none in {len(outcome)} patients")
    time, event = _tensors(outcome)
    scores = torchsurv_parts().brier_score()(
        torch.from_numpy(predicted.astype(np.float32)), event, time,
        new_time=torch.from_numpy(at.astype(np.float32)),
        weight=_own_weights(outcome, reference),
        weight_new_time=_weights(outcome, reference, at),
    )  # fmt: skip
    found: FloatArray = scores.double().numpy()
    return found


def mean_over_time(months: ArrayLike, values: ArrayLike) -> float:
    """Mean of a curve over its months by the trapezoidal rule: the integrated Brier score of `brier_scores`.

    Raises
    ------
    OutcomeError
        When there are fewer than two months.
    """
    at, heights = np.asarray(months, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if at.size < 2 or at.shape != heights.shape:
        raise OutcomeError(f"a mean over time needs at least two months with a value each, found {at.size}")
    return float(np.trapezoid(heights, at) / (at[-1] - at[0]))


def _tensors(outcome: Outcome) -> tuple[Tensor, Tensor]:
    """Months in single precision, and flags."""
    import torch

    return torch.from_numpy(outcome.time.astype(np.float32)), torch.from_numpy(outcome.event.copy())


def _own_weights(outcome: Outcome, reference: Outcome | None) -> Tensor:
    """``1 / G`` just before each patient's own time, shape (n,)."""
    watched = outcome if reference is None else reference
    # The reference's last time before each; torchsurv takes times that are one float apart for the same.
    steps = np.concatenate([np.zeros(1, np.float32), np.unique(watched.time.astype(np.float32))])
    before = steps[np.searchsorted(steps, outcome.time.astype(np.float32), side="left") - 1]
    return _weights(outcome, reference, before)


def _weights(outcome: Outcome, reference: Outcome | None, months: FloatArray | NDArray[np.float32]) -> Tensor:
    """``1 / G`` of the reference patients at these months, shape (len(months),); 0 where nobody was followed so far."""
    import torch

    from amkd_core.survival.torchsurv_parts import torchsurv_parts

    watched = outcome if reference is None else reference
    if not watched.n_events:
        raise OutcomeError(
            f"weights of censoring need at least one event, found none in {len(watched)} patients"
        )
    time, event = _tensors(watched)
    weights: Tensor = torchsurv_parts().get_ipcw(event, time, torch.from_numpy(months.astype(np.float32)))
    return weights


def _checked_months(outcome: Outcome, months: ArrayLike, reference: Outcome | None) -> FloatArray:
    at = np.asarray(months, dtype=np.float64)
    if at.ndim != 1 or not at.size or not np.isfinite(at).all() or (np.diff(at) <= 0).any():
        raise OutcomeError(f"months must be a rising list of finite times, found {at.tolist()}")
    limit = follow_up_limit(outcome, reference)
    if at[0] <= 0 or at[-1] > limit:
        raise OutcomeError(
            f"months must lie above 0 and at or before {limit:.1f}, where a tenth of the patients is still followed, "
            f"found {at[0]:g} to {at[-1]:g}"
        )
    return at
