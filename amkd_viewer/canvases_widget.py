"""Canvases side by side over one slide or several, with one camera: each shows a map of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from amkd_viewer import placement, slide_layers
from amkd_viewer.colours import WindowColours, window_colours
from amkd_viewer.labels_widget import wrapped_label
from amkd_viewer.layer_ears import LayerEars
from amkd_viewer.layers import MapLook, map_layer
from amkd_viewer.legend_widget import LegendWidget, colours_of
from amkd_viewer.reader import LayerData, pixel_geometry
from amkd_viewer.scale_bar_widget import ScaleBar

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event

    from amkd_core.inference.prediction import Prediction

_FIT_AFTER_MS = 60
"""A canvas knows its size once it is laid out."""


_LEAST_LEGEND_PX = 90
"""Its own least width, three times, would make the window wider."""


class Shown(NamedTuple):
    """What one canvas shows: a title, a slide's layer in the window, the map on it, and what its values are."""

    title: str
    slide: Layer
    drawn: LayerData | None
    kind: str


def described(title: str, slide: Layer, prediction: Prediction, look: MapLook) -> Shown:
    """Title, slide and map of a canvas; `look` says whose map it is and how it is shown."""
    mpp = slide_layers.mpp_of(slide)
    drawn = None
    if mpp is not None and prediction.has_map:
        drawn = map_layer(prediction, look, mpp=mpp, name=look.source)
    return Shown(title, slide, drawn, look.kind)


class Canvas(QWidget):
    """One of napari's canvases under a title.

    Attributes
    ----------
    slide : napari layer or None
        The window's own layer of the slide that is shown here.
    """

    def __init__(self, colours: WindowColours, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from napari.components import ViewerModel
        from napari.qt import QtViewer

        self.model: ViewerModel = ViewerModel()
        self.slide: Layer | None = None
        # Wrapped: the names of slides and models would make the window wider.
        self.title = wrapped_label()
        self.title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.qt_viewer = QtViewer(self.model)
        self.legend = LegendWidget(colours)
        self.legend.setMinimumWidth(_LEAST_LEGEND_PX)
        self._scale_bar = ScaleBar(self.model, self, small=True)
        self._ears = LayerEars(self, ("mode",), _leave_transform)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.title)
        column.addWidget(self.qt_viewer, 1)
        column.addWidget(self.legend)

    def show_map(self, shown: Shown) -> bool:
        """Show a slide with one map on it; what is there already stays. Returns whether the slide is another one."""
        self.title.setText(shown.title)
        self.title.setToolTip(shown.title)
        fresh = self.slide is not shown.slide
        if fresh:
            self._show_slide(shown.slide)
        self.turn()
        self._draw(shown.drawn)
        self._show_legend(shown.kind)
        self._ears.hear(self.model.layers)
        return fresh

    def turn(self) -> None:
        """Turn slide and map as the slide is turned in the window."""
        if self.slide is not None:
            turned = placement.placement_of(self.slide)
            for layer in self.model.layers:
                slide_layers.set_changed(layer, "affine", turned)

    def is_scaled_anew(self) -> bool:
        """Whether the slide has another scale by now than it is shown at."""
        return self.slide is not None and not np.array_equal(self.model.layers[0].scale, self.slide.scale)

    def empty(self) -> None:
        """Show nothing any more; the canvas stays for what comes next."""
        self.slide = None
        self.legend.hide()
        self.title.setText("")
        self._ears.hear(())
        self.model.layers.clear()

    def let_go(self) -> None:
        """Free the canvas; call before the widget goes."""
        self.slide = None
        self._ears.hear(())
        self.model.layers.clear()
        self.qt_viewer.close()

    def _show_slide(self, slide: Layer) -> None:
        self.slide = slide
        self.model.layers.clear()
        options: dict[str, Any] = {
            "name": slide.name, "rgb": True, "multiscale": True, "contrast_limits": (0, 255),
            **pixel_geometry(slide_layers.mpp_of(slide)),
        }  # fmt: skip
        slide_layers.add_layer(self.model, (list(slide.data), options, "image"))
        self._scale_bar.show()

    def _draw(self, drawn: LayerData | None) -> None:
        """Draw the map anew where there is none yet, else change what differs: a new layer takes ten times as long."""
        old = self.model.layers[1] if len(self.model.layers) > 1 else None
        if drawn is None:
            if old is not None:
                self.model.layers.remove(old)
            return
        if old is None:
            slide_layers.add_layer(self.model, drawn)
            self.turn()
            return
        slide_layers.restyle_image(old, drawn)

    def _show_legend(self, kind: str) -> None:
        drawn = self.model.layers[1] if len(self.model.layers) > 1 else None
        self.legend.setVisible(drawn is not None)
        if drawn is not None:
            self.legend.show_colours(kind, slide_layers.limits_of(drawn), colours_of(drawn))


def _leave_transform(event: Event) -> None:
    """Have no layer moved by itself: a canvas has no controls to bring it back."""
    if event.source.mode == "transform":
        event.source.mode = "pan_zoom"


class CanvasRow(QWidget):
    """Canvases whose cameras move together, in the colours of one of napari's themes."""

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.canvases: list[Canvas] = []
        self._colours = window_colours(theme)
        self._moving = False
        self._fit_soon = QTimer(self)
        self._fit_soon.setSingleShot(True)
        self._fit_soon.timeout.connect(self.fit)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(4)

    def show_maps(self, maps: Sequence[Shown]) -> None:
        """Show these maps; the field stays where number and slides do."""
        fresh = len(self.canvases) != len(maps)
        self._set_number(len(maps))
        for canvas, shown in zip(self.canvases, maps, strict=True):
            fresh = canvas.show_map(shown) or fresh
        if fresh:
            self._fit_soon.start(_FIT_AFTER_MS)

    def turn(self, slide: Layer) -> None:
        """Follow a slide that was turned in the window."""
        for canvas in self.canvases:
            if canvas.slide is slide:
                canvas.turn()

    def set_theme(self, name: str) -> None:
        """Follow the window's theme."""
        self._colours = window_colours(name)
        for canvas in self.canvases:
            canvas.model.theme = name
            canvas.legend.set_colours(self._colours)

    def fit(self) -> None:
        """Show the whole slide in all canvases."""
        if self.canvases:
            self.canvases[0].model.reset_view()

    def empty(self) -> None:
        """Show nothing any more."""
        for canvas in self.canvases:
            canvas.empty()

    def let_go(self) -> None:
        """Free all canvases."""
        self._set_number(0)

    def _set_number(self, number: int) -> None:
        while len(self.canvases) > number:
            canvas = self.canvases.pop()
            canvas.let_go()
            self._row.removeWidget(canvas)
            canvas.deleteLater()
        while len(self.canvases) < number:
            canvas = Canvas(self._colours)
            for name in ("center", "zoom"):
                getattr(canvas.model.scene.camera.events, name).connect(self._follow(canvas.model))
            self.canvases.append(canvas)
            self._row.addWidget(canvas, 1)

    def _follow(self, leader: ViewerModel) -> Any:
        def move(event: Any = None) -> None:
            if self._moving:
                return
            self._moving = True
            try:
                for canvas in self.canvases:
                    if canvas.model is not leader:
                        canvas.model.scene.camera.center = leader.scene.camera.center
                        canvas.model.scene.camera.zoom = leader.scene.camera.zoom
            finally:
                self._moving = False

        return move
