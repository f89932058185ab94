"""Regions that are drawn on a slide: which layer holds them, and where they lie on the slide's pixels; no Qt.

A slide has one layer of regions. A shape counts where it is seen: napari can move, scale and turn its layer apart from
the slide, so its corners go through the world to the slide's pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amkd_viewer.layers import LINES, outline_of
from amkd_viewer.reader import SLIDE_KEY
from amkd_viewer.slide_layers import fingerprint_of, overlay, overlays_of, role_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    Polygons = tuple[NDArray[np.float64], ...]

_DECIMALS = 6
"""Of a pixel; what the way through the world adds is less."""
_PROBE = 2.0**17
"""Pixels between the places by which a map of coordinates is measured: about as large as a slide."""


def region_on(viewer: ViewerModel, slide: Layer) -> Layer | None:
    """The layer of what is drawn on a slide; None where nothing ever was."""
    return overlay(viewer, slide, "region")


def polygons_on(viewer: ViewerModel, slide: Layer) -> Polygons:
    """Drawn regions as level-0 (x, y), counted from the slide's corner; lines enclose nothing and are left out."""
    layer = region_on(viewer, slide)
    if layer is None:
        return ()
    return tuple(outline[:, ::-1] + 0.5 for outline in _outlines(layer, slide))


def has_lines(viewer: ViewerModel, slide: Layer) -> bool:
    """Whether a line is among what is drawn on a slide."""
    layer = region_on(viewer, slide)
    return layer is not None and not LINES.isdisjoint(layer.shape_type)


def other_shapes(viewer: ViewerModel) -> list[Layer]:
    """Layers of the user's own whose shapes could be regions."""
    from napari.layers import Shapes

    return [layer for layer in viewer.layers if isinstance(layer, Shapes) and not role_of(layer)]


def n_enclosing(layer: Layer) -> int:
    """Number of a layer's shapes that enclose something."""
    return sum(kind not in LINES for kind in layer.shape_type)


def copy_shapes(source: Layer, slide: Layer, region: Layer) -> int:
    """Copy what a layer encloses into a slide's layer of regions, in its place on the screen; return how many.

    napari's files of shapes tell no place on the screen, only the pixels of the layer that was saved: shapes that lie
    as they were read from one are taken as the slide's pixels, where a saved region lay.
    """
    outlines = _enclosing(source) if _is_as_read(source) else _outlines(source, slide)
    matrix, offset = _between(slide, region)
    if outlines:
        region.add_polygons([outline @ matrix.T + offset for outline in outlines])
    return len(outlines)


def release_copy(viewer: ViewerModel, layer: Layer) -> bool:
    """Make a copy of a slide's layer of regions, as napari duplicates it, a layer of the user's own; True if it was."""
    if role_of(layer) != "region":
        return False
    found = overlays_of(fingerprint_of(layer), viewer.layers)
    if not any(role_of(one) == "region" and one is not layer for one in found):
        return False
    # The note itself is the other layer's as well; only this layer's hold of it goes.
    del layer.metadata[SLIDE_KEY]
    return True


def _outlines(layer: Layer, slide: Layer) -> list[NDArray[np.float64]]:
    """What a layer encloses, in (row, column) of the slide's level 0."""
    matrix, offset = _between(layer, slide)
    return [np.round(points @ matrix.T + offset, _DECIMALS) for points in _enclosing(layer)]


def _enclosing(layer: Layer) -> list[NDArray[np.float64]]:
    """What a layer encloses, in its own (row, column)."""
    shapes = zip(layer.data, layer.shape_type, strict=True)
    return [outline_of(shape, kind)[:, -2:] for shape, kind in shapes if kind not in LINES]


def _between(layer: Layer, other: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and offset from a layer's (row, column) to another's, through the world."""

    def seen(row: float, column: float) -> NDArray[np.float64]:
        world = np.asarray(layer.data_to_world((row, column)), dtype=float)[-2:]
        return np.asarray(other.world_to_data(world), dtype=float)[-2:]

    offset = seen(0, 0)
    return np.stack([seen(_PROBE, 0) - offset, seen(0, _PROBE) - offset], axis=1) / _PROBE, offset


def _is_as_read(layer: Layer) -> bool:
    """Whether a layer was read from a file of shapes and lies where napari put it."""
    if not str(layer.source.path or "").lower().endswith(".csv"):
        return False
    places = [layer.data_to_world(place)[-2:] for place in ((0, 0), (1, 0), (0, 1))]
    return np.array_equal(places, ((0, 0), (1, 0), (0, 1)))
