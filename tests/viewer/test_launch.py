"""A slide straight on the screen, its picture, and how long the window is held up meanwhile."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from machine import allowed_ms, queue_clock
from PIL import Image
from qtpy.QtCore import QTimer

from amkd_viewer import slide_layers

THREE_WINDOWS = """
import sys, threading, time
from amkd_core.errors import AmkdError
from amkd_viewer.launch import screenshot, view
slide, other, bundle, lost, out = sys.argv[1:]
try:
    screenshot(slide, lost, out + ".lost.png")
except AmkdError as error:
    print("refused:", error)
screenshot(slide, bundle, out)
time.sleep(1)
print("threads:", [thread.name for thread in threading.enumerate() if thread.name.startswith("amkd-")])
import napari
from qtpy.QtCore import QTimer
viewer = view(other, bundle, block=False)
panel = next(iter(viewer.window.dock_widgets.values()))
def close_when_running():
    if "patches" in panel.stage.text():
        print("closing", time.time(), flush=True)
        viewer.close()
watch = QTimer()
watch.timeout.connect(close_when_running)
watch.start(20)
napari.run()
"""
"""Two are to be photographed, one is closed in mid-run: with a slide that is new, for its run to last long enough."""


def test_pictures_of_the_whole_window_and_closing_one_in_mid_run_ends_the_program(  # noqa: PLR0917 (fixtures)
    screen, kept, slide_path: Path, second_slide_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pictures" / "window.png"
    arguments = [
        str(path) for path in (slide_path, second_slide_path, bundle_path, tmp_path / "lost.amkd", out)
    ]
    command = [sys.executable, "-c", THREE_WINDOWS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    ended = time.time()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    # A run that fails is an error and leaves no picture; the next one works, and no thread outlives its window.
    assert "refused: lost.amkd" in done.stdout
    assert [path.name for path in out.parent.iterdir()] == ["window.png"]
    assert "threads: []" in done.stdout
    with Image.open(out) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] >= 1500
    # In the canvas glass and the yellow of the strongest attention are to be seen.
    canvas = pixels[60:-60, 380:1180]
    glass = (canvas > 225).all(axis=2)
    yellow = (canvas[..., 0] > 170) & (canvas[..., 1] > 150) & (canvas[..., 2] < 140)
    assert glass.mean() > 0.05
    assert yellow.mean() > 0.002
    closed = float(done.stdout.split("closing")[1].split()[0])
    # It ends by itself; how soon depends on the machine, and on what else runs there.
    assert ended - closed < 60


class Watchdog:
    """Times between turns of the event loop, by phase; time in which the system gave its processor to others is off."""

    def __init__(self) -> None:
        self.phase = "idle"
        self.gaps: dict[str, list[float]] = {}
        self._queued_s = queue_clock()
        self._last = self._now()
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(5)

    def enter(self, phase: str) -> None:
        self._tick()
        self.phase = phase

    def worst_ms(self, phase: str) -> float:
        return 1000 * max(self.gaps[phase])

    def stop(self) -> None:
        self._timer.stop()

    def _tick(self) -> None:
        now = self._now()
        self.gaps.setdefault(self.phase, []).append(now - self._last)
        self._last = now

    def _now(self) -> float:
        """Seconds by the clock, less those in the system's queue for a processor, if it tells."""
        return time.perf_counter() - self._queued_s()


def test_the_window_lives_through_opening_and_predicting(  # noqa: PLR0917 (fixtures)
    panel, viewer, slide_path, second_slide_path, spin, record_property
) -> None:
    """Our share of a wait is bounded by napari's own for the same step in the same window, and by 100 ms beside it.

    A wait that is too long is measured a second time, with a slide that is new again: what the machine does beside is
    not there twice.
    """
    measured = []
    for path in (slide_path, second_slide_path):
        watchdog = Watchdog()
        adding_layers_alone(viewer, watchdog, spin)
        opening_and_predicting(panel, path, watchdog, spin)
        assert [slide_layers.role_of(layer) for layer in viewer.layers] == ["slide", "map", "boxes"]
        worst = {phase: round(watchdog.worst_ms(phase)) for phase in ("napari", "open", "run", "again")}
        measured.append(worst)
        logging.getLogger(__name__).info("longest wait of the event loop, ms: %s", str(worst))
        allowed = worst["napari"] + allowed_ms()
        # When it runs again napari has nothing new to make: there all is ours. The machine's load shows in its figure.
        if max(worst["open"], worst["run"]) <= allowed and worst["again"] <= max(250, worst["napari"] / 2):
            break
        viewer.layers.clear()
    else:
        raise AssertionError(measured)
    record_property("longest_wait_of_the_event_loop_ms", worst)


def adding_layers_alone(viewer, watchdog: Watchdog, spin) -> None:
    """napari's own layers, from memory: what no plugin can do faster.

    Each is added in a turn of the event loop, as ours are: drawing it falls into the same wait.
    """
    pause(spin, 300)
    watchdog.enter("napari")
    added = []

    def add(how, data, **options) -> None:
        QTimer.singleShot(0, lambda: added.append(how(data, units=("um", "um"), **options)))
        pause(spin, 600)

    add(viewer.add_image, np.zeros((2000, 2000, 3), np.uint8), rgb=True, scale=(0.5, 0.5))
    add(viewer.add_image, np.zeros((8, 8), np.float32), scale=(128, 128))
    add(viewer.add_shapes, [np.array([[0, 0], [1, 1]])], scale=(1, 1))
    for layer in added:
        viewer.layers.remove(layer)
    pause(spin, 300)


def opening_and_predicting(panel, path: Path, watchdog: Watchdog, spin) -> None:
    """A slide is opened, predicted for the first time, and once more."""
    watchdog.enter("open")
    panel.open_slide(path)
    spin(lambda: len(panel.workspace.slides) == 1)
    for phase in ("run", "again"):
        pause(spin, 400)
        watchdog.enter(phase)
        panel.run_button.click()
        spin(lambda: panel.outcome is not None)
        assert not isinstance(panel.outcome, BaseException)
    watchdog.stop()


def pause(spin, ms: int) -> None:
    end = time.perf_counter() + ms / 1000
    spin(lambda: time.perf_counter() > end)
