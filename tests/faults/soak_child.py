"""Predicts slides again and again in one process; a line of JSON with memory, files and threads after each hundred.

``python soak_child.py N BUNDLE FOLDER SLIDE...``. Every tenth prediction encodes its slide anew; the others
find its bag kept.
"""

from __future__ import annotations

import gc
import json
import shutil
import sys
import threading
from pathlib import Path

import psutil

from amkd_core.bundle_file import open_bundle
from amkd_core.cli.terminal import drain
from amkd_core.inference.bag_cache import BagCache
from amkd_core.inference.predict import predict_slide

WARM = 100  # by then each slide was read, kept and encoded again
ENCODE_EVERY = 10


def state(done: int, process: psutil.Process) -> dict[str, object]:
    gc.collect()
    return {
        "done": done,
        "mib": process.memory_info().rss / 2**20,
        "files": process.num_fds(),
        "threads": process.num_threads(),
        "python threads": threading.active_count(),
        "children": len(process.children(recursive=True)),
    }


def main() -> None:
    n_predictions, bundle, folder = int(sys.argv[1]), open_bundle(Path(sys.argv[2])), Path(sys.argv[3])
    slides = [Path(word) for word in sys.argv[4:]]
    process, risks = psutil.Process(), {}
    cache = BagCache(folder / "bags")
    for index in range(n_predictions):
        if index in range(WARM, n_predictions, 100):
            sys.stdout.write(json.dumps(state(index, process)) + "\n")
            sys.stdout.flush()
        slide = slides[index % len(slides)]
        # All once, and then one after another every so often.
        if index >= WARM and index % ENCODE_EVERY == 0:
            slide = slides[index // ENCODE_EVERY % len(slides)]
            shutil.rmtree(folder / "bags")
        # A reading process for each would take most of the time, and holds what this one shall not leak.
        isolated = index % ENCODE_EVERY == 5
        prediction = drain(predict_slide(slide, bundle, cache=cache, mpp=0.5, isolated=isolated))
        assert risks.setdefault(slide, prediction.risk) == prediction.risk
    sys.stdout.write(json.dumps(state(n_predictions, process)) + "\n")


if __name__ == "__main__":
    main()
