"""Deciding which of 30,000 patches hold enough tissue, on a 100,000 x 80,000 px slide at 0.25 um/px.

Run: python benchmarks/patch_grid.py [--repeats 20]

Prints the time of `lay_patches` (integral of the mask on the grid's lines) for masks of several
resolutions, beside a loop that slices the mask patch by patch, and checks that both agree.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from amkd_core.slides.grid import PatchGrid, PatchSpec, lay_patches
from amkd_core.slides.info import Bounds, Level, Microns, SlideInfo
from amkd_core.slides.tissue import TissueMask

SIZE = (100_000, 80_000)
TARGET_MS = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    level = Level(0, SIZE, (1.0, 1.0))
    info = SlideInfo(
        Path("large.svs"),
        "large",
        "",
        "none",
        "none",
        (level,),
        Microns(0.25, 0.25, "user"),
        None,
        Bounds(0, 0, *SIZE),
    )
    print("mask                 patches kept   integral: median (best) ms   patch by patch ms   agree")
    for downsample in (64, 32, 16):
        tissue = mask_of(downsample)
        grid = lay_patches(info, tissue)
        times = [seconds(lambda: lay_patches(info, tissue)) for _ in range(repeats)]  # noqa: B023
        kept: list[np.ndarray] = []
        loop = seconds(lambda: kept.append(one_by_one(tissue, grid)))  # noqa: B023
        agree = kept[0].sum() == len(grid)
        rows, columns = tissue.mask.shape
        print(
            f"{columns:>5} x {rows:<5} (1/{downsample:<2}) {len(grid):>8}        "
            f"{np.median(times) * 1e3:>8.1f} ({min(times) * 1e3:.1f})        {loop * 1e3:>16.0f}   {agree!s:>10}"
        )
    print(f"target: {TARGET_MS:g} ms at the resolution that find_tissue uses here (1/32, 8 um per px)")


def mask_of(downsample: int) -> TissueMask:
    """Blobs of tissue over about half the slide."""
    rng = np.random.default_rng(0)
    shape = (SIZE[1] // downsample, SIZE[0] // downsample)
    coarse = ndimage.zoom(rng.random((20, 25)), (shape[0] / 20, shape[1] / 25), order=1)
    mask = coarse > np.median(coarse)
    return TissueMask(mask, (float(downsample), float(downsample)), "blobs", float(mask.mean()))


def one_by_one(tissue: TissueMask, grid: PatchGrid) -> np.ndarray:
    side = grid.size_level0[0] // int(tissue.downsample[0])
    rows, columns = grid.shape
    return np.array(
        [
            tissue.mask[row * side : (row + 1) * side, column * side : (column + 1) * side].mean()
            >= PatchSpec().min_tissue
            for row in range(rows)
            for column in range(columns)
        ]
    )


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
