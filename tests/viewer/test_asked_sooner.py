"""Pixels of a new view are asked for before that view is drawn, by whatever way it comes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.components._layer_slicer import _LayerSlicer
from vispy.scene import SceneCanvas

from amkd_viewer.slicing import canvas_of, slice_before_drawing


@pytest.fixture
def order(monkeypatch) -> list[tuple[str, object]]:
    """What happens, in its order: what pixels are asked for, and which canvas is drawn."""
    happened: list[tuple[str, object]] = []
    submit, draw = _LayerSlicer.submit, SceneCanvas.on_draw

    def submitted(slicer, *args, **given):
        happened.append(("asked", slicer))
        return submit(slicer, *args, **given)

    def drawn(canvas, event):
        happened.append(("drawn", canvas))
        draw(canvas, event)

    monkeypatch.setattr(_LayerSlicer, "submit", submitted)
    monkeypatch.setattr(SceneCanvas, "on_draw", drawn)
    return happened


def moved(order: list[tuple[str, object]], spin: Callable[..., None], move: Callable[[], None]) -> list[str]:
    """What one move brings first."""
    order.clear()
    move()
    spin(lambda: len({name for name, _ in order}) == 2)
    return [name for name, _ in order][:2]


def set_camera(viewer: ViewerModel, zoom: float, center: tuple[float, float]) -> None:
    viewer.scene.camera.zoom = zoom
    viewer.scene.camera.center = (0, *center)


@pytest.mark.parametrize("by_panel", [False, True])
def test_a_view_is_asked_for_before_it_is_drawn(request, slide_path, spin, order, by_panel: bool) -> None:
    viewer = request.getfixturevalue("viewer")
    if by_panel:
        request.getfixturevalue("panel").open_slide(slide_path)
    else:
        viewer.open(slide_path, plugin="amkd-viewer")
    spin(lambda: bool(viewer.layers) and all(layer.loaded for layer in viewer.layers))
    spin(lambda: any(name == "drawn" for name, _ in order))
    size = np.array(viewer.layers[0].extent.world[1][-2:])
    whole = viewer.scene.camera.zoom
    for step in range(1, 4):
        place = tuple(size * step / 4)
        assert moved(
            order, spin, lambda step=step, place=place: set_camera(viewer, whole * 2**step, place)
        ) == [
            "asked",
            "drawn",
        ]
        spin(lambda: all(layer.loaded for layer in viewer.layers))


def test_the_mouse_moves_the_camera_of_the_canvas_and_is_asked_for_as_soon(
    viewer, slide_path, spin, order
) -> None:
    """The canvas has a camera of its own, of which napari hears when it is drawn."""
    viewer.open(slide_path, plugin="amkd-viewer")
    spin(lambda: viewer.layers[0].loaded and any(name == "drawn" for name, _ in order))
    own = canvas_of(viewer).view.camera
    assert moved(order, spin, lambda: own.zoom(0.2)) == ["asked", "drawn"]


def test_as_napari_does_it_the_view_is_drawn_first(viewer, slide_path, spin, order) -> None:
    """What the tests above would see without us; where this fails, napari asks sooner by itself."""
    from amkd_core.slides import open_slide
    from amkd_viewer.reader import slide_layer
    from amkd_viewer.slide_layers import add_layer

    add_layer(viewer, slide_layer(open_slide(slide_path, isolated=True)))
    spin(lambda: viewer.layers[0].loaded and any(name == "drawn" for name, _ in order))
    whole = viewer.scene.camera.zoom
    assert moved(order, spin, lambda: set_camera(viewer, 4 * whole, (300.0, 300.0))) == ["drawn", "asked"]


def test_a_canvas_asks_once_and_is_not_held(qtbot) -> None:
    from napari.qt import QtViewer

    widget = QtViewer(ViewerModel())
    canvas = widget.canvas
    emitter = canvas._scene_canvas.events.draw
    before = len(emitter.callbacks)
    slice_before_drawing(canvas)
    slice_before_drawing(canvas)
    assert len(emitter.callbacks) == before + 1
    slice_before_drawing(None)
    slice_before_drawing(object())  # of a version that has none of this
    gone = weakref.ref(canvas)
    widget.close()
    widget.deleteLater()
    del canvas, emitter, widget
    qtbot.waitUntil(lambda: (gc.collect(), gone() is None)[1], timeout=5_000)
