"""Networks of foundation encoders, built without weights and filled with exactly the right ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amkd_core.bag_apart import read_apart
from amkd_core.errors import EncoderError, MissingExtraError
from amkd_core.slides.encoders.registry import EncoderCard
from amkd_core.weights_stored import unreadable

Shapes = Mapping[str, tuple[int, ...]]


def build_network(card: EncoderCard) -> nn.Module:
    """Build the timm network of a card without weights: its tensors take no memory until filled."""
    try:
        import timm
        from timm.layers import SwiGLUPacked
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise _broken_timm(error) from error
        raise MissingExtraError(
            f"Encoder {card.name!r} needs timm; install it with: pip install 'amkd-viewer[encoders]'."
        ) from error
    except (ImportError, RuntimeError) as error:
        raise _broken_timm(error) from error
    classes = {"SwiGLUPacked": SwiGLUPacked, "SiLU": nn.SiLU}
    arguments = {
        key: classes.get(value, value) if isinstance(value, str) else value
        for key, value in card.arguments.items()
    }
    with torch.device("meta"):
        network: nn.Module = timm.create_model(card.architecture, pretrained=False, **arguments)
    return network


def read_weights(
    path: Path, choose: Callable[[Shapes], Collection[str]] = lambda shapes: shapes
) -> dict[str, Tensor]:
    """Read a file of weights on the CPU, without running any code that it may hold.

    What torch wrote is read in a process of its own, as feature files are.

    Parameters
    ----------
    choose
        Given the shape of every tensor of the file, the names of those to read; it may raise, and none is then read.

    Raises
    ------
    EncoderError
        If it is damaged, holds code, or is no plain table of tensors.
    """
    if path.suffix == ".safetensors":
        return _from_safetensors(path, choose)
    header, arrays = read_apart(
        "weights",
        path,
        EncoderError,
        lambda header: choose({name: tuple(shape) for name, (_, shape) in header["weights"].items()}),
    )
    return {name: _tensor(values, *header["weights"][name]) for name, values in arrays.items()}


def _tensor(values: NDArray[np.uint8], dtype: str, shape: list[int]) -> Tensor:
    kind = getattr(torch, dtype)
    return (
        torch.from_numpy(values).view(kind).reshape(shape) if values.size else torch.empty(shape, dtype=kind)
    )


def _from_safetensors(path: Path, choose: Callable[[Shapes], Collection[str]]) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
            return {name: file.get_tensor(name) for name in choose(shapes)}
    except SafetensorError as error:
        raise unreadable(path, "is damaged, or no safetensors file") from error
    except OSError as error:
        raise unreadable(path, f"cannot be opened ({error.strerror or type(error).__name__})") from error


def fill(network: nn.Module, path: Path, card: EncoderCard) -> None:
    """Put the weights of a file into a network; every name and shape must match, which is known before any is read.

    Raises
    ------
    EncoderError
        Naming the first weight that is missing, unknown or of another shape.
    """
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    state = read_weights(path, partial(_fitting, expected=expected, card=card, path=path))
    used = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    network.load_state_dict(used, strict=True, assign=True)


def _fitting(found: Shapes, *, expected: Shapes, card: EncoderCard, path: Path) -> Collection[str]:
    """Names of the weights of a file that go into a network, where all of them fit."""
    used = {name: shape for name, shape in found.items() if not name.startswith(card.unused_weights)}
    missing, unknown = sorted(expected.keys() - used.keys()), sorted(used.keys() - expected.keys())
    if missing or unknown:
        parts = [
            f"{len(names)} {what} (first {names[0]!r})"
            for what, names in (("missing", missing), ("unknown", unknown))
            if names
        ]
        raise EncoderError(f"{path} does not hold the weights of {card.name!r}: {' and '.join(parts)}.")
    for name, shape in used.items():
        if shape != expected[name]:
            raise EncoderError(
                f"{path} does not hold the weights of {card.name!r}: {name!r} should be "
                f"{expected[name]}, found {shape}."
            )
    return used


class _ImageTower(nn.Module):
    """CONCH's image tower, giving the embedding before its projection into the space shared with text."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        embed: Callable[..., Tensor] = self.visual.forward_no_head  # type: ignore[assignment]
        return embed(images, normalize=False)


def build_conch(card: EncoderCard) -> nn.Module:
    """Build CONCH's image tower by its authors' package, without weights."""
    try:
        from conch.open_clip_custom.coca_model import CoCa
        from conch.open_clip_custom.factory import CFG_DIR
    except ImportError as error:
        raise MissingExtraError(
            "Encoder 'conch' needs its authors' package; install it with: "
            "pip install git+https://github.com/mahmoodlab/CONCH."
        ) from error
    config = json.loads((Path(CFG_DIR) / "conch_ViT-B-16.json").read_text(encoding="utf-8"))
    config.pop("custom_text", None)
    return _ImageTower(CoCa(**config).visual)


def _broken_timm(error: Exception) -> EncoderError:
    return EncoderError(
        f"timm cannot be imported ({str(error).splitlines()[0]}); most often torch and torchvision come from "
        "different builds, so install both from the same index."
    )
