"""Networks of foundation encoders, built without weights and filled with exactly the right ones."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amkd_core.errors import EncoderError, MissingExtraError
from amkd_core.slides.encoders.registry import EncoderCard


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


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of weights on the CPU, without running any code that it may hold.

    Raises
    ------
    EncoderError
        If it is damaged, holds code, or is no plain table of tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EncoderError(
            f"{path} is no readable file of weights ({reason}); fetch it again, as safetensors where there is one."
        ) from error
    if isinstance(state, Mapping) and set(state) == {"state_dict"}:
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise EncoderError(
            f"{path} is no plain table of weights by name; export the state dict and nothing else."
        )
    return dict(state)


def fill(network: nn.Module, state: Mapping[str, Tensor], card: EncoderCard, path: Path) -> None:
    """Put weights into a network; every name and shape must match.

    Raises
    ------
    EncoderError
        Naming the first weight that is missing, unknown or of another shape.
    """
    used = {
        name: value.float() if value.is_floating_point() else value
        for name, value in state.items()
        if not name.startswith(card.unused_weights)
    }
    expected = network.state_dict()
    missing, unknown = sorted(expected.keys() - used.keys()), sorted(used.keys() - expected.keys())
    if missing or unknown:
        parts = [
            f"{len(names)} {what} (first {names[0]!r})"
            for what, names in (("missing", missing), ("unknown", unknown))
            if names
        ]
        raise EncoderError(f"{path} does not hold the weights of {card.name!r}: {' and '.join(parts)}.")
    for name, value in used.items():
        if value.shape != expected[name].shape:
            raise EncoderError(
                f"{path} does not hold the weights of {card.name!r}: {name!r} should be "
                f"{tuple(expected[name].shape)}, found {tuple(value.shape)}."
            )
    network.load_state_dict(used, strict=True, assign=True)


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
