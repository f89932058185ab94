"""Regions count where they are seen, whatever becomes of their layer; the panel says what its result is of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from napari.layers import _layer_actions
from qtpy.QtCore import Qt

from amkd_core.inference.region import rows_inside
from amkd_core.notices import Notice
from amkd_viewer import navigation, regions, slide_layers
from amkd_viewer.region_outline_widget import OUTLINE_PX
from amkd_viewer.region_words import result_line

LEFT = np.array([[0, 0], [0, 1100], [2304, 1100], [2304, 0]], dtype=float)
SHIFT = np.array([[1.0, 0, 0], [0, 1, 600], [0, 0, 1]])
"""By 600 um, which are 1,200 pixels of the slide."""


def draw(panel, viewer, *shapes: np.ndarray):
    """Draw polygons, in (row, column), into the region of the slide in view."""
    panel.draw_button.click()
    region = regions.region_on(viewer, panel.workspace.slide)
    if shapes:
        region.add_polygons(list(shapes))
    region.mode = "pan_zoom"
    return region


def predict_from_it(panel, spin) -> np.ndarray:
    """Places of the patches that the region's result rests on."""
    before = panel.workspace.prediction
    panel.region_button.click()
    spin(lambda: panel.workspace.prediction is not before and panel.workspace.outcome is not None)
    return panel.workspace.prediction.bag.coords


def test_a_region_that_was_moved_is_predicted_where_it_is_seen_with_an_outline_of_one_width(
    predicted, dock, viewer, spin
) -> None:
    panel, whole = dock("Patient and region"), predicted.workspace.prediction.bag
    slide, region = predicted.workspace.slide, draw(panel, viewer, LEFT)
    np.testing.assert_array_equal(
        predict_from_it(panel, spin), whole.coords[rows_inside(whole, [LEFT[:, ::-1]])]
    )
    assert not panel.changed.text()
    region.affine = SHIFT  # as napari's transform mode does
    assert "changed since this result" in panel.changed.text()
    moved = LEFT + np.array([0, 1200])
    np.testing.assert_array_equal(
        predict_from_it(panel, spin), whole.coords[rows_inside(whole, [moved[:, ::-1]])]
    )
    spin(lambda: not panel.changed.text())
    for angle in (30, 0):
        # It turns with the slide from where it is, and still covers the same tissue.
        navigation.turn(viewer, slide, angle)
        np.testing.assert_allclose(regions.polygons_on(viewer, slide)[0], moved[:, ::-1] + 0.5, atol=1e-3)
        assert not panel.changed.text()
    np.testing.assert_allclose(region.affine.affine_matrix, SHIFT, atol=1e-6)
    for name, value in (("scale", (0.25, 0.25)), ("translate", (9, 9)), ("rotate", 5), ("shear", [0.2])):
        before = getattr(region, name)
        setattr(region, name, value)
        assert "changed since this result" in panel.changed.text(), name
        setattr(region, name, before)
        assert not panel.changed.text(), name
    slide.affine = SHIFT  # takes the region along, so that it lies on the same tissue
    np.testing.assert_allclose(regions.polygons_on(viewer, slide)[0], moved[:, ::-1] + 0.5, atol=1e-3)
    assert not panel.changed.text()
    slide.affine = region.affine = np.eye(3)
    the_outline_is_as_wide_on_the_screen_at_every_magnification(region, viewer, spin)


def the_outline_is_as_wide_on_the_screen_at_every_magnification(region, viewer, spin) -> None:
    assert region.face_color[0][3] < 0.05

    def widths() -> np.ndarray:
        on_screen = viewer.scene.camera.zoom * region.scale[0]
        return np.array([*region.edge_width, region.current_edge_width]) * on_screen

    np.testing.assert_allclose(widths(), OUTLINE_PX, rtol=0.05)
    for zoom in (0.05, 8):
        viewer.scene.camera.zoom = zoom
        spin(lambda: np.allclose(widths(), OUTLINE_PX, rtol=0.05))
    region.data = [LEFT, LEFT / 2]
    region.scale = (1.0, 1.0)
    spin(lambda: np.allclose(widths(), OUTLINE_PX, rtol=0.05))


