"""Predictions as layer data: where everything lies, to the pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle
from napari.components import ViewerModel
from qtpy.QtCore import QObject

from amkd_core.inference.maps import Heatmap, heatmap
from amkd_core.inference.predict import predict_bag
from amkd_viewer import in_view
from amkd_viewer.colours import COLOUR_MAPS, difference_colours, heat_colours
from amkd_viewer.layers import (
    MapLook,
    boxes_layer,
    difference_layer,
    heatmap_layer,
    map_layer,
    prediction_layers,
    sources_of,
)
from amkd_viewer.painter_widget import OverlayPainter
from amkd_viewer.reader import SLIDE_KEY
from amkd_viewer.slide_layers import draw_overlay, role_of

# (x, y): non-square pixels, so that a flip of the axes cannot pass.
MPP = (0.25, 0.3)


@pytest.fixture(scope="module")
def prediction():
    return predict_bag(random_bag(57), random_bundle())


def cell_edges(layer, axis: int, index: int) -> tuple[float, float]:
    """World coordinates of the two edges of a pixel, by napari's rule: its centre lies at index times scale."""
    _, options, _ = layer
    centre = options["translate"][axis] + index * options["scale"][axis]
    return centre - options["scale"][axis] / 2, centre + options["scale"][axis] / 2


def slide_edge(axis: int, pixel: float) -> float:
    """World coordinate of the upper or left edge of a level-0 pixel of the slide."""
    return (pixel - 0.5) * (MPP[1], MPP[0])[axis]


