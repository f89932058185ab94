"""A map and a slide's colours lie in napari's world where they were planted, in every scanner geometry at hand.

The truth is what was painted and the micrometres that were written into the file, edges in level-0 pixels times those;
nothing of the product is asked for it. Pixel 0 is centred at 0 in napari, so that an edge lies half a pixel before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import openslide
import pytest
from napari.components import ViewerModel
from planted_slides import CORNERS, GEOMETRIES, Geometry
from planted_window import opened_with_map

from amkd_core.slides.pyramid import SlidePyramid
from amkd_viewer import layers, reader

IN_PATCH = (0.06, 0.5, 0.94)
"""Where in a corner's patch its colour is looked at, along either axis."""
OFF_COLOUR = 12
"""Most that a colour may differ after JPEG and shrinking: nothing else on the slide is as close to it."""
MARKED = 90
"""The mark's two patches of twenty are alone above this percentile."""


@pytest.fixture
def model() -> Iterator[ViewerModel]:
    """What a window shows, without the window: napari's own layers, slices and transforms."""
    viewer = ViewerModel()
    with viewer._layer_slicer.force_sync():
        yield viewer
        viewer.layers.clear()


def test_there_are_eight_geometries_some_with_bounds() -> None:
    assert len(GEOMETRIES) >= 8
    assert sum(min(geometry.bounds) > 0 for geometry in GEOMETRIES.values()) >= 3


@pytest.mark.parametrize("name", GEOMETRIES)
def test_map_and_corners_lie_where_they_were_planted(planted, model, name: str) -> None:
    geometry, path, prediction = planted(name)
    if geometry.bounds != (0, 0):
        with closing(openslide.OpenSlide(path)) as file:
            stated = [int(file.properties[f"openslide.bounds-{axis}"]) for axis in "xy"]
        assert stated == list(geometry.bounds)
    layer, heat, _ = opened_with_map(model, geometry, path, prediction)
    assert overlap_with_mark(heat, geometry) >= 0.99
    assert colours_off(layer, geometry) <= OFF_COLOUR


def overlap_with_mark(heat: Any, geometry: Geometry) -> float:
    """Area in common of the mark and the map's highest cells, each where napari lays it, over the area of both."""
    truth = np.array(geometry.mark_level0).reshape(2, 2)  # left and top, right and bottom
    truth = (truth - 0.5) * geometry.mpp
    common = cells = 0.0
    for cell in np.argwhere(heat.data > MARKED):
        sides = [heat.data_to_world(cell + end)[::-1] for end in (-0.5, 0.5)]
        low, high = np.sort(sides, axis=0)
        common += np.prod(np.clip(np.minimum(high, truth[1]) - np.maximum(low, truth[0]), 0, None))
        cells += np.prod(high - low)
    return float(common / (cells + np.prod(truth[1] - truth[0]) - common))


def colours_off(layer: Any, geometry: Geometry) -> float:
    """Largest difference of a corner from its colour, on each level that napari may draw, at nine places of each."""
    return max(
        float(np.abs(seen_at(layer, place) - colour).max())
        for _ in each_level(layer)
        for corner, colour in CORNERS.items()
        for place in places_in(corner, geometry)
    )


def each_level(layer: Any) -> Iterator[int]:
    """Levels of a slide's layer, each drawn whole."""
    for level, data in enumerate(layer.data):
        layer.corner_pixels = np.array([(0, 0), np.array(data.shape[:2]) - 1])
        layer._data_level = level
        layer.set_view_slice()
        assert layer._slice.image.raw.shape == data.shape  # it is this level that is looked at
        yield level


def places_in(corner: tuple[int, int], geometry: Geometry) -> Iterator[tuple[float, float]]:
    """Places of a corner's patch in napari's world, (y, x) in micrometres."""
    for inside in np.ndindex(len(IN_PATCH), len(IN_PATCH)):
        shares = np.array(corner) + [IN_PATCH[place] for place in inside]
        x, y = (shares * geometry.patch + geometry.bounds - 0.5) * geometry.mpp
        yield y, x


def seen_at(layer: Any, place: tuple[float, float]) -> np.ndarray:
    """Colour that napari reads of a layer at a place in its world; black outside."""
    _, value = layer.get_value(place, world=True)
    return np.zeros(3) if value is None else np.asarray(value, dtype=float)


# Mistakes that must be seen: of maps, and of slides

Change = Callable[[Any, Geometry], Any]


