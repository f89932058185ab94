"""What we note on layers of ours: which are slides, which belong to one and as what, and at what scale; no Qt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from amkd_viewer.reader import SLIDE_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from amkd_core.slides import SlideInfo

COPY = "copy"
"""Role of what the user made of a layer of ours in napari, such as labels of a map: it lies on its slide and is hidden
with it, and nothing of ours is drawn into it."""
DRAWN_ROLES = ("map", "boxes", "mark")
"""Of layers that show a result."""


def role_of(layer: Layer) -> str:
    """Role of a layer of ours ("slide", "map", "boxes", "mark", "region", "copy"); empty for all others."""
    role = str(entry_of(layer).get("role", ""))
    return role if not role or _is_fit_for(role, layer) else COPY


def _is_fit_for(role: str, layer: Layer) -> bool:
    """Whether a layer is of the kind that layers of a role are: napari copies our notes into what it makes of them."""
    from napari.layers import Image, Shapes

    if role == "slide":
        return isinstance(layer, Image) and bool(layer.multiscale and layer.rgb)
    if role == "map":
        return isinstance(layer, Image) and not (layer.multiscale or layer.rgb)
    return isinstance(layer, Shapes)


def fingerprint_of(layer: Layer) -> str:
    """Fingerprint of the slide that a layer shows or belongs to; empty for layers that are not ours."""
    return str(entry_of(layer).get("fingerprint", ""))


def entry_of(layer: Layer) -> dict[str, Any]:
    """What we note on a layer of ours, by itself; empty for all others.

    napari hands the very same notes to a duplicate; it gets its own as soon as it is asked for them.
    """
    entry = layer.metadata.get(SLIDE_KEY)
    if not isinstance(entry, dict):
        return {}
    owner = entry.setdefault("layer", layer.unique_id)
    if owner != layer.unique_id:
        own = {name: value for name, value in entry.items() if name not in ("away", "wanted")}
        entry = layer.metadata[SLIDE_KEY] = {**own, "layer": layer.unique_id, "copied": True}
    return entry


def info_of(layer: Layer) -> SlideInfo:
    """Facts about the slide that a slide layer shows."""
    info: SlideInfo = entry_of(layer)["info"]
    return info


def mpp_of(layer: Layer) -> tuple[float, float] | None:
    """Return (x, y) micrometres per level-0 pixel of a slide layer, from the file or the user; None where unknown."""
    given = entry_of(layer).get("mpp")
    if given is not None:
        return (float(given[0]), float(given[1]))
    microns = info_of(layer).microns
    return None if microns is None else (microns.x, microns.y)


def given_mpp(layer: Layer) -> tuple[float, float] | None:
    """Return what the user gave for a slide layer, here or when he opened it; None where the file's own value holds."""
    microns = info_of(layer).microns
    own = microns is not None and microns.source != "user"
    return None if own else mpp_of(layer)


def slides_in(layers: Iterable[Layer]) -> list[Layer]:
    """Slide layers, bottom first."""
    return [layer for layer in layers if role_of(layer) == "slide"]


def slide_of(fingerprint: str, layers: Iterable[Layer]) -> Layer | None:
    """Find the slide layer with this content, or None."""
    return next((layer for layer in slides_in(layers) if fingerprint_of(layer) == fingerprint), None)


def overlays_of(fingerprint: str, layers: Iterable[Layer]) -> list[Layer]:
    """Maps and boxes of one slide, and what the user made of them."""
    return [layer for layer in layers if fingerprint_of(layer) == fingerprint and role_of(layer) != "slide"]


def in_role(role: str, fingerprint: str, layers: Iterable[Layer]) -> list[Layer]:
    """Overlays of one slide in a role: those that we drew, and then the user's duplicates of them."""
    found = [one for one in overlays_of(fingerprint, layers) if role_of(one) == role]
    return sorted(found, key=lambda one: bool(entry_of(one).get("copied")))


def is_away(layer: Layer) -> bool:
    """Whether a layer shows what no result stands for any more, and is hidden for that."""
    return bool(entry_of(layer).get("away"))


def overlay(viewer: ViewerModel, layer: Layer, role: str) -> Layer | None:
    """The layer of a role that belongs to a slide layer, or None; what is put away is none."""
    found = in_role(role, fingerprint_of(layer), viewer.layers)
    return next((one for one in found if not is_away(one)), None)
