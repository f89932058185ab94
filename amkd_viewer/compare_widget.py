"""*Plugins > AMKD > Compare teacher and student*: two maps side by side, their agreement and their difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QComboBox, QPushButton, QSizePolicy

from amkd_viewer import slide_layers
from amkd_viewer.canvases_widget import MapsBeside, Shown, described, show_beside
from amkd_viewer.labels_widget import heading_label, wrapped_label
from amkd_viewer.layers import difference_layer, sources_of
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.wording import MAP_CAUTION, NOTHING_TO_COMPARE, agreement_text, result_title

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

    from amkd_core.inference.prediction import Prediction

DIFFERENCE_TITLE = "Purple: higher on the left; orange: on the right"
Entry = tuple[str, "Prediction", str]
"""Fingerprint of the slide, prediction and source of the map."""


class CompareWidget(WorkspacePanel):
    """Two maps of this session beside one another, with one camera."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self.beside: MapsBeside | None = None
        self._entries: list[Entry] = []

        # Interactive elements
        self.left, self.right = QComboBox(), QComboBox()
        self.difference = QCheckBox("Difference map")
        self.fit_button = QPushButton("Fit")

        # Read-only elements
        self.agreement = wrapped_label()
        self.missing = wrapped_label(NOTHING_TO_COMPARE, role="amkdNotice")

        # Event handlers
        for box in (self.left, self.right):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.activated.connect(self._show)
        self.difference.toggled.connect(self._show)
        self.fit_button.clicked.connect(self._on_fit_clicked)
        self.workspace.prediction_changed.connect(self._offer)
        self.workspace.look_changed.connect(self._show)
        self.workspace.slide_changed.connect(self._offer)

        # Layout
        self.add(self.missing)
        for title, box in (("Left", self.left), ("Right", self.right)):
            self.add(heading_label(title))
            self.add(box)
        self.add(row(self.difference, self.fit_button))
        for item in (self.agreement, wrapped_label(MAP_CAUTION, role="amkdMuted")):
            self.add(item)
        self._offer()

    def _offer(self) -> None:
        """Offer every map of this session whose slide is open, the newest first."""
        chosen = self.left.currentText(), self.right.currentText()
        self._entries = []
        for fingerprint, prediction in self.workspace.session.history():
            layer = slide_layers.slide_of(fingerprint, self._viewer.layers)
            if layer is None or slide_layers.mpp_of(layer) is None or not prediction.has_map:
                continue
            for source in sources_of(prediction)[:2]:
                self._entries.append((fingerprint, prediction, source))
        titles = [result_title(prediction, source) for _, prediction, source in self._entries]
        for box in (self.left, self.right):
            box.clear()
            box.addItems(titles)
        teachers = [place for place, entry in enumerate(self._entries) if entry[2] == "teacher"]
        self.left.setCurrentIndex(teachers[0] if teachers else min(1, len(titles) - 1))
        self.right.setCurrentIndex(0)
        for box, text in zip((self.left, self.right), chosen, strict=True):
            if text in titles and teachers:
                box.setCurrentText(text)
        if self.left.currentText() == self.right.currentText() and teachers:
            self.left.setCurrentIndex(teachers[0])
        self._show()

    def _show(self) -> None:
        ready = len(self._entries) > 1
        self.missing.setVisible(not ready)
        for widget in (self.left, self.right, self.difference, self.fit_button, self.agreement):
            widget.setVisible(ready)
        if not ready:
            if self.beside is not None:
                self.beside.show_maps([])
            return
        first, second = self._entries[self.left.currentIndex()], self._entries[self.right.currentIndex()]
        maps = []
        for entry in (first, second):
            layer = self._layer(entry)
            if layer is None:
                return
            _, slide, drawn = described((layer, entry[1], entry[2]), self.workspace.look)
            maps.append((result_title(entry[1], entry[2]), slide, drawn))
        difference = self._compare(first, second)
        if self.difference.isChecked() and difference is not None:
            maps.append(difference)
        self.beside = show_beside(self._viewer, maps)

    def _compare(self, first: Entry, second: Entry) -> Shown | None:
        """State the agreement of two maps; their difference, where they rest on the same patches."""
        from amkd_core.inference.comparison import compare_maps, same_patches

        layer = self._layer(first)
        mpp = None if layer is None else slide_layers.mpp_of(layer)
        if layer is None or mpp is None or not same_patches(first[1], second[1]):
            self.agreement.setText(
                "The two rest on different patches or slides; only the pictures can be compared."
            )
            return None
        found = compare_maps(first[1], second[1], sources=(first[2], second[2]))
        self.agreement.setText(agreement_text(found.agreement))
        return DIFFERENCE_TITLE, layer, difference_layer(found.difference, mpp=mpp, name="difference")

    def _on_fit_clicked(self) -> None:
        if self.beside is not None:
            self.beside.row.fit()

    def _layer(self, entry: Entry) -> Layer | None:
        return slide_layers.slide_of(entry[0], self._viewer.layers)
