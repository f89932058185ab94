import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import hazard_logits

from amkd_core.errors import OutcomeError
from amkd_core.survival import hazard
from amkd_core.survival.curve import curve_end, survival_at, survival_curve
from amkd_core.survival.metrics import KaplanMeier, kaplan_meier
from amkd_core.survival.outcome import Outcome, TimeBins

BINS = TimeBins([0, 10, 20, 40, np.inf])
ALIVE = [0.9, 0.6, 0.5, 0.3]


def test_the_curve_runs_straight_between_edges_and_stops_at_the_last_finite_one():
    found = survival_at([0, 5, 10, 15, 20, 30, 40, 40.1, -1], ALIVE, BINS)
    np.testing.assert_allclose(found, [1, 0.95, 0.9, 0.75, 0.6, 0.55, 0.5, np.nan, np.nan], rtol=0, atol=1e-9)
    assert curve_end(BINS, None) == 40


def test_in_the_open_bin_the_curve_falls_as_the_cohort_by_how_hazards_compare():
    """By hand: of 8 who reach 40 months 3 die, so the cohort's hazard by the head's count is 3.5 of 9."""
    cohort = kaplan_meier([5, 30, 40, 50, 60, 60, 70, 80, 90, 100], [1, 1, 1, 1, 0, 0, 0, 1, 0, 0])
    exponent = np.log(0.3 / 0.5) / np.log(1 - 3.5 / 9)
    steps = np.array(
        [7 / 8 * 6 / 7, 7 / 8 * 6 / 7 * 2 / 3]
    )  # from before the death at 40 months, the bin's own edge
    found = survival_at([40, 50, 80, 100, 100.1], ALIVE, BINS, cohort)
    np.testing.assert_allclose(
        found[:4], 0.5 * np.append([1], steps[[0, 1, 1]] ** exponent), rtol=0, atol=1e-9
    )
    assert np.isnan(found[4])
    assert curve_end(BINS, cohort) == 100


@pytest.mark.parametrize("censored", [0.2, 0.6])
def test_who_has_the_cohorts_hazards_falls_as_it_did_whatever_share_was_censored(censored):
    """Censored patients count as alive through their bin, so that most outlive it by the hazards alone."""
    rng = np.random.default_rng(0)
    death, end = rng.exponential(30, 4000), rng.exponential(30 * (1 - censored) / censored, 4000)
    outcome = Outcome(np.minimum(death, end), death <= end)
    bins, cohort = TimeBins.fit(outcome), kaplan_meier(outcome.time, outcome.event)
    reached = [(outcome.time >= edge).sum() for edge in bins.edges[:-1]]
    died = np.bincount(bins.assign(outcome.time[outcome.event]), minlength=4)
    lived = np.cumprod(1 - (died + 0.5) / (np.array(reached) + 1))
    months = bins.edges[-2] * np.array([1.3, 1.8, 2.5])
    fall = survival_at(months, lived, bins, cohort) / survival_at(bins.edges[-2], lived, bins)
    np.testing.assert_allclose(
        fall, cohort.survival_at(months) / cohort.survival_at(bins.edges[-2]), atol=0.01
    )
    if censored > 0.5:
        assert lived[3] / lived[2] > fall[-1] + 0.1, "the hazard of the endless bin alone is too kind"


def test_a_worse_hazard_falls_below_and_a_better_one_stays_above():
    cohort = kaplan_meier([30, 45, 50, 60, 70, 80, 90, 100], [1, 1, 0, 1, 1, 0, 1, 1])
    worse, better, sure, never = (
        survival_at([45, 60, 100], [0.9, 0.6, 0.5, last], BINS, cohort) for last in (0.05, 0.4, 0.0, 0.5)
    )
    assert (worse < better).sum() == 2
    assert sure[0] < 0.02
    np.testing.assert_array_equal(never, 0.5)  # a hazard of 0
    assert (worse[2], better[2]) == (0, 0), "where the last of the cohort died nobody lives on"


def test_a_cohort_that_was_not_followed_so_long_ends_the_curve_at_the_edge():
    cohort = kaplan_meier([10, 20, 30], [1, 1, 0])
    months, alive = survival_curve(ALIVE, BINS, cohort)
    assert (months[-1], alive[-1], curve_end(BINS, cohort)) == (40, 0.5, 40)


def test_the_drawn_curve_holds_every_bend_and_starts_at_one():
    cohort = kaplan_meier([30, 45, 97], [1, 1, 0])
    months, alive = survival_curve(ALIVE, BINS, cohort, n_points=50)
    assert {*BINS.to_list(), 45.0, 97.0} <= set(months.tolist())
    assert (months[0], alive[0]) == (0, 1)
    np.testing.assert_allclose(alive, survival_at(months, ALIVE, BINS, cohort), rtol=0, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(hazard_logits())
def test_the_curve_of_any_prediction_never_rises_even_in_single_precision(logits):
    n_bins = logits.shape[1]
    bins = TimeBins([0, *range(5, 5 * n_bins, 5), np.inf])
    last = 5.0 * (n_bins - 1)
    cohort = kaplan_meier(last + np.arange(8), [0, 1, 1, 0, 1, 1, 0, 1])
    for row in hazard.survival(logits.to(torch.float32)).numpy():
        months, alive = survival_curve(row, bins, cohort)
        assert (np.diff(alive) <= 0).all()
        assert (np.diff(months) > 0).all()
        assert ((alive >= 0) & (alive <= 1)).all()
        assert months[-1] == last + 7


def test_a_table_that_contradicts_itself_does_not_turn_the_curve_upwards():
    at_risk = np.full(6, 3, dtype=np.int64)
    falls = np.array([1.0, 0.5, 0.25, 0.1, 0.05, 0.01])
    cohort = KaplanMeier(np.array([0.0, 45, 50, 55, 60, 65]), falls, falls, falls, at_risk)
    _, alive = survival_curve(ALIVE, BINS, cohort)
    assert (np.diff(alive) <= 0).all()


def test_rounding_errors_are_flattened():
    _, alive = survival_curve(np.float32([0.5, 0.5 + 6e-8, 0.4, 0.3]), BINS)
    assert (np.diff(alive) <= 0).all()


@pytest.mark.parametrize(
    ("survival", "sentence"),
    [
        ([0.5, 0.4], r"shape \(4,\), found \(2,\)"),
        ([0.5, 0.6, 0.4, 0.3], "never rise"),
        ([1.5, 0.6, 0.4, 0.3], r"lie in \[0, 1\]"),
        ([0.9, np.nan, 0.4, 0.3], r"lie in \[0, 1\]"),
    ],
)
def test_curves_refuse(survival, sentence):
    with pytest.raises(OutcomeError, match=sentence):
        survival_curve(survival, BINS)


def test_one_open_bin_cannot_be_drawn_without_a_cohort():
    with pytest.raises(OutcomeError, match="a cohort with follow-up must say"):
        survival_curve([0.5], TimeBins([0, np.inf]))
