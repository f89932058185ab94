"""*Plugins > AMKD > Survival*: the predicted curve on the training cohort's, in pictures and numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton

from amkd_viewer.figure_widget import FigureWidget
from amkd_viewer.labels_widget import FactsTable, heading_label, wrapped_label
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.plots import draw_risk_place, draw_survival, survival_table
from amkd_viewer.result_widget import NoticeList
from amkd_viewer.wording import (
    PLACE_HEADING,
    SURVIVAL_LIMITS,
    curve_words,
    group_sentence,
    notice_sentences,
    patient_text,
    place_words,
    risk_sentence,
    survival_facts,
    teacher_sentence,
    told_text,
)

if TYPE_CHECKING:
    from napari.viewer import Viewer


class SurvivalPanel(WorkspacePanel):
    """Curve, numbers and the risk's place in the cohort."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, 380)

        # Interactive elements
        self.copy_button = QPushButton("Copy")
        self.save_button = QPushButton("Save as PNG, SVG or CSV…")

        # Read-only elements
        self.empty = wrapped_label("Predict the slide to see its survival curve here.", role="amkdMuted")
        self.patient = heading_label()
        self.notices = NoticeList()
        self.curve = FigureWidget(self.workspace, self.colours, size_px=(360, 290))
        self.facts = FactsTable()
        self.place_heading = heading_label(PLACE_HEADING)
        self.place = FigureWidget(self.workspace, self.colours, size_px=(360, 170))
        self.sentence = wrapped_label()
        self.teacher = wrapped_label()
        self.limits = wrapped_label(role="amkdMuted")

        # Event handlers
        self.copy_button.clicked.connect(self.curve.copy)
        self.save_button.clicked.connect(self.curve.ask_and_save)
        self.workspace.prediction_changed.connect(self._show)

        # Layout
        for item in (self.empty, self.patient, self.notices, self.curve):
            self.add(item)
        for item in (row(self.copy_button, self.save_button, stretch=1), self.facts):
            self.add(item)
        for item in (self.place_heading, self.place, self.sentence, self.teacher, self.limits):
            self.add(item)
        self._show()

    def _show(self) -> None:
        prediction = self.workspace.prediction
        self.empty.setVisible(prediction is None)
        for widget in (
            self.curve, self.copy_button, self.save_button, self.facts, self.place_heading, self.place,
            self.sentence, self.limits,
        ):  # fmt: skip
            widget.setVisible(prediction is not None)
        if prediction is None:
            for widget in (self.patient, self.notices, self.teacher):
                widget.setVisible(False)
            return
        self.patient.setText(patient_text(prediction))
        self.patient.setVisible(prediction.patient is not None)
        self.notices.set_sentences(notice_sentences(prediction))
        self.curve.draw(
            partial(draw_survival, prediction=prediction),
            partial(survival_table, prediction),
            curve_words(prediction),
        )
        self.place.draw(partial(draw_risk_place, prediction=prediction), words=place_words(prediction))
        self.facts.set_facts(survival_facts(prediction))
        self.sentence.setText(f"{risk_sentence(prediction)} {group_sentence(prediction)}")
        self.teacher.setText(teacher_sentence(prediction))
        self.teacher.setVisible(prediction.teacher is not None)
        self.limits.setText(f"{told_text(prediction)} {SURVIVAL_LIMITS}")
