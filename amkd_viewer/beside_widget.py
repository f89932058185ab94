"""The dock of maps side by side: one in a window, which belongs to one panel at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QPushButton, QVBoxLayout, QWidget

from amkd_viewer.canvases_widget import CanvasRow, Shown
from amkd_viewer.layer_ears import LayerEars, hear_while
from amkd_viewer.placement import TRANSFORMS

if TYPE_CHECKING:
    from napari.utils.events import Event
    from napari.viewer import Viewer

DOCK_NAME = "AMKD: maps side by side"


class MapsBeside(QWidget):
    """Up to three maps side by side, in a dock below the slide.

    It stays docked: Qt gives a canvas that moves to another window a new drawing context, and its textures are lost.
    It goes when one of its slides is taken away or is scaled anew, and when the panel that it belongs to is closed.

    Attributes
    ----------
    owner : QWidget or None
        The panel whose maps these are.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self.owner: QWidget | None = None
        self.row = CanvasRow(viewer.theme)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.row)
        # Later: docks are not taken from a window that is hiding one, nor from one that closes.
        self._end_soon = QTimer(self)
        self._end_soon.setSingleShot(True)
        self._end_soon.timeout.connect(self.end)
        self._end_where_scaled = QTimer(self)
        self._end_where_scaled.setSingleShot(True)
        self._end_where_scaled.timeout.connect(self._end_if_scaled)
        hear_while(self, viewer.events.theme, self._follow_theme)
        hear_while(self, viewer.layers.events.removed, self._on_removed)
        self._ears = LayerEars(self, TRANSFORMS, self._on_slide_event)

    @property
    def is_shown(self) -> bool:
        """Whether the user has the dock open."""
        dock = dock_of(self)
        return dock is not None and not dock.isHidden()

    def show_maps(self, maps: Sequence[Shown], owner: QWidget) -> None:
        """Show a panel's maps; the dock is its own from then on."""
        self._ears.hear([shown.slide for shown in maps])
        self._end_soon.stop()
        self.owner = owner
        owner.installEventFilter(self)
        self.row.show_maps(maps)
        self._follow_theme()

    def end(self) -> None:
        """Hide the dock, which is nobody's from now on.

        It stays in the window: drawing contexts that go while others draw have ended the process.
        """
        self.owner = None
        self._ears.hear(())
        self.row.empty()
        dock = dock_of(self)
        if dock is not None:
            dock.hide()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Free the canvases before the window that they stand in closes, and go with the panel they belong to."""
        if event is None:
            return False
        if watched is self.owner:
            # A panel in the background of others' tabs is not hidden, nor is one in a window that is made small.
            if event.type() in (QEvent.Type.Hide, QEvent.Type.ParentChange):
                dock = None if self.owner is None else dock_of(self.owner)
                if dock is None or dock.isHidden():
                    self._end_soon.start()
        elif event.type() == QEvent.Type.Close and isinstance(watched, QMainWindow):
            self.row.let_go()
            self.owner = None
        return False

    def _on_slide_event(self, event: Event) -> None:
        if any(canvas.slide is event.source and canvas.is_scaled_anew() for canvas in self.row.canvases):
            # Later: one that is only stretched by hand goes back at once.
            self._end_where_scaled.start()
        else:
            self.row.turn(event.source)

    def _end_if_scaled(self) -> None:
        if any(canvas.is_scaled_anew() for canvas in self.row.canvases):
            self.end()

    def _on_removed(self, event: Event) -> None:
        if any(canvas.slide is event.value for canvas in self.row.canvases):
            self._end_soon.start()

    def _follow_theme(self, event: Any = None) -> None:
        self.row.set_theme(self._viewer.theme)


def beside_of(viewer: Viewer) -> MapsBeside | None:
    """The maps side by side in a window, or None where there are none."""
    beside = _dock_content(viewer)
    return None if beside is None or beside.owner is None else beside


def _dock_content(viewer: Viewer) -> MapsBeside | None:
    """What stands in the dock, whether anybody has maps in it or not; None where there is no dock yet."""
    docked = viewer.window.dock_widgets.values()
    return next((widget for widget in docked if isinstance(widget, MapsBeside)), None)


def show_beside(viewer: Viewer, maps: Sequence[Shown], *, owner: QWidget, asked: bool) -> None:
    """Show a panel's maps in the dock below the slide.

    Parameters
    ----------
    owner
        The panel.
    asked
        Whether the user asks for them now, by a click in the panel. Unasked they come where nobody has maps in the
        dock, and renew the panel's own: another panel's stay, and a dock that the user has hidden stays hidden.
    """
    beside = beside_of(viewer)
    if beside is None:
        beside = _dock_content(viewer) or _docked(viewer)
    elif not asked and not (beside.owner is owner and beside.is_shown):
        return
    dock = dock_of(beside)
    if dock is not None:
        dock.show()
    beside.show_maps(maps, owner)


def end_beside(viewer: Viewer, owner: QWidget) -> None:
    """Take the dock away where its maps are this panel's."""
    beside = beside_of(viewer)
    if beside is not None and beside.owner is owner:
        beside.end()


def _docked(viewer: Viewer) -> MapsBeside:
    beside = MapsBeside(viewer)
    viewer.window.add_dock_widget(beside, name=DOCK_NAME, area="bottom", allowed_areas=["bottom"])
    dock = dock_of(beside)
    if dock is None:
        return beside
    # It can be hidden by its button; napari's other buttons would take the canvases out of the window as they are.
    dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetClosable)
    for button in dock.findChildren(QPushButton):
        if "hide" not in button.objectName().lower():
            button.hide()
    window = dock.parentWidget()
    if isinstance(window, QMainWindow):
        window.installEventFilter(beside)
        # Panels and napari's own lists keep their height: they would leave the maps too little of it.
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        window.resizeDocks([dock], [round(0.45 * window.height())], Qt.Orientation.Vertical)
    return beside


def dock_of(widget: QWidget) -> QDockWidget | None:
    """The dock that a widget stands in, or None."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
