"""What the panels of one window share: one session, the slide that is looked at, its result and how it is shown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal

from amkd_core.errors import AmkdError, BundleError, MissingMicronsError
from amkd_core.settings import read_settings
from amkd_viewer import events, slide_layers
from amkd_viewer.bridge_widget import SessionBridge
from amkd_viewer.errands import Errands, Then
from amkd_viewer.events import Expression, PredictionRequest, QueueRequest, Request, SessionEvent
from amkd_viewer.inputs_widget import demo_path
from amkd_viewer.layers import MapLook, prediction_layers
from amkd_viewer.painter_widget import OverlayPainter
from amkd_viewer.reader import slide_layer
from amkd_viewer.scale_bar_widget import ScaleBar
from amkd_viewer.session import PredictionSession
from amkd_viewer.shortcuts_widget import Shortcuts
from amkd_viewer.warm_up import warm_up_layers, warm_up_prediction
from amkd_viewer.wording import MAP_FAULT, NO_MODEL, QUEUE_RUNNING, SCALE_QUESTION

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QMainWindow, QWidget

    from amkd_core.inference.prediction import Prediction

WARM_UP_AFTER_MS = 3000

_log = logging.getLogger(__name__)


def workspace_of(viewer: Viewer) -> Workspace:
    """The workspace of a window, which its panels keep; made when the first of them asks."""
    return open_workspace_of(viewer) or Workspace(viewer)


def open_workspace_of(viewer: Viewer) -> Workspace | None:
    """The workspace of a window, or None where no panel has asked for one yet."""
    for panel in viewer.window.dock_widgets.values():
        workspace = getattr(panel, "workspace", None)
        if isinstance(workspace, Workspace) and not workspace.closed:
            return workspace
    return None


class Workspace(QObject):
    """Shared by all panels of a window; it ends with the last of them, and then its threads end.

    Attributes
    ----------
    session : PredictionSession
    slide : napari layer or None
        The slide that is looked at.
    look : MapLook
        How maps are shown.
    expression : Expression or None
        Of the patient whose slide is looked at.
    outcome : Prediction or error or None
        How the last run ended; None before everything is drawn, and after a cancel.
    """

    told = Signal(object)
    slide_changed = Signal()
    prediction_changed = Signal()
    look_changed = Signal()
    inputs_changed = Signal()
    drawn = Signal()
    failed = Signal(str)

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.slide: Layer | None = None
        self.look = MapLook()
        stored = read_settings()
        self.bundle_path: Path | None = stored.settings.bundle or demo_path()
        self.device = stored.settings.device
        self.expression: Expression | None = None
        self._expression_slide: str | None = None
        self.outcome: Prediction | BaseException | None = None
        self.closed = False
        self.shortcuts: Shortcuts | None = None
        self._finished: Prediction | None = None
        self._run_when_opened = False
        self.panels: list[QWidget] = []

        self._bridge = SessionBridge()
        self.session = PredictionSession(self._bridge.told.emit)
        self._errands = Errands(self.session.tasks, self.fail)
        self._bridge.told.connect(self._on_told, Qt.ConnectionType.QueuedConnection)
        self._scale_bar = ScaleBar(viewer, self)
        self._painter = OverlayPainter(viewer, chosen=lambda: self.slide, done=self._on_painted, parent=self)

        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.timeout.connect(self._choose_left)
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self.destroyed.connect(self.session.close)
        QCoreApplication.instance().aboutToQuit.connect(self.session.close)
        self._scale_bar.prepare()
        self.session.expect_slide()
        self.session.prepare(opening=warm_up_layers)
        # Later: together with the first drawing of a slide it would hold the window up.
        session = self.session
        QTimer.singleShot(WARM_UP_AFTER_MS, lambda: session.prepare(running=warm_up_prediction))
        slides = self.slides
        if slides:
            self._scale_bar.show()
            self.choose(slides[-1])
        if stored.problem:
            show_warning(stored.problem)

    @property
    def slides(self) -> list[Layer]:
        """All slide layers, bottom first."""
        return slide_layers.slides_in(self.viewer.layers)

    @property
    def fingerprint(self) -> str | None:
        """Of the slide that is looked at."""
        return None if self.slide is None else slide_layers.fingerprint_of(self.slide)

    @property
    def prediction(self) -> Prediction | None:
        """The last prediction of the slide that is looked at."""
        return None if self.fingerprint is None else self.session.result(self.fingerprint)

    @property
    def asked_with(self) -> PredictionRequest | None:
        """Model, scale and expression that the last prediction of this slide was asked with."""
        return None if self.fingerprint is None else self.session.asked_with(self.fingerprint)

    # What panels do

    def hold(self, panel: QWidget) -> None:
        """Note that a panel needs the workspace for as long as it lives."""
        self.panels.append(panel)
        owner = id(panel)
        panel.destroyed.connect(lambda: self._release(owner))

    def bind_keys(self, window: QMainWindow) -> None:
        """Bind our keys in the window, once."""
        if self.shortcuts is None and not self.closed:
            self.shortcuts = Shortcuts(window, self)

    def choose(self, layer: Layer | None) -> None:
        """Look at another slide: it is shown with its map and boxes, the others are hidden."""
        self.slide = layer
        if self.expression is not None and not self._is_expression_of(layer):
            # One patient's expression must not go into another's prediction unseen.
            self.set_inputs(expression=None)
        if layer is not None:
            fingerprint = slide_layers.fingerprint_of(layer)
            slide_layers.show_only(self.viewer, fingerprint)
            self.redraw_map()
        self.slide_changed.emit()
        self.prediction_changed.emit()

    def open_slide(self, path: Path | str, *, mpp: float | None = None, run: bool = False) -> None:
        """Open a slide off the GUI thread; it is chosen, and predicted if asked, once it is there."""
        self.outcome, self._run_when_opened = None, run
        self._scale_bar.hold()
        self.session.open_slide(path, mpp=mpp)

    def run(self) -> bool:
        """Predict the slide that is looked at; False when something is missing, which is said."""
        self.outcome = None
        request = self.request_for(self.slide)
        return request is not None and self.start(request)

    def start(self, request: Request) -> bool:
        """Start any request; False where a folder's slides are under way, which would be lost by it."""
        self.outcome = None
        if isinstance(self.session.running, QueueRequest):
            self.fail(AmkdError(QUEUE_RUNNING))
            return False
        self.session.start(request)
        return True

    def request_for(self, layer: Layer | None) -> PredictionRequest | None:
        """What to ask for a slide with the inputs as they are; None when something is missing, which is said."""
        if layer is None:
            return None
        if self.bundle_path is None:
            self.fail(BundleError(NO_MODEL))
            return None
        if slide_layers.mpp_of(layer) is None:
            self.fail(MissingMicronsError(SCALE_QUESTION))
            return None
        info = slide_layers.info_of(layer)
        return PredictionRequest(
            slide_path=info.path,
            fingerprint=info.fingerprint,
            bundle_path=self.bundle_path,
            mpp=slide_layers.given_mpp(layer),
            scene=info.scene,
            device=self.device,
            expression=self.expression,
            info=info,
        )

    def restate_scale(self, layer: Layer, mpp: tuple[float, float]) -> None:
        """Give a slide the scale that the user states; what was predicted at another one is no longer its result."""
        if mpp == slide_layers.mpp_of(layer):
            return
        self.session.forget(slide_layers.fingerprint_of(layer))
        slide_layers.restate_mpp(self.viewer, layer, mpp)
        if layer is self.slide:
            self.slide_changed.emit()
            self.prediction_changed.emit()
        self._recall(layer)

    def set_inputs(self, **changes: Any) -> None:
        """Change `bundle_path`, `device` or `expression`; the latter is of the slide that is looked at."""
        if "expression" in changes:
            self._expression_slide = self.fingerprint
        for name, value in changes.items():
            setattr(self, name, value)
        self.inputs_changed.emit()

    def set_look(self, **changes: Any) -> None:
        """Show maps otherwise: fields of `MapLook`."""
        self.look = replace(self.look, **changes)
        self.redraw_map()
        self.look_changed.emit()

    def redraw_map(self) -> None:
        """Draw the map of the slide that is looked at as it is to be shown now."""
        prediction, layer = self.prediction, self.slide
        mpp = None if layer is None else slide_layers.mpp_of(layer)
        if prediction is None or layer is None or mpp is None or not prediction.has_map:
            return
        slide_layers.restyle_map(self.viewer, layer, prediction, self.look)

    def do(
        self, owner: QWidget, key: str, function: Callable[[], Any], then: Then, failed: Then | None = None
    ) -> None:
        """Run something off the GUI thread and hand its value to `then` on it, if `owner` still lives.

        Parameters
        ----------
        key
            A newer task of the same owner and key replaces an older one.
        failed
            Gets an `AmkdError`; by default it becomes a notification.
        """
        self._errands.send(owner, key, function, then, failed)

    def fail(self, error: AmkdError) -> None:
        """Say what went wrong, in the panels and as a notification."""
        self.outcome = error
        self.failed.emit(str(error))
        show_error(str(error))

    def close(self) -> None:
        """End the session and let go of the viewer."""
        if self.closed:
            return
        self.closed = True
        if self.shortcuts is not None:
            self.shortcuts.release()
        self.session.close()
        self._errands.clear()
        self._settle.stop()
        self.viewer.layers.events.inserted.disconnect(self._on_layer_inserted)
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)

    # What the session tells

    def _on_told(self, event: SessionEvent) -> None:
        match event:
            case events.TaskEnded():
                self._errands.end(event)
                return
            case events.Finished():
                self._on_finished(event.fingerprint, event.prediction)
            case events.Opened():
                self._on_opened(event)
            case events.Failed():
                self.fail(event.error)
            case events.Crashed():
                self.outcome = event.error
        self.told.emit(event)
        if isinstance(event, events.Crashed):
            raise event.error

    def _on_finished(self, fingerprint: str, prediction: Prediction) -> None:
        layer = slide_layers.slide_of(fingerprint, self.viewer.layers)
        mpp = None if layer is None else slide_layers.mpp_of(layer)
        if layer is None or mpp is None or self.session.result(fingerprint) is not prediction:
            return  # the slide is gone, or its scale was stated anew since
        try:
            drawn = prediction_layers(
                prediction, mpp=mpp, fingerprint=fingerprint, name=layer.name, look=self.look
            )
        except AmkdError as error:
            self.fail(error)
            return
        except Exception as error:  # noqa: BLE001 (whatever it is, the window lives on)
            # The result stands; what cannot be drawn is a fault of ours and goes to the log with all it says.
            _log.exception("the map of %s cannot be drawn", layer.name)
            self.fail(AmkdError(MAP_FAULT.format(slide=layer.name, kind=type(error).__name__)))
            return
        self._finished = prediction
        if self.slide is layer:
            self.prediction_changed.emit()
        self._painter.paint(drawn)

    def _on_painted(self) -> None:
        self.outcome = self._finished
        self.drawn.emit()

    def _on_opened(self, event: events.Opened) -> None:
        slide_layers.add_slide(self.viewer, slide_layer(event.slide, event.pyramid))
        if self._run_when_opened:
            self._run_when_opened = False
            self.run()

    # What the viewer tells

    def _on_layer_inserted(self, event: Event) -> None:
        layer = event.value
        if slide_layers.role_of(layer) != "slide":
            return
        self._scale_bar.show()
        self.choose(layer)
        # Later: it would take from the first drawing of this one.
        QTimer.singleShot(WARM_UP_AFTER_MS, self.session.expect_slide)
        prediction = self.prediction
        if prediction is None:
            self._recall(layer)
        else:  # it was closed and is opened again; its map comes when napari is done with the slide itself
            QTimer.singleShot(0, partial(self._on_finished, slide_layers.fingerprint_of(layer), prediction))

    def _is_expression_of(self, layer: Layer | None) -> bool:
        """Whether the expression is this slide's: it was chosen for it, or its patient's name begins the slide's."""
        if layer is None or self.expression is None:
            return layer is None
        if slide_layers.fingerprint_of(layer) == self._expression_slide:
            return True
        from amkd_core.inference.pathway_table import patient_of_slide

        return patient_of_slide([self.expression.patient], slide_layers.info_of(layer).slide_id) is not None

    def _recall(self, layer: Layer) -> None:
        """Look for a kept result of a slide."""
        if self.bundle_path is not None and slide_layers.mpp_of(layer) is not None:
            request = self.request_for(layer)
            if request is not None:
                self.session.recall(request)

    def _on_layer_removed(self, event: Event) -> None:
        if slide_layers.role_of(event.value) != "slide":
            return
        fingerprint = slide_layers.fingerprint_of(event.value)
        if slide_layers.slide_of(fingerprint, self.viewer.layers) is None:
            running = self.session.running
            if running is not None and running.fingerprint == fingerprint:
                self.session.cancel()
            slide_layers.remove_overlays(self.viewer, fingerprint)
        if self.slide is event.value:
            self.slide = None
        if not self.slides:
            self._settle.stop()
            self.choose(None)
        else:
            # Once, after all that go together are gone: a viewer that closes takes its layers away one by one, and
            # has nobody left to draw another.
            self._settle.start()

    def _choose_left(self) -> None:
        """Look on at the slide that was looked at, or at another where that one is gone."""
        left = self.slides
        self.choose(self.slide if self.slide in left else (left[-1] if left else None))

    def _release(self, owner: int) -> None:
        self._errands.forget(owner)
        self.panels = [panel for panel in self.panels if id(panel) != owner]
        if not self.panels:
            self.close()
            self.deleteLater()
