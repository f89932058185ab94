"""Layers that come and go at once end no process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from qtpy.QtGui import QOpenGLContext
from vispy.gloo.context import GLContext
from vispy.gloo.glir import GlirParser

from amkd_viewer.steady_drawing import keep_drawing_steady

COME_AND_GO = """
import os, sys, time
import numpy as np
import napari
from amkd_viewer.steady_drawing import keep_drawing_steady
from napari.qt import get_qapp
keep_drawing_steady()
viewer = napari.Viewer()
def live(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        get_qapp().processEvents()
live(0.5)
square = np.array([[0, 0], [0, 50], [50, 50], [50, 0]])
for step in range(6):
    viewer.add_image(np.full((1024, 1024, 3), 200, np.uint8), rgb=True)
    live(0.02 * step)
    boxes = viewer.add_shapes([square + 100 * place for place in range(5)], shape_type="rectangle")
    live(0.004 * step)
    viewer.layers.remove(boxes)
    live(0.02)
    viewer.layers.clear()
print("lives", flush=True)
os._exit(0)
"""


def test_boxes_that_are_taken_away_at_once_do_not_end_the_program(screen) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COME_AND_GO], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "lives" in done.stdout


def test_a_canvas_carries_out_its_commands_in_its_own_context(viewer, qtbot, spin, monkeypatch) -> None:
    from napari.components import ViewerModel
    from napari.qt import QtViewer

    contexts: dict[int, set[QOpenGLContext | None]] = {}
    deleted = []
    parse = GlirParser.parse

    def watched(parser: GlirParser, commands: list[tuple[object, ...]]) -> None:
        contexts.setdefault(id(parser), set()).add(QOpenGLContext.currentContext())
        deleted.extend(command for command in commands if command[0] == "DELETE")
        parse(parser, commands)

    monkeypatch.setattr(GlirParser, "parse", watched)
    keep_drawing_steady()
    other = ViewerModel()
    canvas = QtViewer(other)
    for layers in (viewer.layers, other.layers):
        layers.clear()
    for model in (viewer, other):
        model.add_image(np.full((64, 64, 3), 200, np.uint8), rgb=True)
        model.add_shapes([np.array([[0, 0], [0, 30], [30, 30], [30, 0]])])
    # Never shown, it has no context: its layers go without being drawn anywhere.
    unseen = ViewerModel()
    hidden = QtViewer(unseen)
    unseen.add_image(np.full((64, 64, 3), 200, np.uint8), rgb=True)
    unseen.layers.clear()
    native = canvas.canvas.native
    canvas.show()
    spin(native.isValid)
    for drawn_last, cleared in ((viewer.window._qt_viewer.canvas.native, other), (native, viewer)):
        drawn_last.makeCurrent()
        cleared.layers.clear()
        # What was being drawn goes on.
        assert QOpenGLContext.currentContext() is drawn_last.context()
    drawn_last.doneCurrent()
    other.add_image(np.full((64, 64, 3), 200, np.uint8), rgb=True)
    other.layers.clear()
    assert QOpenGLContext.currentContext() is None
    assert deleted
    assert {len(own) for own in contexts.values()} == {1}
    assert len(set.union(*contexts.values())) == len(contexts)
    for widget in (canvas, hidden):
        widget.close()
        widget.deleteLater()


def test_the_mending_is_done_once() -> None:
    keep_drawing_steady()
    mended = GLContext.flush_commands
    keep_drawing_steady()
    assert GLContext.flush_commands is mended
    assert mended.__module__ == "amkd_viewer.steady_drawing"
