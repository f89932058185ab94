"""Take the pictures in docs/pictures again: a real window, the demo slide, the demo model and the patient's expression.

xvfb-run -a -s "-screen 0 1600x1000x24" python scripts/take_pictures.py [--out docs/pictures]
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from amkd_core.inference.demo import demo_bundle_path, demo_expression_path, demo_slide_path
from amkd_core.inference.expression import read_genes
from amkd_core.simulate.demo import SAMPLE_NAME

SIZE = (1500, 940)
WIDTH_PX = 1200
PANEL_PX = (420, 915)
GAP_PX = 12
TIMEOUT_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "pictures")
    out = parser.parse_args().out
    os.environ.setdefault("AMKD_CONFIG_DIR", "/nonexistent")  # the user's own settings change no picture
    from amkd_viewer.launch import view
    from amkd_viewer.waiting import settle, wait_until

    viewer = view(demo_slide_path(), demo_bundle_path(), run=False, block=False)
    viewer.window.resize(*SIZE)
    panel = next(iter(viewer.window.dock_widgets.values()))
    wait_until(lambda: panel.workspace.slide is not None, TIMEOUT_S, "the slide")
    teach(panel)
    for name, title in (("top-patches", "Top patches"), ("pathways", "Pathways")):
        shown = dock(viewer, title)
        if title == "Pathways":
            shown.table.selectRow(0)
            shown.measure.setCurrentIndex(1)
            wait_until(lambda shown=shown: shown.bars.figure is not None, TIMEOUT_S, "the chart")
        settle(viewer)
        pause(2)
        save(viewer.window.screenshot(canvas_only=False, flash=False), out / f"{name}.png", WIDTH_PX)
    save(beside(viewer, panel), out / "panels.png")
    panel.workspace.set_look(source="student")
    dock(viewer, "Compare teacher and student").difference.setChecked(True)
    pause(4)
    save(viewer.window.screenshot(canvas_only=False, flash=False), out / "compare.png", WIDTH_PX)
    panel.session.close()
    viewer.close()


def teach(panel: Any) -> None:
    """Predict with the demo patient's expression."""
    from amkd_viewer.events import Expression
    from amkd_viewer.waiting import wait_until

    path = demo_expression_path()
    genes = read_genes(path, SAMPLE_NAME)
    panel.workspace.set_inputs(expression=Expression(path, SAMPLE_NAME, genes))
    panel.run()
    wait_until(lambda: panel.outcome is not None, TIMEOUT_S, "the prediction")
    if isinstance(panel.outcome, BaseException):
        raise panel.outcome


def beside(viewer: Any, predict: Any) -> np.ndarray:
    """Three panels, the middle one under the light theme."""
    pictures = []
    for title, theme in (("", "dark"), ("View and heatmap", "light"), ("Help and shortcuts", "dark")):
        shown = dock(viewer, title) if title else predict
        viewer.theme = theme
        pause(1.5)
        pictures.append(grabbed(shown))
    viewer.theme = "dark"
    height = min(picture.shape[0] for picture in pictures)
    sheet = np.full((height, sum(p.shape[1] + GAP_PX for p in pictures) - GAP_PX, 3), 255, dtype=np.uint8)
    left = 0
    for picture in pictures:
        sheet[:, left : left + picture.shape[1]] = picture[:height]
        left += picture.shape[1] + GAP_PX
    return sheet


def dock(viewer: Any, title: str) -> Any:
    """Open a panel in front of the others."""
    widget, panel = viewer.window.add_plugin_dock_widget("amkd-viewer", title)
    widget.raise_()
    pause(1)
    return panel


def grabbed(panel: Any) -> np.ndarray:
    """Pixels of a panel, shape (rows, columns, 3)."""
    from qtpy.QtGui import QImage

    panel.resize(*PANEL_PX)
    pause(0.5)
    image = panel.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def save(picture: np.ndarray, path: Path, width: int | None = None) -> None:
    image = Image.fromarray(picture[..., :3])
    if width is not None:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(256).save(path, optimize=True)
    print(path)


def pause(seconds: float) -> None:
    """Let the window live."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
