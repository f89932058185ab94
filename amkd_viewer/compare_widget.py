"""*Plugins > AMKD > Compare teacher and student*: two maps side by side, their agreement and their difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QPushButton, QSizePolicy

from amkd_viewer import slide_layers
from amkd_viewer.canvases_widget import CanvasRow, described, float_dock
from amkd_viewer.labels_widget import wrapped_label
from amkd_viewer.layers import difference_layer, sources_of
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.wording import MAP_CAUTION, NOTHING_TO_COMPARE, agreement_text, result_title

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

    from amkd_core.inference.prediction import Prediction

Entry = tuple[str, "Prediction", str]
"""Fingerprint of the slide, prediction and source of the map."""


class CompareWidget(WorkspacePanel):
    """Two maps of this session beside one another, with one camera."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, 640)
        self._floated = False
        self._entries: list[Entry] = []

        # Interactive elements
        self.left, self.right = QComboBox(), QComboBox()
        self.difference = QCheckBox("Difference map")
        self.fit_button = QPushButton("Fit")
        self.row = CanvasRow()

        # Read-only elements
        self.agreement = wrapped_label()
        self.missing = wrapped_label(NOTHING_TO_COMPARE, role="amkdNotice")

        # Event handlers
        for box in (self.left, self.right):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.activated.connect(self._show)
        self.difference.toggled.connect(self._show)
        self.fit_button.clicked.connect(self.row.fit)
        self.workspace.prediction_changed.connect(self._offer)
        self.workspace.look_changed.connect(self._show)
        self.workspace.slide_changed.connect(self._offer)

        # Layout
        self.workspace.adopt(self.row)
        self.row.setMinimumHeight(340)
        boxes = row(QLabel("Left"), self.left, QLabel("Right"), self.right, stretch=1)
        boxes.setStretch(3, 1)
        boxes.addWidget(self.difference)
        boxes.addWidget(self.fit_button)
        for item in (self.missing, boxes, self.agreement, self.row):
            self.add(item)
        self.add(wrapped_label(MAP_CAUTION, role="amkdMuted"))
        self._offer()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Stand in a window of its own: at the side there is no room for two canvases."""
        self._placed = True
        super().showEvent(event)
        if not self._floated:
            self._floated = True
            QTimer.singleShot(0, lambda: float_dock(self))

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
        for widget in (self.left, self.right, self.difference, self.fit_button, self.agreement, self.row):
            widget.setVisible(ready)
        if not ready:
            self.row.set_number(0)
            return
        first, second = self._entries[self.left.currentIndex()], self._entries[self.right.currentIndex()]
        fresh = len(self.row.canvases) == 0
        self.row.set_number(3 if self.difference.isChecked() else 2)
        for canvas, entry in zip(self.row.canvases, (first, second), strict=False):
            layer = self._layer(entry)
            if layer is not None:
                _, slide, drawn = described((layer, entry[1], entry[2]), self.workspace.look)
                canvas.show_map(result_title(entry[1], entry[2]), slide, drawn)
        self._compare(first, second)
        if fresh:
            QTimer.singleShot(100, self.row.fit)

    def _compare(self, first: Entry, second: Entry) -> None:
        from amkd_core.inference.comparison import compare_maps, same_patches

        layer = self._layer(first)
        if not same_patches(first[1], second[1]) or layer is None:
            self.agreement.setText(
                "The two rest on different patches or slides; only the pictures can be compared."
            )
            self.row.set_number(2)
            return
        found = compare_maps(first[1], second[1], sources=(first[2], second[2]))
        self.agreement.setText(agreement_text(found.agreement))
        mpp = slide_layers.mpp_of(layer)
        if len(self.row.canvases) == 3 and mpp is not None:
            drawn = difference_layer(found.difference, mpp=mpp, name="difference")
            title = "Purple: the left ranks higher; orange: the right"
            self.row.canvases[2].show_map(title, layer, drawn)

    def _layer(self, entry: Entry) -> Layer | None:
        return slide_layers.slide_of(entry[0], self._viewer.layers)
