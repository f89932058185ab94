"""*Plugins > AMKD > Settings*: what is kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton

from amkd_viewer.labels_widget import FactsTable, heading_label, wrapped_label
from amkd_viewer.panel_widget import WorkspacePanel
from amkd_viewer.wording import CACHE_HINT, size_text

if TYPE_CHECKING:
    from napari.viewer import Viewer


class SettingsWidget(WorkspacePanel):
    """Shows the caches' place and size and empties them."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)

        # Interactive elements
        self.empty_button = QPushButton("Empty the cache")
        self.refresh_button = QPushButton("Look again")

        # Read-only elements
        self.facts = FactsTable()
        self.said = wrapped_label(role="amkdMuted")

        # Event handlers
        self.empty_button.clicked.connect(self._on_empty_clicked)
        self.refresh_button.clicked.connect(self.refresh)
        self.workspace.drawn.connect(self.refresh)

        # Layout
        for item in (
            heading_label("Kept on this computer"),
            self.facts,
            self.empty_button,
            self.refresh_button,
            self.said,
            wrapped_label(CACHE_HINT, role="amkdMuted"),
        ):
            self.add(item)
        self.refresh()

    def refresh(self) -> None:
        """Measure the caches anew."""
        self.workspace.do(self, "measure", _measure, self.facts.set_facts)

    def _on_empty_clicked(self) -> None:
        self.workspace.do(self, "empty", _empty, self._on_emptied)

    def _on_emptied(self, freed: int) -> None:
        self.said.setText(f"{size_text(freed)} freed.")
        self.refresh()


def _measure() -> list[tuple[str, str]]:
    from amkd_core.inference.bag_cache import LIMIT_BYTES as BAG_LIMIT
    from amkd_core.inference.bag_cache import user_bag_cache
    from amkd_core.inference.result_cache import LIMIT_BYTES as RESULT_LIMIT
    from amkd_core.inference.result_cache import user_result_cache

    bags, results = user_bag_cache(), user_result_cache()
    place = "nothing is kept" if bags.folder is None else str(bags.folder.parent)
    return [
        ("Place", place),
        ("Features", f"{size_text(bags.size_bytes)} of at most {size_text(BAG_LIMIT)}"),
        ("Results", f"{size_text(results.size_bytes)} of at most {size_text(RESULT_LIMIT)}"),
    ]


def _empty() -> int:
    from amkd_core.inference.bag_cache import user_bag_cache
    from amkd_core.inference.result_cache import user_result_cache

    return user_bag_cache().empty() + user_result_cache().empty()
