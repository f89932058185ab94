"""Gradients of an optimiser step over more patients than the memory holds graphs of, and exactly those."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from amkd_core.models import ModelOutput
from amkd_core.training.inputs import Example

Forward = Callable[[Sequence[Example]], ModelOutput]
Objective = Callable[[ModelOutput, Sequence[Example]], Mapping[str, Tensor]]


def backward(
    forward: Forward,
    objective: Objective,
    examples: Sequence[Example],
    *,
    at_once: int,
    joint: bool,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Add the gradients of one step, and give its loss by name, free of gradients.

    A loss that is a mean over patients is accumulated part by part. A loss that compares patients (the Cox loss, whose
    risk sets are the other patients of the step) needs all outputs before any gradient: each part runs without a graph
    first, and once more, with the same dropout, when the gradient of the loss reaches its outputs. Either way at most
    `at_once` patients' graphs exist at a time, and the gradient is that of the plain form.

    Parameters
    ----------
    forward
        Output for some patients, in training mode.
    objective
        Loss of patients by name; "total" is minimised.
    examples
        Patients of the step.
    at_once
        Patients per part.
    joint
        Whether the objective compares patients.
    device
        Of the model, whose dropout is to be repeated.
    """
    parts = [examples[start : start + at_once] for start in range(0, len(examples), at_once)]
    if len(parts) == 1:
        return _backward(objective(forward(examples), examples))
    if joint:
        # The library repeats the random numbers of the devices that it sees among the arguments.
        marker = torch.empty(0, device=device)
        outputs = [
            checkpoint(lambda part, _: forward(part), part, marker, use_reentrant=False) for part in parts
        ]
        return _backward(objective(joined(outputs), examples))
    sums: dict[str, Tensor] = {}
    for part in parts:
        share = len(part) / len(examples)
        terms = _backward({name: value * share for name, value in objective(forward(part), part).items()})
        sums = {name: sums[name] + value if sums else value for name, value in terms.items()}
    return sums


def joined(outputs: Sequence[ModelOutput]) -> ModelOutput:
    """What losses read, of several batches as of one; a loss that models bring along is averaged over patients."""
    first, n_patients = outputs[0], sum(len(output.lengths) for output in outputs)
    guided = [output.guided_patches for output in outputs if output.guided_patches is not None]
    told = [output.pathway_activities for output in outputs if output.pathway_activities is not None]
    brought = [
        output.auxiliary_loss * (len(output.lengths) / n_patients)
        for output in outputs
        if output.auxiliary_loss is not None
    ]
    return ModelOutput(
        torch.cat([output.logits for output in outputs]),
        tuple(length for output in outputs for length in output.lengths),
        guided_patches=torch.cat(guided) if guided else None,
        auxiliary_loss=torch.stack(brought).sum() if brought else None,
        stream_logits=tuple(
            torch.cat([output.stream_logits[index] for output in outputs])
            for index in range(len(first.stream_logits))
        ),
        pathway_activities=torch.cat(told) if told else None,
    )


def _backward(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    torch.autograd.backward(terms["total"])
    return {name: value.detach() for name, value in terms.items()}
