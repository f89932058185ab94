"""Keys in a real window: each does what the help says, and none is napari's."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtTest import QTest

from amkd_viewer import navigation, slide_layers
from amkd_viewer.actions import ACTIONS
from amkd_viewer.shortcuts_widget import keys_in_use

DOCS = Path(__file__).resolve().parents[2] / "docs" / "viewer.md"


class Keyboard:
    """Presses keys in a window and sees what they do; remembers which were tried."""

    def __init__(self, workspace, spin) -> None:
        self.workspace, self.viewer, self._spin = workspace, workspace.viewer, spin
        self.slide = workspace.slide
        self.heat = slide_layers.overlay(self.viewer, self.slide, "map")
        self.untried = {action.key for action in ACTIONS}

    @property
    def window(self):
        """Not kept: napari looks for windows that outlive their test."""
        return self.workspace.panels[0].window()

    def press(self, key: str) -> None:
        combination = QKeySequence(key)[0]
        QTest.keyClick(self.window, combination.key(), combination.keyboardModifiers())

    def sees(self, key: str, condition) -> None:
        self.press(key)
        self._spin(condition, 20)
        self.untried.discard(key)

    def look(self):
        return self.workspace.look

    def shows(self, panel: str) -> bool:
        docked = self.viewer.window.dock_widgets
        return any(name.startswith(panel) and widget.isVisible() for name, widget in docked.items())


@pytest.fixture
def keyboard(taught, viewer, second_slide_path, spin) -> Keyboard:
    """A window with two slides, the first predicted with expression, whose keys are bound."""
    workspace = taught.workspace
    first = workspace.slide
    taught.open_slide(second_slide_path)
    spin(lambda: len(workspace.slides) == 2)
    workspace.choose(first)
    spin(lambda: workspace.shortcuts is not None)
    taught.window().activateWindow()
    spin(taught.window().isActiveWindow)
    return Keyboard(workspace, spin)


def test_each_key_does_what_the_help_says(keyboard, dock, spin) -> None:
    ours = {QKeySequence(key).toString() for key in keyboard.untried}
    assert keyboard.workspace.shortcuts.taken == {}
    assert not ours & set(keys_in_use(keyboard.window))
    _map_keys(keyboard)
    _camera_keys(keyboard)
    _patch_keys(keyboard)
    for action in ACTIONS:
        if action.group == "Panels":
            keyboard.sees(action.key, lambda name=action.title: keyboard.shows(name))
    _run_keys(keyboard, spin)
    assert keyboard.untried == set()
    _listed(dock("Help and shortcuts"), spin)


def _map_keys(keyboard: Keyboard) -> None:
    heat, look = keyboard.heat, keyboard.look
    keyboard.sees("Alt+M", lambda: not heat.visible)
    keyboard.sees("Alt+M", lambda: heat.visible)
    keyboard.sees("Alt+-", lambda: look().opacity == heat.opacity == pytest.approx(0.9))
    keyboard.sees("Alt+=", lambda: look().opacity == heat.opacity == 1.0)
    keyboard.sees("Alt+X", lambda: look().source == "teacher")
    keyboard.sees("Alt+R", lambda: look().kind == "raw")
    keyboard.sees("Alt+O", lambda: look().top_percent == 5)
    keyboard.sees("Alt+O", lambda: look().top_percent == 100)
    keyboard.sees("Alt+G", lambda: look().smooth)
    keyboard.sees("Alt+N", lambda: look().colour_map == "cividis")


def _camera_keys(keyboard: Keyboard) -> None:
    viewer, slide = keyboard.viewer, keyboard.slide
    for place, power in enumerate(navigation.PRESETS):
        keyboard.sees(
            f"Alt+{place + 1}",
            lambda power=power: navigation.magnification(viewer, slide) == pytest.approx(power),
        )
    near = viewer.scene.camera.zoom
    keyboard.sees("Alt+0", lambda: viewer.scene.camera.zoom < near)
    keyboard.sees("Alt+E", lambda: navigation.angle_of(slide) == pytest.approx(90))
    np.testing.assert_allclose(keyboard.heat.affine.affine_matrix, slide.affine.affine_matrix)
    keyboard.sees("Alt+A", lambda: navigation.angle_of(slide) == pytest.approx(0))
    keyboard.sees("Alt+Q", lambda: navigation.angle_of(slide) == pytest.approx(-90))
    keyboard.sees("Alt+A", lambda: navigation.angle_of(slide) == pytest.approx(0))


def _patch_keys(keyboard: Keyboard) -> None:
    places = []
    for key, rank in (("Alt+Right", 1), ("Alt+Right", 2), ("Alt+Left", 1)):
        keyboard.sees(key, lambda rank=rank: keyboard.viewer.status.startswith(f"Top patch {rank} of "))
        assert slide_layers.overlay(keyboard.viewer, keyboard.slide, "mark").visible
        places.append(tuple(keyboard.viewer.scene.camera.center))
    assert places[0] == places[2] != places[1]


def _run_keys(keyboard: Keyboard, spin) -> None:
    workspace, slide = keyboard.workspace, keyboard.slide
    keyboard.sees("Alt+PgUp", lambda: workspace.slide is not slide)
    keyboard.sees("Alt+PgDown", lambda: workspace.slide is slide)
    keyboard.sees("Alt+PgDown", lambda: workspace.slide is not slide)
    workspace.set_inputs(expression=None)
    # Not predicted before, so that there is something to cancel.
    keyboard.sees("Ctrl+Return", lambda: workspace.session.running is not None)
    keyboard.sees("Ctrl+.", lambda: workspace.session.running is None)
    assert workspace.session.wait(20)


def _listed(help_panel, spin) -> None:
    spin(lambda: "Show or hide" in help_panel.keys["Map"].text)
    shown = "\n".join(table.text for table in help_panel.keys.values())
    for action in ACTIONS:
        assert action.title in shown
    assert "taken" not in shown


def test_a_key_that_napari_has_is_left_to_it_and_the_help_says_so(viewer, dock, spin, qtbot) -> None:
    from napari.settings import get_settings

    shortcuts = get_settings().shortcuts
    before = dict(shortcuts.shortcuts)
    shortcuts.shortcuts = {**before, "napari:toggle_grid": ["Alt+M"]}
    try:
        panel = dock("Help and shortcuts")
        spin(lambda: panel.workspace.shortcuts is not None)
    finally:
        shortcuts.shortcuts = before
    assert panel.workspace.shortcuts.taken == {"Alt+M": "toggle grid"}
    assert "Show or hide (not bound: the key is taken by “toggle grid”)" in panel.keys["Map"].text
    bound = panel.workspace.shortcuts._bound
    assert {shortcut.key().toString() for shortcut in bound} == {
        QKeySequence(action.key).toString() for action in ACTIONS if action.key != "Alt+M"
    }
    panel.workspace.close()
    assert not any(shortcut.isEnabled() for shortcut in bound)
    qtbot.keyClick(panel.window(), Qt.Key.Key_F3)
    assert not any("View and heatmap" in name for name in viewer.window.dock_widgets)


def test_the_documentation_lists_the_same_keys() -> None:
    section = DOCS.read_text(encoding="utf-8").split("## Keys")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", section, flags=re.MULTILINE)
    assert rows == [(action.key, f"{action.group}: {action.title}") for action in ACTIONS]
    assert len({action.key for action in ACTIONS}) == len(ACTIONS)
