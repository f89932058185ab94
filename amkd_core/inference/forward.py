"""One forward pass without gradients, for student and teacher alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from amkd_core.device_memory import is_out_of_memory
from amkd_core.errors import ConfigError
from amkd_core.models import ModelInput, ModelOutput, SurvivalModel

Array = NDArray[np.float64]
Result = TypeVar("Result")


def check_device(name: str) -> torch.device:
    """Device of that name, once it is known to work.

    Raises
    ------
    ConfigError
        When torch knows no such device, or this machine has none.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # builds without CUDA assert
        # What torch adds to its first sentence may be a screen of its internals.
        cause = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
        raise ConfigError(
            f"device {name!r} cannot be used ({cause}); `amkd doctor` says what this machine has, cpu always works"
        ) from error
    return device


def run_model(
    model: SurvivalModel, inputs: ModelInput, device: str, *, want_maps: bool = False
) -> ModelOutput:
    """Move a model and its input to a device, and predict."""
    with torch.inference_mode():
        return model.to(device)(inputs.to(device), want_maps=want_maps)


def or_on_processor(compute: Callable[[str], Result], device: str) -> tuple[Result, bool]:
    """Result of a computation on a device, or on the processor where the device's memory does not hold it.

    Parameters
    ----------
    compute
        Takes the device's name; called again with ``cpu`` when it runs out of memory.

    Returns
    -------
    result, bool
        Whether the processor stood in. The caller has to say so: nothing moves to the processor in silence.
    """
    try:
        return compute(device), False
    except RuntimeError as error:
        if torch.device(device).type == "cpu" or not is_out_of_memory(error):
            raise
    # Only here has the error let go of the tensors that it came across.
    torch.cuda.empty_cache()
    return compute("cpu"), True


def normalised(weights: Array) -> Array:
    """Weights as shares that sum to 1; the means of several models do so but for rounding."""
    shares: Array = weights / weights.sum()
    return shares
