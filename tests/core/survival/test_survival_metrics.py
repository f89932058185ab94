import lifelines
import numpy as np
import pytest
from hypothesis import given, settings
from lifelines.utils import concordance_index as lifelines_concordance
from scipy import stats
from strategies import survival_tables

from amkd_core.errors import OutcomeError
from amkd_core.survival.metrics import (
    bootstrap_concordance,
    concordance_index,
    kaplan_meier,
    log_rank,
)
from amkd_core.survival.outcome import Outcome

EXACT = {"rtol": 0, "atol": 1e-12}


def random_table(rng, n=None):
    n = int(rng.integers(5, 60)) if n is None else n
    time = rng.integers(1, rng.choice([4, 30, 300]), n).astype(float)
    event = rng.random(n) < rng.choice([0.1, 0.5, 0.9])
    risk = rng.integers(0, rng.choice([3, 1000]), n).astype(float)
    return time, event, risk


@pytest.mark.parametrize(
    ("time", "event", "risk", "expected"),
    [
        ([1, 2, 3], [1, 1, 1], [3, 2, 1], 1.0),
        ([1, 2, 3], [1, 1, 1], [1, 2, 3], 0.0),
        ([1, 2, 3], [1, 1, 1], [1, 1, 1], 0.5),  # equal risks count one half
        ([1, 2, 3], [1, 0, 1], [2, 1, 3], 0.5),  # pairs (1,2) right, (1,3) wrong; (2,3) not comparable
        ([1, 1, 2], [1, 0, 0], [2, 1, 3], 0.5),  # a death ties with a censored time: comparable
        ([1, 1, 2], [1, 1, 0], [5, 1, 3], 0.5),  # two deaths at once are not comparable
    ],
)
def test_concordance_of_cases_worked_by_hand(time, event, risk, expected):
    assert concordance_index(time, event, risk) == pytest.approx(expected, rel=0, abs=1e-12)


def test_concordance_equals_scikit_survival_with_ties_and_censoring(sksurv):
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(400):
        time, event, risk = random_table(rng)
        try:
            ours = concordance_index(time, event, risk)
        except OutcomeError:
            assert not (event[:, None] & (time[:, None] < time[None, :])).any()
            continue
        theirs = sksurv.metrics.concordance_index_censored(event, time, risk)[0]
        assert ours == pytest.approx(theirs, rel=0, abs=1e-12)
        compared += 1
    assert compared > 350


@settings(max_examples=50, deadline=None)
@given(survival_tables())
def test_concordance_of_reversed_risks_is_the_complement(sksurv, table):
    forward = concordance_index(table.time, table.event, table.risk)
    backward = concordance_index(table.time, table.event, -table.risk)
    assert forward + backward == pytest.approx(1.0, rel=0, abs=1e-12)
    reference = sksurv.metrics.concordance_index_censored(table.event, table.time, table.risk)[0]
    assert forward == pytest.approx(reference, rel=0, abs=1e-12)


@pytest.mark.parametrize("event", [[0, 0, 0], [0, 0, 1]])
def test_concordance_without_a_comparable_pair_is_undefined_not_one_half(event):
    with pytest.raises(
        OutcomeError, match=f"undefined: no two of the 3 patients .{sum(event)} events. are comparable"
    ):
        concordance_index([1, 2, 3], event, [1, 2, 3])


def test_concordance_refuses_risks_that_are_not_numbers():
    with pytest.raises(OutcomeError, match="1 of 3 risks are not finite"):
        concordance_index([1, 2, 3], [1, 1, 1], [1, np.nan, 3])
    with pytest.raises(OutcomeError, match="one risk per patient"):
        concordance_index([1, 2, 3], [1, 1, 1], [1, 2])


def test_bootstrap_equals_resampling_patients_one_by_one():
    rng = np.random.default_rng(1)
    time, event, risk = random_table(rng, 40)
    found = bootstrap_concordance(
        Outcome(time, event), risk, generator=np.random.default_rng(7), n_resamples=200
    )
    counts = np.random.default_rng(7).multinomial(40, np.full(40, 1 / 40), size=200)
    slow = []
    for row in counts:
        drawn = np.repeat(np.arange(40), row)
        try:
            slow.append(lifelines_concordance(time[drawn], -risk[drawn], event[drawn]))
        except ZeroDivisionError:
            continue
    assert found.n_resamples == len(slow)
    assert found.estimate == concordance_index(time, event, risk)
    np.testing.assert_allclose([found.lower, found.upper], np.quantile(slow, [0.025, 0.975]), **EXACT)


