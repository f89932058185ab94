"""The scale bar comes letter by letter, after the first picture, and leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QObject

from amkd_viewer import scale_bar_widget
from amkd_viewer.scale_bar_widget import CHARACTERS, ScaleBar


@pytest.fixture
def owner() -> QObject:
    return QObject()


def test_each_turn_makes_one_letter_and_the_bar_comes_last(viewer, owner, spin, monkeypatch) -> None:
    made: list[str] = []
    true_turn = ScaleBar._make_next

    def noting(self: ScaleBar) -> None:
        true_turn(self)
        text = viewer.canvas.overlays.get(scale_bar_widget._LETTERS)
        made.append("" if text is None else text.text)

    monkeypatch.setattr(ScaleBar, "_make_next", noting)
    viewer.add_image(np.zeros((64, 64), np.uint8), units="um")
    before = set(viewer.canvas.overlays)
    bar = ScaleBar(viewer, owner)
    bar.show()
    assert not viewer.canvas.overlays.scale_bar.visible
    spin(lambda: viewer.canvas.overlays.scale_bar.visible)
    assert made == [CHARACTERS[: n + 1] for n in range(len(CHARACTERS))] + [""]
    assert set(viewer.canvas.overlays) == before
    # Made ahead or once: the next slide's bar is there at once.
    viewer.canvas.overlays.scale_bar.visible = False
    bar.show()
    assert viewer.canvas.overlays.scale_bar.visible


def test_all_letters_of_lengths_are_made_ahead(viewer, owner, spin) -> None:
    canvas = viewer.window._qt_viewer.canvas
    bar = ScaleBar(viewer, owner)
    bar.prepare()
    spin(lambda: scale_bar_widget._LETTERS in viewer.canvas.overlays)
    spin(lambda: scale_bar_widget._LETTERS not in viewer.canvas.overlays)
    assert not viewer.canvas.overlays.scale_bar.visible  # nobody asked for it
    font = canvas.font_info().font_manager.get_font(canvas.font_info().face)
    before = set(font._glyphs)
    viewer.add_image(np.zeros((4096, 4096), np.uint8), scale=(0.25, 0.25), units="um")
    bar.show()
    for zoom in np.geomspace(0.01, 40, 25):
        viewer.scene.camera.zoom = zoom
        viewer.window.screenshot(canvas_only=True, flash=False)
    assert set(font._glyphs) == before


def test_letters_are_never_seen(viewer, owner, spin) -> None:
    viewer.add_image(np.full((64, 64), 128, np.uint8), contrast_limits=(0, 255))

    def colours() -> set[tuple[int, ...]]:
        shown = viewer.window.screenshot(canvas_only=True, flash=False)
        return set(map(tuple, np.unique(shown.reshape(-1, 4), axis=0).tolist()))

    plain = colours()
    ScaleBar(viewer, owner).prepare()
    spin(lambda: scale_bar_widget._LETTERS in viewer.canvas.overlays)
    assert colours() == plain
    viewer.canvas.overlays[scale_bar_widget._LETTERS].opacity = 1
    assert len(colours()) > len(plain)


def test_no_letters_are_made_while_a_slide_is_opened(viewer, owner, spin, qtbot, monkeypatch) -> None:
    monkeypatch.setattr(scale_bar_widget, "AFTER_PICTURE_MS", 10**6)
    bar = ScaleBar(viewer, owner)
    bar.prepare()
    spin(lambda: scale_bar_widget._LETTERS in viewer.canvas.overlays)
    bar.hold()
    made = viewer.canvas.overlays[scale_bar_widget._LETTERS].text
    qtbot.wait(200)
    assert viewer.canvas.overlays[scale_bar_widget._LETTERS].text == made


def test_letters_are_given_up_with_their_owner(viewer, spin) -> None:
    owner = QObject()
    ScaleBar(viewer, owner).show()
    gone: list[bool] = []
    owner.destroyed.connect(lambda: gone.append(True))
    owner.deleteLater()
    spin(lambda: bool(gone))
    assert scale_bar_widget._LETTERS not in viewer.canvas.overlays
