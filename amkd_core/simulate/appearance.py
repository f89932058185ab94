"""Colour of a simulated slide: stain densities to RGB by Beer and Lambert."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

from amkd_core.simulate.nuclei import DENSITY_STEPS
from amkd_core.simulate.textures import SIDE_PX, Textures, textures
from amkd_core.simulate.tissue_map import MAP_MPP, Region

Float = NDArray[np.float32]

# Optical density of the stains in red, green and blue, before a slide's own variation.
HEMATOXYLIN = (0.60, 0.72, 0.30)
EOSIN = (0.12, 0.86, 0.46)
# Share of light that inks let through: blue, green, black.
INKS = ((0.22, 0.38, 0.78), (0.20, 0.62, 0.36), (0.13, 0.13, 0.15))
# Map pixels added around the map, so that blocks may reach over the slide's border.
PAD = 4
PLANES = (Region.HIGH_GRADE, Region.LYMPHOCYTES, Region.NECROSIS)


@dataclass(frozen=True, eq=False)
class Staining:
    """One slide's stains, glass, focus and ink.

    Attributes
    ----------
    stains : array, shape (2, 3)
        Optical density of hematoxylin and eosin in RGB, times the slide's intensity.
    glass : array, shape (3,)
        Colour of empty glass.
    ink : array, shape (3,)
        Share of light that the pen lets through.
    blur_px : float
        Standard deviation of the point spread.
    offset : (int, int)
        Where in the periodic textures this slide begins.
    """

    stains: Float
    glass: Float
    ink: Float
    blur_px: float
    offset: tuple[int, int]


def draw_staining(rng: np.random.Generator) -> Staining:
    """Stains that vary from slide to slide, as those of real laboratories do."""
    vectors = np.array([HEMATOXYLIN, EOSIN]) + rng.normal(0, 0.022, (2, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    intensity = rng.uniform(0.88, 1.14, (2, 1)) * np.array([[1.42], [1.12]])
    offset = rng.integers(0, SIDE_PX, 2)
    return Staining(
        stains=(vectors * intensity).astype(np.float32),
        glass=(rng.uniform(239, 245) + rng.uniform(-2, 2, 3)).astype(np.float32),
        ink=np.array(INKS[rng.integers(len(INKS))], dtype=np.float32),
        blur_px=float(rng.uniform(0.45, 0.8)),
        offset=(int(offset[0]), int(offset[1])),
    )


@dataclass(frozen=True, eq=False)
class Cover:
    """Softened shares of tissue, planted regions and pen at map resolution, padded by `PAD`.

    Attributes
    ----------
    tissue, pen : array, shape (rows + 2 PAD, columns + 2 PAD)
    planted : mapping of array
        By region of `PLANES`.
    """

    tissue: Float
    pen: Float
    planted: dict[Region, Float]

    @classmethod
    def of_labels(cls, labels: NDArray[np.uint8]) -> Cover:
        """Soften labels by about half a map pixel; a pen lies on glass or tissue alike."""

        def soft(mask: NDArray[np.bool_]) -> Float:
            padded = np.pad(mask, PAD, mode="edge").astype(np.float32)
            softened: Float = ndimage.gaussian_filter(padded, 0.7)
            return softened

        tissue = (labels != Region.BACKGROUND) & (labels != Region.PEN)
        # The tissue under the pen is not in the labels: it is what lies around the stroke.
        tissue |= (labels == Region.PEN) & (ndimage.uniform_filter(tissue.astype(np.float32), 9) > 0.3)
        planted = {region: soft(labels == region) for region in PLANES}
        return cls(soft(tissue), soft(labels == Region.PEN), planted)

    def block(
        self, plane: Float, corner: tuple[int, int], shape: tuple[int, int], mpp: float
    ) -> Float | None:
        """A plane at level-0 resolution, shape (height, width); None where it is 0 throughout."""
        rows, below = _between(corner[1], shape[0], mpp, plane.shape[0])
        columns, right = _between(corner[0], shape[1], mpp, plane.shape[1])
        around = plane[rows[0] : rows[-1] + 2, columns[0] : columns[-1] + 2]
        if not around.any():
            return None
        rows, columns = rows - rows[0], columns - columns[0]
        tall = around[rows] * (1 - below[:, None]) + around[rows + 1] * below[:, None]
        wide: Float = tall[:, columns] * (1 - right) + tall[:, columns + 1] * right
        return wide


def _between(start: int, length: int, mpp: float, limit: int) -> tuple[NDArray[np.intp], Float]:
    """Map pixel before each level-0 pixel's centre, and how far towards the next one it lies (0 to 1)."""
    place = (start + np.arange(length) + 0.5) * (mpp / MAP_MPP) + PAD - 0.5
    place = np.clip(place, 0, limit - 1.001)
    before = place.astype(np.intp)
    return before, (place - before).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Cells:
    """What was stamped on one block, each a uint8 array of shape (height, width).

    Attributes
    ----------
    nuclei
        Hematoxylin density in steps.
    epithelium, lumen
        Coverage of glands, 255 full.
    """

    nuclei: NDArray[np.uint8]
    epithelium: NDArray[np.uint8]
    lumen: NDArray[np.uint8]


