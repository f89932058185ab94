"""Legend of the attention map: what its colours mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from amkd_viewer.colours import COLOUR_MAPS, DEFAULT_MAP, WindowColours, heat_colours
from amkd_viewer.layers import MapLook

if TYPE_CHECKING:
    from napari.layers import Layer

_PAPER = QColor("#f3e9f0")
"""Colour of pale tissue, on which the map's clear end lies."""
_MEANINGS = {
    "percentile": "percentile within the slide",
    "raw": "weight divided by the mean",
    "difference": "difference of percentiles, the left map's less the right one's",
}
_BAR_HEIGHT = 12
_STOPS = 17


class LegendWidget(QWidget):
    """A colour bar with its scale, drawn in the window's own text colour."""

    def __init__(self, colours: WindowColours, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = QColor(colours.text)
        self._kind = "percentile"
        self._limits = (0.0, 100.0)
        self.colours: NDArray[np.floating] = _colours_of_look(MapLook())
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._name()

    def set_colours(self, colours: WindowColours) -> None:
        """Follow the window's theme."""
        self._text = QColor(colours.text)
        self.update()

    def set_look(
        self,
        look: MapLook,
        limits: tuple[float, float] | None = None,
        colours: NDArray[np.floating] | None = None,
    ) -> None:
        """Show another map's colours, between the values that its ends stand for.

        Parameters
        ----------
        limits
            Where a map is drawn; else those of its kind.
        colours
            From the left end to the right, (n, 4) RGBA in [0, 1], as `colours_of` a map that is drawn; else the look's.
        """
        if limits is None:
            limits = (0.0, 100.0) if look.kind == "percentile" else self._limits
        self.show_colours(look.kind, limits, _colours_of_look(look) if colours is None else colours)

    def show_colours(self, kind: str, limits: tuple[float, float], colours: NDArray[np.floating]) -> None:
        """Show colours, (n, 4) RGBA in [0, 1], from the value of the left end to that of the right, of a kind."""
        self._kind, self._limits, self.colours = kind, limits, np.asarray(colours)
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
        for step, colour in enumerate(self.colours):
            gradient.setColorAt(step / (len(self.colours) - 1), QColor.fromRgbF(*map(float, colour)))
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
        self.setAccessibleName(f"Legend of the attention map: {_MEANINGS[self._kind]}, {low} to {high}")


def colours_of(layer: Layer) -> NDArray[np.floating]:
    """Colours of a map's layer from its lower limit to its upper one, whoever chose them, (n, 4) RGBA in [0, 1]."""
    share = np.linspace(0, 1, _STOPS)
    return np.asarray(layer.colormap.map(share ** float(layer.gamma)))


def _colours_of_look(look: MapLook) -> NDArray[np.floating]:
    name = look.colour_map if look.colour_map in COLOUR_MAPS else DEFAULT_MAP
    colours = heat_colours(name)
    stops: NDArray[np.floating] = colours[np.rint(np.linspace(0, len(colours) - 1, _STOPS)).astype(int)]
    return stops
