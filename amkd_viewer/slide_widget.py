"""*Plugins > AMKD > Slide information*: what is known of a slide, and its scale where nothing tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QSizePolicy

from amkd_viewer import slide_layers
from amkd_viewer.colours import window_colours
from amkd_viewer.inputs_widget import ScaleBox
from amkd_viewer.labels_widget import FactsTable, heading_label, wrapped_label
from amkd_viewer.panel_widget import PanelWidget, follow_theme
from amkd_viewer.wording import SCALE_HINT, slide_facts
from amkd_viewer.workspace_widget import open_workspace_of

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event
    from napari.viewer import Viewer

WIDTH_PX = 320


class SlideWidget(PanelWidget):
    """Facts about the chosen slide layer.

    Parameters
    ----------
    napari_viewer
        The viewer that the panel is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(WIDTH_PX)
        self._viewer = napari_viewer

        # Interactive elements
        self.slides = QComboBox()
        self.mpp = ScaleBox()

        # Read-only elements
        self.facts = FactsTable()
        self.scale_heading = heading_label("Micrometres per pixel")
        self.scale_hint = wrapped_label(SCALE_HINT, role="amkdMuted")
        self.empty = wrapped_label(
            "Open a slide: File > Open Files, or drop it on the window.", role="amkdMuted"
        )

        # Event handlers
        self.slides.currentIndexChanged.connect(self._show)
        self.mpp.valueChanged.connect(self._on_mpp_changed)
        napari_viewer.layers.events.inserted.connect(self._on_layers_changed)
        napari_viewer.layers.events.removed.connect(self._on_layers_changed)
        napari_viewer.events.theme.connect(self._on_theme_changed)

        # Initial values
        self.slides.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for widget in (self.empty, self.slides, self.facts, self.scale_heading, self.mpp, self.scale_hint):
            self.add(widget)
        self._on_theme_changed()
        self._on_layers_changed()

    @property
    def slide(self) -> Layer | None:
        """The chosen slide layer."""
        layer: Layer | None = self.slides.currentData()
        return layer

    def _on_layers_changed(self, event: Event | None = None) -> None:
        layers, chosen = slide_layers.slides_in(self._viewer.layers), self.slide
        self.slides.blockSignals(True)
        self.slides.clear()
        for layer in layers:
            self.slides.addItem(layer.name, layer)
        self.slides.setCurrentIndex(layers.index(chosen) if chosen in layers else len(layers) - 1)
        self.slides.blockSignals(False)
        self._show()

    def _on_mpp_changed(self, value: float) -> None:
        layer = self.slide
        if layer is None or value <= 0:
            return
        workspace = open_workspace_of(self._viewer)
        if workspace is None:
            slide_layers.restate_mpp(self._viewer, layer, (value, value))
        else:
            workspace.restate_scale(layer, (value, value))
        self._show()

    def _on_theme_changed(self, event: Event | None = None) -> None:
        follow_theme(self, window_colours(self._viewer.theme))

    def _show(self) -> None:
        layer = self.slide
        self.empty.setVisible(layer is None)
        for widget in (self.slides, self.facts, self.scale_heading, self.mpp, self.scale_hint):
            widget.setVisible(layer is not None)
        if layer is None:
            return
        info = slide_layers.info_of(layer)
        mpp = slide_layers.mpp_of(layer)
        self.facts.set_facts(slide_facts(info, given_mpp=slide_layers.given_mpp(layer)))
        self.mpp.show_value(None if mpp is None else mpp[0])
        for widget in (self.scale_heading, self.mpp, self.scale_hint):
            widget.setVisible(info.microns is None)
