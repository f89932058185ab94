"""The map as napari's own controls and list of layers leave it is followed by ours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from amkd_viewer import slide_layers
from amkd_viewer.layer_ears import LayerEars, hear_while
from amkd_viewer.layers import is_known_colour_map, look_colours
from amkd_viewer.shown_map import map_of

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event

    from amkd_viewer.workspace_widget import Workspace

_SHOWN_BY = ("visible", "opacity", "colormap", "contrast_limits", "gamma")
"""Events of a layer after which it looks otherwise."""


class MapWatch(QObject):
    """Tells when the map of the slide that is looked at looks otherwise, and takes that over into the shared look.

    Without the latter the next change of ours would undo what the user chose in napari's controls.

    Parameters
    ----------
    workspace
        Whose map.
    parent
        It hears for as long as this widget lives.
    """

    changed = Signal()

    def __init__(self, workspace: Workspace, parent: QWidget) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._source = workspace.look.source
        self._ears = LayerEars(parent, _SHOWN_BY, self._on_map_event)
        for emitter in (workspace.viewer.layers.events.inserted, workspace.viewer.layers.events.removed):
            hear_while(parent, emitter, self._on_listed)
        workspace.slide_changed.connect(self._hear)
        workspace.look_changed.connect(self._on_look_changed)
        self._hear()

    def _hear(self) -> None:
        self._ears.hear([map_of(self._workspace)])

    def _on_listed(self, event: Event) -> None:
        """A layer came or went."""
        own = slide_layers.fingerprint_of(event.value) == self._workspace.fingerprint
        if own and slide_layers.role_of(event.value) == "map":
            self._hear()
            if event.type == "removed":
                self.changed.emit()

    def _on_map_event(self, event: Event) -> None:
        self._take_over(event.source, event.type)
        self.changed.emit()

    def _take_over(self, layer: Layer, what: str) -> None:
        look, changes = self._workspace.look, dict[str, Any]()
        if what == "opacity" and layer.opacity != look.opacity:
            changes["opacity"] = float(layer.opacity)
        colours = look_colours(layer.colormap.name)
        if what == "colormap" and colours != look.colour_map and is_known_colour_map(colours):
            changes["colour_map"] = colours
        if changes:
            # The layer shows it already: nothing is to be drawn anew.
            self._workspace.look = replace(look, **changes)
            self._workspace.look_changed.emit()

    def _on_look_changed(self) -> None:
        """Whoever chooses another map wants to see it, also where the layer was taken away."""
        before, self._source = self._source, self._workspace.look.source
        if before != self._source:
            self._workspace.draw_map_again()
