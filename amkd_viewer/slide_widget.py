"""*Plugins > AMKD > Slide information*: what is known of a slide, and its scale where nothing tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_viewer import slide_layers
from amkd_viewer.inputs_widget import ScaleBox, offer_slides
from amkd_viewer.labels_widget import FactsTable, heading_label, wrapped_label
from amkd_viewer.name_box_widget import NameBox
from amkd_viewer.panel_widget import WorkspacePanel
from amkd_viewer.wording import SCALE_HINT, no_scale_text, slide_facts

if TYPE_CHECKING:
    from napari.viewer import Viewer

WIDTH_PX = 320


class SlideWidget(WorkspacePanel):
    """Facts about the slide that is looked at.

    Parameters
    ----------
    napari_viewer
        The viewer that the panel is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, WIDTH_PX)

        # Interactive elements
        self.slides = NameBox()
        self.mpp = ScaleBox()

        # Read-only elements
        self.facts = FactsTable()
        self.scale_heading = heading_label("Micrometres per pixel")
        self.scale_hint = wrapped_label(SCALE_HINT, role="amkdMuted")
        self.empty = wrapped_label(
            "Open a slide: File > Open Files, or drop it on the window.", role="amkdMuted"
        )

        # Event handlers
        self.slides.currentIndexChanged.connect(self._on_slides_index_changed)
        self.mpp.valueChanged.connect(self._on_mpp_changed)
        self.workspace.slide_changed.connect(self._show)
        self.workspace.slides_renamed.connect(self._show)

        # Initial values
        self.slides.setAccessibleName("Slide")
        self.mpp.setAccessibleName("µm per pixel")
        for widget in (self.empty, self.slides, self.facts, self.scale_heading, self.mpp, self.scale_hint):
            self.add(widget)
        self._show()

    # What the user does

    def _on_slides_index_changed(self) -> None:
        self.workspace.choose(self.slides.currentData())

    def _on_mpp_changed(self, value: float) -> None:
        layer = self.workspace.slide
        if layer is not None and value > 0:
            self.workspace.restate_scale(layer, (value, value))

    # What the workspace tells

    def _show(self) -> None:
        layer = self.workspace.slide
        offer_slides(self.slides, self.workspace.slides, layer)
        self.empty.setVisible(layer is None)
        for widget in (self.slides, self.facts, self.scale_heading, self.mpp, self.scale_hint):
            widget.setVisible(layer is not None)
        if layer is None:
            return
        info = slide_layers.info_of(layer)
        mpp = slide_layers.mpp_of(layer)
        self.facts.set_facts(slide_facts(info, given_mpp=slide_layers.given_mpp(layer)))
        self.mpp.show_value(mpp)
        self.scale_hint.setText(SCALE_HINT if info.recorded is None else f"The slide {no_scale_text(info)}.")
        for widget in (self.scale_heading, self.mpp, self.scale_hint):
            widget.setVisible(info.microns is None)
