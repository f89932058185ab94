"""The panels and napari's own list of layers tell of the same slide, and it is the one in view."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from amkd_viewer import in_view, navigation, slide_layers
from amkd_viewer.actions import WindowActions


def names_in_view(viewer) -> set[str]:
    return {layer.name for layer in viewer.layers if layer.visible}


def width_on_screen(viewer, slide) -> float:
    (_, left), (_, right) = slide.extent.world[:, -2:]
    return (right - left) * viewer.scene.camera.zoom


FIRST = {"first", "Attention: first", "Student's top patches: first"}


@pytest.fixture
def turned_to(two) -> Iterator[list[str]]:
    """Names of the slides that are chosen from here on."""
    names: list[str] = []

    def keep() -> None:
        names.append(getattr(two.workspace.slide, "name", ""))

    two.workspace.slide_changed.connect(keep)
    yield names
    two.workspace.slide_changed.disconnect(keep)


@pytest.mark.one_window
def test_a_slide_that_is_selected_in_naparis_list_is_looked_at(two, viewer, turned_to, qtbot, spin) -> None:
    first, second = two.workspace.slides
    viewer.layers.selection.active = slide_layers.overlay(viewer, first, "boxes")
    spin(lambda: two.workspace.slide is first)
    assert two.inputs.slides.currentText() == "first"
    assert two.result.isVisible()
    assert names_in_view(viewer) == FIRST
    assert slide_layers.role_of(in_view.selected(viewer)) == "boxes"
    viewer.layers.selection.active = second
    spin(lambda: two.workspace.slide is second)
    assert not two.result.isVisible()
    assert names_in_view(viewer) == {"second"}
    qtbot.wait(50)  # nothing of this turns back or comes twice
    assert turned_to == ["first", "second"]


@pytest.mark.one_window
def test_a_slide_that_is_alone_in_view_is_looked_at(two, viewer, turned_to, qtbot, spin) -> None:
    first, second = two.workspace.slides
    second.visible = False
    qtbot.wait(50)
    assert two.workspace.slide is second  # nothing else is in view
    first.visible = True
    spin(lambda: two.workspace.slide is first)
    assert names_in_view(viewer) == FIRST
    assert two.result.isVisible()
    second.visible = True  # both: the first is looked at as before
    qtbot.wait(50)
    assert turned_to == ["first"]
    # What is said of the place under the cursor is of the slide in view.
    assert slide_layers.heat_at(viewer, two.workspace.slide, (-100.0, -100.0)) is None


def test_the_list_follows_the_panel_and_a_layer_that_goes_turns_to_nobody(
    two, viewer, turned_to, qtbot, spin
) -> None:
    first, second = two.workspace.slides
    two.inputs.slides.setCurrentIndex(0)
    assert in_view.selected(viewer) is slide_layers.overlay(viewer, first, "map")
    two.workspace.choose(second)
    assert in_view.selected(viewer) is second
    viewer.layers.move(viewer.layers.index(second), 1)
    points = viewer.add_points(np.zeros((1, 2)), name="my own")
    qtbot.wait(50)
    assert two.workspace.slide is second
    viewer.layers.remove_selected()
    assert points not in viewer.layers
    assert slide_layers.fingerprint_of(in_view.selected(viewer)) == first.metadata["amkd"]["fingerprint"]
    spin(lambda: in_view.selected(viewer) is second)
    assert two.workspace.slide is second
    assert turned_to == ["first", "second"]


@pytest.mark.one_window
def test_a_map_that_the_user_hid_stays_hidden(two, viewer) -> None:
    first, second = two.workspace.slides
    two.workspace.choose(first)
    slide_layers.overlay(viewer, first, "map").visible = False
    for slide in (second, first):
        two.workspace.choose(slide)
    assert names_in_view(viewer) == FIRST - {"Attention: first"}
    for layer in list(viewer.layers):  # as "show only this layer" does
        layer.visible = layer is second
    for slide in (second, first):
        two.workspace.choose(slide)
    assert names_in_view(viewer) == FIRST


@pytest.mark.one_window
def test_a_slide_has_its_new_name_in_the_panels(two, dock, viewer) -> None:
    information = dock("Slide information")
    viewer.layers["first"].name = "renamed"
    for box in (two.inputs.slides, information.slides):
        assert [box.itemText(place) for place in range(box.count())] == ["renamed", "second"]
        assert box.currentText() == "second"


@pytest.mark.one_window
def test_what_lies_on_a_slide_is_renamed_with_it_unless_the_user_named_it(two, viewer) -> None:
    first = two.workspace.slides[0]
    slide_layers.overlay(viewer, first, "boxes").name = "my boxes"
    first.name = "renamed"
    assert slide_layers.overlay(viewer, first, "map").name == "Attention: renamed"
    assert slide_layers.overlay(viewer, first, "boxes").name == "my boxes"
    first.name = "again"
    assert slide_layers.overlay(viewer, first, "map").name == "Attention: again"


@pytest.mark.one_window(last=True)
def test_each_slide_has_its_own_camera(two, viewer, slide_without_scale, spin) -> None:
    workspace, camera = two.workspace, viewer.scene.camera
    first, second = workspace.slides
    _, canvas = viewer.canvas.size
    workspace.choose(first)
    assert width_on_screen(viewer, first) > canvas / 2
    navigation.move_to(viewer, first, (2000, 300))
    navigation.magnify(viewer, 20)
    left = (camera.center, camera.zoom)
    workspace.choose(second)
    assert width_on_screen(viewer, second) > canvas / 2
    seen = (camera.center, camera.zoom)
    assert seen != left
    viewer.layers.selection.active = slide_layers.overlay(viewer, first, "map")
    spin(lambda: workspace.slide is first)
    assert (camera.center, camera.zoom) == left
    # Another slide is opened, seen whole, and closed: the one before is as it was left.
    (third,) = viewer.open(slide_without_scale, plugin="amkd-viewer")
    assert width_on_screen(viewer, third) < canvas
    assert camera.zoom < 1
    viewer.layers.remove(third)
    spin(lambda: workspace.slide is not None)
    workspace.choose(first)
    assert (camera.center, camera.zoom) == left
    workspace.choose(second)
    assert (camera.center, camera.zoom) == seen
    # One that is closed and opened again is seen whole.
    navigation.magnify(viewer, 40)
    path = slide_layers.info_of(second).path
    viewer.layers.remove(second)
    (second,) = viewer.open(path, plugin="amkd-viewer")
    assert width_on_screen(viewer, second) < canvas


def test_a_panel_that_is_opened_leaves_the_camera_alone(viewer, slide_path, dock) -> None:
    (slide,) = viewer.open(slide_path, plugin="amkd-viewer")
    viewer.scene.camera.zoom = 0.7
    panel = dock("View and heatmap")
    assert panel.workspace.slide is slide
    assert viewer.scene.camera.zoom == 0.7
    panel.workspace.session.close()


def test_slide_information_is_of_the_slide_that_is_looked_at(
    panel, dock, viewer, slide_path, slide_without_scale
) -> None:
    information = dock("Slide information")
    (unscaled,) = viewer.open(slide_without_scale, plugin="amkd-viewer")
    (scaled,) = viewer.open(slide_path, plugin="amkd-viewer")
    assert "3,072 × 2,304" in information.facts.text
    panel.workspace.choose(unscaled)
    assert "1,536 × 1,536" in information.facts.text
    information.mpp.setValue(0.25)
    assert slide_layers.mpp_of(unscaled) == (0.25, 0.25)
    assert "0.25 µm per pixel, given by you" in information.facts.text
    information.slides.setCurrentIndex(1)
    assert panel.workspace.slide is scaled
    assert panel.inputs.slides.currentText() == "first"


def test_a_second_copy_bears_the_map_when_the_first_is_taken_away(
    predicted, viewer, slide_path, spin
) -> None:
    workspace = predicted.workspace
    first = workspace.slide
    (copy,) = viewer.open(slide_path, plugin="amkd-viewer")
    assert [slide_layers.role_of(layer) for layer in viewer.layers] == ["slide", "slide", "map", "boxes"]
    assert workspace.slide is copy
    assert not first.visible
    spin(lambda: copy.loaded)
    viewer.layers.remove(first)
    spin(lambda: workspace.slide is copy)
    assert [slide_layers.role_of(layer) for layer in viewer.layers] == ["slide", "map", "boxes"]
    assert all(layer.visible for layer in viewer.layers)


def test_the_slide_that_is_looked_at_is_fitted_whatever_else_is_open(  # noqa: PLR0917 (fixtures)
    panel, dock, viewer, slide_path, second_slide_path, qtbot
) -> None:
    (first,) = viewer.open(slide_path, plugin="amkd-viewer")
    slide_layers.restate_mpp(viewer, first, (50.0, 50.0))
    (second,) = viewer.open(second_slide_path, plugin="amkd-viewer")
    _, canvas = viewer.canvas.size
    assert width_on_screen(viewer, second) > canvas / 2
    view = dock("View and heatmap")
    viewer.reset_view()
    assert width_on_screen(viewer, second) < 20
    view.fit.click()
    assert width_on_screen(viewer, second) > canvas / 2
    viewer.reset_view()
    WindowActions(panel.workspace).fit()
    assert width_on_screen(viewer, second) > canvas / 2
    # A slide that is turned to is never out of view or a speck.
    panel.workspace.choose(first)
    navigation.move_to(viewer, first, (3000, 2000))
    panel.workspace.choose(second)
    assert width_on_screen(viewer, second) > canvas / 2
    zoom = viewer.scene.camera.zoom
    viewer.scene.camera.zoom = 3 * zoom
    panel.workspace.choose(second)
    assert viewer.scene.camera.zoom == 3 * zoom
