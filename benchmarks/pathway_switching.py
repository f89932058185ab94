"""Switching between 331 pathways' maps of 100,000 patches in a real window, by choosing rows of the Pathways panel.

Run: xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/pathway_switching.py [--switches 60]

Measured in the GUI thread: from the choice of a row until the call returns (our own work and napari's layer), and until
the window has drawn it; how long the panel takes to show a new result of 331 pathways. On a machine with other work the
thread's own time (processor) tells more than the clock's.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1] / "tests"
for folder in (TESTS, TESTS / "core" / "slides"):
    sys.path.append(str(folder))

from bundle_fixtures import random_bag, random_bundle  # noqa: E402
from slide_files import write_gigapixel  # noqa: E402

from amkd_core.inference.predict import predict_bag  # noqa: E402
from amkd_core.inference.prediction import Prediction  # noqa: E402

N_PATHWAYS, COLUMNS, ROWS, SIDE = 331, 400, 250, 256
N_PATCHES = COLUMNS * ROWS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--switches", type=int, default=60)
    n_switches = parser.parse_args().switches
    os.environ.setdefault("NAPARI_ASYNC", "1")
    import napari
    from qtpy.QtWidgets import QApplication

    from amkd_viewer import slide_layers
    from amkd_viewer.events import Finished, PredictionRequest
    from amkd_viewer.waiting import settle
    from amkd_viewer.warm_up import keep_loaded, warm_up_layers, warm_up_prediction

    # As `amkd view` does before and after it opens the window.
    warm_up_layers()
    warm_up_prediction()
    with tempfile.TemporaryDirectory() as temporary:
        path = write_gigapixel(Path(temporary) / "large.tif", (COLUMNS * SIDE, ROWS * SIDE))
        viewer = napari.Viewer()
        viewer.window.resize(1500, 950)
        panel = viewer.window.add_plugin_dock_widget("amkd-viewer", "Pathways")[1]
        keep_loaded()
        workspace = panel.workspace
        workspace.open_slide(path)
        while workspace.slide is None:
            QApplication.processEvents()
        settle(viewer)
        info = slide_layers.info_of(workspace.slide)
        request = PredictionRequest(info.path, info.fingerprint, Path("none.amkd"), info=info)
        event = Finished(request, large_prediction(info.fingerprint), info.fingerprint)
        workspace.session._remember(event)
        shown = timed(lambda: workspace._on_told(event))
        settle(viewer)
        called, drawn = [], []  # (clock, processor) each
        for place in np.random.default_rng(1).permutation(N_PATHWAYS)[:n_switches].tolist():
            called.append(timed(lambda place=place: panel.table.selectRow(place)))
            drawn.append(np.add(called[-1], timed(QApplication.processEvents)))
            settle(viewer)
        print(
            "| step | clock: median, p95, longest, ms | processor: median, p95, longest, ms |\n|---|---|---|"
        )
        for name, times in (
            ("a new result in the panel", [shown]),
            ("choice of a pathway", called),
            ("the same, drawn", drawn),
        ):
            columns = np.percentile(times, (50, 95, 100), axis=0).T
            cells = (", ".join(f"{value:.0f}" for value in column) for column in columns)
            print(f"| {name} | {' | '.join(cells)} |")
        workspace.close()
        viewer.close()


def timed(action) -> tuple[float, float]:
    """Milliseconds that a call takes by the clock, and of this thread on the processor."""
    start = time.perf_counter(), time.thread_time()
    action()
    return 1000 * (time.perf_counter() - start[0]), 1000 * (time.thread_time() - start[1])


def large_prediction(fingerprint: str) -> Prediction:
    """A prediction of 100,000 patches with a map for each of 331 pathways; random numbers."""
    bundle, rng, place = random_bundle(), np.random.default_rng(0), np.arange(N_PATCHES)
    small = predict_bag(random_bag(), bundle, genes=dict.fromkeys(bundle.card.genes, 5.0))
    bag = replace(
        small.bag,
        features=rng.normal(size=(N_PATCHES, 16)).astype(np.float32),
        coords=np.stack([place % COLUMNS, place // COLUMNS], axis=1) * SIDE,
        patch_size_level0=(SIDE, SIDE),
        slide_index=np.zeros(N_PATCHES, dtype=np.int32),
        slide_fingerprint=fingerprint,
    )
    importance = rng.random(N_PATHWAYS)
    teacher = replace(
        small.teacher,
        patch_scores=np.full(N_PATCHES, 1 / N_PATCHES),
        pathways=tuple(f"SOME_PATHWAY_WITH_A_NAME_{index}" for index in range(N_PATHWAYS)),
        pathway_importance=importance / importance.sum(),
        coattention=rng.random((N_PATHWAYS, N_PATCHES), dtype=np.float32).astype(np.float16),
    )
    cohort = replace(small.cohort, pathway_attention=importance[::-1] / importance.sum())
    scores = rng.random(N_PATCHES)
    return replace(small, bag=bag, patch_scores=scores / scores.sum(), teacher=teacher, cohort=cohort)


if __name__ == "__main__":
    main()
