"""A docked panel: a column that scrolls, over a foot that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QLayout,
    QMainWindow,
    QScrollArea,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from amkd_viewer.colours import Themed, WindowColours, window_colours
from amkd_viewer.labels_widget import style_sheet, text_pt, text_size_events, wrapped_label
from amkd_viewer.layer_ears import hear_while
from amkd_viewer.shortcuts_widget import tip_text
from amkd_viewer.wheel_widget import WheelGuard
from amkd_viewer.wording import RESEARCH_USE
from amkd_viewer.workspace_widget import Workspace, workspace_of

if TYPE_CHECKING:
    from napari.utils.events import Event
    from napari.viewer import Viewer

_PLUGIN_SUFFIX = " (amkd-viewer)"
"""That napari adds to the names of panels."""

_OWN_CHILDREN = Qt.FindChildOption.FindDirectChildrenOnly
"""Docks and their tabs; to look through all that a window holds takes a hundred times as long."""

_MOST_OF_SCREEN = 0.45
"""Share of the screen's width that a panel takes of itself; what is wider then is scrolled to."""


def row(*widgets: QWidget, stretch: int | None = 0) -> QHBoxLayout:
    """Widgets in a row; the one at `stretch` takes the room that is left."""
    layout = QHBoxLayout()
    layout.setSpacing(4)
    for place, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if place == stretch else 0)
    return layout


class PanelWidget(QWidget):
    """Base of the panels.

    Parameters
    ----------
    width_px
        Least width, or what the page needs with the window's font where that is more; what does not fit in height is
        scrolled to, and in width is wrapped.
    """

    def __init__(self, width_px: int) -> None:
        super().__init__()
        self._placed = False
        self._width_px = width_px
        self._explained: list[tuple[QAbstractButton, str, str]] = []
        page = QWidget()
        self._column = QVBoxLayout(page)
        self._column.setContentsMargins(12, 10, 12, 10)
        self._column.setSpacing(8)
        self._column.addStretch(1)
        self.scroll_area = QScrollArea()
        self.scroll_area.setWidget(page)
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self._foot = QVBoxLayout()
        self._foot.setContentsMargins(12, 4, 12, 6)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.scroll_area, 1)
        outer.addLayout(self._foot)
        self.setMinimumWidth(width_px)
        page.installEventFilter(self)
        self._wheel = WheelGuard(self.scroll_area)

    def add(self, item: QWidget | QLayout) -> None:
        """Put something below what the column holds."""
        place = self._column.count() - 1
        if isinstance(item, QLayout):
            self._column.insertLayout(place, item)
        else:
            self._column.insertWidget(place, item)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Take a place as a tab beside the other panels: stacked they would all be too low to read."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._place)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Be as wide as what the page holds now."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit_width()
        return False

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Follow the size of the window's font, and end with the dock: napari's X only takes the panel out of it."""
        super().changeEvent(event)
        if event is None:
            return
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit_width()
        elif event.type() == QEvent.Type.ParentChange and self.parentWidget() is None:
            # Later: one that only moves to another dock is in it by then.
            QTimer.singleShot(0, self._end_undocked)

    def _end_undocked(self) -> None:
        if self.parentWidget() is None:
            workspace = self._shared()
            if workspace is not None:
                workspace.say_what_ends_with(self)
            self.deleteLater()

    def _shared(self) -> Workspace | None:
        workspace = getattr(self, "workspace", None)
        return workspace if isinstance(workspace, Workspace) else None

    def _fit_width(self) -> None:
        """Take the width that the page needs: nothing of it is cut, with a large font either."""
        area, edge = self.scroll_area, self.scroll_area.contentsMargins()
        bar = area.verticalScrollBar().sizeHint().width()
        needed = area.widget().minimumSizeHint().width() + bar + edge.left() + edge.right()
        most = round(_MOST_OF_SCREEN * self.screen().availableGeometry().width())
        width = max(self._width_px, min(needed, most))
        if width != self.minimumWidth():
            self.setMinimumWidth(width)

    def explain(self, button: QAbstractButton, text: str, action: str = "") -> None:
        """Give a button a tool tip, which names the key of an action once it is bound."""
        button.setToolTip(text)
        self._explained.append((button, text, action))

    def on_keys_bound(self) -> None:
        """Hear that the window's keys are bound; panels that list them do so now."""

    def _place(self) -> None:
        own = _dock_of(self)
        window = None if own is None else own.parentWidget()
        if own is None or not isinstance(window, QMainWindow):
            return
        own.setWindowTitle(own.windowTitle().removesuffix(_PLUGIN_SUFFIX))  # it stands on the tab
        docks = window.findChildren(QDockWidget, options=_OWN_CHILDREN)
        others = [dock for dock in docks if dock is not own and isinstance(dock.widget(), PanelWidget)]
        beside = next((dock for dock in others if not dock.isFloating()), None)
        if beside is not None and not own.isFloating():
            window.tabifyDockWidget(beside, own)
            own.raise_()
            _make_tabs_readable(window)
        workspace = self._shared()
        if workspace is not None:
            workspace.bind_keys(window)
            taken = {} if workspace.shortcuts is None else workspace.shortcuts.taken
            for button, text, action in self._explained:
                button.setToolTip(tip_text(text, action, taken))
            self.on_keys_bound()

    def add_foot(self, widget: QWidget) -> None:
        """Put something where it is always in view."""
        self._foot.addWidget(widget)


