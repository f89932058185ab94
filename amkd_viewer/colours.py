"""Colours of maps and curves: perceptually uniform, and told apart with any colour vision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

LOW_RISK, HIGH_RISK = "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe and Ito's palette."""
LOW_RISK_ON_DARK, HIGH_RISK_ON_DARK = "#56B4E9", "#D55E00"
"""The palette's lighter blue, for dark windows; vermilion is seen on both. Figures and reports have the first pair."""
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
_MUTED = 0.8
"""Share of the text's colour in muted text: below, it is hard to read in the light theme."""


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


@runtime_checkable
class Themed(Protocol):
    """A widget that paints in colours of its own and follows the window's theme."""

    def set_colours(self, colours: WindowColours) -> None:
        """Paint in the colours of the window from here on."""


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
    return WindowColours(_hex(back), _hex(text), _hex(_MUTED * text + (1 - _MUTED) * back), dark)


def contrast(first: str, second: str) -> float:
    """Ratio of the luminances of two colours, 1 to 21, as WCAG 2.2 defines it; small text wants 4.5 or more."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def ink_on(colour: str) -> str:
    """Black or white, whichever is read better on a colour."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, colour))


def _luminance(colour: str) -> float:
    rgb = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _hex(rgb: NDArray[np.float64]) -> str:
    red, green, blue = (int(value) for value in np.rint(rgb))
    return f"#{red:02x}{green:02x}{blue:02x}"
