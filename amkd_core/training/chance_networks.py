"""The chance line of the networks themselves: the whole cross-validation again on shuffled outcomes, on demand.

The cheap model of `amkd_core.training.chance` costs seconds, this as many runs as there are shuffles. Below a run's
folder lies ``chance``, a folder like a run's: its fold ``(s - 1) * n_folds + k`` is fold ``k`` of shuffle ``s``. What a
shuffle reached is kept in ``shuffle-001.json`` and so on; its networks are not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from amkd_core.bag import FeatureBag
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.folds import make_folds
from amkd_core.cohort.splits import Split
from amkd_core.errors import CohortError, OutcomeError, RunFolderError
from amkd_core.progress import Progress
from amkd_core.survival.metrics import concordance_index
from amkd_core.training.config import TrainingConfig
from amkd_core.training.crossval import MODELS, outcome_of_rows, train_fold
from amkd_core.training.distribute import train_folds
from amkd_core.training.fold_record import FoldResult, finished_fold, fold_folder, write_json
from amkd_core.training.progress_log import ProgressLog, TimeLeft, logged
from amkd_core.training.time_bins import require_time_bins
from amkd_core.training.train_all import Place, backend_of, use_threads

FOLDER = "chance"
# Outcomes are drawn anew when a draw leaves a part of a fold with too few deaths, or its time bins cannot be cut.
_MOST_DRAWS = 100
# Shuffles under way at a time on a cluster; the disk holds the networks of so many.
_ON_CLUSTER = 8


@dataclass(frozen=True, eq=False)
class Shuffle:
    """Outcomes of other patients, and folds made on them as the run's folds were made.

    Attributes
    ----------
    number : int
        From 1.
    order : tuple of int
        Position of the patient whose outcome each patient gets, in the cohort's order.
    splits : tuple of Split
        As many as the run has.
    """

    number: int
    order: tuple[int, ...]
    splits: tuple[Split, ...]

    @classmethod
    def draw(cls, cohort: Cohort, number: int, config: TrainingConfig) -> Shuffle:
        """The same for the same seed and number.

        Raises
        ------
        CohortError
            When no draw leaves enough deaths in every part.
        """
        generator = np.random.default_rng([config.seed, 9, number])
        for _ in range(_MOST_DRAWS):
            order = tuple(generator.permutation(len(cohort.patients)).tolist())
            try:
                drawn = with_outcomes(cohort, order)
                splits = make_folds(drawn, n_folds=config.folds, seed=config.seed + number)
                require_time_bins(drawn, config, splits)
            except CohortError as error:
                found = error
                continue
            return cls(number, order, splits)
        raise CohortError(f"{_MOST_DRAWS} shuffles of the outcomes left a fold unusable ({found})")


def with_outcomes(cohort: Cohort, order: Sequence[int]) -> Cohort:
    """The cohort with each patient's time and event taken from the patient at another position."""
    donors = [cohort.patients[place] for place in order]
    pairs = zip(cohort.patients, donors, strict=True)
    return replace(
        cohort,
        patients=tuple(replace(patient, time=donor.time, event=donor.event) for patient, donor in pairs),
    )


