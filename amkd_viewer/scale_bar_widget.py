"""The scale bar, whose letters are made one at a time.

napari makes each letter that it draws into a texture first, which takes some 50 ms on one core. All that a scale bar is
written in, at once, would hold the first picture of a slide up by half a second.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication

from amkd_core.private_names import private_logger
from amkd_viewer import slide_layers
from amkd_viewer.reader import pixel_geometry

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

CHARACTERS = "ÅÉÑŐjgpqy" + "µm 01257n"
"""Those by which the height of a line is measured, and those of lengths as napari chooses them (1, 2, 5, 10, 15, 20,
25, 50, 75, ...) with their units."""
LETTER_EVERY_MS = 20
AFTER_PICTURE_MS = 500
"""Letters that are missing when a slide is shown, and the bar, wait until its first picture stands."""

_POSITION = "bottom_left"
"""Where QuPath has it. On the right, a bar that becomes longer or shorter moves, which napari draws once more at every
change of magnification; on the left its end moves."""

_NAPARIS_POSITION = "bottom_right"
"""Where it is unless the user has moved it."""
_FONT_SIZE, _SMALL_FONT_SIZE = 12, 9
_SMALL_BAR_PX = 60
"""Less than half as long as napari would have it, where the canvas is one of several."""
_log = private_logger(__name__)


class ScaleBar(QObject):
    """Shows the scale bar of one viewer in a box that reads on white glass and on tissue alike.

    Parameters
    ----------
    viewer
        Whose scale bar it is.
    parent
        With it, the letters that are still to be made are given up.
    small
        For canvases that stand beside others: the bar leaves their maps in view.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject, *, small: bool = False) -> None:
        super().__init__(parent)
        self._small = small
        self._viewer = viewer
        self._missing = list(CHARACTERS)
        self._wanted = False
        self._font: Any = None
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._make_next)

    def prepare(self) -> None:
        """Make the letters while nothing else is to be drawn."""
        self._turn.start(LETTER_EVERY_MS)

    def hold(self) -> None:
        """Make no letters for a while: a slide is being opened."""
        if self._turn.isActive():
            self._turn.start(AFTER_PICTURE_MS)

    def show(self) -> None:
        """Show the scale bar after the picture, as soon as its letters are made.

        napari makes the bar when it is first shown, which would add to the time that the slide's layer takes.
        """
        self._wanted = True
        if self._missing or not self._viewer.canvas.overlays.scale_bar.visible:
            self._turn.start(AFTER_PICTURE_MS)

    def measure_in(self, slide: Layer | None) -> None:
        """Have the bar measure in the unit of the slide that is looked at: micrometres, or its pixels without scale.

        napari knows one unit for all layers, and none at all where they differ. Slides out of view have no say.
        """
        if slide is None:
            return
        keep_unit()
        _measure_in(self._viewer, slide)

    def _make_next(self) -> None:
        if self._missing:
            self._turn.start(LETTER_EVERY_MS)
            self._make(self._missing.pop(0))
        elif self._wanted:
            self._appear()

    def _make(self, letter: str) -> None:
        """Have napari make a letter as it would when it draws it; nothing is drawn."""
        try:
            if self._font is None:
                info = _qt_viewer_of(self._viewer).canvas.font_info()
                self._font = info.font_manager.get_font(info.face)
            self._font[letter]
        except AttributeError:
            # napari tells of its fonts to nobody; a version that keeps them elsewhere makes all at once, as ever.
            _log.debug("the letters of the scale bar cannot be made ahead", exc_info=True)
            self._missing.clear()

    def _appear(self) -> None:
        bar: Any = self._viewer.canvas.overlays.scale_bar
        if bar.position == _NAPARIS_POSITION:
            bar.position = _POSITION
        bar.visible, bar.box = True, True
        bar.font_size = _SMALL_FONT_SIZE if self._small else _FONT_SIZE
        if self._small:
            _shorten(self._viewer, bar)


def _shorten(viewer: ViewerModel, bar: Any) -> None:
    """Have napari choose lengths that a small canvas has room for."""
    try:
        for drawn in _qt_viewer_of(viewer).canvas._viewer_overlay_to_visual[bar]:
            drawn._target_length = _SMALL_BAR_PX
            drawn._on_size_or_zoom_change(force=True)
    except (AttributeError, KeyError, TypeError):
        # napari has no setting for it; a version that keeps it elsewhere draws its own length.
        _log.debug("the scale bar cannot be made shorter", exc_info=True)


@functools.cache
def keep_unit() -> None:
    """Have scale bars keep the unit of the slides where other layers have another one, for the rest of this process.

    A slide without scale that is opened beside others is drawn before anybody else learns of it. To an ordinary picture
    napari gives pixels as its unit, and of layers whose units differ in kind it draws a bar without any: they lie in
    one world all the same, in which a slide's unit is known. The picture's own is left to the user.
    """
    try:
        from napari._vispy.canvas import VispyCanvas
        from napari._vispy.overlays.scale_bar import VispyScaleBarOverlay

        of_bar, of_world = VispyScaleBarOverlay._on_unit_change, VispyCanvas._update_world_units
    except (ImportError, AttributeError):
        _log.debug("napari's scale bar takes its unit in another way", exc_info=True)
        return

    def keep_bar(bar: Any) -> None:
        of_bar(bar)
        slides = slide_layers.slides_in(bar.viewer.layers)
        if slides and bar.viewer.layers.units is None:
            bar._unit = 1 * slides[-1].units[-1]
            bar._on_size_or_zoom_change(force=True)

    def keep_world(canvas: Any) -> None:
        slides = [slide for slide in slide_layers.slides_in(canvas.viewer.layers) if slide.visible]
        if slides and canvas.viewer.layers.units is None:
            _measure_in(canvas.viewer, slides[-1])
        of_world(canvas)

    VispyScaleBarOverlay._on_unit_change = keep_bar
    VispyCanvas._update_world_units = keep_world


def _measure_in(viewer: ViewerModel, slide: Layer) -> None:
    """Give all layers of ours the unit of one slide."""
    units = pixel_geometry(slide_layers.mpp_of(slide))["units"]
    for layer in viewer.layers:
        if slide_layers.fingerprint_of(layer):
            layer.units = units


def _qt_viewer_of(viewer: ViewerModel) -> Any:
    """Find napari's widget of a viewer, which keeps the letters; None where the viewer has none."""
    from napari.qt import QtViewer

    own = slide_layers.own_viewer(viewer)
    widgets = (
        widget for window in QApplication.topLevelWidgets() for widget in window.findChildren(QtViewer)
    )
    return next((widget for widget in widgets if widget.viewer is own), None)
