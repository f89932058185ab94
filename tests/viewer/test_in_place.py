"""Whatever the user moves in napari, nothing of ours lies beside its tissue, and all that is read agrees with it."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from amkd_core.inference.maps import top_patches
from amkd_viewer import in_view, navigation, slide_layers
from amkd_viewer.layers import region_layer
from amkd_viewer.reader import SLIDE_KEY
from amkd_viewer.wording import OVERLAY_STAYS, SIZE_STAYS

MOVED = np.array([[1.0, 0.0, 200.0], [0.0, 1.0, -70.0], [0.0, 0.0, 1.0]])


def said(sentence: str) -> int:
    return [str(one.message) for one in notification_manager.records].count(sentence)


@pytest.fixture
def drawn(predicted, viewer):
    """The panel with a predicted slide on which a region and a mark are drawn as well."""
    notification_manager.records.clear()
    predicted.workspace._in_place._said.clear()  # once per window, which may be shared
    slide = predicted.workspace.slide
    fingerprint = slide_layers.fingerprint_of(slide)
    region = slide_layers.draw_overlay(
        viewer, region_layer(mpp=slide_layers.mpp_of(slide), fingerprint=fingerprint, name=slide.name)
    )
    region.add_polygons(np.array([[100, 100], [100, 900], [900, 900], [900, 100]]))
    in_view.mark(viewer, slide, top_patches(predicted.workspace.prediction, 1)[0])
    return predicted


def best_patch(panel):
    return top_patches(panel.workspace.prediction, 1)[0]


def all_lie_on_the_slide(viewer, panel) -> None:
    """What lies on the best patch by the slide's own place is there by each layer's, and is read there."""
    slide, patch = panel.workspace.slide, best_patch(panel)
    (x, y), (width, height) = patch.xy_level0, patch.size_level0
    middle = (y + height / 2 - 0.5, x + width / 2 - 0.5)
    world = slide.data_to_world(middle)
    assert slide_layers.heat_at(viewer, slide, world) == pytest.approx(100)
    for role in ("boxes", "mark", "region"):
        assert slide_layers.overlay(viewer, slide, role).world_to_data(world) == pytest.approx(middle)
    heat = slide_layers.overlay(viewer, slide, "map")
    cell = np.unravel_index(np.nanargmax(heat.data), heat.data.shape)
    assert heat.data_to_world(cell) == pytest.approx(world)
    assert navigation.pixel_of(slide, world) == pytest.approx((x + width / 2, y + height / 2))
    navigation.fly_to(viewer, slide, patch.xy_level0, patch.size_level0)
    assert viewer.scene.camera.center[-2:] == pytest.approx(tuple(world))


@pytest.mark.one_window
def test_a_map_that_is_dragged_stays_on_its_tissue(drawn, viewer, qtbot) -> None:
    slide = drawn.workspace.slide
    heat = slide_layers.overlay(viewer, slide, "map")
    slide_layers.fit(viewer, slide)
    viewer.layers.selection.active = heat
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_2)
    assert heat.mode == "transform"
    moved: list[object] = []
    heat.events.affine.connect(moved.append)
    at = QPoint(canvas.width() // 2, canvas.height() // 2)
    QTest.mouseMove(canvas, at)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=at)
    for step in range(1, 6):
        qtbot.wait(30)
        QTest.mouseMove(canvas, QPoint(at.x() + 14 * step, at.y()))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(at.x() + 70, at.y()))
    qtbot.wait(50)
    assert moved, "the drag did not reach the layer"
    assert said(OVERLAY_STAYS) == 1
    all_lie_on_the_slide(viewer, drawn)


@pytest.mark.one_window
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", (3.0, 1.0)),
        ("translate", (50.0, 0.0)),
        ("rotate", 30.0),
        ("shear", [0.4]),
        ("affine", MOVED),
    ],
)
def test_what_lies_on_a_slide_goes_back_however_it_is_moved(drawn, viewer, name: str, value) -> None:
    slide = drawn.workspace.slide
    navigation.turn(viewer, slide, 37)
    for role in ("map", "boxes", "mark"):
        setattr(slide_layers.overlay(viewer, slide, role), name, value)
    all_lie_on_the_slide(viewer, drawn)
    assert said(OVERLAY_STAYS) == 1


@pytest.mark.one_window(last=True)
def test_a_slide_that_is_moved_and_turned_takes_everything_along(drawn, viewer, dock, spin) -> None:
    slide, view = drawn.workspace.slide, dock("View and heatmap")
    slide.affine = MOVED
    all_lie_on_the_slide(viewer, drawn)
    slide.translate = (30.0, -400.0)
    all_lie_on_the_slide(viewer, drawn)
    slide.rotate = 25
    all_lie_on_the_slide(viewer, drawn)
    assert view.angle.value() == 25
    centre = slide.data_to_world(((2304 - 1) / 2, (3072 - 1) / 2))
    view.quarter.click()
    assert navigation.angle_of(slide) == pytest.approx(115)
    assert slide.data_to_world(((2304 - 1) / 2, (3072 - 1) / 2)) == pytest.approx(centre)
    all_lie_on_the_slide(viewer, drawn)
    view.upright.click()
    assert navigation.angle_of(slide) == 0
    all_lie_on_the_slide(viewer, drawn)
    # Also what is drawn from now on.
    drawn.run()
    spin(lambda: drawn.outcome is not None)
    drawn.workspace.set_look(smooth=True)
    drawn.workspace.set_look(smooth=False)
    all_lie_on_the_slide(viewer, drawn)
    assert said(OVERLAY_STAYS) == said(SIZE_STAYS) == 0


@pytest.mark.one_window
def test_a_slide_that_is_stretched_goes_back(drawn, viewer) -> None:
    slide = drawn.workspace.slide
    slide.affine = MOVED
    zoom = viewer.scene.camera.zoom
    slide.scale = (1.0, 1.0)
    slide.affine = np.diag([2.0, 2.0, 1.0])
    slide.shear = [0.3]
    assert tuple(slide.scale) == (0.5, 0.5)
    np.testing.assert_array_equal(slide_layers.affine_of(slide), MOVED)
    assert said(SIZE_STAYS) == 1
    assert viewer.scene.camera.zoom == zoom
    all_lie_on_the_slide(viewer, drawn)


def test_a_turned_slide_that_is_opened_again_lies_under_its_map(drawn, viewer, slide_path) -> None:
    slide = drawn.workspace.slide
    navigation.turn(viewer, slide, 90)
    slide.translate = (10.0, 20.0)
    (copy,) = viewer.open(slide_path, plugin="amkd-viewer")
    assert drawn.workspace.slide is copy
    all_lie_on_the_slide(viewer, drawn)
    copy.affine = MOVED
    assert slide.data_to_world((7, 9)) == pytest.approx(copy.data_to_world((7, 9)))
    all_lie_on_the_slide(viewer, drawn)


def test_a_region_stays_on_its_pixels_when_the_scale_is_stated(drawn, viewer) -> None:
    slide = drawn.workspace.slide
    region = slide_layers.overlay(viewer, slide, "region")
    navigation.turn(viewer, slide, 90)
    drawn.workspace.restate_scale(slide, (0.25, 0.25))
    assert tuple(slide.scale) == tuple(region.scale) == (0.25, 0.25)
    assert region.data_to_world((100, 900)) == pytest.approx(slide.data_to_world((100, 900)))
    slide.scale = (0.5, 0.5)
    assert tuple(slide.scale) == (0.25, 0.25)


def test_a_region_that_the_user_moves_keeps_that_place_on_the_slide(drawn, viewer) -> None:
    slide = drawn.workspace.slide
    region = slide_layers.overlay(viewer, slide, "region")

    def seen():
        """Where on the slide a corner of what is drawn lies."""
        return slide.world_to_data(region.data_to_world(region.data[0][1]))

    navigation.turn(viewer, slide, 30)
    region.affine = MOVED @ slide_layers.affine_of(region)
    region.scale = (0.4, 0.5)
    corner = seen()
    assert corner != pytest.approx((100, 900))
    for place in (MOVED, np.eye(3)):
        slide.affine = place
        assert seen() == pytest.approx(corner)
    navigation.turn(viewer, slide, -90)
    assert seen() == pytest.approx(corner)
    drawn.workspace.restate_scale(slide, (0.25, 0.25))
    assert seen() == pytest.approx(corner)
    assert said(OVERLAY_STAYS) == 0


@pytest.mark.one_window
def test_layers_of_the_user_are_left_where_he_puts_them(predicted, viewer) -> None:
    points = viewer.add_points(np.zeros((1, 2)), name="my own")
    points.translate = (40.0, 40.0)
    predicted.workspace.slide.affine = MOVED
    assert tuple(points.translate) == (40.0, 40.0)
    assert SLIDE_KEY not in points.metadata
    np.testing.assert_array_equal(slide_layers.affine_of(points), np.eye(3))


def test_maps_side_by_side_follow_and_are_not_moved_by_themselves(taught, viewer, dock, spin) -> None:
    from amkd_viewer.beside_widget import beside_of

    dock("Compare teacher and student")
    spin(lambda: beside_of(viewer) is not None and bool(beside_of(viewer).row.canvases))
    beside, slide = beside_of(viewer), taught.workspace.slide
    slide.translate = (30.0, -400.0)
    slide.scale = (1.0, 1.0)
    for canvas in beside.row.canvases:
        shown, heat = canvas.model.layers
        assert shown.data_to_world((7, 9)) == pytest.approx(slide.data_to_world((7, 9)))
        np.testing.assert_array_equal(slide_layers.affine_of(shown), slide_layers.affine_of(heat))
        heat.mode = "transform"
        assert heat.mode == "pan_zoom"
    spin(lambda: not beside._end_where_scaled.isActive())
    assert beside_of(viewer) is beside
