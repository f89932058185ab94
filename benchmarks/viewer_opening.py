"""Opening, panning and zooming in real napari windows: our reader beside plain layers and other readers.

Run: xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/viewer_opening.py [--slide SLIDE] [--rounds 2]

Each contender opens each file in a process of its own, in turn, `--rounds` times. Files: one that is given, by
``--slide`` or ``AMKD_BENCHMARK_SLIDE``, and a generated JPEG pyramid of 100,000 x 80,000 px with levels of 1, 1/4, 1/16
and 1/64, whose tiles repeat, so that it takes a few MB on disk and every tile is decoded all the same.

Measured: from the call that opens to the first picture that is drawn with nothing left to load; 60 pans and zooms over
the whole range, each until the same; the longest time for which the event loop stood still while opening and while
moving; the most memory of the process and of its children. Readers that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

SIZE = (100_000, 80_000)
TILE = 256
PERIOD = 4096
MPP = 0.25
N_MOVES = 60
TIMEOUT_S = 60.0
PLUGINS = ("napari-tifffile", "napari-ome-zarr", "napari-wsi", "napari-tiff", "napari-lazy-openslide")
CONTENDERS = ("amkd", "amkd-panel", "dask", "dask-async", "zarr", "zarr-async", "napari-alone", *PLUGINS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, default=os.environ.get("AMKD_BENCHMARK_SLIDE"))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=CONTENDERS)
    parser.add_argument("--child", nargs=2, metavar=("CONTENDER", "FILE"))
    args = parser.parse_args()
    if args.child:
        print("RESULT " + json.dumps(measure(args.child[0], Path(args.child[1]))), flush=True)
        # napari's threads and those of others are of no interest any more.
        os._exit(0)
    with tempfile.TemporaryDirectory() as folder:
        generated = write_repeating(Path(folder) / "generated.tif")
        files = [generated] if args.slide is None else [Path(args.slide), generated]
        for path in files:
            print(f"\n{path.name}, {path.stat().st_size / 1e6:.1f} MB on disk\n{HEAD}", flush=True)
            results: dict[str, list[dict[str, Any]]] = {name: [] for name in args.only}
            for _ in range(args.rounds):
                for name in args.only:
                    results[name].append(run_child(name, path))
            for name, runs in results.items():
                print(line(name, runs), flush=True)


HEAD = (
    "| reader | first picture, s | moves, median / p95 ms | p95 of stalls ms | longest stall, opening / moving ms "
    "| peak MB |\n|---|---|---|---|---|---|"
)


def line(name: str, runs: list[dict[str, Any]]) -> str:
    """One row of the table; all rounds' moves together, and of the rest the median over rounds."""
    faults = [run["fault"] for run in runs if "fault" in run]
    if faults:
        return f"| {name} | {faults[0]} |  |  |  |  |"
    moves = [value for run in runs for value in run["moves"]]
    stalls = [value for run in runs for value in run["stalls"]]
    middle = {key: statistics.median(run[key] for run in runs) for key in ("first", "opening", "peak")}
    return (
        f"| {name} | {middle['first']:.2f} | {np.median(moves):.0f} / {np.quantile(moves, 0.95):.0f} "
        f"| {np.quantile(stalls, 0.95):.0f} | {middle['opening']:.0f} / {max(stalls):.0f} | {middle['peak']:.0f} |"
    )


def run_child(name: str, path: Path) -> dict[str, Any]:
    module = name.replace("-", "_")
    needed = {"zarr": "zarr", "zarr-async": "zarr"}.get(name, module if name in PLUGINS else "napari")
    if importlib.util.find_spec(needed) is None:
        return {"fault": "not installed"}
    environment = dict(os.environ)
    environment.pop("NAPARI_ASYNC", None)
    if name.endswith(("-async", "-alone")):
        environment["NAPARI_ASYNC"] = "1"
    with tempfile.TemporaryDirectory() as config:
        environment["NAPARI_CONFIG"] = str(Path(config) / "settings.yaml")
        command = [sys.executable, __file__, "--child", name, str(path)]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=400, check=False
            )
        except subprocess.TimeoutExpired:
            return {"fault": "did not end within 400 s"}
    for text in done.stdout.splitlines():
        if text.startswith("RESULT "):
            found: dict[str, Any] = json.loads(text.removeprefix("RESULT "))
            return found
    reason = (done.stderr.strip().splitlines() or ["no output"])[-1][:110].replace("|", "/")
    return {"fault": f"fails: {reason}"}


