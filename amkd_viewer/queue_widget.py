"""*Plugins > AMKD > Folder of slides*: slides predicted one after another, with a table of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex
from qtpy.QtWidgets import QFileDialog, QProgressBar, QPushButton

from amkd_viewer import events
from amkd_viewer.events import QueueRequest, QueueRow, SessionEvent
from amkd_viewer.labels_widget import wrapped_label
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.pathway_model_widget import SortedTable
from amkd_viewer.wording import NO_MODEL, QUEUE_HINT, progress_text

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from amkd_core.inference.prediction import Prediction

_NAN = float("nan")
_HEADINGS = ("Slide", "Risk", "Percentile", "State")


class QueueWidget(WorkspacePanel):
    """A queue that may be cancelled, whose table is sorted by a click and exported as CSV."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, 420)
        self.paths: tuple[Path, ...] = ()
        self.rows: dict[int, QueueRow] = {}

        # Interactive elements
        self.folder_button = QPushButton("Folder…")
        self.run_button = QPushButton("Predict all")
        self.cancel_button = QPushButton("Cancel")
        self.table = SortedTable(_HEADINGS, stretched=0)
        self.export_button = QPushButton("Export table…")

        # Read-only elements
        self.progress = QProgressBar()
        self.stage = wrapped_label(QUEUE_HINT, role="amkdMuted")

        # Event handlers
        self.folder_button.clicked.connect(self._on_folder_clicked)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.workspace.session.cancel)
        self.table.doubleClicked.connect(self._on_row_opened)
        self.export_button.clicked.connect(self._on_export_clicked)
        self.workspace.told.connect(self._on_told)

        # Layout
        self.table.setMinimumHeight(320)
        self.progress.setVisible(False)
        self.add(row(self.folder_button, self.run_button, self.cancel_button, stretch=1))
        for item in (self.stage, self.progress, self.table, self.export_button):
            self.add(item)
        self._show()

    @property
    def predictions(self) -> list[Prediction]:
        """Results that are there, in the queue's order."""
        found = (self.rows[index].prediction for index in sorted(self.rows))
        return [prediction for prediction in found if prediction is not None]

    def choose(self, folder: Path | str) -> None:
        """Queue the slides of a folder; looked for off the GUI thread."""
        self.stage.setText(f"Looking for slides in {Path(folder).name}")
        self.workspace.do(self, "folder", lambda: _slides_in(Path(folder)), self._on_slides_found)

    def run(self) -> None:
        """Predict all that are queued and not done."""
        self.say_error("")
        if self.workspace.bundle_path is None:
            self.say_error(NO_MODEL)
            return
        self.rows = {}
        self.workspace.start(QueueRequest(self.paths, self.workspace.bundle_path, self.workspace.device))
        self._show()

    def export(self, path: Path | str) -> None:
        """Write the table as CSV."""
        predictions = self.predictions

        def write() -> str:
            from amkd_core.export.scores import write_results_table

            write_results_table(Path(path), predictions)
            return Path(path).name

        self.workspace.do(
            self,
            "export",
            write,
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

    def _on_row_opened(self, index: QModelIndex) -> None:
        name = self.table.value(index.row(), 0)
        path = next((path for path in self.paths if path.name == name), None)
        if path is not None:
            self.workspace.open_slide(path)

    def _on_slides_found(self, paths: tuple[Path, ...]) -> None:
        self.paths, self.rows = paths, {}
        self.stage.setText(f"{len(paths)} slides found." if paths else "No slides found in this folder.")
        self._show()

    def _on_told(self, event: SessionEvent) -> None:
        if not isinstance(getattr(event, "request", None), QueueRequest):
            return
        match event:
            case events.Queued():
                self.rows[event.row.index] = event.row
                self._show()
            case events.Advanced():
                self.stage.setText(progress_text(event.progress))
            case events.QueueEnded():
                failed = sum(bool(entry.error) for entry in self.rows.values())
                self.stage.setText(f"Done: {len(self.rows) - failed} predicted, {failed} not.")
                self._show()
            case events.Cancelled():
                self.stage.setText(f"Cancelled after {len(self.rows)} of {len(self.paths)} slides.")
                self._show()
            case events.Failed() | events.Crashed():
                self.stage.setText(f"Stopped after {len(self.rows)} of {len(self.paths)} slides.")
                self.say_error(str(event.error))
                self._show()

    def _show(self) -> None:
        running = isinstance(self.workspace.session.running, QueueRequest)
        self.run_button.setEnabled(bool(self.paths) and not running)
        self.cancel_button.setEnabled(running)
        self.folder_button.setEnabled(not running)
        self.export_button.setEnabled(bool(self.predictions))
        self.progress.setVisible(running)
        self.progress.setRange(0, max(1, len(self.paths)))
        self.progress.setValue(len(self.rows))
        rows = [_cells(path, self.rows.get(index)) for index, path in enumerate(self.paths)]
        self.table.set_rows(rows, (str, _three, _whole, str))


def _slides_in(folder: Path) -> tuple[Path, ...]:
    from amkd_core.slides.folders import slides_in

    return tuple(slides_in(folder))


def _cells(path: Path, entry: QueueRow | None) -> tuple[object, ...]:
    if entry is None:
        return path.name, _NAN, _NAN, "waiting"
    found = entry.prediction
    if found is None:
        return path.name, _NAN, _NAN, "failed: " + entry.error
    return path.name, found.risk, found.risk_percentile, f"{found.risk_group} risk"


def _whole(value: float) -> str:
    return "" if value != value else f"{value:,.0f}"


def _three(value: float) -> str:
    return "" if value != value else f"{value:.3f}"
