"""Where the camera stands over a slide: magnification, field, flights and turns; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_viewer import placement, slide_layers

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

UM_AT_1X = 10.0
"""Micrometres per pixel that pathologists call 1x."""
PRESETS = (1, 5, 10, 20, 40)
_FLIGHT_FIELDS = 4.0
"""Sides of a patch that the canvas shows after a flight."""
_UNMOVED = 1e-9
"""Share of a slide's size that is no move but the rounding of earlier turns."""


def magnification(viewer: ViewerModel, layer: Layer) -> float | None:
    """Nominal magnification of the screen, 10 divided by the micrometres per screen pixel; None without scale."""
    if slide_layers.mpp_of(layer) is None:
        return None
    return float(UM_AT_1X * viewer.scene.camera.zoom)


def magnify(viewer: ViewerModel, magnification: float) -> None:
    """Zoom to a nominal magnification; the field's centre stays."""
    viewer.scene.camera.zoom = magnification / UM_AT_1X


def field_of(viewer: ViewerModel, layer: Layer) -> NDArray[np.float64]:
    """Corners of what the canvas shows, (4, 2) level-0 (x, y), clockwise from the canvas's upper left."""
    height, width = (float(side) for side in viewer.canvas.size)
    down, across = viewer.scene.camera.center[-2:]
    zoom = viewer.scene.camera.zoom
    half_down, half_across = height / zoom / 2, width / zoom / 2
    corners = [
        (down - half_down, across - half_across),
        (down - half_down, across + half_across),
        (down + half_down, across + half_across),
        (down + half_down, across - half_across),
    ]
    return np.array([pixel_of(layer, _swapped(viewer, corner)) for corner in corners])


def pixel_of(layer: Layer, world: Any) -> tuple[float, float]:
    """Level-0 (x, y) of a place in the viewer's world; the slide's upper left corner is (0, 0)."""
    row, column = layer.world_to_data(np.asarray(world, dtype=float)[-2:])[:2]
    return float(column) + 0.5, float(row) + 0.5


def move_to(viewer: ViewerModel, layer: Layer, xy_level0: tuple[float, float]) -> None:
    """Centre the canvas on a level-0 place of a slide."""
    x, y = xy_level0
    viewer.scene.camera.center = (0.0, *_swapped(viewer, _world(layer, (y - 0.5, x - 0.5))))


def fly_to(
    viewer: ViewerModel, layer: Layer, xy_level0: tuple[int, int], size_level0: tuple[int, int]
) -> None:
    """Centre the canvas on a patch, near enough to read its cells."""
    slide_layers.show_flat(viewer)
    (x, y), (width, height) = xy_level0, size_level0
    move_to(viewer, layer, (x + width / 2, y + height / 2))
    side_world = max(width * layer.scale[-1], height * layer.scale[-2])
    viewer.scene.camera.zoom = min(viewer.canvas.size) / (_FLIGHT_FIELDS * side_world)


def turn(viewer: ViewerModel, layer: Layer, degrees: float) -> None:
    """Turn a slide about its centre, with everything that lies on it; 0 is as scanned.

    A map and its slide are placed alike, so they stay aligned at any angle. Where the user has moved the slide to, it
    stays; a region that was moved turns from where it is.
    """
    shape, (x, y) = layer.data[0].shape, placement.mpp_or_pixels(layer)
    middle = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    centre = np.array(middle) * (y, x)
    moved = np.array(_world(layer, middle)) - centre
    moved[np.abs(moved) < _UNMOVED * np.max(centre)] = 0.0
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.eye(3)
    affine[:2, :2], affine[:2, 2] = rotation, centre - rotation @ centre + moved
    placement.set_place(layer, placement.home_of(layer, affine))
    placement.note_place(layer)
    placement.follow(layer, viewer.layers)


def angle_of(layer: Layer) -> float:
    """Degrees by which a slide is turned, in (-180, 180]."""
    turned = placement.placement_of(layer)
    return float(np.rad2deg(np.arctan2(turned[1, 0], turned[0, 0])))


def _swapped(viewer: ViewerModel, place: tuple[float, float]) -> tuple[float, float]:
    """A place in the world as one on the canvas, (down, across), and back: napari's transpose button swaps the axes."""
    first, second = place
    vertical, horizontal = viewer.dims.displayed[-2:]
    return (second, first) if vertical > horizontal else (first, second)


def _world(layer: Layer, row_column: tuple[float, float]) -> tuple[float, float]:
    y, x = layer.data_to_world(np.asarray(row_column, dtype=float))[-2:]
    return float(y), float(x)
