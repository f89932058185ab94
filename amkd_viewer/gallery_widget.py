"""*Plugins > AMKD > Top patches*: the most and the least telling patches, as the slide has them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox, QLabel, QSizePolicy, QSpinBox

from amkd_viewer import in_view, navigation
from amkd_viewer.gallery_view_widget import GalleryView
from amkd_viewer.labels_widget import wrapped_label
from amkd_viewer.name_box_widget import NameBox
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.plots import short_name
from amkd_viewer.wording import GALLERY_EMPTY, GALLERY_HINT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.viewer import Viewer

    from amkd_core.inference.maps import TopPatch

_BOTH = "both"
_PICTURE_PX = 256


class GalleryWidget(WorkspacePanel):
    """Shows patches; a click flies there, hovering marks the patch on the slide."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)

        # Interactive elements
        self.number = QSpinBox()
        self.number.setRange(5, 50)
        self.number.setKeyboardTracking(False)
        self.end = QComboBox()
        self.source = NameBox()
        self.view = GalleryView(self.colours)

        # Read-only elements
        self.summary = wrapped_label(role="amkdMuted")
        self.empty = wrapped_label(GALLERY_EMPTY, role="amkdMuted")

        # Event handlers
        self.number.valueChanged.connect(self._show)
        self.end.activated.connect(self._show)
        self.source.activated.connect(self._show)
        self.view.clicked.connect(self._on_patch_clicked)
        self.view.hovered.connect(self._on_patch_hovered)
        self.workspace.prediction_changed.connect(self._on_prediction_changed)
        self.workspace.look_changed.connect(self._offer_pathway)

        # Initial values
        self.end.addItem("Most telling", False)
        self.end.addItem("Least telling", True)
        self.number.setAccessibleName("Number of patches")
        self.end.setAccessibleName("Most or least telling")
        self.source.setAccessibleName("Map that the patches are of")
        self.end.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.add(row(self.end, QLabel("Number"), self.number))
        self.add(row(QLabel("of"), self.source, stretch=1))
        for item in (self.summary, self.empty, self.view):
            self.add(item)
        self._on_prediction_changed()

    def _on_prediction_changed(self) -> None:
        prediction, chosen = self.workspace.prediction, self.source.currentData()
        self.source.clear()
        if prediction is not None and prediction.teacher is not None:
            self.source.addItem("Teacher and student, side by side", _BOTH)
            self.source.addItem("Teacher", "teacher")
        self.source.addItem("Student", "student")
        self._offer_pathway()
        self.source.setCurrentIndex(max(0, self.source.findData(chosen)))
        self._show()

    def _offer_pathway(self) -> None:
        """Offer the pathway whose map is shown, beside those that were shown before."""
        prediction, name = self.workspace.prediction, self.workspace.look.source
        if prediction is None or prediction.teacher is None or name not in prediction.teacher.pathways:
            return
        if self.source.findData(name) < 0:
            self.source.addItem(short_name(name, 50), name)

    def _show(self) -> None:
        prediction, layer = self.workspace.prediction, self.workspace.slide
        ready = prediction is not None and layer is not None and prediction.has_map
        for widget in (self.view, self.summary, self.number, self.end, self.source):
            widget.setVisible(ready)
        self.empty.setVisible(not ready)
        if prediction is None or layer is None or not ready:
            self.view.show_patches([])
            return
        from amkd_core.inference.maps import top_patches

        chosen = self.source.currentData()
        sources = ["teacher", "student"] if chosen == _BOTH else [chosen]
        least = bool(self.end.currentData())
        columns = [
            (name, top_patches(prediction, self.number.value(), source=name, least=least)) for name in sources
        ]
        self.view.show_patches(columns)
        joined = f" {len(self.view.joined)} in both lists, joined by lines." if chosen == _BOTH else ""
        self.summary.setText(f"{GALLERY_HINT}{joined}")
        patches = {patch.row: patch for _, column in columns for patch in column}
        finest = layer.data[0]
        self.workspace.do(
            self, "pictures", partial(_read_all, finest, list(patches.values())), self._on_pictures_read
        )

    def _on_pictures_read(self, pictures: list[tuple[int, NDArray[np.uint8]]]) -> None:
        shown = {card.patch.row for card in self.view.cards}
        for patch_row, pixels in pictures:
            if patch_row in shown:
                self.view.show_picture(patch_row, pixels)

    def _on_patch_clicked(self, patch: TopPatch) -> None:
        layer = self.workspace.slide
        if layer is not None:
            navigation.fly_to(self._viewer, layer, patch.xy_level0, patch.size_level0)

    def _on_patch_hovered(self, patch: TopPatch | None) -> None:
        layer = self.workspace.slide
        if layer is not None:
            in_view.mark(self._viewer, layer, patch)


def _read_all(finest: Any, patches: Sequence[TopPatch]) -> list[tuple[int, NDArray[np.uint8]]]:
    """Pixels of patches at full resolution, at most 256 px a side, by their rows."""
    from PIL import Image

    pictures = []
    for patch in patches:
        (x, y), (width, height) = patch.xy_level0, patch.size_level0
        pixels = np.asarray(finest[max(y, 0) : y + height, max(x, 0) : x + width])
        image = Image.fromarray(pixels)
        image.thumbnail((_PICTURE_PX, _PICTURE_PX), Image.Resampling.LANCZOS)
        pictures.append((patch.row, np.asarray(image)))
    return pictures