def test_bootstrap_is_seeded_and_covers_the_estimate():
    rng = np.random.default_rng(2)
    time = rng.exponential(30, 150) + 0.01
    outcome, risk = Outcome(time, rng.random(150) < 0.6), -time + rng.normal(0, 30, 150)
    first, again, other = (
        bootstrap_concordance(outcome, risk, generator=np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert first == again
    assert (other.lower, other.upper) != (first.lower, first.upper)
    assert first.lower < first.estimate < first.upper
    narrow = bootstrap_concordance(outcome, risk, generator=np.random.default_rng(0), level=0.5)
    assert narrow.upper - narrow.lower < first.upper - first.lower


def test_bootstrap_counts_only_resamples_with_a_comparable_pair():
    interval = bootstrap_concordance(
        Outcome([1, 2, 3], [True, False, False]),
        [3, 2, 1],
        generator=np.random.default_rng(0),
        n_resamples=300,
    )
    assert interval.estimate == 1.0
    assert 100 < interval.n_resamples < 290


def test_kaplan_meier_of_a_case_worked_by_hand():
    curve = kaplan_meier([1, 2, 2, 3, 4], [1, 1, 0, 0, 1])
    assert curve.time.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(curve.survival, [1, 0.8, 0.6, 0.6, 0], **EXACT)
    assert curve.at_risk.tolist() == [5, 5, 4, 2, 1]
    assert curve.at_risk_at([0, 1, 1.5, 2, 2.5, 4, 5]).tolist() == [5, 5, 4, 4, 2, 1, 0]
    np.testing.assert_allclose(
        curve.survival_at([0, 1.9, 2, 4, 5, -1]), [1, 0.8, 0.6, 0, np.nan, np.nan], **EXACT
    )
    assert repr(curve) == "KaplanMeier(5 patients, 0.00 alive at 4 months)"


def test_kaplan_meier_equals_lifelines_and_scikit_survival(sksurv):
    rng = np.random.default_rng(3)
    for _ in range(20):
        time, event, _ = random_table(rng)
        event[0] = True
        curve = kaplan_meier(time, event, level=0.9)
        reference = lifelines.KaplanMeierFitter(alpha=0.1).fit(time, event)
        np.testing.assert_allclose(curve.survival, reference.survival_function_.iloc[:, 0], **EXACT)
        np.testing.assert_allclose(curve.lower, reference.confidence_interval_.iloc[:, 0], **EXACT)
        np.testing.assert_allclose(curve.upper, reference.confidence_interval_.iloc[:, 1], **EXACT)
        steps, survival, band = sksurv.nonparametric.kaplan_meier_estimator(
            event, time, conf_level=0.9, conf_type="log-log"
        )
        np.testing.assert_allclose(curve.survival_at(steps), survival, **EXACT)
        inside = (survival > 0) & (survival < 1)
        np.testing.assert_allclose(curve.lower[1:][inside], band[0][inside], **EXACT)
        np.testing.assert_allclose(curve.upper[1:][inside], band[1][inside], **EXACT)
        assert curve.at_risk_at(steps).tolist() == [int((time >= step).sum()) for step in steps]


def test_kaplan_meier_of_censored_patients_alone_stays_at_one_with_no_band_lost():
    curve = kaplan_meier([3, 9], [0, 0])
    assert curve.survival.tolist() == [1, 1, 1]
    assert not np.isnan(curve.lower).any()
    assert not np.isnan(curve.upper).any()


def test_kaplan_meier_of_nobody_is_refused():
    with pytest.raises(OutcomeError, match="at least one patient"):
        kaplan_meier([], [])


def test_log_rank_of_a_case_worked_by_hand():
    # deaths: group a at 1 and 2, group b at 3 and 4
    time, event, group = [1, 2, 3, 4], [1, 1, 1, 1], ["a", "a", "b", "b"]
    expected = 2 / 4 + 1 / 3 + 0 + 0  # of group a
    variance = (1 / 2) * (1 / 2) + (1 / 3) * (2 / 3)
    found = log_rank(time, event, group)
    assert found.statistic == pytest.approx((2 - expected) ** 2 / variance, rel=0, abs=1e-12)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 1), rel=0, abs=1e-12)
    assert found.degrees_of_freedom == 1


@pytest.mark.parametrize("n_groups", [2, 3])
def test_log_rank_equals_scikit_survival(sksurv, n_groups):
    rng = np.random.default_rng(4)
    for _ in range(10):
        time, event, _ = random_table(rng, 50)
        event[:3] = True
        group = np.arange(50) % n_groups
        statistic, p_value = sksurv.compare.compare_survival(sksurv.util.Surv.from_arrays(event, time), group)
        found = log_rank(time, event, group)
        assert found.statistic == pytest.approx(statistic, rel=0, abs=1e-9)
        assert found.p_value == pytest.approx(p_value, rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("event", "group", "sentence"),
    [
        ([1, 1], ["a", "a"], "at least two groups of patients, found 1"),
        ([0, 0], ["a", "b"], "at least one event, found none in 2"),
        ([1, 1], ["a"], "one group per patient"),
    ],
)
def test_log_rank_refuses(event, group, sentence):
    with pytest.raises(OutcomeError, match=sentence):
        log_rank([1, 2], event, group)
