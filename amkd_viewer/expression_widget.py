"""A patient's expression: the file, and who of its patients this is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from amkd_core.inference.demo import demo_expression_beside
from amkd_viewer import slide_layers
from amkd_viewer.events import Expression
from amkd_viewer.labels_widget import PathLabel, wrapped_label
from amkd_viewer.name_box_widget import NameBox
from amkd_viewer.panel_widget import row

if TYPE_CHECKING:
    from amkd_core.errors import AmkdError
    from amkd_viewer.workspace_widget import Workspace

_FILTER = "Expression tables (*.csv *.tsv *.txt *.parquet *.xlsx *.gz);;All files (*)"


class ExpressionWidget(QWidget):
    """Chooses file and patient, reads off the GUI thread and tells the workspace."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._path: Path | None = None
        self._slide: str | None = None
        self._reading = ""

        # Interactive elements
        self.choose_button = QPushButton("Expression…")
        self.choose_button.setToolTip("Choose a table of one or many patients")
        self.demo_button = QPushButton("Demo's")
        self.demo_button.setToolTip("Take the expression of the synthetic demo slide's patient")
        self.clear_button = QPushButton("Leave out")
        self.patient = NameBox()
        self.run_button = QPushButton("Predict with expression")

        # Read-only elements
        self.file_name = PathLabel()
        self.found = wrapped_label(role="amkdMuted")

        # Of this widget, so that it ends with it
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self._find_own)

        # Event handlers
        self.choose_button.clicked.connect(self._on_choose_clicked)
        self.demo_button.clicked.connect(self._on_demo_clicked)
        self.clear_button.clicked.connect(self.clear)
        self.patient.activated.connect(lambda: self._read(self.patient.currentText()))
        self.run_button.clicked.connect(lambda: workspace.run())
        workspace.inputs_changed.connect(self._show)
        workspace.slide_changed.connect(self._on_slide_changed)
        workspace.told.connect(self._enable)

        # Layout
        self.patient.setPlaceholderText("choose the patient")
        self.patient.setAccessibleName("Patient whose expression is taken")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row(self.file_name, self.demo_button, self.choose_button, self.clear_button))
        column.addWidget(self.patient)
        column.addWidget(self.found)
        column.addWidget(self.run_button)
        self._show()

    def read(self, path: Path | str) -> None:
        """Read the patients of a file; the slide's own is taken where its name tells."""
        from amkd_core.inference.pathway_table import patients_in

        self.clear()
        self._path = Path(path)
        self._show()
        self.found.setText(f"Reading {self._path.name}")
        task = partial(patients_in, self._path)
        self._workspace.do(self, "patients", task, self._on_patients_read, self._on_unreadable)

    def clear(self) -> None:
        """Predict without expression from here on."""
        self._path = None
        self.patient.clear()
        self._leave_out()

    @property
    def _patients(self) -> tuple[str, ...]:
        """All that the file holds."""
        return tuple(self.patient.itemText(index) for index in range(self.patient.count()))

    def _leave_out(self) -> None:
        self._reading = ""
        self._workspace.set_inputs(expression=None)

    def _on_choose_clicked(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose an expression table", "", _FILTER)
        if path:
            self.read(path)

    def _on_demo_clicked(self) -> None:
        table = self._demos_table()
        if table is not None:
            self.read(table)

    def _offer_demo(self) -> None:
        self.demo_button.setVisible(self._path is None and self._demos_table() is not None)

    def _demos_table(self) -> Path | None:
        """The demo patient's table where the demo slide is looked at."""
        layer = self._workspace.slide
        return None if layer is None else demo_expression_beside(slide_layers.info_of(layer).path)

    def _on_patients_read(self, patients: tuple[str, ...]) -> None:
        self.patient.clear()
        self.patient.addItems(patients)
        self._find_own()

    def _find_own(self) -> None:
        """Take the patient whose slide this is by its name; else nobody's expression until the user says whose."""
        from amkd_core.inference.pathway_table import patient_of_slide

        patients, layer = self._patients, self._workspace.slide
        self._slide = self._workspace.fingerprint
        own = None if layer is None else patient_of_slide(patients, slide_layers.info_of(layer).slide_id)
        if len(patients) == 1 and self._path is not None and self._path == self._demos_table():
            own = patients[0]
        if own is None:
            self.patient.setCurrentIndex(-1)
            self._leave_out()
            count = "1 patient, not" if len(patients) == 1 else f"{len(patients)} patients, none"
            self.found.setText(f"{count} named as the slide; choose the patient.")
            return
        self.patient.setCurrentText(own)
        self._read(own)

    def _read(self, patient: str) -> None:
        path = self._path
        if path is None:
            return
        self._leave_out()  # whose it was until now; a run that is started meanwhile must not take it
        self._reading = patient
        self.found.setText(f"Reading the genes of {patient}")
        task = partial(_expression_of, path, patient, self._patients)
        self._workspace.do(self, "genes", task, self._on_genes_read, self._on_unreadable)

    def _on_genes_read(self, expression: Expression) -> None:
        if (expression.path, expression.patient) == (self._path, self._reading):
            self._workspace.set_inputs(expression=expression)

    def _on_unreadable(self, error: AmkdError) -> None:
        self.clear()
        self._workspace.fail(error)

    def _on_slide_changed(self) -> None:
        now = self._workspace.fingerprint
        self._offer_demo()
        if self._path is None or now in (None, self._slide):
            return
        self._slide = now
        # What there was is of another patient.
        if self._workspace.expression is None and self.patient.count():
            self._reading = ""
            self._again.start()

    def _show(self) -> None:
        expression = self._workspace.expression
        if expression is not None and self.patient.count() == 0:  # chosen in another panel
            self._path, self._slide = expression.path, self._workspace.fingerprint
            self.patient.addItems(expression.patients or (expression.patient,))
            self.patient.setCurrentText(expression.patient)
        self.file_name.set_path(None if self._path is None else Path(self._path.name), "no expression")
        self.patient.setVisible(self._path is not None)
        self.clear_button.setVisible(self._path is not None)
        self._offer_demo()
        self._enable()
        if expression is not None:
            said = f"{len(expression.genes):,} genes of patient {expression.patient}."
            self.found.setText(f"{said} {expression.note}".rstrip())
        elif self._path is None:
            self.found.setText("")

    def _enable(self, event: object = None) -> None:
        free = self._workspace.session.running is None
        self.run_button.setEnabled(free and self._workspace.expression is not None)


def _expression_of(path: Path, patient: str, patients: tuple[str, ...]) -> Expression:
    """Read a patient's genes, and whether anything vouches for the file."""
    from amkd_core.hash_beside import told_of_bare
    from amkd_core.inference.expression import read_genes

    return Expression(path, patient, read_genes(path, patient), told_of_bare([path]), patients)
