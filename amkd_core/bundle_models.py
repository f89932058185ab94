"""Networks of a bundle: weights as safetensors, and back into exactly the model that the card describes.

A card is a few hundred bytes that may ask for any size of network. Nothing larger than what the file brings weights for
is ever allocated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch.overrides import TorchFunctionMode

from amkd_core.bundle_card import ModelCard
from amkd_core.errors import BundleError, ConfigError
from amkd_core.models import SurvivalModel, build_model

# Buffers and the steps of an initialisation come on top of the weights themselves.
_ROOM = 8
_SMALL = 2**20


def weights_of(model: SurvivalModel) -> bytes:
    """Weights and buffers as safetensors."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return bytes(save_tensors(state))


def load_model(
    card: ModelCard, payload: bytes, *, membership: NDArray[np.bool_] | None, part: str
) -> SurvivalModel:
    """Build the model of a card and fill it with the weights of one part, in eval mode.

    Parameters
    ----------
    membership : bool array, shape (n_pathways, n_genes), optional
        For models that read genes.
    part
        Name of the part, for messages.

    Raises
    ------
    BundleError
        When the part is no safetensors, or names, shapes or kinds of tensors are not those of the card's model, or
        a weight is not finite.
    """
    try:
        state: dict[str, torch.Tensor] = load_tensors(payload)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BundleError(f"{part}: is no safetensors ({error})") from error
    held = sum(tensor.numel() for tensor in state.values()) + (0 if membership is None else membership.size)
    try:
        with _AllocationLimit(_ROOM * held + _SMALL, part):
            model = build_model(card.name, card.config, membership=membership)
    except (ConfigError, TypeError, RuntimeError, OverflowError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{part}: the card's settings make no {card.name} ({error})") from error
    _check_state(state, model.state_dict(), part)
    model.load_state_dict(state, strict=True)
    return model.eval()


class _AllocationLimit(TorchFunctionMode):
    """Refuses to make new tensors beyond a number of entries, before they are made."""

    def __init__(self, most: int, part: str) -> None:
        super().__init__()
        self._left = most
        self._part = part

    def __torch_function__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ):
        if func in _FACTORIES:
            self._left -= _entries(args, kwargs or {})
            if self._left < 0:
                raise BundleError(
                    f"{self._part}: the card asks for a larger network than the file holds weights of; it was not built"
                )
        return func(*args, **(kwargs or {}))


_FACTORIES = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye})


def _entries(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Entries of the tensor that a factory is asked for."""
    size = kwargs.get("size", args[0] if args and not isinstance(args[0], int) else args)
    return math.prod(int(side) for side in size)


def _check_state(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], part: str) -> None:
    for name in sorted(set(found) ^ set(expected)):
        state = "missing" if name in expected else "unknown"
        raise BundleError(f"{part}: tensor {name!r} is {state} to the model that the card describes")
    for name, tensor in sorted(found.items()):
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise BundleError(
                f"{part}: tensor {name!r} is {tensor.dtype} {tuple(tensor.shape)}, but the card describes a model with "
                f"{wanted.dtype} {tuple(wanted.shape)}"
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise BundleError(f"{part}: tensor {name!r} holds NaN or infinite weights")
