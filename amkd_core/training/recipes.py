"""How each model of a comparison is trained: the same folds, bags, bins, loop and budget for all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from amkd_core.errors import ConfigError
from amkd_core.models import MODELS, SurvivalModel
from amkd_core.models.pomp import PompStyle
from amkd_core.progress import Progress
from amkd_core.training.config import TrainingConfig, merge_overrides, validated
from amkd_core.training.fit import Objective, Stage, fit
from amkd_core.training.fold_record import fold_lock
from amkd_core.training.inputs import Inputs
from amkd_core.training.objectives import pretraining_objective, survival_loss_of, survival_objective_of
from amkd_core.training.stages import (
    attach_targets,
    fresh_model,
    train_student,
    train_teacher,
)

AMKD, AMKD_TEACHER = "amkd", "amkd_teacher"
UNDISTILLED = "undistilled"
# Large models would otherwise spend more time on writing their weights than on training.
CHECKPOINT_AFTER_S = 30.0


@dataclass(frozen=True)
class Recipe:
    """One row of a table.

    Attributes
    ----------
    name
        Of the row, and of its folder.
    model
        Key of `amkd_core.models.MODELS`, or "amkd" for a distilled student, or "undistilled".
    overrides
        Settings that differ from the run's, such as ``distill.alpha=0.5``.
    teacher
        Of a student: the model that teaches it.
    """

    name: str
    model: str
    overrides: tuple[str, ...] = ()
    teacher: str = AMKD_TEACHER

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", tuple(self.overrides))
        known = (AMKD, UNDISTILLED, *(name for name in MODELS if not name.startswith("amkd")))
        if self.model not in known:
            raise ConfigError(f"there is no model {self.model!r} to compare; known are {', '.join(known)}")

    @property
    def predicts(self) -> tuple[str, ...]:
        """Names of what it predicts with: AMKD proper shows its teacher as well."""
        return (AMKD, AMKD_TEACHER) if self.name == AMKD else (self.name,)

    @property
    def slug(self) -> str:
        """Name as a folder's."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)


@dataclass(frozen=True)
class About:
    """What a table says of a model.

    Attributes
    ----------
    title
        As the paper prints it.
    modality
        Group of the paper's table 2.
    """

    title: str
    modality: str


WSI, OMICS, BOTH, MISSING = "WSI", "Omics", "Multi-modal", "Missing modality"
TITLES: Mapping[str, About] = MappingProxyType(
    {
        "abmil": About("ABMIL", WSI),
        "transmil": About("TransMIL", WSI),
        "dsmil": About("DSMIL", WSI),
        "snn": About("SNN", OMICS),
        "mlp": About("MLP", OMICS),
        "smlp": About("SMLP", OMICS),
        "abmil_cat": About("ABMIL (Cat)", BOTH),
        "transmil_cat": About("TransMIL (Cat)", BOTH),
        "dsmil_cat": About("DSMIL (Cat)", BOTH),
        "mcat": About("MCAT", BOTH),
        "survpath": About("SurvPath", BOTH),
        "pomp_style": About("POMP-style", BOTH),
        "ghanet": About("G-HANet", MISSING),
        AMKD: About("AMKD", MISSING),
        AMKD_TEACHER: About("AMKD teacher", BOTH),
    }
)
"""In the order of the paper's table 2; the teacher, which the paper does not list, comes last."""

COMPARED: tuple[str, ...] = tuple(name for name in TITLES if name != AMKD_TEACHER)


def recipes_of(names: Sequence[str]) -> tuple[Recipe, ...]:
    """Recipes of models by name.

    Raises
    ------
    ConfigError
        When a name is unknown.
    """
    return tuple(Recipe(name, name) for name in dict.fromkeys(names))


def train_recipe(
    recipe: Recipe, inputs: Inputs, config: TrainingConfig, folder: Path
) -> Generator[Progress, None, dict[str, SurvivalModel]]:
    """Train what a row needs.

    A comparison model has the student's budget. What has two stages (AMKD; the POMP-style model's pre-training and
    fine-tuning) has the budget of each stage. Teachers are shared by all rows of a fold that ask for the same one.

    Parameters
    ----------
    folder
        Of the fold; checkpoints go below it.

    Returns
    -------
    dict
        Models by the names of `Recipe.predicts`.
    """
    own = changed(config, recipe.overrides)
    place = folder / recipe.slug
    if recipe.model == UNDISTILLED:
        student = yield from train_student(inputs, own, place, distilled=False)
        return {recipe.name: student}
    if recipe.model == AMKD:
        return (yield from _train_amkd(recipe, inputs, own, folder))
    model = fresh_model(recipe.model, inputs, own, seed=own.seed)
    if isinstance(model, PompStyle):
        model.pretraining = True
        yield from _fit(model, inputs, own, _Part("pre-training", pretraining_objective, place, 0))
        model.pretraining = False
    yield from _fit(model, inputs, own, _Part("training", survival_objective_of(own), place, 1))
    return {recipe.name: model}


def changed(config: TrainingConfig, overrides: Sequence[str]) -> TrainingConfig:
    """Settings with overrides such as ``distill.alpha=0.5``.

    Raises
    ------
    ConfigError
        As `amkd_core.training.config.load_config`.
    """
    values: dict[str, Any] = config.model_dump(mode="json")
    merge_overrides(values, overrides)
    return validated(values)


@dataclass(frozen=True)
class _Part:
    """One pass through the training loop."""

    name: str
    objective: Objective
    folder: Path
    number: int


def _fit(
    model: SurvivalModel, inputs: Inputs, config: TrainingConfig, part: _Part
) -> Generator[Progress, None, None]:
    stage = Stage(
        f"{model.name} {part.name}",
        part.folder / part.name,
        config.seed + part.number,
        config.device,
        config.precision,
        checkpoint_after_s=CHECKPOINT_AFTER_S,
        validation_patients=1 if part.number else config.student.batch_patients,
        joint=survival_loss_of(config) if config.is_cox and part.number else None,
        deterministic=config.deterministic,
    )
    # Pre-training compares the patients of a step, in a loss of the model's own: they stay together.
    optim = config.student if part.number else config.teacher.model_copy(update={"bags_at_once": 0})
    yield from fit(model, inputs.train, inputs.validation, part.objective, config=optim, stage=stage)


def _train_amkd(
    recipe: Recipe, inputs: Inputs, config: TrainingConfig, folder: Path
) -> Generator[Progress, None, dict[str, SurvivalModel]]:
    shared = folder / f"teacher-{_key(recipe.teacher, config)}"
    with fold_lock(shared):
        teacher = yield from train_teacher(inputs, config, shared, kind=recipe.teacher)
        taught = yield from attach_targets(inputs, teacher, config, shared)
    student = yield from train_student(taught, config, folder / recipe.slug)
    found = {recipe.name: student}
    return {**found, AMKD_TEACHER: teacher} if recipe.name == AMKD else found


def _key(teacher: str, config: TrainingConfig) -> str:
    """Hash of everything that a teacher's weights depend on within a fold."""
    settings = config.model_dump(
        mode="json",
        include={"seed", "survival_loss", "n_bins", "min_coverage", "precision", "model", "teacher"},
    )
    settings |= {"kind": teacher, "inner_folds": config.distill.inner_folds}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
