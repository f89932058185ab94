"""A part of the settings panel: shows some settings and keeps what the user changes, off the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from amkd_core.errors import AmkdError
from amkd_core.settings import StoredSettings, change_settings
from amkd_viewer.tasks import writing

if TYPE_CHECKING:
    from qtpy.QtWidgets import QLayout

    from amkd_core.settings import Settings
    from amkd_viewer.workspace_widget import Workspace


class SettingsSection(QWidget):
    """Base of the parts.

    Signals
    -------
    kept
        What was changed is written; with all settings as they are now.
    refused
        Why it was not, in one sentence.
    """

    kept = Signal(object)
    refused = Signal(str)

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)

    def add(self, *items: QWidget | QLayout) -> None:
        """Put things below what the section holds."""
        for item in items:
            if isinstance(item, QWidget):
                self._column.addWidget(item)
            else:
                self._column.addLayout(item)

    def show_settings(self, settings: Settings) -> None:
        """Show what is chosen; nothing is told."""
        raise NotImplementedError

    def keep(self, **changes: Any) -> None:
        """Keep changed settings; `kept` or `refused` follows."""
        self.keep_by(" ".join(sorted(changes)), partial(change_settings, **changes))

    def keep_by(self, key: str, change: Callable[[], StoredSettings]) -> None:
        """Run a function that changes settings; of several with one key only the newest is told of."""
        self.refused.emit("")
        self._workspace.do(self, key, writing(change), self.kept.emit, self._on_failed)

    def _on_failed(self, error: AmkdError) -> None:
        self.refused.emit(str(error))
