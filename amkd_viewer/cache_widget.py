"""Part of the settings panel: where features and results are kept, how much of them, and emptying."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton

from amkd_viewer.labels_widget import FactsTable, PathLabel, heading_label, wrapped_label
from amkd_viewer.number_box_widget import NumberBox
from amkd_viewer.panel_widget import row
from amkd_viewer.settings_section_widget import SettingsSection
from amkd_viewer.tasks import writing
from amkd_viewer.wording import CACHE_BY_VARIABLE, CACHE_HINT, EMPTY_ASKED, NOTHING_KEPT, size_text

if TYPE_CHECKING:
    from amkd_core.inference.user_cache import CacheState
    from amkd_core.settings import Settings, StoredSettings
    from amkd_viewer.workspace_widget import Workspace


class CacheSection(SettingsSection):
    """Chooses the cache's place and size, tells what is in it and empties it, asking first."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)

        # Interactive elements
        self.place_button = QPushButton("Choose…")
        self.usual_button = QPushButton("Usual place")
        self.limit = NumberBox()
        self.empty_button = QPushButton("Empty the cache")
        self.remove_button = QPushButton("Remove them")
        self.keep_button = QPushButton("Keep them")

        # Read-only elements
        self.place = PathLabel()
        self.by_variable = wrapped_label(CACHE_BY_VARIABLE, role="amkdNotice")
        self.facts = FactsTable()
        self.asked = wrapped_label(EMPTY_ASKED, role="amkdNotice")
        self.said = wrapped_label(role="amkdMuted")

        # Before the handlers: a range that is set changes the value
        self.limit.setRange(0.1, 10_000)
        self.limit.setDecimals(1)
        self.limit.setSuffix(" GB")

        # Event handlers
        self.place_button.clicked.connect(self._on_place_clicked)
        self.usual_button.clicked.connect(lambda: self.keep(cache_folder=None))
        self.limit.valueChanged.connect(self._on_limit_changed)
        self.empty_button.clicked.connect(lambda: self._ask(True))
        self.keep_button.clicked.connect(lambda: self._ask(False))
        self.remove_button.clicked.connect(self._on_remove_clicked)
        self.kept.connect(self.measure)

        # Layout
        self.by_variable.setVisible(False)
        self.limit.setAccessibleName("Most that is kept, in GB")
        self.remove_button.setToolTip("Remove features and results from this computer")
        self.keep_button.setToolTip("Leave the cache as it is")
        self.said.setVisible(False)
        self._ask(False)
        self.add(heading_label("Kept on this computer"))
        self.add(row(self.place, self.place_button, self.usual_button), self.by_variable)
        self.add(row(QLabel("At most"), self.limit, stretch=1), self.facts, self.empty_button)
        self.add(self.asked, row(self.remove_button, self.keep_button, stretch=None), self.said)
        self.add(wrapped_label(CACHE_HINT, role="amkdMuted"))

    def choose_folder(self, folder: Path | str) -> None:
        """Keep things in another folder from here on, if it can be written."""
        from amkd_core.inference.user_cache import check_cache_folder
        from amkd_core.settings import change_settings

        self.keep_by("place", lambda: change_settings(cache_folder=check_cache_folder(Path(folder))))

    def show_settings(self, settings: Settings) -> None:
        """Show the limit; place and size come from `measure`."""
        self.limit.blockSignals(True)
        self.limit.setValue(settings.cache_limit_gib)
        self.limit.blockSignals(False)

    def measure(self) -> None:
        """Measure the cache anew, off the GUI thread."""
        from amkd_core.inference.user_cache import measure_cache

        self._workspace.do(self, "measure", measure_cache, self._show_state)

    def _show_state(self, state: CacheState) -> None:
        self.place.set_path(state.folder, NOTHING_KEPT)
        named = state.stated_by == "variable"
        self.by_variable.setVisible(named)
        self.place_button.setEnabled(not named)
        self.usual_button.setEnabled(state.stated_by == "settings")
        self.empty_button.setEnabled(any(state.size_bytes.values()))
        self.facts.set_facts(
            [
                (
                    title,
                    f"{size_text(state.size_bytes[kind])} of at most {size_text(state.limit_bytes[kind])}",
                )
                for title, kind in (("Features", "bags"), ("Results", "results"))
            ]
        )

    def _on_place_clicked(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Keep features and results in")
        if folder:
            self.choose_folder(folder)

    def _on_limit_changed(self, gib: float) -> None:
        from amkd_core.inference.user_cache import trim_cache
        from amkd_core.settings import change_settings

        def change() -> tuple[StoredSettings, int]:
            return change_settings(cache_limit_gib=gib), trim_cache()

        self.refused.emit("")
        self._workspace.do(self, "limit", writing(change), self._on_limit_kept, self._on_failed)

    def _on_limit_kept(self, outcome: tuple[StoredSettings, int]) -> None:
        stored, freed = outcome
        self._say(f"{size_text(freed)} freed: what was used longest ago." if freed else "")
        self.kept.emit(stored)

    def _ask(self, asked: bool) -> None:
        """Ask first: what is removed took minutes of a slide."""
        self.empty_button.setVisible(not asked)
        for item in (self.asked, self.remove_button, self.keep_button):
            item.setVisible(asked)
        if asked:
            self._say("")

    def _on_remove_clicked(self) -> None:
        from amkd_core.inference.user_cache import empty_cache

        self._ask(False)
        self._workspace.do(self, "empty", empty_cache, self._on_emptied, self._on_failed)

    def _on_emptied(self, freed: int) -> None:
        self._say(f"{size_text(freed)} freed.")
        self.measure()

    def _say(self, text: str) -> None:
        self.said.setText(text)
        self.said.setVisible(bool(text))
