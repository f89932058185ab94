"""Patches as a wall of pictures, in one column of ranks or two that are joined where they coincide; no viewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from qtpy.QtWidgets import QScrollArea, QSizePolicy, QWidget

from amkd_viewer.colours import MARK, STUDENT, TEACHER, WindowColours
from amkd_viewer.labels_widget import MUTED

if TYPE_CHECKING:
    from amkd_core.inference.maps import TopPatch

CARD_PX = 104
_TEXT_PX = 30
_GAP_PX = 8
_JOIN_PX = 56
_HEAD_PX = 20
_USUAL_TEXT_PX = 12
"""Height of text for which these sizes are; beside larger text all is larger."""
_NAME = "Gallery of patches"
_STEPS = {
    Qt.Key.Key_Left.value: (-1, 0),
    Qt.Key.Key_Right.value: (1, 0),
    Qt.Key.Key_Up.value: (0, -1),
    Qt.Key.Key_Down.value: (0, 1),
}
"""To the right and down, by key."""
_CHOOSING = (Qt.Key.Key_Return.value, Qt.Key.Key_Enter.value, Qt.Key.Key_Space.value)
_COLOURS = {"teacher": QColor(TEACHER), "student": QColor(STUDENT)}


@dataclass(frozen=True)
class Card:
    """A patch in the gallery: whose it is and where its picture is drawn."""

    source: str
    patch: TopPatch
    box: QRectF


class GalleryView(QWidget):
    """Draws patches and tells which is hovered and clicked.

    Signals
    -------
    clicked, hovered
        The `TopPatch`, or None when the pointer leaves.
    """

    clicked = Signal(object)
    hovered = Signal(object)

    def __init__(self, colours: WindowColours, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colours = colours
        self._columns: list[tuple[str, Sequence[TopPatch]]] = []
        self._pictures: dict[int, QImage] = {}
        self._hovered: Card | None = None
        self.cards: list[Card] = []
        self.joined: tuple[tuple[Card, Card], ...] = ()
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(_NAME)

    def _px(self, usual: int) -> int:
        """A size beside the window's text."""
        return int(usual * max(1.0, self.fontInfo().pixelSize() / _USUAL_TEXT_PX))

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Follow the size of the window's text."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._lay_out()
            self.updateGeometry()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return what the cards take."""
        return QSize(2 * self._px(CARD_PX) + self._px(_JOIN_PX), self.height())

    def show_patches(self, columns: Sequence[tuple[str, Sequence[TopPatch]]]) -> None:
        """Show one source's patches as a wall, or two sources' side by side; their pictures come later."""
        self._columns, self._pictures, self._hovered = list(columns), {}, None
        self._lay_out()

    def show_picture(self, row: int, pixels: NDArray[np.uint8]) -> None:
        """Give the picture of the patch with this row in the bag."""
        height, width = pixels.shape[:2]
        data = np.ascontiguousarray(pixels).tobytes()
        image = QImage(data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self._pictures[row] = image.copy()
        self.update()

    @property
    def n_pictures(self) -> int:
        """Pictures that have come."""
        return len(self._pictures)

    def set_colours(self, colours: WindowColours) -> None:
        """Follow the window's theme."""
        self._colours = colours
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw joins below, cards above."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for left, right in self.joined:
            marked = self._hovered is not None and self._hovered.patch.row == left.patch.row
            painter.setPen(QPen(QColor(MARK if marked else self._colours.text), 3.0 if marked else 1.4))
            start = QPointF(left.box.right() + 3, left.box.center().y())
            painter.drawLine(start, QPointF(right.box.left() - 3, right.box.center().y()))
        painter.setPen(QColor(self._colours.text))
        if len(self._columns) == 2:
            for card in (
                next((c for c in self.cards if c.source == name), None) for name, _ in self._columns
            ):
                if card is not None:
                    head = QRectF(card.box.left(), 0, card.box.width(), self._px(_HEAD_PX))
                    painter.drawText(head, Qt.AlignmentFlag.AlignCenter, card.source.capitalize())
        for card in self.cards:
            self._paint(painter, card)
        painter.end()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Tell which patch the pointer is on."""
        self._hover(None if event is None else self._card_at(event.position()))

    def leaveEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Tell that the pointer is on none."""
        self._hover(None)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Tell which patch was clicked."""
        card = None if event is None else self._card_at(event.position())
        if card is not None:
            self.clicked.emit(card.patch)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Go from patch to patch by the arrows, to the one by Enter or Space."""
        if event is None:
            return
        step, card = _STEPS.get(event.key()), self._hovered
        if event.key() in _CHOOSING and card is not None:
            self.clicked.emit(card.patch)
        elif step is not None and self.cards:
            self._hover(self.cards[0] if card is None else self._next(card, *step))
            self._come_into_view()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Mark a patch: the keys act on it."""
        super().focusInEvent(event)
        by_key = event is not None and event.reason() in (
            Qt.FocusReason.TabFocusReason,
            Qt.FocusReason.BacktabFocusReason,
        )
        if by_key and self._hovered is None and self.cards:
            self._hover(self.cards[0])
            self._come_into_view()

    def focusOutEvent(self, event: QFocusEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Mark none any more."""
        super().focusOutEvent(event)
        self._hover(None)

    def _next(self, card: Card, right: int, down: int) -> Card:
        """The nearest patch in one direction; the same where there is none."""
        middle = card.box.center()
        ahead = [
            other
            for other in self.cards
            if right * (other.box.center().x() - middle.x()) + down * (other.box.center().y() - middle.y())
            > 1
        ]

        def distance(other: Card) -> float:
            aside = other.box.center() - middle
            # Straight on before askew.
            return float(abs(aside.x()) * (1 if right else 9) + abs(aside.y()) * (1 if down else 9))

        return min(ahead, key=distance, default=card)

    def _come_into_view(self) -> None:
        """Have the panel scroll to the marked patch."""
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QScrollArea):
            parent = parent.parentWidget()
        if parent is not None and self._hovered is not None:
            place = self.mapTo(parent.widget(), self._hovered.box.center().toPoint())
            half = self._px(CARD_PX)
            parent.ensureVisible(place.x(), place.y(), half, half)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Lay the cards out anew."""
        self._lay_out()

    def _hover(self, card: Card | None) -> None:
        if card != self._hovered:
            self._hovered = card
            self.setToolTip("" if card is None else f"{card.source}: click to fly there")
            about = "" if card is None else f": {card.source}, rank {card.patch.rank}"
            self.setAccessibleName(f"{_NAME}{about}")
            self.hovered.emit(None if card is None else card.patch)
            self.update()

    def _card_at(self, place: QPointF) -> Card | None:
        return next((card for card in self.cards if card.box.contains(place)), None)

    def _lay_out(self) -> None:
        side, gap, join, head = (self._px(usual) for usual in (CARD_PX, _GAP_PX, _JOIN_PX, _HEAD_PX))
        step = side + self._px(_TEXT_PX) + gap
        self.cards = []
        if len(self._columns) == 2:
            inset = max(0.0, (self.width() - 2 * side - join) / 2)
            for place, (source, patches) in enumerate(self._columns):
                x = inset + place * (side + join)
                self.cards += [
                    Card(source, patch, QRectF(x, head + index * step, side, side))
                    for index, patch in enumerate(patches)
                ]
            height = head + step * max(len(patches) for _, patches in self._columns)
        else:
            across = max(1, (self.width() + gap) // (side + gap))
            for source, patches in self._columns:
                for index, patch in enumerate(patches):
                    x, y = (index % across) * (side + gap), (index // across) * step
                    self.cards.append(Card(source, patch, QRectF(x, y, side, side)))
            height = step * -(-len(self.cards) // across)
        self.joined = self._joins()
        if self.height() != max(1, height):
            self.setFixedHeight(max(1, height))
        self.update()

    def _joins(self) -> tuple[tuple[Card, Card], ...]:
        if len(self._columns) != 2:
            return ()
        from amkd_core.inference.comparison import coinciding

        (left, first), (right, second) = self._columns
        cards = {(card.source, card.patch.row): card for card in self.cards}
        return tuple(
            (cards[left, one.row], cards[right, other.row]) for one, other in coinciding(first, second)
        )

    def _paint(self, painter: QPainter, card: Card) -> None:
        picture = self._pictures.get(card.patch.row)
        if picture is None:
            painter.fillRect(card.box, QColor(self._colours.muted))
        else:
            painter.drawImage(card.box, picture)
        hovered = self._hovered is not None and self._hovered.patch.row == card.patch.row
        colour = QColor(MARK) if hovered else _COLOURS.get(card.source, QColor(self._colours.muted))
        painter.setPen(QPen(colour, 3.0 if hovered else 2.0))
        painter.drawRect(card.box)
        painter.setPen(QColor(self._colours.text))
        text = QRectF(card.box.left(), card.box.bottom() + 2, card.box.width(), self._px(_TEXT_PX))
        caption = f"{card.patch.rank}.  {card.patch.score:.3g} × mean\npercentile {card.patch.percentile:.1f}"
        font = painter.font()
        font.setPixelSize(round(MUTED * self.fontInfo().pixelSize()))
        painter.setFont(font)
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, caption)
