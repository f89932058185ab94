"""Labels of the panels, and the style that they share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtWidgets import QFormLayout, QLabel, QSizePolicy, QWidget

from amkd_viewer.colours import ERROR, NOTICE, WindowColours

_NUMBER, MUTED = 40 / 12, 11 / 12
"""Sizes of text relative to the window's own."""
_INSET_PX = 3
"""By which napari's style insets the text of other labels."""


def wrapped_label(text: str = "", *, role: str = "", parent: QWidget | None = None) -> QLabel:
    """A label that breaks its lines and whose text can be copied; `role` names it for style sheets."""
    label = QLabel(text, parent)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    # Not Minimum: its height would be that of a narrower label, and panels would scroll to nothing.
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    if role:
        label.setObjectName(role)
    return label


class PathLabel(QLabel):
    """A path in one line, cut in its middle where it is too long; the tool tip and a copy hold all of it."""

    def __init__(self, parent: QWidget | None = None, *, role: str = "") -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        if role:
            self.setObjectName(role)

    def set_path(self, path: Path | None, otherwise: str = "") -> None:
        """Show a path, or something else where there is none."""
        self.setText(otherwise if path is None else str(path))
        self.setToolTip("" if path is None else str(path))

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw as much as fits, in the colours of the style sheet."""
        painter = QPainter(self)
        place = self.rect().adjusted(_INSET_PX, 0, 0, 0)
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, place.width())
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        self.style().drawItemText(
            painter, place, flags, self.palette(), self.isEnabled(), text, self.foregroundRole()
        )
        painter.end()


class FactsTable(QWidget):
    """Pairs of label and text in two columns."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Kept and filled anew: each new label costs some 5 ms under napari's style sheet.
        self._rows: list[tuple[QLabel, QLabel]] = []
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setHorizontalSpacing(12)
        self._form.setVerticalSpacing(3)
        self._form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)

    def set_facts(self, facts: Sequence[tuple[str, str | Path]]) -> None:
        """Replace what is shown; paths are shown in one line each."""
        for row, (name, value) in enumerate(facts):
            if row >= len(self._rows) or isinstance(self._rows[row][1], PathLabel) != isinstance(value, Path):
                self._cut(row)
                self._append(isinstance(value, Path))
            label, shown = self._rows[row]
            label.setText(name)
            if isinstance(shown, PathLabel):
                shown.set_path(Path(value))
            else:
                shown.setText(str(value))
        self._cut(len(facts))

    def _append(self, of_path: bool) -> None:
        label, shown = QLabel(), PathLabel() if of_path else wrapped_label()
        label.setObjectName("amkdMuted")
        label.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._form.addRow(label, shown)
        self._rows.append((label, shown))

    def _cut(self, n_rows: int) -> None:
        while len(self._rows) > n_rows:
            self._rows.pop()
            self._form.removeRow(len(self._rows))

    @property
    def text(self) -> str:
        """All that is shown, a pair a line."""
        return "\n".join(label.text() for row in self._rows for label in row)


def text_pt() -> float:
    """Size of the window's text in points, as the user has set it in napari's preferences."""
    from napari.settings import get_settings

    return float(get_settings().appearance.font_size)


def text_size_events() -> Any:
    """What tells that the user sets it anew."""
    from napari.settings import get_settings

    return get_settings().appearance.events.font_size


def style_sheet(colours: WindowColours, size_pt: float) -> str:
    """Style of the panels' own labels, and of what napari's theme leaves without a size, beside text of a size."""
    return f"""
    QTableView, QListView, QHeaderView, LegendWidget, GalleryView {{ font-size: {size_pt:g}pt; }}
    QPushButton:focus {{ border: 2px solid {colours.text}; padding: 2px; }}
    QComboBox:focus {{ border: 2px solid {colours.text}; padding: 1px 8px 1px 6px; }}
    QAbstractSpinBox:focus {{ border: 2px solid {colours.text}; padding: 0px 8px; min-height: 16px; }}
    QLineEdit:focus {{ border: 2px solid {colours.text}; padding: 0px; }}
    QCheckBox:focus {{ border: 2px solid {colours.text}; padding: 0px; }}
    QSlider:focus, QTableView:focus, QListWidget:focus {{ border: 1px solid {colours.text}; padding: 0px; }}
    QLabel#amkdNumber {{ font-size: {_NUMBER * size_pt:.2f}pt; font-weight: 600; padding: 0; }}
    QLabel#amkdHeading {{ font-weight: 600; margin-top: 4px; }}
    QLabel#amkdMuted {{ color: {colours.muted}; font-size: {MUTED * size_pt:.2f}pt; }}
    QLabel#amkdNotice {{ border-left: 3px solid {NOTICE}; padding: 2px 0 2px 8px; }}
    QLabel#amkdError {{ border: 1px solid {ERROR}; border-left-width: 4px; padding: 6px 8px; }}
    QLabel#amkdUse {{ font-weight: 600; }}
    """


def heading_label(text: str = "") -> QLabel:
    """A heading within a panel."""
    return wrapped_label(text, role="amkdHeading")