def at_corner(corner: Callable[[np.ndarray, Any, Geometry], Any]) -> Change:
    """The map with its corner elsewhere; told level-0 (x, y), the map and the geometry."""
    return lambda heat, geometry: replace(
        heat, origin_level0=tuple(corner(np.array(heat.origin_level0), heat, geometry))
    )


MAP_MISTAKES: dict[str, tuple[str, Change]] = {
    "turned": ("20x", lambda heat, geometry: replace(heat, image=heat.image.T)),
    "corner's x and y": ("bounds", at_corner(lambda xy, heat, geometry: xy[::-1])),
    "cell's width and height": (
        "non-square", lambda heat, geometry: replace(heat, cell_level0=heat.cell_level0[::-1])
    ),
    "bounds left out": ("bounds", at_corner(lambda xy, heat, geometry: xy - geometry.bounds)),
    "bounds of MIRAX left out": ("MIRAX", at_corner(lambda xy, heat, geometry: xy - geometry.bounds)),
    "bounds twice": ("bounds, levels 1, 2.9", at_corner(lambda xy, heat, geometry: xy + geometry.bounds)),
    "a patch aside": ("40x", at_corner(lambda xy, heat, geometry: xy + np.array((heat.cell_level0[0], 0)))),
    "corner in pixels of level 1": ("bounds", at_corner(lambda xy, heat, geometry: xy / 4)),
    "cells in pixels of level 1": (
        "40x", lambda heat, geometry: replace(heat, cell_level0=tuple(np.array(heat.cell_level0) / 4))
    ),
    "patch of 20x": ("0.23 um", lambda heat, geometry: replace(heat, cell_level0=(256.0, 256.0))),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MAP_MISTAKES)
def test_a_map_out_of_its_place_is_seen(planted, model, monkeypatch, mistake: str) -> None:
    name, change = MAP_MISTAKES[mistake]
    geometry, path, prediction = planted(name)
    right = layers.heatmap_layer
    monkeypatch.setattr(layers, "heatmap_layer", lambda heat, **given: right(change(heat, geometry), **given))
    _, heat, _ = opened_with_map(model, geometry, path, prediction)
    assert overlap_with_mark(heat, geometry) < 0.99


@pytest.mark.parametrize(
    ("name", "wrong"), [("non-square", lambda x, y: (y, x)), ("0.23 um", lambda x, y: (x - 0.003, y - 0.003))]
)
def test_a_wrong_scale_is_seen(planted, model, monkeypatch, name: str, wrong) -> None:
    """Micrometres of the two axes mixed up, and rounded to two digits where there are three."""
    geometry, path, prediction = planted(name)
    for place in (layers, reader):
        right = place.pixel_geometry
        monkeypatch.setattr(place, "pixel_geometry", lambda mpp, right=right: right(wrong(*mpp)))
    layer, _, _ = opened_with_map(model, geometry, path, prediction)
    assert colours_off(layer, geometry) > OFF_COLOUR


SLIDE_MISTAKES: dict[str, tuple[str, Callable[[tuple[int, int], int, Geometry], Any]]] = {
    "x and y": ("20x", lambda xy, factor, geometry: xy[::-1]),
    "bounds left out": ("bounds", lambda xy, factor, geometry: np.array(xy) + np.array(geometry.bounds) // factor),
    "level's pixels taken for level 0": ("40x", lambda xy, factor, geometry: np.array(xy) // factor),
    "level 0's pixels taken for the level's": ("40x", lambda xy, factor, geometry: np.array(xy) * factor),
}  # fmt: skip
"""Where a rectangle is read instead: told its (x, y) on its level, how much smaller that is, and the geometry."""


@pytest.mark.parametrize("mistake", SLIDE_MISTAKES)
def test_a_slide_out_of_its_place_is_seen(planted, model, monkeypatch, mistake: str) -> None:
    name, elsewhere = SLIDE_MISTAKES[mistake]
    geometry, path, prediction = planted(name)
    right = SlidePyramid._stored_tile

    def wrong(self: SlidePyramid, stored: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Any:
        factor = round(self._slide.info.levels[stored].downsample[0])
        x, y = (int(side) for side in elsewhere(xy_px, factor, geometry))
        pixels, whole = right(self, stored, (x, y), size_px)
        return pixels, whole

    monkeypatch.setattr(SlidePyramid, "_stored_tile", wrong)
    monkeypatch.setattr(SlidePyramid, "_read_block", lambda self, index, block: None)  # tile by tile
    layer, _, _ = opened_with_map(model, geometry, path, prediction)
    assert colours_off(layer, geometry) > OFF_COLOUR