def chance_of_networks(
    cohort: Cohort, bags: Mapping[str, FeatureBag], config: TrainingConfig, place: Place, *, n_folds: int
) -> Generator[Progress, None, dict[str, list[float]]]:
    """Mean C-index over folds that student and teacher reach on each shuffle; what was found before is kept.

    Parameters
    ----------
    cohort, bags
        The run's.
    config
        The run's; ``report.network_shuffles`` says how many.
    place
        The run's: so many folds at a time, of several shuffles where one has fewer.
    n_folds
        Of the run.

    Returns
    -------
    dict of list
        By model, one value a shuffle in which it is defined.
    """
    out = place.out / FOLDER
    out.mkdir(exist_ok=True)
    shuffles = [
        Shuffle.draw(cohort, number, config) for number in range(1, config.report.network_shuffles + 1)
    ]
    record = {"config": config.record()}
    write_json(out / "run.json", record)
    write_json(out / "folds.json", _folds_record(shuffles))
    missing = [shuffle for shuffle in shuffles if not _result(out, shuffle.number).exists()]
    at_once = max(1, place.jobs // n_folds) if place.client is None else _ON_CLUSTER
    log = ProgressLog(out / "progress.csv")
    for start in range(0, len(missing), at_once):
        block = missing[start : start + at_once]
        done = len(shuffles) - len(missing) + start
        head = f"Chance line, {done} of {len(shuffles)} shuffles done: "
        for step in _train(cohort, bags, block, config, replace(place, out=out), log=log):
            yield replace(step, stage=head + step.stage[:1].lower() + step.stage[1:])
        for shuffle in block:
            _keep(out, shuffle)
    return _gathered(out, len(shuffles))


def split_and_cohort(run: Path, record: Mapping[str, Any], fold: int, cohort: Cohort) -> tuple[Split, Cohort]:
    """Patients of a fold of a run's folder, and their outcomes: their own, or those of its shuffle.

    Parameters
    ----------
    run
        Folder, for messages.
    record
        Its ``folds.json``.
    """
    try:
        parts = record["folds"][fold - 1]
        orders = record.get("outcomes")
        order = None if orders is None else orders[(fold - 1) * len(orders) // len(record["folds"])]
    except (IndexError, KeyError, TypeError) as error:
        raise RunFolderError(f"{run / 'folds.json'}: does not tell of fold {fold} ({error})") from error
    split = Split(**{name: tuple(names) for name, names in parts.items()})
    return split, cohort if order is None else with_outcomes(cohort, order)


def _folds_record(shuffles: Sequence[Shuffle]) -> dict[str, Any]:
    splits = [split for shuffle in shuffles for split in shuffle.splits]
    return {
        "folds": [
            {name: list(getattr(split, name)) for name in ("train", "validation", "test")} for split in splits
        ],
        "outcomes": [list(shuffle.order) for shuffle in shuffles],
    }


def _units(shuffle: Shuffle) -> list[int]:
    """Numbers of its folds in the folder."""
    first = (shuffle.number - 1) * len(shuffle.splits)
    return [first + fold for fold in range(1, len(shuffle.splits) + 1)]


def _train(
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    block: Sequence[Shuffle],
    config: TrainingConfig,
    place: Place,
    *,
    log: ProgressLog,
) -> Generator[Progress, None, None]:
    units = [unit for shuffle in block for unit in _units(shuffle)]
    missing = [unit for unit in units if finished_fold(place.out, unit) is None]
    if not missing:
        return
    left = TimeLeft(config, frozenset(missing), min(place.jobs, len(units)))
    if place.is_shared(len(block[0].splits)):  # then the run has packed its bags
        backend = backend_of(place, config, min(place.jobs, len(units)))
        yield from train_folds(place.out, missing, backend, log=log, left=left)
        return
    use_threads(config, 1)
    for shuffle in block:
        shuffled = with_outcomes(cohort, shuffle.order)
        for unit, split in zip(_units(shuffle), shuffle.splits, strict=True):
            if unit in missing:
                steps = train_fold(shuffled, bags, split, config, run=place.out, fold=unit)
                yield from logged(steps, unit, log, left)


def _keep(out: Path, shuffle: Shuffle) -> None:
    """Write what a shuffle reached, then remove its networks."""
    results = [finished_fold(out, unit) for unit in _units(shuffle)]
    if any(result is None for result in results):
        raise RunFolderError(f"{out}: results of shuffle {shuffle.number} are gone; repeat the command")
    found = {
        name: [_concordance(result, name) for result in results if result is not None] for name in MODELS
    }
    write_json(_result(out, shuffle.number), {"c_index": found})
    for unit in _units(shuffle):
        shutil.rmtree(fold_folder(out, unit), ignore_errors=True)


def _concordance(result: FoldResult, model: str) -> float | None:
    rows = result.predictions
    rows = rows[(rows["part"] == "test") & (rows["model"] == model)]
    if rows.empty:
        return None
    outcome = outcome_of_rows(rows)
    try:
        return concordance_index(outcome.time, outcome.event, rows["risk"].to_numpy(np.float64))
    except OutcomeError:
        return None


def _gathered(out: Path, n_shuffles: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in MODELS}
    for number in range(1, n_shuffles + 1):
        record = json.loads(_result(out, number).read_text(encoding="utf-8"))["c_index"]
        for name in MODELS:
            values = [value for value in record[name] if value is not None]
            found[name] += [float(np.mean(values))] if values else []
    return found


def _result(out: Path, number: int) -> Path:
    return out / f"shuffle-{number:03d}.json"
