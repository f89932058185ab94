"""Weights of encoders as torch writes them (``.pt``, ``.pth``, ``.bin``): a file's tensors, and their bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import EncoderError
from amkd_core.torch_file import check_archive, check_strides, is_plain, load_plain

if TYPE_CHECKING:
    from torch import Tensor

Described = dict[str, tuple[str, list[int]]]
"""Type, as torch names it, and shape of every tensor."""

_SAFE_WAY = "fetch it again, or where you trust who made it, convert it to safetensors yourself"


def unreadable(path: Path, reason: str) -> EncoderError:
    """The error of a file that is no weights; it never proposes to run what the file holds."""
    return EncoderError(f"{path} is no readable file of weights: it {reason}; {_SAFE_WAY}.")


def read_table(path: Path) -> tuple[Described, dict[str, Callable[[], NDArray[np.uint8]]]]:
    """Types and shapes of a file's tensors, and for each what gives its bytes; no number is read before that is called.

    Raises
    ------
    EncoderError
        If it is damaged, holds code, is no plain table of tensors, or tensors that are larger than their numbers.
    """
    refuse = partial(unreadable, path)
    archive = zipfile.is_zipfile(path)
    if archive:
        check_archive(path, lambda reason: refuse(f"is damaged, or no file of torch's ({reason})"))
    state = load_plain(
        path, lambda _: refuse("is damaged or holds more than tensors, and was not run"), mapped=archive
    )
    return _table(state, path)


def _table(state: Any, path: Path) -> tuple[Described, dict[str, Callable[[], NDArray[np.uint8]]]]:
    import torch

    if isinstance(state, Mapping) and set(state) == {"state_dict"}:
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) and is_plain(value)
        for name, value in state.items()
    ):
        raise EncoderError(
            f"{path} is no plain table of weights by name; export the state dict and nothing else."
        )
    for name, value in state.items():
        check_strides(
            value, lambda reason: EncoderError(f"{path} is no file of weights: {reason}."), name=name
        )
    described = {
        name: (str(value.dtype).removeprefix("torch."), list(value.shape)) for name, value in state.items()
    }
    return described, {name: partial(_bytes_of, value.detach()) for name, value in state.items()}


def _bytes_of(tensor: Tensor) -> NDArray[np.uint8]:
    import torch

    found: NDArray[np.uint8] = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return found
