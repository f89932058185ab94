"""A finished run, read back from its folder: its cohort, its folds, and what each fold's models say of a patient."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.errors import RunFolderError
from amkd_core.training.fold_record import FoldResult, finished_fold, out_of_fold
from amkd_core.training.scored import Scored, scored_models
from amkd_core.training.slides_of_run import bags_of

RUN, FOLDS = "run.json", "folds.json"


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What a run of `amkd-train` left behind.

    Attributes
    ----------
    folder : Path
    cohort : Cohort
        Read again from its tables.
    folds : tuple of FoldResult
        All of them.
    """

    folder: Path
    cohort: Cohort
    folds: tuple[FoldResult, ...]

    @property
    def name(self) -> str:
        """The cohort's."""
        return self.cohort.file.name

    @property
    def bags(self) -> Path:
        """Folder of the run's bags."""
        return bags_of(self.cohort, self.folder)

    def scored(self) -> dict[str, Scored]:
        """Out-of-fold predictions by model."""
        bins = {fold.fold: fold.time_bins for fold in self.folds}
        return scored_models(self.cohort, (), out_of_fold(self.folds), bins)

    def tested_by(self) -> dict[str, FoldResult]:
        """For each patient the fold whose models had not seen it."""
        tested: dict[str, FoldResult] = {}
        for fold in self.folds:
            rows = fold.predictions[fold.predictions["part"] == "test"]
            tested |= dict.fromkeys((str(name) for name in rows["patient_id"]), fold)
        return tested


def open_run(folder: Path, cohort: Path | None = None) -> FinishedRun:
    """Read a run's folder.

    Parameters
    ----------
    folder
        As `amkd-train --out` named it.
    cohort
        The cohort's TOML file; by default the tables are looked for where they lay when the run began.

    Raises
    ------
    RunFolderError
        When it is no run, a record is damaged, or a fold is not finished.
    CohortError, ConfigError
        When the cohort's tables cannot be read.
    """
    record = _record(folder / RUN)
    numbers = range(1, len(_record(folder / FOLDS).get("folds", ())) + 1)
    found = [finished_fold(folder, number) for number in numbers]
    folds = tuple(fold for fold in found if fold is not None)
    if not folds or len(folds) < len(found):
        missing = next((number for number, fold in zip(numbers, found, strict=True) if fold is None), 1)
        raise RunFolderError(
            f"{folder}: fold {missing} of {max(len(found), 1)} is not finished; repeat amkd-train to go on"
        )
    return FinishedRun(folder, _cohort(folder, record, cohort), folds)


def _cohort(folder: Path, record: Mapping[str, Any], path: Path | None) -> Cohort:
    if path is None and not record.get("cohort_paths"):
        raise RunFolderError(f"{folder / RUN}: does not tell where the cohort's tables lie; give --cohort")
    if path is not None:
        cohort = read_cohort(path)
    else:
        places = {name: (folder / place).resolve() for name, place in record["cohort_paths"].items()}
        cohort = read_cohort(None, {**record["cohort"], **places})
    if cohort.file.name != record["cohort"]["name"]:
        raise RunFolderError(
            f"{folder}: holds a run on {record['cohort']['name']!r}, and {path} is of {cohort.file.name!r}"
        )
    return replace(cohort, path=path)


def _record(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(f"{path.parent}: is no run of amkd-train (there is no {path.name})") from None
    except ValueError as error:
        raise RunFolderError(f"{path}: is damaged ({error})") from error
    if not isinstance(found, dict):
        raise RunFolderError(f"{path}: is damaged (it is no record)")
    return found
