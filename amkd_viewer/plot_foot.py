"""What goes along with a plot that leaves its panel: a title above it and sentences below it; no Qt.

The panel says them beside the plot; a picture that is copied or saved would be read without them.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from amkd_viewer.colours import WindowColours

_FONT_PT = 7.0
_LINE_IN = 1.35 * _FONT_PT / 72
_LETTERS_PER_IN = 72 / (0.56 * _FONT_PT)
_MARGIN_IN = 0.08


@dataclass(frozen=True)
class PlotWords:
    """Words of a plot that leaves its panel.

    Attributes
    ----------
    title
        What is shown, above the plot.
    sentences
        A paragraph each, below it.
    """

    title: str
    sentences: tuple[str, ...]


def with_words(draw: Callable[..., None], words: PlotWords) -> Callable[..., None]:
    """The same drawing with its words; the figure grows by the sentences' height, so that the plot keeps its own."""
    return partial(_draw_with_words, draw=draw, words=words)


def _draw_with_words(
    figure: Figure, colours: WindowColours, *, draw: Callable[..., None], words: PlotWords
) -> None:
    width, height = figure.get_size_inches()
    letters = max(20, int((width - 2 * _MARGIN_IN) * _LETTERS_PER_IN))
    lines = [line for sentence in words.sentences for line in textwrap.wrap(sentence, letters)]
    foot = len(lines) * _LINE_IN + 2 * _MARGIN_IN
    figure.set_size_inches(width, height + foot)
    draw(figure, colours)
    share = foot / (height + foot)
    figure.set_layout_engine("constrained", rect=(0, share, 1, 1 - share))
    label = figure.get_supxlabel()
    if label:  # it would stay at the figure's lower edge, on the words
        size = next(text.get_fontsize() for text in figure.texts if text.get_text() == label)
        figure.supxlabel(label, y=share, fontsize=size)
    figure.suptitle(words.title, fontsize=10, color=colours.text)
    figure.text(
        _MARGIN_IN / width, share - _MARGIN_IN / (height + foot), "\n".join(lines), va="top", fontsize=_FONT_PT,
        linespacing=1.25, color=colours.text, parse_math=False,
    )  # fmt: skip
