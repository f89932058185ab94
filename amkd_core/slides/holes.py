"""Patches that are white where the slide's overview shows tissue.

A picture that was left out of a MIRAX or DICOM slide is transparent when it is read, so that it lies white on white and
raises nothing; glass that the scanner left out is so too. Where a coarser level, of which the overview was made, still
shows tissue, the picture was lost. What is white on all levels is taken for glass: nothing tells it from glass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from amkd_core.slides.low_power import LowPower
    from amkd_core.slides.tissue import TissueMask

DARKEST_GLASS = 240
"""A pixel of the overview is stained if its darkest channel is below this; glass that is white elsewhere has more."""

LEAST_SIDE_PX = 3
"""Least width and height of a hole in pixels of the overview (8 um): levels may lie one pixel beside each other."""

_PROBE = 8


@dataclass(frozen=True)
class StainedPlaces:
    """Where the overview shows tissue beyond doubt.

    Parameters
    ----------
    stained
        True on tissue of the overview that is not nearly white, (rows, columns).
    downsample, origin_level0
        As in `LowPower`.
    """

    stained: NDArray[np.bool_]
    downsample: tuple[float, float]
    origin_level0: tuple[int, int]

    @classmethod
    def of(cls, low: LowPower, tissue: TissueMask) -> StainedPlaces:
        """The places of a slide's overview."""
        stained = tissue.mask & ~low.unreadable & (low.image.min(axis=2) < DARKEST_GLASS)
        return cls(stained, low.downsample, low.origin_level0)

    def patches_with_holes(
        self, images: NDArray[np.uint8], xy_level0: NDArray[np.int64], size_level0: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """Tell which patches hold a place of pure white that is stained in the overview.

        Parameters
        ----------
        images
            RGB, uint8 (n, side, side, 3).
        xy_level0, size_level0
            Their corners, (n, 2), and the size of each, (x, y), in level-0 pixels.

        Returns
        -------
        ndarray of bool, (n,)
        """
        # A hole is wider than the distance between these pixels; nearly all patches end here.
        probes = _is_white(images[:, ::_PROBE, ::_PROBE])
        four = probes[:, 1:, 1:] & probes[:, 1:, :-1] & probes[:, :-1, 1:] & probes[:, :-1, :-1]
        suspects = four.any(axis=(1, 2))
        holed = np.zeros(len(images), dtype=bool)
        for index in np.flatnonzero(suspects):
            holed[index] = self._holed(images[index], xy_level0[index], size_level0)
        return holed

    def _holed(
        self, image: NDArray[np.uint8], xy_level0: NDArray[np.int64], size_level0: tuple[int, int]
    ) -> bool:
        lines = [self._lines(axis, int(xy_level0[axis]), size_level0[axis]) for axis in (0, 1)]
        if min(len(line) for line in lines) <= LEAST_SIDE_PX:
            return False
        (x, y), side = lines, len(image)
        stained = self.stained[y[0] : y[-1], x[0] : x[-1]]
        if not stained.any():
            return False
        scaled_x, scaled_y = (
            (line * self.downsample[axis] + self.origin_level0[axis] - xy_level0[axis])
            * side
            / size_level0[axis]
            for axis, line in enumerate(lines)
        )
        white = _all_between(_is_white(image), scaled_x, scaled_y)
        lost = white & stained
        return bool(ndimage.binary_erosion(lost, np.ones((LEAST_SIDE_PX, LEAST_SIDE_PX))).any())

    def _lines(self, axis: int, start_level0: int, length_level0: int) -> NDArray[np.int64]:
        """Lines between the overview's pixels that lie wholly in a patch, in pixels of the overview."""
        start = (start_level0 - self.origin_level0[axis]) / self.downsample[axis]
        stop = start + length_level0 / self.downsample[axis]
        limit = self.stained.shape[1 - axis]
        return np.arange(max(0, math.ceil(start)), min(limit, math.floor(stop)) + 1)


def _is_white(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    white: NDArray[np.bool_] = (pixels[..., 0] & pixels[..., 1] & pixels[..., 2]) == 255
    return white


def _all_between(
    flags: NDArray[np.bool_], lines_x: NDArray[np.float64], lines_y: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether all flags between neighbouring lines are set, pixels that a line divides included."""
    counts = np.zeros((flags.shape[0] + 1, flags.shape[1] + 1), dtype=np.int32)
    counts[1:, 1:] = (~flags).cumsum(axis=0, dtype=np.int32).cumsum(axis=1)
    (left, right), (top, bottom) = (
        (np.clip(np.floor(lines[:-1]), 0, size).astype(int), np.clip(np.ceil(lines[1:]), 0, size).astype(int))
        for lines, size in ((lines_x, flags.shape[1]), (lines_y, flags.shape[0]))
    )
    unset = (
        counts[np.ix_(bottom, right)] - counts[np.ix_(top, right)] - counts[np.ix_(bottom, left)]
        + counts[np.ix_(top, left)]
    )  # fmt: skip
    none: NDArray[np.bool_] = unset == 0
    return none
