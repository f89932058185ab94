"""Where which tissue lies on a simulated slide, at 8 um per pixel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

MAP_MPP = 8.0


class Region(IntEnum):
    """Labels of a truth mask."""

    BACKGROUND = 0
    STROMA = 1
    GLAND = 2
    HIGH_GRADE = 3
    LYMPHOCYTES = 4
    NECROSIS = 5
    PEN = 6


# Regions whose extent or look follows an activity that enters the hazard.
PLANTED = (Region.HIGH_GRADE, Region.LYMPHOCYTES, Region.NECROSIS)


@dataclass(frozen=True)
class Look:
    """What a slide shows of a patient: standard-normal drives of extent and look.

    Attributes
    ----------
    proliferation
        Extent of high-grade tumour, and density, size and darkness of its nuclei.
    hypoxia
        Extent of necrosis.
    immune
        Extent and density of lymphocyte clusters.
    """

    proliferation: float = 0.0
    hypoxia: float = 0.0
    immune: float = 0.0

    @property
    def shares(self) -> dict[Region, float]:
        """Share of the tissue that each region takes; what remains is stroma."""
        return {
            Region.HIGH_GRADE: 0.10 + 0.22 * _sigmoid(self.proliferation),
            Region.NECROSIS: 0.02 + 0.13 * _sigmoid(1.3 * self.hypoxia),
            Region.LYMPHOCYTES: 0.02 + 0.13 * _sigmoid(1.3 * self.immune),
            Region.GLAND: 0.28,
        }


def draw_regions(
    rng: np.random.Generator, size_px: tuple[int, int], mpp: float, look: Look, *, pen: bool
) -> NDArray[np.uint8]:
    """Label image of a slide.

    Parameters
    ----------
    size_px
        (width, height) of the slide at level 0.
    pen
        Whether somebody drew on the glass.

    Returns
    -------
    array, shape (rows, columns), uint8
        `Region` labels at `MAP_MPP`.
    """
    shape = tuple(max(8, round(side * mpp / MAP_MPP)) for side in (size_px[1], size_px[0]))
    tissue = _outline(rng, shape)
    labels = np.where(tissue, Region.STROMA, Region.BACKGROUND).astype(np.uint8)
    n_tissue = int(tissue.sum())
    sizes_um = {Region.HIGH_GRADE: 260, Region.NECROSIS: 170, Region.LYMPHOCYTES: 110, Region.GLAND: 220}
    for region, share in look.shares.items():
        field = _smooth_noise(rng, shape, sizes_um[region] / MAP_MPP / 2)
        free = labels == Region.STROMA
        n_wanted = min(round(share * n_tissue), int(free.sum()))
        if n_wanted:
            threshold = np.partition(field[free], -n_wanted)[-n_wanted]
            labels[free & (field >= threshold)] = region
    if pen:
        labels[_pen_stroke(rng, shape)] = Region.PEN
    return labels


def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> NDArray[np.float64]:
    field = ndimage.gaussian_filter(rng.normal(size=shape), sigma, mode="reflect")
    spread = field.std()
    normalised: NDArray[np.float64] = field / spread if spread > 0 else field
    return normalised


def _outline(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """One or two ragged pieces of tissue, away from the slide's border."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    across = np.full(shape, np.inf)
    n_pieces = 1 if shape[1] < 1.6 * shape[0] else 2
    for piece in range(n_pieces):
        center = (
            shape[0] * rng.uniform(0.47, 0.53),
            shape[1] * ((piece + 0.5) / n_pieces + rng.uniform(-0.03, 0.03)),
        )
        radii = (shape[0] * rng.uniform(0.38, 0.44), shape[1] / n_pieces * rng.uniform(0.38, 0.44))
        distance = ((rows - center[0]) / radii[0]) ** 2 + ((columns - center[1]) / radii[1]) ** 2
        across = np.minimum(across, distance)
    ragged = 0.16 * _smooth_noise(rng, shape, min(shape) / 14) + 0.06 * _smooth_noise(
        rng, shape, min(shape) / 50
    )
    tissue = np.sqrt(across) + ragged < 1
    kept: NDArray[np.bool_] = ndimage.binary_opening(tissue, iterations=2)
    return kept


def _pen_stroke(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Draw an arc beside and partly over the tissue."""
    turn = np.linspace(rng.uniform(0, 2), rng.uniform(3, 5), 2000)
    wobble = ndimage.gaussian_filter1d(rng.normal(size=(2, 2000)), 120, axis=1) * 40
    row = shape[0] * (0.5 + 0.42 * np.sin(turn)) + wobble[0]
    column = shape[1] * (0.5 + 0.45 * np.cos(turn)) + wobble[1]
    drawn = np.zeros(shape, dtype=bool)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    drawn[row[inside].astype(int), column[inside].astype(int)] = True
    width = max(2, round(110 / MAP_MPP))
    stroke: NDArray[np.bool_] = ndimage.distance_transform_edt(~drawn) < width / 2 if drawn.any() else drawn
    return stroke
