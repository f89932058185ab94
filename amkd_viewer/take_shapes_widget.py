"""Offers the shapes of the user's own layers as a slide's region; they do not count of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from amkd_viewer import in_view, regions
from amkd_viewer.labels_widget import wrapped_label
from amkd_viewer.layer_ears import LayerEars, hear_while
from amkd_viewer.name_box_widget import NameBox
from amkd_viewer.region_words import OTHER_SHAPES

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event
    from napari.viewer import Viewer


class TakeShapesWidget(QWidget):
    """A box of layers and a button, in view only where such a layer holds anything."""

    wanted = Signal(object)
    """The layer whose shapes are to be copied."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.hint = wrapped_label(OTHER_SHAPES, role="amkdMuted")
        self.box = NameBox()
        self.button = QPushButton("Copy its shapes into the region")
        self._ears = LayerEars(self, ("data", "name"), self._offer)

        self.box.setAccessibleName("Layer whose shapes are copied")
        self.button.setToolTip("Copy what that layer encloses into the region of the slide that is looked at")
        self.button.clicked.connect(lambda: self.wanted.emit(self.box.currentData()))
        for emitter in (viewer.layers.events.inserted, viewer.layers.events.removed):
            hear_while(self, emitter, self.refresh)
        hear_while(self, viewer.layers.selection.events.active, self._on_selected)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for item in (self.hint, self.box, self.button):
            column.addWidget(item)
        self.refresh()

    @property
    def offered(self) -> list[Layer]:
        """Layers in the box."""
        return [self.box.itemData(place) for place in range(self.box.count())]

    def refresh(self, event: Event | None = None) -> None:
        """Learn of layers that came or went."""
        self._ears.hear(regions.other_shapes(self._viewer))
        self._offer()

    def _offer(self, event: Event | None = None) -> None:
        before = self.box.currentData()
        self.box.clear()
        for layer in regions.other_shapes(self._viewer):
            if regions.n_enclosing(layer):
                self.box.addItem(layer.name, layer)
        self._choose(before)
        self._on_selected()
        self.setVisible(self.box.count() > 0)

    def _on_selected(self, event: Event | None = None) -> None:
        self._choose(in_view.selected(self._viewer))

    def _choose(self, layer: Layer | None) -> None:
        place = next((at for at, one in enumerate(self.offered) if one is layer), -1)
        if place >= 0:
            self.box.setCurrentIndex(place)
