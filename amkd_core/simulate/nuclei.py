"""Nuclei of a simulated slide: where they lie, and small pictures of them to stamp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from amkd_core.simulate.glands import GlandShape
from amkd_core.simulate.tissue_map import MAP_MPP, Look, Region, TissueMap, smooth_noise

# Hematoxylin density is kept as uint8; 100 steps are one unit.
DENSITY_STEPS = 100
N_TURNS = 18
N_VARIANTS = 4
JITTER = 0.24
BORDER_UM = 5.0

Float = NDArray[np.float64]


@dataclass(frozen=True)
class NucleusKind:
    """Shape statistics of one kind of nucleus.

    Attributes
    ----------
    region
        Where nuclei of this kind lie.
    per_mm2
        Nuclei per square millimetre of their region; 0 for those placed along glands.
    radius_um, elongation
        Mean half-width, and ratio of half-length to half-width.
    variation
        Relative standard deviation of radius and darkness (pleomorphism).
    density
        Peak hematoxylin density.
    vesicular
        From 0, evenly dark, to 1, clear inside a dark rim with a nucleolus.
    """

    region: Region
    per_mm2: float
    radius_um: float
    elongation: float
    variation: float
    density: float
    vesicular: float = 0.0


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei of one kind on a slide.

    Attributes
    ----------
    kind : NucleusKind
    xy_um : array, shape (n, 2)
    turn : array, shape (n,)
        Direction of the long axis in radians, from x towards y.
    """

    kind: NucleusKind
    xy_um: Float
    turn: Float


def nucleus_kinds(look: Look) -> tuple[NucleusKind, ...]:
    """Kinds on a slide; those of high-grade tumour follow proliferation, lymphocytes immune activity."""
    grade = float(np.tanh(0.7 * look.proliferation))
    immune = float(np.tanh(0.7 * look.immune))
    return (
        NucleusKind(Region.STROMA, 1500, 1.5, 4.0, 0.22, 0.75),
        NucleusKind(Region.STROMA, 160, 2.6, 1.1, 0.08, 0.95),  # lymphocytes that wander
        NucleusKind(Region.GLAND, 0, 2.7, 1.75, 0.10, 0.66, 0.25),
        NucleusKind(
            Region.HIGH_GRADE,
            4600 * (1 + 0.25 * grade),
            4.1 * (1 + 0.15 * grade),
            1.28,
            0.17 + 0.08 * grade,
            0.66 * (1 + 0.22 * grade),
            0.45 - 0.2 * grade,
        ),
        NucleusKind(
            Region.HIGH_GRADE, 130 * (1 + 0.8 * grade), 3.2, 1.8, 0.3, 1.15
        ),  # mitoses, apoptotic bodies
        NucleusKind(Region.LYMPHOCYTES, 16500 * (1 + 0.22 * immune), 2.7, 1.06, 0.09, 0.95),
        NucleusKind(Region.NECROSIS, 500, 1.9, 1.3, 0.3, 0.95),
        NucleusKind(Region.NECROSIS, 6500, 0.7, 1.1, 0.35, 0.55),  # dust of broken nuclei
    )


def place_nuclei(
    rng: np.random.Generator, plan: TissueMap, kind: NucleusKind, shapes: list[GlandShape]
) -> Nuclei:
    """Places of all nuclei of a kind: rings in glands, elsewhere a jittered lattice of uneven density."""
    if kind.region is Region.GLAND:
        return _along_glands(rng, plan, kind, shapes)
    labels = plan.labels
    points = _lattice(rng, labels.shape, kind.per_mm2)
    near = _cells(points + rng.normal(0, BORDER_UM, points.shape), labels.shape)
    uneven = smooth_noise(rng, labels.shape, 50 / MAP_MPP)[near]
    kept = (labels[near] == kind.region) & (rng.random(len(points)) < 0.86 + 0.16 * uneven)
    kept &= labels[_cells(points, labels.shape)] != Region.BACKGROUND
    return Nuclei(kind, points[kept], rng.uniform(0, np.pi, int(kept.sum())))


def _along_glands(
    rng: np.random.Generator, plan: TissueMap, kind: NucleusKind, shapes: list[GlandShape]
) -> Nuclei:
    rings = []
    for x, y, number in plan.glands:
        ring = shapes[int(number)].nuclei_um(rng)
        rings.append(ring + np.array([x, y, 0.0]))
    table = np.concatenate(rings) if rings else np.zeros((0, 3))
    return Nuclei(kind, table[:, :2], table[:, 2] + rng.normal(0, 0.15, len(table)))


