"""Numbers of a predicted curve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle

from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import SurvivalCurve
from amkd_core.inference.survival_summary import member_curves, summarise, told_and_drawn_on, told_until


def test_median_and_years_are_read_off_in_straight_lines() -> None:
    curve = SurvivalCurve(np.array([0.0, 12.0, 24.0, 40.0]), np.array([1.0, 0.8, 0.4, 0.2]))
    found = summarise(curve)
    assert found.median_months == pytest.approx(21)
    assert dict(found.at_years)[1] == pytest.approx(0.8)
    assert dict(found.at_years)[3] == pytest.approx(0.25)
    assert dict(found.at_years)[5] is None, "beyond the curve's end nothing is said"
    assert found.last_month == 40


def test_a_curve_that_stays_high_has_no_median() -> None:
    assert summarise(SurvivalCurve(np.array([0.0, 60.0]), np.array([1.0, 0.6]))).median_months is None


def test_the_mean_of_the_members_curves_is_the_curve() -> None:
    prediction = predict_bag(random_bag(30), random_bundle(n_members=3))
    curves = member_curves(prediction)
    assert len(curves) == 3
    months = prediction.curve.time_months
    mean = np.mean([np.interp(months, one.time_months, one.survival) for one in curves], axis=0)
    np.testing.assert_allclose(mean, prediction.curve.survival, atol=2e-3)


@pytest.mark.parametrize("n_members", [1, 3])
def test_the_curve_is_told_up_to_the_first_members_open_bin(n_members: int) -> None:
    prediction = predict_bag(random_bag(30), random_bundle(n_members=n_members))
    month = told_until(prediction)
    assert month == min(member.bin_edges_months[-1] for member in prediction.members)
    told, rest = told_and_drawn_on(prediction)
    curve = prediction.curve
    assert told.time_months[-1] == rest.time_months[0] == month < curve.time_months[-1]
    assert (
        told.survival[-1]
        == rest.survival[0]
        == pytest.approx(np.interp(month, curve.time_months, curve.survival))
    )
    assert rest.time_months[-1] == curve.time_months[-1]
    months = np.concatenate([told.time_months[:-1], rest.time_months])
    np.testing.assert_array_equal(np.union1d(months, curve.time_months), np.unique(months))
    short = replace(prediction, curve=told)
    assert len(told_and_drawn_on(short)[1].time_months) == 1
