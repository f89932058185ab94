"""The scale bar, whose letters are made one at a time.

napari makes each letter that it draws into a texture first, which takes some 50 ms on one core. All that a scale bar is
written in, at once, would hold the first picture of a slide up by half a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from napari.components import ViewerModel

CHARACTERS = "µm0125 7n"
"""Of lengths as napari chooses them (1, 2, 5, 10, 15, 20, 25, 50, 75, ...) and of their units."""
LETTER_EVERY_MS = 20
AFTER_PICTURE_MS = 500
"""Letters that are missing when a slide is shown wait until its first picture stands."""

_FONT_SIZE = 12
_LETTERS = "amkd letters of the scale bar"


class ScaleBar(QObject):
    """Shows the scale bar of one viewer in a box that reads on white glass and on tissue alike.

    Parameters
    ----------
    viewer
        Whose scale bar it is.
    parent
        With it, the letters that are still to be made are given up.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._missing = list(CHARACTERS)
        self._wanted = False
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
        """Show the scale bar as soon as its letters are made."""
        self._wanted = True
        if self._missing:
            self._turn.start(AFTER_PICTURE_MS)
        else:
            self._appear()

    def _make_next(self) -> None:
        overlays: Any = self._viewer.canvas.overlays
        if self._missing:
            # First: drawing may find that our owner is gone.
            self._turn.start(LETTER_EVERY_MS)
            self._letters(overlays).text += self._missing.pop(0)
            return
        overlays.pop(_LETTERS, None)
        if self._wanted:
            self._appear()

    def _letters(self, overlays: Any) -> Any:
        """A text that is drawn without being seen."""
        from napari.components.overlays import TextOverlay

        if _LETTERS not in overlays:
            overlays[_LETTERS] = TextOverlay(
                visible=True, opacity=0, box=False, font_size=_FONT_SIZE, position="top_left"
            )
        return overlays[_LETTERS]

    def _appear(self) -> None:
        bar: Any = self._viewer.canvas.overlays.scale_bar
        bar.visible, bar.box, bar.font_size = True, True, _FONT_SIZE
