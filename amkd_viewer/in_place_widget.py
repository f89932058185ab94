"""Nothing lies beside its tissue: what the user moves in napari is followed, or goes back to where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject

from amkd_viewer import placement, slide_layers
from amkd_viewer.layer_ears import LayerEars, hear_while
from amkd_viewer.wording import OVERLAY_STAYS, SIZE_STAYS

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event


class LayersInPlace(QObject):
    """Keeps all that lies on slides on their pixels.

    A slide that is moved or turned takes along what belongs to it. One that is stretched goes back: scale bar and
    magnification would be wrong of it. So does a map, and whatever else we drew on a slide, that is moved by itself;
    each is said once in a window. A region is the user's, and moves from where he put it.

    Parameters
    ----------
    viewer
        Whose layers.
    parent
        They are kept in place for as long as it lives, or until `release`.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._released = False
        self._said: set[str] = set()
        self._ears = LayerEars(self, placement.TRANSFORMS, self._on_moved)
        for emitter in (viewer.layers.events.inserted, viewer.layers.events.removed):
            hear_while(self, emitter, self._on_listed)
        self._hear()
        for slide in slide_layers.slides_in(viewer.layers):
            self._on_slide_moved(slide)

    def release(self) -> None:
        """Keep nothing in place any more."""
        self._released = True
        self._ears.hear(())

    def _hear(self) -> None:
        self._ears.hear(layer for layer in self._viewer.layers if slide_layers.fingerprint_of(layer))

    def _on_listed(self, event: Event) -> None:
        """A layer came or went."""
        if self._released or not slide_layers.fingerprint_of(event.value):
            return
        self._hear()
        if event.type == "inserted":
            self._place_new(event.value)

    def _place_new(self, layer: Layer) -> None:
        others = [one for one in self._viewer.layers if one is not layer]
        slide = slide_layers.slide_of(slide_layers.fingerprint_of(layer), others)
        if slide_layers.role_of(layer) != "slide":
            if slide is not None:
                placement.put_on(layer, placement.placement_of(slide))
        elif slide is None:
            self._on_slide_moved(layer)
        else:
            placement.follow(slide, [layer])

    def _on_moved(self, event: Event) -> None:
        layer: Any = event.source
        if placement.is_setting():
            return
        if slide_layers.role_of(layer) == "slide":
            self._on_slide_moved(layer)
            return
        slide = slide_layers.slide_of(slide_layers.fingerprint_of(layer), self._viewer.layers)
        if slide is None:
            return
        where = placement.placement_of(slide)
        if slide_layers.role_of(layer) == "region":
            # It is the user's, and counts where it is seen.
            placement.note_as_moved(layer, where)
            return
        if not placement.is_on(layer, where):
            self._say(OVERLAY_STAYS)
        placement.put_on(layer, where)

    def _on_slide_moved(self, slide: Layer) -> None:
        if not placement.has_own_size(slide):
            placement.set_place(slide, placement.noted_place(slide))
            self._say(SIZE_STAYS)
        placement.note_place(slide)
        placement.follow(slide, self._viewer.layers)

    def _say(self, sentence: str) -> None:
        """Say it once: a drag moves a layer many times."""
        if sentence not in self._said:
            self._said.add(sentence)
            show_info(sentence)
