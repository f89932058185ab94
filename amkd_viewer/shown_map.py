"""The map's layer of the slide that is looked at, and how it comes back where it was taken away; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_core.errors import AmkdError
from amkd_viewer import slide_layers
from amkd_viewer.layers import prediction_layers

if TYPE_CHECKING:
    from napari.layers import Layer

    from amkd_viewer.workspace_widget import Workspace


def map_of(workspace: Workspace) -> Layer | None:
    """The map's layer of the slide that is looked at."""
    slide = workspace.slide
    return None if slide is None else slide_layers.overlay(workspace.viewer, slide, "map")


def draw_map_again(workspace: Workspace) -> None:
    """Draw the map of the slide that is looked at from its kept result, where its layer was taken away."""
    slide, prediction, viewer = workspace.slide, workspace.prediction, workspace.viewer
    mpp = None if slide is None else slide_layers.mpp_of(slide)
    if slide is None or prediction is None or mpp is None or not prediction.has_map:
        return
    if map_of(workspace) is not None:
        return
    fingerprint = slide_layers.fingerprint_of(slide)
    try:
        heat, _ = prediction_layers(
            prediction, mpp=mpp, fingerprint=fingerprint, name=slide.name, look=workspace.look
        )
    except AmkdError as error:
        workspace.fail(error)
        return
    layer = slide_layers.draw_overlay(viewer, heat)
    boxes = slide_layers.overlay(viewer, slide, "boxes")
    if boxes is not None:  # their numbers are read above the map
        viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(boxes))
    workspace.drawn.emit()
