"""The scale bar comes letter by letter, after the first picture."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject

from amkd_viewer import scale_bar_widget
from amkd_viewer.scale_bar_widget import CHARACTERS, ScaleBar


@pytest.fixture
def owner() -> QObject:
    return QObject()


@pytest.fixture
def letters(viewer) -> dict[str, object]:
    """What napari has made of its canvas' font."""
    info = viewer.window._qt_viewer.canvas.font_info()
    return info.font_manager.get_font(info.face)._glyphs


@pytest.fixture
def bar(viewer, owner) -> ScaleBar:
    return ScaleBar(viewer, owner)


def test_each_turn_makes_one_letter_and_the_bar_comes_last(viewer, owner, letters, spin, monkeypatch) -> None:
    made: list[set[str]] = []
    true_turn = ScaleBar._make_next

    def noting(self: ScaleBar) -> None:
        before = set(letters)
        true_turn(self)
        made.append(set(letters) - before)
        if len(made) <= len(CHARACTERS):
            assert not viewer.canvas.overlays.scale_bar.visible

    monkeypatch.setattr(ScaleBar, "_make_next", noting)
    viewer.add_image(np.zeros((64, 64), np.uint8), units="um")
    bar = ScaleBar(viewer, owner)
    bar.show()
    assert not viewer.canvas.overlays.scale_bar.visible
    spin(lambda: viewer.canvas.overlays.scale_bar.visible)
    assert made == [{letter} for letter in CHARACTERS] + [set()]
    # Made once: for the next slide there are none to make, and the bar still waits for the picture.
    viewer.canvas.overlays.scale_bar.visible = False
    bar.show()
    assert not viewer.canvas.overlays.scale_bar.visible
    spin(lambda: viewer.canvas.overlays.scale_bar.visible)
    assert made[len(CHARACTERS) + 1 :] == [set()]


def test_all_letters_of_lengths_are_made_ahead(viewer, bar, letters, spin) -> None:
    bar.prepare()
    spin(lambda: set(letters) == set(CHARACTERS))
    assert not viewer.canvas.overlays.scale_bar.visible  # nobody asked for it
    viewer.add_image(np.zeros((4096, 4096), np.uint8), scale=(0.25, 0.25), units="um")
    bar.show()
    spin(lambda: viewer.canvas.overlays.scale_bar.visible)
    for zoom in np.geomspace(0.01, 40, 25):
        viewer.scene.camera.zoom = zoom
        viewer.window.screenshot(canvas_only=True, flash=False)
    assert set(letters) == set(CHARACTERS)


def test_no_letters_are_made_while_a_slide_is_opened(bar, letters, spin, qtbot, monkeypatch) -> None:
    monkeypatch.setattr(scale_bar_widget, "AFTER_PICTURE_MS", 10**6)
    bar.prepare()
    spin(lambda: bool(letters))
    bar.hold()
    made = set(letters)
    qtbot.wait(200)
    assert set(letters) == made < set(CHARACTERS)


def test_a_viewer_is_found_behind_a_plugins_proxy_and_another_napari_makes_its_letters_itself(
    viewer, bar, spin, monkeypatch
) -> None:
    from napari.utils._proxies import PublicOnlyProxy

    found = scale_bar_widget._qt_viewer_of(PublicOnlyProxy(viewer))
    assert found is viewer.window._qt_viewer
    monkeypatch.setattr(scale_bar_widget, "_qt_viewer_of", lambda viewer: SimpleNamespace(canvas=None))
    bar.show()
    spin(lambda: viewer.canvas.overlays.scale_bar.visible)


def test_letters_are_given_up_with_their_owner(bar, owner, letters, spin, qtbot) -> None:
    bar.show()
    gone: list[bool] = []
    owner.destroyed.connect(lambda: gone.append(True))
    owner.deleteLater()
    spin(lambda: bool(gone))
    qtbot.wait(scale_bar_widget.AFTER_PICTURE_MS + 200)
    assert not letters


def test_a_change_of_magnification_is_drawn_once(viewer, bar, spin, qtbot) -> None:
    viewer.add_image(np.zeros((4096, 4096), np.uint8), scale=(0.25, 0.25), units="um")
    bar.show()
    spin(lambda: viewer.canvas.overlays.scale_bar.visible)
    qtbot.wait(200)
    drawn: list[object] = []
    viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(drawn.append)
    for zoom in (0.7, 1.0, 1.5, 2.3):
        drawn.clear()
        viewer.scene.camera.zoom = zoom
        spin(lambda: bool(drawn))
        qtbot.wait(100)
        assert len(drawn) == 1, zoom


def test_a_bar_that_the_user_has_moved_stays_there(viewer, bar, spin) -> None:
    viewer.add_image(np.zeros((64, 64), np.uint8), units="um")
    viewer.canvas.overlays.scale_bar.position = "top_right"
    bar.show()
    spin(lambda: viewer.canvas.overlays.scale_bar.visible)
    assert viewer.canvas.overlays.scale_bar.position == "top_right"


@pytest.fixture
def measured(viewer, qtbot):
    """What the scale bar says once it is drawn anew."""

    def read() -> str:
        viewer.window.screenshot(canvas_only=True, flash=False)
        canvas = viewer.window._qt_viewer.canvas
        (drawn,) = canvas._viewer_overlay_to_visual[viewer.canvas.overlays.scale_bar]
        return drawn.node.text.text

    return read


def test_the_bar_measures_in_the_unit_of_the_slide_in_view_and_gives_none_to_the_users_pictures(  # noqa: PLR0917 (fixtures)
    panel, viewer, measured, slide_path, slide_without_scale, spin
) -> None:
    (scaled,) = viewer.open(slide_path, plugin="amkd-viewer")
    spin(lambda: viewer.canvas.overlays.scale_bar.visible)
    notification_manager.records.clear()
    assert measured().endswith("µm")
    picture = viewer.add_image(np.zeros((64, 64), np.uint8))
    viewer.scene.camera.zoom *= 1.7
    assert measured().endswith("µm")
    assert [str(unit) for unit in picture.units] == ["pixel", "pixel"]
    viewer.layers.remove(picture)
    notification_manager.records.clear()
    (unscaled,) = viewer.open(slide_without_scale, plugin="amkd-viewer")
    assert measured().endswith(" pixel")
    panel.workspace.choose(scaled)
    assert measured().endswith("µm")
    panel.workspace.choose(unscaled)
    panel.workspace.restate_scale(unscaled, (0.25, 0.25))
    assert measured().endswith("µm")
    assert not notification_manager.records
