"""What the look for broken rows costs beside loading a bag: 15,000 patches of 1,024 features, in one run.

    .venv/bin/python benchmarks/row_check.py

Prints medians; docs/faults.md quotes them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bag_rows import check_rows
from amkd_core.encoder_identity import EncoderIdentity

N_PATCHES, WIDTH, REPEATS = 15_000, 1024, 15


def median_ms(action: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def main() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N_PATCHES, WIDTH)).astype(np.float32)
    place = np.arange(N_PATCHES)
    coords = np.stack([place % 120, place // 120], axis=1) * 512
    encoder = EncoderIdentity("uni", "1", WIDTH, "0" * 64, "none", "cls", "none")
    bag = FeatureBag(features, encoder, 256, 0.5, "slide", coords=coords, patch_size_level0=(512, 512))
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("float32", "float16"):
            path = Path(folder) / "bag.h5"
            write_bag(path, bag, precision=precision)
            load = median_ms(lambda path=path: read_bag(path))
            check = median_ms(lambda: check_rows(bag.features, bag.coords, bag.slide_index, "slide"))
            print(
                f"{precision}: loading {load:.1f} ms, of which the rows' check {check:.1f} ms ({check / load:.1%})"
            )


if __name__ == "__main__":
    main()
