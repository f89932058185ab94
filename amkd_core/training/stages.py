"""The two stages: a teacher on slides and genes, then a student that imitates it from slides alone."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amkd_core.errors import ConfigError
from amkd_core.models import READS_SLIDES, ModelOutput, SurvivalModel, build_model
from amkd_core.progress import Progress
from amkd_core.survival.hazard import nll_loss
from amkd_core.training.config import TrainingConfig
from amkd_core.training.distillation import DistillationObjective, TeacherTargets
from amkd_core.training.fit import Objective, Stage, Terms, batch_input, fit
from amkd_core.training.inputs import Example, Inputs, with_targets


def survival_losses(output: ModelOutput, examples: Sequence[Example]) -> Tensor:
    """Discrete-time likelihood loss of each patient, shape (batch,) (METHOD section 2)."""
    device = output.logits.device
    bins = torch.tensor([example.bin_index for example in examples], device=device)
    events = torch.tensor([example.event for example in examples], device=device)
    return nll_loss(output.logits, bins, events, reduction="none")


def survival_objective(output: ModelOutput, examples: Sequence[Example]) -> Terms:
    """Objective of the teacher, and of models without a teacher.

    Streams that a model trains side by side count alike, and a loss that it brings along is added; what is monitored is
    the loss of its prediction alone, whatever the model.
    """
    loss = survival_losses(output, examples).mean()
    total = loss
    if output.stream_logits:
        streams = [
            survival_losses(replace(output, logits=logits), examples) for logits in output.stream_logits
        ]
        total = torch.stack(streams).mean()
    terms = {"total": total, "survival": loss}
    if output.auxiliary_loss is not None:
        terms |= {"total": total + output.auxiliary_loss, "auxiliary": output.auxiliary_loss}
    return terms


def pretraining_objective(output: ModelOutput, examples: Sequence[Example]) -> Terms:
    """Objective of a stage before survival: the loss that the model brings along, monitored as well.

    Raises
    ------
    ConfigError
        When the model brings none.
    """
    if output.auxiliary_loss is None:
        raise ConfigError("the model has no loss of its own to be pre-trained on")
    return {"total": output.auxiliary_loss, "survival": output.auxiliary_loss}


def distillation_objective(config: TrainingConfig) -> Objective:
    """Objective of the student; each patient's `targets` must be there."""
    settings = config.distill
    distillation = DistillationObjective(
        alpha=settings.alpha,
        guidance_weight=settings.guidance_weight,
        distillation_weight=settings.distillation_weight,
        tau_features=settings.tau_features,
        tau_logits=settings.tau_logits,
        form=settings.arr,
        direction=settings.guidance_direction,
    )

    def objective(output: ModelOutput, examples: Sequence[Example]) -> Terms:
        targets = _batched([example.targets for example in examples if example.targets], output.logits.device)
        terms = distillation(output, targets, survival_losses(output, examples))
        return {
            "total": terms.total,
            "survival": terms.survival,
            "guidance": terms.gene_enhancement,
            "distillation": terms.distillation,
            "redundancy": terms.redundancy,
        }

    return objective


def fresh_model(kind: str, inputs: Inputs, config: TrainingConfig, *, seed: int) -> SurvivalModel:
    """Model with fresh weights, the training patients' feature scaling and their hazards to start from.

    AMKD's own networks, and the POMP-style model, whose width is ours to choose, take it from the settings; every other
    model has the sizes of its publication.
    """
    sizes: dict[str, Any] = {"n_bins": config.n_bins}
    if READS_SLIDES[kind]:
        sizes["d_encoder"] = inputs.encoder.dimension
    if kind in ("amkd_teacher", "amkd_student", "pomp_style"):
        sizes |= {"dim": config.model.dim, "dropout": config.model.dropout}
    if kind == "amkd_teacher":
        sizes["pooling"] = config.model.pooling
    model = build_model(kind, sizes, membership=inputs.fitted.membership.matrix, seed=seed)
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
    stage = Stage(name, folder / name, config.seed, config.device, config.precision)
    yield from fit(
        model, inputs.train, inputs.validation, survival_objective, config=config.teacher, stage=stage
    )
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
    objective = distillation_objective(config) if distilled else survival_objective
    stage = Stage(name, folder / name, config.seed + 1, config.device, config.precision)
    yield from fit(model, inputs.train, inputs.validation, objective, config=config.student, stage=stage)
    return model


def attach_targets(
    inputs: Inputs, teacher: SurvivalModel, config: TrainingConfig, folder: Path
) -> Generator[Progress, None, Inputs]:
    """What the frozen teacher says of every training and validation patient.

    Losses (which enter the ratio of the redundancy term) and logits of training patients come from teachers that had
    not seen them where the settings say so (METHOD section 5); validation patients are unseen anyway. Features of
    patches are always those of the one teacher: those of different teachers have no axis in common.
    """
    targets = {
        example.patient_id: targets_of(teacher, example, config.device)
        for example in (*inputs.train, *inputs.validation)
    }
    settings = config.distill
    if "out_of_fold" in (settings.teacher_loss, settings.teacher_logits):
        unseen = yield from _out_of_fold(inputs, config, folder, teacher.name)
        for name, other in unseen.items():
            loss = other if settings.teacher_loss == "out_of_fold" else targets[name]
            logits = other if settings.teacher_logits == "out_of_fold" else targets[name]
            targets[name] = replace(targets[name], logits=logits.logits, survival_loss=loss.survival_loss)
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
            targets = targets_of(teacher, example, config.device)
            unseen[example.patient_id] = replace(targets, guided=targets.guided[:0])
    return unseen


def targets_of(teacher: SurvivalModel, example: Example, device: str) -> TeacherTargets:
    """What a teacher in eval mode says of one patient, on the CPU and free of gradients."""
    with torch.no_grad():
        output = teacher.eval()(batch_input([example], device))
        targets = TeacherTargets.from_output(output, survival_losses(output, [example]))
    return TeacherTargets(targets.logits.cpu(), targets.guided.cpu(), targets.survival_loss.cpu())


def _batched(targets: Sequence[TeacherTargets], device: torch.device) -> TeacherTargets:
    return TeacherTargets(
        torch.cat([item.logits for item in targets]).to(device),
        torch.cat([item.guided for item in targets]).to(device),
        torch.cat([item.survival_loss for item in targets]).to(device),
    )
