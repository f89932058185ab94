"""The mouse wheel over a panel: it scrolls the panel, and changes a control only where the user is at it."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDial,
    QScrollArea,
    QSlider,
    QWidget,
)

_TURNED = (QComboBox, QAbstractSpinBox, QSlider, QDial)
"""What a wheel changes; scroll bars are none of them."""


class WheelGuard(QObject):
    """Keeps the wheel from controls in a scroll area that do not have the keyboard's focus.

    Who scrolls a panel passes over its controls: each of them would take a step with it, the device or the scale too.

    Parameters
    ----------
    area
        What is scrolled instead; controls that are added to its page later are found when they are laid out.
    """

    def __init__(self, area: QScrollArea) -> None:
        super().__init__(area)
        self._area, self._page = area, area.widget()
        self._page.installEventFilter(self)
        self.find()

    def find(self) -> None:
        """Guard the controls that are there."""
        for kind in _TURNED:
            for control in self._page.findChildren(kind):
                # The wheel itself would give focus to boxes, and then change them.
                if control.focusPolicy() != Qt.FocusPolicy.NoFocus:
                    control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                control.installEventFilter(self)  # of several times the last one counts

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Scroll by the wheel that was meant for a control."""
        if event is None:
            return False
        if watched is self._page:
            # Posted up to here whenever anything within is added or shown.
            if event.type() == QEvent.Type.LayoutRequest:
                self.find()
        elif event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            QApplication.sendEvent(self._area.viewport(), event)
            event.accept()  # at the end of the page too
            return True
        return False
