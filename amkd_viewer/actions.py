"""What can be done by a key: one table that binds the keys, and from which the help is written; no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amkd_viewer import in_view, navigation, slide_layers
from amkd_viewer.colours import COLOUR_MAPS
from amkd_viewer.wording import NO_RESULT_YET, NO_SLIDE_YET, NO_TEACHER_MAP, patch_text

if TYPE_CHECKING:
    from napari.layers import Layer

    from amkd_core.inference.prediction import Prediction
    from amkd_viewer.workspace_widget import Workspace

PLUGIN = "amkd-viewer"
TOUR_LENGTH = 50
OPACITY_STEP = 0.1
TOP_PERCENT = 5.0


class WindowActions:
    """Does them in one window; says in a notification what is missing where nothing can be done.

    Parameters
    ----------
    workspace
        Of the window.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._viewer = workspace, workspace.viewer
        self._toured: Prediction | None = None
        self._source, self._place = "", -1

    def predict(self) -> None:
        """Predict the slide that is looked at."""
        if self._slide() is not None:
            self._workspace.run()

    def cancel(self) -> None:
        """Give up the prediction under way."""
        self._workspace.session.cancel()

    def step_slide(self, step: int) -> None:
        """Look at the next or the previous open slide."""
        slide, slides = self._slide(), self._workspace.slides
        if slide is not None:
            self._workspace.choose(slides[(slides.index(slide) + step) % len(slides)])

    def step_patch(self, step: int) -> None:
        """Fly to the next or the previous top patch of the map that is shown, and mark it."""
        from amkd_core.inference.maps import top_patches

        prediction, slide = self._result(), self._workspace.slide
        if prediction is None or slide is None:
            return
        source = self._workspace.look.style_for(prediction).source
        if (prediction, source) != (self._toured, self._source):
            self._toured, self._source, self._place = prediction, source, -1 if step > 0 else 0
        patches = top_patches(prediction, TOUR_LENGTH, source=source)
        self._place = (self._place + step) % len(patches)
        patch = patches[self._place]
        navigation.fly_to(self._viewer, slide, patch.xy_level0, patch.size_level0)
        in_view.mark(self._viewer, slide, patch)
        self._viewer.status = patch_text(patch, len(patches))

    def magnify(self, power: int) -> None:
        """Zoom to a nominal magnification, where the scale is known."""
        slide = self._slide()
        if slide is not None and slide_layers.mpp_of(slide) is not None:
            navigation.magnify(self._viewer, power)

    def fit(self) -> None:
        """Show the whole slide that is looked at."""
        slide_layers.fit(self._viewer, self._workspace.slide)

    def turn(self, degrees: float) -> None:
        """Turn the slide on."""
        slide = self._slide()
        if slide is not None:
            turned = navigation.angle_of(slide) + degrees
            navigation.turn(self._viewer, slide, (turned + 180) % 360 - 180)

    def upright(self) -> None:
        """Show the slide as it was scanned."""
        slide = self._slide()
        if slide is not None:
            navigation.turn(self._viewer, slide, 0)

    def toggle_map(self) -> None:
        """Show or hide the map."""
        slide = self._workspace.slide
        if slide is not None and self._result() is not None:
            layer = slide_layers.overlay(self._viewer, slide, "map")
            if layer is None:
                self._workspace.draw_map_again()
            else:
                layer.visible = not layer.visible

    def change_opacity(self, step: float) -> None:
        """Make the map denser or clearer."""
        if self._result() is not None:
            opacity = self._workspace.look.opacity + step
            self._workspace.set_look(opacity=round(min(1.0, max(0.05, opacity)), 2))

    def swap_source(self) -> None:
        """Show the teacher's map in place of the student's, or the other way round."""
        prediction = self._result()
        if prediction is None:
            return
        if prediction.teacher is None:
            _say(NO_TEACHER_MAP)
            return
        shown = self._workspace.look.source
        self._workspace.set_look(source="teacher" if shown == "student" else "student")

    def swap_kind(self) -> None:
        """Show raw values in place of percentiles, or the other way round."""
        if self._result() is not None:
            shown = self._workspace.look.kind
            self._workspace.set_look(kind="raw" if shown == "percentile" else "percentile")

    def toggle_smooth(self) -> None:
        """Smooth the map, or not."""
        if self._result() is not None:
            self._workspace.set_look(smooth=not self._workspace.look.smooth)

    def toggle_top(self) -> None:
        """Show only the top of the tissue, or all."""
        if self._result() is not None:
            everything = self._workspace.look.top_percent == 100
            self._workspace.set_look(top_percent=TOP_PERCENT if everything else 100.0)

    def next_colours(self) -> None:
        """Show the map in the next colour map."""
        if self._result() is not None:
            shown = self._workspace.look.colour_map
            place = COLOUR_MAPS.index(shown) if shown in COLOUR_MAPS else -1  # napari's own
            self._workspace.set_look(colour_map=COLOUR_MAPS[(place + 1) % len(COLOUR_MAPS)])

    def open_panel(self, name: str) -> None:
        """Open a panel, or bring it to the front."""
        dock, _ = self._viewer.window.add_plugin_dock_widget(PLUGIN, name)
        dock.show()
        dock.raise_()

    def _slide(self) -> Layer | None:
        if self._workspace.slide is None:
            _say(NO_SLIDE_YET)
        return self._workspace.slide

    def _result(self) -> Prediction | None:
        prediction = self._workspace.prediction
        if prediction is None or not prediction.has_map:
            _say(NO_RESULT_YET)
            return None
        return prediction


