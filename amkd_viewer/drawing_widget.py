"""Results on their slides: each slide's map and boxes are of the result that is shown for it, or there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from amkd_core.errors import AmkdError
from amkd_core.private_names import private_logger
from amkd_viewer import in_view, slide_layers
from amkd_viewer.layer_facts import DRAWN_ROLES
from amkd_viewer.layers import prediction_layers
from amkd_viewer.painter_widget import OverlayPainter
from amkd_viewer.wording import MAP_FAULT

if TYPE_CHECKING:
    from napari.layers import Layer

    from amkd_core.inference.prediction import Prediction
    from amkd_viewer.reader import LayerData
    from amkd_viewer.workspace_widget import Workspace

_log = private_logger(__name__)


class ResultDrawing(QObject):
    """Draws results on slides, shows them otherwise, and takes out of view what no result stands for.

    Parameters
    ----------
    workspace
        Of the window; it knows which slide is looked at, the results, and how maps are to be shown.
    """

    done = Signal(object)
    """A result, when everything of it is drawn."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace, self._viewer = workspace, workspace.viewer
        self._painter = OverlayPainter(
            self._viewer,
            chosen=lambda: workspace.slide,
            done=lambda: self.done.emit(self._latest),
            failed=self._fail,
            parent=self,
        )
        self._drawn: dict[str, Prediction] = {}
        self._latest: Prediction | None = None

    def show(self, layer: Layer) -> None:
        """Have a slide bear its result: drawn anew where another one is drawn, else as maps are to look now."""
        prediction, fingerprint = self._workspace.result_of(layer), slide_layers.fingerprint_of(layer)
        if prediction is None:
            self.take_away(layer)
        elif self._drawn.get(fingerprint) is prediction:
            self.restyle(layer)
        else:
            # Later: a slide that is just opened is drawn itself first.
            QTimer.singleShot(0, lambda: self._draw_later(fingerprint, prediction))

    def draw(self, layer: Layer, prediction: Prediction) -> None:
        """Draw a result on its slide; where it cannot be drawn, that is said."""
        overlays = self._described(layer, prediction)
        if overlays is None:
            return
        if not overlays:
            self.take_away(layer)
        self._drawn[slide_layers.fingerprint_of(layer)] = self._latest = prediction
        self._painter.paint(overlays)

    def draw_map(self, layer: Layer) -> None:
        """Draw the map of a slide's result where it has no layer any more, below the boxes."""
        prediction = self._workspace.result_of(layer)
        overlays = None if prediction is None else self._described(layer, prediction)
        if not overlays:
            return
        slide_layers.draw_overlay(self._viewer, overlays[0])
        self._workspace.drawn.emit()

    def _described(self, layer: Layer, prediction: Prediction) -> list[LayerData] | None:
        """Map and boxes of a result; None where they cannot be drawn, which is said, or have no scale."""
        mpp, name = slide_layers.mpp_of(layer), layer.name
        if mpp is None:
            return None
        try:
            return prediction_layers(
                prediction, mpp=mpp, fingerprint=slide_layers.fingerprint_of(layer), name=name,
                look=self._workspace.look,
            )  # fmt: skip
        except AmkdError as error:
            self._workspace.fail(error)
        except Exception as error:  # noqa: BLE001 (whatever it is, the window lives on)
            self._fail(name, error)
        return None

    def _fail(self, name: str, error: Exception) -> None:
        """Tell of a fault of ours: the result stands, and what the fault says goes to the log."""
        # A layer bears the slide's name, or one that the user gave it, and the log neither.
        _log.error("a map cannot be drawn", exc_info=error)
        self._workspace.fail(AmkdError(MAP_FAULT.format(slide=name, kind=type(error).__name__)))

    def restyle(self, layer: Layer) -> None:
        """Show a slide's map as maps are to look now."""
        prediction = self._workspace.result_of(layer)
        if prediction is not None and prediction.has_map:
            slide_layers.restyle_map(self._viewer, layer, prediction, self._workspace.look)

    def take_away(self, layer: Layer) -> None:
        """Take what is drawn of results out of view; what the user drew or made stays."""
        fingerprint = slide_layers.fingerprint_of(layer)
        self.forget(fingerprint)
        for one in slide_layers.overlays_of(fingerprint, self._viewer.layers):
            if slide_layers.role_of(one) in DRAWN_ROLES:
                in_view.put_away(one)

    def forget(self, fingerprint: str) -> None:
        """Draw nothing more of a slide that is gone."""
        self._drawn.pop(fingerprint, None)
        self._painter.drop(fingerprint)

    def _draw_later(self, fingerprint: str, prediction: Prediction) -> None:
        layer = slide_layers.slide_of(fingerprint, self._viewer.layers)
        # It may have been closed, drawn or given another result meanwhile.
        if layer is not None and self._workspace.result_of(layer) is prediction is not self._drawn.get(
            fingerprint
        ):
            self.draw(layer, prediction)