class WorkspacePanel(PanelWidget):
    """Base of panels that share a window's workspace; the research-use notice stands at their foot.

    Parameters
    ----------
    napari_viewer
        The viewer that the panel is docked in.
    width_px
        As for `PanelWidget`.
    """

    def __init__(self, napari_viewer: Viewer, width_px: int = 340) -> None:
        super().__init__(width_px)
        self._viewer = napari_viewer
        self.workspace: Workspace = workspace_of(napari_viewer)
        self.workspace.hold(self)
        self.research_use = wrapped_label(RESEARCH_USE, role="amkdUse")
        self.error = wrapped_label(role="amkdError")
        self.error.setVisible(False)
        self.add_foot(self.error)
        self.add_foot(self.research_use)
        self.listen(napari_viewer.events.theme, self._on_theme_changed)
        self.listen(text_size_events(), self._on_theme_changed)
        self._on_theme_changed()

    @property
    def colours(self) -> WindowColours:
        """Colours of the window."""
        return window_colours(self._viewer.theme)

    def listen(self, emitter: Any, slot: Callable[..., None]) -> None:
        """Hear one of napari's events for as long as the panel lives."""
        hear_while(self, emitter, slot)

    def say_error(self, sentence: str) -> None:
        """Show one sentence at the foot, or none."""
        self.error.setText(sentence)
        self.error.setVisible(bool(sentence))

    def _on_theme_changed(self, event: Event | None = None) -> None:
        follow_theme(self, self.colours)


def follow_theme(panel: QWidget, colours: WindowColours) -> None:
    """Give a panel and everything in it the colours of the window, and the sizes of its text."""
    panel.setStyleSheet(style_sheet(colours, text_pt()))
    for child in panel.findChildren(QWidget):
        if isinstance(child, Themed):
            child.set_colours(colours)


def _make_tabs_readable(window: QMainWindow) -> None:
    """Scroll through tabs of many panels in place of cutting their names to a letter."""
    for bar in window.findChildren(QTabBar, options=_OWN_CHILDREN):
        # Setting it again lays all tabs out anew, under napari's style sheet.
        if bar.elideMode() is not Qt.TextElideMode.ElideNone:
            bar.setElideMode(Qt.TextElideMode.ElideNone)
            bar.setUsesScrollButtons(True)


def _dock_of(widget: QWidget) -> QDockWidget | None:
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
