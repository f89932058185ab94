"""Calibration and hazard ratios."""

import numpy as np
import pytest

from amkd_core.errors import OutcomeError
from amkd_core.survival.calibration import calibration_groups, calibration_slope
from amkd_core.survival.cox import hazard_ratio, ridge_cox
from amkd_core.survival.metrics import kaplan_meier
from amkd_core.survival.outcome import Outcome


def cohort(n=400, seed=0, censored=30.0):
    """Exponential times with a known log hazard, and their true survival."""
    rng = np.random.default_rng(seed)
    danger = rng.normal(size=n)
    death, lost = rng.exponential(20 * np.exp(-danger)), rng.exponential(censored, n)
    outcome = Outcome(np.minimum(death, lost) + 1e-3, death <= lost)
    return outcome, danger, np.exp(-12 / 20 * np.exp(danger))


def test_true_probabilities_lie_on_the_diagonal_and_have_a_slope_of_one():
    outcome, _, truth = cohort(2000)
    groups = calibration_groups(outcome, truth, 12, n_groups=5)
    assert [group.n_patients for group in groups] == [400] * 5
    assert [group.predicted for group in groups] == sorted(group.predicted for group in groups)
    for group in groups:
        assert group.lower < group.predicted < group.upper
    slope = calibration_slope(outcome, truth)
    assert slope.lower < 1 < slope.upper
    assert slope.log_ratio == pytest.approx(1, abs=0.1)


def test_a_group_is_its_kaplan_meier_estimate_at_the_month():
    outcome, _, truth = cohort(60)
    low, high = calibration_groups(outcome, truth, 12, n_groups=2)
    worse = truth < np.median(truth)
    for group, chosen in ((low, worse), (high, ~worse)):
        curve = kaplan_meier(outcome.time[chosen], outcome.event[chosen])
        assert group.observed == pytest.approx(float(curve.survival_at(12)), rel=0, abs=1e-9)
        assert group.lower < group.observed < group.upper


def test_predictions_that_are_too_extreme_have_a_slope_below_one():
    outcome, danger, _ = cohort(1000)
    extreme = np.exp(-12 / 20 * np.exp(2 * danger))
    assert calibration_slope(outcome, extreme).log_ratio == pytest.approx(0.5, abs=0.06)
    assert calibration_slope(outcome, np.exp(-12 / 20 * np.exp(-danger))).upper < 0


def test_certain_predictions_are_taken_and_equal_ones_are_refused():
    outcome, danger, _ = cohort(100)
    assert np.isfinite(calibration_slope(outcome, (danger < 0).astype(float)).log_ratio)
    with pytest.raises(OutcomeError, match="the same in all 100 patients"):
        calibration_slope(outcome, np.full(100, 0.5))
    assert len(calibration_groups(outcome, np.full(100, 0.5), 12)) == 1


def test_a_group_that_was_not_followed_so_long_is_not_a_number():
    outcome = Outcome([1, 2, 3, 30, 40, 50], [True, False, False, True, False, False])
    worse, better = calibration_groups(outcome, [0.1, 0.1, 0.1, 0.9, 0.9, 0.9], 20, n_groups=2)
    assert np.isnan([worse.observed, worse.lower, worse.upper]).all()
    assert better.observed == 1.0
    dead = calibration_groups(Outcome([1, 2], [True, True]), [0.5, 0.5], 20)
    assert dead[0].observed == 0.0  # everyone died: followed to the end


def test_refusals():
    outcome = Outcome([1, 2, 3], [True] * 3)
    with pytest.raises(OutcomeError, match="must be above 0"):
        calibration_groups(outcome, [0.1, 0.2, 0.3], 0)
    with pytest.raises(OutcomeError, match="must lie in"):
        calibration_groups(outcome, [0.1, 0.2, 3], 1)
    with pytest.raises(OutcomeError, match="one probability per patient"):
        calibration_slope(outcome, [0.1])
    with pytest.raises(OutcomeError, match="covariates are not finite"):
        hazard_ratio(outcome, [1, np.nan, 2])
    with pytest.raises(OutcomeError, match="at least one event"):
        ridge_cox(Outcome([1, 2], [False, False]), [[1.0], [2.0]], 0.1)
    with pytest.raises(OutcomeError, match="one row of covariates"):
        ridge_cox(outcome, [1.0, 2.0, 3.0], 0.1)


def test_coefficients_equal_scikit_survival(sksurv):
    rng = np.random.default_rng(5)
    outcome, danger, _ = cohort(150, seed=5)
    covariates = np.c_[danger + rng.normal(0, 0.5, 150), rng.normal(size=150)]
    reference = sksurv.linear_model.CoxPHSurvivalAnalysis(ties="efron", tol=1e-12).fit(
        covariates, sksurv.util.Surv.from_arrays(outcome.event, outcome.time)
    )
    # Both walk to the best coefficients; lifelines, by which ours are fitted, stops some 5e-7 before them.
    np.testing.assert_allclose(ridge_cox(outcome, covariates, 0.0), reference.coef_, rtol=0, atol=2e-6)
    adjusted = hazard_ratio(outcome, covariates[:, 0], adjusted_for=covariates[:, 1:])
    assert adjusted.log_ratio == pytest.approx(reference.coef_[0], rel=0, abs=2e-6)
    assert adjusted.ratio == pytest.approx(np.exp(reference.coef_[0]), rel=0, abs=4e-6)
    assert adjusted.lower < adjusted.log_ratio < adjusted.upper


def test_a_stronger_penalty_shrinks_and_a_constant_column_gets_nothing():
    outcome, danger, _ = cohort(150)
    covariates = np.c_[danger, np.ones(150)]
    weak, strong = (ridge_cox(outcome, covariates, penaliser) for penaliser in (0.01, 1.0))
    assert 0 < strong[0] < 0.8 * weak[0]
    assert weak[1] == 0
    assert np.isfinite(hazard_ratio(outcome, danger, adjusted_for=np.ones((150, 1))).p_value)


def test_strata_have_baselines_of_their_own():
    outcome, danger, _ = cohort(300)
    fold = np.arange(300) % 3
    slower = Outcome(outcome.time * np.array([1.0, 10.0, 100.0])[fold], outcome.event)
    together = hazard_ratio(outcome, danger, stratum=fold)
    assert hazard_ratio(slower, danger, stratum=fold).log_ratio == pytest.approx(
        together.log_ratio, rel=0, abs=1e-9
    )
