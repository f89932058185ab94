"""Glands of a simulated slide: their outlines, epithelium, lumina and nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GLAND_SPACING_UM = 96.0
GLAND_RADII_UM = (29.0, 35.0, 41.0)
N_SHAPES = 12
NUCLEUS_SPACING_UM = 6.0
NUCLEUS_DEPTH_UM = 6.5

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GlandShape:
    """One wavy ring of epithelium.

    Attributes
    ----------
    radius_um
        Mean outer radius.
    height_um
        Height of the epithelium; inside it is the lumen.
    waves : array, shape (n_waves, 3)
        Number, amplitude and phase of each wave on the outline; amplitudes are relative to the radius.
    """

    radius_um: float
    height_um: float
    waves: Float

    def outer_um(self, turn: Float) -> Float:
        """Distance of the outline from the centre at angles in radians (from x towards y)."""
        relative = np.ones_like(turn)
        for number, amplitude, phase in self.waves:
            relative += amplitude * np.cos(number * turn + phase)
        scaled: Float = self.radius_um * relative
        return scaled

    def lumen_um(self, turn: Float) -> Float:
        """Distance of the lumen's border from the centre; scalloped more finely than the outline."""
        scallops = 1.0 * np.cos(7 * turn + self.waves[0, 2]) + 0.7 * np.cos(12 * turn + self.waves[1, 2])
        border: Float = np.maximum(self.outer_um(turn) - self.height_um + scallops, 2.0)
        return border

    def nuclei_um(self, rng: np.random.Generator) -> Float:
        """Offsets (x, y) from the centre and direction of nuclei along the base, shape (n, 3)."""
        n_nuclei = int(2 * np.pi * (self.radius_um - NUCLEUS_DEPTH_UM) / NUCLEUS_SPACING_UM)
        turn = np.linspace(0, 2 * np.pi, n_nuclei, endpoint=False) + rng.normal(0, 0.25 / n_nuclei, n_nuclei)
        away = self.outer_um(turn) - NUCLEUS_DEPTH_UM - np.abs(rng.normal(0, 2.2, n_nuclei))
        return np.stack([away * np.cos(turn), away * np.sin(turn), turn], axis=1)


def draw_shapes(rng: np.random.Generator) -> list[GlandShape]:
    """Shapes for the glands of one slide."""
    shapes = []
    for number in range(N_SHAPES):
        waves = np.stack(
            [
                np.array([2, 3, 5]),
                rng.uniform([0.03, 0.02, 0.005], [0.14, 0.08, 0.03]),
                rng.uniform(0, 6.28, 3),
            ],
            axis=1,
        )
        radius = GLAND_RADII_UM[number % len(GLAND_RADII_UM)]
        shapes.append(GlandShape(radius, rng.uniform(0.48, 0.72) * radius, waves))
    return shapes


def gland_pictures(shape: GlandShape, mpp: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Coverage of epithelium and openness of lumen (255 full), both shape (side, side), centred."""
    half = int(np.ceil(shape.radius_um * 1.2 / mpp)) + 2
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1] * mpp
    turn, away = np.arctan2(rows, columns), np.hypot(rows, columns)
    soft_um = 1.2
    covered = np.clip((shape.outer_um(turn) - away) / soft_um + 0.5, 0, 1)
    opened = np.clip((shape.lumen_um(turn) - away) / soft_um + 0.5, 0, 1)
    return (covered * 255).astype(np.uint8), (opened * 255).astype(np.uint8)
