"""A whole slide at low power, from any level, in bounded memory."""

from __future__ import annotations

import numpy as np
from PIL import Image

from amkd_core.private_names import private_logger
from amkd_core.slides.backends.base import Pixels, blank
from amkd_core.slides.info import Level
from amkd_core.slides.salvage import ReadableLevels, Salvage, pieces

_BLOCK_PX = 2048
_log = private_logger(__name__)


def make_thumbnail(slide: ReadableLevels, max_side_px: int) -> Pixels:
    """Reduce the coarsest level that is large enough, block by block; see `Slide.thumbnail`."""
    if max_side_px < 1:
        raise ValueError(f"max_side_px is at least 1, not {max_side_px}.")
    width, height = slide.info.levels[0].size_px
    wanted = min(max_side_px, max(width, height))
    level = [level for level in slide.info.levels if max(level.size_px) >= wanted][-1]
    reduced = _reduce_level(slide, level, max(1, max(level.size_px) // max_side_px))
    scale = wanted / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.array(Image.fromarray(reduced).resize(size, Image.Resampling.BOX))


def _reduce_level(slide: ReadableLevels, level: Level, factor: int) -> Pixels:
    width, height = level.size_px
    side = factor * max(1, _BLOCK_PX // factor)
    reduced = blank((-(-width // factor), -(-height // factor)))
    salvage = Salvage(slide, level.index)
    for (x, y), size in pieces((0, 0), level.size_px, side):
        block = np.asarray(Image.fromarray(salvage.read((x, y), size)).reduce(factor))
        reduced[y // factor : y // factor + block.shape[0], x // factor : x // factor + block.shape[1]] = (
            block
        )
    if salvage.failures:
        if salvage.n_readable == 0:
            raise salvage.failures[0]
        path, n_damaged = slide.info.path, len(salvage.failures)
        _log.warning("%s: %d damaged places of up to 256 px are white in the thumbnail.", path, n_damaged)
    return reduced
