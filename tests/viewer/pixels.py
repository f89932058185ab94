"""Colours of pictures of the window, all at once: asked for pixel by pixel they take longer than the window does."""

from __future__ import annotations

import numpy as np
from qtpy.QtGui import QImage


def colours_of(image: QImage) -> np.ndarray:
    """Colour of each pixel, row by row, as the number that its six hexadecimal digits are."""
    image = image.convertToFormat(QImage.Format.Format_ARGB32)
    pixels = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint32)
    return pixels.reshape(image.height(), -1)[:, : image.width()] & 0xFFFFFF


def colour_name(colour: int) -> str:
    """As ``QColor.name`` gives it."""
    return f"#{colour:06x}"
