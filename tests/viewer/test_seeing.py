"""View and heatmap, and the gallery, in real windows."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from closing import close_by_x
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from amkd_core.inference.maps import heatmap, percentile_ranks, top_patches
from amkd_viewer import gallery_widget, in_view, navigation, slide_layers
from amkd_viewer.actions import WindowActions
from amkd_viewer.beside_widget import dock_of
from amkd_viewer.events import Finished
from amkd_viewer.plots import short_name
from amkd_viewer.wording import MAP_TAKEN_AWAY


@pytest.fixture
def view(predicted, dock, spin):
    widget = dock("View and heatmap")
    spin(lambda: widget.overview.has_picture)
    return widget


def map_of(viewer):
    return next(layer for layer in viewer.layers if slide_layers.role_of(layer) == "map")


def click(qtbot, button) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.mark.one_window(last=True)
def test_a_late_picture_of_a_slide_that_is_gone_is_not_shown(view, viewer, monkeypatch, spin) -> None:
    late = []
    monkeypatch.setattr(
        view.workspace, "do", lambda owner, key, function, then: late.append((function, then))
    )
    view._thumbnail_of = ""
    view._on_slide_changed()
    (function, then), *_ = late
    viewer.layers.clear()
    spin(lambda: view.workspace.slide is None)
    then(function())
    assert not view.overview.has_picture


@pytest.mark.one_window
def test_presets_set_the_micrometres_of_a_screen_pixel(view, viewer, qtbot, spin) -> None:
    for power, button in zip((1, 5, 10, 20, 40), view.presets, strict=True):
        click(qtbot, button)
        corners = navigation.field_of(viewer, view.workspace.slide)
        # The slide has 0.5 um per pixel; nominal 20x is 0.5 um per screen pixel.
        um_per_screen_px = (corners[1, 0] - corners[0, 0]) * 0.5 / viewer.canvas.size[1]
        assert um_per_screen_px == pytest.approx(10 / power)
        spin(lambda power=power: f"Magnification {power}×" in view.magnification.text())
    # What is said of the camera is what the canvas draws.
    spin(lambda: viewer.canvas.overlays.scale_bar.visible)


@pytest.mark.one_window
def test_the_overview_marks_the_field_and_a_click_moves_there(view, viewer, qtbot, spin) -> None:
    viewer.scene.camera.zoom = 1.0
    place = view.overview.place_of((700.0, 1800.0))
    qtbot.mouseClick(view.overview, Qt.MouseButton.LeftButton, pos=QPoint(round(place.x()), round(place.y())))
    # A pixel of the overview is some 12 of the slide.
    assert tuple(viewer.scene.camera.center[-2:]) == pytest.approx((900, 350), abs=10)
    spin(lambda: view.overview.field is not None)
    spin(lambda: np.allclose(view.overview.field.mean(axis=0), (700, 1800), atol=20))


@pytest.mark.one_window
@pytest.mark.parametrize("degrees", [90, -37])
def test_a_turned_slide_keeps_its_map_and_boxes_aligned(view, viewer, degrees) -> None:
    slide, prediction = view.workspace.slide, view.workspace.prediction
    view.angle.setValue(degrees)
    best = top_patches(prediction, 1)[0]
    centre = (
        best.xy_level0[1] + best.size_level0[1] / 2 - 0.5,
        best.xy_level0[0] + best.size_level0[0] / 2 - 0.5,
    )
    on_screen = slide.data_to_world(centre)
    assert slide_layers.heat_at(viewer, slide, on_screen) == pytest.approx(100)
    boxes = slide_layers.overlay(viewer, slide, "boxes")
    np.testing.assert_allclose(boxes.data_to_world(boxes.data[0].mean(axis=0)), on_screen, atol=0.01)
    assert navigation.angle_of(slide) == pytest.approx(degrees)
    # Turned about its centre: that stays.
    rows, columns = slide.data[0].shape[:2]
    middle = ((rows - 1) / 2, (columns - 1) / 2)
    np.testing.assert_allclose(slide.data_to_world(middle), np.array(middle) * 0.5, atol=1e-6)
    # What is drawn after the turn lies on the turned slide.
    in_view.mark(viewer, slide, best)
    frame = slide_layers.overlay(viewer, slide, "mark")
    np.testing.assert_allclose(frame.data_to_world(frame.data[0].mean(axis=0)), on_screen, atol=0.01)


@pytest.mark.one_window
def test_place_and_heat_under_the_cursor(view, viewer, spin) -> None:
    slide, prediction = view.workspace.slide, view.workspace.prediction
    best = top_patches(prediction, 1)[0]
    x, y = (corner + size / 2 for corner, size in zip(best.xy_level0, best.size_level0, strict=True))
    viewer.cursor.position = ((y - 0.5) * 0.5, (x - 0.5) * 0.5)
    expected = f"x {x * 0.5:,.1f} µm, y {y * 0.5:,.1f} µm; heat: percentile 100.0"
    assert view.cursor_place.text() == expected
    assert view.status.text() == expected
    assert view.status.window() is view.window()
    viewer.cursor.position = (-100.0, -100.0)
    assert "no heat here" in view.cursor_place.text()
    assert slide is view.workspace.slide
    view.workspace.choose(None)
    assert not view.status.text(), "no place on a slide that is not looked at"


@pytest.mark.one_window
def test_the_maps_controls_change_what_is_drawn(view, viewer, qtbot) -> None:
    layer, prediction = map_of(viewer), view.workspace.prediction
    heat = view.heat
    heat.kind.setCurrentIndex(1)
    heat.kind.activated.emit(1)
    np.testing.assert_allclose(layer.data, heatmap(prediction, "raw").image)
    raw = np.nanmax(layer.data)
    assert layer.contrast_limits[1] == pytest.approx(raw)
    assert heat.legend.labels[2] == f"{raw:.3g}"
    heat.top_percent.setValue(5)
    assert np.isfinite(layer.data).sum() == max(1, round(0.05 * len(prediction.patch_scores)))
    assert "top 5 %" in heat.what.text()
    heat.top_percent.setValue(100)
    heat.smooth.setChecked(True)
    assert np.nanmax(layer.data) < raw
    heat.smooth.setChecked(False)
    for name in ("magma", "cividis"):
        heat.colour_map.setCurrentText(name)
        heat.colour_map.activated.emit(0)
        assert layer.colormap.name.endswith(name)
    heat.opacity.setValue(40)
    assert layer.opacity == pytest.approx(0.4)
    heat.shown.setChecked(False)
    assert not layer.visible


@pytest.mark.one_window
def test_legend_and_controls_follow_naparis_own(predicted, view, viewer) -> None:
    layer, heat = map_of(viewer), view.heat
    legends = (heat.legend, predicted.result.legend)
    layer.contrast_limits = (20, 80)
    layer.opacity = 0.3
    layer.gamma = 2.0
    layer.colormap = "magma"  # napari's, which is opaque at its low end
    assert all(legend.labels == ("20", "50", "80") for legend in legends)
    assert heat.opacity.value() == 30
    assert (heat.colour_map.currentIndex(), heat.colour_map.placeholderText()) == (-1, "napari's magma")
    expected = layer.colormap.map(np.array([0.0, 0.25, 1.0]))
    for legend in legends:
        np.testing.assert_allclose(legend.colours[[0, 8, 16]], expected, atol=0.01)
    # What was chosen there outlives the next change here.
    heat.top_percent.setValue(5)
    assert (layer.colormap.name, layer.opacity) == ("magma", pytest.approx(0.3))
    WindowActions(view.workspace).next_colours()
    assert layer.colormap.name.endswith(" viridis")
    assert heat.colour_map.currentText() == "viridis"


@pytest.mark.one_window(last=True)
def test_a_map_that_was_taken_away_is_drawn_again(taught, dock, viewer, qtbot) -> None:
    view = dock("View and heatmap")
    heat, pathway = view.heat, view.workspace.prediction.teacher.pathways[1]
    heat.opacity.setValue(40)

    def again() -> None:
        layer = map_of(viewer)
        assert layer.opacity == pytest.approx(0.4)
        assert heat.shown.isChecked()
        boxes = slide_layers.overlay(viewer, view.workspace.slide, "boxes")
        assert viewer.layers.index(layer) == viewer.layers.index(boxes) - 1, "the boxes are read above it"
        viewer.layers.remove(layer)
        assert not heat.shown.isChecked()
        assert heat.what.text() == MAP_TAKEN_AWAY

    again()
    heat.shown.click()
    again()
    WindowActions(view.workspace).toggle_map()
    again()
    view.workspace.set_look(source=pathway)
    np.testing.assert_array_equal(
        map_of(viewer).data, heatmap(view.workspace.prediction, source=pathway).image
    )
    assert "patches drawn" in heat.what.text()


@pytest.mark.one_window
def test_sources_are_offered_only_where_there_are_any(taught, dock, viewer) -> None:
    view = dock("View and heatmap")
    prediction = view.workspace.prediction
    pathway = prediction.teacher.pathways[1]
    offered = [view.heat.source.itemText(index) for index in range(view.heat.source.count())]
    assert offered[:2] == ["Student (slide alone)", "Teacher (with expression)"]
    assert short_name(pathway) in offered
    view.heat.source.setCurrentIndex(view.heat.source.findData(pathway))
    view.heat.source.activated.emit(0)
    np.testing.assert_array_equal(map_of(viewer).data, heatmap(prediction, source=pathway).image)


@pytest.mark.one_window
def test_the_teachers_risk_stands_beside_the_students_headline(taught, dock) -> None:
    prediction, survival = taught.workspace.prediction, dock("Survival")
    for panel, label in ((taught, taught.result.teacher), (survival, survival.teacher)):
        assert label.isVisibleTo(panel)
        assert "Percentile, group and curve are the student's" in label.text()
        assert f"a risk of {prediction.teacher.risk:.3f}" in label.text()
        assert "no percentile" in label.text(), "the bundle keeps no risks to rank it among"
    assert taught.result.percentile.text() == f"{prediction.risk_percentile:.0f}"


@pytest.mark.one_window
def test_without_expression_no_teacher_is_spoken_of(predicted, dock) -> None:
    survival = dock("Survival")
    assert not predicted.result.teacher.isVisibleTo(predicted)
    assert not survival.teacher.isVisibleTo(survival)


@pytest.mark.one_window
def test_the_gallery_flies_and_marks(predicted, dock, viewer, qtbot, spin) -> None:
    gallery = dock("Top patches")
    spin(lambda: gallery.view.n_pictures == 5)
    best = top_patches(gallery.workspace.prediction, 5)
    assert [card.patch for card in gallery.view.cards] == list(best)
    place = gallery.view.cards[2].box.center().toPoint()
    # Sent to the widget itself: a real pointer that stands there already would tell of no move.
    none = Qt.MouseButton.NoButton
    move = QMouseEvent(QEvent.Type.MouseMove, QPointF(place), none, none, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(gallery.view, move)
    spin(lambda: slide_layers.overlay(viewer, gallery.workspace.slide, "mark") is not None)
    frame = slide_layers.overlay(viewer, gallery.workspace.slide, "mark")
    assert frame.data[0].min(axis=0) + 0.5 == pytest.approx(best[2].xy_level0[::-1])
    qtbot.mouseClick(gallery.view, Qt.MouseButton.LeftButton, pos=place)
    field = navigation.field_of(viewer, gallery.workspace.slide)
    centre = [corner + size / 2 for corner, size in zip(best[2].xy_level0, best[2].size_level0, strict=True)]
    np.testing.assert_allclose(field.mean(axis=0), centre, atol=1)
    gallery.view.leaveEvent(None)
    assert not frame.visible
    gallery.number.setValue(12)
    gallery.end.setCurrentIndex(1)
    gallery.end.activated.emit(1)
    spin(lambda: gallery.view.n_pictures == 12)
    least = gallery.view.cards[0].patch
    assert percentile_ranks(gallery.workspace.prediction.patch_scores)[least.row] == 0


@pytest.mark.one_window
def test_a_patch_is_marked_again_after_a_model_without_a_result_was_chosen(  # noqa: PLR0917 (fixtures)
    predicted, dock, viewer, bundle_path, other_bundle_path, spin
) -> None:
    gallery, workspace = dock("Top patches"), predicted.workspace
    patch = gallery.view.cards[0].patch
    gallery.view.hovered.emit(patch)
    for show in (lambda: gallery.view.hovered.emit(patch), lambda: WindowActions(workspace).step_patch(1)):
        predicted.bundle_path = other_bundle_path
        assert slide_layers.overlay(viewer, workspace.slide, "mark") is None
        predicted.bundle_path = bundle_path
        spin(lambda: slide_layers.overlay(viewer, workspace.slide, "map") is not None)
        show()
        assert slide_layers.overlay(viewer, workspace.slide, "mark").visible


@pytest.mark.one_window
def test_pictures_that_come_late_are_not_shown_for_the_patches_asked_for_since(
    predicted, dock, qtbot, spin, monkeypatch
) -> None:
    gallery, tasks = dock("Top patches"), predicted.session.tasks
    spin(lambda: gallery.view.n_pictures == 5)
    tell, read, told, go = tasks._tell, gallery_widget._read_all, threading.Event(), threading.Event()
    monkeypatch.setattr(tasks, "_tell", lambda event: (tell(event), told.set()))
    gallery._show()
    assert told.wait(10)  # the window has the pictures on their way, and has not heard of them
    monkeypatch.setattr(gallery_widget, "_read_all", lambda *given: (go.wait(10), read(*given))[1])
    gallery.number.setValue(12)
    qtbot.wait(50)
    assert gallery.view.n_pictures == 0
    go.set()
    spin(lambda: gallery.view.n_pictures == 12)


@pytest.mark.one_window
def test_a_panel_ends_by_its_x_and_not_where_it_is_floated_or_moved(  # noqa: PLR0917 (fixtures)
    predicted, dock, viewer, qtbot, spin, monkeypatch
) -> None:
    gallery, workspace, before = dock("Top patches"), predicted.workspace, list(predicted.workspace.panels)
    spin(lambda: gallery.view.n_pictures == 5)
    for floating in (True, False):
        dock_of(gallery).setFloating(floating)
        qtbot.wait(20)
    viewer.window.remove_dock_widget(gallery)
    viewer.window.add_dock_widget(gallery, name="moved")
    qtbot.wait(20)
    assert gallery.isVisible()
    close_by_x(gallery, spin)
    assert [id(panel) for panel in workspace.panels] == [
        id(panel) for panel in before if panel is not gallery
    ]
    monkeypatch.setattr(gallery_widget, "_read_all", lambda *given: pytest.fail("read for a closed panel"))
    workspace.prediction_changed.emit()
    again = dock("Top patches")
    assert again is not gallery
    monkeypatch.undo()
    again._show()
    spin(lambda: again.view.n_pictures == 5)


@pytest.mark.one_window
def test_the_gallery_flies_to_its_patch_under_napari_s_transpose_button_too(
    predicted, dock, viewer, qtbot, spin
) -> None:
    gallery, slide = dock("Top patches"), predicted.workspace.slide
    spin(lambda: gallery.view.n_pictures == 5)
    viewer.dims.transpose()
    card = gallery.view.cards[2]
    qtbot.mouseClick(gallery.view, Qt.MouseButton.LeftButton, pos=card.box.center().toPoint())
    (x, y), (width, height) = card.patch.xy_level0, card.patch.size_level0
    middle = slide.data_to_world((y + height / 2 - 0.5, x + width / 2 - 0.5))
    # The canvas shows columns downwards now, so the camera is told of them first.
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], middle[::-1], atol=0.01)
    field = navigation.field_of(viewer, slide)
    np.testing.assert_allclose(field.mean(axis=0), (x + width / 2, y + height / 2), atol=1)
    # Clockwise on the canvas from its upper left: across lie rows, down lie columns.
    assert field[1, 1] > field[0, 1]
    assert field[2, 0] > field[1, 0]


@pytest.mark.one_window
def test_the_gallery_offers_a_pathway_that_is_chosen_while_it_is_open(taught, dock, spin) -> None:
    gallery, pathways = dock("Top patches"), dock("Pathways")
    pathways.table.selectRow(1)
    name = pathways.pathway
    place = gallery.source.findData(name)
    assert place > 0
    assert gallery.source.currentData() == "both"
    pathways.table.selectRow(0)
    pathways.table.selectRow(1)
    assert [gallery.source.itemData(row) for row in range(gallery.source.count())].count(name) == 1
    gallery.source.setCurrentIndex(gallery.source.findData(name))
    gallery.source.activated.emit(gallery.source.currentIndex())
    best = top_patches(gallery.workspace.prediction, 5, source=name)
    assert [card.patch for card in gallery.view.cards] == list(best)


@pytest.mark.one_window
def test_teachers_and_students_patches_are_joined_where_they_coincide(taught, dock, spin) -> None:
    gallery = dock("Top patches")
    gallery.number.setValue(30)
    assert gallery.source.currentData() == "both"
    prediction = gallery.workspace.prediction
    shared = {patch.row for patch in top_patches(prediction, 30)} & {
        patch.row for patch in top_patches(prediction, 30, source="teacher")
    }
    assert {left.patch.row for left, _ in gallery.view.joined} == shared
    assert shared, "the example must hold some"
    assert all(left.source == "teacher" and right.source == "student" for left, right in gallery.view.joined)


@pytest.mark.one_window
def test_the_prediction_panels_legend_tells_raw_values_as_raw(predicted, dock, spin) -> None:
    workspace, result = predicted.workspace, predicted.result
    assert result.legend.labels == ("0", "50", "100")
    assert result.hint.text().startswith("Percentile within the slide.")
    view = dock("View and heatmap")
    workspace.set_look(kind="raw")
    layer = slide_layers.overlay(workspace.viewer, workspace.slide, "map")
    low, high = layer.contrast_limits
    assert (
        result.legend.labels
        == view.heat.legend.labels
        == (f"{low:.3g}", f"{(low + high) / 2:.3g}", f"{high:.3g}")
    )
    assert result.hint.text().startswith("Weight divided by the slide's mean.")
    workspace.set_look(kind="percentile")
    assert result.legend.labels == ("0", "50", "100")


@pytest.mark.one_window
def test_the_prediction_panel_says_whose_map_lies_on_the_slide(taught, dock, spin) -> None:
    workspace, hint, pathways = taught.workspace, taught.result.hint, dock("Pathways")
    spin(pathways.table.isVisible)
    pathways.table.selectRow(0)
    name = pathways.pathway.replace("_", " ")
    assert hint.text().startswith(f"The map of one pathway, {name}, not the student's. Percentile within")
    workspace.set_look(source="teacher", top_percent=5.0, smooth=True)
    assert hint.text().startswith("The teacher's map, not the student's. Percentile within the slide.")
    assert "Smoothed over neighbouring patches. Only the top 5 % is drawn." in hint.text()
    workspace.set_look(source="student", top_percent=100.0, smooth=False)
    assert hint.text().startswith("Percentile within the slide. What the model weighed")


@pytest.mark.one_window(last=True)
def test_switching_a_map_of_100_000_patches_keeps_its_layer(view, viewer, spin, record_property) -> None:
    """What changes is the layer's picture; how long that takes is measured by benchmarks/pathway_switching.py."""
    from dataclasses import replace

    workspace, slide = view.workspace, view.workspace.slide
    n, rng, small = 100_000, np.random.default_rng(0), view.workspace.prediction
    place = np.arange(n)
    bag = replace(
        small.bag,
        features=np.ones((n, small.bag.features.shape[1]), dtype=np.float32),
        coords=np.stack([place % 400, place // 400], axis=1) * 8,
        patch_size_level0=(8, 8),
        slide_index=np.zeros(n, dtype=np.int32),
    )
    large = replace(small, bag=bag, patch_scores=rng.random(n))
    asked = workspace.asked_with
    workspace.session._results.remember(Finished(asked, large, slide_layers.fingerprint_of(slide)))
    workspace.redraw_map()
    spin(lambda: map_of(viewer).loaded)
    layer, layers = map_of(viewer), list(viewer.layers)
    took: dict[str, list[float]] = {}
    for change in ({"kind": "raw"}, {"colour_map": "magma"}, {"opacity": 0.5}, {"top_percent": 20.0}) * 3:
        other = {"kind": "percentile", "colour_map": "viridis", "opacity": 1.0, "top_percent": 100.0}
        for values in (change, {name: other[name] for name in change}):
            start = time.perf_counter()
            workspace.set_look(**values)
            took.setdefault(next(iter(change)), []).append(time.perf_counter() - start)
            assert map_of(viewer) is layer
            assert list(viewer.layers) == layers
    assert np.isfinite(layer.data).sum() == n
    record_property("switching_ms", {name: round(1000 * min(times)) for name, times in took.items()})
