"""Metrics with weights against censoring, held against scikit-survival and cases worked by hand."""

import subprocess
import sys

import numpy as np
import pytest

from amkd_core.errors import OutcomeError
from amkd_core.survival.metrics import concordance_index
from amkd_core.survival.outcome import Outcome
from amkd_core.survival.weighted import (
    brier_scores,
    dynamic_auc,
    follow_up_limit,
    mean_over_time,
    uno_concordance,
)

SINGLE = 5e-6  # torchsurv counts in single precision


def random_cohort(rng, n=None):
    """Times and risks with ties, and any share of censoring."""
    n = int(rng.integers(20, 80)) if n is None else n
    time = rng.integers(1, rng.choice([6, 30, 300]), n).astype(float)
    event = rng.random(n) < rng.choice([0.3, 0.5, 0.9])
    event[np.argmin(time)] = True
    return Outcome(time, event), rng.integers(0, rng.choice([4, 1000]), n).astype(float)


def as_surv(outcome):
    """As `sksurv.util.Surv` has it."""
    pairs = list(zip(outcome.event.tolist(), outcome.time.tolist(), strict=True))
    return np.array(pairs, dtype=[("event", bool), ("time", float)])


def as_scored(outcome, limit=np.inf):
    """Deaths a little sooner: scikit-survival weighs them by who is still followed after, not before, their time."""
    sooner = outcome.event & (outcome.time < limit)
    return as_surv(Outcome(outcome.time - 1e-3 * sooner, outcome.event))


def test_uno_equals_scikit_survival_with_ties_and_censoring(sksurv):
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(120):
        outcome, risk = random_cohort(rng)
        reference, _ = random_cohort(rng)
        limit = follow_up_limit(outcome, reference)
        try:
            ours = uno_concordance(outcome, risk, reference=reference)
        except OutcomeError:
            continue
        early = outcome.time < limit  # the reference demands that all times lie within the training follow-up
        if outcome.time.max() > reference.time.max():
            clipped = np.minimum(outcome.time, np.nextafter(reference.time.max(), 0))
            stays = early | (clipped >= limit)
            outcome = Outcome(np.where(early, outcome.time, clipped), outcome.event & stays)
        try:
            theirs = sksurv.metrics.concordance_index_ipcw(
                as_surv(reference), as_scored(outcome, limit), risk, limit
            )[0]
        except ValueError:  # it divides by the censoring estimate of patients whom the limit leaves out
            continue
        assert ours == pytest.approx(theirs, abs=SINGLE)
        compared += 1
    assert compared > 60


def test_uno_by_hand():
    # Reference: one of four censored at month 2, so G = 1 before it and 2/3 from it on (three were left at 2).
    outcome = Outcome([1, 2, 3, 9], [True, False, True, False])
    # Deaths at 1 (weight 1, three pairs) and at 3 (weight (3/2)^2, one pair).
    assert uno_concordance(outcome, [1, 5, 3, 2], tau=5) == pytest.approx(
        (0 + 9 / 4) / (3 + 9 / 4), abs=SINGLE
    )
    assert uno_concordance(outcome, [9, 5, 3, 2], tau=5) == pytest.approx(1.0, abs=SINGLE)
    assert uno_concordance(outcome, [1, 1, 1, 1], tau=5) == pytest.approx(0.5, abs=SINGLE)


def test_uno_without_censoring_is_harrells():
    rng = np.random.default_rng(1)
    time, risk = rng.exponential(20, 60) + 0.1, rng.normal(size=60)
    outcome = Outcome(time, np.ones(60, bool))
    assert uno_concordance(outcome, risk, tau=1e6) == pytest.approx(
        concordance_index(time, outcome.event, risk), abs=SINGLE
    )


def test_uno_orders_risks_that_single_precision_cannot_tell_apart():
    outcome = Outcome([1, 2, 3, 4], [True, True, True, False])
    risk = 1 - np.arange(4) * 1e-12
    assert uno_concordance(outcome, risk, tau=3.5) == pytest.approx(1.0, abs=SINGLE)
    assert dynamic_auc(outcome, risk, [2.0])[0] == pytest.approx(1.0, abs=SINGLE)


def test_auc_and_brier_equal_scikit_survival_with_ties_and_censoring(sksurv):
    rng = np.random.default_rng(2)
    compared = 0
    for _ in range(120):
        outcome, risk = random_cohort(rng)
        limit = follow_up_limit(outcome)
        months = np.unique(np.quantile(outcome.time, [0.2, 0.4, 0.6]))
        months = months[months <= limit]
        if not months.size or months[0] < outcome.time.min():
            continue
        truth, scored = as_surv(outcome), as_scored(outcome)
        survival = np.sort(rng.random((len(outcome), len(months))), axis=1)[:, ::-1]
        ours = brier_scores(outcome, survival, months)
        np.testing.assert_allclose(
            ours, sksurv.metrics.brier_score(truth, scored, survival, months)[1], atol=SINGLE
        )
        try:
            theirs = sksurv.metrics.cumulative_dynamic_auc(truth, scored, risk, months)[0]
        except (
            ValueError
        ):  # it weighs patients beyond the months as well, and gives up where nobody is followed
            continue
        np.testing.assert_allclose(dynamic_auc(outcome, risk, months), theirs, atol=SINGLE)
        compared += 1
    assert compared > 25


