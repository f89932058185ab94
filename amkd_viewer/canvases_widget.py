"""Canvases side by side over one slide or several, with one camera: each shows a map of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from amkd_viewer import slide_layers
from amkd_viewer.layers import MapLook, map_layer
from amkd_viewer.plots import short_name
from amkd_viewer.reader import LayerData
from amkd_viewer.scale_bar_widget import ScaleBar

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.viewer import Viewer

    from amkd_core.inference.prediction import Prediction

Shown = tuple[str, "Layer", "LayerData | None"]
"""Title, a slide's layer, and the map on it."""
Pane = tuple["Layer", "Prediction", str]
"""A slide's layer, a prediction of it, and the source of the map to show."""
DOCK_NAME = "AMKD: maps side by side"
_TITLES = {"teacher": "Teacher (with expression)", "student": "Student (slide alone)"}


class Canvas(QWidget):
    """One of napari's canvases under a title."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from napari.components import ViewerModel
        from napari.qt import QtViewer

        self.model: ViewerModel = ViewerModel()
        self.title = QLabel()
        self.title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.qt_viewer = QtViewer(self.model)
        self._scale_bar = ScaleBar(self.model, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.title)
        column.addWidget(self.qt_viewer, 1)

    def show_map(self, title: str, slide: Layer, drawn: LayerData | None) -> None:
        """Show a slide with one map on it."""
        self.title.setText(title)
        self.model.layers.clear()
        options: dict[str, Any] = {
            "name": slide.name, "rgb": True, "multiscale": True, "contrast_limits": (0, 255),
            "scale": slide.scale, "units": slide.units, "affine": slide.affine.affine_matrix[-3:, -3:],
        }  # fmt: skip
        slide_layers.add_layer(self.model, (list(slide.data), options, "image"))
        if drawn is not None:
            drawn[1]["affine"] = options["affine"]
            slide_layers.add_layer(self.model, drawn)
        self._scale_bar.show()

    def let_go(self) -> None:
        """Free the canvas; call before the widget goes."""
        self.model.layers.clear()
        self.qt_viewer.close()


class CanvasRow(QWidget):
    """Canvases whose cameras move together."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.canvases: list[Canvas] = []
        self._moving = False
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(4)

    def set_number(self, number: int) -> None:
        """Have this many canvases."""
        while len(self.canvases) > number:
            canvas = self.canvases.pop()
            canvas.let_go()
            self._row.removeWidget(canvas)
            canvas.deleteLater()
        while len(self.canvases) < number:
            canvas = Canvas()
            for name in ("center", "zoom"):
                getattr(canvas.model.scene.camera.events, name).connect(self._follow(canvas.model))
            self.canvases.append(canvas)
            self._row.addWidget(canvas, 1)

    def set_theme(self, name: str) -> None:
        """Follow the window's theme."""
        for canvas in self.canvases:
            canvas.model.theme = name

    def fit(self) -> None:
        """Show the whole slide in all canvases."""
        if self.canvases:
            self.canvases[0].model.reset_view()

    def let_go(self) -> None:
        """Free all canvases."""
        self.set_number(0)

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


class MapsBeside(QWidget):
    """Up to three maps side by side, in a dock below the slide.

    It stays docked: Qt gives a canvas that moves to another window a new drawing context, and its textures are lost.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row = CanvasRow()
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.row)

    def show_maps(self, maps: Sequence[Shown], theme: str = "dark") -> None:
        """Show these maps; the field stays where the number of canvases does."""
        fresh = len(self.row.canvases) != len(maps)
        self.row.set_number(len(maps))
        self.row.set_theme(theme)
        for canvas, shown in zip(self.row.canvases, maps, strict=True):
            canvas.show_map(*shown)
        if fresh:
            QTimer.singleShot(60, self.row.fit)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Free the canvases before the window that they stand in closes."""
        if event is not None and event.type() == QEvent.Type.Close:
            self.row.let_go()
        return False


def described(pane: Pane, look: MapLook) -> Shown:
    """Title, slide and map of a pane, in the colours that are chosen."""
    from dataclasses import replace

    slide, prediction, source = pane
    mpp = slide_layers.mpp_of(slide)
    drawn = None
    if mpp is not None and prediction.has_map:
        drawn = map_layer(prediction, replace(look, source=source), mpp=mpp, name=source)
    return _TITLES.get(source, short_name(source, 50)), slide, drawn


def show_beside(viewer: Viewer, maps: Sequence[Shown]) -> MapsBeside:
    """Show maps in the dock below the slide; one dock serves all calls."""
    from qtpy.QtWidgets import QDockWidget, QMainWindow

    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, MapsBeside):
            widget.show_maps(maps, viewer.theme)
            _dock_of(widget).show()
            return widget
    beside = MapsBeside()
    viewer.window.add_dock_widget(beside, name=DOCK_NAME, area="bottom", allowed_areas=["bottom"])
    dock = _dock_of(beside)
    dock.setFeatures(QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
    for button in dock.findChildren(QPushButton):
        if "float" in button.objectName().lower():
            button.hide()
    window = dock.parentWidget()
    if isinstance(window, QMainWindow):
        window.installEventFilter(beside)
        # The panels beside keep their height: below them the maps would leave too little of it.
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        window.resizeDocks([dock], [round(0.45 * window.height())], Qt.Orientation.Vertical)
    beside.show_maps(maps, viewer.theme)

    def follow(event: Any = None) -> None:
        beside.row.set_theme(viewer.theme)

    viewer.events.theme.connect(follow)
    beside.destroyed.connect(lambda: viewer.events.theme.disconnect(follow))
    return beside


def _dock_of(widget: QWidget) -> QWidget:
    from qtpy.QtWidgets import QDockWidget

    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return widget if parent is None else parent
