"""The whole of `amkd-train`: cohort in; folds, report and bundles out."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amkd_core.atomic import write_bytes
from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.bundle_card import Measured, MeasuredSubgroups
from amkd_core.bundle_file import open_bundle
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.folds import make_folds
from amkd_core.cohort.shared_sites import shared_sites_note
from amkd_core.cohort.splits import Split
from amkd_core.cohort.table_one import patches_by_slide
from amkd_core.progress import Progress
from amkd_core.training.card_figures import measured_in_fold, measured_over_folds
from amkd_core.training.card_subgroups import card_subgroups
from amkd_core.training.chance_networks import chance_of_networks
from amkd_core.training.config import TrainingConfig
from amkd_core.training.crossval import config_of_fold, groups_of, scores_of
from amkd_core.training.data_record import check_folds, data_record, keep_data
from amkd_core.training.evaluate import RiskGroups, Score
from amkd_core.training.fold_record import (
    BUNDLE,
    PREDICTIONS,
    FoldResult,
    open_edges,
    out_of_fold,
    write_json,
    write_table,
)
from amkd_core.training.foreign_bags import warned_of_foreign_bags
from amkd_core.training.inputs import read_bags
from amkd_core.training.make_bundle import bundle_of_ensemble
from amkd_core.training.packed_cache import rounded, share_bags
from amkd_core.training.report_run import RunStatistics, report_run
from amkd_core.training.run_folder import environment, run_folder
from amkd_core.training.scored import Scored, scored_models
from amkd_core.training.slides_of_run import bags_of, extract_missing, with_slides
from amkd_core.training.statistics import Effort
from amkd_core.training.subgroup_statistics import subgroup_statistics
from amkd_core.training.train_all import Place, train_all

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Run", "train_run", "with_slides"]


@dataclass(frozen=True, eq=False)
class Run:
    """What a finished run leaves behind.

    Attributes
    ----------
    cohort, splits
        What was trained on, one split a fold.
    folds
        What each fold left.
    scores, groups
        Of the first fold alone, on its validation and test patients; the statistics tell of all of them.
    statistics
        As in the report; None when no patient was kept for testing.
    bundle, bundle_path
        The ensemble, or the only fold's models.
    """

    cohort: Cohort
    splits: tuple[Split, ...]
    folds: tuple[FoldResult, ...]
    scores: tuple[Score, ...]
    groups: tuple[RiskGroups, ...]
    statistics: RunStatistics | None
    bundle: Bundle
    bundle_path: Path


def train_run(
    cohort: Cohort,
    out: Path,
    config: TrainingConfig,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    weights: Path | None = None,
) -> Generator[Progress, None, Run]:
    """Train and test every fold, and write report and bundles; a repeated call continues.

    Parameters
    ----------
    cohort
        As read; patients without a slide are kept out (`with_slides`).
    out
        Run folder.
    jobs
        Worker processes; by default two for slides that have no bag yet, and none beside this one for folds.
    scheduler
        Address of a Dask cluster that takes slides and folds instead.
    weights
        Of a foundation encoder.

    Raises
    ------
    AmkdError
        One sentence on the cohort, the configuration or the folder.
    """
    with ExitStack() as held:
        held.enter_context(run_folder(out, config, cohort))
        client: Client | None = None
        if scheduler is not None:
            from amkd_core.training.cluster import connect

            client = held.enter_context(connect(scheduler))
        cohort = with_slides(cohort, out)
        splits = make_folds(cohort, n_folds=config.folds, seed=config.seed)
        check_folds(out, splits)
        yield from extract_missing(
            cohort, out, jobs=jobs or 2, weights=weights, device=config.device, client=client
        )
        yield Progress("Reading bags")
        bags = rounded(read_bags(cohort, bags_of(cohort, out)), config.cache_dtype)
        cohort = warned_of_foreign_bags(cohort, bags, bags_of(cohort, out))
        data = data_record(cohort, bags)
        keep_data(out, data, splits)
        place = Place(out, jobs or 1, client)
        if place.is_shared(len(splits)):
            yield Progress("Packing the bags for the folds")
            bags = share_bags(out, cohort, bags, key=data, dtype=config.cache_dtype)
        folds = yield from train_all(cohort, bags, splits, config, place)
        chance: Mapping[str, Sequence[float]] = {}
        if config.report.network_shuffles and any(split.test for split in splits):
            chance = yield from chance_of_networks(cohort, bags, config, place, n_folds=len(splits))
        yield Progress("Writing the report")
        return _finish(cohort, bags, splits, folds, config=config, out=out, chance=chance)


def _finish(
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    splits: Sequence[Split],
    folds: tuple[FoldResult, ...],
    *,
    config: TrainingConfig,
    out: Path,
    chance: Mapping[str, Sequence[float]],
) -> Run:
    predictions = out_of_fold(folds)
    write_table(out / PREDICTIONS, predictions)
    bins = {fold.fold: fold.time_bins for fold in folds}
    write_json(out / "bins.json", {str(fold): open_edges(edges) for fold, edges in bins.items()})
    n_resamples = config.report.resamples
    scored = [
        scores_of(fold.predictions, seed=config_of_fold(config, fold.fold).seed, n_resamples=n_resamples)
        for fold in folds
    ]
    if len(folds) == 1:
        write_bytes(out / BUNDLE, folds[0].bundle_path.read_bytes())
        bundle = open_bundle(out / BUNDLE)
    else:
        models = scored_models(cohort, splits, predictions, bins)
        bundle = bundle_of_ensemble(
            folds, predictions, bags, cohort=cohort, metrics=_mean_scores(scored),
            measured=_measured(scored, models, config), subgroups=_subgroups(cohort, models, config),
            remarks=[shared_sites_note(splits).removeprefix("Folds: ")], path=out / BUNDLE, device=config.device,
        )  # fmt: skip
    provenance = {
        "config": config.model_dump(mode="json"),
        "environment": environment(),
        "cohort": cohort.file.name,
        "bundle_sha256": bundle.sha256,
    }
    statistics = None
    if not predictions.empty:
        effort = Effort(config.report.resamples, config.report.shuffles)
        statistics = report_run(
            cohort, splits, predictions, bins, out=out, seed=config.seed, provenance=provenance, effort=effort,
            network_chance=chance, bundle=bundle, n_patches=patches_by_slide(bags),
        )  # fmt: skip
    groups = groups_of(folds[0].predictions)
    return Run(cohort, tuple(splits), folds, scored[0], groups, statistics, bundle, out / BUNDLE)


def _measured(
    scored: Sequence[Sequence[Score]], models: Mapping[str, Scored], config: TrainingConfig
) -> list[Measured]:
    """The C-indices of all folds together and of each, for the ensemble's card."""
    found = measured_over_folds(models, seed=config.seed, n_resamples=config.report.resamples)
    for fold, scores in enumerate(scored, start=1):
        found += measured_in_fold(scores, fold)
    return found


def _subgroups(
    cohort: Cohort, models: Mapping[str, Scored], config: TrainingConfig
) -> list[MeasuredSubgroups]:
    """The report's C-indices by subgroup, for the ensemble's card."""
    found = subgroup_statistics(cohort, models, seed=config.seed, n_resamples=config.report.resamples)
    return card_subgroups(found)


def _mean_scores(scored: Sequence[Sequence[Score]]) -> dict[str, float]:
    """Mean and standard deviation over folds of the C-index on test patients, for the ensemble's card."""
    found: dict[str, list[float]] = {}
    for scores in scored:
        for score in scores:
            if score.part == "test" and score.interval is not None:
                found.setdefault(f"c_index_{score.model}_test", []).append(score.interval.estimate)
    metrics = {f"{name}_mean": round(float(np.mean(values)), 4) for name, values in found.items()}
    spread = {
        f"{name}_std": round(float(np.std(values, ddof=1)), 4)
        for name, values in found.items()
        if len(values) > 1
    }
    return metrics | spread
