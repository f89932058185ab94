"""Where the camera stood over each slide; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amkd_viewer.slide_layers import fingerprint_of, fit

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


class Cameras:
    """Keeps the camera of each slide: who turns to another one and back finds his place and magnification again.

    Parameters
    ----------
    viewer
        Whose camera.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._kept: dict[str, tuple[Any, float]] = {}
        self._over: str | None = None

    def turn_to(self, slide: Layer) -> None:
        """Put the camera where it stood over a slide; over one that it never stood over, so that all is seen."""
        before, self._over = self._over, fingerprint_of(slide)
        # The first slide of all is seen as the user has it when he opens a panel.
        if before is None or before == self._over:
            return
        camera = self._viewer.scene.camera
        flat = self._viewer.dims.ndisplay == 2
        if before and flat:
            self._kept[before] = (camera.center, camera.zoom)
        kept = self._kept.get(self._over)
        if kept is None or not flat:
            fit(self._viewer, slide)
        else:
            camera.center, camera.zoom = kept

    def forget(self, fingerprint: str) -> None:
        """Forget about a slide that is gone."""
        self._kept.pop(fingerprint, None)
        if self._over == fingerprint:
            self._over = ""
