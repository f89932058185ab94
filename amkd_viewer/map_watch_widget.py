"""The map as napari's own controls and list of layers leave it is followed by ours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from amkd_viewer import slide_layers
from amkd_viewer.layers import is_known_colour_map, look_colours
from amkd_viewer.shown_map import draw_map_again, map_of

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event

    from amkd_viewer.workspace_widget import Workspace

_SHOWN_BY = frozenset({"visible", "opacity", "colormap", "contrast_limits", "gamma"})
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
        emitter, slot = workspace.viewer.layers.events, self._on_layer_event
        emitter.connect(slot)
        parent.destroyed.connect(lambda: emitter.disconnect(slot))
        workspace.look_changed.connect(self._on_look_changed)

    def _on_layer_event(self, event: Event) -> None:
        if event.type == "removed":
            layer = event.value
            own = slide_layers.fingerprint_of(layer) == self._workspace.fingerprint
            if own and slide_layers.role_of(layer) == "map":
                self.changed.emit()
        elif event.type in _SHOWN_BY and event.sources[0] is map_of(self._workspace):
            self._take_over(event.sources[0], event.type)
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
            draw_map_again(self._workspace)
