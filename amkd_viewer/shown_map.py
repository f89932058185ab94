"""The map's layer of the slide that is looked at; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_viewer import slide_layers

if TYPE_CHECKING:
    from napari.layers import Layer

    from amkd_viewer.workspace_widget import Workspace


def map_of(workspace: Workspace) -> Layer | None:
    """The map's layer of the slide that is looked at."""
    slide = workspace.slide
    return None if slide is None else slide_layers.overlay(workspace.viewer, slide, "map")
