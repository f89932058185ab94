"""The two stages: a teacher on slides and genes, then a student that imitates it from slides alone."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from amkd_core.errors import ConfigError
from amkd_core.models import READS_GROUPS, READS_SLIDES, SurvivalModel, build_model
from amkd_core.models.student import AmkdStudent
from amkd_core.progress import Progress
from amkd_core.training.config import TrainingConfig
from amkd_core.training.distillation import TeacherTargets
from amkd_core.training.fit import Stage, fit
from amkd_core.training.inputs import Example, Inputs, with_targets
from amkd_core.training.objectives import (
    distillation_objective,
    likelihood_losses,
    survival_loss_of,
    survival_objective_of,
)
from amkd_core.training.passes import whole_output
from amkd_core.training.pathway_guidance import pathway_targets


def fresh_model(kind: str, inputs: Inputs, config: TrainingConfig, *, seed: int) -> SurvivalModel:
    """Model with fresh weights, the training patients' feature scaling and their hazards to start from.

    AMKD's own networks, and the POMP-style model, whose width is ours to choose, take it from the settings; every other
    model has the sizes of its publication.
    """
    sizes: dict[str, Any] = {"n_bins": 1 if config.is_cox else config.n_bins}
    if READS_SLIDES[kind]:
        sizes["d_encoder"] = inputs.encoder.dimension
    if kind in ("amkd_teacher", "amkd_student", "pomp_style"):
        sizes |= {"dim": config.model.dim, "dropout": config.model.dropout}
    if kind == "amkd_teacher":
        sizes["pooling"] = config.model.pooling
    membership = inputs.fitted.membership.matrix
    if kind in READS_GROUPS and inputs.fitted.gene_groups is not None:
        membership = inputs.fitted.gene_groups
        sizes["n_groups"] = len(membership)
    model = build_model(kind, sizes, membership=membership, seed=seed)
    if READS_SLIDES[kind]:
        model.standardise_features(inputs.fitted.feature_mean, inputs.fitted.feature_scale)
    model.start_at(inputs.fitted.base_logits)
    return model


def train_teacher(
    inputs: Inputs, config: TrainingConfig, folder: Path, *, name: str = "teacher", kind: str = "amkd_teacher"
) -> Generator[Progress, None, SurvivalModel]:
    """First stage (METHOD section 3).

    Parameters
    ----------
    kind
        Model that teaches; another one than AMKD's own in ablations.

    Returns
    -------
    SurvivalModel
        With the weights of the best validation epoch, in eval mode.
    """
    model = fresh_model(kind, inputs, config, seed=config.seed)
    objective, stage = survival_objective_of(config), stage_of(config, name, folder / name, config.seed)
    yield from fit(model, inputs.train, inputs.validation, objective, config=config.teacher, stage=stage)
    if config.is_cox:
        centre(model, inputs.train, config.device)
    return model


def train_student(
    inputs: Inputs, config: TrainingConfig, folder: Path, *, name: str = "student", distilled: bool = True
) -> Generator[Progress, None, SurvivalModel]:
    """Second stage (METHOD sections 4 and 5); `inputs` carry the teacher's targets.

    Parameters
    ----------
    distilled
        False trains the same network on survival alone, for comparison.
    """
    model = fresh_model("amkd_student", inputs, config, seed=config.seed + 1)
    if not isinstance(model, AmkdStudent):
        raise TypeError(f"the student is a {type(model).__name__}")
    if distilled and config.distill.pathway_weight:
        model.add_pathway_head(len(inputs.fitted.membership.pathways))
    objective = distillation_objective(config) if distilled else survival_objective_of(config)
    stage = stage_of(config, name, folder / name, config.seed + 1)
    # Whether it imitates or not, so that the two differ in their losses alone, by which their epochs are chosen too.
    stage = replace(stage, patch_share=config.distill.patch_share)
    yield from fit(model, inputs.train, inputs.validation, objective, config=config.student, stage=stage)
    model.drop_pathway_head()
    if config.is_cox:
        centre(model, inputs.train, config.device)
    return model


def stage_of(config: TrainingConfig, name: str, folder: Path, seed: int) -> Stage:
    """A stage of survival training under the settings."""
    joint = survival_loss_of(config) if config.is_cox else None
    return Stage(
        name,
        folder,
        seed,
        config.device,
        config.precision,
        joint=joint,
        deterministic=config.deterministic,
    )


def centre(model: SurvivalModel, examples: Sequence[Example], device: str) -> None:
    """Shift log risks so that their mean over the training patients, all their patches, is 0.

    The Cox loss leaves their level open. Centred, those of several folds can be averaged, and a student can imitate
    its teacher's.
    """
    last = model.eval().head[-1]
    if not isinstance(last, nn.Linear):
        raise ConfigError(f"{model.name} cannot be centred: its head does not end in a linear layer")
    with torch.no_grad():
        outputs = [whole_output(model, [example], device) for example in examples]
        mean = torch.stack([output.logits.cpu().double().mean() for output in outputs]).mean()
        # The head is one of several streams whose mean is the log risk, or it is all of it.
        last.bias.sub_(float(mean) * max(1, len(outputs[0].stream_logits)))


def attach_targets(
    inputs: Inputs, teacher: SurvivalModel, config: TrainingConfig, folder: Path
) -> Generator[Progress, None, Inputs]:
    """What the frozen teacher says of every training and validation patient.

    Losses (which enter the ratio of the redundancy term) and logits of training patients come from teachers that had
    not seen them where the settings say so (METHOD section 5); validation patients are unseen anyway. Features of
    patches are always those of the one teacher: those of different teachers have no axis in common.
    """
    targets = {
        example.patient_id: targets_of(teacher, example, config.device, cox=config.is_cox)
        for example in (*inputs.train, *inputs.validation)
    }
    settings = config.distill
    if settings.pathway_weight:
        pathways = pathway_targets(inputs, targets)
        targets = {name: replace(item, pathways=pathways[name]) for name, item in targets.items()}
    if "out_of_fold" in (settings.teacher_loss, settings.teacher_logits):
        unseen = yield from _out_of_fold(inputs, config, folder, teacher.name)
        for name, other in unseen.items():
            loss = other if settings.teacher_loss == "out_of_fold" else targets[name]
            logits = other if settings.teacher_logits == "out_of_fold" else targets[name]
            targets[name] = replace(
                targets[name],
                logits=logits.logits,
                survival_loss=loss.survival_loss,
                loss_logits=loss.loss_logits,
            )
    if settings.guidance_features == "standardised":
        mean, scale = _feature_scale([targets[example.patient_id].guided for example in inputs.train])
        targets = {name: replace(item, guided=(item.guided - mean) / scale) for name, item in targets.items()}
    train, validation = (with_targets(part, targets) for part in (inputs.train, inputs.validation))
    return replace(inputs, train=train, validation=validation)


def _feature_scale(guided: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and scale of each feature over patches, each patient counting alike, shape (d,) each."""
    means = torch.stack([rows.mean(dim=0) for rows in guided])
    squares = torch.stack([rows.square().mean(dim=0) for rows in guided])
    mean = means.mean(dim=0)
    scale = (squares.mean(dim=0) - mean.square()).clamp(min=0).sqrt()
    return mean, torch.where(scale > 0, scale, torch.ones_like(scale))


