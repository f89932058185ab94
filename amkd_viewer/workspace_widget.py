"""What the panels of one window share: one session, the slide that is looked at, its result and how it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal

from amkd_core.errors import AmkdError
from amkd_core.settings import read_settings
from amkd_viewer import events, in_view, regions, slide_layers
from amkd_viewer.asking import is_expression_of, request_of
from amkd_viewer.bridge_widget import SessionBridge
from amkd_viewer.cameras import Cameras
from amkd_viewer.drawing_widget import ResultDrawing
from amkd_viewer.errands import Errands, Then
from amkd_viewer.events import Expression, PredictionRequest, QueueRequest, Request, SessionEvent
from amkd_viewer.follower_widget import SlideFollower
from amkd_viewer.in_place_widget import LayersInPlace
from amkd_viewer.inputs_widget import demo_path
from amkd_viewer.layer_ears import have_list_hear
from amkd_viewer.layers import MapLook
from amkd_viewer.queue_record import QueueRecord
from amkd_viewer.reader import slide_layer
from amkd_viewer.region_watch_widget import RegionWatch
from amkd_viewer.region_words import REGION_COPY
from amkd_viewer.results import slides_with_regions_of
from amkd_viewer.scale_bar_widget import ScaleBar
from amkd_viewer.session import PredictionSession
from amkd_viewer.shortcuts_widget import Shortcuts
from amkd_viewer.steady_drawing import keep_drawing_steady
from amkd_viewer.warm_up import warm_up_layers, warm_up_prediction
from amkd_viewer.wording import GIVEN_UP, LAST_CLOSED, QUEUE_RUNNING, SLIDE_RUNNING

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QMainWindow, QWidget

    from amkd_core.inference.prediction import Prediction

WARM_UP_AFTER_MS = 3000


def workspace_of(viewer: Viewer) -> Workspace:
    """The workspace of a window, which its panels keep; made when the first of them asks."""
    for panel in viewer.window.dock_widgets.values():
        workspace = getattr(panel, "workspace", None)
        if isinstance(workspace, Workspace) and not workspace.closed:
            return workspace
    keep_drawing_steady()
    return Workspace(viewer)


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
    queue : QueueRecord
        The slides of a folder and their results.
    """

    told = Signal(object)
    slide_changed = Signal()
    slides_renamed = Signal()
    prediction_changed = Signal()
    look_changed = Signal()
    inputs_changed = Signal()
    drawn = Signal()
    failed = Signal(str)

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer, self.look, self._cameras = viewer, MapLook(), Cameras(viewer)
        self.slide: Layer | None = None
        stored = read_settings()
        self.bundle_path: Path | None = stored.settings.bundle or demo_path()
        self.device = stored.settings.device
        self.expression: Expression | None = None
        self._expression_slide: str | None = None
        self.queue = QueueRecord()
        self.outcome: Prediction | BaseException | None = None
        self.closed = self._run_when_opened = False
        self.shortcuts: Shortcuts | None = None
        self.panels: list[QWidget] = []
        self.told.connect(self.queue.hear)

        self._bridge = SessionBridge()
        self.session = PredictionSession(self._bridge.told.emit)
        self._errands = Errands(self.session.tasks, self.fail)
        self._bridge.told.connect(self._on_told, Qt.ConnectionType.QueuedConnection)
        self._scale_bar = ScaleBar(viewer, self)
        self._drawing = ResultDrawing(self)
        self._drawing.done.connect(self._on_drawn)
        self._follower = SlideFollower(self)
        self._follower.turned_to.connect(self.choose)
        self._follower.renamed.connect(self._on_renamed)

        self._settle = QTimer(self, singleShot=True, timeout=self._choose_left)
        self._regions = RegionWatch(viewer, self, gone=self._on_region_gone)
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        # Last: napari tells the latest hearer first, and a slide that is fitted into the canvas is in place.
        self._in_place = LayersInPlace(viewer, self)
        self.destroyed.connect(self.session.close)
        QCoreApplication.instance().aboutToQuit.connect(self.session.close)
        self._scale_bar.prepare()
        self.session.expect_slide()
        self.session.prepare(opening=warm_up_layers)
        # Later: together with the first drawing of a slide it would hold the window up.
        QTimer.singleShot(WARM_UP_AFTER_MS, partial(self.session.prepare, running=warm_up_prediction))
        if self.slides:
            self._scale_bar.show()
            # What earlier panels drew goes: their results ended with them. A kept one is found again.
            self.choose(next((slide for slide in reversed(self.slides) if slide.visible), self.slides[-1]))
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
        """The last prediction of the slide that is looked at, by the model that is chosen."""
        return None if self.slide is None else self.result_of(self.slide)

    @property
    def asked_with(self) -> PredictionRequest | None:
        """Model, scale and expression that the last prediction of this slide was asked with."""
        if self.fingerprint is None:
            return None
        return self.session.asked_with(self.fingerprint, self.bundle_path)

    def result_of(self, layer: Layer) -> Prediction | None:
        """The last prediction of a slide by the model that is chosen."""
        return self.session.result(slide_layers.fingerprint_of(layer), self.bundle_path)

    # What panels do

    def hold(self, panel: QWidget) -> None:
        """Note that a panel needs the workspace for as long as it lives."""
        self.panels.append(panel)
        owner = id(panel)
        panel.destroyed.connect(lambda: self._release(owner))

    def say_what_ends_with(self, panel: QWidget) -> None:
        """Say that the run under way ends with the last panel, whose X was clicked."""
        if self.panels == [panel] and self.session.running is not None:
            show_info(LAST_CLOSED)

    def bind_keys(self, window: QMainWindow) -> None:
        """Bind our keys in the window, once."""
        if self.shortcuts is None and not self.closed:
            self.shortcuts = Shortcuts(window, self)

    def choose(self, layer: Layer | None) -> None:
        """Look at another slide: it is shown with its map and boxes, the others are hidden."""
        self.slide = layer
        if (
            layer is not None
            and self.expression is not None
            and not is_expression_of(self.expression, layer, chosen_for=self._expression_slide)
        ):
            # One patient's expression must not go into another's prediction unseen.
            self.set_inputs(expression=None)
        if layer is not None:
            # First: what is to be taken away is not shown before.
            self._show_result(layer)
            self._scale_bar.measure_in(layer)
            self._cameras.turn_to(layer)
            in_view.turn_to(self.viewer, layer)
        self.slide_changed.emit()
        self.prediction_changed.emit()

    def open_slide(
        self, path: Path | str, *, mpp: float | tuple[float, float] | None = None, run: bool = False
    ) -> None:
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
        """Start any request; False, which is said, while another one is under way: hours of encoding may be in it."""
        self.outcome, running = None, self.session.running
        if running is not None:
            self.fail(AmkdError(QUEUE_RUNNING if isinstance(running, QueueRequest) else SLIDE_RUNNING))
            return False
        if isinstance(request, QueueRequest):
            self.queue.begin(request)
        self.session.start(request)
        return True

    def request_for(self, layer: Layer | None) -> PredictionRequest | None:
        """What to ask for a slide with the inputs as they are; None when something is missing, which is said."""
        if layer is None:
            return None
        try:
            return request_of(
                layer, bundle_path=self.bundle_path, device=self.device, expression=self.expression
            )
        except AmkdError as error:
            self.fail(error)
            return None

    def restate_scale(self, layer: Layer, mpp: tuple[float, float]) -> None:
        """Give a slide the scale that the user states; what was predicted at another one is no longer its result."""
        if mpp == slide_layers.mpp_of(layer):
            return
        self.session.forget(slide_layers.fingerprint_of(layer))
        self._drawing.take_away(layer)
        slide_layers.restate_mpp(self.viewer, layer, mpp)
        self._scale_bar.measure_in(self.slide)
        if layer is self.slide:
            self.slide_changed.emit()
            self.prediction_changed.emit()
        self._recall(layer)

    def set_inputs(self, **changes: Any) -> None:
        """Change `bundle_path`, `device` or `expression` (of the slide that is looked at).

        With another model that one's result is shown, if there is any, and no other's.
        """
        if "expression" in changes:
            self._expression_slide = self.fingerprint
        other_model = changes.get("bundle_path", self.bundle_path) != self.bundle_path
        for name, value in changes.items():
            setattr(self, name, value)
        if "bundle_path" in changes:
            other_model |= self._forget_replaced()
        self.inputs_changed.emit()
        if other_model and self.slide is not None:
            self._show_result(self.slide)
            self.prediction_changed.emit()

    def set_look(self, **changes: Any) -> None:
        """Show maps otherwise: fields of `MapLook`."""
        self.look = replace(self.look, **changes)
        self.redraw_map()
        self.look_changed.emit()

    def draw_map_again(self) -> None:
        """Draw the map of the slide that is looked at from its result, where its layer was taken away."""
        if self.slide is not None and slide_layers.overlay(self.viewer, self.slide, "map") is None:
            self._drawing.draw_map(self.slide)

    def redraw_map(self) -> None:
        """Draw the map of the slide that is looked at as it is to be shown now."""
        if self.slide is not None:
            self._drawing.restyle(self.slide)

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
        if isalive(self._settle):  # not where the window was destroyed as a whole, as by a second Ctrl-C
            self._settle.stop()
        self._follower.release()
        self._in_place.release()
        self._regions.release()
        self.viewer.layers.events.inserted.disconnect(self._on_layer_inserted)
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)

    # What the session tells

    def _on_told(self, event: SessionEvent) -> None:
        if self.closed:  # told before the end, and heard after it
            if isinstance(event, events.Opened):
                event.slide.close()
            return
        match event:
            case events.TaskEnded():
                self._errands.end(event)
                return
            case events.Finished():
                self._on_finished(event)
            case events.Opened():
                self._on_opened(event)
            case events.Failed():
                self.fail(event.error)
            case events.Crashed():
                self.outcome = event.error
        self.told.emit(event)
        if isinstance(event, events.Crashed):
            raise event.error

    def _on_finished(self, event: events.Finished) -> None:
        layer = slide_layers.slide_of(event.fingerprint, self.viewer.layers)
        if layer is None or slide_layers.mpp_of(layer) is None:
            return
        if self.result_of(layer) is event.prediction:
            if self.slide is layer:
                self.prediction_changed.emit()
            self._drawing.draw(layer, event.prediction)
        elif not event.recalled and self.session.result(event.fingerprint) is event.prediction:
            # Another model was chosen since: it stays at hand for when its own is chosen again.
            self._on_drawn(event.prediction)

    def _on_drawn(self, prediction: Prediction) -> None:
        if self.session.running is None:  # not what another run will come to
            self.outcome = prediction
        self.drawn.emit()

    def _on_opened(self, event: events.Opened) -> None:
        slide_layers.add_slide(self.viewer, slide_layer(event.slide, event.pyramid))
        if self._run_when_opened:
            self._run_when_opened = False
            self.run()

    # What the viewer tells

    def _on_layer_inserted(self, event: Event) -> None:
        layer = event.value
        have_list_hear(self.viewer, layer)
        if regions.release_copy(self.viewer, layer):
            show_info(REGION_COPY.format(name=layer.name))
        self._scale_bar.measure_in(self.slide)
        if slide_layers.role_of(layer) != "slide":
            return
        self._scale_bar.show()
        self._forget_other(layer)
        self.choose(layer)
        slide_layers.fit(self.viewer, layer)
        # Later: it would take from the first drawing of this one.
        QTimer.singleShot(WARM_UP_AFTER_MS, self.session.expect_slide)

    def _forget_other(self, layer: Layer) -> None:
        """Of a slide that is opened again, drop what is of a scale or, where it was closed, a name it has no more."""
        asked = self.session.asked_with(slide_layers.fingerprint_of(layer))
        if asked is None:
            return
        alone = slide_layers.slide_of(asked.fingerprint, self.viewer.layers) is layer
        renamed = alone and asked.slide_path != slide_layers.info_of(layer).path
        if renamed or asked.mpp != slide_layers.given_mpp(layer):
            self.session.forget(asked.fingerprint)

    def _show_result(self, layer: Layer) -> None:
        """Have a slide bear its result by the chosen model, and look for a kept one where it has none."""
        self._forget_replaced()
        self._drawing.show(layer)
        if self.result_of(layer) is None:
            self._recall(layer)

    def _forget_replaced(self) -> bool:
        """Drop results of another model that bore the chosen one's file name; whether there were any."""
        return self.bundle_path is not None and self.session.forget_replaced(self.bundle_path)

    def _recall(self, layer: Layer) -> None:
        """Look for a kept result of a slide."""
        if self.bundle_path is not None and slide_layers.mpp_of(layer) is not None:
            request = self.request_for(layer)
            if request is not None:
                self.session.recall(request)

    def _on_layer_removed(self, event: Event) -> None:
        role, fingerprint = slide_layers.role_of(event.value), slide_layers.fingerprint_of(event.value)
        if role != "slide":
            return
        if slide_layers.slide_of(fingerprint, self.viewer.layers) is None:
            running = self.session.running
            if running is not None and running.fingerprint == fingerprint:
                self.session.cancel()
                # Later: a viewer that closes takes its layers away, too, and has nobody to tell.
                QTimer.singleShot(0, partial(self._say_given_up, event.value.name))
            self.session.drop_recalls(fingerprint)
            self._drawing.forget(fingerprint)
            self._cameras.forget(fingerprint)
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

    def _on_region_gone(self, fingerprint: str) -> None:
        """Drop what rests on a region: nobody could see any more of what part of the tissue such a result is."""
        before, running = self.prediction, self.session.running
        if running is not None and fingerprint in slides_with_regions_of(running):
            self.session.cancel()
        self.session.forget_regions(fingerprint)
        if self.prediction is not before:
            self._settle.start()

    def _on_renamed(self) -> None:
        for layer in self.slides:
            if slide_layers.slide_of(slide_layers.fingerprint_of(layer), self.viewer.layers) is layer:
                slide_layers.rename_overlays(self.viewer, layer)
        self.slides_renamed.emit()

    def _say_given_up(self, name: str) -> None:
        if not self.closed and any(panel.window().isVisible() for panel in self.panels):
            show_info(GIVEN_UP.format(slide=name))

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
