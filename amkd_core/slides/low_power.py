"""The whole slide at low power: the image that tissue and stain are judged on.

It is read in blocks and averaged down, so that a slide without a pyramid never lies in memory whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amkd_core.errors import SlideReadError

if TYPE_CHECKING:
    from amkd_core.slides.info import Level
    from amkd_core.slides.slide import Slide

LOW_POWER_MPP = 8.0
LONGEST_SIDE_UNKNOWN_SCALE_PX = 2048
# A thumbnail below this says nothing about shapes; a tiny slide is then looked at more closely.
SHORTEST_USEFUL_SIDE_PX = 256
LARGEST_IMAGE_PX = 12_000_000
BLOCK_PX = 2048
SMALLEST_BLOCK_PX = 128
# A slide that fails this often is damaged beyond a few tiles; going on would only take long.
MOST_FAILED_READS = 2000


@dataclass(frozen=True)
class LowPower:
    """A slide's bounds at low power.

    Parameters
    ----------
    image
        RGB, uint8 (rows, columns, 3); transparent, missing and unreadable pixels are white.
    downsample
        Level-0 pixels per image pixel, (x, y).
    origin_level0
        Level-0 (x, y) of the image's upper-left corner: the bounds' origin.
    mpp
        Micrometres per image pixel, (x, y); None where the slide does not tell.
    unreadable
        True where the slide could not be read, (rows, columns).
    """

    image: NDArray[np.uint8]
    downsample: tuple[float, float]
    origin_level0: tuple[int, int]
    mpp: tuple[float, float] | None
    unreadable: NDArray[np.bool_]


def read_low_power(slide: Slide) -> LowPower:
    """Read the slide's bounds at about 8 um per pixel, from a level at least twice as fine.

    The downsample is a power of two where the levels allow, so that the same slide in containers with
    and without a pyramid gives the same image. Where the scale is unknown the longest side is about
    2,048 px. The image is finer than 8 um when the slide is so small that its longest side would fall
    below 256 px, and coarser above 12 Mpx. It is read in blocks that are averaged down at once, so that
    a slide without a pyramid never lies in memory whole; a block that fails is divided down to 128 px.

    Parameters
    ----------
    slide
        An open slide.

    Returns
    -------
    LowPower
        The image with its place on level 0.

    Raises
    ------
    SlideReadError
        If more than half of it cannot be read.
    """
    info = slide.info
    microns = None if info.microns is None else (info.microns.x, info.microns.y)
    wanted = _wanted_downsample(slide, microns)
    # A level of just this size has its colours halved once more by JPEG; twice as fine tells them better.
    level = _level_at_most(info.levels, wanted / 2)
    step = (
        max(1, math.floor(wanted / level.downsample[0] * 1.01)),
        max(1, math.floor(wanted / level.downsample[1] * 1.01)),
    )
    image, unreadable = _Reader(slide, level, step).read()
    if unreadable.mean() > 0.5:
        raise SlideReadError(
            f"{info.path} cannot be read: {unreadable.mean():.0%} of level {level.index} is damaged; copy it again."
        )
    downsample = (level.downsample[0] * step[0], level.downsample[1] * step[1])
    mpp = None if microns is None else (microns[0] * downsample[0], microns[1] * downsample[1])
    return LowPower(image, downsample, (info.bounds.x, info.bounds.y), mpp, unreadable)


def _wanted_downsample(slide: Slide, microns: tuple[float, float] | None) -> int:
    bounds = slide.info.bounds
    longest = max(bounds.width, bounds.height)
    if microns is None:
        wanted = longest / LONGEST_SIDE_UNKNOWN_SCALE_PX
    else:
        wanted = LOW_POWER_MPP / math.sqrt(microns[0] * microns[1])
    downsample = int(2 ** max(0, round(math.log2(wanted))))
    while downsample > 1 and longest / downsample < SHORTEST_USEFUL_SIDE_PX:
        downsample //= 2
    while bounds.width * bounds.height / downsample**2 > LARGEST_IMAGE_PX:
        downsample *= 2
    return downsample


def _level_at_most(levels: tuple[Level, ...], downsample: float) -> Level:
    """Coarsest level whose downsample does not exceed `downsample` (within 1 %); level 0 otherwise."""
    fitting = [level for level in levels if max(level.downsample) <= downsample * 1.01]
    return max(fitting, key=lambda level: level.downsample[0], default=levels[0])


class _Reader:
    """Reads one level of a slide's bounds in blocks, each averaged by `step` at once."""

    def __init__(self, slide: Slide, level: Level, step: tuple[int, int]) -> None:
        bounds = slide.info.bounds
        self._slide, self._level, self._step = slide, level, step
        self._width = max(1, min(level.size_px[0], round(bounds.width / level.downsample[0])))
        self._height = max(1, min(level.size_px[1], round(bounds.height / level.downsample[1])))
        shape = (-(-self._height // step[1]), -(-self._width // step[0]))
        self._image: NDArray[np.uint8] = np.full((*shape, 3), 255, dtype=np.uint8)
        self._unreadable = np.zeros(shape, dtype=bool)
        self._failures = 0

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        side = [step * max(1, BLOCK_PX // step) for step in self._step]
        for y in range(0, self._height, side[1]):
            for x in range(0, self._width, side[0]):
                self._read_block(x, y, min(side[0], self._width - x), min(side[1], self._height - y))
        return self._image, self._unreadable

    def _read_block(self, x: int, y: int, width: int, height: int) -> None:
        rows = slice(y // self._step[1], -(-(y + height) // self._step[1]))
        columns = slice(x // self._step[0], -(-(x + width) // self._step[0]))
        try:
            self._image[rows, columns] = self._reduced(x, y, width, height)
        except SlideReadError:
            self._failures += 1
            if self._failures > MOST_FAILED_READS:
                raise
            if max(width, height) <= max(SMALLEST_BLOCK_PX, *self._step):
                self._unreadable[rows, columns] = True
            else:
                self._divide(x, y, width, height)

    def _divide(self, x: int, y: int, width: int, height: int) -> None:
        first_width = self._half(width, self._step[0])
        first_height = self._half(height, self._step[1])
        for top, part_height in ((y, first_height), (y + first_height, height - first_height)):
            for left, part_width in ((x, first_width), (x + first_width, width - first_width)):
                if part_width > 0 and part_height > 0:
                    self._read_block(left, top, part_width, part_height)

    @staticmethod
    def _half(length: int, step: int) -> int:
        return min(length, max(step, length // 2 // step * step))

    def _reduced(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        bounds, downsample = self._slide.info.bounds, self._level.downsample
        xy_level0 = (bounds.x + round(x * downsample[0]), bounds.y + round(y * downsample[1]))
        region = self._slide.read_region(xy_level0, self._level.index, (width, height))
        return region if self._step == (1, 1) else np.asarray(Image.fromarray(region).reduce(self._step))
