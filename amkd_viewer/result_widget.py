"""The result of a prediction: risk, curve, legend, notices and facts."""

from __future__ import annotations

from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from amkd_viewer import slide_layers
from amkd_viewer.colours import HIGH_RISK, LOW_RISK, WindowColours, ink_on
from amkd_viewer.figure_widget import FigureWidget
from amkd_viewer.labels_widget import FactsTable, heading_label, wrapped_label
from amkd_viewer.legend_widget import LegendWidget, colours_of
from amkd_viewer.map_watch_widget import MapWatch
from amkd_viewer.plots import draw_survival
from amkd_viewer.shown_map import map_of
from amkd_viewer.wording import (
    MAP_CAPTION,
    curve_heading,
    curve_words,
    group_sentence,
    group_text,
    map_hint,
    notice_sentences,
    patient_text,
    prediction_facts,
    risk_sentence,
    teacher_sentence,
    told_text,
)

if TYPE_CHECKING:
    from amkd_core.inference.prediction import Prediction
    from amkd_viewer.events import PredictionRequest
    from amkd_viewer.layers import MapLook
    from amkd_viewer.workspace_widget import Workspace


class NoticeList(QWidget):
    """Sentences that must be read before the result is trusted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)
        self.sentences: list[str] = []
        self._labels: list[QLabel] = []

    def set_sentences(self, sentences: list[str]) -> None:
        """Replace what is shown."""
        self.sentences = list(sentences)
        while len(self._labels) < len(self.sentences):
            self._labels.append(wrapped_label(role="amkdNotice"))
            self._column.addWidget(self._labels[-1])
        # Kept and filled anew: each new label costs some 5 ms under napari's style sheet.
        for label, sentence in zip_longest(self._labels, self.sentences):
            label.setText(sentence or "")
            label.setVisible(sentence is not None)
        self.setVisible(bool(self.sentences))


class ResultWidget(QFrame):
    """Everything that the panel says about one prediction, most important first."""

    def __init__(self, workspace: Workspace, colours: WindowColours, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._watch = MapWatch(workspace, self)
        self._watch.changed.connect(self._on_map_changed)
        self.patient = heading_label()
        self.percentile = QLabel()
        self.percentile.setObjectName("amkdNumber")
        self.group = QLabel()
        self.group.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.sentence = wrapped_label()
        self.teacher = wrapped_label()
        self.plot = FigureWidget(workspace, colours, size_px=(340, 240))
        self.legend = LegendWidget(colours)
        self.notices = NoticeList()
        self.facts = FactsTable()

        head = QHBoxLayout()
        head.addWidget(self.percentile)
        head.addWidget(wrapped_label("risk percentile among training cohort", role="amkdMuted"), 1)
        head.addWidget(self.group, alignment=Qt.AlignmentFlag.AlignVCenter)

        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.patient)
        column.addLayout(head)
        column.addWidget(self.sentence)
        column.addWidget(self.teacher)
        column.addWidget(self.notices)
        self.heading = heading_label()
        column.addWidget(self.heading)
        column.addWidget(self.plot)
        self.told = wrapped_label(role="amkdMuted")
        column.addWidget(self.told)
        column.addWidget(heading_label(MAP_CAPTION))
        column.addWidget(self.legend)
        self.hint = wrapped_label(role="amkdMuted")
        column.addWidget(self.hint)
        column.addWidget(heading_label("What this rests on"))
        column.addWidget(self.facts)

    def show_look(self, look: MapLook, limits: tuple[float, float] | None) -> None:
        """Say what the map's colours mean; `limits` are the values of their ends where a map is drawn."""
        layer = map_of(self._workspace)
        self.legend.set_look(look, limits, None if layer is None else colours_of(layer))
        prediction = self._workspace.prediction
        if prediction is not None:
            self.hint.setText(map_hint(look.style_for(prediction)))

    def _on_map_changed(self) -> None:
        layer = map_of(self._workspace)
        self.show_look(self._workspace.look, None if layer is None else slide_layers.limits_of(layer))

    def show_prediction(self, prediction: Prediction, asked: PredictionRequest | None = None) -> None:
        """Replace what is shown; `asked` tells whose expression went into it."""
        self.patient.setText(patient_text(prediction))
        self.patient.setVisible(prediction.patient is not None)
        self.percentile.setText(f"{prediction.risk_percentile:.0f}")
        self._show_group(prediction)
        self.sentence.setText(f"{risk_sentence(prediction)} {group_sentence(prediction)}")
        self.teacher.setText(teacher_sentence(prediction))
        self.teacher.setVisible(prediction.teacher is not None)
        self.heading.setText(curve_heading(prediction))
        self.plot.draw(
            partial(draw_survival, prediction=prediction, compact=True), words=curve_words(prediction)
        )
        self.told.setText(told_text(prediction))
        self.notices.set_sentences(notice_sentences(prediction))
        expression = None if asked is None or prediction.teacher is None else asked.expression
        self.facts.set_facts(prediction_facts(prediction, expression))

    def _show_group(self, prediction: Prediction) -> None:
        """The group on its colour; framed in it where it is in doubt, so that it reads as no finding at a glance."""
        colour = HIGH_RISK if prediction.risk_group == "high" else LOW_RISK
        self.group.setText(group_text(prediction).replace(": ", ":\n"))
        paint = (
            f"border: 2px dashed {colour};"
            if prediction.is_doubtful
            else f"background: {colour}; color: {ink_on(colour)};"
        )
        self.group.setStyleSheet(f"{paint} font-weight: 600; padding: 5px 10px; border-radius: 4px;")
