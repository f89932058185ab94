"""Frozen patch encoders. Importing this imports neither torch nor timm, and never touches the network."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from amkd_core.slides.encoders.registry import ENCODERS, EncoderCard, PatchEncoder, card_of, stated_identity
from amkd_core.slides.encoders.weights import check_weights, find_weights, weight_places

if TYPE_CHECKING:
    from amkd_core.slides.encoders.encode import encode_slide
    from amkd_core.slides.encoders.loading import load_encoder

_HOME = {"load_encoder": "loading", "encode_slide": "encode"}

__all__ = ["ENCODERS", "EncoderCard", "PatchEncoder", "card_of", "check_weights", "encode_slide"]
__all__ += ["find_weights", "load_encoder", "stated_identity", "weight_places"]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
