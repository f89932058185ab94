"""A box of names that may be longer than it is wide: of slides, maps, pathways, patients."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QPaintEvent, QPalette
from qtpy.QtWidgets import (
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolTip,
    QWidget,
)

_INSET_PX = 4
"""By which styles inset the text within its field."""


class NameBox(QComboBox):
    """Cuts the chosen name in its middle, tells all of it as a tool tip, and is as wide as there is room.

    Names of one patient's slides are alike at the beginning and differ at the end, where Qt cuts them, and shows no
    sign of it.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)

    @property
    def shown_text(self) -> str:
        """The chosen name, or what stands in its place, as far as there is room for it."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        text = self.currentText() if self.currentIndex() >= 0 else self.placeholderText()
        room = field.width() - _INSET_PX
        return str(self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, room))

    def event(self, event: QEvent | None) -> bool:
        """Tell the whole name to whoever points at it, in place of what the box is for."""
        pointed: Any = event
        if pointed is not None and pointed.type() == QEvent.Type.ToolTip and self.currentText():
            QToolTip.showText(pointed.globalPos(), self.currentText(), self)
            return True
        return bool(super().event(event))

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw the box as Qt does, with as much of the name as there is room for."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        option.currentText = self.shown_text
        if self.currentIndex() < 0:
            option.palette.setBrush(QPalette.ColorRole.ButtonText, option.palette.placeholderText())
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()
