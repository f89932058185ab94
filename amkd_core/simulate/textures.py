"""Periodic textures that tissue is painted with: collagen, cytoplasm, debris and grain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Float = NDArray[np.float32]

SIDE_PX = 1280
N_DIRECTIONS = 12
FIBRE_UM = (0.8, 7.0)
BUNDLE_UM = 85.0
_SEED = 20260


@dataclass(frozen=True, eq=False)
class Textures:
    """Noise of zero mean and unit spread that tiles without seams, each of shape (SIDE_PX, SIDE_PX).

    Attributes
    ----------
    fibres
        Streaks about 1 um wide along `direction`.
    direction
        Angle of the fibres in radians, from x towards y.
    grain, clumps, mottle, fine
        Isotropic noise of 1.3, 3, 14 and 0.4 um.
    """

    fibres: Float
    direction: Float
    grain: Float
    clumps: Float
    mottle: Float
    fine: Float

    def window(self, name: str, corner: tuple[int, int], shape: tuple[int, ...]) -> Float:
        """Cut a texture at (x, y) with (height, width), wrapping around."""
        rows = np.take(getattr(self, name), range(corner[1], corner[1] + shape[0]), axis=0, mode="wrap")
        cut: Float = np.take(rows, range(corner[0], corner[0] + shape[1]), axis=1, mode="wrap")
        return cut


@lru_cache(maxsize=2)
def textures(mpp: float) -> Textures:
    """Textures at a scale; all slides of a process share them, each from an offset of its own."""
    rng = np.random.default_rng(_SEED)
    spectrum = fft.rfft2(rng.standard_normal((SIDE_PX, SIDE_PX), dtype=np.float32))
    rows, columns = np.meshgrid(fft.fftfreq(SIDE_PX), fft.rfftfreq(SIDE_PX), indexing="ij")
    frequency = np.stack([columns, rows]).astype(np.float32)
    bend = _isotropic(rng, frequency, BUNDLE_UM / mpp)
    crimp = _isotropic(rng, frequency, 9.0 / mpp)
    direction = (0.9 * bend + 0.16 * crimp).astype(np.float32)
    return Textures(
        fibres=_fibres(spectrum, frequency, direction, mpp),
        direction=direction,
        grain=_isotropic(rng, frequency, 1.3 / mpp),
        clumps=_isotropic(rng, frequency, 3.0 / mpp),
        mottle=_isotropic(rng, frequency, 14.0 / mpp),
        fine=_isotropic(rng, frequency, 0.4 / mpp),
    )


def _isotropic(rng: np.random.Generator, frequency: Float, sigma_px: float) -> Float:
    spectrum = fft.rfft2(rng.standard_normal((SIDE_PX, SIDE_PX), dtype=np.float32))
    response = np.exp(-2 * np.pi**2 * sigma_px**2 * (frequency**2).sum(axis=0))
    return _unit(fft.irfft2(spectrum * response, s=(SIDE_PX, SIDE_PX)))


def _fibres(spectrum: NDArray[np.complex64], frequency: Float, direction: Float, mpp: float) -> Float:
    """Blend the same noise stretched along each of some directions, by the local direction."""
    position = np.mod(direction, np.pi) * (N_DIRECTIONS / np.pi)
    blended = np.zeros((SIDE_PX, SIDE_PX), dtype=np.float32)
    across_px, along_px = FIBRE_UM[0] / mpp, FIBRE_UM[1] / mpp
    for index in range(N_DIRECTIONS):
        angle = index * np.pi / N_DIRECTIONS
        along = frequency[0] * np.cos(angle) + frequency[1] * np.sin(angle)
        across = -frequency[0] * np.sin(angle) + frequency[1] * np.cos(angle)
        response = np.exp(-2 * np.pi**2 * ((along * along_px) ** 2 + (across * across_px) ** 2))
        apart = np.abs(position - index)
        weight = np.maximum(0, 1 - np.minimum(apart, N_DIRECTIONS - apart))
        blended += weight * _unit(fft.irfft2(spectrum * response, s=(SIDE_PX, SIDE_PX)))
    return _unit(blended)


def _unit(field: NDArray[np.floating]) -> Float:
    normalised: Float = ((field - field.mean()) / field.std()).astype(np.float32)
    return normalised