def paint_block(
    staining: Staining, cover: Cover, cells: Cells, *, corner: tuple[int, int], mpp: float
) -> NDArray[np.uint8]:
    """RGB of one block of a slide, shape (height, width, 3).

    Transmitted light is ``glass * exp(-(H s_H + E s_E))`` with the densities H and E of `_densities`.

    Parameters
    ----------
    corner
        (x, y) of the block at level 0; may be a little negative.
    """
    shape = (cells.nuclei.shape[0], cells.nuclei.shape[1])
    bank = textures(mpp)
    start = (corner[0] + staining.offset[0], corner[1] + staining.offset[1])
    tissue = cover.block(cover.tissue, corner, shape, mpp)
    light = np.empty((*shape, 3), dtype=np.float32)
    light[:] = staining.glass
    if tissue is not None:
        hematoxylin, eosin = _densities(cover, cells, tissue, bank, corner=corner, start=start, mpp=mpp)
        for channel in range(3):
            density = hematoxylin * staining.stains[0, channel] + eosin * staining.stains[1, channel]
            light[..., channel] *= np.exp(-density)
    pen = cover.block(cover.pen, corner, shape, mpp)
    if pen is not None:
        streaks = 1 + 0.06 * bank.window("mottle", start, shape)
        opacity = np.clip((pen - 0.5) * 6 + 0.5, 0, 1) * streaks
        light *= 1 - opacity[..., None] * (1 - staining.ink)
    sharp = np.clip(light, 0, 255).astype(np.uint8)
    blurred = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(staining.blur_px)))
    grain = 1.3 * bank.window("fine", (start[0] + 311, start[1] + 173), shape)
    painted: NDArray[np.uint8] = np.clip(blurred + grain[..., None], 0, 255).astype(np.uint8)
    return painted


def _densities(
    cover: Cover,
    cells: Cells,
    tissue: Float,
    bank: Textures,
    *,
    corner: tuple[int, int],
    start: tuple[int, int],
    mpp: float,
) -> tuple[Float, Float]:
    """Densities of hematoxylin and eosin: sums over regions of a mean, times a texture of the region's own."""
    shape = (tissue.shape[0], tissue.shape[1])
    fibres, grain, clumps, mottle = (
        bank.window(name, start, shape) for name in ("fibres", "grain", "clumps", "mottle")
    )
    inside = _border(tissue, 0.10 * mottle + 0.05 * clumps, sharpness=5)
    gland = cells.epithelium.astype(np.float32) / 255
    left = 1 - gland
    eosin = gland * (0.40 + 0.05 * grain + 0.02 * clumps)
    haze = gland * (0.12 + 0.02 * grain)
    for region in PLANES:
        share = cover.block(cover.planted[region], corner, shape, mpp)
        if share is None:
            continue
        taken = _border(share, 0.12 * mottle, sharpness=3) * left
        left = left - taken
        eosin += taken * _planted_eosin(region, grain, clumps, mottle)
        haze += taken * _planted_haze(region, grain, clumps)
    # Collagen is dense in bundles and torn apart where the fibres are thinnest.
    torn = np.clip((fibres + 0.35 * clumps + 2.3 - 0.25 * mottle) * 1.6, 0.15, 1)
    eosin += (
        left * np.maximum(0.43 + (0.085 + 0.035 * mottle) * fibres + 0.02 * grain + 0.03 * mottle, 0.1) * torn
    )
    haze += left * 0.035
    nuclei = cells.nuclei.astype(np.float32) * (1 / DENSITY_STEPS)
    open_share = inside * (1 - cells.lumen.astype(np.float32) / 255)
    hematoxylin = (np.maximum(haze, 0) + nuclei * (1 + 0.05 * grain)) * open_share
    eosin = np.maximum(eosin, 0) * (1 - 0.45 * np.minimum(nuclei, 1)) * open_share
    return hematoxylin.astype(np.float32, copy=False), eosin.astype(np.float32, copy=False)


def _border(share: Float, ragged: Float, *, sharpness: float) -> Float:
    """Turn a soft share into a ragged border where it passes a half; where it is 0 or 1 it stays so."""
    moved: Float = share + 4 * share * (1 - share) * ragged
    border: Float = np.clip((moved - 0.5) * sharpness + 0.5, 0, 1)
    return border


def _planted_eosin(region: Region, grain: Float, clumps: Float, mottle: Float) -> Float:
    density: Float
    if region is Region.HIGH_GRADE:
        # Pale borders between cells that touch.
        density = 0.30 + 0.035 * grain + 0.05 * mottle - 0.12 * (np.abs(clumps) < 0.18)
    elif region is Region.LYMPHOCYTES:
        density = 0.15 + 0.03 * grain + 0.03 * mottle
    else:
        density = np.maximum(0.43 + 0.06 * clumps + 0.06 * grain + 0.06 * mottle, 0.15)
    return density.astype(np.float32, copy=False)


def _planted_haze(region: Region, grain: Float, clumps: Float) -> Float:
    if region is Region.HIGH_GRADE:
        return 0.15 + 0.03 * clumps + 0.02 * grain
    if region is Region.LYMPHOCYTES:
        return 0.13 + 0.04 * clumps
    return 0.05 + 0.02 * clumps
