"""Slides of many scanner geometries, each with a violet mark and four coloured corners at known level-0 places.

Each is 5 x 4 patches of 128 um, less than half a patch over, all of it pink tissue but for a rim of glass. The mark
fills two patches of the second row, so that patches, map and files can be held against it edge by edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scanner_files import write_mirax
from slide_files import write_ome, write_scn, write_svs, write_tiff

from amkd_core.bag import EncoderIdentity, FeatureBag
from amkd_core.slides import Slide
from amkd_core.slides.patches import lay_patches, read_patches
from amkd_core.slides.tissue import find_tissue

COLUMNS, ROWS = 5, 4
MARK_CELL, MARK_CELLS = (2, 1), (2, 1)
CORNERS = {(0, 0): (160, 70, 120), (4, 0): (205, 100, 190), (0, 3): (120, 90, 165), (4, 3): (190, 120, 120)}
"""Colours that tissue can have: ink would be left out."""
PINK, VIOLET, GLASS = (221, 150, 190), (70, 20, 110), (244, 244, 244)


@dataclass(frozen=True)
class Geometry:
    """One scanner's way of laying a slide out.

    Attributes
    ----------
    write
        Writes the planted image; returns the file.
    mpp
        (x, y) micrometres per level-0 pixel, written into the file.
    bounds
        Level-0 (x, y) of the scan's corner.
    scene
        Which image of the file.
    """

    write: Callable[[Path, np.ndarray], Path]
    mpp: tuple[float, float]
    bounds: tuple[int, int] = (0, 0)
    scene: int = 0

    @property
    def patch(self) -> tuple[int, int]:
        """(width, height) of a patch of 128 um in level-0 pixels."""
        return round(128 / self.mpp[0]), round(128 / self.mpp[1])

    @property
    def mark(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the mark in pixels of the scanned area, as QuPath counts."""
        (width, height), (column, row), (columns, rows) = self.patch, MARK_CELL, MARK_CELLS
        return column * width, row * height, (column + columns) * width, (row + rows) * height

    @property
    def mark_level0(self) -> tuple[int, int, int, int]:
        """The same in pixels of level 0, as OpenSlide and napari count."""
        return tuple(side + offset for side, offset in zip(self.mark, 2 * self.bounds, strict=True))

    def planted(self, grain: int = 9) -> np.ndarray:
        """The scanned area, (height, width, 3) uint8; its pink varies by `grain`."""
        width, height = self.patch
        image = np.empty((ROWS * height + height // 3, COLUMNS * width + width // 3, 3), np.uint8)
        image[:] = GLASS
        tissue = image[: ROWS * height, : COLUMNS * width]
        grains = np.random.default_rng(1).integers(-grain, grain + 1, tissue.shape[:2])[..., None]
        tissue[:] = np.clip(np.array(PINK) + grains, 0, 255)
        for (column, row), colour in CORNERS.items():
            image[row * height : (row + 1) * height, column * width : (column + 1) * width] = colour
        left, top, right, bottom = self.mark
        image[top:bottom, left:right] = VIOLET
        return image


def reduced(image: np.ndarray, factor: float) -> np.ndarray:
    """A level any factor smaller."""
    size = (round(image.shape[1] / factor), round(image.shape[0] / factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _levels(image: np.ndarray, *factors: float) -> list[np.ndarray]:
    return [image, *(reduced(image, factor) for factor in factors)]


def _scenes(path: Path, image: np.ndarray) -> Path:
    other = np.full((900, 1300, 3), GLASS, np.uint8)
    return write_ome(path.with_suffix(".ome.tif"), [[other], _levels(image, 2)], mpp=(0.5, 0.5))


def _mirax(path: Path, image: np.ndarray) -> Path:
    """The scanned area at whole pictures of 64 px from the corner, before which none was taken."""
    (left, top), (height, width) = _MIRAX_OFFSET, image.shape[:2]
    across, down = (-(-side // 256) * 4 for side in (left + width, top + height))
    canvas = np.full((64 * down, 64 * across, 3), GLASS, np.uint8)
    canvas[top : top + height, left : left + width] = image
    untaken = {n for n in range(across * down) if n % across < left // 64 or n // across < top // 64}
    return write_mirax(path.with_suffix(".mrxs"), canvas, without=untaken)


_OFFSET, _FRAME, _MIRAX_OFFSET = (1531, 3107), (6000, 7000), (640, 1344)

GEOMETRIES = {
    "20x": Geometry(
        lambda p, i: write_svs(p.with_suffix(".svs"), _levels(i, 4), mpp=0.5, power=20), (0.5, 0.5)
    ),
    "40x": Geometry(lambda p, i: write_svs(p.with_suffix(".svs"), _levels(i, 4, 16)), (0.25, 0.25)),
    "0.23 um": Geometry(
        lambda p, i: write_tiff(p.with_suffix(".tif"), _levels(i, 3), mpp=0.23), (0.23, 0.23)
    ),
    "non-square": Geometry(
        lambda p, i: write_tiff(p.with_suffix(".tif"), _levels(i, 2), mpp=(0.2201, 0.2253)), (0.2201, 0.2253)
    ),
    "levels 1, 3.97, 15.9": Geometry(
        lambda p, i: write_tiff(p.with_suffix(".tif"), _levels(i, 3.97, 15.9), mpp=0.25), (0.25, 0.25)
    ),
    "bounds": Geometry(
        lambda p, i: write_scn(p.with_suffix(".scn"), _levels(i, 4), corner=_OFFSET, frame=_FRAME),
        (0.25, 0.25),
        bounds=_OFFSET,
    ),
    "bounds, levels 1, 2.9": Geometry(
        lambda p, i: write_scn(
            p.with_suffix(".scn"), _levels(i, 2.9), corner=(701, 905), frame=(4000, 3200), mpp=0.5, power=20
        ),
        (0.5, 0.5),
        bounds=(701, 905),
    ),
    "MIRAX": Geometry(_mirax, (0.25, 0.25), bounds=_MIRAX_OFFSET),
    "second scene": Geometry(_scenes, (0.5, 0.5), scene=1),
    "coarser than 20x": Geometry(
        lambda p, i: write_tiff(p.with_suffix(".tif"), _levels(i, 2), mpp=0.97), (0.97, 0.97)
    ),
}


def bag_of_slide(slide: Slide) -> tuple[FeatureBag, np.ndarray]:
    """Patches that the slide's own tissue and grid give, and how violet each is as it is read; scores sum to 1."""
    grid = lay_patches(slide, find_tissue(slide))
    colours = np.concatenate([batch.images.mean(axis=(1, 2)) for batch in read_patches(slide, grid)])
    violet = np.exp(-np.abs(colours - VIOLET).sum(axis=1) / 20)
    rng = np.random.default_rng(0)
    bag = FeatureBag(
        features=rng.normal(size=(len(grid), 16)).astype(np.float32),
        encoder=EncoderIdentity("texture", "1", 16, "0" * 64, "none", "none", "BSD-3-Clause"),
        patch_size_px=256,
        mpp=0.5,
        slide_id=slide.info.slide_id,
        coords=grid.xy_level0,
        patch_size_level0=grid.size_level0,
        slide_fingerprint=slide.info.fingerprint,
        slide_size_level0=slide.size_px,
        slide_mpp=(slide.microns.x, slide.microns.y),
        slide_mpp_source=slide.microns.source,
    )
    return bag, violet / violet.sum()
