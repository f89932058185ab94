"""Stain images of a batch of patches, and their smoothed copies, from which texture is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Optical-density vectors of haematoxylin and eosin (Ruifrok and Johnston 2001), RGB.
HAEMATOXYLIN = (0.650, 0.704, 0.286)
EOSIN = (0.072, 0.990, 0.105)

# Gaussians on the image of 1 um per px; neighbours differ by 1.6, so that the difference of two is the
# usual stand-in for the scale-normalised Laplacian.
SIGMAS_UM = (1.0, 1.6, 2.5, 4.0, 6.4)
COARSE_SIGMAS_UM = (8.0, 16.0)
TRUNCATE = 3.0

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Fields:
    """Images of one batch; `h` and `e` are the densities of haematoxylin and eosin.

    Parameters
    ----------
    fine_h, fine_e
        What averaging from 0.5 to 1 um per px took away: its standard deviation, (b,).
    density
        Optical density of R, G, B at 1 um per px, (b, 3, 128, 128).
    colour
        R, G, B in [0, 1] at 1 um per px, (b, 3, 128, 128).
    h, e, rest
        Densities at 1 um per px, (b, 128, 128); `rest` is what neither stain explains.
    h_smooth, e_smooth
        Those under the Gaussians of `SIGMAS_UM`.
    h_quarter, e_quarter
        Densities at 2 um per px, (b, 64, 64).
    h_coarse, e_coarse
        Those under the Gaussians of `COARSE_SIGMAS_UM`.
    """

    fine_h: Field
    fine_e: Field
    density: Field
    colour: Field
    h: Field
    e: Field
    rest: Field
    h_smooth: tuple[Field, ...]
    e_smooth: tuple[Field, ...]
    h_quarter: Field
    e_quarter: Field
    h_coarse: tuple[Field, ...]
    e_coarse: tuple[Field, ...]


def fields_of(images: NDArray[np.uint8]) -> Fields:
    """Separate the stains of a batch and smooth them.

    Parameters
    ----------
    images
        RGB, uint8 (b, 256, 256, 3) at 0.5 um per px.
    """
    full = _DENSITY[images]  # (b, 256, 256, 3)
    density = halve(full)  # (b, 128, 128, 3)
    fine = _lost(full, density)
    stains = density @ _UNMIX
    h, e = (np.maximum(stains[..., channel], 0.0) for channel in range(2))
    h_quarter, e_quarter = halve(h), halve(e)
    return Fields(
        fine_h=fine[:, 0],
        fine_e=fine[:, 1],
        density=_planes(density),
        colour=_planes(halve(images.astype(np.uint16)) / np.float32(255.0)),
        h=h,
        e=e,
        rest=stains[..., 2],
        h_smooth=tuple(smooth(h, sigma) for sigma in SIGMAS_UM),
        e_smooth=tuple(smooth(e, sigma) for sigma in SIGMAS_UM),
        h_quarter=h_quarter,
        e_quarter=e_quarter,
        h_coarse=tuple(smooth(h_quarter, sigma / 2) for sigma in COARSE_SIGMAS_UM),
        e_coarse=tuple(smooth(e_quarter, sigma / 2) for sigma in COARSE_SIGMAS_UM),
    )


def halve(images: NDArray[Any]) -> Field:
    """Average 2 x 2 blocks of (b, rows, columns) or (b, rows, columns, channels)."""
    rows = images[:, 0::2] + images[:, 1::2]
    halved: Field = (rows[:, :, 0::2] + rows[:, :, 1::2]) * np.float32(0.25)
    return halved


def _planes(images: Field) -> Field:
    return np.ascontiguousarray(np.moveaxis(images, 3, 1))


def smooth(images: Field, sigma_px: float) -> Field:
    """Apply a Gaussian to each image of (b, rows, columns), never across images."""
    smoothed: Field = ndimage.gaussian_filter(
        images, (0.0, sigma_px, sigma_px), mode="reflect", truncate=TRUNCATE
    )
    return smoothed


def _lost(full: Field, half: Field) -> Field:
    """Return the standard deviation of each stain that averaging took away, (b, 3), by covariances."""
    covariance = np.zeros((len(full), 3, 3), dtype=np.float32)
    for row in (0, 1):
        for column in (0, 1):
            lost = (full[:, row::2, column::2] - half).reshape(len(full), -1, 3)
            covariance += np.matmul(lost.transpose(0, 2, 1), lost) / np.float32(4 * lost.shape[1])
    variance = np.einsum("is,bij,js->bs", _UNMIX, covariance, _UNMIX)
    deviation: Field = np.sqrt(np.maximum(variance, 0.0))
    return deviation


def _unmixing() -> Field:
    stains = np.array([HAEMATOXYLIN, EOSIN])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    residual = np.cross(stains[0], stains[1])
    matrix = np.vstack([stains, residual / np.linalg.norm(residual)])
    return np.linalg.inv(matrix).astype(np.float32)


_UNMIX = _unmixing()
_DENSITY: Field = -np.log10((np.arange(256) + 1.0) / 256.0).astype(np.float32)