def _lattice(rng: np.random.Generator, shape: tuple[int, ...], per_mm2: float) -> Float:
    """Points (x, y) in micrometres: a hexagonal lattice, turned and jittered so that it does not show."""
    height_um, width_um = shape[0] * MAP_MPP, shape[1] * MAP_MPP
    # The lattice is thinned to 86 % on average, see `place_nuclei`.
    step = float(np.sqrt(1e6 / (per_mm2 / 0.86) * 2 / np.sqrt(3)))
    reach = np.hypot(height_um, width_um) / 2 + step
    columns, rows = np.arange(-reach, reach, step), np.arange(-reach, reach, step * np.sqrt(3) / 2)
    grid = np.stack(np.meshgrid(columns, rows), axis=-1)
    grid[1::2, :, 0] += step / 2
    angle = rng.uniform(0, np.pi)
    turned = grid.reshape(-1, 2) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = turned + np.array([width_um, height_um]) / 2
    points = points[((points > 0) & (points < [width_um, height_um])).all(axis=1)]
    jittered: Float = points + rng.normal(0, JITTER * step, points.shape)
    return jittered


def _cells(points: Float, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    columns = np.clip((points[:, 0] / MAP_MPP).astype(np.intp), 0, shape[1] - 1)
    rows = np.clip((points[:, 1] / MAP_MPP).astype(np.intp), 0, shape[0] - 1)
    return rows, columns


def sprites(rng: np.random.Generator, kind: NucleusKind, mpp: float) -> list[NDArray[np.uint8]]:
    """Pictures of nuclei of one kind as hematoxylin density in steps; `sprite_number` finds one by its turn."""
    drawn = []
    for turn in np.repeat(np.arange(N_TURNS) * np.pi / N_TURNS, N_VARIANTS):
        size = max(kind.radius_um * max(0.5, 1 + kind.variation * rng.normal()), 0.45) / mpp
        length = size * kind.elongation * max(0.7, 1 + 0.15 * rng.normal())
        half = int(np.ceil(length + 3))
        rows, columns = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
        along = columns * np.cos(turn) + rows * np.sin(turn)
        across = -columns * np.sin(turn) + rows * np.cos(turn)
        wobble = _blurred(rng, rows.shape, max(1.0, size / 2.5)) * (0.05 + 0.25 * kind.variation)
        distance = np.sqrt((along / length) ** 2 + (across / size) ** 2) + wobble
        edge = 1 / (1 + np.exp(np.clip((distance - 1) * size * 2.2, -30, 30)))
        inside = 1 + 0.16 * _blurred(rng, rows.shape, max(0.8, size / 5))
        inside *= 1 - kind.vesicular * 0.55 * np.clip(1 - distance, 0, 1)
        inside += kind.vesicular * _nucleolus(rng, along / length, across / size)
        darkness = kind.density * max(0.45, 1 + 0.6 * kind.variation * rng.normal())
        picture = darkness * edge * np.clip(inside, 0.4, 1.7)
        drawn.append(np.clip(picture * DENSITY_STEPS, 0, 250).astype(np.uint8))
    return drawn


def sprite_number(rng: np.random.Generator, turn: Float) -> NDArray[np.int64]:
    """Number of a picture turned like each nucleus, chosen at random among the variants."""
    step = np.rint(np.mod(turn, np.pi) * N_TURNS / np.pi).astype(np.int64) % N_TURNS
    return step * N_VARIANTS + rng.integers(0, N_VARIANTS, len(turn))


def _blurred(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Float:
    field = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    normalised: Float = field / max(float(field.std()), 1e-9)
    return normalised


def _nucleolus(rng: np.random.Generator, along: Float, across: Float) -> Float:
    place = rng.uniform(-0.35, 0.35, 2)
    spot: Float = 0.9 * np.exp(-((along - place[0]) ** 2 + (across - place[1]) ** 2) / (2 * 0.16**2))
    return spot


def stamp(
    canvas: NDArray[np.uint8],
    centers_px: NDArray[np.int64],
    numbers: NDArray[np.int64],
    pictures: list[NDArray[np.uint8]],
) -> None:
    """Draw centred pictures on a canvas in place, cut at its borders; where two overlap the darker stays.

    Parameters
    ----------
    centers_px : array, shape (n, 2)
        (x, y) on the canvas; may lie outside.
    numbers : array, shape (n,)
        Which picture each is.
    """
    height, width = canvas.shape
    for (x, y), number in zip(centers_px.tolist(), numbers.tolist(), strict=True):
        picture = pictures[number]
        half = picture.shape[0] // 2
        top, left = max(0, y - half), max(0, x - half)
        bottom, right = min(height, y + half + 1), min(width, x + half + 1)
        if top >= bottom or left >= right:
            continue
        window = canvas[top:bottom, left:right]
        part = picture[top - y + half : bottom - y + half, left - x + half : right - x + half]
        np.maximum(window, part, out=window)
