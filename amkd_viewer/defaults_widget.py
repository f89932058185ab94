"""Part of the settings panel: the model and the device that new windows and the command line begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QPushButton, QSizePolicy

from amkd_viewer.inputs_widget import BUNDLE_FILTER, DEVICES, choose_device
from amkd_viewer.labels_widget import PathLabel, heading_label, wrapped_label
from amkd_viewer.panel_widget import row
from amkd_viewer.settings_section_widget import SettingsSection
from amkd_viewer.wording import DEFAULTS_HINT, DEMO_MODEL

if TYPE_CHECKING:
    from amkd_core.settings import Settings
    from amkd_viewer.workspace_widget import Workspace


class DefaultsSection(SettingsSection):
    """Chooses the default model and device; windows that are open keep theirs."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)

        # Interactive elements
        self.bundle_button = QPushButton("Choose…")
        self.demo_button = QPushButton("Demo")
        self.device = QComboBox()

        # Read-only elements
        self.bundle = PathLabel()

        # Event handlers
        self.bundle_button.clicked.connect(self._on_bundle_clicked)
        self.demo_button.clicked.connect(lambda: self.keep(bundle=None))
        self.device.activated.connect(lambda: self.keep(device=self.device.currentData()))

        # Initial values and layout
        self.bundle_button.setToolTip("Choose a model bundle (.amkd)")
        self.demo_button.setToolTip("Begin with the synthetic demo's model again")
        for name, device in DEVICES:
            self.device.addItem(name, device)
        self.device.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.device.setAccessibleName("Device of new windows")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Model", row(self.bundle, self.bundle_button, self.demo_button))
        form.addRow("Device", self.device)
        self.add(heading_label("What new windows begin with"), form)
        self.add(wrapped_label(DEFAULTS_HINT, role="amkdMuted"))

    def choose_bundle(self, path: Path | str) -> None:
        """Make a model the default once it was opened without a fault."""
        from amkd_core.settings import StoredSettings, change_settings

        session = self._workspace.session

        def change() -> StoredSettings:
            session.bundle(Path(path))
            return change_settings(bundle=Path(path).absolute())

        self.keep_by("bundle", change)

    def show_settings(self, settings: Settings) -> None:
        """Show what is chosen."""
        self.bundle.set_path(settings.bundle, DEMO_MODEL)
        self.demo_button.setEnabled(settings.bundle is not None)
        choose_device(self.device, settings.device)

    def _on_bundle_clicked(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose the default model", "", BUNDLE_FILTER)
        if path:
            self.choose_bundle(path)
