"""Labels of the panels, and the style that they share."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QSizePolicy, QWidget

from amkd_viewer.colours import ERROR, NOTICE, WindowColours


def wrapped_label(text: str = "", *, role: str = "", parent: QWidget | None = None) -> QLabel:
    """A label that breaks its lines and whose text can be copied; `role` names it for style sheets."""
    label = QLabel(text, parent)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    if role:
        label.setObjectName(role)
    return label


class FactsTable(QWidget):
    """Pairs of label and text in two columns."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setHorizontalSpacing(12)
        self._form.setVerticalSpacing(3)
        self._form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)

    def set_facts(self, facts: list[tuple[str, str]]) -> None:
        """Replace what is shown."""
        while self._form.rowCount():
            self._form.removeRow(0)
        for name, value in facts:
            label = QLabel(name)
            label.setObjectName("amkdMuted")
            label.setAlignment(Qt.AlignmentFlag.AlignTop)
            self._form.addRow(label, wrapped_label(value))

    @property
    def text(self) -> str:
        """All that is shown, a pair a line."""
        cells = [label.text() for label in self.findChildren(QLabel)]
        return "\n".join(cells)


def style_sheet(colours: WindowColours) -> str:
    """Style of the panels' own labels; everything else is napari's theme."""
    return f"""
    QLabel#amkdNumber {{ font-size: 40px; font-weight: 600; padding: 0; }}
    QLabel#amkdHeading {{ font-weight: 600; margin-top: 4px; }}
    QLabel#amkdMuted {{ color: {colours.muted}; font-size: 11px; }}
    QLabel#amkdNotice {{ border-left: 3px solid {NOTICE}; padding: 2px 0 2px 8px; }}
    QLabel#amkdError {{ border: 1px solid {ERROR}; border-left-width: 4px; padding: 6px 8px; }}
    QLabel#amkdUse {{ font-weight: 600; }}
    """


def heading_label(text: str) -> QLabel:
    """A heading within a panel."""
    return wrapped_label(text, role="amkdHeading")
