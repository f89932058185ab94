"""The whole slide, small, with the field that the canvas shows; a click moves the canvas there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from amkd_viewer.colours import MARK

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEIGHT = 190
_STEPS = {
    Qt.Key.Key_Left.value: (-1, 0),
    Qt.Key.Key_Right.value: (1, 0),
    Qt.Key.Key_Up.value: (0, -1),
    Qt.Key.Key_Down.value: (0, 1),
}
"""To the right and down, by key."""


class OverviewWidget(QWidget):
    """Knows pixels of the slide only, no viewer.

    Signals
    -------
    clicked
        Level-0 (x, y) that was clicked or dragged to.
    """

    clicked = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: QImage | None = None
        self._size_level0 = (1.0, 1.0)
        self._field: NDArray[np.float64] | None = None
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip("The whole slide; click, or use the arrow keys, to move the view there")
        self.setAccessibleName("Overview of the slide with the current field")

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return a size at which tissue is recognised."""
        return QSize(300, _HEIGHT)

    @property
    def field(self) -> NDArray[np.float64] | None:
        """Corners of the field that is marked, (4, 2) level-0 (x, y)."""
        return self._field

    @property
    def has_picture(self) -> bool:
        """Whether the slide's picture is there."""
        return self._image is not None

    def show_slide(self, pixels: NDArray[np.uint8] | None, size_level0: tuple[int, int] = (1, 1)) -> None:
        """Show a picture of a whole slide of (width, height) level-0 pixels, or nothing."""
        self._size_level0 = (float(size_level0[0]), float(size_level0[1]))
        self._image = None
        if pixels is not None:
            height, width = pixels.shape[:2]
            data = np.ascontiguousarray(pixels).tobytes()
            self._image = QImage(data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        self.update()

    def show_field(self, corners: NDArray[np.float64]) -> None:
        """Mark what the canvas shows, (4, 2) level-0 (x, y)."""
        self._field = corners
        self.update()

    def place_of(self, xy_level0: Sequence[float]) -> QPointF:
        """Where on this widget a level-0 place lies."""
        box = self._box()
        return QPointF(
            box.left() + xy_level0[0] / self._size_level0[0] * box.width(),
            box.top() + xy_level0[1] / self._size_level0[1] * box.height(),
        )

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw picture and field; a field smaller than a few pixels gets a cross-hair."""
        if self._image is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = self._box()
        painter.drawImage(box, self._image)
        if self._field is not None:
            painter.setClipRect(box)
            shape = QPolygonF([self.place_of(corner) for corner in self._field])
            centre, small = shape.boundingRect().center(), shape.boundingRect().width() < 8
            for colour, width in ((QColor("#000000"), 4.0), (QColor(MARK), 2.0)):
                painter.setPen(QPen(colour, width))
                painter.drawPolygon(shape)
                if small:
                    painter.drawLine(centre - QPointF(9, 0), centre + QPointF(9, 0))
                    painter.drawLine(centre - QPointF(0, 9), centre + QPointF(0, 9))
        if self.hasFocus():
            painter.setClipping(False)
            painter.setPen(QPen(QColor(MARK), 2.0))
            painter.drawRect(QRectF(self.rect()).adjusted(1, 1, -1, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Move the view."""
        self._move(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Drag the view."""
        self._move(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Move the view by half of the field."""
        step = None if event is None else _STEPS.get(event.key())
        if step is None or self._field is None or self._image is None:
            super().keyPressEvent(event)
            return
        size = np.ptp(self._field, axis=0)
        place = self._field.mean(axis=0) + 0.5 * size * step
        x, y = np.clip(place, 0, self._size_level0)
        self.clicked.emit(float(x), float(y))

    def _move(self, event: QMouseEvent | None) -> None:
        if event is None or self._image is None or not event.buttons() & Qt.MouseButton.LeftButton:
            return
        box, place = self._box(), event.position()
        x = float(np.clip((place.x() - box.left()) / box.width(), 0, 1)) * self._size_level0[0]
        y = float(np.clip((place.y() - box.top()) / box.height(), 0, 1)) * self._size_level0[1]
        self.clicked.emit(x, y)

    def _box(self) -> QRectF:
        """Where the picture lies: as large as fits, in the middle."""
        width, height = self._size_level0
        scale = min(self.width() / width, self.height() / height)
        return QRectF(
            (self.width() - width * scale) / 2,
            (self.height() - height * scale) / 2,
            width * scale,
            height * scale,
        )
