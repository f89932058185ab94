"""*Plugins > AMKD > Settings*: what is kept between sessions, for the window and the command line alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel

from amkd_core.settings import StoredSettings, read_settings
from amkd_viewer.cache_widget import CacheSection
from amkd_viewer.defaults_widget import DefaultsSection
from amkd_viewer.labels_widget import PathLabel, wrapped_label
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.weights_widget import WeightsSection

if TYPE_CHECKING:
    from napari.viewer import Viewer


class SettingsWidget(WorkspacePanel):
    """Default model and device, cache, and weights of encoders."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, 400)

        # Interactive elements
        self.defaults = DefaultsSection(self.workspace)
        self.cache = CacheSection(self.workspace)
        self.weights = WeightsSection(self.workspace)
        self._sections = (self.defaults, self.cache, self.weights)

        # Read-only elements
        self.problem = wrapped_label(role="amkdNotice")
        self.file = PathLabel(role="amkdMuted")
        in_file = QLabel("Kept in")
        in_file.setObjectName("amkdMuted")

        # Event handlers
        for section in self._sections:
            section.kept.connect(self._show)
            section.refused.connect(self._on_refused)
        self.workspace.drawn.connect(self.cache.measure)

        # Layout
        for item in (self.problem, *self._sections, row(in_file, self.file, stretch=1)):
            self.add(item)
        self._show(read_settings())
        self.cache.measure()

    def _show(self, stored: StoredSettings) -> None:
        self.problem.setText(stored.problem)
        self.problem.setVisible(bool(stored.problem))
        self.file.set_path(stored.path)
        for section in self._sections:
            section.show_settings(stored.settings)

    def _on_refused(self, sentence: str) -> None:
        self.say_error(sentence)
        if sentence:
            self._show(read_settings())
