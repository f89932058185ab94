"""Layers that come and go at once end no process."""

from __future__ import annotations

import subprocess
import sys

from vispy.gloo.glir import GlirProgram

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


def test_the_mending_is_done_once() -> None:
    keep_drawing_steady()
    mended = GlirProgram.delete
    keep_drawing_steady()
    assert GlirProgram.delete is mended
    assert mended.__module__ == "amkd_viewer.steady_drawing"
