"""Part of the settings panel: which encoders' weights are on this computer, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QFileDialog, QPushButton, QSizePolicy

from amkd_viewer.labels_widget import FactsTable, heading_label, wrapped_label
from amkd_viewer.panel_widget import row
from amkd_viewer.settings_section_widget import SettingsSection
from amkd_viewer.wording import WEIGHTS_HINT

if TYPE_CHECKING:
    from amkd_core.settings import Settings, StoredSettings
    from amkd_viewer.workspace_widget import Workspace

_FILTER = "Weights (*.safetensors *.bin *.pt *.pth);;All files (*)"
Found = list[tuple[str, "str | Path"]]


class WeightsSection(SettingsSection):
    """Lists the encoders with the places of their weights, and names a place for one."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._chosen: dict[str, Path] = {}

        # Interactive elements
        self.encoder = QComboBox()
        self.file_button = QPushButton("File…")
        self.folder_button = QPushButton("Folder…")
        self.forget_button = QPushButton("Forget")

        # Read-only elements
        self.facts = FactsTable()

        # Event handlers
        self.encoder.currentIndexChanged.connect(self._enable)
        self.file_button.clicked.connect(self._on_file_clicked)
        self.folder_button.clicked.connect(self._on_folder_clicked)
        self.forget_button.clicked.connect(self._on_forget_clicked)

        # Initial values and layout
        from amkd_core.slides.encoders import ENCODERS

        self.encoder.addItems([name for name, card in ENCODERS.items() if card.hub_id is not None])
        self.encoder.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.encoder.setAccessibleName("Encoder")
        for button, tip in (
            (self.file_button, "Name the file of this encoder's weights"),
            (self.folder_button, "Name the folder of this encoder's weights"),
            (self.forget_button, "Forget the place that was named; the file stays"),
        ):
            button.setToolTip(tip)
        self.add(heading_label("Weights of the encoders"), self.facts)
        self.add(row(self.encoder, self.file_button, self.folder_button, self.forget_button))
        self.add(wrapped_label(WEIGHTS_HINT, role="amkdMuted"))

    def name(self, encoder: str, path: Path | str) -> None:
        """Name the file or folder of an encoder's weights."""
        from amkd_core.settings import change_settings, current_settings
        from amkd_core.slides.encoders import check_weights

        def change() -> StoredSettings:
            place = check_weights(encoder, Path(path))
            return change_settings(weights={**current_settings().weights, encoder: place})

        self.keep_by(f"weights {encoder}", change)

    def forget(self, encoder: str) -> None:
        """Look for an encoder's weights in the usual places only."""
        self.keep(weights={name: path for name, path in self._chosen.items() if name != encoder})

    def show_settings(self, settings: Settings) -> None:
        """Look for all weights again, off the GUI thread."""
        self._chosen = dict(settings.weights)
        self._enable()
        self._workspace.do(self, "look", _look, self.facts.set_facts)

    def _on_file_clicked(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose the file of weights", "", _FILTER)
        if path:
            self.name(self.encoder.currentText(), path)

    def _on_folder_clicked(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder of weights")
        if folder:
            self.name(self.encoder.currentText(), folder)

    def _on_forget_clicked(self) -> None:
        self.forget(self.encoder.currentText())

    def _enable(self) -> None:
        self.forget_button.setEnabled(self.encoder.currentText() in self._chosen)


def _look() -> Found:
    from amkd_core.slides.encoders import ENCODERS, find_weights

    found: Found = []
    for name, card in ENCODERS.items():
        place: str | Path | None = "built in" if card.hub_id is None else find_weights(name)
        found.append((name, place or "not found"))
    return found
