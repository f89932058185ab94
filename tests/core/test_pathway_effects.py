"""A linear reading of a teacher's risk: what it finds, what it refuses, and how it travels."""

from __future__ import annotations

import numpy as np
import pytest

from amkd_core.pathway_effects import MIN_PATIENTS, PathwayEffects, pathway_activities

N_PATIENTS, N_PATHWAYS = 300, 40


def correlated(seed: int = 0, n: int = N_PATIENTS) -> np.ndarray:
    """Activities of pathways that share a tenth of their variance, on scales of their own."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 1))
    standard = np.sqrt(0.1) * common + np.sqrt(0.9) * rng.normal(size=(n, N_PATHWAYS))
    return 3.0 + standard * np.linspace(0.2, 2.0, N_PATHWAYS)


def test_an_activity_is_the_mean_z_score_of_the_pathways_genes() -> None:
    membership = np.array([[True, True, False], [False, True, True]])
    z_scores = np.array([[1.0, 3.0, -1.0], [0.0, 0.0, 6.0]])
    np.testing.assert_allclose(pathway_activities(z_scores, membership), [[2, 1], [0, 3]])
    np.testing.assert_allclose(pathway_activities(z_scores[0], membership), [2, 1])


def test_a_linear_risk_is_read_back_with_its_signs_and_units() -> None:
    activities = correlated()
    standard = (activities - activities.mean(axis=0)) / activities.std(axis=0)
    truth = np.zeros(N_PATHWAYS)
    truth[[4, 17, 30]] = 0.5, -0.3, 0.2
    reading = PathwayEffects.of_cohort(activities, standard @ truth - 2.0)
    assert reading is not None
    np.testing.assert_allclose(reading.effect, truth, atol=0.01)
    assert reading.explained > 0.99
    assert reading.n_patients == N_PATIENTS
    # The mean patient gets nothing added; the parts of another add up to how far the risk is from the mean one's.
    np.testing.assert_allclose(reading.of_patient(activities.mean(axis=0)), 0, atol=1e-12)
    added = reading.of_patient(activities[:5])
    np.testing.assert_allclose(added.sum(axis=1), standard[:5] @ truth, atol=0.02)


def test_what_it_explains_is_measured_on_patients_left_out() -> None:
    noise = np.random.default_rng(1).normal(size=N_PATIENTS)
    reading = PathwayEffects.of_cohort(correlated(), noise)
    assert reading is not None
    # In the patients it is fitted on any regression of 40 numbers would explain a tenth of noise.
    assert reading.explained < 0.03
    assert not reading.stands_for_teacher


def test_a_pathway_that_does_not_vary_has_no_effect() -> None:
    activities = correlated()
    activities[:, 7] = 0.1
    reading = PathwayEffects.of_cohort(activities, activities[:, 3])
    assert reading is not None
    assert reading.effect[7] == 0
    assert reading.activity_scale[7] == 1
    assert np.isfinite(reading.of_patient(activities[0] + 1)).all()


@pytest.mark.parametrize("n", [1, MIN_PATIENTS - 1])
def test_too_few_patients_or_equal_risks_are_not_read(n: int) -> None:
    activities = correlated(n=MIN_PATIENTS)
    assert PathwayEffects.of_cohort(activities[:n], activities[:n, 0]) is None
    assert PathwayEffects.of_cohort(activities, np.zeros(MIN_PATIENTS)) is None
    assert PathwayEffects.of_cohort(activities, activities[:, 0]) is not None


def test_the_same_patients_give_the_same_reading_whatever_was_drawn_before() -> None:
    activities = correlated()
    first = PathwayEffects.of_cohort(activities, activities[:, 0])
    np.random.default_rng().normal(size=10)
    second = PathwayEffects.of_cohort(activities, activities[:, 0])
    assert first is not None
    assert second is not None
    for name, array in first.to_arrays().items():
        np.testing.assert_array_equal(array, second.to_arrays()[name])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"effect": np.zeros(3)}, "do not fit together"),
        ({"effect": np.array([0, np.nan])}, "must be finite"),
        ({"activity_scale": np.array([1.0, 0.0])}, "positive scales"),
        ({"fit": np.array([1.2, 50.0])}, "explained of at most 1"),
        ({"fit": np.array([0.5, 0.0])}, "and patients"),
        ({"fit": np.array([0.5])}, "do not fit together"),
        ({"other": np.zeros(2)}, "need the arrays"),
    ],
)
def test_arrays_that_are_no_reading_are_refused(change: dict[str, np.ndarray], sentence: str) -> None:
    arrays = {
        "effect": np.array([0.1, -0.1]),
        "activity_mean": np.zeros(2),
        "activity_scale": np.ones(2),
        "fit": np.array([0.7, 50.0]),
    }
    assert PathwayEffects.from_arrays(arrays).explained == 0.7
    with pytest.raises(ValueError, match=sentence):
        PathwayEffects.from_arrays(arrays | change)
