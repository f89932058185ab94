"""Which part of a slide a picture shows, and how high its pixels are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amkd_core.export.pictures import SlidePictures
from amkd_core.inference.prediction import Prediction


@dataclass(frozen=True)
class SlideFrame:
    """A rectangle of level 0.

    Attributes
    ----------
    corner, size
        (x, y) and (width, height) in level-0 pixels.
    pixel_aspect
        Height of a pixel over its width: a picture in pixels alone would stretch a slide whose pixels are not square.
    """

    corner: tuple[float, float]
    size: tuple[float, float]
    pixel_aspect: float

    @property
    def shape(self) -> float:
        """Height over width as it is on the glass."""
        return self.size[1] / self.size[0] * self.pixel_aspect


def frame_of(prediction: Prediction, pictures: SlidePictures | None) -> SlideFrame:
    """The scanned area: some scanners write a wide empty glass around it, on which tissue would be a speck.

    Without the slide's pictures its size, as the bag tells it; the patches' extent where that is not told or there is
    glass around.
    """
    bag = prediction.bag
    aspect = 1.0 if bag.slide_mpp is None else bag.slide_mpp[1] / bag.slide_mpp[0]
    if pictures is not None and pictures.bounds is not None:
        bounds = pictures.bounds
        return SlideFrame((bounds.x, bounds.y), (bounds.width, bounds.height), aspect)
    corner = bag.slide_bounds_xy or (0, 0)
    if bag.slide_size_level0 is not None and tuple(corner) == (0, 0):
        width, height = bag.slide_size_level0
        return SlideFrame((0, 0), (width, height), aspect)
    if bag.coords is None or bag.patch_size_level0 is None:
        return SlideFrame((0, 0), (1, 1), aspect)
    far = bag.coords.max(axis=0) + np.array(bag.patch_size_level0)
    return SlideFrame(corner, (float(far[0] - corner[0]), float(far[1] - corner[1])), aspect)