def test_the_result_line_is_of_the_slide_in_view_and_the_chosen_side_and_says_what_speaks_against_it(  # noqa: PLR0917 (fixtures)
    predicted, dock, viewer, second_slide_path, other_bundle_path, spin
) -> None:
    panel, workspace = dock("Patient and region"), predicted.workspace
    first, plain = workspace.slide, workspace.prediction
    assert panel.outcome.text().startswith("first: ")
    region = draw(panel, viewer, LEFT)
    predict_from_it(panel, spin)
    assert "a region that the user chose" in panel.outcome.text()
    assert panel.drawn.text() == "first: 1 region"
    panel.mode.setCurrentIndex(1)
    assert "changed since this result, which is of the tissue inside the region" in panel.changed.text()
    predict_from_it(panel, spin)
    spin(lambda: not panel.changed.text())
    assert "a region that the user left out" in panel.outcome.text()
    panel.mode.setCurrentIndex(0)
    assert "of the tissue outside the region" in panel.changed.text()
    predicted.open_slide(second_slide_path)
    spin(lambda: workspace.slide.name == "second")
    assert not panel.outcome.text()
    assert not panel.changed.text()
    workspace.choose(first)
    assert "left out" in panel.outcome.text()
    panel.mode.setCurrentIndex(1)
    assert not panel.changed.text()
    for place in range(2):  # ticked slides are of what comes next, the result in view is this slide's
        panel.slides.item(place).setCheckState(Qt.CheckState.Checked)
    region.data = [LEFT / 2]
    assert "changed since this result" in panel.changed.text()
    panel.slides.item(1).setCheckState(Qt.CheckState.Unchecked)
    viewer.layers.remove(region)
    spin(lambda: panel.outcome.text() and "region" not in panel.outcome.text())
    assert not panel.drawn.text()
    predicted.bundle_path = other_bundle_path
    assert not panel.outcome.text()
    plain = replace(plain, notices=(Notice("research_only", "Research."),))
    the_result_line_says_what_speaks_against_it(panel, plain)


def the_result_line_says_what_speaks_against_it(panel, plain) -> None:
    workspace = panel.workspace
    group = f"{plain.risk_group} risk"
    assert result_line(plain).startswith(f"first: {group}. Higher predicted risk than ")
    assert "Notices" not in result_line(plain)
    for percentile, words in (
        (0.0, "none"),
        (0.3, "less than 1 %"),
        (99.7, "more than 99 %"),
        (100.0, "all"),
    ):
        assert f" risk than {words} of the " in result_line(replace(plain, risk_percentile=percentile))
    doubtful = replace(plain, notices=(Notice("coarse_scale", "Coarse."), Notice("not_he", "It is not.")))
    workspace.session._results._kept.clear()
    workspace.session.result = lambda *_: doubtful
    workspace.prediction_changed.emit()
    assert panel.outcome.text().startswith(f"first: doubtful: {group}. ")
    assert panel.outcome.text().endswith(" Notices: not H&E, coarse scan.")


