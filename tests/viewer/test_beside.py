"""Maps side by side: whose they are, what a change of the map costs them, and when they go; in real windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from closing import close_by_x
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from amkd_core.inference.maps import heatmap
from amkd_viewer import navigation
from amkd_viewer.beside_widget import beside_of, dock_of
from amkd_viewer.events import Finished
from amkd_viewer.waiting import settle
from amkd_viewer.wording import result_titles


def click(qtbot, button) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def raised(panel, spin) -> None:
    """Bring a panel's tab to the front."""
    dock_of(panel).raise_()
    spin(lambda: not panel.visibleRegion().isEmpty())


def in_background(panel, spin) -> None:
    spin(lambda: panel.visibleRegion().isEmpty())


def drawn(viewer) -> None:
    """Let everything be drawn once: what follows is about layers that were seen."""
    settle(viewer)
    viewer.screenshot(canvas_only=True, flash=False)


def titles(viewer) -> list[str]:
    return [canvas.title.text() for canvas in beside_of(viewer).row.canvases]


def layers(viewer) -> list:
    return [layer for canvas in beside_of(viewer).row.canvases for layer in canvas.model.layers]


@pytest.fixture
def compare(taught, dock, spin):
    """The comparison of a slide's teacher and student, in view."""
    panel = dock("Compare teacher and student")
    spin(lambda: panel.beside is not None)
    return panel


@pytest.mark.one_window
def test_a_change_of_the_map_restyles_what_is_there(compare, viewer, spin, monkeypatch) -> None:
    workspace, before = compare.workspace, layers(viewer)
    _, first, _, second = before
    workspace.set_look(opacity=0.4)
    assert [first.opacity, second.opacity] == [0.4, 0.4]
    workspace.set_look(kind="raw")
    for layer, source in ((first, "teacher"), (second, "student")):
        image = heatmap(workspace.prediction, source=source, kind="raw").image
        np.testing.assert_array_equal(layer.data, image)
        assert layer.contrast_limits == pytest.approx([np.nanmin(image), np.nanmax(image)])
    workspace.set_look(colour_map="magma")
    assert all("magma" in layer.colormap.name for layer in (first, second))
    navigation.turn(viewer, workspace.slide, 30)
    for layer in layers(viewer):
        np.testing.assert_allclose(
            layer.affine.affine_matrix[-3:, -3:], workspace.slide.affine.affine_matrix[-3:, -3:]
        )
    # Each canvas has its own source: that of the map on the slide is nothing to them.
    monkeypatch.setattr("amkd_viewer.compare_widget.described", lambda *given: pytest.fail("described anew"))
    workspace.set_look(source="teacher")
    assert [id(layer) for layer in layers(viewer)] == [id(layer) for layer in before]


@pytest.mark.one_window
def test_a_comparison_in_the_background_waits_until_it_is_seen(
    compare, viewer, dock, spin, monkeypatch
) -> None:
    workspace, before = compare.workspace, layers(viewer)
    pathways = dock("Pathways")
    in_background(compare, spin)
    with monkeypatch.context() as closed:
        for name in ("described", "show_beside", "end_beside", "result_titles"):
            closed.setattr(
                f"amkd_viewer.compare_widget.{name}", lambda *given, **options: pytest.fail("no work")
            )
        pathways.table.selectRow(1)
        workspace.set_look(opacity=0.4)
        workspace.prediction_changed.emit()
    assert before[1].opacity == 1
    raised(compare, spin)
    spin(lambda: before[1].opacity == 0.4)
    assert [id(layer) for layer in layers(viewer)] == [id(layer) for layer in before]


def test_the_dock_is_of_the_panel_that_was_asked_last(compare, viewer, dock, qtbot, spin) -> None:
    workspace = compare.workspace
    assert titles(viewer) == ["Teacher: first, random", "Student: first, random"]
    pathways = dock("Pathways")
    in_background(compare, spin)
    for place in range(3):
        pathways.table.selectRow(place)
        click(qtbot, pathways.pin_button)
    click(qtbot, pathways.beside_button)
    pinned = titles(viewer)
    assert len(pinned) == 3
    assert all(title.endswith(": first, random") for title in pinned)
    assert compare.beside is None
    pathways.table.selectRow(3)
    raised(compare, spin)
    workspace.set_look(opacity=0.6)
    workspace.prediction_changed.emit()
    assert titles(viewer) == pinned
    click(qtbot, compare.show_button)
    assert titles(viewer) == ["Teacher: first, random", "Student: first, random"]
    beside = beside_of(viewer)
    (hide,) = [button for button in dock_of(beside).findChildren(QPushButton) if button.isVisible()]
    click(qtbot, hide)
    workspace.set_look(opacity=0.7)
    assert not beside.is_shown
    click(qtbot, compare.show_button)
    assert beside.is_shown
    dock_of(compare).close()
    spin(lambda: beside_of(viewer) is None)
    dock_of(compare).show()
    in_background(compare, spin)  # where a tab comes back to
    raised(compare, spin)
    spin(lambda: compare.beside is not None)
    close_by_x(compare, spin)
    spin(lambda: beside_of(viewer) is None)


