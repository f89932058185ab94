"""*Plugins > AMKD > Predict survival risk*: the panel from a slide layer to a risk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton

from amkd_core.errors import AmkdError, BundleError, MissingMicronsError
from amkd_viewer import events, slide_layers
from amkd_viewer.bridge_widget import SessionBridge
from amkd_viewer.colours import window_colours
from amkd_viewer.events import PredictionRequest, SessionEvent
from amkd_viewer.inputs_widget import InputsWidget
from amkd_viewer.labels_widget import style_sheet, wrapped_label
from amkd_viewer.layers import prediction_layers
from amkd_viewer.painter_widget import OverlayPainter
from amkd_viewer.panel_widget import PanelWidget
from amkd_viewer.reader import slide_layer
from amkd_viewer.result_widget import ResultWidget
from amkd_viewer.session import PredictionSession
from amkd_viewer.warm_up import warm_up_layers, warm_up_prediction
from amkd_viewer.wording import NO_MODEL, RESEARCH_USE, SCALE_QUESTION, progress_text

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event
    from napari.viewer import Viewer

    from amkd_core.inference.prediction import Prediction
    from amkd_core.progress import Progress
    from amkd_core.slides import Slide

WIDTH_PX = 380
WARM_UP_AFTER_MS = 3000
_PROGRESS_STEPS = 1000


class PredictWidget(PanelWidget):
    """Choose a slide and a model, run, cancel, read the result.

    Parameters
    ----------
    napari_viewer
        The viewer that the panel is docked in.

    Attributes
    ----------
    session : PredictionSession
        Does the work; scripts may drive it directly.
    outcome : Prediction or error or None
        How the last run ended; None before everything is drawn, and after a cancel.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(WIDTH_PX)
        self._viewer = napari_viewer
        self._run_when_opened = False
        self.outcome: Prediction | BaseException | None = None
        self._prediction: Prediction | None = None

        # Interactive elements
        self.inputs = InputsWidget()
        self.run_button = QPushButton("Predict")
        self.cancel_button = QPushButton("Cancel")

        # Read-only elements
        self.progress = QProgressBar()
        self.stage = wrapped_label(role="amkdMuted")
        self.error = wrapped_label(role="amkdError")
        self.result = ResultWidget(window_colours(napari_viewer.theme))
        self.research_use = wrapped_label(RESEARCH_USE, role="amkdUse")

        # The session and what it tells
        self._bridge = SessionBridge()
        self.session = PredictionSession(self._bridge.told.emit)
        self._bridge.told.connect(self._on_told, Qt.ConnectionType.QueuedConnection)
        self.destroyed.connect(self.session.close)
        QCoreApplication.instance().aboutToQuit.connect(self._on_about_to_quit)

        self._painter = OverlayPainter(
            napari_viewer, chosen=lambda: self.inputs.slide, done=self._on_painted, parent=self
        )

        # Event handlers
        self.inputs.slide_chosen.connect(self._on_slide_chosen)
        self.inputs.open_requested.connect(self.open_slide)
        self.inputs.scale_given.connect(self._on_scale_given)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.session.cancel)
        napari_viewer.layers.events.inserted.connect(self._on_layer_inserted)
        napari_viewer.layers.events.removed.connect(self._on_layer_removed)
        napari_viewer.events.theme.connect(self._on_theme_changed)

        # Initial values
        self.session.prepare(opening=warm_up_layers)
        # Later: together with the first drawing of a slide it would hold the window up.
        session = self.session
        QTimer.singleShot(WARM_UP_AFTER_MS, lambda: session.prepare(running=warm_up_prediction))
        self.progress.setTextVisible(False)
        self._lay_out()
        self._on_theme_changed()
        self._set_running(False)
        self._say("")
        self._offer_slides()

    @property
    def bundle_path(self) -> Path | None:
        """The chosen model bundle, or None."""
        return self.inputs.bundle_path

    @bundle_path.setter
    def bundle_path(self, path: Path) -> None:
        self.inputs.bundle_path = path

    def open_slide(self, path: Path | str, *, mpp: float | None = None, run: bool = False) -> None:
        """Open a slide off the GUI thread; it is chosen, and predicted if asked, once it is there."""
        self.outcome, self._run_when_opened = None, run
        self._say(f"Opening {Path(path).name}")
        self.session.open_slide(path, mpp=mpp)

    def run(self) -> None:
        """Predict the chosen slide with the chosen model."""
        self.outcome = None
        layer = self.inputs.slide
        if layer is None:
            return
        if self.bundle_path is None:
            self._fail(BundleError(NO_MODEL))
            return
        info = slide_layers.info_of(layer)
        if slide_layers.mpp_of(layer) is None:
            self.inputs.mpp.setFocus()
            self._fail(MissingMicronsError(SCALE_QUESTION))
            return
        self._set_running(True)
        self._say("Starting")
        self.session.start(
            PredictionRequest(
                slide_path=info.path,
                fingerprint=info.fingerprint,
                bundle_path=self.bundle_path,
                mpp=slide_layers.given_mpp(layer),
                scene=info.scene,
                device=self.inputs.device_name,
            )
        )

    # What the user does

    def _on_slide_chosen(self) -> None:
        layer = self.inputs.slide
        self._show_error("")
        self.run_button.setEnabled(layer is not None and self.session.running is None)
        if layer is None:
            self.inputs.ask_scale(asked=False)
            self._show_prediction(None)
            return
        asked = slide_layers.info_of(layer).microns is None
        mpp = slide_layers.mpp_of(layer)
        self.inputs.ask_scale(asked=asked, mpp=None if mpp is None else mpp[0])
        fingerprint = slide_layers.fingerprint_of(layer)
        self._show_prediction(self.session.result(fingerprint))
        slide_layers.show_only(self._viewer, fingerprint)

    def _on_scale_given(self, mpp: float) -> None:
        layer = self.inputs.slide
        if layer is not None:
            slide_layers.restate_mpp(self._viewer, layer, (mpp, mpp))
            self._show_error("")

    # What the session tells

    def _on_told(self, event: SessionEvent) -> None:
        match event:
            case events.Advanced():
                self._show_progress(event.progress)
            case events.Finished():
                self._on_finished(event.request.fingerprint, event.prediction)
            case events.Cancelled():
                self._set_running(False)
                self._say("Cancelled")
            case events.Opened():
                self._on_opened(event.slide)
            case events.Failed():
                self._fail(event.error)
            case events.Crashed():
                self._set_running(self.session.running is not None)
                self.outcome = event.error
                raise event.error

    def _on_finished(self, fingerprint: str, prediction: Prediction) -> None:
        self._set_running(self.session.running is not None)
        self._say("")
        layer = slide_layers.slide_of(fingerprint, self._viewer.layers)
        mpp = None if layer is None else slide_layers.mpp_of(layer)
        if layer is None or mpp is None:
            return
        try:
            drawn = prediction_layers(prediction, mpp=mpp, fingerprint=fingerprint, name=layer.name)
        except AmkdError as error:
            self._fail(error)
            return
        self._prediction = prediction
        if self.inputs.slide is layer:
            self._show_prediction(prediction)
        self._painter.paint(drawn)

    def _on_painted(self) -> None:
        self.outcome = self._prediction

    def _on_opened(self, slide: Slide) -> None:
        self._say("")
        slide_layers.add_slide(self._viewer, slide_layer(slide))
        if self._run_when_opened:
            self._run_when_opened = False
            self.run()

    def _fail(self, error: AmkdError) -> None:
        self.outcome = error
        self._set_running(self.session.running is not None)
        self._show_error(str(error))
        from napari.utils.notifications import show_error

        show_error(str(error))

    # What the viewer tells

    def _on_layer_inserted(self, event: Event) -> None:
        if slide_layers.role_of(event.value) == "slide":
            self._offer_slides(event.value)

    def _on_layer_removed(self, event: Event) -> None:
        if slide_layers.role_of(event.value) != "slide":
            return
        fingerprint = slide_layers.fingerprint_of(event.value)
        if slide_layers.slide_of(fingerprint, self._viewer.layers) is None:
            running = self.session.running
            if running is not None and running.fingerprint == fingerprint:
                self.session.cancel()
            slide_layers.remove_overlays(self._viewer, fingerprint)
        self._offer_slides(self.inputs.slide)

    def _on_about_to_quit(self) -> None:
        # Python waits for threads at its end, and they would go on to the end of the slide.
        self.session.close()

    def _on_theme_changed(self, event: Event | None = None) -> None:
        colours = window_colours(self._viewer.theme)
        self.setStyleSheet(style_sheet(colours))
        self.result.set_colours(colours)

    # Showing

    def _offer_slides(self, choose: Layer | None = None) -> None:
        layers = slide_layers.slides_in(self._viewer.layers)
        if layers:
            slide_layers.show_scale_bar(self._viewer)
        self.inputs.set_slides(layers, choose)

    def _show_prediction(self, prediction: Prediction | None) -> None:
        if prediction is not None:
            self.result.show_prediction(prediction)
        self.result.setVisible(prediction is not None)

    def _set_running(self, running: bool) -> None:
        self.run_button.setEnabled(not running and self.inputs.slide is not None)
        self.cancel_button.setEnabled(running)
        self.progress.setVisible(running)
        self.progress.setRange(0, 0)
        if running:
            self._show_error("")

    def _show_progress(self, progress: Progress) -> None:
        if self.session.running is None:
            return
        fraction = progress.fraction if progress.total > 1 else None
        self.progress.setRange(0, 0 if fraction is None else _PROGRESS_STEPS)
        self.progress.setValue(0 if fraction is None else round(_PROGRESS_STEPS * fraction))
        self._say(progress_text(progress))

    def _say(self, text: str) -> None:
        self.stage.setText(text)
        self.stage.setVisible(bool(text))

    def _show_error(self, sentence: str) -> None:
        self.error.setText(sentence)
        self.error.setVisible(bool(sentence))
        if sentence:
            self._say("")

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        for item in (self.inputs, buttons, self.progress, self.stage, self.error, self.result):
            self.add(item)
        self.add_foot(self.research_use)