def test_auc_and_brier_take_their_weights_from_the_reference_patients(sksurv):
    rng = np.random.default_rng(3)
    outcome, risk = random_cohort(rng, 60)
    reference = Outcome(outcome.time + rng.integers(0, 9, 60), rng.random(60) < 0.4)
    months = np.unique(np.quantile(outcome.time, [0.3, 0.5]))
    survival = rng.random((60, len(months)))
    theirs = sksurv.metrics.brier_score(as_surv(reference), as_scored(outcome), survival, months)[1]
    ours = brier_scores(outcome, survival, months, reference=reference)
    np.testing.assert_allclose(ours, theirs, atol=SINGLE)
    assert np.abs(ours - brier_scores(outcome, survival, months)).max() > 1e-3
    theirs = sksurv.metrics.cumulative_dynamic_auc(as_surv(reference), as_scored(outcome), risk, months)[0]
    np.testing.assert_allclose(dynamic_auc(outcome, risk, months, reference=reference), theirs, atol=SINGLE)


def test_brier_weighs_a_death_by_who_was_followed_up_to_it():
    # Of four at month 2 one died and one was lost: the death stands for itself alone, not for the one lost beside it.
    outcome = Outcome([2, 2, 5, 6], [True, False, True, False])
    (found,) = brier_scores(outcome, [[0.5], [0.5], [1.0], [0.8]], [3.0])
    # Beyond month 2 three were at risk of being lost and one was: G = 2/3.
    assert found == pytest.approx((0.25 + 0 + (0 + 0.04) / (2 / 3)) / 4, abs=SINGLE)


def test_all_patients_together_weigh_one_where_times_are_whole_years():
    """By which one half for everyone has a Brier score of a quarter at any month."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        died, lost = rng.exponential(24, 200), rng.exponential(40, 200)
        outcome = Outcome(np.ceil(np.minimum(died, lost) / 12) * 12, died <= lost)
        at = np.array([12.0, 18.0, 24.0])
        np.testing.assert_allclose(brier_scores(outcome, np.full((200, 3), 0.5), at), 0.25, atol=SINGLE)


def test_brier_by_hand_without_censoring_and_its_mean_over_time():
    outcome = Outcome([1, 3, 5], [True, True, True])
    found = brier_scores(outcome, [[0.5, 0.0], [0.5, 0.2], [1.0, 0.6]], [2, 3])
    np.testing.assert_allclose(found, [(0.25 + 0.25 + 0) / 3, (0 + 0.04 + 0.16) / 3], atol=SINGLE)
    assert mean_over_time([0, 1, 3], [0, 2, 2]) == pytest.approx((1 + 4) / 3)
    with pytest.raises(OutcomeError, match="at least two months"):
        mean_over_time([1], [2])


def test_auc_is_not_a_number_where_nobody_has_died_yet():
    outcome = Outcome([2, 3, 4, 5, 9], [False, True, True, False, False])
    found = dynamic_auc(outcome, [1, 5, 4, 2, 1], [1.0, 2.0, 3.0])
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(1.0, abs=SINGLE)


def test_follow_up_ends_where_a_tenth_is_left_and_never_at_the_last_patient():
    outcome = Outcome(np.arange(1.0, 21), np.ones(20, bool))
    assert follow_up_limit(outcome) == 18  # two of twenty lie beyond
    study_end = Outcome([5, 6, 7, *[60.0] * 17], [True] * 3 + [False] * 17)
    assert follow_up_limit(study_end) == 7  # at 60 nobody would be left to divide by
    assert follow_up_limit(Outcome([1, 2, 3], [True] * 3), outcome) == 2
    assert follow_up_limit(Outcome([4, 4], [True, False])) == 0


@pytest.mark.parametrize(
    ("months", "sentence"),
    [([19.0], "at or before 18.0"), ([0.0], "above 0"), ([3.0, 2.0], "rising"), ([], "rising")],
)
def test_months_beyond_follow_up_are_refused(months, sentence):
    outcome = Outcome(np.arange(1.0, 21), np.ones(20, bool))
    with pytest.raises(OutcomeError, match=sentence):
        dynamic_auc(outcome, np.arange(20), months)


def test_undefined_metrics_are_one_sentence():
    censored = Outcome([1, 2, 3], [False] * 3)
    with pytest.raises(OutcomeError, match="Uno's C is undefined: none of the 0 events"):
        uno_concordance(censored, [1, 2, 3])
    with pytest.raises(OutcomeError, match="at least one event"):
        brier_scores(censored, [[1.0]] * 3, [1.0])
    with pytest.raises(OutcomeError, match="must lie in"):
        brier_scores(Outcome([1, 2, 3], [True] * 3), [[1.5]] * 3, [1.0])


def test_torchsurv_is_loaded_without_torchmetrics_and_leaves_no_trace():
    code = (
        "import sys; from amkd_core.survival.torchsurv_parts import torchsurv_parts; torchsurv_parts().auc(); "
        "names = {name.split('.')[0] for name in sys.modules}; "
        "sys.exit(bool(names & {'torchvision', 'torchmetrics', 'torchsurv'}))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
