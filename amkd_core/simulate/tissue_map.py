"""Where which tissue lies on a simulated slide, at 8 um per pixel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from amkd_core.simulate.glands import GLAND_SPACING_UM, GlandShape

MAP_MPP = 8.0
# Typical width of a region on a slide whose shorter side is `REFERENCE_SIDE_UM`; larger slides have larger regions.
REGION_WIDTH_UM = {"tumour": 190.0, "necrosis": 120.0, "lymphocytes": 100.0, "gland": 200.0}
REFERENCE_SIDE_UM = 1024.0
GLAND_ZONE_SHARE = 0.6
INFILTRATE_REACH_UM = 140.0


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
        """Share of the tissue that each planted region takes; the rest is stroma and glands."""
        return {
            Region.HIGH_GRADE: 0.10 + 0.24 * _sigmoid(self.proliferation),
            Region.NECROSIS: 0.02 + 0.13 * _sigmoid(1.3 * self.hypoxia),
            Region.LYMPHOCYTES: 0.02 + 0.13 * _sigmoid(1.3 * self.immune),
        }


@dataclass(frozen=True, eq=False)
class TissueMap:
    """The plan of a slide.

    Attributes
    ----------
    labels : array, shape (rows, columns), uint8
        `Region` of each pixel at `MAP_MPP`.
    glands : array, shape (n, 3)
        Centre (x, y) in micrometres and number of the gland's shape.
    """

    labels: NDArray[np.uint8]
    glands: NDArray[np.float64]


def draw_tissue_map(
    rng: np.random.Generator, size_um: tuple[float, float], look: Look, shapes: list[GlandShape], *, pen: bool
) -> TissueMap:
    """Plan a slide.

    High-grade tumour and necrosis are one smooth complex with the necrosis towards its middle; lymphocytes
    gather near its border; glands fill zones of the remaining stroma.

    Parameters
    ----------
    size_um
        (width, height) of the slide.
    shapes
        Shapes that glands are chosen from.
    pen
        Whether somebody drew on the glass.
    """
    shape = (max(8, round(size_um[1] / MAP_MPP)), max(8, round(size_um[0] / MAP_MPP)))
    scale = float(np.clip((min(size_um) / REFERENCE_SIDE_UM) ** 0.6, 0.6, 2.5))
    tissue = _outline(rng, shape)
    labels = np.where(tissue, Region.STROMA, Region.BACKGROUND).astype(np.uint8)
    fields = {
        name: smooth_noise(rng, shape, width * scale / MAP_MPP / 2) for name, width in REGION_WIDTH_UM.items()
    }
    n_tissue, shares = int(tissue.sum()), look.shares
    tumour_share = shares[Region.HIGH_GRADE] + shares[Region.NECROSIS]
    _fill(labels, Region.HIGH_GRADE, fields["tumour"], tumour_share * n_tissue, source=Region.STROMA)
    middle = 0.8 * fields["tumour"] + fields["necrosis"]
    _fill(labels, Region.NECROSIS, middle, shares[Region.NECROSIS] * n_tissue, source=Region.HIGH_GRADE)
    away_um = ndimage.distance_transform_edt(labels != Region.HIGH_GRADE) * MAP_MPP
    near = fields["lymphocytes"] + 2.0 * np.exp(-away_um / (INFILTRATE_REACH_UM * scale))
    _fill(labels, Region.LYMPHOCYTES, near, shares[Region.LYMPHOCYTES] * n_tissue, source=Region.STROMA)
    glands = _lay_glands(rng, labels, fields["gland"], shapes)
    if pen:
        labels[_pen_stroke(rng, shape)] = Region.PEN
    return TissueMap(labels, glands)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> NDArray[np.float64]:
    """Gaussian random field of unit spread, smooth over `sigma` map pixels."""
    field = ndimage.gaussian_filter(rng.normal(size=shape), sigma, mode="reflect")
    spread = field.std()
    normalised: NDArray[np.float64] = field / spread if spread > 0 else field
    return normalised


def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def _fill(
    labels: NDArray[np.uint8], region: Region, field: NDArray[np.float64], n_wanted: float, *, source: Region
) -> None:
    """Relabel the pixels of the source region where the field is highest, as many as wanted."""
    free = labels == source
    count = min(round(n_wanted), int(free.sum()))
    if count:
        threshold = np.partition(field[free], -count)[-count]
        labels[free & (field >= threshold)] = region


def _outline(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """One or two ragged pieces of tissue, away from the slide's border."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    across = np.full(shape, np.inf)
    n_pieces = 1 if shape[1] < 1.6 * shape[0] else 2
    for piece in range(n_pieces):
        center = (
            shape[0] * rng.uniform(0.48, 0.52),
            shape[1] * ((piece + 0.5) / n_pieces + rng.uniform(-0.02, 0.02)),
        )
        radii = (shape[0] * rng.uniform(0.39, 0.44), shape[1] / n_pieces * rng.uniform(0.39, 0.44))
        # Between an ellipse and a rectangle, as blocks are cut.
        distance = (
            np.abs((rows - center[0]) / radii[0]) ** 2.6 + np.abs((columns - center[1]) / radii[1]) ** 2.6
        )
        across = np.minimum(across, distance ** (1 / 2.6))
    # Wide bays, and at the edge a fraying of about one map pixel whatever the size of the slide.
    fray = 2.0 / min(shape)
    ragged = 0.07 * smooth_noise(rng, shape, min(shape) / 12) + 0.02 * smooth_noise(
        rng, shape, min(shape) / 35
    )
    ragged += fray * smooth_noise(rng, shape, 2)
    opened = ndimage.binary_opening(across + ragged < 1, iterations=2)
    border = np.zeros(shape, dtype=bool)
    border[2:-2, 2:-2] = True
    kept: NDArray[np.bool_] = ndimage.binary_fill_holes(opened) & border
    return kept