def measure(name: str, path: Path) -> dict[str, Any]:
    """Open one file by one contender in a real window, move over it, and tell how long all that took."""
    import napari

    memory = Memory()
    viewer = napari.Viewer(show=False)
    add = opener(name, viewer, path)
    viewer.show()
    viewer.window.resize(1400, 900)
    pump(0.5)
    pulse = Pulse()
    start = time.perf_counter()
    add()
    drawn(viewer)
    first = time.perf_counter() - start
    opening = pulse.longest()
    if viewer.dims.ndim > 2:
        viewer.reset_view()
    pump(0.5)
    moves, stalls = [], []
    for center, zoom in path_over(viewer):
        pump(0.05)
        pulse.reset()
        start = time.perf_counter()
        viewer.scene.camera.zoom = zoom
        viewer.scene.camera.center = center
        drawn(viewer)
        moves.append(1e3 * (time.perf_counter() - start))
        stalls.append(pulse.longest())
    return {"first": first, "opening": opening, "moves": moves, "stalls": stalls, "peak": memory.peak_mb()}


def opener(name: str, viewer: Any, path: Path) -> Callable[[], object]:
    if name.startswith("amkd"):
        from amkd_core.slides.isolate import keep_reader_ready
        from amkd_viewer.rehearsal import rehearse
        from amkd_viewer.warm_up import keep_loaded, warm_up_layers, warm_up_prediction
        from amkd_viewer.workspace_widget import workspace_of

        # As `amkd view` does; the others' imports below are made before the clock starts, too.
        importlib.import_module("amkd_viewer.reader")
        keep_reader_ready()
        warm_up_layers()
        warm_up_prediction()
        if name == "amkd-panel":
            rehearse(viewer)
        keep_loaded()
        if name == "amkd":
            return lambda: viewer.open(path, plugin="amkd-viewer")
        # The panel's button; without the panel itself, so that all draw on as much of the window.
        workspace = workspace_of(viewer)
        return lambda: workspace.open_slide(path)
    if name in PLUGINS:
        importlib.import_module(name.replace("-", "_"))
        return lambda: viewer.open(path, plugin=name)
    import tifffile

    def levels() -> list[Any]:
        if name == "napari-alone":
            # Nothing to read or to decode: what napari and OpenGL take by themselves.
            return [np.broadcast_to(np.uint8(200), shape) for shape in shapes(path)]
        if name.startswith("dask"):
            import dask.array

            return [
                dask.array.from_zarr(tifffile.imread(path, aszarr=True, level=level))
                for level in range(n_levels(path))
            ]
        import zarr

        return [zarr.open(tifffile.imread(path, aszarr=True, level=level)) for level in range(n_levels(path))]

    if name != "napari-alone":
        importlib.import_module("dask.array" if name.startswith("dask") else "zarr")
    return lambda: viewer.add_image(levels(), rgb=True, multiscale=n_levels(path) > 1 or None)


def n_levels(path: Path) -> int:
    return len(shapes(path))


def shapes(path: Path) -> list[tuple[int, ...]]:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        return [level.shape for level in tiff.series[0].levels]


def path_over(viewer: Any) -> list[tuple[tuple[float, ...], float]]:
    """The same 60 places for all: eleven magnifications, at each small pans, and now and then a jump."""
    extent = viewer.layers[0].extent.world[:, -2:]
    size = extent[1] - extent[0]
    whole = min(880 / size[0], 1050 / size[1])
    pixel = 1.0 / float(viewer.layers[0].scale[-1])
    rng = np.random.default_rng(0)
    found = []
    for step in range(N_MOVES):
        if step % 6 == 0:
            place = extent[0] + size * rng.uniform(0.25, 0.75, 2)
            zoom = whole * (pixel / whole) ** rng.uniform(0.1, 1.0)
        else:
            place = np.clip(place + rng.uniform(-0.4, 0.4, 2) * 800 / zoom, extent[0], extent[1])
            zoom = float(np.clip(zoom * rng.choice([0.6, 1.0, 1.0, 1.6]), whole, pixel))
        found.append(((0.0, float(place[0]), float(place[1])), float(zoom)))
    return found


def drawn(viewer: Any) -> None:
    """Let the window live until everything is loaded, and drawn once after that."""
    seen = [0]

    def count(event: object = None) -> None:
        seen[0] += 1

    scene = viewer.window._qt_viewer.canvas._scene_canvas
    scene.events.draw.connect(count)
    quiet, deadline, ready_at = 0, time.perf_counter() + TIMEOUT_S, None
    try:
        while quiet < 3:
            before = seen[0]
            pump(0.0)
            loaded = bool(viewer.layers) and all(layer.loaded for layer in viewer.layers)
            # Quiet: nothing loads, and three turns of the event loop bring no drawing.
            quiet = quiet + 1 if loaded and seen[0] == before and seen[0] else 0
            if time.perf_counter() > deadline:
                raise TimeoutError("the picture is not complete after a minute")
            if not seen[0] and loaded:
                ready_at = ready_at or time.perf_counter()
                if time.perf_counter() - ready_at > 0.05:
                    return
            time.sleep(0.001)
    finally:
        scene.events.draw.disconnect(count)


