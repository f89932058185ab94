"""Passes of patients through a model, and what happens where a GPU's memory does not hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from amkd_core.device_memory import is_out_of_memory
from amkd_core.errors import DeviceMemoryError
from amkd_core.models import ModelInput, ModelOutput, SurvivalModel
from amkd_core.training.inputs import Example

Result = TypeVar("Result")


def batch_input(examples: Sequence[Example], device: str) -> ModelInput:
    """Batch of some patients on a device; patches that are kept as halves are widened there."""
    genes = torch.stack([example.genes for example in examples])
    return ModelInput.from_bags([example.patches for example in examples], genes).to(device, torch.float32)


def whole_output(model: SurvivalModel, examples: Sequence[Example], device: str) -> ModelOutput:
    """What a model says of some patients from all their patches; to be called where no gradients are kept.

    Raises
    ------
    DeviceMemoryError
        When the device's memory does not hold them. Nothing is moved to the CPU unasked.
    """
    try:
        return model(batch_input(examples, device))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceMemoryError(
            f"the memory of {device} does not hold {_told(examples)}; close other programs that use it, "
            "or choose device cpu"
        ) from error


class FittingParts:
    """Halves the parts of an optimiser step that do not fit into a GPU's memory, and keeps to the size that did.

    A step over smaller parts has the same gradient (`accumulate.backward`); only dropout draws differ.

    Parameters
    ----------
    at_once
        Patients whose graphs are held at a time, to begin with.
    device
        Of the model.

    Attributes
    ----------
    remark : str
        What was done, for the user; empty as long as everything fitted.
    """

    def __init__(self, at_once: int, device: str) -> None:
        self.at_once = at_once
        self.remark = ""
        self._device = device
        self._on_gpu = torch.device(device).type == "cuda"

    def run(self, step: Callable[[Sequence[Example], int], Result], examples: Sequence[Example]) -> Result:
        """Result of a step over `examples`.

        Parameters
        ----------
        step
            Makes all gradients of some patients anew, so many at a time; called again with half as many at a time, and
            the same random numbers, when it runs out of memory.

        Raises
        ------
        DeviceMemoryError
            When the graph of one patient alone does not fit.
        """
        while True:
            at_once = min(self.at_once, len(examples))
            drawn = self._random_states()
            try:
                return step(examples, at_once)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(at_once, examples, error)
            torch.cuda.empty_cache()
            self._draw_again(drawn)

    def _shrink(self, at_once: int, examples: Sequence[Example], error: RuntimeError) -> None:
        if at_once == 1:
            raise DeviceMemoryError(
                f"the memory of {self._device} does not hold the gradients of {_told(examples)}, one patient at a "
                "time; lower patches_per_bag, close other programs that use it, or choose device cpu"
            ) from error
        self.at_once = at_once // 2
        self.remark = f"the memory of {self._device} was full: gradients of {self.at_once} patients at a time"

    def _random_states(self) -> list[Tensor]:
        gpu = [torch.cuda.get_rng_state(self._device)] if self._on_gpu else []
        return [torch.get_rng_state(), *gpu]

    def _draw_again(self, states: Sequence[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self._device)


def _told(examples: Sequence[Example]) -> str:
    most = max(examples, key=lambda example: len(example.patches))
    others = f" and {len(examples) - 1} other patients" if len(examples) > 1 else ""
    return f"{most.patient_id} with {len(most.patches):,} patches{others}"
