"""Nuclei of a simulated slide: where they lie, and small pictures of them to stamp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from amkd_core.simulate.tissue_map import MAP_MPP, Look, Region

# Hematoxylin optical density is kept as uint8; 100 steps are one unit of density.
DENSITY_STEPS = 100
N_VARIANTS = 24


@dataclass(frozen=True)
class NucleusKind:
    """Shape statistics of one kind of nucleus.

    Attributes
    ----------
    per_mm2
        Nuclei per square millimetre of their region.
    radius_um, elongation
        Mean half-width, and ratio of half-length to half-width.
    variation
        Relative standard deviation of radius and darkness (pleomorphism).
    density
        Peak hematoxylin optical density.
    """

    per_mm2: float
    radius_um: float
    elongation: float
    variation: float
    density: float


def nucleus_kinds(look: Look) -> dict[Region, NucleusKind]:
    """Kinds by region; those of high-grade tumour follow proliferation, lymphocytes immune activity."""
    grade = float(np.tanh(0.7 * look.proliferation))
    immune = float(np.tanh(0.7 * look.immune))
    return {
        Region.STROMA: NucleusKind(1100, 2.0, 3.4, 0.25, 0.75),
        Region.GLAND: NucleusKind(0, 3.4, 1.35, 0.12, 0.70),  # placed in rings, see `gland_nuclei`
        Region.HIGH_GRADE: NucleusKind(
            3000 * (1 + 0.35 * grade),
            3.9 * (1 + 0.18 * grade),
            1.3,
            0.2 + 0.1 * grade,
            0.66 * (1 + 0.22 * grade),
        ),
        Region.LYMPHOCYTES: NucleusKind(7500 * (1 + 0.25 * immune), 2.9, 1.05, 0.08, 1.05),
        Region.NECROSIS: NucleusKind(650, 1.6, 1.2, 0.5, 1.1),
    }


def sprites(rng: np.random.Generator, kind: NucleusKind, mpp: float) -> list[NDArray[np.uint8]]:
    """Pictures of nuclei of one kind, as hematoxylin density in steps; sizes and turns vary."""
    drawn = []
    for turn in rng.uniform(0, np.pi, N_VARIANTS):
        size = kind.radius_um / mpp * max(0.5, 1 + kind.variation * rng.normal())
        length = size * kind.elongation
        half = int(np.ceil(length + 3))
        rows, columns = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
        along = rows * np.sin(turn) + columns * np.cos(turn)
        across = -rows * np.cos(turn) + columns * np.sin(turn)
        wobble = ndimage.gaussian_filter(rng.normal(size=rows.shape), max(1.0, size / 3))
        wobble *= (0.07 + 0.18 * kind.variation) / max(float(wobble.std()), 1e-9)
        distance = np.sqrt((along / length) ** 2 + (across / size) ** 2) + wobble
        edge = 1 / (1 + np.exp((distance - 1) * 6 * np.sqrt(size)))
        chromatin = ndimage.gaussian_filter(rng.normal(size=rows.shape), max(0.7, size / 6))
        chromatin *= 0.30 / max(float(chromatin.std()), 1e-9)
        density = kind.density * max(0.4, 1 + 0.5 * kind.variation * rng.normal())
        picture = density * edge * np.clip(1 + chromatin, 0.45, 1.6)
        drawn.append(np.clip(picture * DENSITY_STEPS, 0, 250).astype(np.uint8))
    return drawn


def scatter_nuclei(
    rng: np.random.Generator, labels: NDArray[np.uint8], region: Region, per_mm2: float
) -> NDArray[np.float64]:
    """Places of nuclei in a region in micrometres (x, y), shape (n, 2): uniform, at least a little apart."""
    rows, columns = np.nonzero(labels == region)
    n_wanted = rng.poisson(len(rows) * (MAP_MPP / 1000) ** 2 * per_mm2)
    if not n_wanted:
        return np.zeros((0, 2))
    # Stratified by map pixel: consecutive ranks spread the nuclei evenly, jitter hides the grid.
    chosen = (np.arange(n_wanted) * (len(rows) / n_wanted) + rng.uniform(0, 1)).astype(int) % len(rows)
    jitter = rng.uniform(-0.8, 1.8, size=(n_wanted, 2))
    return np.stack([columns[chosen] + jitter[:, 0], rows[chosen] + jitter[:, 1]], axis=1) * MAP_MPP


def gland_centers(
    rng: np.random.Generator, labels: NDArray[np.uint8], spacing_um: float = 115
) -> NDArray[np.float64]:
    """Centres (x, y) and outer radius of glands in micrometres, shape (n, 3), on a jittered lattice."""
    step = spacing_um / MAP_MPP
    rows = np.arange(step / 2, labels.shape[0], step * 0.87)
    columns = np.arange(step / 2, labels.shape[1], step)
    grid = np.stack(np.meshgrid(columns, rows), axis=-1)
    grid[1::2, :, 0] += step / 2
    places = grid.reshape(-1, 2) + rng.normal(0, step * 0.1, size=(grid.size // 2, 2))
    inside = (places >= 0).all(axis=1) & (places < [labels.shape[1], labels.shape[0]]).all(axis=1)
    places = places[inside]
    in_region = labels[places[:, 1].astype(int), places[:, 0].astype(int)] == Region.GLAND
    places = places[in_region] * MAP_MPP
    return np.concatenate([places, rng.uniform(0.34, 0.48, (len(places), 1)) * spacing_um], axis=1)


def gland_nuclei(rng: np.random.Generator, glands: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nuclei in a ring near the base of each gland's epithelium, in micrometres (x, y), shape (n, 2)."""
    rings = []
    for x, y, radius in glands:
        n_nuclei = int(2 * np.pi * radius * 0.8 / 7.5)
        turn = np.arange(n_nuclei) * 2 * np.pi / max(n_nuclei, 1) + rng.normal(0, 0.06, n_nuclei)
        away = radius * 0.8 + rng.normal(0, 1.3, n_nuclei)
        rings.append(np.stack([x + away * np.cos(turn), y + away * np.sin(turn)], axis=1))
    return np.concatenate(rings) if rings else np.zeros((0, 2))


def stamp(
    canvas: NDArray[np.uint8],
    places_px: NDArray[np.float64],
    pictures: list[NDArray[np.uint8]],
    rng: np.random.Generator,
) -> None:
    """Draw nuclei on a density canvas in place; overlaps keep the darker one."""
    choices = rng.integers(0, len(pictures), len(places_px))
    height, width = canvas.shape
    for (x, y), choice in zip(places_px.astype(int).tolist(), choices.tolist(), strict=True):
        picture = pictures[choice]
        half = picture.shape[0] // 2
        top, left = y - half, x - half
        if top < 0 or left < 0 or top + picture.shape[0] > height or left + picture.shape[1] > width:
            continue
        window = canvas[top : top + picture.shape[0], left : left + picture.shape[1]]
        np.maximum(window, picture, out=window)