def pump(seconds: float) -> None:
    """Let the window live, and what is to be deleted go as programs do, else napari's sign of work turns on."""
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while True:
        QApplication.instance().processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        if time.perf_counter() >= end:
            return
        time.sleep(0.001)


class Pulse:
    """How long the event loop stood still between two beats of a timer."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self.reset()
        self._timer.start(2)

    def reset(self) -> None:
        self._last, self._longest = time.perf_counter(), 0.0

    def longest(self) -> float:
        """Milliseconds since `reset`, with the stall under way."""
        return 1e3 * max(self._longest, time.perf_counter() - self._last)

    def _beat(self) -> None:
        now = time.perf_counter()
        self._longest, self._last = max(self._longest, now - self._last), now


class Memory:
    """Most resident memory of this process and its children together, looked at every 50 ms."""

    def __init__(self) -> None:
        self._peak = 0
        threading.Thread(target=self._look, daemon=True).start()

    def peak_mb(self) -> float:
        return self._peak / 1e6

    def _look(self) -> None:
        import psutil

        own = psutil.Process()
        while True:
            total = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self._peak = max(self._peak, total)
            time.sleep(0.05)


def write_repeating(path: Path) -> Path:
    """A BigTIFF pyramid whose tile tables point to the same few hundred tiles again and again."""
    base = tissue(PERIOD)
    chunks, position, entries = [], 16, []
    for step in (1, 4, 16, 64):
        picture = np.asarray(Image.fromarray(base).reduce(step)) if step > 1 else base
        while picture.shape[0] < TILE:
            picture = np.tile(picture, (2, 2, 1))
        count = picture.shape[0] // TILE
        places = np.zeros((count, count, 2), np.uint64)
        for row in range(count):
            for column in range(count):
                tile = np.ascontiguousarray(
                    picture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
                )
                data = imagecodecs.jpeg8_encode(tile, level=85)
                places[row, column] = position, len(data)
                chunks.append(data)
                position += len(data)
        width, height = (-(-side // step) for side in SIZE)
        rows, columns = -(-height // TILE), -(-width // TILE)
        table = places[np.arange(rows)[:, None] % count, np.arange(columns)[None] % count].reshape(-1, 2)
        entries.append(((width, height), table, step))
    with path.open("wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, position))
        file.writelines(chunks)
        for index, (size, table, step) in enumerate(entries):
            data = directory(file.tell(), size, table, step, last=index == len(entries) - 1)
            file.write(data)
    return path


def directory(at: int, size: tuple[int, int], table: np.ndarray, step: int, *, last: bool) -> bytes:
    """One image file directory with its tile tables behind it."""
    tables = [table[:, 0].astype("<u8").tobytes(), table[:, 1].astype("<u8").tobytes()]
    behind = at + 8 + 14 * 20 + 8
    resolution = struct.unpack("<Q", struct.pack("<II", round(1e4 / MPP / step), 1))[0]
    tags = [
        (254, 4, 1, 0 if step == 1 else 1), (256, 4, 1, size[0]), (257, 4, 1, size[1]),
        (258, 3, 3, 8 | 8 << 16 | 8 << 32), (259, 3, 1, 7), (262, 3, 1, 6), (277, 3, 1, 3),
        (282, 5, 1, resolution), (283, 5, 1, resolution), (296, 3, 1, 3), (322, 4, 1, TILE), (323, 4, 1, TILE),
        (324, 16, len(table), behind), (325, 16, len(table), behind + len(tables[0])),
    ]  # fmt: skip
    packed = struct.pack("<Q", len(tags)) + b"".join(struct.pack("<HHQQ", *tag) for tag in tags)
    end = behind + sum(map(len, tables))
    return packed + struct.pack("<Q", 0 if last else end) + b"".join(tables)


def tissue(side: int) -> np.ndarray:
    """Pink blobs with grain; (side, side, 3) uint8."""
    rng = np.random.default_rng(3)
    coarse = np.asarray(
        Image.fromarray((255 * rng.random((32, 32))).astype(np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
    )
    share = np.clip((coarse[..., None] / 255 - 0.35) * 3, 0, 1)
    grain = rng.normal(0, 14, (side, side, 1)) * share
    glass, pink = np.array([243, 241, 244]), np.array([176, 92, 160])
    return np.clip(glass + (pink - glass) * share + grain, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
