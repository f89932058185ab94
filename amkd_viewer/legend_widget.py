"""Legend of the attention map: what its colours mean."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from amkd_viewer.colours import WindowColours, heat_colours

_PAPER = QColor("#f3e9f0")
"""Colour of pale tissue, on which the map's clear end lies."""
_BAR_HEIGHT = 12
_STOPS = 17


class LegendWidget(QWidget):
    """A colour bar with its scale, drawn in the window's own text colour."""

    def __init__(self, colours: WindowColours, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = QColor(colours.text)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Legend of the attention map: percentile within the slide, 0 to 100")

    def set_colours(self, colours: WindowColours) -> None:
        """Follow the window's theme."""
        self._text = QColor(colours.text)
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the size that the bar and one line of text take."""
        return QSize(200, _BAR_HEIGHT + self.fontMetrics().height() + 6)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the same as `sizeHint`: text is never cut."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw the bar over the colour of pale tissue, and the numbers below."""
        painter = QPainter(self)
        bar = QRectF(0.5, 0.5, self.width() - 1, _BAR_HEIGHT)
        gradient = QLinearGradient(QPointF(bar.left(), 0), QPointF(bar.right(), 0))
        colours = heat_colours()
        for step in range(_STOPS):
            share = step / (_STOPS - 1)
            gradient.setColorAt(
                share, QColor.fromRgbF(*map(float, colours[round(share * (len(colours) - 1))]))
            )
        painter.fillRect(bar, _PAPER)
        painter.fillRect(bar, gradient)
        painter.setPen(self._text)
        painter.drawRect(bar)
        line = QRectF(0, _BAR_HEIGHT + 4, self.width(), self.fontMetrics().height())
        for text, side in (("0", "Left"), ("50", "HCenter"), ("100", "Right")):
            painter.drawText(line, getattr(Qt.AlignmentFlag, f"Align{side}"), text)
        painter.end()
