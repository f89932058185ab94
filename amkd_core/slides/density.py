"""Optical density of a bright-field image, and the white that it is counted from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DEFAULT_WHITE = (243.0, 243.0, 243.0)
_GREY, _TINTED = 25, 60
"""Largest difference of two channels of glass, and of glass that is stained or yellowed."""
_EVEN, _NEAR, _EVEN_SHARE = 3.0, 12.0, 0.65
"""Of what is as bright as glass within the second number this share lies within the first; tissue has grain."""
_LEAST_SHARE, _LEAST_TINTED_SHARE, _MOST_BRIGHTER_SHARE = 0.005, 0.05, 0.01

# Enough for any share or median that is asked of a whole image.
_SAMPLE_PX = 400_000


def is_dark_field(image: NDArray[np.uint8]) -> bool:
    """Say whether the image is dark-field (fluorescence): over 30 % black, under 1 % bright and grey."""
    pixels = _sample(image)
    return bool((pixels.max(axis=1) < 40).mean() > 0.3 and (pixels.min(axis=1) > 170).mean() < 0.01)


def white_of(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the background's colour, RGB; `DEFAULT_WHITE` where there is no background.

    Glass is bright and nearly grey. A tinted colour is taken for glass only where it is even, as tissue is not, the
    brightest there is, and far more frequent than grey.

    Parameters
    ----------
    image
        RGB, uint8 (rows, columns, 3), bright-field.
    """
    pixels = _sample(image)
    darkest = pixels.min(axis=1)
    difference = pixels.max(axis=1) - darkest
    grey = pixels[(darkest >= 180) & (difference <= _GREY)]
    real = grey[grey.min(axis=1) < 255]
    tinted = pixels[(pixels.max(axis=1) >= 200) & (difference > _GREY) & (difference <= _TINTED)]
    if len(tinted) >= _LEAST_TINTED_SHARE * len(pixels):
        white = _most_frequent(tinted)
        apart = np.abs(tinted - white).max(axis=1)
        n_even, n_near = np.count_nonzero(apart <= _EVEN), np.count_nonzero(apart <= _NEAR)
        n_brighter = np.count_nonzero(real.mean(axis=1) > white.mean() + 2 * _EVEN)
        is_glass = n_even >= max(_LEAST_TINTED_SHARE * len(pixels), _EVEN_SHARE * n_near, 5 * len(real))
        if is_glass and n_brighter <= _MOST_BRIGHTER_SHARE * len(pixels):
            return white
    grey = real if len(real) >= _LEAST_SHARE * len(pixels) else grey
    if len(grey) < max(1, _LEAST_SHARE * len(pixels)):
        return np.array(DEFAULT_WHITE)
    return _most_frequent(grey)


def _most_frequent(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Median colour around the most frequent brightness."""
    brightness = pixels.mean(axis=1)
    peak = np.bincount((brightness / 3).astype(int)).argmax() * 3 + 1.5
    white: NDArray[np.float64] = np.median(pixels[np.abs(brightness - peak) <= 4.5], axis=0)
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
