"""Cross-validation: each fold trained by itself, each patient predicted by the fold that had not seen it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from amkd_core.bag import FeatureBag
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.splits import Split
from amkd_core.errors import OutcomeError, WorkerError
from amkd_core.models import SurvivalModel
from amkd_core.progress import Progress
from amkd_core.survival.metrics import bootstrap_concordance
from amkd_core.survival.outcome import Outcome
from amkd_core.training.card_subgroups import card_subgroups
from amkd_core.training.config import TrainingConfig
from amkd_core.training.evaluate import RiskGroups, Score, compare_groups
from amkd_core.training.fold_predictions import RiskScale, predict_models
from amkd_core.training.fold_record import (
    BUNDLE,
    FITTED,
    PREDICTIONS,
    FoldResult,
    finish_fold,
    finished_fold,
    fitted_record,
    fold_folder,
    fold_lock,
    write_json,
    write_table,
)
from amkd_core.training.inputs import Inputs, make_inputs
from amkd_core.training.make_bundle import bundle_of_fold
from amkd_core.training.scored import scored_models
from amkd_core.training.stages import attach_targets, train_student, train_teacher
from amkd_core.training.subgroup_statistics import subgroup_statistics

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("train", "validation", "test")
MODELS = ("student", "teacher")
# Each fold draws its weights, orders and dropout from streams of its own.
SEED_STEP = 1_000


def config_of_fold(config: TrainingConfig, fold: int) -> TrainingConfig:
    """Settings of a fold, counted from 1; the first one keeps the run's seed."""
    return config.model_copy(update={"seed": config.seed + SEED_STEP * (fold - 1)})


def train_fold(
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    split: Split,
    config: TrainingConfig,
    *,
    run: Path,
    fold: int,
) -> Generator[Progress, None, FoldResult]:
    """Train teacher and student on one split, unless the fold is finished already.

    Parameters
    ----------
    cohort, bags
        Of all patients.
    split
        The fold's parts; nothing but its training part is fitted on, and validation chooses the epochs.
    config
        Of the run.
    run
        Run folder; everything goes to ``fold-<fold>`` in it.
    fold
        Counted from 1.

    Yields
    ------
    Progress
        After each epoch of a stage, with the losses by name.
    """
    folder = fold_folder(run, fold)
    with fold_lock(folder):
        done = finished_fold(run, fold)
        if done is not None:
            return done
        own = config_of_fold(config, fold)
        inputs = make_inputs(cohort, bags, split, own)
        teacher = yield from train_teacher(inputs, own, folder)
        taught = yield from attach_targets(inputs, teacher, own, folder)
        student = yield from train_student(taught, own, folder)
        _write_fold(cohort, bags, inputs, (student, teacher), config=own, folder=folder, fold=fold)
    result = finished_fold(run, fold)
    if result is None:
        raise WorkerError(
            f"fold {fold}: its results in {folder} do not read back as written; repeat the command"
        )
    return result


def _write_fold(
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    inputs: Inputs,
    networks: tuple[SurvivalModel, SurvivalModel],
    *,
    config: TrainingConfig,
    folder: Path,
    fold: int,
) -> None:
    predictions, scales = predict_fold(cohort, inputs, networks, config, fold=fold)
    scores = scores_of(predictions, seed=config.seed, n_resamples=config.report.resamples)
    write_table(folder / PREDICTIONS, predictions)
    write_json(folder / FITTED, fitted_record(inputs.fitted, scales))
    own = predictions[(predictions["model"] == "student") & (predictions["part"] == "train")]
    risks = dict(zip(own["patient_id"], own["risk"], strict=True))
    models = scored_models(cohort, (), predictions, {fold: inputs.fitted.time_bins})
    subgroups = subgroup_statistics(cohort, models, seed=config.seed, n_resamples=config.report.resamples)
    bundle_of_fold(
        cohort, bags, inputs, networks, config=config, scores=scores, subgroups=card_subgroups(subgroups),
        risks=risks, baseline=scales["student"].baseline, path=folder / BUNDLE, fold=fold,
    )  # fmt: skip
    finish_fold(folder, fold, {"seed": config.seed, "threads": torch.get_num_threads()})


def predict_fold(
    cohort: Cohort,
    inputs: Inputs,
    networks: tuple[SurvivalModel, SurvivalModel],
    config: TrainingConfig,
    *,
    fold: int,
) -> tuple[pd.DataFrame, dict[str, RiskScale]]:
    """Risk and hazards of every patient by both networks from all patches, and the scales of their risks.

    Parameters
    ----------
    networks
        (student, teacher).
    """
    parts = {part: getattr(inputs, part) for part in PARTS}
    return predict_models(
        cohort, parts, dict(zip(MODELS, networks, strict=True)), device=config.device, fold=fold,
        bins=inputs.fitted.time_bins,
    )  # fmt: skip


def scores_of(predictions: pd.DataFrame, *, seed: int, n_resamples: int = 1000) -> tuple[Score, ...]:
    """C-indices of student and teacher on one fold's validation and test patients.

    Parameters
    ----------
    seed, n_resamples
        Of the bootstrap, which draws as `amkd_core.training.model_statistics.c_index_within_folds` does.
    """
    scores = []
    for part in PARTS[1:]:
        for name in MODELS:
            rows = predictions[(predictions["model"] == name) & (predictions["part"] == part)]
            if rows.empty:
                continue
            outcome = outcome_of_rows(rows)
            interval, reason = None, ""
            try:
                interval = bootstrap_concordance(
                    outcome, rows["risk"].to_numpy(), generator=np.random.default_rng([seed, 1]),
                    n_resamples=n_resamples,
                )  # fmt: skip
            except OutcomeError as error:
                reason = str(error)
            scores.append(Score(name, part, interval, len(outcome), outcome.n_events, reason))
    return tuple(scores)


def groups_of(predictions: pd.DataFrame) -> tuple[RiskGroups, ...]:
    """The student's high against its low risk group on one fold's validation and test patients."""
    groups = []
    for part in PARTS[1:]:
        rows = predictions[(predictions["model"] == "student") & (predictions["part"] == part)]
        if not rows.empty:
            high = rows["high_risk"].to_numpy(np.float64)
            groups.append(compare_groups(outcome_of_rows(rows), high, 0.5, part=part))
    return tuple(groups)


def outcome_of_rows(rows: pd.DataFrame) -> Outcome:
    """Follow-up of predicted patients, in the order of the rows."""
    return Outcome(rows["months"].to_numpy(np.float64), rows["event"].to_numpy(np.int64) == 1)