def _lay_glands(
    rng: np.random.Generator, labels: NDArray[np.uint8], field: NDArray[np.float64], shapes: list[GlandShape]
) -> NDArray[np.float64]:
    """Label glands on a jittered lattice inside stroma where the field is high; shape (n, 3)."""
    stroma = labels == Region.STROMA
    zone = stroma & (field >= np.quantile(field[stroma], 1 - GLAND_ZONE_SHARE)) if stroma.any() else stroma
    room_um = ndimage.distance_transform_edt(stroma) * MAP_MPP
    step = GLAND_SPACING_UM / MAP_MPP
    columns, rows = (
        np.arange(step / 2, labels.shape[1], step),
        np.arange(step / 2, labels.shape[0], step * 0.87),
    )
    grid = np.stack(np.meshgrid(columns, rows), axis=-1)
    grid[1::2, :, 0] += step / 2
    places = grid.reshape(-1, 2) + rng.normal(0, step * 0.07, size=(grid.size // 2, 2))
    chosen = rng.integers(0, len(shapes), len(places))
    kept = []
    for (x, y), number in zip(places, chosen, strict=True):
        row, column = int(y), int(x)
        if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]) or not zone[row, column]:
            continue
        reach = shapes[number].radius_um * 1.05
        if room_um[row, column] < reach:
            continue
        half = int(np.ceil(reach / MAP_MPP)) + 1
        window = np.s_[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]
        down, along = np.mgrid[window]
        turn = np.arctan2(down + 0.5 - y, along + 0.5 - x)
        inside = np.hypot(down + 0.5 - y, along + 0.5 - x) * MAP_MPP < shapes[number].outer_um(turn)
        labels[window][inside] = Region.GLAND
        kept.append((x * MAP_MPP, y * MAP_MPP, float(number)))
    return np.array(kept).reshape(-1, 3)


def _pen_stroke(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """An arc along one side of the tissue, partly over it."""
    start = rng.uniform(0, 2 * np.pi)
    turn = np.linspace(start, start + rng.uniform(0.9, 1.7), 3000)
    wobble = ndimage.gaussian_filter1d(rng.normal(size=(2, 3000)), 250, axis=1) * min(shape) * 0.25
    row = shape[0] * (0.5 + 0.47 * np.sin(turn)) + wobble[0]
    column = shape[1] * (0.5 + 0.47 * np.cos(turn)) + wobble[1]
    drawn = np.zeros(shape, dtype=bool)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    drawn[row[inside].astype(int), column[inside].astype(int)] = True
    if not drawn.any():
        return drawn
    # Never wider than a felt pen, and narrow enough to leave most of a small slide free.
    half_width = min(250 / MAP_MPP, 0.022 * min(shape))
    stroke: NDArray[np.bool_] = ndimage.distance_transform_edt(~drawn) <= half_width
    return stroke
