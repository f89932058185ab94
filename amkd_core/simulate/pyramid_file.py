"""Write a pyramidal, JPEG-tiled TIFF strip by strip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from amkd_core.atomic import atomic_path

TILE_PX = 256
STRIP_PX = 1024
LEVEL_STEP = 4
JPEG_QUALITY = 87
BIGTIFF_BYTES = 3e9
SYNTHETIC_MARK = "SYNTHETIC slide simulated by AMKD Viewer; no patient"

Pixels = NDArray[np.uint8]


def write_pyramid(path: Path, strips: Iterable[Pixels], size_px: tuple[int, int], mpp: float) -> None:
    """Write level 0 from strips as they come, and coarser levels from their means; atomic.

    At any time one strip, and the coarser levels (1/16 of the pixels), are in memory.

    Parameters
    ----------
    strips
        Full-width pictures from top to bottom, each `STRIP_PX` high but the last.
    size_px
        (width, height) of level 0.
    mpp
        Micrometres per level-0 pixel; each level's resolution tag follows from its own size.
    """
    width, height = size_px
    coarse = np.empty((-(-height // LEVEL_STEP), -(-width // LEVEL_STEP), 3), dtype=np.uint8)
    big = width * height * 3 > BIGTIFF_BYTES
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=big) as writer:
        _write_level(writer, _collect(strips, coarse), size_px, mpp, first=True)
        level = coarse
        while True:
            scaled = mpp * width / level.shape[1]
            _write_level(writer, [level], (level.shape[1], level.shape[0]), scaled, first=False)
            if min(level.shape[:2]) <= 2 * TILE_PX:
                break
            level = np.asarray(Image.fromarray(level).reduce(LEVEL_STEP))


def _collect(strips: Iterable[Pixels], coarse: Pixels) -> Iterator[Pixels]:
    """Pass strips on, and keep each one's mean over `LEVEL_STEP` pixels."""
    row = 0
    for strip in strips:
        reduced = np.asarray(Image.fromarray(strip).reduce(LEVEL_STEP))
        coarse[row : row + reduced.shape[0]] = reduced
        row += reduced.shape[0]
        yield strip


def _write_level(
    writer: tifffile.TiffWriter,
    strips: Iterable[Pixels],
    size_px: tuple[int, int],
    mpp: float,
    *,
    first: bool,
) -> None:
    writer.write(
        _tiles(strips),
        shape=(size_px[1], size_px[0], 3),
        dtype=np.uint8,
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": JPEG_QUALITY},
        tile=(TILE_PX, TILE_PX),
        subfiletype=0 if first else 1,
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
        description=SYNTHETIC_MARK if first else None,
        software="AMKD Viewer",
        metadata=None,
        maxworkers=1,
    )


def _tiles(strips: Iterable[Pixels]) -> Iterator[Pixels]:
    """Tiles row by row; those at the border are filled up by repeating their last pixels."""
    for strip in strips:
        fill = [(0, -side % TILE_PX) for side in strip.shape[:2]]
        whole = np.pad(strip, (*fill, (0, 0)), mode="edge") if any(after for _, after in fill) else strip
        for y in range(0, whole.shape[0], TILE_PX):
            for x in range(0, whole.shape[1], TILE_PX):
                yield np.ascontiguousarray(whole[y : y + TILE_PX, x : x + TILE_PX])
