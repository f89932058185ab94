"""Where layers of ours lie in the world: a slide where it is put, and all that belongs to it on its pixels; no Qt.

A slide may be moved and turned. Its size stays: the world is in micrometres, as scale bar and magnification say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amkd_viewer.layer_facts import entry_of, fingerprint_of, mpp_of, role_of

if TYPE_CHECKING:
    from napari.layers import Layer

TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine")
"""What places a layer in napari's world, and the events of its changes."""
_SLACK = 1e-6
_setting = 0


class Place(NamedTuple):
    """Everything that places a layer, as napari's attributes of these names."""

    scale: NDArray[Any]
    translate: NDArray[Any]
    rotate: NDArray[Any]
    shear: NDArray[Any]
    affine: NDArray[Any]


def is_setting() -> bool:
    """Whether it is we who place a layer right now, and not the user."""
    return _setting > 0


@contextmanager
def setting() -> Iterator[None]:
    """Place layers in here, so that it is not taken for what the user does."""
    global _setting
    _setting += 1
    try:
        yield
    finally:
        _setting -= 1


def affine_of(layer: Layer) -> NDArray[Any]:
    """The affine transform that napari has of a layer, (3, 3)."""
    matrix: NDArray[Any] = layer.affine.affine_matrix[-3:, -3:]
    return matrix


def place_of(layer: Layer) -> Place:
    """Where a layer lies now."""
    return Place(layer.scale, layer.translate, layer.rotate, layer.shear, affine_of(layer))


def set_place(layer: Layer, place: Place) -> None:
    """Place a layer; only what is another value is set, as napari slices and draws anew at every setting."""
    with setting():
        for name, value in place._asdict().items():
            set_changed(layer, name, value)


def set_changed(layer: Layer, name: str, value: Any) -> None:
    """Set what is another value: napari slices and draws a layer anew at every setting."""
    now = affine_of(layer) if name == "affine" else getattr(layer, name)
    if not np.array_equal(np.asarray(now), np.asarray(value)):
        setattr(layer, name, value)


# Slides


def mpp_or_pixels(slide: Layer) -> tuple[float, float]:
    """Size of a slide's pixel in the world, (x, y): micrometres, or 1 where the slide does not tell its scale."""
    return mpp_of(slide) or (1.0, 1.0)


def placement_of(slide: Layer) -> NDArray[Any]:
    """How a slide is moved and turned, (3, 3): what was at a place of the world lies where this takes it."""
    place, home = place_of(slide), home_of(slide)
    if all(np.array_equal(now, own) for now, own in zip(place[:-1], home[:-1], strict=True)):
        return place.affine
    origin, down, across = (np.asarray(slide.data_to_world(at))[-2:] for at in ((0, 0), (1, 0), (0, 1)))
    x, y = mpp_or_pixels(slide)
    matrix = np.eye(3)
    matrix[:2, 0], matrix[:2, 1], matrix[:2, 2] = (down - origin) / y, (across - origin) / x, origin
    return matrix


def home_of(slide: Layer, placement: NDArray[Any] | None = None) -> Place:
    """Where a slide lies as it was scanned, or moved and turned from there; its size is right."""
    x, y = mpp_or_pixels(slide)
    turned = np.eye(3) if placement is None else placement
    return Place(np.array((y, x)), np.zeros(2), np.eye(2), np.zeros(1), turned)


def has_own_size(slide: Layer) -> bool:
    """Whether a slide is as large and as square as it was scanned."""
    linear = placement_of(slide)[:2, :2]
    return bool(np.allclose(linear @ linear.T, np.eye(2), atol=_SLACK))


def note_place(slide: Layer) -> None:
    """Note where a slide lies, for when it is stretched and goes back there."""
    entry_of(slide)["place"] = place_of(slide)


def noted_place(slide: Layer) -> Place:
    """Where a slide was last noted to lie; as it was scanned where it never was."""
    place: Place = entry_of(slide).get("place") or home_of(slide)
    return place


# What lies on them


def note_home(layer: Layer, scale: Any, translate: Any) -> None:
    """Note where what lies on a slide belongs while the slide lies as scanned; the slide's placement comes on top."""
    scale, translate = np.array(scale, dtype=float), np.array(translate, dtype=float)
    entry_of(layer)["home"] = Place(scale, translate, np.eye(2), np.zeros(1), np.eye(3))


def note_as_moved(layer: Layer, placement: NDArray[Any]) -> None:
    """Note that what lies on a slide belongs where it lies now, as a region does that the user moved."""
    place = place_of(layer)
    entry_of(layer)["home"] = place._replace(affine=np.linalg.inv(placement) @ place.affine)


def rescale_home(layer: Layer, factor: NDArray[Any]) -> None:
    """Note that what lies on a slide is larger by a factor, (y, x), as its slide is from now on."""
    home: Place = entry_of(layer).get("home") or place_of(layer)
    affine = home.affine.copy()
    affine[:2, 2] *= factor
    own = Place(home.scale * factor, home.translate * factor, home.rotate, home.shear, affine)
    entry_of(layer)["home"] = own


def place_on(layer: Layer, placement: NDArray[Any]) -> Place:
    """Where something belongs on a slide that is moved and turned like this."""
    home: Place | None = entry_of(layer).get("home")
    if home is None or layer.ndim != len(home.scale):
        # The user made it of a layer of ours: where it lay on the slide is his affair.
        return place_of(layer)._replace(affine=placement)
    return home._replace(affine=placement @ home.affine)


def put_on(layer: Layer, placement: NDArray[Any]) -> None:
    """Lay something on a slide that is moved and turned like this."""
    set_place(layer, place_on(layer, placement))


def is_on(layer: Layer, placement: NDArray[Any]) -> bool:
    """Whether something lies where it belongs on a slide that is moved and turned like this."""
    pairs = zip(place_of(layer), place_on(layer, placement), strict=True)
    return all(np.allclose(one, other, atol=_SLACK) for one, other in pairs)


def follow(slide: Layer, layers: Iterable[Layer]) -> None:
    """Lay all that belongs to a slide on it, and put other layers of the same slide where it is."""
    placement, fingerprint = placement_of(slide), fingerprint_of(slide)
    for layer in layers:
        if layer is slide or fingerprint_of(layer) != fingerprint:
            continue
        if role_of(layer) == "slide":
            set_place(layer, home_of(layer, placement))
            note_place(layer)
        else:
            put_on(layer, placement)
