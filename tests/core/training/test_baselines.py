"""Age and stage, what a model adds to them, and the chance line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lifelines import CoxPHFitter
from statistics_fixtures import made_cohort, made_folds

from amkd_core.cohort.patients import outcome_of
from amkd_core.cohort.splits import Split
from amkd_core.errors import OutcomeError
from amkd_core.survival.comparison import within_concordance
from amkd_core.survival.hazard import cox_loss
from amkd_core.survival.outcome import Outcome
from amkd_core.training.baselines import (
    PENALISERS,
    ClinicalDesign,
    added_value,
    adjusted_hazard_ratio,
    clinical_baseline,
    clinical_table,
    combined_risk,
)
from amkd_core.training.chance import chance_line, pathway_means, ridge_path
from amkd_core.training.external_cohort import NO_TABLE


def lined_up(cohort, baseline, danger):
    """Outcome and danger in the baseline's order."""
    row = {patient.patient_id: index for index, patient in enumerate(cohort.patients)}
    rows = [row[name] for name in baseline.patients]
    return outcome_of([cohort.patients[index] for index in rows]), danger[rows]


def test_unknown_values_are_filled_with_the_training_mean_and_flagged():
    table = np.array([[50.0, 1.0], [70.0, np.nan], [np.nan, 3.0]])
    design = ClinicalDesign.fit(table[:2])
    np.testing.assert_allclose(design.mean, [60, 1])
    np.testing.assert_allclose(design.apply(table), [[-1, 0, 0, 0], [1, 0, 0, 1], [0, 2, 1, 0]])
    nobody = ClinicalDesign.fit(np.full((3, 2), np.nan))
    np.testing.assert_allclose(nobody.apply(table)[0], [50, 1, 0, 0])


def test_the_baseline_finds_what_age_and_stage_tell_and_tests_everyone_once():
    cohort, danger = made_cohort(250, clinical=1.0)
    splits = made_folds(cohort, 5)
    baseline = clinical_baseline(cohort.patients, splits)
    assert sorted(baseline.patients) == sorted(patient.patient_id for patient in cohort.patients)
    assert set(baseline.penalisers) <= set(PENALISERS)
    outcome, _ = lined_up(cohort, baseline, danger)
    assert within_concordance(outcome, baseline.risk, baseline.fold) > 0.65
    blind, _ = made_cohort(250, clinical=0.0)
    found = clinical_baseline(blind.patients, splits)
    other, _ = lined_up(blind, found, danger)
    assert within_concordance(other, found.risk, found.fold) < 0.58


def test_a_fold_of_the_baseline_equals_lifelines():
    cohort, _ = made_cohort(120)
    (split,) = made_folds(cohort, 1)
    baseline = clinical_baseline(cohort.patients, [split])
    known = {patient.patient_id: patient for patient in cohort.patients}
    train, test = ([known[name] for name in part] for part in (split.train, split.test))
    design = ClinicalDesign.fit(clinical_table(train))
    import pandas as pd

    frame = pd.DataFrame(design.apply(clinical_table(train)), columns=list("abcd"))
    frame["t"], frame["e"] = [p.time for p in train], [p.event for p in train]
    fitter = CoxPHFitter(penalizer=baseline.penalisers[0]).fit(frame, "t", "e")
    expected = design.apply(clinical_table(test)) @ fitter.params_.to_numpy()
    np.testing.assert_allclose(baseline.risk, expected, atol=1e-6)


def test_test_patients_have_no_part_in_anything_fitted():
    cohort, _ = made_cohort(150)
    splits = made_folds(cohort, 3)
    before = clinical_baseline(cohort.patients, splits[:1])
    held = set(splits[0].test)
    other = tuple(
        replace(patient, time=patient.time * 7, event=not patient.event)
        if patient.patient_id in held
        else patient
        for patient in cohort.patients
    )
    after = clinical_baseline(other, splits[:1])
    np.testing.assert_array_equal(before.risk, after.risk)
    older = tuple(
        replace(patient, age_years=300.0) if patient.patient_id == splits[0].test[0] else patient
        for patient in cohort.patients
    )
    moved = clinical_baseline(older, splits[:1])
    np.testing.assert_array_equal(before.risk[1:], moved.risk[1:])
    assert moved.risk[0] != before.risk[0]


def test_the_penalty_is_the_one_that_validation_patients_prefer():
    chosen = set()
    for seed in range(3):
        cohort, _ = made_cohort(90, seed=seed, clinical=0.2)
        chosen |= set(clinical_baseline(cohort.patients, made_folds(cohort, 5)).penalisers)
    assert len(chosen) > 1


