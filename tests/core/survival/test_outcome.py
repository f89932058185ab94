import numpy as np
import pytest

from amkd_core.errors import OutcomeError
from amkd_core.survival.outcome import Outcome, TimeBins


def test_outcome_holds_months_and_deaths_read_only():
    outcome = Outcome([1, 2, 3.5], [1, 0, 1])
    assert outcome.time.dtype == np.float64
    assert outcome.event.tolist() == [True, False, True]
    assert (len(outcome), outcome.n_events) == (3, 2)
    assert repr(outcome) == "Outcome(3 patients, 2 events, 67 %)"
    with pytest.raises(ValueError, match="read-only"):
        outcome.time[0] = 9


def test_outcome_does_not_freeze_the_callers_array():
    time = np.array([1.0, 2.0])
    event = np.array([True, False])
    Outcome(time, event)
    time[0], event[0] = 5.0, False
    assert time[0] == 5.0


def test_outcome_takes_a_part_by_position_or_mask():
    outcome = Outcome([1, 2, 3], [True, False, True])
    assert outcome.take([2, 0]).time.tolist() == [3, 1]
    assert outcome.take(np.array([False, True, True])).event.tolist() == [False, True]


@pytest.mark.parametrize(
    ("time", "event", "sentence"),
    [
        ([1, 0], [1, 1], r"above 0 months, but 1 of 2 entries are not \(the first is entry 1: 0\)"),
        ([1, -3, -4], [1, 1, 1], "2 of 3 entries are not .the first is entry 1: -3"),
        ([1, np.nan], [1, 1], "the first is entry 1: nan"),
        ([1, np.inf], [1, 1], "the first is entry 1: inf"),
        (["a", "b"], [1, 1], "must hold numbers"),
        ([[1.0]], [[1]], "one column of months"),
        ([1, 2], [1], "found 2 times and 1 flags"),
        ([1, 2], [1, 2], "True/False or 1/0 .* found 1, 2"),
        ([1, 2], ["LIVING", "DECEASED"], "found DECEASED, LIVING"),
        ([1, 2], [1, None], "True/False or 1/0"),
        ([1, 2], [1.0, np.nan], "found 1.0, nan"),
        ([1, 2], [[True], [False]], "one column of flags"),
    ],
)
def test_outcome_refuses(time, event, sentence):
    with pytest.raises(OutcomeError, match=sentence):
        Outcome(time, event)


def test_bins_are_quartiles_of_deaths_alone():
    deaths = np.arange(1.0, 9.0)
    outcome = Outcome([*deaths, 100, 200, 300], [True] * 8 + [False] * 3)
    bins = TimeBins.fit(outcome)
    assert bins.edges.tolist() == [0, 2.75, 4.5, 6.25, np.inf]
    assert bins.n_bins == 4
    assert repr(bins) == "TimeBins(0, 2.75, 4.5, 6.25, inf months)"
    assert np.bincount(bins.assign(deaths)).tolist() == [2, 2, 2, 2]


def test_a_time_on_an_edge_belongs_to_the_later_bin():
    bins = TimeBins([0, 12, 24, np.inf])
    assert bins.assign([0.1, 11.999, 12, 23.9, 24, 1e6]).tolist() == [0, 0, 1, 1, 2, 2]


def test_bins_do_not_depend_on_censored_times():
    rng = np.random.default_rng(0)
    time, event = rng.exponential(30, 60), rng.random(60) < 0.5
    moved = np.where(event, time, time * 7)
    assert TimeBins.fit(Outcome(time, event)) == TimeBins.fit(Outcome(moved, event))


def test_every_bin_holds_a_death_or_fit_refuses():
    rng = np.random.default_rng(1)
    fitted = 0
    for _ in range(300):
        outcome = Outcome(rng.integers(1, 15, 20).astype(float), rng.random(20) < 0.5)
        try:
            bins = TimeBins.fit(outcome)
        except OutcomeError:
            continue
        fitted += 1
        deaths = bins.assign(outcome.time[outcome.event])
        assert np.bincount(deaths, minlength=4).min() > 0
    assert fitted > 50


@pytest.mark.parametrize("deaths", [0, 1, 3])
def test_fewer_deaths_than_bins_is_refused(deaths):
    outcome = Outcome(np.arange(1.0, 11.0), np.arange(10) < deaths)
    with pytest.raises(OutcomeError, match=f"need at least 4 events .* found {deaths} of 10"):
        TimeBins.fit(outcome)


def test_four_deaths_fill_four_bins():
    bins = TimeBins.fit(Outcome([3.0, 7.0, 11.0, 30.0], [True] * 4))
    assert np.bincount(bins.assign([3.0, 7.0, 11.0, 30.0])).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("times", [[5, 5, 5, 5, 5, 9], [1, 1, 1, 1, 2, 3, 4, 5]])
def test_ties_that_empty_a_bin_are_refused(times):
    with pytest.raises(OutcomeError, match=r"equal times of events leave .* of 4 time bins without an event"):
        TimeBins.fit(Outcome(times, [True] * len(times)))


def test_bins_travel_as_a_list_without_infinity():
    bins = TimeBins([0, 12.5, 24, np.inf])
    assert bins.to_list() == [0, 12.5, 24]
    assert TimeBins.from_list(bins.to_list()) == bins
    assert hash(TimeBins.from_list([0, 12.5, 24, np.inf])) == hash(bins)


@pytest.mark.parametrize("edges", [[0, np.inf, np.inf], [0, 5, 4, np.inf], [1, 5, np.inf], [0, 5], [0], []])
def test_edges_that_do_not_rise_from_zero_to_infinity_are_refused(edges):
    with pytest.raises(OutcomeError, match="must rise from 0 to infinity"):
        TimeBins(edges)


def test_no_bins_is_refused():
    with pytest.raises(OutcomeError, match="n_bins must be at least 1"):
        TimeBins.fit(Outcome([1.0], [True]), n_bins=0)


def test_assigning_a_time_of_zero_is_refused():
    with pytest.raises(OutcomeError, match="above 0 months"):
        TimeBins([0, 5, np.inf]).assign([0.0])
