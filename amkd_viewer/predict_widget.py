"""*Plugins > AMKD > Predict survival risk*: the panel from a slide layer to a risk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton

from amkd_viewer import events, slide_layers
from amkd_viewer.colours import window_colours
from amkd_viewer.events import SessionEvent
from amkd_viewer.inputs_widget import InputsWidget
from amkd_viewer.labels_widget import text_size_events, wrapped_label
from amkd_viewer.layer_ears import hear_while
from amkd_viewer.panel_widget import PanelWidget, follow_theme
from amkd_viewer.remaining import Remaining
from amkd_viewer.result_widget import ResultWidget
from amkd_viewer.results import slides_of
from amkd_viewer.session import PredictionSession
from amkd_viewer.wording import (
    BUSY,
    NO_SLIDE_YET,
    OTHER_MODEL,
    RESEARCH_USE,
    progress_text,
    scale_candidates,
    scale_question,
)
from amkd_viewer.workspace_widget import workspace_of

if TYPE_CHECKING:
    from napari.utils.events import Event
    from napari.viewer import Viewer

    from amkd_core.inference.prediction import Prediction
    from amkd_core.progress import Progress

WIDTH_PX = 380
_PROGRESS_STEPS = 1000
_FIRST_STAGE = "Starting"


class PredictWidget(PanelWidget):
    """Choose a slide and a model, run, cancel, read the result.

    Parameters
    ----------
    napari_viewer
        The viewer that the panel is docked in.

    Attributes
    ----------
    session : PredictionSession
        Does the work; shared with the window's other panels; scripts may drive it directly.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(WIDTH_PX)
        self._viewer = napari_viewer
        self._stage_text, self._remaining = _FIRST_STAGE, Remaining()
        self.workspace = workspace_of(napari_viewer)
        self.session: PredictionSession = self.workspace.session

        # Interactive elements
        self.inputs = InputsWidget()
        self.run_button = QPushButton("Predict")
        self.cancel_button = QPushButton("Cancel")

        # Read-only elements
        self.progress = QProgressBar()
        self.stage = wrapped_label(role="amkdMuted")
        self.error = wrapped_label(role="amkdError")
        self.result = ResultWidget(self.workspace, window_colours(napari_viewer.theme))
        self.research_use = wrapped_label(RESEARCH_USE, role="amkdUse")

        # Event handlers
        self.inputs.slide_chosen.connect(self._on_slide_chosen)
        self.inputs.open_requested.connect(self.open_slide)
        self.inputs.scale_given.connect(self._on_scale_given)
        self.inputs.inputs_given.connect(self._on_inputs_given)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.session.cancel)
        self.workspace.told.connect(self._on_told)
        self.workspace.failed.connect(self._on_failed)
        self.workspace.slide_changed.connect(self._on_slide_changed)
        self.workspace.slides_renamed.connect(self._show_slides)
        self.workspace.prediction_changed.connect(self._on_prediction_changed)
        self.workspace.look_changed.connect(self._on_look_changed)
        self.workspace.drawn.connect(self._on_look_changed)
        napari_viewer.events.theme.connect(self._on_theme_changed)
        hear_while(self, text_size_events(), self._on_theme_changed)

        # Initial values
        self.workspace.hold(self)
        self.inputs.bundle_path = self.workspace.bundle_path
        self.inputs.device_name = self.workspace.device
        self.progress.setTextVisible(False)
        self.explain(self.run_button, "Predict the chosen slide with the chosen model", "Predict the slide")
        self.explain(self.cancel_button, "Give up the prediction under way", "Cancel")
        self._lay_out()
        self._on_theme_changed()
        self._set_running(self.session.running is not None)
        self._on_slide_changed()
        self._on_prediction_changed()

    @property
    def outcome(self) -> Prediction | BaseException | None:
        """How the last run ended; None before everything is drawn, and after a cancel."""
        return self.workspace.outcome

    @property
    def bundle_path(self) -> Path | None:
        """The chosen model bundle, or None."""
        return self.inputs.bundle_path

    @bundle_path.setter
    def bundle_path(self, path: Path) -> None:
        self.inputs.bundle_path = path
        self._on_inputs_given()

    def open_slide(
        self, path: Path | str, *, mpp: float | tuple[float, float] | None = None, run: bool = False
    ) -> None:
        """Open a slide off the GUI thread; it is chosen, and predicted if asked, once it is there."""
        self._say(f"Opening {Path(path).name}")
        self.workspace.open_slide(path, mpp=mpp, run=run)

    def run(self) -> None:
        """Predict the chosen slide with the chosen model."""
        layer = self.inputs.slide
        if layer is not None and slide_layers.mpp_of(layer) is None:
            self.inputs.mpp.setFocus()
        if self.workspace.run():
            self._set_running(True)
            self._say_stage(_FIRST_STAGE)

    # What the user does

    def _on_slide_chosen(self) -> None:
        self.workspace.choose(self.inputs.slide)

    def _on_inputs_given(self) -> None:
        self.workspace.set_inputs(bundle_path=self.inputs.bundle_path, device=self.inputs.device_name)

    def _on_scale_given(self, mpp: tuple[float, float]) -> None:
        layer = self.inputs.slide
        if layer is not None:
            self.workspace.restate_scale(layer, mpp)
            self._show_error("")

    # What the workspace tells

    def _on_told(self, event: SessionEvent) -> None:
        match event:
            case events.Advanced():
                if not self.progress.isVisible():
                    self._set_running(True)
                self._show_progress(event.progress)
            case events.Finished(recalled=True) if self.session.running is not None:
                pass  # of a slide that is looked at meanwhile; the run goes on being told
            case events.Finished():
                self._set_running(self.session.running is not None)
                other = not event.recalled and event.request.bundle_path != self.workspace.bundle_path
                name = self.inputs.name_of(event.request.bundle_path)
                self._say(OTHER_MODEL.format(model=name) if other else "")
            case events.QueueEnded():
                self._set_running(self.session.running is not None)
                self._say("")
            case events.Cancelled():
                self._set_running(False)
                self._say("Cancelled")
            case events.Opened():
                self._set_running(self.session.running is not None)
                if self.session.running is None:
                    self._say("")
                else:
                    self._say_stage(self._stage_text)
            case events.Crashed():
                self._set_running(self.session.running is not None)

    def _on_failed(self, sentence: str) -> None:
        self._set_running(self.session.running is not None)
        self._show_error(sentence)

    def _on_slide_changed(self) -> None:
        layer = self.workspace.slide
        self._show_slides()
        self._show_error("")
        self.run_button.setEnabled(layer is not None and self.session.running is None)
        if self.session.running is None:
            self._say(NO_SLIDE_YET if layer is None else "")
        else:
            self._say_stage(self._stage_text)
        if layer is None:
            self.inputs.ask_scale(None)
            return
        info = slide_layers.info_of(layer)
        question = scale_question(info) if info.microns is None else None
        self.inputs.ask_scale(question, scale_candidates(info), mpp=slide_layers.mpp_of(layer))

    def _show_slides(self) -> None:
        self.inputs.set_slides(self.workspace.slides, self.workspace.slide)

    def _on_prediction_changed(self) -> None:
        prediction = self.workspace.prediction
        if prediction is not None:
            self.result.show_prediction(prediction, self.workspace.asked_with)
        self.result.setVisible(prediction is not None)
        self._on_look_changed()

    def _on_look_changed(self) -> None:
        slide = self.workspace.slide
        layer = None if slide is None else slide_layers.overlay(self._viewer, slide, "map")
        self.result.show_look(self.workspace.look, None if layer is None else slide_layers.limits_of(layer))

    def _on_theme_changed(self, event: Event | None = None) -> None:
        follow_theme(self, window_colours(self._viewer.theme))

    # Showing

    def _set_running(self, running: bool) -> None:
        self.run_button.setEnabled(not running and self.inputs.slide is not None)
        self.cancel_button.setEnabled(running)
        self.progress.setVisible(running)
        self.progress.setRange(0, 0)
        if running or self.error.text() in BUSY:
            self._show_error("")
        if not running:
            self._stage_text, self._remaining = _FIRST_STAGE, Remaining()

    def _show_progress(self, progress: Progress) -> None:
        if self.session.running is None:
            return
        fraction = progress.fraction if progress.total > 1 else None
        self.progress.setRange(0, 0 if fraction is None else _PROGRESS_STEPS)
        self.progress.setValue(0 if fraction is None else round(_PROGRESS_STEPS * fraction))
        self._say_stage("; ".join(filter(None, (progress_text(progress), self._remaining.after(progress)))))

    def _say_stage(self, text: str) -> None:
        """Say how far the run has come, and whose it is where it is not the run of the slide on the screen."""
        self._stage_text = text
        running = self.session.running
        about = frozenset() if running is None else slides_of(running)
        if not about or self.workspace.fingerprint in about:
            self._say(text)
        else:
            layers = (slide_layers.slide_of(fingerprint, self._viewer.layers) for fingerprint in about)
            names = " and ".join(sorted(layer.name for layer in layers if layer is not None))
            self._say(f"{names or 'Another slide'}: {text}")

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
