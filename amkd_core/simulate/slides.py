"""Render a simulated H&E slide as a pyramidal, JPEG-tiled TIFF with its truth mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from amkd_core.atomic import atomic_path
from amkd_core.simulate.appearance import Staining, draw_staining, paint_block, property_maps
from amkd_core.simulate.nuclei import (
    gland_centers,
    gland_nuclei,
    nucleus_kinds,
    scatter_nuclei,
    sprites,
    stamp,
)
from amkd_core.simulate.tissue_map import Look, Region, draw_regions
from amkd_core.simulate.truth import TruthMask, write_truth

TILE_PX = 256
BLOCK_PX = 1024
JPEG_QUALITY = 87
SYNTHETIC_MARK = "SYNTHETIC slide simulated by AMKD Viewer; no patient"


@dataclass(frozen=True)
class SlideSpec:
    """What to render.

    Attributes
    ----------
    size_px
        (width, height) at level 0.
    mpp
        Micrometres per level-0 pixel.
    look
        What the slide shows of the patient.
    seed
        Stream of random numbers; equal specs give equal pixels.
    pen
        Whether somebody drew on the glass.
    """

    size_px: tuple[int, int]
    mpp: float = 0.5
    look: Look = field(default_factory=Look)
    seed: tuple[int, ...] = (0,)
    pen: bool = False


def render_slide(spec: SlideSpec, path: Path, truth_path: Path) -> None:
    """Write the slide and its truth mask, both atomically, the slide last.

    Parameters
    ----------
    path
        ``.tif``; levels are halved in turn by 4, with the resolution in the tags.
    truth_path
        ``.png`` of `Region` labels; see `amkd_core.simulate.truth`.
    """
    rng = np.random.default_rng(list(spec.seed))
    labels = draw_regions(rng, spec.size_px, spec.mpp, spec.look, pen=spec.pen)
    staining = draw_staining(rng, spec.mpp)
    nuclei, lumen = _draw_cells(rng, labels, spec)
    pixels = _paint(spec, staining, labels, nuclei, lumen)
    write_truth(truth_path, TruthMask.of_slide(labels, spec.mpp))
    _write_pyramid(path, pixels, spec.mpp)


def _draw_cells(
    rng: np.random.Generator, labels: NDArray[np.uint8], spec: SlideSpec
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Hematoxylin density of all nuclei, and openness of gland lumina, at level 0."""
    width, height = spec.size_px
    nuclei = np.zeros((height, width), dtype=np.uint8)
    lumen = np.zeros((height, width), dtype=np.uint8)
    glands = gland_centers(rng, labels)
    _open_lumina(lumen, glands, spec.mpp)
    for region, kind in nucleus_kinds(spec.look).items():
        if region is Region.GLAND:
            places = gland_nuclei(rng, glands)
        else:
            places = scatter_nuclei(rng, labels, region, kind.per_mm2)
        stamp(nuclei, places / spec.mpp, sprites(rng, kind, spec.mpp), rng)
    return nuclei, lumen


def _open_lumina(lumen: NDArray[np.uint8], glands: NDArray[np.float64], mpp: float) -> None:
    for x, y, radius in glands / mpp:
        half = int(radius * 0.5)
        rows, columns = np.mgrid[-half : half + 1, -half : half + 1]
        turn = np.arctan2(rows, columns)
        border = 0.42 * radius * (1 + 0.15 * np.sin(3 * turn + x) + 0.1 * np.sin(5 * turn + y))
        disc = np.clip((border - np.hypot(rows, columns)) * 40, 0, 255).astype(np.uint8)
        top, left = int(y) - half, int(x) - half
        if (
            top >= 0
            and left >= 0
            and top + disc.shape[0] <= lumen.shape[0]
            and left + disc.shape[1] <= lumen.shape[1]
        ):
            window = lumen[top : top + disc.shape[0], left : left + disc.shape[1]]
            np.maximum(window, disc, out=window)


def _paint(
    spec: SlideSpec,
    staining: Staining,
    labels: NDArray[np.uint8],
    nuclei: NDArray[np.uint8],
    lumen: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    width, height = spec.size_px
    properties = property_maps(labels)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for y in range(0, height, BLOCK_PX):
        for x in range(0, width, BLOCK_PX):
            window = np.s_[y : y + BLOCK_PX, x : x + BLOCK_PX]
            pixels[window] = paint_block(
                staining, properties, labels, nuclei[window], lumen[window], corner=(x, y), mpp=spec.mpp
            )
    return pixels


def _write_pyramid(path: Path, pixels: NDArray[np.uint8], mpp: float) -> None:
    with (
        atomic_path(path) as temporary,
        tifffile.TiffWriter(temporary, bigtiff=pixels.nbytes > 3e9) as writer,
    ):
        for index, level in enumerate(_levels(pixels)):
            # Each level's own resolution, from its own size: halving rounds.
            per_cm = 1e4 / mpp * level.shape[1] / pixels.shape[1]
            writer.write(
                level,
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": JPEG_QUALITY},
                tile=(TILE_PX, TILE_PX),
                subfiletype=0 if index == 0 else 1,
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                description=SYNTHETIC_MARK if index == 0 else None,
                software="AMKD Viewer",
                metadata=None,
            )


def _levels(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Level 0 and coarser ones, each a quarter as wide, down to about one tile."""
    yield pixels
    picture = Image.fromarray(pixels)
    while min(picture.size) > 2 * TILE_PX:
        picture = picture.reduce(4)
        yield np.asarray(picture)
