"""The only training loop: patients in batches, early stopping, a checkpoint after every epoch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from amkd_core.atomic import write_bytes, write_text
from amkd_core.errors import ConfigError, RunFolderError
from amkd_core.models import ModelOutput, SurvivalModel
from amkd_core.progress import Progress
from amkd_core.training.accumulate import backward
from amkd_core.training.config import OptimConfig
from amkd_core.training.inputs import Example
from amkd_core.training.optimisers import Adam
from amkd_core.training.passes import FittingParts, batch_input, whole_output
from amkd_core.training.repeatable import repeatable

Terms = Mapping[str, Tensor]
# Loss of a batch by name; "total" is what is minimised.
Objective = Callable[[ModelOutput, Sequence[Example]], Terms]
# Survival loss of a batch from its logits: one a patient, or one for the batch as a whole.
SurvivalLoss = Callable[[Tensor, Sequence[Example]], Tensor]

# Term of an objective that chooses the epoch in place of "survival"; of no account in training.
MONITORED = "monitored"
# Of a small bag fewer would leave nothing of what it shows.
FEWEST_DRAWN = 32


@dataclass(frozen=True)
class Stage:
    """What is trained and where its checkpoints lie.

    Attributes
    ----------
    name
        For progress and logs ("teacher").
    folder
        Of the checkpoint; an unfinished stage in it is continued, a finished one is only read.
    seed
        Of the order of patients, drawn patches and dropout; each epoch has a stream of its own, so that a
        continued run draws what an uninterrupted one would have drawn.
    device
        As torch names it.
    precision
        As `TrainingConfig.precision`.
    checkpoint_after_s
        Seconds from one checkpoint to the next at least; with 0 every epoch leaves one, and the last one always does.
    validation_patients
        Patients at a time in validation; more than one only where a loss compares patients.
    joint
        A survival loss that compares patients with each other (Cox). A step is then a window of `cox_window` patients,
        with deaths dealt out evenly among the windows, and all validation patients are one risk set.
    patch_share
        Share of each bag's patches that is drawn in each epoch, as `DistillConfig.patch_share`.
    deterministic
        As `TrainingConfig.deterministic`.
    """

    name: str
    folder: Path
    seed: int
    device: str = "cpu"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpoint_after_s: float = 0.0
    validation_patients: int = 1
    joint: SurvivalLoss | None = None
    patch_share: float = 1.0
    deterministic: bool = False

    def autocast(self) -> torch.autocast:
        """Mixed precision for forward passes; backward passes follow the types of the forward ones."""
        kind = torch.device(self.device).type
        halves = self.precision == "bfloat16" or (self.precision == "auto" and kind == "cuda")
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=halves)


@dataclass
class _State:
    """What a checkpoint holds beside the tensors."""

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)


def fit(
    model: SurvivalModel,
    train: Sequence[Example],
    validation: Sequence[Example],
    objective: Objective,
    *,
    config: OptimConfig,
    stage: Stage,
) -> Generator[Progress, None, list[dict[str, float]]]:
    """Train a model in place and leave it with the weights of its best validation epoch.

    The epoch is chosen by the objective's `MONITORED` term on the validation patients, all their patches, or by its
    "survival" term where it has none.

    Parameters
    ----------
    model
        With fresh weights; a checkpoint in the stage's folder overrides them.
    train, validation
        Patients.
    objective
        Loss of a batch by name.
    config
        Optimisation.
    stage
        Name, checkpoint folder, seed and device.

    Yields
    ------
    Progress
        After each epoch, with the losses by name.

    Returns
    -------
    list of dict
        Losses of each epoch.

    Raises
    ------
    ConfigError
        When no epoch had a finite validation loss: the fresh weights are no trained model.
    """
    model.to(stage.device)
    optimiser = Adam(model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True)
    best = _copied(model)
    state = _restore(stage.folder, model, optimiser, best)
    parts = _all_at_once(config, stage)
    saved_at = time.monotonic()
    while not state.finished:
        state.epoch += 1
        row = train_epoch(
            model, train, objective, optimiser, config=config, stage=stage, epoch=state.epoch, parts=parts
        )
        row["validation"] = _validate(model, validation, objective, stage)
        state.history.append({"epoch": float(state.epoch), **row})
        if math.isfinite(row["validation"]) and row["validation"] < state.best_loss:
            state.best_loss, state.best_epoch = row["validation"], state.epoch
            best = _copied(model)
        state.finished = state.epoch >= config.epochs or state.epoch - state.best_epoch >= config.patience
        if state.finished or time.monotonic() - saved_at >= stage.checkpoint_after_s:
            _save(stage.folder, model, optimiser, best, state)
            saved_at = time.monotonic()
        told = [f"{name} {value:.3f}" for name, value in row.items()]
        message = ", ".join([*told, parts.remark] if parts.remark else told)
        yield Progress(f"Training {stage.name}", state.epoch, config.epochs, message)
    if not state.best_epoch:
        raise ConfigError(
            f"{stage.folder}: none of the {state.epoch} epochs of stage {stage.name} had a finite validation loss (the "
            f"first was {state.history[0]['validation']:g}), so that it has no weights to keep; lower its "
            f"learning_rate, which is {config.learning_rate:g} (teacher.learning_rate or student.learning_rate)"
        )
    model.load_state_dict(best)
    model.eval()
    return state.history


def train_epoch(
    model: SurvivalModel,
    train: Sequence[Example],
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    *,
    config: OptimConfig,
    stage: Stage,
    epoch: int,
    parts: FittingParts | None = None,
) -> dict[str, float]:
    """One pass over the training patients; the mean of each term of the objective by name.

    Parameters
    ----------
    model, train, objective, config, stage
        As for `fit`.
    optimiser
        Of the model's parameters.
    epoch
        From 1; decides the order, the drawn patches and the dropout together with the stage's seed.
    parts
        How many patients' graphs the device holds, known from the epochs before; None begins with the settings'.
    """
    generator = torch.Generator().manual_seed(stage.seed * 100_003 + epoch)
    batches = _batches(train, config, stage, generator)
    parts = parts or _all_at_once(config, stage)

    def forward(examples: Sequence[Example]) -> ModelOutput:
        # Outside of mixed precision, which joins no bags that are kept in halves of the other kind.
        batch = batch_input(examples, stage.device)
        with stage.autocast():
            output = model(batch)
        return output.float()

    def gradients(examples: Sequence[Example], at_once: int) -> Terms:
        optimiser.zero_grad(set_to_none=True)
        joint = stage.joint is not None
        return backward(forward, objective, examples, at_once=at_once, joint=joint, device=stage.device)

    sums: dict[str, float] = {}
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stage.seed * 100_003 + epoch)  # dropout
        for batch in batches:
            examples = [
                _drawn(train[index], config.patches_per_bag, stage.patch_share, generator) for index in batch
            ]
            with repeatable(stage.deterministic, stage.device):
                terms = parts.run(gradients, examples)
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            for name, value in terms.items():
                if name != MONITORED:
                    sums[name] = sums.get(name, 0.0) + float(value) * len(batch) / len(train)
    return sums


def _all_at_once(config: OptimConfig, stage: Stage) -> FittingParts:
    return FittingParts(config.bags_at_once or config.batch_patients, stage.device)


def _batches(
    train: Sequence[Example], config: OptimConfig, stage: Stage, generator: torch.Generator
) -> list[list[int]]:
    """Patients of each optimiser step, by position."""
    order = torch.randperm(len(train), generator=generator).tolist()
    if stage.joint is None:
        step = config.batch_patients
        return [order[start : start + step] for start in range(0, len(order), step)]
    order.sort(key=lambda index: train[index].event)  # stable: in random order within
    n_windows = math.ceil(len(order) / config.cox_window)
    return [order[window::n_windows] for window in range(n_windows)]


def _drawn(example: Example, most: int, share: float, generator: torch.Generator) -> Example:
    """A patient with a share of the patches and at most so many, drawn anew in each epoch."""
    n_patches = len(example.patches)
    wanted = min(most, max(math.ceil(share * n_patches), FEWEST_DRAWN))
    if n_patches <= wanted:
        return example
    rows = torch.randperm(n_patches, generator=generator)[:wanted].sort().values
    return example.drawn(rows)


def _validate(
    model: SurvivalModel, validation: Sequence[Example], objective: Objective, stage: Stage
) -> float:
    model.eval()
    joint, logits, losses = stage.joint is not None, [], []
    step = 1 if joint else stage.validation_patients
    with torch.inference_mode():
        for start in range(0, len(validation), step):
            part = validation[start : start + step]
            output = whole_output(model, part, stage.device)
            terms = objective(output, part)
            loss = terms.get(MONITORED, terms["survival"])
            # A patient alone has no joint loss, only what is monitored beside it.
            losses += [float(loss - terms["survival"] if joint else loss)] * len(part)
            logits.append(output.logits)
        mean = sum(losses) / len(losses)
        return mean if stage.joint is None else mean + float(stage.joint(torch.cat(logits), validation))


def _copied(model: SurvivalModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _save(
    folder: Path,
    model: SurvivalModel,
    optimiser: torch.optim.Optimizer,
    best: Mapping[str, Tensor],
    state: _State,
) -> None:
    """One file holds all of a checkpoint, so that a kill leaves the last one whole.

    The table of losses comes first: a stage whose checkpoint says that it is finished writes nothing more.
    """
    names = list(dict.fromkeys(name for row in state.history for name in row))
    lines = [",".join(names)] + [",".join(f"{row.get(name, '')}" for name in names) for row in state.history]
    write_text(folder / "history.csv", "\n".join(lines) + "\n")
    tensors = {f"model.{name}": value.detach().cpu() for name, value in model.state_dict().items()}
    tensors |= {f"best.{name}": value.cpu() for name, value in best.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": torch.as_tensor(value).cpu() for name, value in moments.items()}
    tensors = {name: value.contiguous().clone() for name, value in tensors.items()}
    # As bytes: the library's own writer leaves a temporary file under a name of its own when it is killed.
    write_bytes(folder / "checkpoint.safetensors", save(tensors, metadata={"state": json.dumps(vars(state))}))


def _restore(
    folder: Path, model: SurvivalModel, optimiser: torch.optim.Optimizer, best: dict[str, Tensor]
) -> _State:
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return _State()
    try:
        with safe_open(path, framework="pt") as file:
            state = _State(**json.loads((file.metadata() or {})["state"]))
        tensors = load_file(path)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{path}: the checkpoint is damaged ({error}); remove {folder.name} to train this stage again"
        ) from error
    model.load_state_dict(_part(tensors, "model."))
    best.update(_part(tensors, "best."))
    moments: dict[int, dict[str, Any]] = {}
    for name, value in _part(tensors, "adam.").items():
        index, _, moment = name.partition(".")
        moments.setdefault(int(index), {})[moment] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    return state


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
