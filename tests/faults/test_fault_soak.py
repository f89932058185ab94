"""Hundreds of predictions in one process: memory, open files and threads stay where they were."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_fixtures import random_bundle
from fault_count import FaultCount
from slide_files import halved, tissue_like, write_svs, write_tiff
from stopped import child_environment

from amkd_core.bundle_file import write_bundle
from amkd_core.simulate.demo import demo_slide
from amkd_core.slides.encoders import load_encoder

CHILD = Path(__file__).with_name("soak_child.py")
N_PREDICTIONS, MOST_GROWTH_MIB = 500, 50
REAL = ("CMU-1-Small-Region.svs", "CMU-1-Small-Region-dicom", "OS-1-detail.ome.tif", "OS-2-ndpi.ome.tif")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_hundred_predictions_leave_nothing(
    shared: Path, tmp_path: Path, counted: list[FaultCount]
) -> None:
    bundle = tmp_path / "a.amkd"
    write_bundle(bundle, random_bundle(encoder=load_encoder("texture").identity))
    small = write_tiff(tmp_path / "small.tif", [tissue_like(1024, 1024, seed=1)])
    image = tissue_like(1024, 1024, seed=2)
    other = write_svs(tmp_path / "other.svs", [image, halved(image)])
    # The demo's slide, drawn smaller: its tissue is encoded seven times.
    demo = demo_slide(tmp_path / "demo.tif", size_px=(3072, 2304))
    slides = [demo, small, other, *(shared / "slides" / "real" / name for name in REAL)]
    words = [sys.executable, str(CHILD), str(N_PREDICTIONS), str(bundle), str(tmp_path), *map(str, slides)]
    done = subprocess.run(words, capture_output=True, text=True, env=child_environment())
    assert done.returncode == 0, done.stderr[-3000:]
    states = [json.loads(line) for line in done.stdout.splitlines()]
    first, last = states[0], states[-1]
    print("\n".join(map(str, states)))  # noqa: T201 - the figures, for whoever runs this with -s
    counted.append(FaultCount("predictions in one process", cases=last["done"], same=last["done"]))
    assert last["done"] == N_PREDICTIONS
    assert last["mib"] - first["mib"] < MOST_GROWTH_MIB, states
    for name in ("files", "threads", "python threads", "children"):
        assert last[name] <= first[name], (name, states)
