"""Risks of patients and honest statistics on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from amkd_core.errors import OutcomeError
from amkd_core.models import SurvivalModel
from amkd_core.survival.hazard import risk
from amkd_core.survival.metrics import FEW_EVENTS, Interval, log_rank
from amkd_core.survival.outcome import Outcome
from amkd_core.training.inputs import Example
from amkd_core.training.passes import whole_output


@dataclass(frozen=True)
class Score:
    """Harrell's C-index of one model on one part of the cohort.

    Attributes
    ----------
    model, part
        "teacher" or "student"; "validation" or "test".
    interval
        C-index with its bootstrap interval by patient; None when no two patients can be compared.
    n_patients, n_events
    reason
        Why there is no interval; empty otherwise.
    """

    model: str
    part: str
    interval: Interval | None
    n_patients: int
    n_events: int
    reason: str = ""

    def __str__(self) -> str:
        size = f"{self.n_patients} patients, {self.n_events} events"
        if self.interval is None:
            why = f": {self.reason}" if self.reason else ""
            return f"{self.model} on {self.part}: C-index not estimable ({size}){why}"
        figure = self.interval
        few = f"; only {self.n_events} events, hardly informative" if self.n_events < FEW_EVENTS else ""
        return (
            f"{self.model} on {self.part}: C-index {figure.estimate:.3f} "
            f"[{figure.lower:.3f}, {figure.upper:.3f}] ({size}{few})"
        )


@dataclass(frozen=True)
class RiskGroups:
    """The student's high against its low risk group on one part of the cohort (METHOD section 6).

    Attributes
    ----------
    part
        "validation" or "test".
    n_low, n_high
        Patients at or below the cut, and above it.
    p_value
        Of the log-rank test; None when a group is empty or nobody died.
    """

    part: str
    n_low: int
    n_high: int
    p_value: float | None

    def __str__(self) -> str:
        sizes = f"{self.n_high} high and {self.n_low} low risk patients"
        found = "not testable" if self.p_value is None else f"log-rank p = {self.p_value:.2g}"
        return f"student on {self.part}, cut at the training median: {sizes}, {found}"


def compare_groups(outcome: Outcome, risks: NDArray[np.float64], cut: float, *, part: str) -> RiskGroups:
    """Log-rank test of the risk groups.

    Parameters
    ----------
    outcome
        Follow-up, in the order of the risks.
    risks
        Of the student, shape (n,).
    cut
        Median risk of the training patients.
    part
        Whose patients they are.
    """
    high = risks > cut
    try:
        p_value = log_rank(outcome.time, outcome.event, high).p_value
    except OutcomeError:
        p_value = None
    return RiskGroups(part, int((~high).sum()), int(high.sum()), p_value)


def risks_of(model: SurvivalModel, examples: Sequence[Example], device: str = "cpu") -> NDArray[np.float64]:
    """Risk of each patient from all patches, shape (n,); higher is worse."""
    model.eval()
    with torch.inference_mode():
        values = [float(risk(whole_output(model, [example], device).logits)[0]) for example in examples]
    return np.array(values)
