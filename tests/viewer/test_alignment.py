"""What is planted on a slide, drawn over it and written to files lies on the same pixels, whatever made the slide."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from planted_slides import CORNERS, GEOMETRIES, Geometry
from planted_window import N_MARKED, opened_with_map
from scipy import ndimage

from amkd_core.inference.maps import top_patches
from amkd_core.inference.prediction import Prediction
from amkd_core.slides import open_slide
from amkd_viewer import exports, slide_layers
from amkd_viewer.layers import boxes_layer
from amkd_viewer.waiting import settle

Box = tuple[float, float, float, float]


def union_of(boxes: list[Box]) -> Box:
    """Left, top, right and bottom of all boxes together."""
    sides = np.array(boxes)
    left, top = sides[:, :2].min(axis=0)
    right, bottom = sides[:, 2:].max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def overlap(first: Box, second: Box) -> float:
    """Area in common of two boxes over the area of both."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return common / (sum(areas) - common)


def off_by(found: Box, expected: Box) -> float:
    """Farthest that a side lies from where it should, in level-0 pixels."""
    return float(np.abs(np.array(found) - np.array(expected)).max())


@pytest.mark.parametrize("name", GEOMETRIES)
def test_exported_files_lie_on_the_mark(planted, tmp_path: Path, name: str) -> None:
    geometry, path, prediction = planted(name)
    with open_slide(path, scene=geometry.scene) as slide:
        info = slide.info
    assert (info.bounds.x, info.bounds.y) == geometry.bounds
    order = exports.ExportOrder(tmp_path, ("geojson", "tiff"), "student", N_MARKED, True, info)
    exports.write_all(order, prediction)
    # QuPath shows the scanned area alone, so the GeoJSON counts from its corner ...
    (geojson,) = tmp_path.glob("*.geojson")
    marked = union_of(annotated_boxes(geojson))
    assert off_by(marked, geometry.mark) <= 1
    assert overlap(marked, geometry.mark) >= 0.99
    # ... while napari and all that reads by OpenSlide show the whole of level 0, and so does the OME-TIFF.
    (tiff,) = tmp_path.glob("*.ome.tif")
    mapped, note = highest_box(tiff, geometry.mpp)
    assert off_by(mapped, geometry.mark_level0) <= 1
    assert overlap(mapped, geometry.mark_level0) >= 0.99
    assert note["origin_level0"] == [0, 0]
    assert note["bounds_level0"] == list(geometry.bounds)


def annotated_boxes(path: Path) -> list[Box]:
    """Boxes of the annotations of a GeoJSON."""
    features = json.loads(path.read_text())["features"]
    rings = [
        np.array(feature["geometry"]["coordinates"][0])
        for feature in features
        if feature["properties"]["objectType"] == "annotation"
    ]
    assert len(rings) == N_MARKED
    return [(*ring.min(axis=0), *ring.max(axis=0)) for ring in rings]


def highest_box(path: Path, mpp: tuple[float, float]) -> tuple[Box, dict[str, Any]]:
    """Where a map's highest patches lie by its own pixel size, in level-0 pixels of `mpp`, and its description."""
    with tifffile.TiffFile(path) as file:
        image, text = file.asarray(), file.ome_metadata
    side = [float(re.search(f'PhysicalSize{axis}="([^"]+)"', text).group(1)) for axis in "XY"]
    units = {re.search(f'PhysicalSize{axis}Unit="([^"]+)"', text).group(1) for axis in "XY"}
    assert units <= {"µm", "&#181;m"}
    # The mark's two patches of twenty are alone above the 90th percentile, tied or not.
    rows, columns = np.nonzero(image > 90)
    x, y = (step / own for step, own in zip(side, mpp, strict=True))
    box = (columns.min() * x, rows.min() * y, (columns.max() + 1) * x, (rows.max() + 1) * y)
    note = re.search(r"<Description>(.*?)</Description>", text, re.DOTALL).group(1)
    return box, json.loads(note.replace("&quot;", '"').replace("&amp;", "&"))


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("levels 1, 3.97, 15.9", "bounds"), id="two"),
        pytest.param(tuple(GEOMETRIES), id="all", marks=pytest.mark.slow),
    ],
)
def test_map_and_boxes_cover_the_mark_in_a_window(planted, viewer, names: tuple[str, ...]) -> None:
    """Geometries in one window, one slide after another."""
    measured = {}
    for name in names:
        geometry, path, prediction = planted(name)
        measured[name] = seen_in_window(viewer, geometry, path, prediction)
        viewer.layers.clear()
    for name, (heat, boxes, corners) in measured.items():
        assert heat >= 0.99, (name, measured)
        assert boxes >= 0.99, (name, measured)
        assert corners <= 12, (name, measured)


