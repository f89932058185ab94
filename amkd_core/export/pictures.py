"""What a figure shows of the slide itself: a thumbnail, and the most telling patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amkd_core.inference.maps import top_patches
from amkd_core.inference.prediction import Prediction

if TYPE_CHECKING:
    from amkd_core.slides.info import Bounds
    from amkd_core.slides.slide import Slide

THUMBNAIL_PX = 1400
PATCH_PX = 256
N_PATCHES = 5


@dataclass(frozen=True, eq=False)
class SlidePictures:
    """Pixels of a slide for a figure; label and macro images are never among them.

    Attributes
    ----------
    thumbnail : array, shape (rows, columns, 3), uint8
        The scanned area.
    patches : tuple of arrays, each (256, 256, 3), uint8
        The most telling patches, the first one first; empty when there is no map.
    bounds : Bounds, optional
        The scanned area; without them the thumbnail shows the whole of level 0.
    """

    thumbnail: NDArray[np.uint8]
    patches: tuple[NDArray[np.uint8], ...] = ()
    bounds: Bounds | None = None

    @property
    def bounds_xy(self) -> tuple[int, int]:
        """Level-0 (x, y) of the scanned area's corner, from which some viewers count."""
        return (0, 0) if self.bounds is None else (self.bounds.x, self.bounds.y)


def read_pictures(slide: Slide, prediction: Prediction) -> SlidePictures:
    """Read them from an open slide.

    Raises
    ------
    SlideReadError
        When the slide cannot be read any more.
    """
    bounds = slide.info.bounds
    thumbnail = slide.thumbnail(THUMBNAIL_PX, within=bounds)
    patches = read_patches(slide, prediction) if prediction.has_map else ()
    return SlidePictures(thumbnail, patches, bounds)


def read_patches(
    slide: Slide, prediction: Prediction, source: str = "student"
) -> tuple[NDArray[np.uint8], ...]:
    """The most telling patches by one map, as `top_patches` ranks them; each (256, 256, 3), uint8.

    Raises
    ------
    SlideReadError
        When the slide cannot be read any more.
    """
    return tuple(
        _shrunk(slide.read_region(patch.xy_level0, 0, patch.size_level0))
        for patch in top_patches(prediction, N_PATCHES, source=source)
    )


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    resized = Image.fromarray(pixels).resize((PATCH_PX, PATCH_PX), Image.Resampling.LANCZOS)
    return np.asarray(resized)
