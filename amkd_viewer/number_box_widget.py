"""A field for numbers with decimals, typed with a point or a comma whatever the computer's own language."""

from __future__ import annotations

from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QWidget

_MARKS = ".,"


class NumberBox(QDoubleSpinBox):
    """A field in which "0.25" and "0,25" are the same number everywhere.

    Qt takes one of the two marks for a separator of thousands, by the computer's language, and drops it as it is typed:
    0.25 um per pixel would be 25. Numbers are shown with the language's own decimal mark and without separators, so
    that what holds more marks than one is no number, and what was there before stays. A number is told when it is
    typed to its end.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Half-typed numbers are other numbers.
        self.setKeyboardTracking(False)

    def validate(self, text: str | None, pos: int) -> tuple[QValidator.State, str, int]:
        """Tell whether `text` is a number, with either mark."""
        text = text or ""
        if self._n_marks(text) > min(1, self.decimals()):
            return QValidator.State.Intermediate, text, pos
        state, text, pos = super().validate(self._in_own_marks(text), pos)
        return state, text, pos

    def fixup(self, text: str | None) -> str:
        """Leave what is no number alone; Qt would take separators out of it."""
        return text or ""

    def valueFromText(self, text: str | None) -> float:  # noqa: N802 (Qt's name)
        """Give the number that `text` says, with either mark."""
        return float(super().valueFromText(self._in_own_marks(text or "")))

    def _n_marks(self, text: str) -> int:
        own = self.locale().decimalPoint()
        return sum(text.count(mark) for mark in {*_MARKS, own})

    def _in_own_marks(self, text: str) -> str:
        own = self.locale().decimalPoint()
        return "".join(own if letter in _MARKS else letter for letter in text)
