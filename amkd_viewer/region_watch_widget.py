"""Tells when nothing is drawn on a slide any more, so that no result stands for a region that nobody sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from amkd_viewer import slide_layers
from amkd_viewer.layer_ears import LayerEars, hear_while
from amkd_viewer.layer_facts import in_role

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.utils.events import Event


class RegionWatch(QObject):
    """Hears when a slide's region is gone: its layer was taken away, or the last shape in it.

    Parameters
    ----------
    viewer
        Whose layers.
    parent
        It hears for as long as this lives, or until `release`.
    gone
        Called with the slide's fingerprint.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject, *, gone: Callable[[str], None]) -> None:
        super().__init__(parent)
        self._viewer, self._gone = viewer, gone
        self._released = False
        self._ears = LayerEars(self, ("data",), self._on_data)
        for emitter in (viewer.layers.events.inserted, viewer.layers.events.removed):
            hear_while(self, emitter, self._on_listed)
        self._hear()

    def release(self) -> None:
        """Hear nothing more."""
        self._released = True
        self._ears.hear(())

    def _hear(self) -> None:
        self._ears.hear(layer for layer in self._viewer.layers if slide_layers.role_of(layer) == "region")

    def _on_listed(self, event: Event) -> None:
        if self._released or slide_layers.role_of(event.value) != "region":
            return
        self._hear()
        if event.type == "removed":
            self._gone(slide_layers.fingerprint_of(event.value))

    def _on_data(self, event: Event) -> None:
        layer: Any = event.source
        fingerprint = slide_layers.fingerprint_of(layer)
        counts = in_role("region", fingerprint, self._viewer.layers)[:1]  # and no duplicate of the user's
        if not len(layer.data) and counts and counts[0] is layer:
            self._gone(fingerprint)
