"""Patch reading measured beside OpenSlide's own ``read_region``, interleaved in one run.

    python benchmarks/patch_reading.py [SLIDE ...] [--repeats 7] [--patches 1000]

It makes three files in a temporary folder: an Aperio-like SVS with 240 px tiles, 8,000 px wide; the same 48,000 px
wide, as slides are (two rows of its tiles are more than OpenSlide's cache of 32 MiB holds); and a generic tiled TIFF.
Slides given on the command line come in addition. For each file the same tissue patches, in row order as an extraction
walks, are read (a) 256 px at level 0 and (b) 512 px at level 0 halved to 256 px (20x from a 40x scan).
Each repeat opens both readers afresh, so that no cache is warm, and lets them take turns; the ratio is taken within
a repeat. The table ends with the largest difference between the pixels, from a pass that is not timed; it must be 0.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import openslide

sys.path[:0] = [
    str(Path(__file__).resolve().parents[1]),
    str(Path(__file__).resolve().parents[1] / "tests/core/slides"),
]

from slide_files import halved, tissue_like, write_svs, write_tiff  # noqa: E402

from amkd_core.slides import open_slide  # noqa: E402

Reader = Callable[[tuple[int, int]], np.ndarray]
BATCH = 64
"""Consecutive patches that a thread reads, as in an extraction."""
Opener = Callable[[Path, int], AbstractContextManager[Reader]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slides", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--patches", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(
        "| slide | patch | OpenSlide patches/s | ours patches/s | ratio median (min to max) | max difference |"
    )
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for path in [*made_files(Path(folder)), *options.slides]:
            for read_px in (256, 512):
                print(row(path, read_px, options), flush=True)


def made_files(folder: Path) -> list[Path]:
    block = tissue_like(4000, 4000, seed=1)
    row = np.concatenate([block, block[:, ::-1]], axis=1)
    levels = [np.concatenate([row, row[::-1]])]
    levels += [halved(levels[0], 4)]
    wide = np.concatenate([row] * 6, axis=1)
    return [
        write_svs(folder / "made_aperio_240.svs", levels),
        write_svs(folder / "made_aperio_240_wide.svs", [wide, halved(wide, 4)]),
        write_tiff(folder / "made_generic_256.tif", levels),
    ]


def row(path: Path, read_px: int, options: argparse.Namespace) -> str:
    corners = patch_corners(path, read_px, options.patches)
    theirs, ours, ratios = [], [], []
    for repeat in range(options.repeats):
        # Whoever goes first changes from repeat to repeat.
        order = (openslide_reader, our_reader)[:: 1 if repeat % 2 == 0 else -1]
        seconds = {reader: timed(reader, path, corners, read_px, options.threads) for reader in order}
        theirs.append(len(corners) / seconds[openslide_reader])
        ours.append(len(corners) / seconds[our_reader])
        ratios.append(seconds[openslide_reader] / seconds[our_reader])
    what = "256" if read_px == 256 else "512 to 256"
    spread = f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    worst = largest_difference(path, corners, read_px)
    return f"| {path.name} | {what} | {median(theirs):.0f} | {median(ours):.0f} | {spread} | {worst} |"


def patch_corners(path: Path, read_px: int, n: int) -> list[tuple[int, int]]:
    """Level-0 corners on a grid, in rows, from where most of the slide's tissue lies."""
    with open_slide(path) as slide:
        thumbnail = slide.thumbnail(1024).astype(int)
        width, height = slide.size_px
        colour = np.ptp(thumbnail, axis=2)
        scale = thumbnail.shape[1] / width

        def is_tissue(x: int, y: int) -> bool:
            left, top, side = int(x * scale), int(y * scale), max(1, int(read_px * scale))
            return bool(colour[top : top + side, left : left + side].mean() > 15)

        rows, columns = range(0, height - read_px + 1, read_px), range(0, width - read_px + 1, read_px)
        grid = [(x, y) for y in rows for x in columns if is_tissue(x, y)]
    start = max(0, (len(grid) - n) // 2)
    return grid[start : start + n]


@contextmanager
def openslide_reader(path: Path, read_px: int) -> Iterator[Reader]:
    with openslide.OpenSlide(path) as slide:

        def read(xy: tuple[int, int]) -> np.ndarray:
            region = slide.read_region(xy, 0, (read_px, read_px)).convert("RGB")
            return np.asarray(region if read_px == 256 else region.reduce(2))

        yield read


@contextmanager
def our_reader(path: Path, read_px: int) -> Iterator[Reader]:
    with open_slide(path) as slide:
        if slide.info.backend != "direct":
            print(f"{path.name} is read by {slide.info.backend}", file=sys.stderr)

        def read(xy: tuple[int, int]) -> np.ndarray:
            return slide.read_patch(xy, 0, (read_px, read_px), 256)

        yield read


def timed(opener: Opener, path: Path, corners: list[tuple[int, int]], read_px: int, threads: int) -> float:
    """Seconds to read all patches; each is let go as an encoder would, so that memory is reused."""
    with opener(path, read_px) as read, ThreadPoolExecutor(threads) as pool:

        def read_batch(start: int) -> None:
            for xy in corners[start : start + BATCH]:
                read(xy)

        started = time.perf_counter()
        for _ in pool.map(read_batch, range(0, len(corners), BATCH)):
            pass
        return time.perf_counter() - started


def largest_difference(path: Path, corners: list[tuple[int, int]], read_px: int) -> int:
    with openslide_reader(path, read_px) as theirs, our_reader(path, read_px) as ours:
        return max(int(np.abs(theirs(xy).astype(int) - ours(xy)).max()) for xy in corners)


if __name__ == "__main__":
    main()
