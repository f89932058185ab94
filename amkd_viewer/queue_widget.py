"""*Plugins > AMKD > Folder of slides*: slides predicted one after another, with a table of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHeaderView, QLabel, QProgressBar, QPushButton

from amkd_viewer import events, queue_rows
from amkd_viewer.events import QueueRequest, QueueRow, SessionEvent
from amkd_viewer.inputs_widget import ScaleBox, demo_path
from amkd_viewer.labels_widget import wrapped_label
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.pathway_model_widget import SortedTable
from amkd_viewer.tasks import writing
from amkd_viewer.wording import (
    DEMO_MODEL,
    IDENTIFIED,
    NO_MODEL,
    QUEUE_BY,
    QUEUE_IDENTIFIED_HINT,
    QUEUE_MODEL,
    QUEUE_OTHER_MODEL,
    QUEUE_RUNNING,
    QUEUE_SCALE_HINT,
    SLIDE_RUNNING,
)

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from amkd_core.inference.prediction import Prediction


_WIDTHS = (100, 56, 80)
"""Pixels of the columns of name, risk and percentile at first."""


class QueueWidget(WorkspacePanel):
    """A queue that may be cancelled, whose table is sorted by a click and exported as CSV."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, 480)
        self._listed: tuple[Path, ...] = ()

        # Interactive elements
        self.folder_button = QPushButton("Folder…")
        self.run_button = QPushButton("Predict all")
        self.cancel_button = QPushButton("Cancel")
        self.mpp = ScaleBox()
        self.table = SortedTable(queue_rows.HEADINGS, stretched=4)
        self.identified = QCheckBox(IDENTIFIED)
        self.export_button = QPushButton("Export table…")

        # Read-only elements
        self.progress = QProgressBar()
        self.stage = wrapped_label(role="amkdMuted")
        self.model = wrapped_label(role="amkdMuted")
        self.detail = wrapped_label()

        # Event handlers
        self.folder_button.clicked.connect(self._on_folder_clicked)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.workspace.session.cancel)
        self.table.selectionModel().currentRowChanged.connect(self._on_row_chosen)
        self.table.doubleClicked.connect(self._on_row_opened)
        self.export_button.clicked.connect(self._on_export_clicked)
        self.workspace.told.connect(self._on_told)
        self.workspace.inputs_changed.connect(self._show_model)

        # Layout
        self.table.setMinimumHeight(320)
        self.table.elide_in_the_middle(0)
        # Long names would leave the notices no room; a tool tip shows all of one, and columns can be drawn wider.
        header = self.table.horizontalHeader()
        for column, width in enumerate(_WIDTHS):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            header.resizeSection(column, width)
        self.progress.setVisible(False)
        self.mpp.setSpecialValueText("not given")
        self.mpp.setToolTip(QUEUE_SCALE_HINT)
        self.mpp.setAccessibleName("µm per pixel of slides without a scale")
        for button, text, action in (
            (self.folder_button, "Choose a folder of slides", ""),
            (self.run_button, "Predict all slides of the folder", ""),
            (self.cancel_button, "Give up the queue; what is predicted stays", "Cancel"),
            (self.identified, QUEUE_IDENTIFIED_HINT, ""),
            (self.export_button, "Save the table as CSV", ""),
        ):
            self.explain(button, text, action)
        self.add(row(self.folder_button, self.run_button, self.cancel_button, stretch=1))
        self.add(row(QLabel("µm per pixel of slides without a scale"), self.mpp, stretch=1))
        for item in (self.stage, self.progress, self.model, self.table, self.detail, self.identified):
            self.add(item)
        self.add(self.export_button)
        queue = self.workspace.queue
        self.mpp.setValue((queue.request and queue.request.mpp) or 0)
        self.say_error(queue.error)
        self._show()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Slides of the queue, which the workspace keeps."""
        return self.workspace.queue.paths

    @property
    def rows(self) -> dict[int, QueueRow]:
        """What is known of those that are done, by their place in the queue."""
        return self.workspace.queue.rows

    @property
    def predictions(self) -> list[Prediction]:
        """Results that are there, in the queue's order."""
        found = (self.rows[index].prediction for index in sorted(self.rows))
        return [prediction for prediction in found if prediction is not None]

    def choose(self, folder: Path | str) -> None:
        """Queue the slides of a folder; looked for off the GUI thread."""
        self.stage.setText(f"Looking for slides in {Path(folder).name}")
        self.workspace.do(
            self, "folder", lambda: _slides_in(Path(folder)), self._on_slides_found, self._on_folder_failed
        )

    def run(self) -> None:
        """Predict all that are queued and not done."""
        self.say_error("")
        bundle, device = self.workspace.bundle_path, self.workspace.device
        if bundle is None:
            self.say_error(NO_MODEL)
            return
        if not self.workspace.start(QueueRequest(self.paths, bundle, device, self.mpp.value() or None)):
            self.say_error(str(self.workspace.outcome))
        self._show()

    def export(self, path: Path | str) -> None:
        """Write the table as CSV: every slide of the queue, also those without a result."""
        paths, rows, identified = self.paths, dict(self.rows), self.identified.isChecked()

        def write() -> str:
            from amkd_core.export.scores import write_results_table

            write_results_table(Path(path), queue_rows.table_rows(paths, rows), identified=identified)
            return Path(path).name

        self.workspace.do(
            self,
            "export",
            writing(write),
            lambda name: self.stage.setText(f"Saved {name}"),
            lambda error: self.say_error(str(error)),
        )

    def _on_folder_clicked(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder of slides")
        if folder:
            self.choose(folder)

    def _on_export_clicked(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Export the table", "results.csv", "CSV (*.csv)")
        if path:
            self.export(path)

    def _on_row_chosen(self, index: QModelIndex) -> None:
        place = self._place_of(index)
        if place is not None:
            self.detail.setText(queue_rows.row_text(self.paths[place], self.rows.get(place)))

    def _on_row_opened(self, index: QModelIndex) -> None:
        place = self._place_of(index)
        if place is not None:
            entry = self.rows.get(place)
            found = None if entry is None else entry.prediction
            # At the scale that it was predicted with, so that its result is found again.
            given = found is not None and found.bag.slide_mpp_source == "user"
            mpp = found.bag.slide_mpp if given and found else None
            self.workspace.open_slide(self.paths[place], mpp=mpp)

    def _place_of(self, index: QModelIndex) -> int | None:
        """Place in the queue of a row on the screen."""
        name = self.table.value(index.row(), 0)
        return next((place for place, path in enumerate(self.paths) if path.name == name), None)

    def _on_slides_found(self, found: tuple[tuple[Path, ...], int]) -> None:
        if isinstance(self.workspace.session.running, QueueRequest):
            self.say_error(QUEUE_RUNNING)
        else:
            self.workspace.queue.choose(*found)
            self.detail.setText("")
            self.say_error("")
        self._show()

    def _on_folder_failed(self, error: Exception) -> None:
        self.say_error(str(error))
        self._show()

    def _on_told(self, event: SessionEvent) -> None:
        # The workspace's record has heard it before.
        if not isinstance(getattr(event, "request", None), QueueRequest):
            if self.error.text() == SLIDE_RUNNING and self.workspace.session.running is None:
                self.say_error("")
            return
        if isinstance(event, events.Advanced):
            self.stage.setText(self.workspace.queue.stage)
            return
        self._show()
        if self.workspace.queue.error:
            self.say_error(self.workspace.queue.error)

    def _show(self) -> None:
        running = isinstance(self.workspace.session.running, QueueRequest)
        self.run_button.setEnabled(bool(self.paths) and not running)
        self.cancel_button.setEnabled(running)
        self.folder_button.setEnabled(not running)
        self.export_button.setEnabled(bool(self.rows))
        self.progress.setVisible(running)
        self.progress.setRange(0, max(1, len(self.paths)))
        self.progress.setValue(len(self.rows))
        self.stage.setText(self.workspace.queue.stage)
        self._show_model()
        rows = [queue_rows.cells(path, self.rows.get(index)) for index, path in enumerate(self.paths)]
        if self._listed == self.paths:
            # A row that is read while others come stays selected and in view.
            self.table.update_rows(rows)
            self._on_row_chosen(self.table.currentIndex())
        else:
            self._listed = self.paths
            self.table.set_rows(rows, (str, _three, _whole, queue_rows.state_text, queue_rows.first_line))

    def _show_model(self) -> None:
        """Name the model that the rows are by, and say so where another one is chosen now."""
        asked, chosen = self.workspace.queue.request, self.workspace.bundle_path
        chosen_name = "none" if chosen is None else _name_of(chosen)
        if asked is None:
            text = QUEUE_MODEL.format(chosen=chosen_name) if self.paths and chosen is not None else ""
        else:
            sentence = QUEUE_BY if asked.bundle_path == chosen else QUEUE_OTHER_MODEL
            model = self.workspace.queue.model or _name_of(asked.bundle_path)
            text = sentence.format(model=model, chosen=chosen_name)
        self.model.setText(text)
        self.model.setVisible(bool(text))


def _slides_in(folder: Path) -> tuple[tuple[Path, ...], int]:
    """Slides of a folder, and how many of its sub-folders hold others."""
    from amkd_core.errors import SlideError
    from amkd_core.slides.folders import folders_of_slides, slides_in

    try:
        return tuple(slides_in(folder)), len(folders_of_slides(folder))
    except OSError as error:
        raise SlideError(f"{folder} cannot be listed: {error.strerror}.") from error


def _name_of(bundle_path: Path) -> str:
    """A model's name as the panel of predictions shows it."""
    return DEMO_MODEL if bundle_path == demo_path() else bundle_path.name


def _whole(value: float) -> str:
    return "" if value != value else f"{value:,.0f}"


def _three(value: float) -> str:
    return "" if value != value else f"{value:.3f}"
