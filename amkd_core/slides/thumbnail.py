"""A whole slide at low power, from any level, in bounded memory."""

from __future__ import annotations

import numpy as np
from PIL import Image

from amkd_core.private_names import private_logger
from amkd_core.slides.backends.base import Pixels, blank
from amkd_core.slides.info import Bounds, Level
from amkd_core.slides.salvage import ReadableLevels, Salvage, pieces

_BLOCK_PX = 2048
_log = private_logger(__name__)


def make_thumbnail(slide: ReadableLevels, max_side_px: int, within: Bounds) -> Pixels:
    """Reduce the coarsest level that is large enough, block by block; see `Slide.thumbnail`."""
    if max_side_px < 1:
        raise ValueError(f"max_side_px is at least 1, not {max_side_px}.")
    width, height = within.width, within.height
    wanted = min(max_side_px, max(width, height))
    level, (corner, size) = [
        (level, part) for level in slide.info.levels if max((part := _part(level, within))[1]) >= wanted
    ][-1]
    reduced = _reduce_level(slide, level, max(1, max(size) // max_side_px), corner, size)
    scale = wanted / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.array(Image.fromarray(reduced).resize(size, Image.Resampling.BOX))


def _part(level: Level, within: Bounds) -> tuple[tuple[int, int], tuple[int, int]]:
    """Corner and size of a part of level 0 in pixels of a level."""
    across, down = level.downsample
    corner = (round(within.x / across), round(within.y / down))
    size = (max(1, round(within.width / across)), max(1, round(within.height / down)))
    return corner, size


def _reduce_level(
    slide: ReadableLevels, level: Level, factor: int, corner: tuple[int, int], size_px: tuple[int, int]
) -> Pixels:
    width, height = size_px
    side = factor * max(1, _BLOCK_PX // factor)
    reduced = blank((-(-width // factor), -(-height // factor)))
    salvage = Salvage(slide, level.index)
    for (x, y), size in pieces((0, 0), size_px, side):
        pixels = salvage.read((corner[0] + x, corner[1] + y), size)
        block = np.asarray(Image.fromarray(pixels).reduce(factor))
        reduced[y // factor : y // factor + block.shape[0], x // factor : x // factor + block.shape[1]] = (
            block
        )
    if salvage.failures:
        if salvage.n_readable == 0:
            raise salvage.failures[0]
        path, n_damaged = slide.info.path, len(salvage.failures)
        _log.warning("%s: %d damaged places of up to 256 px are white in the thumbnail.", path, n_damaged)
    return reduced
