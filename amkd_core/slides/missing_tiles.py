"""Patches on tissue whose tiles the file leaves out.

A tile of no bytes is shown white and raises nothing, so that it would be encoded as if it were glass. Scanners leave
out tiles of glass on purpose; where the overview shows tissue, the tile was lost, and its patches count as unreadable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import SlideReadError
from amkd_core.slides.detect import main_file
from amkd_core.slides.grid import tissue_shares
from amkd_core.slides.tiff_tags import (
    ROWS_PER_STRIP,
    STRIP_BYTES,
    TILE_BYTES,
    TiffDirectory,
    TiffFileTags,
    TiffTagError,
    is_tiff,
    read_tiff_tags,
)

if TYPE_CHECKING:
    from amkd_core.slides.grid import PatchGrid
    from amkd_core.slides.slide import Slide
    from amkd_core.slides.tissue import TissueMask

PLAIN_GRIDS = frozenset({"aperio", "generic-tiff", "philips", "tiff", "ome-tiff"})
"""Formats whose levels are directories of their own size, so that a tile's place follows from its number."""

LEAST_TISSUE = 0.5
"""Share of a tile that must be tissue. The mask reaches some 20 um into glass beside tissue, and tiles are 60 um and
more wide: a tile of glass that was left out holds less."""


@dataclass(frozen=True)
class _Segments:
    """Tiles or strips of one level: (width, height) of each, and which have no bytes, (rows, columns)."""

    size_px: tuple[int, int]
    empty: NDArray[np.bool_]
    tiled: bool


def patches_on_missing_tiles(slide: Slide, tissue: TissueMask, grid: PatchGrid) -> NDArray[np.bool_]:
    """Tell which patches touch a tile of tissue that has no bytes.

    Only directories are read, no pixels. Formats outside `PLAIN_GRIDS` do not tell, and give none.

    Parameters
    ----------
    slide, tissue, grid
        An open slide, its tissue, and its patches.

    Returns
    -------
    ndarray of bool, (n,)
        One per patch of `grid`.

    Raises
    ------
    SlideReadError
        If the file's directories cannot be read any more.
    """
    nothing = np.zeros(len(grid), dtype=bool)
    info = slide.info
    if info.vendor not in PLAIN_GRIDS:
        return nothing
    level = info.levels[grid.read_level]
    segments = _segments_of(slide, grid.read_level)
    if segments is None or not segments.empty.any():
        return nothing
    lost = segments.empty & _on_tissue(segments, level.size_px, level.downsample, tissue)
    if not lost.any():
        return nothing
    corners = np.round(grid.xy_level0 / np.array(level.downsample)).astype(np.int64)
    return _touching(lost, corners, grid.read_size_px, segments.size_px)


def _segments_of(slide: Slide, level: int) -> _Segments | None:
    """Tiles of a level; one that OpenSlide fills from a finer level has bytes if it has them there."""
    info = slide.info
    path = main_file(info.path)
    try:
        with path.open("rb") as stream:
            if not is_tiff(stream.read(16)):
                return None
        with read_tiff_tags(path) as tags:
            segments = _segments(tags, info.levels[level].size_px, info.scene, info.n_scenes)
            if level == 0 or segments is None or info.vendor != "aperio":
                return segments
            finest = _segments(tags, info.levels[0].size_px, 0, 1)
    except (TiffTagError, OSError) as error:
        raise SlideReadError(f"{info.path}: its directories cannot be read: {error}.") from error
    if finest is None:
        return segments
    downsample = info.levels[level].downsample
    corners = np.argwhere(segments.empty)[:, ::-1] * np.array(segments.size_px)
    size = (round(segments.size_px[0] * downsample[0]), round(segments.size_px[1] * downsample[1]))
    beneath = _touching(
        finest.empty, np.round(corners * np.array(downsample)).astype(np.int64), size, finest.size_px
    )
    empty = np.zeros_like(segments.empty)
    empty[segments.empty] = beneath
    return _Segments(segments.size_px, empty, segments.tiled)


def _segments(tags: TiffFileTags, size_px: tuple[int, int], scene: int, n_scenes: int) -> _Segments | None:
    found = [directory for directory in tags.directories if directory.size_px == size_px]
    tiled = [directory for directory in found if directory.tile_px is not None]
    found = tiled or found
    if len(found) == 1:
        return _segments_in(found[0])
    # Of several pictures of one size nothing else says which is shown.
    return _segments_in(found[scene]) if len(found) == n_scenes else None


def _segments_in(directory: TiffDirectory) -> _Segments | None:
    width, height = directory.size_px
    tile = directory.tile_px
    size = tile or (width, max(1, min(directory.number(ROWS_PER_STRIP, height), height)))
    columns, rows = -(-width // size[0]), -(-height // size[1])
    lengths = directory.numbers(STRIP_BYTES if tile is None else TILE_BYTES)
    if lengths.size < rows * columns or lengths.size % (rows * columns):
        return None
    # Where the colours are stored apart there is a grid for each.
    return _Segments(size, (lengths.reshape(-1, rows, columns) == 0).any(axis=0), tile is not None)


def _on_tissue(
    segments: _Segments, size_px: tuple[int, int], downsample: tuple[float, float], tissue: TissueMask
) -> NDArray[np.bool_]:
    rows, columns = segments.empty.shape
    lines_x = np.minimum(np.arange(columns + 1) * segments.size_px[0], size_px[0]) * downsample[0]
    lines_y = np.minimum(np.arange(rows + 1) * segments.size_px[1], size_px[1]) * downsample[1]
    shares = tissue_shares(tissue, lines_x, lines_y)
    # No scanner leaves out strips.
    on_tissue: NDArray[np.bool_] = shares >= LEAST_TISSUE if segments.tiled else shares > 0
    return on_tissue


def _touching(
    flagged: NDArray[np.bool_], xy_px: NDArray[np.int64], size_px: tuple[int, int], tile_px: tuple[int, int]
) -> NDArray[np.bool_]:
    """Which rectangles of `size_px` at `xy_px`, (n, 2), touch a flagged tile; what lies outside touches none."""
    counts = np.zeros((flagged.shape[0] + 1, flagged.shape[1] + 1), dtype=np.int64)
    counts[1:, 1:] = flagged.cumsum(axis=0).cumsum(axis=1)
    limits = np.array(flagged.shape[::-1])
    first = np.clip(xy_px // np.array(tile_px), 0, limits)
    last = np.clip((xy_px + np.array(size_px) - 1) // np.array(tile_px) + 1, 0, limits)
    (x0, y0), (x1, y1) = first.T, last.T
    touched: NDArray[np.bool_] = counts[y1, x1] - counts[y0, x1] - counts[y1, x0] + counts[y0, x0] > 0
    return touched
