"""A docked panel: a column that scrolls, over a foot that does not."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLayout, QScrollArea, QVBoxLayout, QWidget


class PanelWidget(QWidget):
    """Base of the panels.

    Parameters
    ----------
    width_px
        Least width; what does not fit in height is scrolled to, and in width is wrapped.
    """

    def __init__(self, width_px: int) -> None:
        super().__init__()
        page = QWidget()
        self._column = QVBoxLayout(page)
        self._column.setContentsMargins(12, 10, 12, 10)
        self._column.setSpacing(8)
        self._column.addStretch(1)
        self.scroll_area = QScrollArea()
        self.scroll_area.setWidget(page)
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._foot = QVBoxLayout()
        self._foot.setContentsMargins(12, 4, 12, 6)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.scroll_area, 1)
        outer.addLayout(self._foot)
        self.setMinimumWidth(width_px)

    def add(self, item: QWidget | QLayout) -> None:
        """Put something below what the column holds."""
        place = self._column.count() - 1
        if isinstance(item, QLayout):
            self._column.insertLayout(place, item)
        else:
            self._column.insertWidget(place, item)

    def add_foot(self, widget: QWidget) -> None:
        """Put something where it is always in view."""
        self._foot.addWidget(widget)
