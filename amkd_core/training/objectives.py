"""What the stages minimise: the two survival losses, and what is added to them (METHOD sections 2 and 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from amkd_core.errors import ConfigError
from amkd_core.models import ModelOutput
from amkd_core.survival.hazard import cox_loss, nll_loss
from amkd_core.training.config import TrainingConfig
from amkd_core.training.distillation import DistillationObjective, PathwayTargets, TeacherTargets
from amkd_core.training.fit import MONITORED, Objective, SurvivalLoss, Terms
from amkd_core.training.inputs import Example


def likelihood_losses(logits: Tensor, examples: Sequence[Example]) -> Tensor:
    """Discrete-time likelihood loss of each patient, shape (batch,) (METHOD section 2)."""
    bins = torch.tensor([example.bin_index for example in examples], device=logits.device)
    events = torch.tensor([example.event for example in examples], device=logits.device)
    return nll_loss(logits, bins, events, reduction="none")


def partial_likelihood_loss(logits: Tensor, examples: Sequence[Example]) -> Tensor:
    """Cox loss of log risks, shape (batch, 1), whose patients are each other's risk sets; a scalar.

    Patients among whom nobody died have no partial likelihood, and a loss of 0.
    """
    months = torch.tensor([example.months for example in examples], dtype=torch.float32, device=logits.device)
    events = torch.tensor([example.event for example in examples], device=logits.device)
    if not bool(events.any()):
        return logits.sum() * 0
    return cox_loss(logits[:, 0], months, events)


def survival_loss_of(config: TrainingConfig) -> SurvivalLoss:
    """The survival loss that the settings name."""
    return partial_likelihood_loss if config.is_cox else likelihood_losses


def survival_objective(
    output: ModelOutput, examples: Sequence[Example], *, losses: SurvivalLoss = likelihood_losses
) -> Terms:
    """Objective of the teacher, and of models without a teacher.

    Streams that a model trains side by side count alike, and a loss that it brings along is added; what is monitored is
    the loss of its prediction alone, whatever the model.
    """
    loss = losses(output.logits, examples).mean()
    total = loss
    if output.stream_logits:
        total = torch.stack([losses(logits, examples).mean() for logits in output.stream_logits]).mean()
    terms = {"total": total, "survival": loss}
    if output.auxiliary_loss is not None:
        terms |= {"total": total + output.auxiliary_loss, "auxiliary": output.auxiliary_loss}
    return terms


def survival_objective_of(config: TrainingConfig) -> Objective:
    """`survival_objective` under the loss that the settings name."""
    return partial(survival_objective, losses=survival_loss_of(config))


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
    """Objective of the student; each patient's `targets` must be there.

    Under the Cox loss the imitated logit is the log risk, centred on the teacher's training patients: under
    proportional hazards ``sigmoid(eta)`` is the chance of dying before an average one of them, so that ``L_KD`` is one
    Bernoulli divergence a patient. The ratio of the redundancy term is that of the two losses over the same window.
    """
    settings = config.distill
    distillation = DistillationObjective(
        alpha=settings.alpha,
        guidance_weight=settings.guidance_weight,
        distillation_weight=settings.distillation_weight,
        tau_features=settings.tau_features,
        tau_logits=settings.tau_logits,
        form=settings.arr,
        direction=settings.guidance_direction,
        pathway_weight=settings.pathway_weight,
    )
    losses = survival_loss_of(config)

    def objective(output: ModelOutput, examples: Sequence[Example]) -> Terms:
        targets = _batched([example.targets for example in examples if example.targets], output.logits.device)
        if targets.loss_logits is not None:
            targets = replace(targets, survival_loss=losses(targets.loss_logits, examples))
        terms = distillation(output, targets, losses(output.logits, examples))
        found = {
            "total": terms.total,
            "survival": terms.survival,
            "guidance": terms.gene_enhancement,
            "distillation": terms.distillation,
            "redundancy": terms.redundancy,
        }
        if settings.pathway_weight:
            # Some fifty validation patients' survival chooses an epoch nearly by chance; their pathways steady it.
            monitored = terms.survival + settings.pathway_weight * terms.pathways
            found |= {"pathways": terms.pathways, MONITORED: monitored}
        return found

    return objective


def _batched(targets: Sequence[TeacherTargets], device: torch.device) -> TeacherTargets:
    loss_logits = [item.loss_logits for item in targets if item.loss_logits is not None]
    pathways = [item.pathways for item in targets if item.pathways is not None]
    batched = (torch.cat(rows).to(device) for rows in zip(*pathways, strict=True))
    return TeacherTargets(
        torch.cat([item.logits for item in targets]).to(device),
        torch.cat([item.guided for item in targets]).to(device),
        torch.cat([item.survival_loss for item in targets]).to(device),
        torch.cat(loss_logits).to(device) if loss_logits else None,
        PathwayTargets(*batched) if pathways else None,
    )