def test_a_cell_of_the_map_covers_exactly_its_patch(prediction) -> None:
    layer = heatmap_layer(heatmap(prediction), mpp=MPP, name="map")
    image = layer[0]
    for row in (0, 13, 42, 56):
        x, y = prediction.bag.coords[row]
        width, height = prediction.bag.patch_size_level0
        cell = ((y - 100) // height, (x - 100) // width)
        assert np.isfinite(image[cell])
        assert cell_edges(layer, 0, cell[0]) == pytest.approx((slide_edge(0, y), slide_edge(0, y + height)))
        assert cell_edges(layer, 1, cell[1]) == pytest.approx((slide_edge(1, x), slide_edge(1, x + width)))


def test_the_highest_cell_of_the_map_is_the_first_box(prediction) -> None:
    *_, attention, boxes = prediction_layers(prediction, mpp=MPP, fingerprint="f", name="slide")
    row, column = np.unravel_index(np.nanargmax(attention[0]), attention[0].shape)
    corners = boxes[0][0] * np.array(boxes[1]["scale"])
    assert (corners[:, 0].min(), corners[:, 0].max()) == pytest.approx(cell_edges(attention, 0, row))
    assert (corners[:, 1].min(), corners[:, 1].max()) == pytest.approx(cell_edges(attention, 1, column))
    assert boxes[1]["features"]["rank"].tolist() == [1, 2, 3, 4, 5]
    assert (np.diff(boxes[1]["features"]["score"]) <= 0).all()


def test_places_without_tissue_are_clear(prediction) -> None:
    data, options, _ = heatmap_layer(heatmap(prediction), mpp=MPP, name="map")
    assert np.isnan(data).sum() == 6 * 10 - 57
    assert options["colormap"].nan_color[3] == 0
    assert options["contrast_limits"] == (0.0, 100.0)
    assert options["blending"] == "translucent_no_depth"


def test_layers_name_their_slide_and_their_role(prediction) -> None:
    layers = prediction_layers(prediction, mpp=MPP, fingerprint="content", name="slide")
    entries = [options["metadata"][SLIDE_KEY] for _, options, _ in layers]
    assert [entry["role"] for entry in entries] == ["map", "boxes"]
    assert {entry["fingerprint"] for entry in entries} == {"content"}


def test_the_map_shows_the_source_that_is_asked_for_where_there_is_one(prediction) -> None:
    bundle = random_bundle()
    genes = dict.fromkeys(bundle.card.genes, 5.0)
    taught = predict_bag(random_bag(57), bundle, genes=genes)
    images = {}
    for source in sources_of(taught):
        images[source] = map_layer(taught, MapLook(source=source), mpp=MPP, name="map")[0]
    assert list(images) == ["student", "teacher", *bundle.card.pathways]
    assert not np.array_equal(images["student"], images["teacher"], equal_nan=True)
    # Another patient's slide may be without expression; the student's map is shown there.
    fallen_back = map_layer(prediction, MapLook(source="teacher"), mpp=MPP, name="map")[0]
    np.testing.assert_array_equal(fallen_back, map_layer(prediction, MapLook(), mpp=MPP, name="map")[0])


def test_what_is_drawn_already_is_left_alone(prediction) -> None:
    viewer = ViewerModel()
    described = prediction_layers(prediction, mpp=MPP, fingerprint="f", name="slide")
    drawn = [draw_overlay(viewer, data) for data in described]
    drawings: list[str] = []
    for layer in drawn:
        layer.events.connect(lambda event: drawings.append(event.type))
    assert [draw_overlay(viewer, data) for data in described] == drawn
    assert drawings == []

    # Whatever differs is drawn again: a box that the user moved, its number, one cell of the map.
    heat, boxes = drawn
    boxes.data = [boxes.data[0] + 7, *boxes.data[1:]]
    boxes.features = {**boxes.features, "rank": boxes.features["rank"] + 1}
    (image, *_), (corners, options, _) = described
    cell = tuple(np.argwhere(np.isfinite(heat.data))[0])
    heat.data = np.where(np.isfinite(heat.data), heat.data - 1, np.nan).astype(np.float32)
    for data in described:
        draw_overlay(viewer, data)
    np.testing.assert_allclose(boxes.data[0], corners[0])
    np.testing.assert_array_equal(boxes.features["rank"], options["features"]["rank"])
    assert heat.data[cell] == image[cell]


@pytest.fixture
def painted(prediction):
    """A slide's layer, its map and boxes as they are described, their painter, and what it tells."""
    viewer, told, parent = ViewerModel(), [], QObject()
    metadata = {SLIDE_KEY: {"role": "slide", "fingerprint": "f", "mpp": MPP}}
    slide = viewer.add_image(
        [np.zeros((8, 8, 3)), np.zeros((4, 4, 3))], rgb=True, name="slide", metadata=metadata
    )
    painter = OverlayPainter(
        viewer,
        chosen=lambda: slide,
        done=lambda: told.append("done"),
        failed=lambda name, error: told.append(f"{name}: {error}"),
        parent=parent,
    )
    yield viewer, painter, prediction_layers(prediction, mpp=MPP, fingerprint="f", name="slide"), told
    parent.deleteLater()


def test_a_layer_that_cannot_be_shown_is_told_and_the_rest_is_drawn(painted, qtbot, monkeypatch) -> None:
    viewer, painter, described, told = painted
    show = in_view.show

    def broken(layer) -> None:
        if role_of(layer) == "map":
            raise ZeroDivisionError("a fault")
        show(layer)

    monkeypatch.setattr(in_view, "show", broken)
    painter.paint(described)
    qtbot.waitUntil(lambda: "done" in told)
    assert told == ["slide: a fault", "done"]
    assert [role_of(layer) for layer in viewer.layers if layer.visible] == ["slide", "boxes"]


def test_what_is_put_away_before_it_is_shown_is_shown_when_it_is_drawn_anew(painted, qtbot) -> None:
    viewer, painter, described, told = painted
    painter.paint(described)
    painter._draw_next()  # the turn in which the map is added
    assert [layer.visible for layer in viewer.layers] == [True, False]
    painter.drop("f")
    in_view.put_away(viewer.layers[1])
    heat = viewer.layers[1]
    qtbot.waitUntil(lambda: "done" in told)
    assert not heat.visible
    painter.paint(described)
    qtbot.waitUntil(lambda: told == ["done", "done"])
    assert all(layer.visible for layer in viewer.layers)


def test_a_difference_is_clear_where_maps_agree(prediction) -> None:
    colours = difference_colours()
    assert colours[len(colours) // 2, 3] < 0.02
    assert colours[0, 3] == pytest.approx(colours[-1, 3])
    options = difference_layer(heatmap(prediction), mpp=MPP, name="difference")[1]
    assert options["contrast_limits"] == (-100.0, 100.0)


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_all_colour_maps_grow_evenly_brighter(name: str) -> None:
    red, green, blue = np.where(
        (c := heat_colours(name)[:, :3]) <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4
    ).T
    lightness = 116 * np.cbrt(0.2126 * red + 0.7152 * green + 0.0722 * blue) - 16
    steps = np.diff(lightness)
    assert (steps > 0).mean() > 0.97
    assert steps.max() < 4 * np.median(steps)


def test_without_places_nothing_is_drawn(prediction) -> None:
    placeless = replace(prediction, bag=replace(prediction.bag, coords=None, patch_size_level0=None))
    assert prediction_layers(placeless, mpp=MPP, fingerprint="f", name="slide") == []


def test_a_map_of_equal_raw_scores_has_limits() -> None:
    flat = Heatmap(np.ones((2, 2), np.float32), "raw", (0, 0), (512, 512), "flat")
    low, high = heatmap_layer(flat, mpp=MPP, name="map")[1]["contrast_limits"]
    assert low < high


def test_no_boxes_make_an_empty_layer() -> None:
    data, options, kind = boxes_layer([], mpp=MPP, name="none")
    assert (data, kind) == ([], "shapes")
    assert len(options["features"]["rank"]) == 0


def test_heat_grows_brighter_and_denser_with_attention() -> None:
    colours = heat_colours()
    luminance = colours[:, :3] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) > -1e-3).all()
    assert (np.diff(colours[:, 3]) >= 0).all()
    assert colours[0, 3] == 0
    assert colours[-1, 3] < 0.8, "the tissue must stay visible under the strongest attention"