def _out_of_fold(
    inputs: Inputs, config: TrainingConfig, folder: Path, kind: str
) -> Generator[Progress, None, dict[str, TeacherTargets]]:
    """What a teacher trained on the other inner folds says of each training patient; without features."""
    n_folds = config.distill.inner_folds
    order = np.random.default_rng(config.seed).permutation(len(inputs.train))
    # Dealt out by event, so that no inner fold is without deaths.
    order = order[np.argsort([inputs.train[index].event for index in order], kind="stable")]
    unseen: dict[str, TeacherTargets] = {}
    for fold in range(n_folds):
        held_out = set(order[fold::n_folds].tolist())
        rest = tuple(example for index, example in enumerate(inputs.train) if index not in held_out)
        part = replace(inputs, train=rest)
        name = f"inner teacher {fold + 1} of {n_folds}"
        teacher = yield from train_teacher(part, config, folder / "inner", name=name, kind=kind)
        for index in held_out:
            example = inputs.train[index]
            targets = targets_of(teacher, example, config.device, cox=config.is_cox)
            unseen[example.patient_id] = replace(targets, guided=targets.guided[:0])
    return unseen


def targets_of(teacher: SurvivalModel, example: Example, device: str, *, cox: bool = False) -> TeacherTargets:
    """What a teacher in eval mode says of one patient, on the CPU and free of gradients.

    Parameters
    ----------
    cox
        Whether its one logit is a log risk.
    """
    with torch.no_grad():
        output = whole_output(teacher.eval(), [example], device)
        losses = output.logits.new_zeros(1) if cox else likelihood_losses(output.logits, [example])
        targets = TeacherTargets.from_output(output, losses)
    logits = targets.logits.cpu()
    return TeacherTargets(logits, targets.guided.cpu(), targets.survival_loss.cpu(), logits if cox else None)