def test_a_table_without_age_and_stage_is_one_sentence():
    cohort, _ = made_cohort(40)
    patients = tuple(replace(patient, age_years=None, stage=None) for patient in cohort.patients)
    with pytest.raises(OutcomeError, match="neither age nor stage"):
        clinical_baseline(patients, made_folds(cohort, 2))
    censored = tuple(replace(patient, event=False) for patient in cohort.patients)
    with pytest.raises(OutcomeError, match="fold 1: a Cox model needs at least one event"):
        clinical_baseline(censored, made_folds(cohort, 2))
    with pytest.raises(OutcomeError, match="no fold has test patients"):
        clinical_baseline(cohort.patients, [Split(made_folds(cohort, 1)[0].train, (), ())])


def test_a_risk_that_knows_more_adds_and_one_that_knows_nothing_does_not():
    cohort, danger = made_cohort(300, clinical=0.5)
    baseline = clinical_baseline(cohort.patients, made_folds(cohort, 5))
    outcome, told = lined_up(cohort, baseline, danger)
    good = added_value(outcome, baseline, told, generator=np.random.default_rng(0), n_resamples=200)
    assert good.difference.interval.lower > 0.05
    assert good.difference.second == pytest.approx(within_concordance(outcome, good.combined, baseline.fold))
    noise = np.random.default_rng(1).normal(size=len(outcome))
    none = added_value(outcome, baseline, noise, generator=np.random.default_rng(0), n_resamples=200)
    assert none.difference.interval.lower < 0 < none.difference.interval.upper + 0.01
    ratio = adjusted_hazard_ratio(outcome, baseline, told)
    assert ratio.lower > np.log(1.5)
    assert ratio.p_value < 1e-6
    blind = adjusted_hazard_ratio(outcome, baseline, noise)
    assert blind.lower < 0 < blind.upper


def test_a_risk_that_runs_backwards_adds_nothing():
    """Turned round by a weight below 0 it would raise the C-index, and pass for what the model tells."""
    cohort, danger = made_cohort(300, clinical=0.5)
    baseline = clinical_baseline(cohort.patients, made_folds(cohort, 5))
    outcome, told = lined_up(cohort, baseline, danger)
    found = added_value(outcome, baseline, -told, generator=np.random.default_rng(0), n_resamples=200)
    assert (found.difference.interval.lower, found.difference.interval.upper) == (0, 0)
    np.testing.assert_allclose(
        [found.difference.first, found.difference.second],
        within_concordance(outcome, baseline.risk, baseline.fold),
    )
    # Nor is a clinical risk turned round: what the model adds to it would be what age and stage had lost.
    turned = replace(baseline, risk=-baseline.risk)
    beside = added_value(outcome, turned, told, generator=np.random.default_rng(0), n_resamples=200)
    assert beside.difference.second == pytest.approx(within_concordance(outcome, told, baseline.fold))


def test_patients_who_lack_age_and_stage_alike_do_not_cost_the_hazard_ratio():
    cohort, danger = made_cohort(300, clinical=0.5)
    patients = tuple(
        replace(patient, age_years=None, stage=None)
        if row % 15 == 0
        else replace(patient, age_years=patient.age_years or 62.0, stage=patient.stage or 2)
        for row, patient in enumerate(cohort.patients)
    )
    cohort = replace(cohort, patients=patients)
    baseline = clinical_baseline(patients, made_folds(cohort, 5))
    assert np.linalg.matrix_rank(baseline.covariates) < baseline.covariates.shape[1]  # one flag, twice
    outcome, told = lined_up(cohort, baseline, danger)
    assert adjusted_hazard_ratio(outcome, baseline, told).lower > np.log(1.3)


def test_a_patients_outcome_has_no_part_in_the_weights_of_the_own_combined_risk():
    cohort, danger = made_cohort(120)
    baseline = clinical_baseline(cohort.patients, made_folds(cohort, 3))
    outcome, told = lined_up(cohort, baseline, danger)
    own = baseline.fold == 2
    turned = Outcome(
        np.where(own, outcome.time[::-1], outcome.time), np.where(own, ~outcome.event, outcome.event)
    )
    before = combined_risk(outcome, baseline.fold, baseline.risk, told)
    after = combined_risk(turned, baseline.fold, baseline.risk, told)
    np.testing.assert_array_equal(before[own], after[own])
    assert not np.allclose(before[~own], after[~own])


def test_folds_on_scales_of_their_own_do_not_move_the_combined_risk():
    cohort, danger = made_cohort(150)
    baseline = clinical_baseline(cohort.patients, made_folds(cohort, 3))
    outcome, told = lined_up(cohort, baseline, danger)
    plain = combined_risk(outcome, baseline.fold, baseline.risk, told)
    shifted = combined_risk(outcome, baseline.fold, baseline.risk, told + 100.0 * baseline.fold)
    np.testing.assert_allclose(plain, shifted, atol=1e-6)


