"""Breslow's baseline hazard, against lifelines, and a log risk turned into survival."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import CoxPHFitter

from amkd_core.errors import OutcomeError
from amkd_core.survival.baseline import BaselineHazard, hazards_in_bins, survival_in_bins
from amkd_core.survival.curve import survival_at
from amkd_core.survival.hazard import hazards, risk, survival
from amkd_core.survival.metrics import kaplan_meier
from amkd_core.survival.outcome import Outcome, TimeBins


def made(n: int, *, digits: int = 0) -> tuple[np.ndarray, Outcome]:
    """Log risks and follow-up; whole months give ties."""
    rng = np.random.default_rng(4)
    eta = rng.normal(size=n)
    time = np.maximum(rng.exponential(20 * np.exp(-eta)), 0.5).round(digits).clip(1)
    return eta, Outcome(time, rng.random(n) < 0.6)


@pytest.mark.parametrize("digits", [0, 6])
def test_survival_of_every_patient_equals_that_of_lifelines(digits: int) -> None:
    eta, outcome = made(60, digits=digits)
    frame = pd.DataFrame({"x": eta, "months": outcome.time, "death": outcome.event})
    fitter = CoxPHFitter().fit(frame, "months", "death")
    own = (eta - eta.mean()) * float(fitter.params_["x"])
    bins = TimeBins.at_deaths(outcome)
    baseline = BaselineHazard.fit(own, outcome, bins)
    deaths = bins.edges[1:-1]
    lived = np.cumprod(1 - baseline.hazards(own), axis=1)
    expected = fitter.predict_survival_function(frame, times=deaths).to_numpy().T
    np.testing.assert_allclose(lived[:, :-1], expected, rtol=0, atol=1e-9)
    # After the last death nothing is known to change.
    np.testing.assert_array_equal(lived[:, -1], lived[:, -2])


def test_a_baseline_of_fewer_cuts_agrees_at_each_of_them() -> None:
    eta, outcome = made(400, digits=4)
    every, few = TimeBins.at_deaths(outcome, most=1000), TimeBins.at_deaths(outcome, most=20)
    assert (every.n_bins, few.n_bins) == (np.unique(outcome.time[outcome.event]).size + 1, 21)
    fine, coarse = (np.cumsum(BaselineHazard.fit(eta, outcome, bins).increments) for bins in (every, few))
    place = np.searchsorted(every.edges[1:-1], few.edges[1:-1])
    np.testing.assert_allclose(coarse[:-1], fine[place], rtol=1e-12)
    assert TimeBins.at_deaths(outcome).n_bins == 64  # what a bundle's card has room for


def test_hazards_give_the_survival_of_proportional_hazards_in_months() -> None:
    bins = TimeBins(np.array([0.0, 10.0, 30.0, np.inf]))
    baseline = BaselineHazard(bins, np.array([0.1, 0.4, 0.0]))
    logits = torch.tensor([[0.0], [1.5], [-40.0], [900.0]])
    lived = survival_in_bins(logits, baseline)
    np.testing.assert_allclose(lived[:2, 1], np.exp(-0.5 * np.exp([0.0, 1.5])), rtol=1e-6)
    np.testing.assert_array_equal(lived[2:, 2], [1.0, 0.0])
    followed = kaplan_meier([10, 20, 30, 50], [1, 1, 1, 0])
    assert survival_at([30.0, 45.0], lived[1], bins, followed).tolist() == pytest.approx(
        [lived[1, 1]] * 2, rel=0, abs=1e-12
    )
    assert risk(logits).tolist() == logits[:, 0].tolist()


def test_logits_of_hazards_are_read_as_before() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(hazards_in_bins(logits), hazards(logits).double().numpy())
    np.testing.assert_array_equal(survival_in_bins(logits), survival(logits).double().numpy())


def test_baselines_that_cannot_be_are_refused() -> None:
    outcome = Outcome(np.array([3.0, 5.0]), np.array([True, False]))
    bins = TimeBins.at_deaths(outcome)
    with pytest.raises(OutcomeError, match=r"one finite increment of 0 or more for each of 2 bins"):
        BaselineHazard(bins, np.array([0.1, -0.2]))
    with pytest.raises(OutcomeError, match=r"one finite log risk for each of 2 patients, found shape \(3,\)"):
        BaselineHazard.fit([0.0, 1.0, 2.0], outcome, bins)
    with pytest.raises(OutcomeError, match="at least one event among the training patients, found none of 1"):
        TimeBins.at_deaths(outcome.take([1]))