def test_a_comparison_goes_with_its_slide(compare, viewer, spin) -> None:
    drawn(viewer)
    viewer.layers.remove(compare.workspace.slide)
    spin(lambda: beside_of(viewer) is None)
    assert "not two maps to compare" in compare.missing.text()
    assert not compare.left.isVisible()


def test_pinned_pathways_name_their_slide_and_go_with_it(  # noqa: PLR0917 (fixtures)
    taught, viewer, dock, second_slide_path, qtbot, spin
) -> None:
    workspace, pathways = taught.workspace, dock("Pathways")
    first = workspace.slide
    drawn(viewer)
    pathways.table.selectRow(1)
    name = pathways.pathway
    click(qtbot, pathways.pin_button)
    click(qtbot, pathways.beside_button)
    taught.open_slide(second_slide_path)
    spin(lambda: workspace.slide is not first and workspace.slide is not None)
    assert titles(viewer) == [f"{name.replace('_', ' ')}: first, random"]
    assert pathways.pinned == []
    workspace.choose(first)
    assert pathways.pinned == [name]
    assert "Pinned (1 of 3)" in pathways.pins.text()
    assert titles(viewer)
    workspace.choose(workspace.slides[-1])
    viewer.layers.remove(first)
    spin(lambda: beside_of(viewer) is None)


def test_pinned_pathways_of_an_earlier_result_go_and_no_other_models_result_takes_their_place(  # noqa: PLR0917
    taught, viewer, dock, other_bundle_path, bundle_path, qtbot, spin
) -> None:
    pathways, workspace = dock("Pathways"), taught.workspace
    pathways.table.selectRow(1)
    click(qtbot, pathways.pin_button)
    click(qtbot, pathways.beside_button)
    taught.bundle_path = other_bundle_path
    assert workspace.prediction is None
    assert beside_of(viewer) is None, "maps of a model that is not chosen"
    remember(taught, replace(workspace.session.result(workspace.fingerprint)))
    taught.bundle_path = bundle_path
    pathways.table.selectRow(1)
    click(qtbot, pathways.beside_button)
    workspace.prediction_changed.emit()
    assert beside_of(viewer) is not None, "the other model's result is newer, and shown nowhere"
    remember(taught, replace(workspace.prediction))
    spin(lambda: beside_of(viewer) is None)
    assert len(pathways.pinned) == 1


def test_two_models_of_one_name_and_two_regions_are_told_apart_and_a_choice_stays(taught, dock, spin) -> None:
    compare, workspace = dock("Compare teacher and student"), taught.workspace
    spin(lambda: compare.beside is not None)
    first = workspace.prediction
    other = replace(first, provenance=with_model(first, "f" * 64), teacher=None)
    remember(taught, other)
    own = first.provenance["bundle"]["sha256"][:8]
    offered = [compare.left.itemText(place) for place in range(compare.left.count())]
    assert offered == [
        "Student: first, random (ffffffff)", f"Student: first, random ({own})",
        f"Teacher: first, random ({own})",
    ]  # fmt: skip
    assert (compare.left.currentText(), compare.right.currentText()) == (offered[2], offered[1])
    for box, title in ((compare.left, offered[1]), (compare.right, offered[0])):
        box.setCurrentText(title)
        box.activated.emit(box.currentIndex())
    workspace.choose(workspace.slide)
    assert (compare.left.currentText(), compare.right.currentText()) == (offered[1], offered[0])
    remember(taught, other)  # the titles change; what was chosen does not
    assert compare.left.currentText() == offered[1]
    assert compare.right.currentText().startswith(offered[0])


def test_results_that_differ_in_nothing_but_their_order_are_numbered(taught) -> None:
    prediction = taught.workspace.prediction
    again = replace(prediction)
    assert result_titles([(again, "student"), (prediction, "teacher"), (prediction, "student")]) == [
        "Student: first, random, result 2", "Teacher: first, random, result 1",
        "Student: first, random, result 1",
    ]  # fmt: skip
    some = np.zeros(len(prediction.bag), dtype=bool)
    some[:3] = True
    part = replace(prediction, bag=prediction.bag.subset(some))
    assert result_titles([(part, "student"), (prediction, "student")]) == [
        "Student: first, random, 3 patches", f"Student: first, random, {len(prediction.bag)} patches",
    ]  # fmt: skip


def with_model(prediction, sha256: str) -> dict:
    return {**prediction.provenance, "bundle": {**prediction.provenance["bundle"], "sha256": sha256}}


def remember(panel, prediction) -> None:
    """Have the session hold a result as if it had just been computed."""
    session, fingerprint = panel.session, panel.workspace.fingerprint
    asked = replace(session.asked_with(fingerprint), bundle_path=panel.workspace.bundle_path)
    session._results.remember(Finished(asked, prediction, fingerprint))
    panel.workspace.prediction_changed.emit()
