"""What the user does in napari's own list of layers, heard as what he means: another slide, another name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from amkd_viewer import in_view, slide_layers
from amkd_viewer.layer_ears import LayerEars

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event

    from amkd_viewer.workspace_widget import Workspace


class SlideFollower(QObject):
    """Tells which slide the user turns to by napari's list of layers.

    It is the slide that he selects, itself or by its map, boxes or region; and the only one that is left in view when
    he hides the one that was looked at. All that happens in one turn of the event loop counts once, when it is over:
    the window's own drawing selects and hides layers as well, and leaves the list as it found it.

    Parameters
    ----------
    workspace
        Of the window; it knows which slide is looked at.
    """

    turned_to = Signal(object)
    renamed = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace, self._viewer = workspace, workspace.viewer
        self._selected = self._removed = False
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._follow)
        layers = self._viewer.layers
        self._heard: list[tuple[Any, Callable[[Event], None]]] = [
            (layers.selection.events.active, self._on_selected),
            (layers.events.inserted, self._on_inserted),
            (layers.events.removed, self._on_removed),
        ]
        for emitter, slot in self._heard:
            emitter.connect(slot)
        self._seen = LayerEars(self, ("visible",), self._on_visible)
        self._named = LayerEars(self, ("name",), self._on_renamed)
        self._hear(workspace.slides)

    def release(self) -> None:
        """Hear nothing more."""
        self._turn.stop()
        for emitter, slot in self._heard:
            emitter.disconnect(slot)
        self._heard.clear()
        self._hear(())

    def _hear(self, slides: Sequence[Layer]) -> None:
        self._seen.hear(slides)
        self._named.hear(slides)

    def _on_selected(self, event: Event) -> None:
        self._selected = True
        self._turn.start()

    def _on_inserted(self, event: Event) -> None:
        self._hear(self._workspace.slides)

    def _on_removed(self, event: Event) -> None:
        self._hear(self._workspace.slides)
        self._removed = True
        self._turn.start()

    def _on_visible(self, event: Event) -> None:
        self._turn.start()

    def _on_renamed(self, event: Event) -> None:
        self.renamed.emit()

    def _follow(self) -> None:
        selected, removed = self._selected, self._removed
        self._selected = self._removed = False
        chosen = self._workspace.slide
        if chosen is None:
            return
        if removed:
            # napari selects the neighbour of a layer that goes; nobody has turned to that one's slide.
            in_view.select(self._viewer, chosen)
            return
        slide = self._selected_slide(chosen) if selected else None
        slide = slide or self._only_slide_in_view(chosen)
        if slide is not None:
            self.turned_to.emit(slide)

    def _selected_slide(self, chosen: Layer) -> Layer | None:
        """The slide that the selected layer shows or lies on; None where it is the one that is looked at."""
        layer = in_view.selected(self._viewer)
        if layer is None or layer is chosen:
            return None
        if slide_layers.role_of(layer) == "slide":
            return layer
        fingerprint = slide_layers.fingerprint_of(layer)
        if not fingerprint or fingerprint == slide_layers.fingerprint_of(chosen):
            return None
        return slide_layers.slide_of(fingerprint, self._viewer.layers)

    def _only_slide_in_view(self, chosen: Layer) -> Layer | None:
        """The one slide in view where the one that is looked at is hidden."""
        seen = [slide for slide in slide_layers.slides_in(self._viewer.layers) if slide.visible]
        return seen[0] if len(seen) == 1 and seen[0] is not chosen else None
