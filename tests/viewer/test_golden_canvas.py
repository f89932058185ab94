"""Pictures of napari's canvas, held against those on record: a slide, its map, its boxes, and two maps side by side.

``AMKD_NEW_PICTURES=1`` makes the files of ``golden_canvas/`` anew; look at them before they are committed. A picture
may differ as versions of Mesa do, by shades along edges, and not as a mistake does: mistakes of each kind are made on
purpose, and must be told from the picture on record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_fixtures import random_bundle
from napari.utils.colormaps import Colormap
from PIL import Image
from planted_slides import COLUMNS, ROWS, Geometry, bag_of_slide, reduced
from planted_window import opened_with_map
from qtpy.QtWidgets import QWidget
from slide_files import write_tiff

from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction
from amkd_core.slides import open_slide
from amkd_viewer import slide_layers
from amkd_viewer.beside_widget import beside_of, show_beside
from amkd_viewer.canvases_widget import CanvasRow, described
from amkd_viewer.layers import MapLook

ON_RECORD = Path(__file__).with_name("golden_canvas")
SIZE_PX = (300, 400)
"""Height and width."""
BESIDE_PX = (160, 200)
"""Height and width of the middle of each canvas side by side."""
CANVAS_PX = (320, 260)
"""Width and height of each canvas side by side."""
FIELD_UM = 760
"""That are as wide as a picture: the slide has 683."""
POOLED_PX = 4
UNLIKE = 40
"""Difference of a channel, over squares of pixels, that no shade of an edge makes."""
MOST_UNLIKE = 0.004
"""Share of the squares that may be unlike: a letter or two, in another font."""

SLIDE = Geometry(
    lambda path, image: write_tiff(path.with_suffix(".tif"), [image, reduced(image, 2)], compression=None),
    (0.5, 0.5),
)
WEIGHTS = 1.0 + np.random.default_rng(7).permutation(COLUMNS * ROWS)
"""Of the patches, row by row; no two rows, columns or halves are alike."""


@pytest.fixture(scope="module")
def smooth(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Prediction]:
    """A planted slide without grain, whose pictures are small files, and a prediction with the weights above."""
    path = SLIDE.write(tmp_path_factory.mktemp("golden") / "slide", SLIDE.planted(grain=0))
    with open_slide(path) as slide:
        bag, _ = bag_of_slide(slide)
    assert len(bag.features) == len(WEIGHTS)
    return path, replace(predict_bag(bag, random_bundle()), patch_scores=WEIGHTS / WEIGHTS.sum())


def unlike(picture: np.ndarray, other: np.ndarray) -> float:
    """Share of the squares of two pictures that differ more than drawing does."""
    assert picture.shape == other.shape
    height, width = (side // POOLED_PX for side in picture.shape[:2])
    pooled = [
        one[: height * POOLED_PX, : width * POOLED_PX, :3]
        .reshape(height, POOLED_PX, width, POOLED_PX, 3)
        .mean(axis=(1, 3))
        for one in (picture, other)
    ]
    return float((np.abs(pooled[0] - pooled[1]).max(axis=2) > UNLIKE).mean())


def hold(name: str, picture: np.ndarray) -> np.ndarray:
    """Hold a picture against the one on record, or put it there; gives the one on record."""
    path = ON_RECORD / f"{name}.png"
    if os.environ.get("AMKD_NEW_PICTURES"):
        ON_RECORD.mkdir(exist_ok=True)
        Image.fromarray(picture).quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    with Image.open(path) as image:
        kept = np.asarray(image.convert("RGB"))
    assert unlike(picture, kept) <= MOST_UNLIKE, f"{name} no longer looks as on record"
    return kept


def aim(model: Any, height_px: int, width_px: int) -> None:
    """Look at the middle of the slide."""
    width_um, height_um = (count * 128 + 128 / 3 for count in (COLUMNS, ROWS))
    model.scene.camera.center = (0, height_um / 2, width_um / 2)
    model.scene.camera.zoom = min(width_px, height_px * width_um / height_um) / FIELD_UM


@contextmanager
def changed(layer: Any, **values: Any) -> Iterator[None]:
    """A layer with other values for a while."""
    before = {name: deepcopy(getattr(layer, name)) for name in values}
    for name, value in values.items():
        setattr(layer, name, value)
    yield
    for name, value in before.items():
        setattr(layer, name, value)


def at_rest(take: Callable[[], np.ndarray], layers: Callable[[], list[Any]], qtbot: Any) -> np.ndarray:
    """A picture that stays as it is: napari asks for pixels of a view once it has drawn it."""
    before = None
    for _ in range(40):
        qtbot.waitUntil(lambda: all(layer.loaded for layer in layers()), timeout=20_000)
        picture = take()
        if before is not None and np.array_equal(picture, before):
            return picture
        before = picture
        qtbot.wait(60)
    raise AssertionError("the picture does not come to rest")


@pytest.fixture
def shot(viewer, qtbot) -> Callable[[], np.ndarray]:
    """The canvas of the window once everything is drawn."""

    def take() -> np.ndarray:
        return viewer.screenshot(size=SIZE_PX, scale=1, canvas_only=True, flash=False)[..., :3]

    return lambda: at_rest(take, lambda: list(viewer.layers), qtbot)


def test_slide_map_and_boxes_look_as_on_record(viewer, smooth, shot) -> None:
    slide, heat, _ = opened_with_map(viewer, SLIDE, *smooth)
    boxes = slide_layers.overlay(viewer, slide, "boxes")
    slide_layers.restyle_map(viewer, slide, smooth[1], MapLook())
    aim(viewer, *SIZE_PX)
    heat.visible = False
    kept = {"slide": hold("slide", shot())}
    heat.visible = True
    kept["map"] = hold("map", shot())
    heat.visible, boxes.visible = False, True
    kept["boxes"] = hold("boxes", shot())
    boxes.visible = False

    cell, frames = heat.scale, np.where(np.arange(5)[:, None] > 0, boxes.edge_color, 0)
    for mistake, name, layer, values in (
        ("a slide that is turned", "slide", slide, {"rotate": 90}),
        ("a slide a patch aside", "slide", slide, {"translate": (0, 128)}),
        ("a map a patch aside", "map", heat, {"translate": heat.translate + cell * (0, 1)}),
        ("a map a patch lower", "map", heat, {"translate": heat.translate + cell * (1, 0)}),
        ("a map with x and y mixed up", "map", heat, {"data": heat.data.T}),
        ("a map that is mirrored", "map", heat, {"data": heat.data[:, ::-1]}),
        ("a map of turned colours", "map", heat, {"colormap": Colormap(heat.colormap.colors[::-1])}),
        ("no map", "map", heat, {"opacity": 0.0}),
        ("no boxes", "boxes", boxes, {"opacity": 0.0}),
        ("a box without its frame", "boxes", boxes, {"edge_color": frames}),
        ("boxes a patch aside", "boxes", boxes, {"translate": (0, 128)}),
    ):
        layer.visible = True
        with changed(layer, **values):
            assert unlike(shot(), kept[name]) > 2 * MOST_UNLIKE, mistake
        assert unlike(shot(), kept[name]) <= MOST_UNLIKE, f"after {mistake}"
        layer.visible = layer is slide


def test_maps_side_by_side_look_as_on_record(viewer, smooth, qtbot) -> None:
    """Two canvases of a comparison: a map, and the same slide under the map of other weights."""
    path, prediction = smooth
    slide, _, _ = opened_with_map(viewer, SLIDE, path, prediction)
    other = replace(prediction, patch_scores=prediction.patch_scores[::-1].copy())
    maps = [described("", slide, one, MapLook()) for one in (prediction, other)]
    owner = QWidget()
    qtbot.addWidget(owner)

    def seen(*maps: Any) -> np.ndarray:
        show_beside(viewer, maps, owner=owner, asked=True)
        row = beside_of(viewer).row
        for canvas in row.canvases:
            # In a window of another size a pixel lies elsewhere by a part of its width.
            canvas.qt_viewer.canvas.native.setFixedSize(*CANVAS_PX)
        at_rest(lambda: drawn_of(row), lambda: layers_of(row), qtbot)
        qtbot.waitUntil(lambda: not row._fit_soon.isActive())  # else they fit the slide after it was aimed at
        for canvas in row.canvases:
            canvas.model.canvas.overlays.scale_bar.visible = False
            aim(canvas.model, *BESIDE_PX)
        return at_rest(lambda: drawn_of(row), lambda: layers_of(row), qtbot)

    kept = hold("beside", seen(*maps))
    assert unlike(seen(*maps[::-1]), kept) > 2 * MOST_UNLIKE, "exchanged maps"
    assert unlike(seen(maps[0], maps[0]), kept) > 2 * MOST_UNLIKE, "one map twice"


@pytest.mark.parametrize("name", ["slide", "map", "boxes", "beside"])
def test_shades_are_no_mistakes(name: str) -> None:
    """Half a pixel to either side, and colours that are rounded otherwise, as other versions of Mesa may draw."""
    with Image.open(ON_RECORD / f"{name}.png") as image:
        kept = np.asarray(image.convert("RGB"))
    for half in (np.roll(kept, 1, axis=0), np.roll(kept, 1, axis=1)):
        shaded = (kept.astype(float) + half) / 2
        assert unlike(np.clip(shaded + 3, 0, 255), kept) <= MOST_UNLIKE


def drawn_of(row: CanvasRow) -> np.ndarray:
    """The middles of all canvases beside each other."""
    height, width = BESIDE_PX
    middles = []
    for canvas in row.canvases:
        drawn = canvas.qt_viewer.screenshot(flash=False)[..., :3]
        top, left = (drawn.shape[0] - height) // 2, (drawn.shape[1] - width) // 2
        middles.append(drawn[top : top + height, left : left + width])
    return np.hstack(middles)


def layers_of(row: CanvasRow) -> list[Any]:
    return [layer for canvas in row.canvases for layer in canvas.model.layers]
