"""The forest plot of a run: C-index and interval of each subgroup under that of all patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from amkd_core.export.cohort_figures import COLOURS, MUTED, OTHER_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_IN, MARGIN_IN, WIDTH_IN = 0.33, 1.0, 8.4
_MARKERS = "os^D"
_APART = 0.26
_LONGEST_LABEL = 32


@dataclass(frozen=True)
class ForestRow:
    """One row of the plot.

    Attributes
    ----------
    label
        Of the subgroup; a row without figures is a heading.
    size
        Its patients and events, in words.
    figures
        By model, C-index with the ends of its interval; None where it is not estimable.
    """

    label: str
    size: str = ""
    figures: Mapping[str, tuple[float, float, float] | None] | None = None


def forest_size(rows: Sequence[ForestRow]) -> tuple[float, float]:
    """Width and height in inches that so many rows take."""
    return WIDTH_IN, MARGIN_IN + ROW_IN * len(rows)


def draw_forest(figure: Figure, rows: Sequence[ForestRow]) -> None:
    """Rows from top to bottom, the first of all patients, whose C-index is dashed by model; chance is dotted."""
    axes = figure.add_subplot()
    models = list(dict.fromkeys(name for row in rows for name in row.figures or ()))
    ends = _APART / 2 if len(models) > 1 else 0.0
    shifts = dict(zip(models, np.linspace(-ends, ends, len(models)), strict=True))
    for place, row in enumerate(rows):
        for model, found in (row.figures or {}).items():
            _draw_figure(axes, place + shifts[model], model, models.index(model), found)
        _write_size(axes, place, row)
    axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=":", zorder=0)
    for model, found in ((rows[0].figures or {}) if rows else {}).items():
        if found is not None:
            axes.axvline(found[0], color=_colour(model), linewidth=1, linestyle="--", alpha=0.6, zorder=0)
    axes.set_yticks(range(len(rows)), [_short(row.label) for row in rows], parse_math=False)
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_fontweight("normal" if row.figures else "bold")
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=_range(rows), xlabel="C-index (95 % interval by patient)")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    _legend(axes, models)


def _draw_figure(
    axes: Axes, height: float, model: str, number: int, found: tuple[float, float, float] | None
) -> None:
    if found is not None:
        value, *ends = found
        axes.plot(ends, [height] * 2, color=_colour(model), linewidth=1.6, solid_capstyle="butt")
        axes.plot(value, height, _marker(number), color=_colour(model), markersize=6)


def _write_size(axes: Axes, place: int, row: ForestRow) -> None:
    """Patients and events right of the axes; in them why there is no figure."""
    beside = axes.get_yaxis_transform()
    axes.text(1.02, place, row.size, transform=beside, va="center", fontsize=9, color=OTHER_COLOUR)
    if row.figures and all(found is None for found in row.figures.values()):
        axes.text(0.02, place, "not estimable", transform=beside, va="center", fontsize=9, color=OTHER_COLOUR)


def _legend(axes: Axes, models: Sequence[str]) -> None:
    for number, model in enumerate(models):
        axes.plot([], [], f"{_marker(number)}-", color=_colour(model), label=model)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=len(models), frameon=False, fontsize=9, borderaxespad=0
    )  # fmt: skip


def _colour(model: str) -> str:
    return COLOURS.get(model, OTHER_COLOUR)


def _marker(number: int) -> str:
    return _MARKERS[number % len(_MARKERS)]


def _range(rows: Sequence[ForestRow]) -> tuple[float, float]:
    """All intervals, and chance, with a little room; within what a C-index can be."""
    ends = [
        end for row in rows for found in (row.figures or {}).values() if found is not None for end in found
    ]
    low, high = min([0.5, *ends]), max([0.5, *ends])
    room = 0.05 * max(high - low, 0.2)
    return max(low - room, -0.02), min(high + room, 1.02)


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"
