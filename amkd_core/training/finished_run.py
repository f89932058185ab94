"""A finished run, read back from its folder: its cohort, its folds, and what each fold's models say of a patient."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import read_bag
from amkd_core.cohort.cohort import PATHS, Cohort, read_cohort, read_cohort_file
from amkd_core.errors import RunFolderError
from amkd_core.file_names import bag_of_slide
from amkd_core.training.data_record import DATA, FOLDS, require_same_tables
from amkd_core.training.fold_record import FoldResult, finished_fold, out_of_fold
from amkd_core.training.folder_owner import CELLS, RUN
from amkd_core.training.foreign_bags import bag_assumptions
from amkd_core.training.scored import Scored, scored_models
from amkd_core.training.slides_of_run import bags_of

_FOLDERS = ("slides", "bags")


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

    def bag(self, slide_id: str) -> FeatureBag:
        """Bag of a slide, read as the run read it.

        Raises
        ------
        BagError
            As `amkd_core.bag_file.read_bag`.
        """
        return read_bag(bag_of_slide(self.bags, slide_id), assume=bag_assumptions(self.cohort.file))

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
        The cohort's TOML file, of which only the paths are taken: endpoint, columns and all other settings are those
        that the run was trained with. By default the tables are looked for where they lay when the run began.

    Raises
    ------
    RunFolderError
        When it is no run, a record is damaged, a fold is not finished, or the tables are not those of the run.
    CohortError, ConfigError
        When the cohort's tables cannot be read.
    """
    if (folder / CELLS).is_dir():
        raise RunFolderError(f"{folder}: holds a comparison of models, expected a run of amkd-train")
    record, parts = _record(folder / RUN), _record(folder / FOLDS).get("folds", ())
    numbers = range(1, len(parts) + 1)
    found = [finished_fold(folder, number) for number in numbers]
    folds = tuple(fold for fold in found if fold is not None)
    if not folds or len(folds) < len(found):
        missing = next((number for number, fold in zip(numbers, found, strict=True) if fold is None), 1)
        raise RunFolderError(
            f"{folder}: fold {missing} of {max(len(found), 1)} is not finished; repeat amkd-train to go on"
        )
    read = _cohort(folder, record, cohort)
    patients = {name for split in parts for names in split.values() for name in names}
    require_same_tables(_record(folder / DATA), read, patients, folder)
    return FinishedRun(folder, read, folds)


def _cohort(folder: Path, record: Mapping[str, Any], path: Path | None) -> Cohort:
    if path is None and not record.get("cohort_paths"):
        raise RunFolderError(f"{folder / RUN}: does not tell where the cohort's tables lie; give --cohort")
    if path is None:
        places = {name: (folder / place).resolve() for name, place in record["cohort_paths"].items()}
    else:
        places = _places(folder, record, path)
    return replace(read_cohort(None, {**record["cohort"], **places}, trained_on=True), path=path)


def _places(folder: Path, record: Mapping[str, Any], path: Path) -> dict[str, Path]:
    """Where a cohort file says that tables and folders lie; all else that it says is the run's to say.

    The run may have been trained with flags that came before the file's keys. A table that it went without is not read
    now either: it stands among the paths of no run, and earlier releases named it as None among the settings.
    """
    file = read_cohort_file(path)
    known = record.get("cohort_paths") or [name for name in PATHS if name not in record["cohort"]]
    used = [name for name in PATHS if name in _FOLDERS or name in known]
    for name, what in (("probe_map", "genes"), ("slide_table", "slides")):
        if name in used and getattr(file, name) is None:
            raise RunFolderError(
                f"{path.name}: [cohort] names no {name}, by which the run in {folder} read its {what}; name it"
            )
    return {name: getattr(file, name) for name in used if getattr(file, name) is not None}


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
