"""Slides: opening, reading, tissue, patches, encoders. Nothing heavy is imported before it is used.

The public names below are looked up in their modules on first use, so that ``import amkd_core.slides``
loads neither OpenSlide nor torch, and a reader process starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amkd_core.slides.info import Bounds, Level, Microns, SlideInfo, slide_id_of
    from amkd_core.slides.pyramid import LazyLevel, SlidePyramid, slide_pyramid
    from amkd_core.slides.slide import Slide, is_slide, open_slide

_HOME = {
    "Bounds": "info",
    "Level": "info",
    "Microns": "info",
    "SlideInfo": "info",
    "slide_id_of": "info",
    "Slide": "slide",
    "is_slide": "slide",
    "open_slide": "slide",
    "LazyLevel": "pyramid",
    "SlidePyramid": "pyramid",
    "slide_pyramid": "pyramid",
    "TissueMask": "tissue",
    "find_tissue": "tissue",
    "PatchBatch": "patches",
    "PatchGrid": "patches",
    "PatchSpec": "patches",
    "lay_patches": "patches",
    "read_patches": "patches",
    "check_stain": "stain",
    "ENCODERS": "encoders",
    "EncoderCard": "encoders",
    "PatchEncoder": "encoders",
    "encode_slide": "encoders",
    "load_encoder": "encoders",
}

__all__ = ["Bounds", "LazyLevel", "Level", "Microns", "Slide", "SlideInfo", "SlidePyramid", "is_slide"]
__all__ += ["open_slide", "slide_id_of", "slide_pyramid"]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
