"""*Plugins > AMKD > Help and shortcuts*: first steps, and all keys from the table that binds them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from amkd_viewer.actions import ACTIONS
from amkd_viewer.labels_widget import FactsTable, heading_label, wrapped_label
from amkd_viewer.panel_widget import WorkspacePanel
from amkd_viewer.shortcuts_widget import key_text
from amkd_viewer.wording import FIRST_STEPS, KEYS_HINT, READING_HINT, taken_text

if TYPE_CHECKING:
    from napari.viewer import Viewer


class HelpWidget(WorkspacePanel):
    """Tells how to begin, how to read what is shown, and every key."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self.keys: dict[str, FactsTable] = {}
        self.add(heading_label("First steps"))
        for number, step in enumerate(FIRST_STEPS, 1):
            self.add(wrapped_label(f"{number}.  {step}"))
        self.add(heading_label("Reading a result"))
        self.add(wrapped_label(READING_HINT))
        for group, _ in groupby(ACTIONS, key=lambda action: action.group):
            self.keys[group] = FactsTable()
            self.add(heading_label(f"Keys: {group.lower()}"))
            self.add(self.keys[group])
        self.add(wrapped_label(KEYS_HINT, role="amkdMuted"))

    def on_keys_bound(self) -> None:
        """List the keys, with those that napari keeps for itself."""
        shortcuts = self.workspace.shortcuts
        taken = {} if shortcuts is None else shortcuts.taken
        for group, table in self.keys.items():
            table.set_facts(
                [
                    (key_text(action.key), taken_text(action.title, taken.get(action.key, "")))
                    for action in ACTIONS
                    if action.group == group
                ]
            )
