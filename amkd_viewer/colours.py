"""Colours of maps and curves: perceptually uniform, and told apart with any colour vision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOW_RISK, HIGH_RISK = "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe and Ito's palette."""
LOW_RISK_ON_DARK, HIGH_RISK_ON_DARK = "#56B4E9", "#E69F00"
"""The palette's lighter partners, for dark windows."""
NOTICE = "#E69F00"
ERROR = "#D55E00"
BOX = "#111111"
HEAT_NAME = "amkd attention"
MARK = "#00e5ff"
TEACHER, STUDENT = "#CC79A7", "#009E73"
"""Reddish purple and bluish green of the same palette."""
COLOUR_MAPS = ("viridis", "cividis", "magma", "inferno", "plasma")
"""All perceptually uniform, and read with any colour vision; cividis was made for it."""
DEFAULT_MAP = "viridis"

_STEPS = 256
_STRONGEST = 0.62


def heat_colours(name: str = DEFAULT_MAP) -> NDArray[np.float32]:
    """Colours of attention from lowest to highest, (256, 4) RGBA in [0, 1].

    A colour map of matplotlib with an opacity that rises with the value: tissue of little weight stays in view as it
    is.
    """
    from matplotlib import colormaps

    share = np.linspace(0, 1, _STEPS)
    colours = np.asarray(colormaps[name](share), dtype=np.float32)
    colours[:, 3] = _STRONGEST * share**1.5
    return colours


def difference_colours() -> NDArray[np.float32]:
    """Colours of a difference from lowest to highest, (256, 4) RGBA in [0, 1]; clear in the middle.

    matplotlib's PuOr, told apart with any colour vision: orange where the second map is higher, purple where the first.
    """
    from matplotlib import colormaps

    share = np.linspace(0, 1, _STEPS)
    colours = np.asarray(colormaps["PuOr"](share), dtype=np.float32)
    colours[:, 3] = 0.85 * np.abs(2 * share - 1) ** 0.8
    return colours


@dataclass(frozen=True)
class WindowColours:
    """Colours of the window that our panels sit in, as ``#rrggbb``."""

    background: str
    text: str
    muted: str
    dark: bool

    @property
    def low(self) -> str:
        """Colour of the low-risk group."""
        return LOW_RISK_ON_DARK if self.dark else LOW_RISK

    @property
    def high(self) -> str:
        """Colour of the high-risk group."""
        return HIGH_RISK_ON_DARK if self.dark else HIGH_RISK


def window_colours(theme_name: str) -> WindowColours:
    """Find the colours of a napari theme by its name ("dark", "light")."""
    from napari.utils.theme import get_theme

    theme = get_theme(theme_name)
    back, text = (np.array(colour.as_rgb_tuple()[:3], float) for colour in (theme.background, theme.text))
    dark = bool(back @ (0.299, 0.587, 0.114) < 128)
    return WindowColours(_hex(back), _hex(text), _hex(0.65 * text + 0.35 * back), dark)


def _hex(rgb: NDArray[np.float64]) -> str:
    red, green, blue = (int(value) for value in np.rint(rgb))
    return f"#{red:02x}{green:02x}{blue:02x}"
