import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import hazard_logits

from amkd_core.errors import OutcomeError
from amkd_core.survival import hazard
from amkd_core.survival.curve import survival_at, survival_curve
from amkd_core.survival.outcome import TimeBins

BINS = TimeBins([0, 10, 20, 40, np.inf])
ALIVE = [0.9, 0.6, 0.5, 0.3]


def test_the_curve_runs_straight_between_edges_and_stops_at_the_last_finite_one():
    found = survival_at([0, 5, 10, 15, 20, 30, 40, 40.1, -1], ALIVE, BINS)
    np.testing.assert_allclose(found, [1, 0.95, 0.9, 0.75, 0.6, 0.55, 0.5, np.nan, np.nan])


def test_with_the_longest_follow_up_the_last_bin_ends_there():
    found = survival_at([40, 70, 100, 101], ALIVE, BINS, last_month=100)
    np.testing.assert_allclose(found, [0.5, 0.4, 0.3, np.nan])


def test_the_drawn_curve_holds_every_edge_and_starts_at_one():
    months, alive = survival_curve(ALIVE, BINS, last_month=97, n_points=50)
    assert set(BINS.to_list()) | {97.0} <= set(months.tolist())
    assert (months[0], alive[0]) == (0, 1)
    assert (months[-1], alive[-1]) == (97, 0.3)
    np.testing.assert_allclose(alive, survival_at(months, ALIVE, BINS, last_month=97))


@settings(max_examples=50, deadline=None)
@given(hazard_logits())
def test_the_curve_of_any_prediction_never_rises_even_in_single_precision(logits):
    n_bins = logits.shape[1]
    bins = TimeBins([0, *range(5, 5 * n_bins, 5), np.inf])
    for row in hazard.survival(logits.to(torch.float32)).numpy():
        months, alive = survival_curve(row, bins, last_month=5.0 * n_bins + 7)
        assert (np.diff(alive) <= 0).all()
        assert (np.diff(months) > 0).all()
        assert ((alive >= 0) & (alive <= 1)).all()


def test_rounding_errors_are_flattened():
    _, alive = survival_curve(np.float32([0.5, 0.5 + 6e-8, 0.4, 0.3]), BINS)
    assert (np.diff(alive) <= 0).all()


@pytest.mark.parametrize(
    ("survival", "last_month", "sentence"),
    [
        ([0.5, 0.4], None, r"shape \(4,\), found \(2,\)"),
        ([0.5, 0.6, 0.4, 0.3], None, "never rise"),
        ([1.5, 0.6, 0.4, 0.3], None, r"lie in \[0, 1\]"),
        ([0.9, np.nan, 0.4, 0.3], None, r"lie in \[0, 1\]"),
        (ALIVE, 40, r"beyond the last finite bin edge \(40 months\), found 40"),
        (ALIVE, np.inf, "beyond the last finite bin edge"),
    ],
)
def test_curves_refuse(survival, last_month, sentence):
    with pytest.raises(OutcomeError, match=sentence):
        survival_curve(survival, BINS, last_month=last_month)


def test_one_open_bin_cannot_be_drawn_without_an_end():
    with pytest.raises(OutcomeError, match="give last_month"):
        survival_curve([0.5], TimeBins([0, np.inf]))
