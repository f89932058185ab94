"""One cell of a comparison: a recipe on a fold. What it predicts is all that it leaves, and that makes it finished.

An external cohort's patients have a table of their own, so that a cell which was trained before there was such a cohort
is known to owe it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.cohort.splits import Split
from amkd_core.progress import Progress
from amkd_core.training.config import TrainingConfig
from amkd_core.training.crossval import PARTS, config_of_fold
from amkd_core.training.external_genes import external_examples
from amkd_core.training.fold_predictions import RiskScale, predict_models
from amkd_core.training.fold_record import (
    fold_folder,
    fold_lock,
    open_edges,
    read_predictions,
    write_json,
    write_table,
)
from amkd_core.training.folder_owner import CELLS
from amkd_core.training.inputs import Example, Inputs, make_inputs
from amkd_core.training.packed_cache import CACHE, INDEX, read_packed
from amkd_core.training.recipes import Recipe, train_recipe

if TYPE_CHECKING:
    import pandas as pd

    from amkd_core.models import SurvivalModel

EXTERNAL = "external"


def cell_path(run: Path, recipe: Recipe, fold: int) -> Path:
    """Table of a finished cell."""
    return run / CELLS / recipe.slug / f"fold-{fold}.csv"


def external_path(run: Path, recipe: Recipe, fold: int) -> Path:
    """Table of what a finished cell says of an external cohort; without rows where the model cannot score it."""
    return run / CELLS / recipe.slug / f"external-{fold}.csv"


def is_finished(run: Path, recipe: Recipe, fold: int) -> bool:
    """Whether a cell has nothing left to do: of an external cohort in the folder it has spoken too.

    Each table is written at once, so that it is whole when it is there, and the external one last.
    """
    owes = (run / EXTERNAL / INDEX).exists() and not external_path(run, recipe, fold).exists()
    return cell_path(run, recipe, fold).exists() and not owes


def finished_cell(run: Path, recipe: Recipe, fold: int) -> pd.DataFrame | None:
    """What a cell predicted, an external cohort's patients last; None when it is not finished."""
    if not is_finished(run, recipe, fold):
        return None
    paths = (cell_path(run, recipe, fold), external_path(run, recipe, fold))
    return _joined([read_predictions(path) for path in paths if path.exists()])


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of those that have rows; the first where none has."""
    import pandas as pd

    full = [table for table in tables if not table.empty]
    return pd.concat(full, ignore_index=True) if full else tables[0]


def run_cell(run: Path, recipe: Recipe, fold: int) -> Generator[Progress, None, None]:
    """Train a recipe on a fold of a comparison's folder, which holds settings, folds and bags.

    A cell that was finished before an external cohort came to the folder is trained again, for weights are not kept.

    Parameters
    ----------
    run
        With ``run.json``, ``folds.json``, the cache of the bags, and that of an external cohort if there is one.
    fold
        Counted from 1.
    """
    config = TrainingConfig.model_validate(
        json.loads((run / "run.json").read_text(encoding="utf-8"))["config"]
    )
    parts = json.loads((run / "folds.json").read_text(encoding="utf-8"))["folds"][fold - 1]
    split = Split(**{name: tuple(names) for name, names in parts.items()})
    with fold_lock(cell_path(run, recipe, fold).parent / f"fold-{fold}"):
        if is_finished(run, recipe, fold):
            return
        cohort, bags = read_packed(run / CACHE)
        inputs = make_inputs(cohort, bags, split, config_of_fold(config, fold))
        work = fold_folder(run, fold)
        networks = yield from train_recipe(recipe, inputs, config_of_fold(config, fold), work)
        bins = inputs.fitted.time_bins
        predictions, scales = predict_models(
            cohort, _parts(inputs), networks, device=config.device, fold=fold, bins=bins
        )
        write_json(run / CELLS / f"bins-{fold}.json", open_edges(bins))
        external_path(run, recipe, fold).unlink(missing_ok=True)
        write_table(cell_path(run, recipe, fold), predictions)
        if (run / EXTERNAL / INDEX).exists():
            found = _predict_external(run, inputs, networks, config_of_fold(config, fold), (fold, scales))
            write_table(external_path(run, recipe, fold), found)
        shutil.rmtree(work / recipe.slug, ignore_errors=True)


def _predict_external(
    run: Path,
    inputs: Inputs,
    networks: Mapping[str, SurvivalModel],
    config: TrainingConfig,
    about: tuple[int, Mapping[str, RiskScale]],
) -> pd.DataFrame:
    """What a fold's models say of the external cohort: of everybody, or of those whose genes they predict from."""
    fold, scales = about
    cohort, bags = read_packed(run / EXTERNAL)
    everybody, readable = external_examples(cohort, bags, inputs)
    told = tuple(example for example in everybody if example.patient_id in readable)
    found = []
    for takes_genes, examples in ((False, everybody), (True, told)):
        able = {name: net for name, net in networks.items() if ("genes" in net.predicts_from) is takes_genes}
        table, _ = predict_models(
            cohort, {EXTERNAL: examples}, able if examples else {}, device=config.device, fold=fold,
            bins=inputs.fitted.time_bins, scales=scales,
        )  # fmt: skip
        found.append(table)
    return _joined(found)


def _parts(inputs: Inputs) -> dict[str, Sequence[Example]]:
    return {part: getattr(inputs, part) for part in PARTS}
