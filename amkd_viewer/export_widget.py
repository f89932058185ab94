"""*Plugins > AMKD > Export*: maps and patches for other programs, tables, pictures and a report."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QFileDialog, QLabel, QPushButton, QSpinBox

from amkd_viewer import exports, slide_layers
from amkd_viewer.labels_widget import heading_label, wrapped_label
from amkd_viewer.layers import sources_of
from amkd_viewer.name_box_widget import NameBox
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.plots import short_name
from amkd_viewer.tasks import writing
from amkd_viewer.wording import EXPORT_HINT, IDENTIFIED

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from amkd_viewer.exports import ExportOrder


class ExportWidget(WorkspacePanel):
    """Writes what is ticked into a folder, off the GUI thread."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self._writing = False

        # Interactive elements
        self.kinds = {kind: QCheckBox(title) for kind, title in exports.KINDS.items()}
        self.source = NameBox()
        self.number = QSpinBox()
        self.identified = QCheckBox(IDENTIFIED)
        self.export_button = QPushButton("Export into a folder…")

        # Read-only elements
        self.written = wrapped_label(role="amkdMuted")

        # Event handlers
        self.export_button.clicked.connect(self._on_export_clicked)
        self.workspace.prediction_changed.connect(self._on_prediction_changed)
        for box in self.kinds.values():
            box.toggled.connect(self._enable)

        # Initial values and layout
        for kind in ("geojson", "scores"):
            self.kinds[kind].setChecked(True)
        self.number.setRange(0, 50)
        self.number.setValue(5)
        self.number.setAccessibleName("Number of top patches")
        self.source.setAccessibleName("Map that is exported")
        self.add(heading_label("What to write"))
        for box in self.kinds.values():
            self.add(box)
        self.add(row(QLabel("Map of"), self.source, QLabel("Top patches"), self.number, stretch=1))
        for item in (
            self.identified,
            self.export_button,
            self.written,
            wrapped_label(EXPORT_HINT, role="amkdMuted"),
        ):
            self.add(item)
        self._on_prediction_changed()

    def export(self, folder: Path | str) -> None:
        """Write what is ticked into a folder."""
        prediction, layer = self.workspace.prediction, self.workspace.slide
        if prediction is None or layer is None:
            return
        self.say_error("")
        self._set_writing(True, "Writing…")
        order: ExportOrder = exports.ExportOrder(
            folder=Path(folder),
            kinds=tuple(kind for kind, box in self.kinds.items() if box.isChecked()),
            source=str(self.source.currentData()),
            n_top=self.number.value(),
            identified=self.identified.isChecked(),
            info=slide_layers.info_of(layer),
            mpp=slide_layers.given_mpp(layer),
        )
        task: Callable[[], list[str]] = partial(exports.write_all, order, prediction)
        self.workspace.do(self, "export", writing(task), self._on_written, self._on_failed)

    def _on_export_clicked(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Export into a folder")
        if folder:
            self.export(folder)

    def _on_written(self, names: list[str]) -> None:
        self._set_writing(False, "Written: " + ", ".join(names))

    def _on_failed(self, error: Exception) -> None:
        self.say_error(str(error))
        self._set_writing(False, "")

    def _on_prediction_changed(self) -> None:
        prediction = self.workspace.prediction
        self.source.clear()
        for source in [] if prediction is None else sources_of(prediction):
            self.source.addItem(short_name(source, 50), source)
        if not self._writing:
            self.written.setText("" if prediction is not None else "Predict the slide first.")
        self._enable()

    def _set_writing(self, writing: bool, said: str) -> None:
        """Say how far it is; of two exports at once the first would be dropped untold."""
        self._writing = writing
        self.written.setText(said)
        self._enable()

    def _enable(self) -> None:
        some = any(box.isChecked() for box in self.kinds.values())
        self.export_button.setEnabled(some and not self._writing and self.workspace.prediction is not None)
