"""Optical density of a bright-field image, and the white that it is counted from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DEFAULT_WHITE = (243.0, 243.0, 243.0)


# Enough for any share or median that is asked of a whole image.
_SAMPLE_PX = 400_000


def is_dark_field(image: NDArray[np.uint8]) -> bool:
    """Say whether the image is dark-field (fluorescence): over 30 % black, under 1 % bright and grey."""
    pixels = _sample(image)
    return bool((pixels.max(axis=1) < 40).mean() > 0.3 and (pixels.min(axis=1) > 170).mean() < 0.01)


def white_of(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the background's colour, RGB in [180, 255]; `DEFAULT_WHITE` where there is no background.

    Parameters
    ----------
    image
        RGB, uint8 (rows, columns, 3), bright-field.
    """
    pixels = _sample(image)
    darkest = pixels.min(axis=1)
    grey = pixels[(darkest >= 180) & (pixels.max(axis=1) - darkest <= 25)]
    real = grey[grey.min(axis=1) < 255]
    grey = real if len(real) >= 0.005 * len(pixels) else grey
    if len(grey) < max(1, 0.005 * len(pixels)):
        return np.array(DEFAULT_WHITE)
    brightness = grey.mean(axis=1)
    peak = np.bincount((brightness / 3).astype(int)).argmax() * 3 + 1.5
    white: NDArray[np.float64] = np.median(grey[np.abs(brightness - peak) <= 4.5], axis=0)
    return white


def optical_density(image: NDArray[np.uint8], white: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return ``log10((white + 1) / (value + 1))`` of R, G and B, at least 0, (3, rows, columns).

    Parameters
    ----------
    image
        RGB, uint8 (rows, columns, 3).
    white
        Colour of the background, (3,).
    """
    values = np.arange(256)[:, None]  # (256, 1): a table, as there are only 256 logarithms per channel
    table = np.clip(np.log10((white + 1.0) / (values + 1.0)), 0.0, None).astype(np.float32)
    return np.stack([table[:, channel][image[..., channel]] for channel in range(3)])


def _sample(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels (n, 3): all of them, or every k-th where that is enough; k is odd, to follow no raster."""
    pixels = image.reshape(-1, 3)
    return pixels[:: len(pixels) // _SAMPLE_PX | 1]
