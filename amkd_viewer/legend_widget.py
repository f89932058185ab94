"""Legend of the attention map: what its colours mean."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from amkd_viewer.colours import WindowColours, heat_colours
from amkd_viewer.layers import MapLook

_PAPER = QColor("#f3e9f0")
"""Colour of pale tissue, on which the map's clear end lies."""
_BAR_HEIGHT = 12
_STOPS = 17


class LegendWidget(QWidget):
    """A colour bar with its scale, drawn in the window's own text colour."""

    def __init__(self, colours: WindowColours, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = QColor(colours.text)
        self._look = MapLook()
        self._limits = (0.0, 100.0)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._name()

    def set_colours(self, colours: WindowColours) -> None:
        """Follow the window's theme."""
        self._text = QColor(colours.text)
        self.update()

    def set_look(self, look: MapLook, limits: tuple[float, float] | None = None) -> None:
        """Show another map's colours, between the values that its ends stand for."""
        self._look = look
        if limits is not None:
            self._limits = limits
        elif look.kind == "percentile":
            self._limits = (0.0, 100.0)
        self._name()
        self.update()

    @property
    def labels(self) -> tuple[str, str, str]:
        """Numbers below the bar: at its left end, middle and right end."""
        low, high = self._limits
        return f"{low:.3g}", f"{(low + high) / 2:.3g}", f"{high:.3g}"

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
        colours = heat_colours(self._look.colour_map)
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
        for text, side in zip(self.labels, ("Left", "HCenter", "Right"), strict=True):
            painter.drawText(line, getattr(Qt.AlignmentFlag, f"Align{side}"), text)
        painter.end()

    def _name(self) -> None:
        low, _, high = self.labels
        text = (
            "percentile within the slide" if self._look.kind == "percentile" else "weight divided by the mean"
        )
        self.setAccessibleName(f"Legend of the attention map: {text}, {low} to {high}")
