"""Pictures of what a model attends to over a cohort: ranked pathways, and agreement of the two maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from amkd_core.inference.pathway_table import EffectRow

Array = NDArray[np.float64]

MOST, LEAST, BAR = "#b2182b", "#2166ac", "#007c8a"
LONGEST = 46


def draw_pathways(
    figure: Figure, most: Sequence[tuple[str, float]], least: Sequence[tuple[str, float]], *, synthetic: bool
) -> None:
    """The most and the least attended pathways as bars, on the common scale from 0 to 1 (figure 4).

    Parameters
    ----------
    most, least
        (name, normalised attention), the most attended first.
    """
    axes = _bars(figure, most, least, form=".2f")
    axes.set(xlim=(0, 1.12), xlabel="normalised attention of the patches to the pathway (no proof of cause)")
    title = f"The {len(most)} most and {len(least)} least attended pathways" if least else "Attended pathways"
    axes.set_title(_titled(title, synthetic), fontsize=11)


def draw_effects(
    figure: Figure,
    raising: Sequence[EffectRow],
    lowering: Sequence[EffectRow],
    *,
    explained: float,
    synthetic: bool,
) -> None:
    """The pathways that raise the teacher's risk most over those that lower it most, as bars either side of 0.

    Parameters
    ----------
    raising, lowering
        The strongest first.
    explained
        Share of the teacher's variance that the linear reading explains in patients left out.
    """
    above, below = ([(item.name, item.effect) for item in part] for part in (raising, lowering[::-1]))
    axes = _bars(figure, above, below, form="+.3g")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.margins(x=0.14)
    axes.set_xlabel(
        "change of the teacher's risk for one standard deviation more activity (no proof of cause)"
    )
    title = f"Pathways that move the teacher's risk (linear reading, explains {explained:.0%} of it)"
    axes.set_title(_titled(title, synthetic), fontsize=11)


def _bars(
    figure: Figure, above: Sequence[tuple[str, float]], below: Sequence[tuple[str, float]], *, form: str
) -> Axes:
    """Named bars from the top down, red over blue, each with its number at its end."""
    axes = figure.add_subplot()
    items = [*above, *below]
    places = np.arange(len(items))[::-1].astype(float)
    places[: len(above)] += 0.6 if below else 0.0
    colours = [MOST] * len(above) + [LEAST] * len(below)
    axes.barh(places, [value for _, value in items], color=colours, height=0.7)
    for place, (_, value) in zip(places, items, strict=True):
        axes.annotate(
            f"{value:{form}}", (value, place), xytext=(-4 if value < 0 else 4, 0), textcoords="offset points",
            va="center", ha="right" if value < 0 else "left", fontsize=9,
        )  # fmt: skip
    axes.set_yticks(places, [readable(name) for name, _ in items], fontsize=9, parse_math=False)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def draw_agreement(figure: Figure, rho: Array, shared: Array, *, synthetic: bool) -> None:
    """How alike teacher's and student's maps are, slide by slide (figure 3 over a cohort).

    Parameters
    ----------
    rho : array, shape (n_slides,)
        Rank correlation; NaN where a map is constant.
    shared : array, shape (n_slides,)
        Shared share of the highest 5 %.
    """
    first, second = figure.subplots(1, 2)
    first.hist(rho[np.isfinite(rho)], bins=np.linspace(-1, 1, 21), color=BAR, edgecolor="white")
    first.axvline(0, color="black", linewidth=1, linestyle=":")
    first.set(
        xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1], xlabel="Spearman's rho of the two maps", ylabel="slides"
    )
    second.hist(shared, bins=np.linspace(0, 1, 21), color=BAR, edgecolor="white")
    second.set(xlim=(0, 1), xlabel="shared share of the highest 5 % of patches", ylabel="slides")
    figure.suptitle(_titled("Teacher's and student's map of each slide", synthetic), fontsize=11)
    for axes in (first, second):
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)


def readable(name: str) -> str:
    """A pathway's name for an axis: no underscores, not too long."""
    text = name.replace("_", " ")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _titled(text: str, synthetic: bool) -> str:
    return f"SYNTHETIC: {text}" if synthetic else text