@dataclass(frozen=True)
class Action:
    """One thing that a key does.

    Attributes
    ----------
    key
        As Qt writes it.
    group, title
        For the help.
    do
        Does it.
    """

    key: str
    group: str
    title: str
    do: Callable[[WindowActions], None]


def _panel(key: str, name: str) -> Action:
    return Action(key, "Panels", name, lambda actions: actions.open_panel(name))


def _power(key: str, power: int) -> Action:
    return Action(key, "Slide", f"{power}× nominal magnification", lambda actions: actions.magnify(power))


ACTIONS = (
    Action("Ctrl+Return", "Prediction", "Predict the slide", lambda actions: actions.predict()),
    Action("Ctrl+.", "Prediction", "Cancel", lambda actions: actions.cancel()),
    Action("Alt+PgDown", "Slide", "Next slide", lambda actions: actions.step_slide(1)),
    Action("Alt+PgUp", "Slide", "Previous slide", lambda actions: actions.step_slide(-1)),
    Action("Alt+Right", "Slide", "Next top patch of the map", lambda actions: actions.step_patch(1)),
    Action("Alt+Left", "Slide", "Previous top patch of the map", lambda actions: actions.step_patch(-1)),
    Action("Alt+0", "Slide", "Whole slide", lambda actions: actions.fit()),
    *(_power(f"Alt+{place + 1}", power) for place, power in enumerate(navigation.PRESETS)),
    Action("Alt+E", "Slide", "Turn by +90°", lambda actions: actions.turn(90)),
    Action("Alt+Q", "Slide", "Turn by −90°", lambda actions: actions.turn(-90)),
    Action("Alt+A", "Slide", "As scanned", lambda actions: actions.upright()),
    Action("Alt+M", "Map", "Show or hide", lambda actions: actions.toggle_map()),
    Action("Alt+=", "Map", "Denser", lambda actions: actions.change_opacity(OPACITY_STEP)),
    Action("Alt+-", "Map", "Clearer", lambda actions: actions.change_opacity(-OPACITY_STEP)),
    Action("Alt+X", "Map", "Student's or teacher's", lambda actions: actions.swap_source()),
    Action("Alt+R", "Map", "Percentile or raw values", lambda actions: actions.swap_kind()),
    Action("Alt+O", "Map", f"Only the top {TOP_PERCENT:g} %, or all", lambda actions: actions.toggle_top()),
    Action("Alt+G", "Map", "Smooth, or not", lambda actions: actions.toggle_smooth()),
    Action("Alt+N", "Map", "Next colours", lambda actions: actions.next_colours()),
    _panel("F1", "Help and shortcuts"),
    _panel("F2", "Predict survival risk"),
    _panel("F3", "View and heatmap"),
    _panel("F4", "Top patches"),
    _panel("F5", "Compare teacher and student"),
    _panel("F6", "Pathways"),
    _panel("F7", "Survival"),
    _panel("F8", "Patient and region"),
    _panel("F9", "Folder of slides"),
    _panel("F12", "Export"),
    _panel("Shift+F2", "Slide information"),
    _panel("Shift+F12", "Settings"),
)
"""All keys that are ours; none of them is napari's (a test compares)."""


def _say(sentence: str) -> None:
    from napari.utils.notifications import show_info

    show_info(sentence)
