"""Outlines of regions: as wide on the screen at every magnification; napari draws them as wide on the slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QTimer

from amkd_viewer.layer_ears import hear_while

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event

OUTLINE_PX = 2.5
"""Width on the screen."""
_AFTER_MS = 60
"""Later, and once: each shape's outline is cut into triangles anew."""
_CLOSE = 0.02
"""Share by which a width may be off."""


class RegionOutlines(QObject):
    """Keeps the outlines of some layers' shapes as wide as `OUTLINE_PX` on the screen.

    Parameters
    ----------
    viewer
        In whose canvas they are seen.
    parent
        Nothing is done any more when it is gone.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Layer] = []
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_AFTER_MS)
        self._later.timeout.connect(self._fit)
        hear_while(self, viewer.scene.camera.events.zoom, self.follow)

    def keep(self, layers: Sequence[Layer]) -> None:
        """Keep the outlines of these layers, and of no others."""
        self._layers = list(layers)
        self._fit()

    def follow(self, event: Event | None = None) -> None:
        """Fit the outlines soon."""
        if self._layers:
            self._later.start()

    def _fit(self) -> None:
        for layer in self._layers:
            width = self._width_on(layer)
            if not np.allclose([*layer.edge_width, layer.current_edge_width], width, rtol=_CLOSE, atol=0):
                layer.edge_width = width
                layer.current_edge_width = (
                    width  # of what is drawn next; it has napari draw the others anew, too
                )

    def _width_on(self, layer: Layer) -> float:
        """Width of an outline in the layer's own pixels."""
        corner, along = (np.asarray(layer.data_to_world(place)) for place in ((0, 0), (1, 0)))
        side = float(np.linalg.norm(along - corner))
        return OUTLINE_PX / (float(self._viewer.scene.camera.zoom) * side)
