"""C-indices within folds, and two risks on the same patients."""

import numpy as np
import pytest
from lifelines.utils import concordance_index as lifelines_concordance

from amkd_core.errors import OutcomeError
from amkd_core.survival.comparison import bootstrap_within, paired_difference, within_concordance
from amkd_core.survival.metrics import bootstrap_concordance, concordance_index
from amkd_core.survival.outcome import Outcome


def cohort(n=60, seed=0):
    rng = np.random.default_rng(seed)
    danger = rng.normal(size=n)
    time = np.ceil(rng.exponential(20 * np.exp(-danger)))
    return Outcome(time, rng.random(n) < 0.7), danger, rng


def test_without_folds_it_is_harrells_index():
    outcome, danger, _ = cohort()
    assert within_concordance(outcome, danger) == pytest.approx(
        concordance_index(outcome.time, outcome.event, danger), rel=0, abs=1e-12
    )
    first = bootstrap_within(outcome, danger, generator=np.random.default_rng(4), n_resamples=200)
    plain = bootstrap_concordance(outcome, danger, generator=np.random.default_rng(4), n_resamples=200)
    np.testing.assert_allclose((first.lower, first.upper), (plain.lower, plain.upper), rtol=0, atol=1e-12)


def test_folds_on_scales_of_their_own_do_not_matter_within_folds():
    outcome, danger, _ = cohort()
    fold = np.arange(60) % 5
    shifted = danger + 100 * fold
    within = within_concordance(outcome, danger, fold)
    assert within_concordance(outcome, shifted, fold) == pytest.approx(within, abs=1e-12)
    assert within_concordance(outcome, shifted) < within_concordance(outcome, danger) - 0.05


def test_within_folds_is_the_share_of_all_their_pairs():
    # fold 0: deaths at 1, 2, 3 with the pairs right, right, wrong; fold 1: one pair, right.
    outcome = Outcome([1, 2, 3, 1, 2], [True] * 5)
    assert within_concordance(outcome, [9, 1, 2, 5, 4], [0, 0, 0, 1, 1]) == pytest.approx(
        3 / 4, rel=0, abs=1e-12
    )


def test_a_paired_difference_equals_resampling_patients_one_by_one():
    outcome, danger, rng = cohort(40)
    first, second = danger + rng.normal(0, 2, 40), danger + rng.normal(0, 0.5, 40)
    found = paired_difference(outcome, first, second, generator=np.random.default_rng(7), n_resamples=150)
    counts = np.random.default_rng(7).multinomial(40, np.full(40, 1 / 40), size=150)
    slow = []
    for row in counts:
        drawn = np.repeat(np.arange(40), row)
        pair = [
            lifelines_concordance(outcome.time[drawn], -risk[drawn], outcome.event[drawn])
            for risk in (first, second)
        ]
        slow.append(pair[1] - pair[0])
    np.testing.assert_allclose(
        (found.interval.lower, found.interval.upper), np.quantile(slow, [0.025, 0.975]), rtol=0, atol=1e-12
    )
    assert found.interval.estimate == pytest.approx(found.second - found.first, rel=0, abs=1e-12)
    assert found.second > found.first


def test_a_risk_against_itself_differs_by_nothing_and_pairing_narrows_the_interval():
    outcome, danger, rng = cohort(120)
    fold = np.arange(120) % 3
    same = paired_difference(outcome, danger, 2 * danger + 1, fold, generator=np.random.default_rng(0))
    assert (same.interval.estimate, same.interval.lower, same.interval.upper) == (0, 0, 0)
    near = danger + rng.normal(0, 0.05, 120)
    paired = paired_difference(outcome, danger, near, generator=np.random.default_rng(0)).interval
    own = bootstrap_within(outcome, danger, generator=np.random.default_rng(0))
    assert paired.upper - paired.lower < 0.5 * (own.upper - own.lower)


def test_folds_without_a_pair_and_wrong_shapes_are_refused():
    outcome = Outcome([1, 2, 3], [True] * 3)
    with pytest.raises(OutcomeError, match="no two of the 3 patients of one fold"):
        within_concordance(outcome, [1, 2, 3], [0, 1, 2])
    with pytest.raises(OutcomeError, match="one fold per patient"):
        within_concordance(outcome, [1, 2, 3], [0, 1])


def test_resamples_without_a_pair_are_left_out_and_counted():
    outcome = Outcome([1, 2, 3], [True, False, False])
    found = bootstrap_within(outcome, [3, 2, 1], generator=np.random.default_rng(0), n_resamples=300)
    assert 100 < found.n_resamples < 290
