"""From logits to hazards, survival and risk, and the two survival losses; all in log space.

The head gives one logit per ordinal time bin, ``h_k = sigmoid(logit_k)`` and ``S_k = prod_{j<=k} (1 - h_j)``
(paper section 2.1). The paper names a Cox loss in sections 2.3.3 and 2.5 and the discrete likelihood in
sections 2.1 and 2.4; the likelihood is the default for both stages because the student has four ordinal
bins, and `cox_loss` is the complete alternative.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from amkd_core.errors import OutcomeError

Reduction = Literal["mean", "sum", "none"]


def hazards(logits: Tensor) -> Tensor:
    """Probability of death in each bin given survival to its start, shape (batch, n_bins)."""
    return torch.sigmoid(logits)


def log_survival(logits: Tensor) -> Tensor:
    """Logarithm of `survival`, shape (batch, n_bins); exact where the product would underflow."""
    return logsigmoid(-logits).cumsum(dim=-1)


def survival(logits: Tensor) -> Tensor:
    """Probability of living through the end of each bin, shape (batch, n_bins); never rises along bins."""
    return log_survival(logits).exp()


def risk(logits: Tensor) -> Tensor:
    """Minus the sum of `survival` over bins, shape (batch,); higher is worse.

    Of a Cox head, which has one output, that output itself: the log risk.
    """
    if logits.shape[-1] == 1:
        return logits[..., 0]
    return -survival(logits).sum(dim=-1)


def _reduce(losses: Tensor, reduction: Reduction) -> Tensor:
    """Mean, sum or all of the per-patient losses."""
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def nll_loss(logits: Tensor, bin_index: Tensor, event: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Negative log likelihood of discrete survival with censoring (Zadeh & Schmid 2021).

    With bin ``k`` and ``S(-1) = 1``: ``-log S(k-1) - log h(k)`` for a death, ``-log S(k)`` for a censored
    patient, who counts as alive through the bin. The paper's section 2.1 lost its minus signs in print.

    Parameters
    ----------
    logits : Tensor, shape (batch, n_bins)
    bin_index : Tensor of int64, shape (batch,)
    event : Tensor of bool, shape (batch,)
        True = death seen.
    reduction : {"mean", "sum", "none"}
        Over patients; "none" returns shape (batch,).

    Returns
    -------
    Tensor
        Never negative.

    Raises
    ------
    OutcomeError
        When shapes disagree, flags are not boolean, or a bin lies outside the head.
    """
    batch, n_bins = logits.shape
    if bin_index.shape != (batch,) or event.shape != (batch,):
        raise OutcomeError(
            f"logits of shape {(batch, n_bins)} need {batch} bins and {batch} event flags, "
            f"found shapes {tuple(bin_index.shape)} and {tuple(event.shape)}"
        )
    if event.dtype != torch.bool:
        raise OutcomeError(f"event must be boolean (True = event seen), found {event.dtype}")
    lowest, highest = torch.stack(torch.aminmax(bin_index)).tolist()
    if lowest < 0 or highest >= n_bins:
        raise OutcomeError(f"bins must lie in 0..{n_bins - 1}, found {lowest}..{highest}")
    bins, own = torch.arange(n_bins, device=logits.device), bin_index.unsqueeze(1)
    # log(1 - h_j) = logsigmoid(-z_j) for every bin lived through, log h_k = logsigmoid(z_k) for a death.
    signed = torch.where((bins == own) & event.unsqueeze(1), logits, -logits)
    return _reduce(-(logsigmoid(signed) * (bins <= own)).sum(dim=1), reduction)


def cox_loss(log_risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Negative Cox partial log likelihood with Breslow's rule for ties, mean over deaths.

    ``-1/D sum_{i: event} (eta_i - log sum_{j: t_j >= t_i} exp(eta_j))``. It is meaningful only over a batch
    (or an accumulation window) whose patients form each other's risk sets.

    Parameters
    ----------
    log_risk : Tensor, shape (n,)
        ``eta``, higher is worse.
    time : Tensor, shape (n,)
        Months.
    event : Tensor of bool, shape (n,)
        True = death seen.

    Raises
    ------
    OutcomeError
        When shapes disagree, flags are not boolean, or no death was seen, so that no risk set exists.
    """
    if not log_risk.shape == time.shape == event.shape or log_risk.ndim != 1:
        raise OutcomeError(
            f"the Cox loss needs three vectors of one length, found shapes {tuple(log_risk.shape)}, "
            f"{tuple(time.shape)} and {tuple(event.shape)}"
        )
    if event.dtype != torch.bool:
        raise OutcomeError(f"event must be boolean (True = event seen), found {event.dtype}")
    if not bool(event.any()):
        raise OutcomeError(f"the Cox loss needs at least one event, found none among {len(event)} patients")
    order = torch.argsort(time, descending=True, stable=True)
    falling = time[order]
    # Breslow: patients who share a time share the risk set that ends with the last of them.
    last = torch.searchsorted(-falling, -falling, right=True) - 1
    log_risk_set = torch.logcumsumexp(log_risk[order], dim=0)[last]
    return -(log_risk[order] - log_risk_set)[event[order]].mean()