def test_folds_on_scales_of_their_own_do_not_move_the_hazard_ratio():
    cohort, danger = made_cohort(150)
    baseline = clinical_baseline(cohort.patients, made_folds(cohort, 3))
    outcome, told = lined_up(cohort, baseline, danger)
    plain = adjusted_hazard_ratio(outcome, baseline, told)
    shifted = adjusted_hazard_ratio(outcome, baseline, told + 100.0 * baseline.fold)
    assert shifted.log_ratio == pytest.approx(plain.log_ratio, abs=1e-6)
    doubled = adjusted_hazard_ratio(outcome, baseline, 2 * told)
    assert doubled.log_ratio == pytest.approx(plain.log_ratio, abs=1e-6)  # per standard deviation


def test_a_single_split_and_a_constant_risk_are_one_sentence():
    cohort, danger = made_cohort(90)
    baseline = clinical_baseline(cohort.patients, made_folds(cohort, 1))
    outcome, told = lined_up(cohort, baseline, danger)
    with pytest.raises(OutcomeError, match="two folds or more"):
        combined_risk(outcome, baseline.fold, baseline.risk, told)
    with pytest.raises(OutcomeError, match="the same risk"):
        adjusted_hazard_ratio(outcome, baseline, np.ones(len(outcome)))


def test_the_cheap_model_stands_at_the_minimum_of_its_loss():
    import torch

    cohort, danger = made_cohort(80)
    values = np.column_stack([danger, np.random.default_rng(0).normal(size=(80, 5))])
    outcome = cohort.outcome
    time, event = torch.from_numpy(outcome.time.copy()), torch.from_numpy(outcome.event.copy())
    strong, weak = ridge_path(outcome, values, (1.0, 0.1))
    for penalty, weights in ((1.0, strong), (0.1, weak)):
        free = torch.from_numpy(weights).requires_grad_()
        loss = cox_loss(torch.from_numpy(values) @ free, time, event) + penalty / 2 * free.square().sum()
        loss.backward()
        assert free.grad.abs().max() < 1e-3
    assert 0 < strong[0] < weak[0]
    # lifelines divides by patients and scales by standard deviations; without a penalty both agree.
    import pandas as pd

    frame = pd.DataFrame(values[:, :2], columns=["a", "b"]).assign(t=outcome.time, e=outcome.event)
    reference = CoxPHFitter().fit(frame, "t", "e").params_.to_numpy()
    np.testing.assert_allclose(ridge_path(outcome, values[:, :2], (0.0,))[0], reference, atol=1e-3)


def test_shuffled_outcomes_stay_near_one_half_and_true_ones_do_not():
    cohort, _ = made_cohort(200, clinical=0.0)
    splits = made_folds(cohort, 5)
    line = chance_line(cohort, splits, pathway_means(cohort), seed=0, n_shuffles=20)
    assert line.n_shuffles == 20
    assert 0.45 < line.mean < 0.54
    assert line.mean < line.percentile_95 < 0.62
    assert line.true_outcomes > 0.65
    again = chance_line(cohort, splits, pathway_means(cohort), seed=0, n_shuffles=20)
    assert again == line
    assert chance_line(cohort, splits, pathway_means(cohort), seed=1, n_shuffles=20) != line


def test_times_and_events_are_shuffled_together_and_nothing_else(monkeypatch):
    from amkd_core.training import chance

    cohort, _ = made_cohort(60)
    seen = []

    def watch(outcome, parts, columns):
        seen.append(outcome)
        return 0.5

    monkeypatch.setattr(chance, "_mean_over_folds", watch)
    chance_line(cohort, made_folds(cohort, 5), pathway_means(cohort), seed=0, n_shuffles=2)
    pairs = [sorted(zip(outcome.time.tolist(), outcome.event.tolist(), strict=True)) for outcome in seen]
    assert pairs[0] == pairs[1] == pairs[2]
    assert not np.array_equal(seen[0].time, seen[1].time)
    np.testing.assert_array_equal(seen[2].time, cohort.outcome.time)  # the last one is the true one


def test_pathway_means_are_scaled_by_training_patients_alone():
    cohort, _ = made_cohort(40)
    (split,) = made_folds(cohort, 1)
    features = pathway_means(cohort)(split)
    row = {patient.patient_id: index for index, patient in enumerate(cohort.patients)}
    train = [row[name] for name in split.train]
    values = cohort.expression.values
    scaled = (values - values[train].mean(axis=0)) / values[train].std(axis=0)
    np.testing.assert_allclose(features[:, 0], scaled[:, :4].mean(axis=1))


def test_a_cohort_without_expression_or_deaths_has_no_chance_line():
    cohort, _ = made_cohort(40)
    with pytest.raises(OutcomeError, match="no expression"):
        pathway_means(replace(cohort, expression=NO_TABLE))
    quiet = replace(cohort, patients=tuple(replace(patient, event=False) for patient in cohort.patients))
    with pytest.raises(OutcomeError, match="none of 2 shuffles"):
        chance_line(quiet, made_folds(quiet, 2), pathway_means(quiet), seed=0, n_shuffles=2)
