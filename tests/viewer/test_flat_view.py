"""In napari's 3D view, where shapes cannot be changed, results and regions still come, in 2D and whole."""

from __future__ import annotations

import pytest
from napari.utils.notifications import notification_manager

from amkd_core.inference.maps import top_patches
from amkd_viewer import slide_layers
from amkd_viewer.actions import WindowActions
from amkd_viewer.wording import FLAT_ONLY, MAP_FAULT


def told() -> list[str]:
    return [str(one.message) for one in notification_manager.records]


@pytest.fixture
def in_3d(predicted, viewer, qtbot):
    """The panel with a predicted slide, seen in three dimensions."""
    viewer.dims.ndisplay = 3
    qtbot.wait(300)
    notification_manager.records.clear()
    return predicted


def roles_in_order(viewer) -> list[str]:
    return [slide_layers.role_of(layer) for layer in viewer.layers]


def test_a_prediction_goes_back_to_the_2d_view_and_draws_all(in_3d, viewer, other_bundle_path, spin) -> None:
    workspace = in_3d.workspace
    in_3d.run()
    spin(lambda: in_3d.outcome is not None)
    assert in_3d.outcome is workspace.prediction
    assert viewer.dims.ndisplay == 2
    assert told() == [FLAT_ONLY]
    boxes = slide_layers.overlay(viewer, workspace.slide, "boxes")
    assert len(boxes.data) == 5
    viewer.dims.ndisplay = 3
    in_3d.bundle_path = other_bundle_path
    in_3d.run()
    spin(lambda: in_3d.outcome is not None)
    assert in_3d.outcome is workspace.prediction
    assert told() == [FLAT_ONLY] * 2
    assert roles_in_order(viewer) == ["slide", "map", "boxes"]
    boxes = slide_layers.overlay(viewer, workspace.slide, "boxes")
    best = top_patches(workspace.prediction, 1)[0]
    assert tuple(boxes.data[0].min(axis=0) + 0.5) == best.xy_level0[::-1]


@pytest.mark.one_window
def test_flights_to_patches_and_pointing_at_them(in_3d, viewer, dock, spin) -> None:
    slide = in_3d.workspace.slide
    patch = top_patches(in_3d.workspace.prediction, 1)[0]
    gallery = dock("Top patches")
    spin(lambda: bool(gallery.view.cards))
    gallery._on_patch_hovered(patch)
    gallery._on_patch_hovered(None)
    assert viewer.dims.ndisplay == 3  # who only points keeps his view
    assert told() == []
    actions = WindowActions(in_3d.workspace)
    for _ in range(2):
        viewer.dims.ndisplay = 3
        actions.step_patch(1)
        assert viewer.dims.ndisplay == 2
        assert slide_layers.overlay(viewer, slide, "mark").visible
    assert told() == [FLAT_ONLY] * 2
    viewer.dims.ndisplay = 3
    gallery._on_patch_clicked(patch)
    gallery._on_patch_hovered(patch)
    (mark,) = slide_layers.overlay(viewer, slide, "mark").data
    assert tuple(mark.min(axis=0) + 0.5) == patch.xy_level0[::-1]


@pytest.mark.one_window
def test_a_region_is_drawn_in_the_2d_view(in_3d, viewer, dock) -> None:
    panel = dock("Patient and region")
    for _ in range(2):
        viewer.dims.ndisplay = 3
        panel.draw_button.click()
        region = slide_layers.overlay(viewer, in_3d.workspace.slide, "region")
        assert viewer.dims.ndisplay == 2
        assert region.mode == "add_polygon"
        region.mode = "pan_zoom"


@pytest.mark.one_window(last=True)
def test_what_cannot_be_drawn_is_told_and_the_rest_is_drawn(predicted, viewer, spin, monkeypatch) -> None:
    boxes = slide_layers.overlay(viewer, predicted.workspace.slide, "boxes")
    drawn: list[str] = []
    draw = slide_layers.draw_overlay

    def failing(viewer, data):
        drawn.append(data[2])
        if data[2] == "image":
            raise ValueError("napari's own")
        return draw(viewer, data)

    monkeypatch.setattr(slide_layers, "draw_overlay", failing)
    notification_manager.records.clear()
    predicted.run()
    spin(lambda: predicted.outcome is predicted.workspace.prediction)
    assert drawn == ["image", "shapes"]
    assert told() == [MAP_FAULT.format(slide="first", kind="ValueError")]
    assert boxes in viewer.layers
