"""`amkd benchmark`: every model on the same folds, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.bag import FeatureBag
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.folds import make_folds
from amkd_core.cohort.pathways import cover
from amkd_core.cohort.splits import Split
from amkd_core.errors import ModalityError, RunFolderError
from amkd_core.models import READS_SLIDES
from amkd_core.progress import Progress
from amkd_core.studies.ablation import repeated_rows
from amkd_core.studies.cells import gathered, run_cells, tasks_of
from amkd_core.survival.outcome import TimeBins
from amkd_core.training.cell import EXTERNAL
from amkd_core.training.config import TrainingConfig
from amkd_core.training.data_record import BAGS_SHA256, DATA, check_folds, data_record, keep_data
from amkd_core.training.external_genes import ReadableGenes, readable_genes, with_gaps
from amkd_core.training.folder_owner import BENCHMARK, CELLS
from amkd_core.training.foreign_bags import warned_of_foreign_bags
from amkd_core.training.inputs import read_bags, without_slides
from amkd_core.training.packed_cache import pack_cohort, share_bags
from amkd_core.training.recipes import Recipe
from amkd_core.training.run_folder import (
    keep_record,
    kept_record,
    note_versions,
    run_folder,
    settings_of,
    versions_mixed,
)
from amkd_core.training.scored import Scored, scored_models
from amkd_core.training.slides_of_run import bags_of, extract_missing, with_slides
from amkd_core.training.strangers import (
    check_external_bags,
    check_external_expression,
    check_external_patients,
)
from amkd_core.training.time_bins import require_time_bins

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a finished comparison rests on.

    Attributes
    ----------
    cohort, splits
        One split a fold; the cohort's warnings are those of reading it and what its bags told.
    recipes
        In the order of the tables.
    predictions : DataFrame
        Of all parts, columns as `fold_record.prediction_columns`; "external" among the parts where there is such a
        cohort.
    scored : mapping of Scored
        Out-of-fold predictions by model.
    external
        The other cohort, without the patients that have no slide where models read slides; its findings name them.
    external_genes
        Whom of it models that predict from genes could score.
    same_as
        Rows that have the settings of another one, which alone was trained, and its name.
    """

    cohort: Cohort
    splits: tuple[Split, ...]
    recipes: tuple[Recipe, ...]
    predictions: pd.DataFrame
    scored: Mapping[str, Scored]
    external: Cohort | None
    external_genes: ReadableGenes | None = None
    same_as: Mapping[str, str] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of what was trained, in the order of the tables."""
        names = (name for recipe in self.recipes for name in recipe.predicts)
        return tuple(name for name in names if name not in self.same_as)


def compare(
    cohort: Cohort,
    recipes: Sequence[Recipe],
    config: TrainingConfig,
    out: Path,
    *,
    external: Cohort | None = None,
    jobs: int = 1,
    command: str = BENCHMARK,
    write: Callable[[Comparison], object] | None = None,
) -> Generator[Progress, None, Comparison]:
    """Train every recipe on every fold; a repeated call goes on, and keeps what is finished.

    Parameters
    ----------
    cohort
        As read. It needs slides or bags unless all models read genes alone.
    recipes
        Rows; those that have the settings of another one are not trained again.
    out
        Folder of the comparison.
    external
        Cohort that every model of every fold scores as well.
    jobs
        Processes at a time.
    command
        Whose folder it is; another command's is refused.
    write
        Called with what was found while the folder is still held, so that no other run's tables come between.

    Raises
    ------
    ModalityError
        When a model reads slides and the cohort has none.
    RunFolderError
        When the folder holds another comparison or the results of another command, or was begun without slides and a
        model reads them.
    CohortError, BundleMismatchError
        Before anything is trained, when the external cohort shares patients or slides with the cohort, or its
        bags were made with another encoder, patch size or scale.
    AmkdError
        One sentence on cohort, settings or folder.
    """
    reads_slides = _read_slides(cohort, recipes)
    require_time_bins(with_slides(cohort, out) if reads_slides else cohort, config)
    with run_folder(out, config, cohort, command):
        reads_slides = _as_begun(out, reads_slides)
        cohort = with_slides(cohort, out) if reads_slides else cohort
        splits = make_folds(cohort, n_folds=config.folds, seed=config.seed)
        check_folds(out, splits)
        bags = yield from _bags(cohort, out, config, jobs) if reads_slides else _no_bags(cohort)
        if reads_slides:
            cohort = warned_of_foreign_bags(cohort, bags, bags_of(cohort, out))
        key = data_record(cohort, bags if reads_slides else None)
        keep_data(out, key, splits)
        bags = share_bags(out, cohort, bags, key=key, dtype=config.cache_dtype)
        genes = None
        if external is not None:
            trained = bags if reads_slides else None
            external, genes = yield from _pack_external(external, cohort, out, config, trained)
        same_as = repeated_rows(recipes, config)
        distinct = [recipe for recipe in recipes if recipe.name not in same_as]
        if tasks_of(out, distinct, len(splits), jobs):
            note_versions(out)
        if mixed := versions_mixed(out):
            cohort = replace(cohort, warnings=(*cohort.warnings, mixed))
        yield from run_cells(out, distinct, len(splits), jobs=jobs, threads=config.threads or 1)
        predictions = gathered(out, distinct, len(splits))
        scored = scored_models(cohort, splits, predictions, _bins(out, len(splits)))
        found = Comparison(cohort, splits, tuple(recipes), predictions, scored, external, genes, same_as)
        if write is not None:
            write(found)
    return found


def _read_slides(cohort: Cohort, recipes: Sequence[Recipe]) -> bool:
    needing = [recipe.name for recipe in recipes if READS_SLIDES.get(recipe.model, True)]
    if needing and cohort.file.slides is None and cohort.file.bags is None:
        raise ModalityError(
            f"{', '.join(needing)} {'reads' if len(needing) == 1 else 'read'} slides, but cohort {cohort.file.name} "
            "names neither slides nor bags; name them, or compare models that read genes alone (snn, mlp, smlp)"
        )
    return bool(needing)


def _as_begun(out: Path, needs_slides: bool) -> bool:
    """Whether a folder's models see slides: one begun with them keeps its patients, also for models of genes alone.

    Raises
    ------
    RunFolderError
        When it was begun without slides and they are needed: its folds may hold patients who have none.
    """
    path = out / DATA
    found = kept_record(path) if path.exists() else {}
    if BAGS_SHA256 not in found:  # a new folder, or of a release whose record is refused later
        return needs_slides
    if needs_slides and found[BAGS_SHA256] is None:
        raise RunFolderError(
            f"{out}: was begun without slides, for models that read genes alone; choose another folder to add models "
            "that read slides"
        )
    return found[BAGS_SHA256] is not None


def _bags(
    cohort: Cohort, out: Path, config: TrainingConfig, jobs: int
) -> Generator[Progress, None, dict[str, FeatureBag]]:
    yield from extract_missing(cohort, out, jobs=jobs, weights=None, device=config.device)
    yield Progress("Reading bags")
    return read_bags(cohort, bags_of(cohort, out))


def _no_bags(cohort: Cohort) -> Generator[Progress, None, dict[str, FeatureBag]]:
    yield Progress("Reading genes")
    return without_slides(cohort)


def _pack_external(
    external: Cohort,
    cohort: Cohort,
    out: Path,
    config: TrainingConfig,
    trained: Mapping[str, FeatureBag] | None,
) -> Generator[Progress, None, tuple[Cohort, ReadableGenes]]:
    """Write the external cohort's cache after it was held against the cohort, whose bags are None without slides.

    Gives the external cohort as it is scored back, and whose genes models read.
    """
    check_external_expression(external, cohort)
    place = out / "external-slides"
    if trained is not None:
        external = with_slides(external, place)
    check_external_patients(external, cohort, have_slides=trained is not None)
    if trained is None:
        bags = without_slides(external)
    else:
        bags = yield from _bags(external, place, config, 1)
        check_external_bags(bags, cohort, trained)
        external = warned_of_foreign_bags(external, bags, bags_of(external, place))
    wanted = cover(cohort.pathways, cohort.expression.genes, min_coverage=config.min_coverage).genes
    genes = readable_genes(external, wanted)
    key = {
        "cohort": settings_of(external),
        **data_record(external, None if trained is None else bags),
        # Earlier releases scored nobody by genes where a patient or a gene was missing.
        "scored_by_genes": f"{len(genes.patients)} patients, {len(genes.missing)} genes missing",
    }
    keep_record(out / "external.json", {EXTERNAL: key})
    # A cache keeps the genes that pathways name, and here those of the models' pathways are wanted.
    packed = replace(with_gaps(external), pathways=cohort.pathways)
    pack_cohort(out / EXTERNAL, packed, bags, key=key, dtype=config.cache_dtype)
    return external, genes


def _bins(out: Path, n_folds: int) -> dict[int, TimeBins]:
    import json

    found = {}
    for fold in range(1, n_folds + 1):
        edges = json.loads((out / CELLS / f"bins-{fold}.json").read_text(encoding="utf-8"))
        found[fold] = TimeBins.from_list([edge for edge in edges if edge is not None])
    return found