def seen_in_window(
    viewer, geometry: Geometry, path: Path, prediction: Prediction
) -> tuple[float, float, float]:
    """Overlap of map and boxes with the mark as they are seen, and how far the corners' colours are off."""
    layer, heat, mpp = opened_with_map(viewer, geometry, path, prediction)
    assert mpp == pytest.approx(geometry.mpp, rel=1e-3)
    box = slide_layers.add_layer(
        viewer, boxes_layer(top_patches(prediction, N_MARKED), mpp=mpp, name="boxes of the mark")
    )
    off = corners_off(viewer, layer, geometry)

    left, top, right, bottom = geometry.mark_level0
    # With room around it: what touches the canvas' border counts as no part of the mark.
    zoom = 0.8 * min(viewer.canvas.size) / max((right - left) * mpp[0], (bottom - top) * mpp[1])
    viewer.scene.camera.center = (0, (top + bottom) / 2 * mpp[1], (left + right) / 2 * mpp[0])
    viewer.scene.camera.zoom = zoom
    box.edge_width, box.edge_color, box.text.visible = 2 / (zoom * mpp[0]), "red", False
    heat.visible = box.visible = False
    mark = seen_box(shot(viewer).sum(axis=2) < 350, slide=True)
    layer.visible, heat.visible = False, True
    yellow = seen_box(shot(viewer).sum(axis=2) > 150)
    heat.visible, box.visible = False, True
    drawn = shot(viewer)
    red = seen_box((drawn[..., 0] > 128) & (drawn[..., 1] < 100))
    # The middle of the frame's line of 2 px lies on the edge.
    frame = (red[0] + 1, red[1] + 1, red[2] - 1, red[3] - 1)
    return overlap(mark, yellow), overlap(mark, frame), off


def test_the_coarsest_level_lies_where_level_0_does(planted, viewer) -> None:
    """At a zoom at which napari draws the last level, 16 times smaller: a patch takes 26 pixels of the screen."""
    geometry, path, prediction = planted("levels 1, 3.97, 15.9")
    layer, heat, mpp = opened_with_map(viewer, geometry, path, prediction)
    left, top, right, bottom = geometry.mark_level0
    middle = ((left + right) / 2 * mpp[0], (top + bottom) / 2 * mpp[1])
    zoom = 1 / (20 * mpp[0])
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, middle[1], middle[0]), zoom
    heat.visible = False
    drawn = shot(viewer)
    assert layer.data_level == len(layer.data) - 1 >= 2
    violet = (drawn[..., 1] < 45) & (drawn[..., 2] > 80)
    mark = seen_box(violet)
    layer.visible, heat.visible = False, True
    yellow = seen_box(shot(viewer).sum(axis=2) > 150)
    height, width = drawn.shape[:2]
    half = ((right - left) * mpp[0] * zoom / 2, (bottom - top) * mpp[1] * zoom / 2)
    expected = (width / 2 - half[0], height / 2 - half[1], width / 2 + half[0], height / 2 + half[1])
    assert 50 < expected[2] - expected[0] < 53  # two patches
    assert off_by(mark, expected) <= 2, (mark, expected)
    assert off_by(yellow, expected) <= 2, (yellow, expected)


def corners_off(viewer, layer, geometry: Geometry) -> float:
    """Largest difference of a corner's colour from what was planted there, on the slide's own layer."""
    differences = []
    for (column, row), colour in CORNERS.items():
        x, y = (
            (place + 0.5) * side + offset
            for place, side, offset in zip((column, row), geometry.patch, geometry.bounds, strict=True)
        )
        seen = np.asarray(layer.data[0][int(y) : int(y) + 2, int(x) : int(x) + 2]).mean(axis=(0, 1))
        differences.append(np.abs(seen - colour).max())
    return float(max(differences))


def shot(viewer) -> np.ndarray:
    settle(viewer)
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


def seen_box(mask: np.ndarray, *, slide: bool = False) -> Box:
    """Left, top, right and bottom of what is True; of a slide without what touches the canvas' border."""
    if slide:
        labels, _ = ndimage.label(mask)
        border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        mask = mask & ~np.isin(labels, border[border > 0])
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