def test_shapes_of_other_layers_can_become_the_region_and_a_copy_of_it_is_the_users_own(  # noqa: PLR0917 (fixtures)
    predicted, dock, viewer, tmp_path, qtbot, spin, monkeypatch
) -> None:
    panel, slide = dock("Patient and region"), predicted.workspace.slide
    whole = predicted.workspace.prediction.bag
    assert panel.take.isHidden()
    viewer.layers.remove(a_copy_that_is_the_users_own(predicted, panel, viewer, spin, monkeypatch))
    assert panel.take.isHidden()
    um = LEFT * 0.5
    other = viewer.add_shapes([um], shape_type="polygon", name="tumour", units=("um", "um"))
    viewer.add_shapes([[[0, 0], [90, 90]]], shape_type="line", name="a line", units=("um", "um"))
    spin(panel.take.isVisible)
    assert panel.take.offered == [other], "neither the boxes nor what encloses nothing"
    panel.region_button.click()
    assert "copy the shapes of “tumour” into its region" in predicted.error.text()
    qtbot.mouseClick(panel.take.button, Qt.MouseButton.LeftButton)
    assert "1 shape is copied from “tumour” into “Region: first”, which counts" in panel.drawn.text()
    np.testing.assert_allclose(regions.polygons_on(viewer, slide)[0], LEFT[:, ::-1] + 0.5)
    np.testing.assert_array_equal(
        predict_from_it(panel, spin), whole.coords[rows_inside(whole, [LEFT[:, ::-1]])]
    )
    # Saved and read again, a region lies where it was drawn.
    region = regions.region_on(viewer, slide)
    region.save(str(tmp_path / "region.csv"))
    viewer.layers.remove(region)
    (read,) = viewer.open(str(tmp_path / "region.csv"), plugin="napari")
    viewer.layers.selection.active = read
    assert panel.take.box.currentText() == "region"
    qtbot.mouseClick(panel.take.button, Qt.MouseButton.LeftButton)
    np.testing.assert_allclose(regions.polygons_on(viewer, slide)[0], LEFT[:, ::-1] + 0.5)
    # Moved by the user it is taken as it is seen, into a region that was moved as well.
    regions.region_on(viewer, slide).affine = SHIFT
    read.scale = (0.25, 0.25)
    qtbot.mouseClick(panel.take.button, Qt.MouseButton.LeftButton)
    np.testing.assert_allclose(regions.polygons_on(viewer, slide)[1], LEFT[:, ::-1] / 2 + 0.5, atol=1e-3)


def a_copy_that_is_the_users_own(predicted, panel, viewer, spin, monkeypatch):
    """Of a region that is gone again."""
    told = []
    monkeypatch.setattr("amkd_viewer.workspace_widget.show_info", told.append)
    slide = predicted.workspace.slide
    region = draw(panel, viewer, LEFT)
    viewer.layers.selection.active = region
    _layer_actions._duplicate_layer(viewer.layers)
    copy = next(layer for layer in viewer.layers if layer.name == "Region: first copy")
    assert "“Region: first copy” is a copy of a region and does not count as one" in told[0]
    assert slide_layers.role_of(region) == "region"
    assert not slide_layers.role_of(copy)
    assert panel.take.offered == [copy]
    copy.add_polygons([LEFT / 2])
    assert len(regions.polygons_on(viewer, slide)) == 1
    viewer.layers.remove(region)
    assert regions.region_on(viewer, slide) is None, "the copy is not adopted"
    spin(lambda: not panel.drawn.text())
    return copy


def test_the_slide_without_scale_is_named_and_a_moved_region_stays_on_its_tissue_when_it_is_given_one(
    predicted, dock, viewer, slide_without_scale, spin
) -> None:
    panel, first = dock("Patient and region"), predicted.workspace.slide
    predicted.open_slide(slide_without_scale)
    spin(lambda: panel.slides.count() == 2)
    predicted.workspace.choose(first)
    for place in range(2):
        panel.slides.item(place).setCheckState(Qt.CheckState.Checked)
    panel.together_button.click()
    assert panel.error.text().startswith(
        "unscaled does not tell its scale; bring it into view and enter its micrometres per pixel in Predict"
    )
    first.name = "another name"
    assert [panel.slides.item(place).text() for place in range(2)] == ["another name", "unscaled"]
    assert panel.chosen == predicted.workspace.slides
    a_moved_region_stays_on_its_tissue(panel, predicted, viewer)


def a_moved_region_stays_on_its_tissue(patient, panel, viewer) -> None:
    slide = panel.workspace.slides[1]
    panel.workspace.choose(slide)
    region = draw(patient, viewer, LEFT[:, ::-1] / 4)
    region.affine = SHIFT
    (before,) = regions.polygons_on(viewer, slide)
    panel.inputs.mpp.setValue(0.5)
    assert tuple(region.scale) == (0.5, 0.5)
    np.testing.assert_allclose(regions.polygons_on(viewer, slide)[0], before)
