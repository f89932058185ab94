"""Statistics of a run from its table of out-of-fold predictions."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lifelines.statistics import logrank_test
from statistics_fixtures import QUICK, made_run

from amkd_core.cohort.patients import outcome_of
from amkd_core.errors import CohortError, OutcomeError
from amkd_core.survival.curve import survival_at
from amkd_core.survival.metrics import concordance_index, kaplan_meier
from amkd_core.survival.outcome import Outcome
from amkd_core.survival.weighted import follow_up_limit, uno_concordance
from amkd_core.training.crossval import scores_of
from amkd_core.training.estimates import Estimate, Spread
from amkd_core.training.external_cohort import NO_TABLE
from amkd_core.training.model_statistics import (
    common_limit,
    model_statistics,
    month_grid,
    month_ticks,
)
from amkd_core.training.report_tables import added_table, order_table
from amkd_core.training.report_text import key_figures, reading
from amkd_core.training.scored import scored_models
from amkd_core.training.statistics import run_statistics
from amkd_core.training.statistics_record import RunStatistics


@pytest.fixture(scope="module")
def made():
    return made_run(150, 3)


@pytest.fixture(scope="module")
def models(made):
    return scored_models(made.cohort, made.splits, made.predictions, made.bins)


@pytest.fixture(scope="module")
def statistics(made, models):
    return run_statistics(made.cohort, made.splits, models, seed=0, effort=QUICK)


def test_predictions_are_lined_up_by_identifier_and_never_by_row(made, models):
    shuffled = made.predictions.sample(frac=1, random_state=3)
    again = scored_models(made.cohort, made.splits, shuffled, made.bins)
    for name, item in models.items():
        rows = again[name].in_order_of(item.patients)
        np.testing.assert_array_equal(again[name].risk[rows], item.risk)
        np.testing.assert_array_equal(again[name].outcome.time[rows], item.outcome.time)
        np.testing.assert_array_equal(again[name].high[rows], item.high)
        months = np.array([6.0, 20.0])
        np.testing.assert_array_equal(again[name].survival_of(months)[rows], item.survival_of(months))


def test_survival_in_months_is_drawn_between_the_own_folds_bins(made, models):
    item = models["student"]
    row = int(np.flatnonzero(item.fold == 2)[0])
    own = made.predictions[
        (made.predictions["model"] == "student") & (made.predictions["patient_id"] == item.patients[row])
    ].iloc[0]
    heights = np.cumprod(1 - own[[f"hazard_{k}" for k in range(1, 5)]].to_numpy(float))
    trained = outcome_of([one for one in made.cohort.patients if one.patient_id in made.splits[1].train])
    cohort = kaplan_meier(trained.time, trained.event)
    assert made.bins[2].edges[-2] < 40 < trained.time.max()
    expected = survival_at([3.0, 11.0, 40.0], heights, made.bins[2], cohort)
    np.testing.assert_allclose(item.survival_of(np.array([3.0, 11.0, 40.0]))[row], expected)


def test_the_c_index_of_a_fold_is_that_of_its_test_patients(made, models, statistics):
    item, found = models["teacher"], statistics.models["teacher"].c_index
    values = []
    for fold, split in enumerate(made.splits, start=1):
        patients = [patient for patient in made.cohort.patients if patient.patient_id in split.test]
        outcome = outcome_of(patients)
        risk = item.risk[item.in_order_of([patient.patient_id for patient in patients])]
        values.append(concordance_index(outcome.time, outcome.event, risk))
        assert found.by_fold[fold] == pytest.approx(values[-1])
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))


def test_pairs_within_folds_ignore_the_folds_scales_and_pooled_pairs_do_not(made, statistics):
    moved = made.predictions.assign(risk=made.predictions["risk"] + 50.0 * made.predictions["fold"])
    models = scored_models(made.cohort, made.splits, moved, made.bins)
    found = model_statistics(models["student"], seed=0, n_resamples=30)
    before = statistics.models["student"]
    assert found.c_index_within_folds.value == pytest.approx(before.c_index_within_folds.value)
    assert found.c_index_pooled.value < before.c_index_pooled.value - 0.02
    assert (
        before.c_index_within_folds.lower
        < before.c_index_within_folds.value
        < before.c_index_within_folds.upper
    )


def test_the_integrated_brier_score_equals_scikit_survival_on_one_split(sksurv):
    made = made_run(200, 1)
    item = scored_models(made.cohort, made.splits, made.predictions, made.bins)["student"]
    found = model_statistics(item, seed=0, n_resamples=20)
    months = np.array(found.curve.months)
    train = item.references[1]
    trained, tested = (
        sksurv.util.Surv.from_arrays(outcome.event, outcome.time) for outcome in (train, item.outcome)
    )
    theirs = sksurv.metrics.integrated_brier_score(trained, tested, item.survival_of(months), months)
    assert found.integrated_brier.value == pytest.approx(theirs, abs=1e-5)
    nobody = np.tile(item.nulls[1].survival_at(months), (len(item.patients), 1))
    theirs = sksurv.metrics.integrated_brier_score(trained, tested, nobody, months)
    assert found.integrated_brier_without_model.value == pytest.approx(theirs, abs=1e-5)
    assert len(months) == 25
    assert months[-1] == pytest.approx(common_limit(item))
    # The card of a model from one split tells the interval that its report has.
    (told,) = [
        score.interval
        for score in scores_of(made.predictions, seed=0, n_resamples=20)
        if (score.model, score.part) == ("student", "test")
    ]
    own = found.c_index_within_folds
    assert (told.estimate, told.lower, told.upper) == pytest.approx((own.value, own.lower, own.upper))


def test_unos_c_ends_at_the_month_that_is_reported_in_every_fold(models, statistics):
    item, found = models["student"], statistics.models["student"]
    limits = []
    for fold, value in found.uno.by_fold.items():
        own = item.fold == fold
        outcome, reference = item.outcome.take(own), item.references[fold]
        limits.append(follow_up_limit(outcome, reference))
        given = {"reference": reference, "tau": found.follow_up_limit_months}
        assert value == pytest.approx(uno_concordance(outcome, item.risk[own], **given), abs=1e-6)
    assert max(limits) > min(limits) == found.follow_up_limit_months


def test_weights_against_censoring_come_from_the_training_patients(made, models):
    item = models["student"]
    quiet = replace(
        item, references={fold: Outcome(o.time, np.ones(len(o), bool)) for fold, o in item.references.items()}
    )
    first, other = (model_statistics(each, seed=0, n_resamples=10) for each in (item, quiet))
    assert first.uno.mean != other.uno.mean
    assert first.integrated_brier.value != other.integrated_brier.value


def test_risk_groups_are_those_of_the_table_and_their_log_rank_is_lifelines(models, statistics):
    item, found = models["student"], statistics.models["student"].risk_groups
    assert found.high.n_patients == int(item.high.sum())
    assert found.low.n_patients + found.high.n_patients == len(item.patients)
    low, high = item.outcome.take(~item.high), item.outcome.take(item.high)
    expected = logrank_test(low.time, high.time, low.event, high.event).p_value
    assert found.log_rank.p_value == pytest.approx(expected)
    assert found.low.at_risk[0] == found.low.n_patients
    assert found.low.at_risk == [int((low.time >= month).sum()) for month in found.low.months]


def test_the_teacher_sees_more_and_the_paired_difference_says_so():
    made = made_run(300, 3, noise=2.5)
    models = scored_models(made.cohort, made.splits, made.predictions, made.bins)
    found = run_statistics(made.cohort, made.splits, models, seed=0, effort=replace(QUICK, n_resamples=300))
    assert found.student_minus_teacher.upper < 0
    assert found.models["teacher"].c_index.mean > found.models["student"].c_index.mean
    assert found.added["teacher"].gain.value > max(0.02, found.added["student"].gain.value)
    assert found.added["student"].hazard_ratio.lower > 1
    assert found.clinical.c_index.mean > 0.55


def test_statistics_are_strict_json_and_seeded(made, models, statistics):
    text = statistics.model_dump_json()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert RunStatistics.model_validate_json(text) == statistics
    again = run_statistics(made.cohort, made.splits, models, seed=0, effort=QUICK)
    assert again.model_dump_json() == text
    other = run_statistics(made.cohort, made.splits, models, seed=1, effort=QUICK)
    own, moved = (item.models["student"].c_index_within_folds for item in (statistics, other))
    assert own.value == moved.value
    assert own.lower != moved.lower
    assert json.loads(text)["folds"] == [
        {"fold": fold, "n_patients": 50, "n_events": sum(
            patient.event for patient in made.cohort.patients if patient.patient_id in split.test
        )}
        for fold, split in enumerate(made.splits, start=1)
    ]  # fmt: skip


def test_the_terminal_lines_name_every_figure(statistics):
    text = str(statistics)
    for part in (
        "student on test: C-index", "over 3 folds", "teacher on test", "log-rank p =",
        "student minus teacher, paired: ", "age and stage alone: C-index", "age, stage and student: C-index", "gain +",
        "hazard ratio of the student's risk per standard deviation, age and stage held equal", "chance line: 0.",
    ):  # fmt: skip
        assert part in text


def test_figures_that_cannot_be_computed_are_null_with_a_reason():
    made = made_run(60, 1)
    gone = set(made.splits[0].test)
    patients = tuple(
        replace(patient, event=False, age_years=None, stage=None)
        if patient.patient_id in gone
        else replace(patient, age_years=None, stage=None)
        for patient in made.cohort.patients
    )
    cohort = replace(made.cohort, patients=patients, expression=NO_TABLE)
    models = scored_models(cohort, made.splits, made.predictions, made.bins)
    found = run_statistics(cohort, made.splits, models, seed=0, effort=QUICK)
    student = found.models["student"]
    for figure in (student.c_index_within_folds, student.c_index_pooled, student.integrated_brier):
        assert figure.value is None
        assert figure.reason
    assert student.c_index.mean is None
    assert "no two of the 12 patients" in student.c_index.reason
    assert student.uno.reason
    assert student.calibration.reason == "no event lies within follow-up"
    assert student.risk_groups.log_rank.p_value is None
    assert "neither age nor stage" in found.clinical.reason
    assert found.added["student"].hazard_ratio.value is None
    assert "no expression" in found.chance.reason
    assert "not estimable" in str(found)
    assert "not testable" in str(found)


def test_one_split_has_no_standard_deviation_and_no_combined_risk():
    made = made_run(90, 1)
    models = scored_models(made.cohort, made.splits, made.predictions, made.bins)
    found = run_statistics(made.cohort, made.splits, models, seed=0, effort=QUICK)
    assert found.models["student"].c_index.std is None
    assert found.models["student"].c_index.mean is not None
    assert "two folds or more" in found.added["student"].gain.reason
    assert found.added["student"].hazard_ratio.value is not None
    assert "student on test: C-index 0." in str(found)
    assert "folds" not in str(found).splitlines()[0]


def test_a_fold_without_deaths_is_left_out_of_the_mean_and_shown_as_null():
    made = made_run(150, 3)
    gone = set(made.splits[1].test)
    patients = tuple(
        replace(patient, event=patient.event and patient.patient_id not in gone)
        for patient in made.cohort.patients
    )
    cohort = replace(made.cohort, patients=patients)
    models = scored_models(cohort, made.splits, made.predictions, made.bins)
    found = run_statistics(cohort, made.splits, models, seed=0, effort=QUICK).models["student"]
    assert found.c_index.by_fold[2] is None
    values = [found.c_index.by_fold[fold] for fold in (1, 3)]
    assert found.c_index.mean == pytest.approx(np.mean(values))
    assert found.integrated_brier.value is not None


@pytest.fixture(scope="module")
def five():
    return made_run(150, 5)


@pytest.mark.parametrize("n_events", [0, 1, 5, 10])
def test_so_few_events_in_each_of_five_folds_give_intervals_or_a_reason_and_never_one_half(five, n_events):
    died = {name for split in five.splits for name in split.test[:n_events]}
    patients = tuple(replace(patient, event=patient.patient_id in died) for patient in five.cohort.patients)
    cohort = replace(five.cohort, patients=patients)
    table = five.predictions.assign(event=five.predictions["patient_id"].isin(died).astype(int))
    models = scored_models(cohort, five.splits, table, five.bins)
    found = run_statistics(cohort, five.splits, models, seed=0, effort=QUICK)
    text = found.model_dump_json()
    assert "NaN" not in text
    assert "Infinity" not in text
    student = found.models["student"]
    for fold in range(1, 6):
        score = next(
            score for score in scores_of(table[table["fold"] == fold], seed=0) if score.model == "student"
        )
        value = student.c_index.by_fold[fold]
        assert score.n_events == n_events
        assert (value is None) == (score.interval is None) == ("not estimable" in str(score))
        if value is None:
            assert n_events < 2
            assert str(score).endswith(f": {score.reason}")
            continue
        assert score.interval.lower <= score.interval.estimate == value <= score.interval.upper
        assert ("hardly informative" in str(score)) == (n_events < 10)
    pooled = student.c_index_pooled
    if n_events:
        assert pooled.lower <= pooled.value <= pooled.upper
        assert student.c_index.mean is not None
    else:
        assert (pooled.value, student.c_index.mean) == (None, None)
        assert pooled.reason


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda table: table.drop(columns="risk"), "no column risk"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "predicts patient SIM-... more than once"),
        (lambda table: table.assign(patient_id="NOBODY"), "NOBODY are not in cohort Made cohort"),
        (lambda table: table.assign(fold=9), "fold 9 has no time bins"),
        (lambda table: table.assign(risk=np.nan), "risks of the student are not finite"),
    ],
)
def test_tables_that_are_no_predictions_of_this_cohort_are_refused(made, change, sentence):
    with pytest.raises(CohortError, match=sentence):
        scored_models(made.cohort, made.splits, change(made.predictions), made.bins)


def test_rows_of_training_and_validation_are_passed_over(made, models):
    more = made.predictions.assign(part="train")
    found = scored_models(made.cohort, made.splits, pd.concat([made.predictions, more]), made.bins)
    assert found["student"].patients == models["student"].patients


def test_a_model_without_hazards_has_no_survival_in_months(made):
    bare = made.predictions.drop(columns=[f"hazard_{k}" for k in range(1, 5)])
    item = scored_models(made.cohort, made.splits, bare, made.bins)["student"]
    found = model_statistics(item, seed=0, n_resamples=10)
    assert item.survival_of is None
    assert "no survival in months" in found.integrated_brier.reason
    assert "no survival in months" in found.calibration.reason
    assert found.auc[0].auc.mean is not None
    assert found.curve.auc


def test_months_of_axes_and_curves():
    assert month_ticks(100.0).tolist() == [0, 24, 48, 72, 96]
    assert month_ticks(0.4)[-1] <= 0.4
    assert len(month_ticks(9000.0)) <= 8
    few = Outcome([1, 2, 3, 4, 50], [True] * 4 + [False])
    assert month_grid(few, 4.0).size == 0
    assert month_grid(Outcome(np.arange(1.0, 41), np.ones(40, bool)), 36.0)[-1] == 36


def test_a_percentile_of_few_shuffles_is_called_so(statistics):
    assert "only 3 shuffles, too few for a 95th percentile" in str(statistics)
    enough = statistics.chance.model_copy(update={"n_shuffles": 20})
    assert "too few" not in str(statistics.model_copy(update={"chance": enough}))


def test_estimates_tell_their_reason_and_their_text():
    def fails():
        raise OutcomeError("why")

    assert Estimate.of(fails) == Estimate(reason="why")
    assert Estimate.of(lambda: float("nan")).value is None
    assert Estimate(value=0.5, lower=0.4, upper=0.6).text(2, sign=True) == "+0.50 [0.40, 0.60]"
    assert Estimate().text() == "not estimable"
    assert Spread.over({1: Estimate(value=1.0), 2: Estimate(value=3.0)}).text(1) == "2.0 ± 1.4"
    assert Spread.over({1: Estimate(value=1.0), 2: Estimate(reason="no")}).std is None
    assert Spread.over({}).reason == "there are no test patients"


def test_the_baseline_is_named_by_what_is_known_of_the_patients():
    made = made_run(120, 2)
    patients = tuple(replace(patient, stage=None) for patient in made.cohort.patients)
    cohort = replace(made.cohort, patients=patients)
    models = scored_models(cohort, made.splits, made.predictions, made.bins)
    found = run_statistics(cohort, made.splits, models, seed=0, effort=QUICK)
    assert found.clinical.covariates == ["age"]
    text = str(found)
    for part in ("age alone: C-index", "age and student: C-index", "per standard deviation, age held equal"):
        assert part in text
    page = "\n".join((*reading(found), *(figure.label for figure in key_figures(found))))
    assert "Age held equal, one standard deviation more" in page
    assert "where age alone gave" in page
    assert "C-index of age alone" in page
    for said in (text, page, added_table(found).caption, str(order_table(found).header)):
        assert "stage" not in said


def test_a_hazard_ratio_below_1_is_called_the_wrong_way_round(statistics):
    added = statistics.added["student"]
    wrong = added.hazard_ratio.model_copy(update={"value": 0.6, "lower": 0.4, "upper": 0.9})
    turned = added.model_copy(update={"hazard_ratio": wrong})
    points = reading(statistics.model_copy(update={"added": {"student": turned}}))
    (said,) = (point for point in points if "times the hazard" in point)
    assert said.endswith("times the hazard. That is the wrong way round: do not use this student.")
