"""Overlays into the viewer, one step in each turn of the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from amkd_viewer import in_view, slide_layers
from amkd_viewer.reader import SLIDE_KEY, LayerData

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer


class OverlayPainter(QObject):
    """Adds maps and boxes, and between two steps the window lives.

    A new layer costs napari a tenth of a second or more, and drawing it for the first time nearly as much again: it is
    added hidden, and shown in the next turn.

    Parameters
    ----------
    viewer
        Where to draw.
    chosen
        Gives the slide layer that is looked at; overlays of others are drawn hidden.
    done
        Called when everything that was asked for is drawn, or has failed.
    failed
        Called with the slide's name and the error where something cannot be drawn; the rest is.
    """

    def __init__(
        self,
        viewer: Viewer,
        *,
        chosen: Callable[[], Layer | None],
        done: Callable[[], None],
        failed: Callable[[str, Exception], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._chosen, self._done, self._failed = viewer, chosen, done, failed
        self._waiting: list[LayerData] = []
        self._map: Layer | None = None
        self._hidden: Layer | None = None
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._draw_next)

    def paint(self, overlays: list[LayerData]) -> None:
        """Draw these, bottom first; what an earlier call has left undrawn of the same slides is dropped."""
        drawn = {_fingerprint(data) for data in overlays}
        self._waiting = [data for data in self._waiting if _fingerprint(data) not in drawn] + list(overlays)
        self._turn.start()

    def drop(self, fingerprint: str) -> None:
        """Leave undrawn what is not drawn yet of a slide."""
        self._waiting = [data for data in self._waiting if _fingerprint(data) != fingerprint]

    def _draw_next(self) -> None:
        if self._hidden is not None:
            layer, self._hidden = self._hidden, None
            self._step(slide_layers.fingerprint_of(layer), lambda: self._show(layer))
            return
        if not self._waiting:
            # Another slide may be looked at by now.
            if self._map is not None and self._map in self._viewer.layers and self._is_chosen(self._map):
                # The chosen layer's value under the cursor stands in the status bar, and its opacity at hand.
                self._viewer.layers.selection.active = self._map
            self._map = None
            self._done()
            return
        data = self._waiting.pop(0)
        self._step(_fingerprint(data), lambda: self._draw(data))

    def _step(self, fingerprint: str, draw: Callable[[], None]) -> None:
        """Draw what is one turn's; what fails is told, and the next turn comes."""
        slide = slide_layers.slide_of(fingerprint, self._viewer.layers)
        try:
            # The slide may have been taken away meanwhile.
            if slide is not None:
                draw()
        except Exception as error:  # noqa: BLE001 (napari's own; what is left is drawn, and the run ends)
            self._failed("" if slide is None else slide.name, error)
        finally:
            self._turn.start()

    def _show(self, layer: Layer) -> None:
        # Another slide may be looked at by now, or the layer be gone.
        if layer in self._viewer.layers and self._is_chosen(layer):
            in_view.show(layer)

    def _draw(self, data: LayerData) -> None:
        active, known = in_view.selected(self._viewer), set(self._viewer.layers)
        content, options, kind = data
        layer = slide_layers.draw_overlay(self._viewer, (content, {**options, "visible": False}, kind))
        in_view.bring_back(layer)
        if layer not in known:
            in_view.hide(layer, wanted=True)
        if not self._is_chosen(layer):
            in_view.hide(layer)
            # napari selects what is added; the user has not turned to this slide.
            self._viewer.layers.selection.active = active
            return
        self._hidden = None if layer in known else layer
        if slide_layers.role_of(layer) == "map":
            self._map = layer

    def _is_chosen(self, layer: Layer) -> bool:
        chosen = self._chosen()
        return chosen is not None and slide_layers.fingerprint_of(chosen) == slide_layers.fingerprint_of(
            layer
        )


def _fingerprint(data: LayerData) -> str:
    return str(data[1]["metadata"][SLIDE_KEY]["fingerprint"])
